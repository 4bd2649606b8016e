"""Figures of single posteriors: how the sampler settles, what is believed of one study, and of several.

The posterior of a quantile table is drawn from its table, that of iid draws smoothed (`mcsdr.posterior.dots`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mcsdr import DISCLAIMER
from mcsdr.posterior import Posterior
from mcsdr.posterior.axes import DASHED, EF_LABEL, INK, LINE, SOFT, draw_belief, set_style, set_title
from mcsdr.posterior.categories import BLUE, SKY, VERMILION
from mcsdr.posterior.dots import smooth_density
from mcsdr.posterior.told import Told
from mcsdr.report.drawing import add_legend, one_panel, panels_beside, span
from mcsdr.study import Clip

Array = NDArray[np.float64]


class Case(NamedTuple):
    """One study to draw: its name, its posterior, its reported EF in %, and its rank by |error|, 0 to 1."""

    study_id: str
    posterior: Posterior
    observed: float
    rank: float


def trajectories(posterior: Posterior, *, observed: float | None = None, footer: str = DISCLAIMER) -> Figure:
    """How belief forms: the prior on the left, every state over the angle, the posterior on the right.

    Of iid draws in raw per cent, as the MCSDR paper's, noise is on the left, and no path is cut off at 0 or 100.

    Raises:
        ValueError: the posterior is of a batch, or its trajectories were not kept.
    """
    if posterior.trajectories is None or not posterior.single:
        raise ValueError("trajectories are shown for one study whose states were kept")
    states = posterior.trajectories[:, 0]
    beliefs = [Posterior.from_draws(y) if posterior.draws else Posterior.from_nodes(posterior.z[0], y) for y in states]
    figure, panels = panels_beside(10.4, 4.6, footer, (1, 3.4, 1))
    left, middle, right = panels
    tails = [float(edge) for belief in (beliefs[0], posterior) for edge in belief.interval(0.99)]
    reach = np.concatenate([states.ravel(), tails, [] if observed is None else [observed]])
    ends = span(reach, held=posterior.raw is None)
    _violin(left, beliefs[0], states[0], ends, SKY)
    _violin(right, posterior, states[-1], ends, BLUE)
    _paths(middle, posterior, beliefs, states)
    words = ("Noise", "How the draws settle; not evidence", "Settled")
    if posterior.raw is None:
        words = ("Prior", "How belief forms in the sampler; not evidence", "Posterior")
    for axes, text in zip(panels, words, strict=True):
        set_title(axes, text)
        axes.set_ylim(ends)
        if observed is not None:
            axes.axhline(observed, color=VERMILION, linewidth=1.6, linestyle=(0, (5, 3)), label="reported EF")
    add_legend(middle, loc="upper right", bbox_to_anchor=(1.01, -0.075), ncols=3)
    left.set_ylabel(EF_LABEL)
    for axes in (middle, right):
        axes.tick_params(labelleft=False, left=False)
        axes.spines["left"].set_visible(False)
    return figure


def posterior_density(posterior: Posterior, observed: float | None = None, *, footer: str = DISCLAIMER) -> Figure:
    """The density of one study with the 50 dots, median, 90 % interval and cut-points."""
    figure, axes = one_panel(6.6, 4.9, footer)
    draw_belief(axes, posterior, observed)
    set_title(axes, Told.of(posterior).sentence)
    return figure


def case_densities(cases: Sequence[Case], *, footer: str = DISCLAIMER) -> Figure:
    """The density of several studies with the posterior's mean and the reported EF, one small panel each."""
    columns = min(3, len(cases))
    rows = math.ceil(len(cases) / columns)
    size = (0.94 + 3.2 * columns, 1.6 + 2.5 * rows)
    spacing = {"left": 0.3, "top": 0.72, "wspace": 0.1, "hspace": 0.45}
    rule = f"Studies at even ranks of |prediction − reported EF|. {footer}"
    figure, panels = panels_beside(*size, rule, (1,) * columns, rows, **spacing)
    reach = [edge for case in cases for edge in (*case.posterior.interval(0.998), case.observed)]
    grid = np.linspace(*span(np.array(reach)), 401)
    for axes, case in zip(panels, cases, strict=False):
        _case(axes, case, grid)
        axes.set_xlabel(EF_LABEL if case in cases[-columns:] else "")
    for axes in panels[len(cases) :]:
        axes.set_axis_off()
    lines, names = panels[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="upper center", ncols=4, fontsize=8.5, labelcolor=INK, frameon=False)
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
    set_style(axes)
    draw_belief(axes, posterior, observed)
    picture.set_anchor("NW")
    left, start = 0.02, axes.get_position().x0
    figure.text(left, 0.915, "A clip goes in,", fontsize=16, fontweight="bold", color=INK)
    figure.text(start, 0.915, "a posterior comes out", fontsize=16, fontweight="bold", color=INK)
    figure.text(0.98, 0.915, Told.of(posterior).sentence, fontsize=10.5, color=INK, ha="right")
    about = f"{len(clip.frames)} frames in {clip.duration_s:.1f} s"
    figure.text(left, 0.025, about, fontsize=8, color=SOFT)
    figure.text(0.98, 0.025, footer, fontsize=8, color=SOFT, ha="right")
    return figure


def _case(axes: Axes, case: Case, grid: Array) -> None:
    """One density over a grid shared by all panels; its error and rank in the title."""
    density, mean = smooth_density(case.posterior, grid), float(case.posterior.mean)
    low, high = case.posterior.interval(0.9)
    inside = (grid >= low) & (grid <= high)
    axes.plot(grid, density, color=BLUE, linewidth=1.6, label="posterior")
    axes.fill_between(grid[inside], density[inside], color=SKY, alpha=0.4, linewidth=0, label="90 % interval")
    axes.axvline(mean, color=INK, linewidth=1.5, label="mean of the posterior")
    axes.axvline(case.observed, color=VERMILION, linewidth=1.8, linestyle=(0, (5, 3)), label="reported EF")
    axes.set(xlim=(grid[0], grid[-1]), ylim=(0, 1.08 * float(density.max())), yticks=[])
    axes.spines["left"].set_visible(False)
    name = case.study_id if len(case.study_id) <= 34 else f"{case.study_id[:33]}…"
    rank = {0.0: "least error", 1.0: "greatest error"}.get(case.rank, f"error rank {100 * case.rank:.0f} %")
    words = f"{name}\n{rank}; mean {mean:.0f}, reported {case.observed:.0f}"
    axes.set_title(words, fontsize=9, color=INK, loc="left", pad=5, parse_math=False)


def _violin(axes: Axes, posterior: Posterior, states: Array, ends: tuple[float, float], colour: str) -> None:
    """The density of EF, mirrored, with the paths' places in it."""
    grid = np.linspace(*ends, 300)
    half = smooth_density(posterior, grid)
    half /= half.max()
    axes.fill_betweenx(grid, -half, half, color=colour, alpha=0.3, linewidth=0)
    axes.plot(np.concatenate([half, -half[::-1]]), np.concatenate([grid, grid[::-1]]), color=colour, linewidth=1)
    axes.plot(np.zeros_like(states), states, "o", color=BLUE, markersize=4, markeredgewidth=0)
    axes.set(xlim=(-1.25, 1.25), xticks=[], xlabel=f"{len(states)} paths")


def _paths(axes: Axes, posterior: Posterior, beliefs: Sequence[Posterior], states: Array) -> None:
    """Every path over the angle, coloured by where it started, and the mean ± SD of the beliefs that they carry."""
    angles = np.linspace(np.pi / 2, 0, len(states)) if posterior.angles is None else posterior.angles
    rank = states[0].argsort().argsort() / max(1, states.shape[1] - 1)
    lines = [np.column_stack([angles, path]) for path in states.T]
    axes.add_collection(LineCollection(lines, array=0.9 * rank, cmap="cividis", clim=(0, 1), linewidths=1, alpha=0.75))
    mean, sd = (np.array([getattr(belief, name) for belief in beliefs]) for name in ("mean", "sd"))
    axes.fill_between(angles, mean - sd, mean + sd, color=SKY, alpha=0.35, linewidth=0, zorder=0.5, label="mean ± SD")
    for edge in (mean - sd, mean + sd):
        axes.plot(angles, edge, color=BLUE, linewidth=0.9, linestyle=DASHED)
    axes.plot(angles, mean, color=INK, linewidth=2.4, marker="o", markersize=4, clip_on=False, label="mean")
    axes.set(xlim=(angles[0], 0), xticks=np.linspace(np.pi / 2, 0, 5))
    axes.set_xlabel("Angle θ that is left", loc="left")
    axes.set_xticklabels(["π/2", "3π/8", "π/4", "π/8", "0"])
    axes.grid(axis="y", color=LINE, linewidth=0.7)
