"""A belief as 50 dots, and as a density for the eye.

The dots are the quantiles y_i = F⁻¹((i − ½)/50), each 2 % of the belief, stacked in bins whose edges include the
cut-points 30, 35, 40 and 50, so that no column stands across one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mcsdr.posterior.table import Posterior

Array = NDArray[np.float64]

DOTS = 50
BIN_WIDTHS = (1.25, 2.5)  # both divide 30, 35, 40 and 50


class Dots(NamedTuple):
    """The 50 dots, left to right: their column's centre in EF %, their place in it from 0, and the columns' width."""

    centre: Array
    level: NDArray[np.int64]
    width: float


def quantile_dots(posterior: Posterior) -> Dots:
    """The quantile dotplot of one study; of the dots in a column, all lie on one side of every cut-point."""
    y = np.asarray(posterior.quantile((np.arange(DOTS) + 0.5) / DOTS))
    width = BIN_WIDTHS[0] if y[-6] - y[5] < 8 else BIN_WIDTHS[1]
    column = np.ceil(y / width).astype(np.int64) - 1  # (k·width, (k+1)·width], as in P(EF ≤ c)
    level = np.arange(DOTS) - np.searchsorted(column, column)
    return Dots(np.asarray((column + 0.5) * width, dtype=np.float64), level, width)


def smooth_density(posterior: Posterior, grid: Array) -> Array:
    """Probability per EF point over a grid [M] in EF %, smoothed for the eye.

    Of a table of quantiles the mean density within one point, (F(y + 1) − F(y − 1)) / 2; of K iid draws a sum of
    Gaussians of Silverman's bandwidth 0.9·σ·K^(−1/5), one point at least.
    """
    if posterior.draws is None:
        density: Array = (posterior.cdf(grid + 1) - posterior.cdf(grid - 1)) / 2
        return density
    h = max(1.0, 0.9 * posterior.sd * posterior.draws**-0.2)
    draws = posterior.y_percent if posterior.raw is None else posterior.raw[0]
    kernels = np.exp(-0.5 * ((grid[:, None] - draws) / h) ** 2)
    density = kernels.mean(axis=1) / (h * np.sqrt(2 * np.pi))
    return density
