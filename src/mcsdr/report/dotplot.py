"""The quantile dotplot on a sheet: the HTML page's drawing (`mcsdr.report.svg`) in millimetres.

Every number written is the record's; the dots and the density are the posterior's. x(y) = x₀ + k·y.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mcsdr.posterior import Posterior
from mcsdr.posterior.axes import INK, SOFT
from mcsdr.posterior.categories import CATEGORIES, CUTS, category_of
from mcsdr.posterior.dots import DOTS, quantile_dots, smooth_density
from mcsdr.posterior.svg import Window, window_of
from mcsdr.report import is_two_peaked
from mcsdr.report.sheet import Sheet

HIGHEST, LOWEST = 30.0, 14.0  # mm: of a column of dots, and of the room for them
PALE = "#e9ebed"
MID_EDGE = "#8a5f00"  # orange alone stands out too little from paper
WORDS = {"low": "#a84600", "mid": "#7d5600", "high": "#00639b"}  # the categories' colours, dark enough to read

Place = Callable[[float], float]


def draw_dotplot(
    sheet: Sheet, x: float, y: float, width: float, posterior: Posterior, record: Mapping[str, Any]
) -> float:
    """Fifty dots over the EF axis, so many mm wide, with cut-points, density, median and intervals; returns its end."""
    window, dots = window_of(posterior), quantile_dots(posterior)
    margin = 4.0
    unit = (width - 2 * margin) / (window.high - window.low)

    def at(ef: float) -> float:
        return x + margin + (ef - window.low) * unit

    step = min(dots.width * unit, HIGHEST / (dots.level.max() + 1))
    grid = np.linspace(window.low, window.high, 161)
    density = smooth_density(posterior, grid) * DOTS * dots.width * step  # a column of n dots is n/50 of the belief
    base = y + 9 + max(LOWEST, float((dots.level.max() + 1) * step), float(density.max()))
    places = x + margin + (grid - window.low) * unit
    sheet.shape(np.r_[places[0], places, places[-1]], np.r_[base, base - density, base], PALE)
    _cuts(sheet, at, window, y, base)
    for centre, level in zip(dots.centre, dots.level, strict=True):
        category = category_of(centre)
        edge = MID_EDGE if category.tone == "mid" else None
        sheet.disc(at(centre), base - (level + 0.5) * step, 0.44 * step, category.colour, edge=edge)
    _axis(sheet, at, window, base)
    return _interval(sheet, at, record, base + 9)


def _cuts(sheet: Sheet, at: Place, window: Window, y: float, base: float) -> None:
    bands = ((window.low, 40.0), (40.0, 50.0), (50.0, window.high))
    for band, category in zip(bands, CATEGORIES, strict=True):
        colour = WORDS[category.tone]
        sheet.word(at(sum(band) / 2), y + 2, category.name, 8, bold=True, colour=colour, align="center")
    for cut in CUTS:
        sheet.dashes(at(cut), (y + 7.5, base), colour=SOFT)
        sheet.word(at(cut), y + 6.5, str(cut), 7.5, bold=True, align="center")


def _axis(sheet: Sheet, at: Place, window: Window, base: float) -> None:
    sheet.rule((at(window.low), at(window.high)), (base, base), colour=INK, points=0.7)
    for ef in np.arange(np.ceil(window.low / 10) * 10, window.high + 1, 10):
        sheet.rule((at(ef), at(ef)), (base, base + 1), colour=INK, points=0.7)
        sheet.word(at(ef), base + 4.4, f"{ef:.0f}", 7.5, colour=SOFT, align="center")


def _interval(sheet: Sheet, at: Place, record: Mapping[str, Any], y: float) -> float:
    """90 % thin, 50 % thick, the median a stroke across; no median where two readings fit."""
    (low, high), quantiles = record["interval_90"], record["quantiles"]
    sheet.rule((at(low), at(high)), (y, y), colour=INK, points=1.1)
    sheet.rule((at(quantiles["0.25"]), at(quantiles["0.75"])), (y, y), colour=INK, points=3.6)
    sheet.word(at(low) - 1.2, y + 0.95, f"{low:.0f}", 7.5, align="right")
    sheet.word(at(high) + 1.2, y + 0.95, f"{high:.0f}", 7.5)
    if is_two_peaked(record):
        return y + 2
    median = at(record["median"])
    sheet.rule((median, median), (y - 1.7, y + 1.7), colour=INK, points=1.8)
    sheet.word(median, y + 5.4, f"{record['median']:.0f}", 9, bold=True, align="center")
    return y + 6
