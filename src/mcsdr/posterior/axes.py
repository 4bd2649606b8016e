"""The belief about one study on matplotlib's axes, and the ink that all figures share.

Nothing here imports matplotlib before a figure is asked for, and only `plot` touches its global state, as a notebook
expects.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mcsdr import DISCLAIMER
from mcsdr.posterior.categories import CATEGORIES, CUTS, band_percents, category_of, percent
from mcsdr.posterior.dots import DOTS, quantile_dots, smooth_density
from mcsdr.posterior.told import Told

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mcsdr.posterior.table import Posterior

INK, SOFT, LINE = "#171b20", "#535c66", "#d5dae0"
DASHED, DOTTED = (0, (4, 4)), (0, (1, 1.5))
EF_LABEL = "Ejection fraction (%)"


def plot(posterior: Posterior, ax: Axes | None = None, threshold: float | None = None) -> Axes:
    """The belief on the axes given, or on a figure of its own: see `Posterior.plot`."""
    marked = None if threshold is None else (threshold, float(posterior.prob_below(threshold)))
    if ax is None:
        from matplotlib import pyplot

        figure, ax = pyplot.subplots(figsize=(6.6, 4.6), facecolor="white")
        figure.subplots_adjust(left=0.05, right=0.97, top=0.9, bottom=0.21)
    set_style(ax)
    draw_belief(ax, posterior, within=() if threshold is None else (threshold,))
    set_title(ax, Told.of(posterior).sentence)
    if marked is not None:
        _mark(ax, *marked)
    below: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "center", "va": "top"}
    ax.annotate(DISCLAIMER, (0.5, 0), (0, -38), fontsize=7.5, color=SOFT, **below)
    return ax


def set_style(axes: Axes) -> None:
    """Two spines, small ticks, dark words."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.tick_params(colors=SOFT, labelcolor=INK, labelsize=9)
    axes.xaxis.label.set(color=INK, fontsize=10)
    axes.yaxis.label.set(color=INK, fontsize=10)
    axes.set_axisbelow(True)


def set_title(axes: Axes, text: str, pad: float = 8) -> None:
    """What the panel says, above it on the left."""
    axes.set_title(text, fontsize=11, fontweight="bold", color=INK, loc="left", pad=pad)


def draw_belief(
    axes: Axes, posterior: Posterior, observed: float | None = None, within: tuple[float, ...] = ()
) -> None:
    """Density and 50 dots of the same area, in the colours of the categories; beneath them median and intervals."""
    reach = (*(float(edge) for edge in posterior.interval(0.998)), *within)
    ends = (min(25.0, 5 * math.floor(min(reach) / 5)), max(60.0, 5 * math.ceil(max(reach) / 5)))
    grid = np.linspace(*ends, 401)
    density = smooth_density(posterior, grid)
    top = _dots(axes, posterior, ends, float(density.max()))
    axes.plot(grid, density, color=INK, linewidth=1.4)
    for (left, right), category in zip(((0, 40), (40, 50), (50, 100)), CATEGORIES, strict=True):
        inside = (grid >= left) & (grid <= right)
        axes.fill_between(grid[inside], density[inside], color=category.colour, alpha=0.16, linewidth=0)
    axes.plot(ends, (0, 0), color=INK, linewidth=0.8)
    for cut in CUTS:
        axes.plot([cut, cut], [0, 1.06 * top], color=SOFT, linewidth=0.8, linestyle=DASHED, zorder=0)
    _category_words(axes, posterior, ends)
    _interval(axes, posterior, -0.075 * top)
    axes.set(xlabel=EF_LABEL, yticks=[])
    axes.spines["left"].set_visible(False)
    if observed is not None:
        axes.plot([observed] * 2, [0, 1.06 * top], color=INK, linewidth=1.6, linestyle=DOTTED)
        axes.text(observed, 1.07 * top, "reported", fontsize=8.5, color=INK, ha="center", va="bottom")


def _dots(axes: Axes, posterior: Posterior, ends: tuple[float, float], peak: float) -> float:
    """Draw the dots as circles that touch, set the limits to suit, and return the height of what was drawn."""
    dots = quantile_dots(posterior)
    rise = 1 / (DOTS * dots.width)  # a dot is 2 % of the belief, spread over its column
    top = max(peak, float(dots.level.max() + 1) * rise)
    width, height = 72 * np.array(axes.bbox.size) / axes.figure.dpi  # points
    round_range = height / width * (ends[1] - ends[0]) * rise / dots.width
    bottom = -0.15 * top
    axes.set(xlim=ends, ylim=(bottom, max(1.33 * top, round_range + bottom)))
    lower, upper = axes.get_ylim()
    diameter = 0.92 * min(dots.width * width / (ends[1] - ends[0]), rise * height / (upper - lower))
    colours = [category_of(centre).colour for centre in dots.centre]
    axes.scatter(dots.centre, (dots.level + 0.5) * rise, s=diameter**2, c=colours, linewidths=0, zorder=3)
    return top


def _category_words(axes: Axes, posterior: Posterior, ends: tuple[float, float]) -> None:
    """Name, band and probability of each category, above its stretch of the axis."""
    below_40, below_50 = (float(posterior.prob_below(cut)) for cut in (40, 50))
    middles = ((ends[0] + 40) / 2, 45.0, (50 + ends[1]) / 2)
    for middle, category, share in zip(middles, CATEGORIES, band_percents([below_40, below_50]), strict=True):
        at: dict[str, Any] = {"ha": "center", "va": "top", "transform": axes.get_xaxis_transform(), "color": INK}
        axes.text(middle, 1.0, f"{category.name} {category.band}", fontsize=8.5, **at)
        axes.text(middle, 0.945, share, fontsize=12, fontweight="bold", **at)


def _mark(axes: Axes, threshold: float, share: float) -> None:
    """A cut-point of the reader's own up to the height of the dots, and the probability below it."""
    axes.axvline(threshold, ymax=0.79, color=INK, linewidth=1.4, zorder=2)
    words: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 8.5, "color": INK}
    said = f"P(EF ≤ {threshold:g} %): {percent(share)}"
    axes.text(threshold, 0.795, said, transform=axes.get_xaxis_transform(), **words)


def _interval(axes: Axes, posterior: Posterior, at: float) -> None:
    """90 % thin, 50 % thick, the median a white dot where one reading fits."""
    for level, width in ((0.9, 1.6), (0.5, 6.0)):
        axes.plot(
            list(map(float, posterior.interval(level))), (at, at), color=INK, linewidth=width, solid_capstyle="butt"
        )
    if len(posterior.modes()) == 1:
        axes.plot(posterior.median, at, "o", color="white", markersize=5.5, markeredgecolor=INK, markeredgewidth=1.6)
    for edge, anchor, gap in zip(posterior.interval(0.9), ("right", "left"), (-5, 5), strict=True):
        words: dict[str, Any] = {
            "textcoords": "offset points",
            "ha": anchor,
            "va": "center",
            "fontsize": 9,
            "color": INK,
        }
        axes.annotate(f"{edge:.0f}", (edge, at), (gap, 0), **words)
