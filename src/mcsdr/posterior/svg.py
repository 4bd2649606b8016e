"""The dotplot as inline SVG whose colours come from the style around it, so that they follow light, dark and print.

A drawing is 480 units wide and scales with its column. Horizontal places are affine in EF per cent, x(y) = x₀ + k·y.
The numbers that it writes are passed beside the posterior: a record has rounded them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mcsdr.posterior.categories import CATEGORIES, CUTS, category_of
from mcsdr.posterior.dots import DOTS, Dots, quantile_dots, smooth_density
from mcsdr.posterior.told import Told

if TYPE_CHECKING:
    from mcsdr.posterior.table import Posterior

Array = NDArray[np.float64]

WIDTH, MARGIN = 480.0, 26.0
HIGHEST = 190.0  # of a column of dots


class Window(NamedTuple):
    """The stretch of EF per cent that a drawing shows."""

    low: float
    high: float

    @property
    def unit(self) -> float:
        """Width of one EF point."""
        return (WIDTH - 2 * MARGIN) / (self.high - self.low)

    def x(self, ef: float) -> float:
        """Where an ejection fraction stands."""
        return MARGIN + (ef - self.low) * self.unit


def window_of(posterior: Posterior) -> Window:
    """Multiples of five that hold 99.8 % of the belief and, always, all the cut-points."""
    low, high = posterior.interval(0.998)
    low, high = 5 * np.floor(low / 5), 5 * np.ceil(high / 5)
    return Window(float(np.clip(low, 0, 25)), float(np.clip(high, 60, 100)))


def dotplot(posterior: Posterior, told: Told) -> Markup:
    """Fifty dots over the EF axis with the cut-points, the density behind, and median and intervals beneath."""
    window, dots = window_of(posterior), quantile_dots(posterior)
    step = min(dots.width * window.unit, HIGHEST / (dots.level.max() + 1))
    per_density = DOTS * dots.width * step  # a column of height n means n/50 of the belief in its width
    grid = np.linspace(window.low, window.high, 161)
    density = smooth_density(posterior, grid) * per_density
    base = 58 + max(60.0, float((dots.level.max() + 1) * step), float(density.max()))
    parts = [
        _cut_lines(window, base),
        _area(window, grid, base, density),
        _dots(window, dots, step, base),
        _axis(window, base),
        _interval(window, told, base + 58),
    ]
    return svg(base + 92, _spoken(dots, told), parts)


def _cut_lines(window: Window, base: float) -> Markup:
    lines = [
        Markup('<line class="cut" x1="{0:.1f}" x2="{0:.1f}" y1="42" y2="{1:.1f}"/>').format(window.x(cut), base)
        + text(window.x(cut), 36, str(cut), "middle", "cut-label")
        for cut in CUTS
    ]
    bands = ((window.low, 40.0), (40.0, 50.0), (50.0, window.high))
    names = [
        text(window.x(sum(band) / 2), 15, category.name, "middle", f"band {category.tone}-text")
        for band, category in zip(bands, CATEGORIES, strict=True)
    ]
    return Markup("").join(lines + names)


def _area(window: Window, grid: Array, base: float, height: Array) -> Markup:
    points = " ".join(f"{window.x(x):.1f},{base - h:.1f}" for x, h in zip(grid, height, strict=True))
    ends = f"{window.x(grid[0]):.1f},{base:.1f} {points} {window.x(grid[-1]):.1f},{base:.1f}"
    return Markup('<polygon class="density" points="{}"/>').format(ends)


def _dots(window: Window, dots: Dots, step: float, base: float) -> Markup:
    circle = Markup('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="{:.2f}"/>')
    return Markup("").join(
        circle.format(category_of(centre).tone, window.x(centre), base - (level + 0.5) * step, 0.45 * step)
        for centre, level in zip(dots.centre, dots.level, strict=True)
    )


def _axis(window: Window, base: float) -> Markup:
    ticks = [
        Markup('<line class="axis" x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2:.1f}"/>').format(x, base, base + 5)
        + text(x, base + 23, f"{ef:.0f}", "middle")
        for ef in np.arange(np.ceil(window.low / 10) * 10, window.high + 1, 10)
        for x in [window.x(float(ef))]
    ]
    line = Markup('<line class="axis" x1="{:.1f}" x2="{:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
    return line.format(MARGIN, WIDTH - MARGIN, y=base) + Markup("").join(ticks)


def _interval(window: Window, told: Told, at: float) -> Markup:
    """90 % thin, 50 % thick, the median a stroke across; no median where two readings fit."""
    low, high = told.ninety
    bar = Markup('<line class="{}" x1="{:.1f}" x2="{:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
    median = window.x(told.centre)
    middle = [
        Markup('<line class="middle" x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2:.1f}"/>').format(
            median, at - 9, at + 9
        ),
        text(median, at + 27, f"{told.centre:.0f}", "middle", "median-label"),
    ]
    return Markup("").join(
        [
            bar.format("ninety", window.x(low), window.x(high), y=at),
            bar.format("fifty", *map(window.x, told.fifty), y=at),
            text(window.x(low) - 6, at + 5, f"{low:.0f}", "end"),
            text(window.x(high) + 6, at + 5, f"{high:.0f}", "start"),
            *([] if told.peaks else middle),
        ]
    )


def _spoken(dots: Dots, told: Told) -> str:
    tones = [category_of(centre) for centre in dots.centre]
    counts = ", ".join(f"{tones.count(category)} at {category.inequality}" for category in CATEGORIES)
    low, high = told.ninety
    return (
        f"Dot plot of the ejection fraction; each of the {DOTS} dots is 2 % of the belief: {counts}. "
        f"{'Peaks at' if told.peaks else told.name} {told.reading} %, "
        f"90 % interval of a reader's report {low:.0f} to {high:.0f} %."
    )


def text(x: float, y: float, words: str, anchor: str, style: str = "tick") -> Markup:
    """Words at a place; `anchor` as SVG has it: start, middle or end."""
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        style, x, y, anchor, words
    )


def svg(height: float, spoken: str, parts: list[Markup]) -> Markup:
    """One drawing, with what it says to those who do not see it."""
    opening = Markup('<svg viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">').format(WIDTH, height, spoken)
    return opening + Markup("").join(parts) + Markup("</svg>")
