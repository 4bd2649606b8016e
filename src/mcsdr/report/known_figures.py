"""Figures of posteriors that are known exactly: what was answered over what is exact. All of them say SYNTHETIC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from mcsdr import DISCLAIMER
from mcsdr.diffusion.closed_form import GaussianMixture
from mcsdr.posterior import Posterior
from mcsdr.posterior.axes import EF_LABEL, INK, SOFT
from mcsdr.posterior.categories import BLUE, ORANGE, SKY
from mcsdr.posterior.dots import smooth_density
from mcsdr.report.drawing import add_legend, one_panel, panels_beside, percent_axis

Array = NDArray[np.float64]

ON_ITS_FACE = "SYNTHETIC"
FOOTER = f"Measured on synthetic phantoms whose posterior is known exactly. {DISCLAIMER}"
BINS = 10


class Example(NamedTuple):
    """One study: what the model answers, what is exact (one row), and the distance between the two in exact SDs."""

    posterior: Posterior
    exact: GaussianMixture
    w1: float


def weight_curve(weight: ArrayLike, exact_weight: ArrayLike, *, footer: str = FOOTER) -> Figure:
    """Predicted against exact probability of the lower reading [B], study by study and by tenths.

    Studies whose weight is NaN, since their two readings cannot be told apart, are left out and counted.
    """
    predicted, exact = (np.asarray(x, dtype=np.float64) for x in (weight, exact_weight))
    told_apart = np.isfinite(exact) & np.isfinite(predicted)
    predicted, exact = predicted[told_apart], exact[told_apart]
    figure, axes = one_panel(5.4, 5.9, footer)
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1, zorder=1)
    dots = float(np.clip(100 / max(1, len(exact)), 0.12, 0.6))
    axes.scatter(exact, predicted, s=11, color=SKY, alpha=dots, linewidths=0, label="one study")
    centres, means, sds = _by_tenths(exact, predicted)
    axes.errorbar(centres, means, sds, fmt="o", color=BLUE, markersize=6, linewidth=1.6, label="mean ± SD of a tenth")
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set(xlabel="Exact probability of the lower reading", ylabel="Probability that the model gives it")
    percent_axis(axes.xaxis, axes.yaxis)
    error = f"{np.abs(predicted - exact).mean():.3f}" if len(exact) else "–"
    left_out = f" ({np.sum(~told_apart):,} not told apart)" if not told_apart.all() else ""
    _title(axes, f"{len(exact):,} studies{left_out}; mean error {error}")
    add_legend(axes, loc="upper left")
    return figure


def densities(examples: Mapping[str, Sequence[Example]], *, footer: str = FOOTER) -> Figure:
    """A row of studies for every kind of phantom: the density that the model answers over the exact one."""
    columns = max(map(len, examples.values()))
    width, height = 2.3 * columns + 1.0, 1.55 * len(examples) + 1.6
    spacing = {"left": 0.35, "top": 0.75, "wspace": 0.12, "hspace": 0.75}
    figure, panels = panels_beside(width, height, footer, (1.0,) * columns, len(examples), **spacing)
    for row, (kind, studies) in enumerate(examples.items()):
        of_kind = panels[row * columns : (row + 1) * columns]
        for axes, example in zip(of_kind, studies, strict=False):
            _draw_densities(axes, example)
        for axes in of_kind[len(studies) :]:
            axes.set_axis_off()
        of_kind[0].set_title(kind, fontsize=10, fontweight="bold", color=INK, loc="left", pad=6)
    for axes in panels[-columns:]:
        axes.set_xlabel(EF_LABEL, fontsize=9)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper right", fontsize=8.5, frameon=False, ncols=2)
    figure.text(0.35 / width, 1 - 0.28 / height, ON_ITS_FACE, fontsize=11, fontweight="bold", color=ORANGE)
    return figure


def _draw_densities(axes: Axes, example: Example) -> None:
    mean, sd = float(example.exact.mean), float(example.exact.sd)
    grid = np.linspace(max(0.0, mean - 4 * sd), min(100.0, mean + 4 * sd), 400)
    exact = _smoothed(example.exact, grid)
    axes.fill_between(grid, exact, color=SOFT, alpha=0.3, linewidth=0, label="exact")
    model = smooth_density(example.posterior, grid)
    axes.plot(grid, model, color=BLUE, linewidth=1.6, label="model")
    axes.set(xlim=(grid[0], grid[-1]), ylim=(0, 1.25 * max(exact.max(), model.max())), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.text(0.99, 0.97, f"W1 {example.w1:.2f} SD", transform=axes.transAxes, ha="right", va="top", fontsize=7.5)


def _smoothed(exact: GaussianMixture, grid: Array) -> Array:
    """The mean density within one point, as `smooth_density` of a table."""
    F = [exact.cdf(torch.from_numpy(grid + shift)[None])[0].numpy() for shift in (1, -1)]
    return np.asarray((F[0] - F[1]) / 2)


def _by_tenths(exact: Array, predicted: Array) -> tuple[Array, Array, Array]:
    """Mean exact weight, mean and SD of the predicted one in every tenth that holds any."""
    member = np.clip((exact * BINS).astype(np.int64), 0, BINS - 1)
    filled = [k for k in range(BINS) if (member == k).any()]
    parts = [(exact[member == k], predicted[member == k]) for k in filled]
    rows = np.array([(x.mean(), y.mean(), y.std()) for x, y in parts]).reshape(-1, 3)
    return rows[:, 0], rows[:, 1], rows[:, 2]


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, fontsize=10, color=INK, loc="left", pad=8)
    axes.text(
        0.98, 0.03, ON_ITS_FACE, transform=axes.transAxes, ha="right", fontsize=11, fontweight="bold", color=ORANGE
    )
