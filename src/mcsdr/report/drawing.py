"""What the figures have in common: paper, ink, margins, the footer, and the bands that chance alone would draw.

Every figure is a `matplotlib.figure.Figure` of its own and touches no global state.
"""

from __future__ import annotations

import io
import math
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from mcsdr.files import write_atomically
from mcsdr.posterior.axes import INK, SOFT, set_style

Array = NDArray[np.float64]

DPI = 160


def save(path: str | Path, figure: Figure) -> None:
    """Write one figure as PNG, in one piece, the same bytes for the same figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    write_atomically(Path(path), buffer.getvalue())


def one_panel(width: float, height: float, footer: str, **spacing: float) -> tuple[Figure, Axes]:
    """A figure with one panel; inches."""
    figure, (axes,) = panels_beside(width, height, footer, (1,), 1, **spacing)
    return figure, axes


def panels_beside(
    width: float, height: float, footer: str, ratios: tuple[float, ...], rows: int = 1, **spacing: float
) -> tuple[Figure, list[Axes]]:
    """A figure with panels side by side, row after row, its margins in inches and the footer at its foot."""
    figure = Figure(figsize=(width, height), facecolor="white")
    inches = {"left": 0.72, "right": 0.22, "bottom": 0.92, "top": 0.45, "wspace": 0.05, "hspace": 0.4} | spacing
    grid = figure.add_gridspec(
        rows,
        len(ratios),
        width_ratios=ratios,
        left=inches["left"] / width,
        right=1 - inches["right"] / width,
        bottom=inches["bottom"] / height,
        top=1 - inches["top"] / height,
        wspace=inches["wspace"],
        hspace=inches["hspace"],
    )
    panels = [figure.add_subplot(grid[row, column]) for row in range(rows) for column in range(len(ratios))]
    for axes in panels:
        set_style(axes)
    wrapped = textwrap.fill(footer, round(15 * width))
    figure.text(0.5, 0.1 / height, wrapped, ha="center", va="bottom", fontsize=7.5, color=SOFT)
    return figure, panels


def add_legend(axes: Axes, **where: Any) -> None:
    """A legend without a frame."""
    axes.legend(fontsize=8.5, labelcolor=INK, facecolor="white", framealpha=0.85, edgecolor="none", **where)


def span(values: Array, held: bool = True) -> tuple[float, float]:
    """Multiples of five around the values, two points of room, within 0–100 unless they are not to be held there."""
    low, high = 5.0 * math.floor(values.min() / 5 - 0.4), 5.0 * math.ceil(values.max() / 5 + 0.4)
    return (max(0.0, low), min(100.0, high)) if held else (low, high)


def binomial_band(n: int, p: Array) -> tuple[Array, Array]:
    """The 2.5 and 97.5 % quantiles of Binomial(n, p) for each p in (0, 1)."""
    k = np.arange(n + 1)
    lgamma = np.array([math.lgamma(i + 1) for i in range(n + 1)])
    log_choose = lgamma[n] - lgamma - lgamma[::-1]
    cdf = np.exp(log_choose + k * np.log(p[:, None]) + (n - k) * np.log1p(-p[:, None])).cumsum(axis=1)
    low, high = ((cdf < level).sum(axis=1).astype(np.float64) for level in (0.025, 0.975))
    return low, high


def percent_axis(*axes: Any) -> None:
    """Write shares from 0 to 1 as per cent."""
    for axis in axes:
        axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
