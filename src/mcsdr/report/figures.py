"""Figures of an evaluation and of single posteriors, for papers and for the README.

Every function returns a `matplotlib.figure.Figure` of its own and touches no global state. Under calibration the PIT
values u_i = F_i(y_i) are uniform, so that of n values the number in any set of probability p is Binomial(n, p); the
grey bands are its 2.5 to 97.5 % quantiles, each bin or level by itself.
"""

from __future__ import annotations

import io
import math
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike, NDArray

from mcsdr import DISCLAIMER
from mcsdr.files import write_atomically
from mcsdr.metrics import calibration, point
from mcsdr.posterior import Posterior
from mcsdr.report import (
    BLUE,
    CATEGORIES,
    CUTS,
    DOTS,
    SKY,
    VERMILION,
    category_of,
    category_percents,
    quantile_dots,
    smooth_density,
)
from mcsdr.study import Clip

Array = NDArray[np.float64]

INK, SOFT, LINE = "#171b20", "#535c66", "#d5dae0"
EF_LABEL = "Ejection fraction (%)"
DPI = 160


def save_all(
    folder: str | Path,
    *,
    median: ArrayLike,
    ef: ArrayLike,
    low_90: ArrayLike,
    high_90: ArrayLike,
    pit: ArrayLike,
    footer: str = "",
) -> list[Path]:
    """Write the figures of an evaluation as PNG and return where they are.

    Arguments:
        folder: an existing folder.
        median, ef, low_90, high_90: medians, reported EF and 90 % intervals in EF %, [B].
        pit: F_i(y_i), [B].
        footer: what must stand under every figure; by default that this is for research only.
    """
    figures = {
        "predicted_against_true": predicted_against_true(median, ef, low_90, high_90, footer=footer or DISCLAIMER),
        "pit_histogram": pit_histogram(pit, footer=footer or DISCLAIMER),
        "reliability": reliability(pit, footer=footer or DISCLAIMER),
    }
    paths = [Path(folder) / f"{name}.png" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        save(path, figure)
    return paths


def save(path: str | Path, figure: Figure) -> None:
    """Write one figure as PNG, in one piece, the same bytes for the same figure."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    write_atomically(Path(path), buffer.getvalue())


# --- a cohort --------------------------------------------------------------------------------------------------------


def predicted_against_true(
    median: ArrayLike, observed: ArrayLike, lower: ArrayLike, upper: ArrayLike, *, footer: str = DISCLAIMER
) -> Figure:
    """Medians [B] against reported EF [B], each with its 90 % interval; all in EF %."""
    m, y, low, high = (np.asarray(x, dtype=np.float64) for x in (median, observed, lower, upper))
    inside = (low <= y) & (y <= high)
    figure, axes = _figure(5.6, 5.9, footer)
    faint = float(np.clip(75 / len(y), 0.06, 0.5))
    for chosen, colour, name in ((inside, BLUE, "inside"), (~inside, VERMILION, "outside")):
        segments = np.stack([np.column_stack([y, low]), np.column_stack([y, high])], axis=1)[chosen]
        axes.add_collection(LineCollection(list(segments), colors=colour, linewidths=0.8, alpha=faint))
        label = f"reported EF {name} the 90 % interval ({100 * chosen.mean():.1f} %)"
        axes.scatter(y[chosen], m[chosen], s=13, color=colour, alpha=0.8, linewidths=0, zorder=3, label=label)
    ends = _span(np.concatenate([m, y, low, high]))
    axes.plot(ends, ends, color=INK, linewidth=1, zorder=1)
    axes.set(xlim=ends, ylim=ends, aspect="equal", xlabel="Reported ejection fraction (%)")
    axes.set_ylabel("Median of the posterior (%), with 90 % interval")
    for cut in (40, 50):
        axes.axhline(cut, color=SOFT, linewidth=0.6, linestyle=(0, (4, 4)), zorder=0)
        axes.axvline(cut, color=SOFT, linewidth=0.6, linestyle=(0, (4, 4)), zorder=0)
    _title(axes, f"MAE {point.mae(m, y):.2f} points over {len(y)} studies")
    _legend(axes, loc="upper left", markerscale=1.6)
    return figure


def pit_histogram(pit: ArrayLike, *, bins: int = 20, footer: str = DISCLAIMER) -> Figure:
    """How often the reported EF fell into each twentieth of its posterior; flat if calibrated."""
    u = np.asarray(pit, dtype=np.float64)
    share = np.histogram(u, bins=bins, range=(0, 1))[0] / len(u)
    low, high = (edge / len(u) for edge in _binomial_band(len(u), np.array([1 / bins])))
    figure, axes = _figure(6.2, 4.3, footer)
    edges = np.linspace(0, 1, bins + 1)
    axes.bar(edges[:-1], share, width=1 / bins, align="edge", color=SKY, edgecolor="white", linewidth=0.8)
    axes.axhspan(low[0], high[0], color=LINE, alpha=0.6, linewidth=0, zorder=0, label="95 % band of a uniform sample")
    for edge in (low[0], high[0]):
        axes.axhline(edge, color=INK, linewidth=0.9, linestyle=(0, (4, 4)))
    axes.axhline(1 / bins, color=INK, linewidth=1.2)
    axes.set(xlim=(0, 1), ylim=(0, 1.3 * max(float(share.max()), float(high[0]))))
    axes.set(xlabel="PIT: share of the belief below the reported EF", ylabel="Share of studies")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    _title(axes, f"PIT of {len(u)} studies; KS distance {calibration.pit_ks(u):.3f}")
    _legend(axes, loc="upper right")
    return figure


def reliability(pit: ArrayLike, *, footer: str = DISCLAIMER) -> Figure:
    """Observed against nominal coverage of the central intervals."""
    u = np.asarray(pit, dtype=np.float64)
    levels = np.linspace(0.01, 0.99, 99)
    observed = calibration.coverage(u, levels)
    low, high = (edge / len(u) for edge in _binomial_band(len(u), levels))
    figure, axes = _figure(5.2, 5.4, footer)
    axes.fill_between(levels, low, high, color=LINE, alpha=0.8, linewidth=0, label="95 % band if calibrated")
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1)
    axes.plot(levels, observed, color=BLUE, linewidth=2.2, label="observed")
    marked = np.array([0.5, 0.8, 0.9])
    covered = calibration.coverage(u, marked)
    axes.plot(marked, covered, "o", color=BLUE, markersize=6, markeredgecolor="white")
    rows = [f"{100 * level:.0f} % interval holds {100 * c:.1f} %" for level, c in zip(marked, covered, strict=True)]
    axes.text(0.97, 0.04, "\n".join(rows), ha="right", va="bottom", fontsize=9, color=INK, linespacing=1.5)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set(xlabel="Nominal coverage of the central interval", ylabel="Share of reported EF inside")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    _title(axes, f"Reliability of {len(u)} studies")
    _legend(axes, loc="upper left")
    return figure


# --- one study -------------------------------------------------------------------------------------------------------


def trajectories(posterior: Posterior, *, observed: float | None = None, footer: str = DISCLAIMER) -> Figure:
    """How the sampler settles: noise on the left, every state over the angle, the posterior on the right.

    Raises:
        ValueError: the posterior is of a batch, or its trajectories were not kept.
    """
    if posterior.trajectories is None or not posterior.single:
        raise ValueError("trajectories are shown for one study whose states were kept")
    states = posterior.trajectories[:, 0]
    start = Posterior.from_draws(states[0]) if posterior.draws else Posterior.from_nodes(posterior.z[0], states[0])
    figure, panels = _panels(10.4, 4.6, footer, (1, 3.4, 1))
    left, middle, right = panels
    ends = _span(np.append(states, states if observed is None else observed))
    _violin(left, start, states[0], ends, SKY)
    _violin(right, posterior, states[-1], ends, BLUE)
    _paths(middle, posterior, states)
    for axes, title in zip(panels, ("Noise", "How the sampler settles; not evidence", "Settled"), strict=True):
        _title(axes, title)
        axes.set_ylim(ends)
        if observed is not None:
            axes.axhline(observed, color=VERMILION, linewidth=1.6, linestyle=(0, (5, 3)), label="reported EF")
    _legend(middle, loc="lower right", bbox_to_anchor=(1, 0.985), ncols=2)
    left.set_ylabel(EF_LABEL)
    for axes in (middle, right):
        axes.tick_params(labelleft=False, left=False)
        axes.spines["left"].set_visible(False)
    return figure


def posterior_density(posterior: Posterior, observed: float | None = None, *, footer: str = DISCLAIMER) -> Figure:
    """The density of one study with the 50 dots, median, 90 % interval and cut-points."""
    figure, axes = _figure(6.6, 4.9, footer)
    _belief(axes, posterior, observed)
    _title(axes, _words(posterior))
    return figure


def readme_picture(
    posterior: Posterior, clip: Clip, *, observed: float | None = None, footer: str = DISCLAIMER
) -> Figure:
    """A frame of the clip on the left, what is believed of its ejection fraction on the right."""
    figure = Figure(figsize=(11.6, 5.4), facecolor="white")
    grid = figure.add_gridspec(1, 2, width_ratios=(1, 1.7), left=0.02, right=0.98, top=0.86, bottom=0.16, wspace=0.07)
    picture, axes = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    picture.imshow(clip.frames[len(clip.frames) // 2], cmap="gray", vmin=0, vmax=255, interpolation="bicubic")
    picture.set_axis_off()
    _style(axes)
    _belief(axes, posterior, observed)
    picture.set_anchor("NW")
    left, start = 0.02, axes.get_position().x0
    figure.text(left, 0.915, "A clip goes in,", fontsize=16, fontweight="bold", color=INK)
    figure.text(start, 0.915, "a posterior comes out", fontsize=16, fontweight="bold", color=INK)
    figure.text(0.98, 0.915, _words(posterior), fontsize=10.5, color=INK, ha="right")
    about = f"{len(clip.frames)} frames in {clip.duration_s:.1f} s"
    figure.text(left, 0.025, about, fontsize=8, color=SOFT)
    figure.text(0.98, 0.025, footer, fontsize=8, color=SOFT, ha="right")
    return figure


# --- parts -----------------------------------------------------------------------------------------------------------


def _belief(axes: Axes, posterior: Posterior, observed: float | None) -> None:
    """Density and 50 dots of the same area, in the colours of the categories; beneath them median and intervals."""
    low, high = posterior.interval(0.998)
    ends = (min(25.0, 5 * math.floor(low / 5)), max(60.0, 5 * math.ceil(high / 5)))
    grid = np.linspace(*ends, 401)
    density = smooth_density(posterior, grid)
    top = _dots(axes, posterior, ends, float(density.max()))
    axes.plot(grid, density, color=INK, linewidth=1.4)
    for (left, right), category in zip(((0, 40), (40, 50), (50, 100)), CATEGORIES, strict=True):
        inside = (grid >= left) & (grid <= right)
        axes.fill_between(grid[inside], density[inside], color=category.colour, alpha=0.16, linewidth=0)
    axes.plot(ends, (0, 0), color=INK, linewidth=0.8)
    for cut in CUTS:
        axes.plot([cut, cut], [0, 1.06 * top], color=SOFT, linewidth=0.8, linestyle=(0, (4, 4)), zorder=0)
    _category_words(axes, posterior, ends)
    _interval(axes, posterior, -0.075 * top)
    axes.set(xlabel=EF_LABEL, yticks=[])
    axes.spines["left"].set_visible(False)
    if observed is not None:
        axes.plot([observed] * 2, [0, 1.06 * top], color=INK, linewidth=1.6, linestyle=(0, (1, 1.5)))
        axes.text(observed, 1.07 * top, "reported", fontsize=8.5, color=INK, ha="center", va="bottom")


def _words(posterior: Posterior) -> str:
    low, high = posterior.interval(0.9)
    peaks: list[Any] = posterior.modes()
    places = " or ".join(f"{peak.location:.0f}" for peak in peaks)
    middle = f"two readings fit, {places} %" if len(peaks) > 1 else f"median {posterior.median:.0f} %"
    return f"{middle[0].upper()}{middle[1:]}; 90 % interval {low:.0f} to {high:.0f} %"


def _dots(axes: Axes, posterior: Posterior, ends: tuple[float, float], peak: float) -> float:
    """Draw the dots as circles that touch, set the limits to suit, and return the height of what was drawn."""
    dots = quantile_dots(posterior)
    rise = 1 / (DOTS * dots.width)  # a dot is 2 % of the belief, spread over its column
    top = max(peak, float(dots.level.max() + 1) * rise)
    assert isinstance(axes.figure, Figure)
    width, height = axes.get_position().size * axes.figure.get_size_inches() * 72  # points
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
    prob = {"<=40": below_40, "40-50": below_50 - below_40, ">=50": 1 - below_50}
    middles = ((ends[0] + 40) / 2, 45.0, (50 + ends[1]) / 2)
    for middle, category, share in zip(middles, CATEGORIES, category_percents(prob), strict=True):
        at: dict[str, Any] = {"ha": "center", "va": "top", "transform": axes.get_xaxis_transform(), "color": INK}
        axes.text(middle, 1.0, f"{category.name} {category.band}", fontsize=8.5, **at)
        axes.text(middle, 0.945, share, fontsize=12, fontweight="bold", **at)


def _interval(axes: Axes, posterior: Posterior, at: float) -> None:
    """90 % thin, 50 % thick, the median a white dot where one reading fits."""
    for level, width in ((0.9, 1.6), (0.5, 6.0)):
        axes.plot(posterior.interval(level), (at, at), color=INK, linewidth=width, solid_capstyle="butt")
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


def _violin(axes: Axes, posterior: Posterior, states: Array, ends: tuple[float, float], colour: str) -> None:
    """The density of EF, mirrored, with the paths' places in it."""
    grid = np.linspace(*ends, 300)
    half = smooth_density(posterior, grid)
    half /= half.max()
    axes.fill_betweenx(grid, -half, half, color=colour, alpha=0.3, linewidth=0)
    axes.plot(np.concatenate([half, -half[::-1]]), np.concatenate([grid, grid[::-1]]), color=colour, linewidth=1)
    axes.plot(np.zeros_like(states), states, "o", color=BLUE, markersize=4, markeredgewidth=0)
    axes.set(xlim=(-1.25, 1.25), xticks=[], xlabel=f"{len(states)} paths")


def _paths(axes: Axes, posterior: Posterior, states: Array) -> None:
    """Every path over the angle, coloured by where it started; the one that ends nearest the median is bold."""
    angles = np.linspace(np.pi / 2, 0, len(states)) if posterior.angles is None else posterior.angles
    rank = states[0].argsort().argsort() / max(1, states.shape[1] - 1)
    lines = [np.column_stack([angles, path]) for path in states.T]
    axes.add_collection(LineCollection(lines, array=0.9 * rank, cmap="cividis", clim=(0, 1), linewidths=1.2))
    median = int(np.argmin(np.abs(states[-1] - posterior.median)))
    axes.plot(
        angles,
        states[:, median],
        color=INK,
        linewidth=2.4,
        marker="o",
        markersize=4,
        clip_on=False,
        label="median path",
    )
    axes.set(xlim=(angles[0], 0), xlabel="Angle θ that is left", xticks=np.linspace(np.pi / 2, 0, 5))
    axes.set_xticklabels(["π/2", "3π/8", "π/4", "π/8", "0"])
    axes.grid(axis="y", color=LINE, linewidth=0.7)


def _binomial_band(n: int, p: Array) -> tuple[Array, Array]:
    """The 2.5 and 97.5 % quantiles of Binomial(n, p) for each p in (0, 1)."""
    k = np.arange(n + 1)
    lgamma = np.array([math.lgamma(i + 1) for i in range(n + 1)])
    log_choose = lgamma[n] - lgamma - lgamma[::-1]
    cdf = np.exp(log_choose + k * np.log(p[:, None]) + (n - k) * np.log1p(-p[:, None])).cumsum(axis=1)
    low, high = ((cdf < level).sum(axis=1).astype(np.float64) for level in (0.025, 0.975))
    return low, high


def _figure(width: float, height: float, footer: str) -> tuple[Figure, Axes]:
    figure, (axes,) = _panels(width, height, footer, (1,))
    return figure, axes


def _panels(width: float, height: float, footer: str, ratios: tuple[float, ...]) -> tuple[Figure, list[Axes]]:
    """A figure with panels side by side, its margins in inches and the footer at its foot."""
    figure = Figure(figsize=(width, height), facecolor="white")
    margins = {"left": 0.72 / width, "right": 1 - 0.22 / width, "bottom": 0.92 / height, "top": 1 - 0.45 / height}
    grid = figure.add_gridspec(1, len(ratios), width_ratios=ratios, wspace=0.05, **margins)
    panels = [figure.add_subplot(grid[column]) for column in range(len(ratios))]
    for axes in panels:
        _style(axes)
    wrapped = textwrap.fill(footer, round(15 * width))
    figure.text(0.5, 0.1 / height, wrapped, ha="center", va="bottom", fontsize=7.5, color=SOFT)
    return figure, panels


def _style(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(SOFT)
    axes.tick_params(colors=SOFT, labelcolor=INK, labelsize=9)
    axes.xaxis.label.set(color=INK, fontsize=10)
    axes.yaxis.label.set(color=INK, fontsize=10)
    axes.set_axisbelow(True)


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, fontsize=11, fontweight="bold", color=INK, loc="left", pad=8)


def _legend(axes: Axes, **where: Any) -> None:
    axes.legend(fontsize=8.5, labelcolor=INK, facecolor="white", framealpha=0.85, edgecolor="none", **where)


def _span(values: Array) -> tuple[float, float]:
    """Multiples of five around the values, two points of room, within 0–100."""
    return max(0.0, 5 * math.floor(values.min() / 5 - 0.4)), min(100.0, 5 * math.ceil(values.max() / 5 + 0.4))
