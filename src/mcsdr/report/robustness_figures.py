"""Figures of robustness: accuracy and honesty as clips get worse, and what the worse clips look like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from mcsdr import DISCLAIMER
from mcsdr.posterior.axes import DASHED, DOTTED, INK, SOFT
from mcsdr.posterior.categories import BLUE, ORANGE, VERMILION
from mcsdr.report.drawing import panels_beside

Array = NDArray[np.float64]

COLUMNS = 5
NOMINAL, BAR = 0.9, 0.85
ON_ITS_FACE = "SYNTHETIC"
MAE_LINE: dict[str, Any] = {"marker": "o", "markersize": 4, "linewidth": 1.6}
COVERAGE_LINE: dict[str, Any] = {"marker": "s", "markersize": 3.5, "linewidth": 1.4, "linestyle": "--"}


def severity_curves(names: Sequence[str], mae: Array, coverage: Array, synthetic: bool = True) -> Figure:
    """A panel for each corruption, and one for their mean: MAE (left scale) and coverage (right scale) by severity.

    Arguments:
        names: of the corruptions.
        mae: EF points, [C, 6], severity 0 first.
        coverage: of the 90 % interval, a share, [C, 6].
        synthetic: whether it was measured on phantoms; said on its face.
    """
    titles = [*names, "all together"]
    mae, coverage = (np.vstack([rows, rows.mean(axis=0)]) for rows in (mae, coverage))
    rows = -(-len(titles) // COLUMNS)
    width, height = 11.0, 2.05 * rows + 1.75
    spacing = {"left": 0.7, "right": 0.8, "top": 0.95, "bottom": 1.0, "wspace": 0.12, "hspace": 0.42}
    figure, panels = panels_beside(width, height, _footer(synthetic), (1.0,) * COLUMNS, rows, **spacing)
    top = 1.08 * float(mae.max())
    for place, axes in enumerate(panels):
        if place >= len(titles):
            axes.set_axis_off()
            continue
        right = _draw_panel(axes, mae[place], coverage[place], top)
        axes.set_title(titles[place], fontsize=9.5, fontweight="bold", color=INK, loc="left", pad=4)
        column, last = place % COLUMNS, place + COLUMNS >= len(titles)
        axes.tick_params(labelleft=column == 0, labelbottom=last)
        right.tick_params(labelright=column == COLUMNS - 1)
        if last:
            axes.set_xlabel("severity", fontsize=9)
    _label(figure, width, height, synthetic)
    return figure


def contact_sheet(
    names: Sequence[str], pictures: Sequence[Sequence[NDArray[np.uint8]]], synthetic: bool = True
) -> Figure:
    """One clip at every severity of every corruption, in two blocks, stills of equal size uint8 [H, W]."""
    levels = len(pictures[0])
    half = -(-len(names) // 2)
    height, width = pictures[0][0].shape
    inch = 0.95
    across, down = 2 * levels * inch + 2.7, half * inch * height / width + 1.6
    spacing = {"left": 1.15, "right": 0.15, "top": 0.75, "bottom": 0.75, "wspace": 0.22}
    figure, blocks = panels_beside(across, down, _footer(synthetic, STILLS), (1.0, 1.0), 1, **spacing)
    for axes, start in zip(blocks, (0, half), strict=True):
        shown = pictures[start : start + half]
        sheet = np.full((half * height, levels * width), 255, dtype=np.uint8)
        sheet[: len(shown) * height] = np.vstack([np.hstack(list(row)) for row in shown])
        axes.imshow(sheet, cmap="gray", vmin=0, vmax=255, aspect="equal")
        axes.spines[:].set_visible(False)
        axes.set_yticks((np.arange(len(shown)) + 0.5) * height, names[start : start + half], fontsize=9)
        axes.set_xticks((np.arange(levels) + 0.5) * width, ["as it is", *map(str, range(1, levels))], fontsize=9)
        axes.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    if synthetic:
        _say_synthetic(figure, across, down)
    return figure


STILLS = "Stills; of dropped frames the nearest in time that is left."


def _draw_panel(axes: Axes, mae: Array, coverage: Array, top: float) -> Axes:
    """Both curves; returns the axes of coverage."""
    severity = np.arange(len(mae))
    axes.plot(severity, mae, color=BLUE, **MAE_LINE)
    axes.set(xlim=(-0.3, len(mae) - 0.7), ylim=(0, top), xticks=severity)
    axes.tick_params(axis="y", labelcolor=BLUE, labelsize=8.5)
    axes.tick_params(axis="x", labelsize=8.5)
    right = axes.twinx()
    right.axhline(100 * NOMINAL, color=SOFT, linewidth=0.8, linestyle=DASHED)
    right.axhline(100 * BAR, color=SOFT, linewidth=0.8, linestyle=DOTTED)
    right.plot(severity, 100 * coverage, color=VERMILION, **COVERAGE_LINE)
    right.set(ylim=(0, 104))
    right.tick_params(axis="y", labelcolor=VERMILION, color=SOFT, labelsize=8.5)
    right.spines[["top", "left"]].set_visible(False)
    right.spines["right"].set_color(SOFT)
    return right


def _label(figure: Figure, width: float, height: float, synthetic: bool) -> None:
    """What the colours and the two scales mean, once for all panels."""
    middle = (height + 0.05) / 2 / height
    figure.text(0.16 / width, middle, "MAE (EF points)", rotation=90, va="center", color=BLUE, fontsize=10)
    label = "coverage of the 90 % interval (%)"
    figure.text(1 - 0.3 / width, middle, label, rotation=270, va="center", color=VERMILION, fontsize=10)
    key = [
        Line2D([], [], color=BLUE, label="MAE of the median (left)", **MAE_LINE),
        Line2D([], [], color=VERMILION, label="coverage (right)", **COVERAGE_LINE),
        Line2D([], [], color=SOFT, linewidth=0.8, linestyle=DASHED, label="90 %"),
        Line2D([], [], color=SOFT, linewidth=0.8, linestyle=DOTTED, label="85 %"),
    ]
    place: dict[str, Any] = {
        "loc": "center",
        "bbox_to_anchor": (0.5, 1 - 0.32 / height),
        "ncols": len(key),
        "frameon": False,
    }
    figure.legend(handles=key, fontsize=9.5, labelcolor=INK, **place)
    if synthetic:
        _say_synthetic(figure, width, height)


def _say_synthetic(figure: Figure, width: float, height: float) -> None:
    place = (0.25 / width, 1 - 0.32 / height)
    figure.text(*place, ON_ITS_FACE, fontsize=11, fontweight="bold", color=ORANGE, va="center")


def _footer(synthetic: bool, text: str = "All clips, those that would be refused included.") -> str:
    origin = "Synthetic phantoms, no patient. " if synthetic else ""
    return f"{text} {origin}{DISCLAIMER}"
