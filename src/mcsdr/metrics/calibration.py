"""Do the posteriors mean what they say? Everything follows from the PIT, u_i = F_i(y_i), uniform if they do.

    coverage(λ) = mean 1{|u − ½| ≤ λ/2}            share of labels inside their central λ-interval
    KS          = sup_t |mean 1{u ≤ t} − t|
    error       = mean_λ |coverage(λ) − λ|         λ = 0.05, 0.10, …, 0.95
    QICE        = mean_m |r_m − 1/M|               r_m the share of labels in the m-th of M equal-mass bins
    PICP        = mean 1{l ≤ y ≤ h}                for intervals from any source

Calibration says nothing about sharpness: report the width of the intervals beside it.

References: Gneiting, Balabdaoui, Raftery 2007, "Probabilistic forecasts, calibration and sharpness"; Han, Zheng, Zhou
2022, "CARD: classification and regression diffusion models" (QICE, PICP).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


LEVELS: Array = np.linspace(0.05, 0.95, 19)


class Reliability(NamedTuple):
    """Observed against nominal coverage, and the least-squares line coverage = intercept + slope·level (ideal 0, 1)."""

    levels: Array
    coverage: Array
    slope: float
    intercept: float


def inside(pit: ArrayLike, level: float) -> NDArray[np.bool_]:
    """Which labels lie inside their central interval of this level, bool [B]."""
    return np.asarray(np.abs(_pit(pit) - 0.5) <= 0.5 * level + 1e-12)


def coverage(pit: ArrayLike, levels: ArrayLike) -> Array:
    """Share of labels inside the central interval of each level: [M] for levels [M] in (0, 1)."""
    u, level = _pit(pit), np.atleast_1d(np.asarray(levels, dtype=np.float64))
    return np.array([inside(u, one).mean() for one in level], dtype=np.float64)


def coverage_error(pit: ArrayLike) -> float:
    """Mean over the levels 0.05, 0.10, …, 0.95 of |coverage − level|, in [0, 0.5]; 0 is best.

    Under calibration it is near 0.33/sqrt(B) on average.
    """
    return float(np.abs(coverage(pit, LEVELS) - LEVELS).mean())


def pit_ks(pit: ArrayLike) -> float:
    """Kolmogorov–Smirnov distance of the PIT from the uniform distribution, in [0, 1].

    Under calibration it is near 0.87/sqrt(B) on average, and below 1.36/sqrt(B) in 95 % of the samples.
    """
    u = np.sort(_pit(pit))
    n = len(u)
    above, below = np.arange(1, n + 1) / n - u, u - np.arange(n) / n
    return float(max(above.max(), below.max()))


def qice(pit: ArrayLike, bins: int = 10) -> float:
    """Quantile interval coverage error: mean over bins of |share of labels − 1/bins|, as in CARD.

    A label beyond all of a posterior's quantiles counts in the outer bin, as there.
    """
    u = _pit(pit)
    member = np.clip((u * bins).astype(np.int64), 0, bins - 1)
    share = np.bincount(member, minlength=bins) / len(u)
    return float(np.abs(share - 1 / bins).mean())


def picp(lower: ArrayLike, upper: ArrayLike, observed: ArrayLike) -> float:
    """Prediction interval coverage probability: the share of labels [B] inside [lower, upper], all in EF %."""
    low, high, y = (np.asarray(x, dtype=np.float64) for x in (lower, upper, observed))
    if not low.shape == high.shape == y.shape or y.ndim != 1 or not y.size:
        raise ValueError(f"lower {low.shape}, upper {high.shape} and observed {y.shape} must be equal, [B] with B ≥ 1")
    return float(((low <= y) & (y <= high)).mean())


def mean_width(lower: ArrayLike, upper: ArrayLike) -> float:
    """Mean width of intervals [B] in EF points."""
    return float(np.mean(np.asarray(upper, dtype=np.float64) - np.asarray(lower, dtype=np.float64)))


def reliability(pit: ArrayLike, levels: ArrayLike | None = None) -> Reliability:
    """The reliability curve at central levels (0.05, 0.10, …, 0.95 if left out) and its regression line."""
    level = LEVELS if levels is None else np.asarray(levels, dtype=np.float64)
    observed = coverage(pit, level)
    centred = level - level.mean()
    slope = float((centred * observed).sum() / (centred**2).sum())
    return Reliability(level, observed, slope, float(observed.mean() - slope * level.mean()))


def _pit(pit: ArrayLike) -> Array:
    u = np.asarray(pit, dtype=np.float64)
    if u.ndim != 1 or not u.size or not ((u >= 0) & (u <= 1)).all():
        raise ValueError("pit must be [B] with B ≥ 1 and values in [0, 1]")
    return u
