"""Drawings of the page: inline SVG whose colours are the page's own, so that they follow light, dark and print.

A drawing is 480 units wide and scales with its column. Horizontal places are affine in EF per cent, x(y) = x₀ + k·y.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mcsdr.posterior import Posterior
from mcsdr.report import (
    CATEGORIES,
    CUTS,
    DOTS,
    Dots,
    category_of,
    is_two_peaked,
    quantile_dots,
    reading,
    smooth_density,
)

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


def dotplot(posterior: Posterior, record: Mapping[str, Any]) -> Markup:
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
        _interval(window, record, base + 58),
    ]
    return _svg(base + 92, _spoken(dots, record), parts)


def settling(posterior: Posterior) -> Markup | None:
    """The sampler's states from noise (left) to settled (right); None where they were not kept."""
    if posterior.trajectories is None:
        return None
    states = posterior.trajectories[:, 0]
    low, high = 10 * np.floor(states.min() / 10), 10 * np.ceil(states.max() / 10)
    place, y = _places(posterior, len(states)), 34 + 200 * (high - states) / (high - low)
    middle = int(np.argmin(np.abs(states[-1] - posterior.median)))
    lines = [_polyline(place, column, "path") for column in y.T] + [_polyline(place, y[:, middle], "path median")]
    rows = [
        Markup('<line class="grid" x1="44" x2="470" y1="{0:.1f}" y2="{0:.1f}"/>').format(at)
        + _text(36, at + 5, f"{ef:.0f}", "end")
        for ef in np.arange(low, high + 1, 10)
        for at in [34 + 200 * (high - ef) / (high - low)]
    ]
    words = [_text(8, 16, "EF in %", "start"), _text(44, 262, "noise", "start"), _text(470, 262, "settled", "end")]
    first, last = states[0], states[-1]
    spoken = (
        f"{states.shape[1]} paths of the sampler in {len(states) - 1} steps, from noise spread over EF "
        f"{first.min():.0f} to {first.max():.0f} % to settled values of {last.min():.0f} to {last.max():.0f} %."
    )
    return _svg(272, spoken, [*rows, *lines, *words])


def settling_table(posterior: Posterior) -> list[tuple[str, float, float, float]]:
    """The numbers of `settling`: for each state its name and the lowest, middle and highest path in EF %."""
    if posterior.trajectories is None:
        return []
    states = posterior.trajectories[:, 0]
    names = ["noise", *(f"after step {k}" for k in range(1, len(states) - 1)), "settled"]
    return [(name, *map(float, np.quantile(s, [0, 0.5, 1]))) for name, s in zip(names, states, strict=True)]  # type: ignore[misc]


# --- parts -----------------------------------------------------------------------------------------------------------


def _cut_lines(window: Window, base: float) -> Markup:
    lines = [
        Markup('<line class="cut" x1="{0:.1f}" x2="{0:.1f}" y1="42" y2="{1:.1f}"/>').format(window.x(cut), base)
        + _text(window.x(cut), 36, str(cut), "middle", "cut-label")
        for cut in CUTS
    ]
    bands = ((window.low, 40.0), (40.0, 50.0), (50.0, window.high))
    names = [
        _text(window.x(sum(band) / 2), 15, category.name, "middle", f"band {category.tone}-text")
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
        + _text(x, base + 23, f"{ef:.0f}", "middle")
        for ef in np.arange(np.ceil(window.low / 10) * 10, window.high + 1, 10)
        for x in [window.x(float(ef))]
    ]
    line = Markup('<line class="axis" x1="{:.1f}" x2="{:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
    return line.format(MARGIN, WIDTH - MARGIN, y=base) + Markup("").join(ticks)


def _interval(window: Window, record: Mapping[str, Any], at: float) -> Markup:
    """90 % thin, 50 % thick, the median a stroke across; no median where two readings fit."""
    (low, high), quantiles = record["interval_90"], record["quantiles"]
    bar = Markup('<line class="{}" x1="{:.1f}" x2="{:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
    median = window.x(record["median"])
    middle = [
        Markup('<line class="middle" x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2:.1f}"/>').format(
            median, at - 9, at + 9
        ),
        _text(median, at + 27, f"{record['median']:.0f}", "middle", "median-label"),
    ]
    return Markup("").join(
        [
            bar.format("ninety", window.x(low), window.x(high), y=at),
            bar.format("fifty", window.x(quantiles["0.25"]), window.x(quantiles["0.75"]), y=at),
            _text(window.x(low) - 6, at + 5, f"{low:.0f}", "end"),
            _text(window.x(high) + 6, at + 5, f"{high:.0f}", "start"),
            *([] if is_two_peaked(record) else middle),
        ]
    )


def _spoken(dots: Dots, record: Mapping[str, Any]) -> str:
    tones = [category_of(centre) for centre in dots.centre]
    counts = ", ".join(f"{tones.count(category)} at {category.inequality}" for category in CATEGORIES)
    low, high = record["interval_90"]
    middle = "Peaks at" if is_two_peaked(record) else "Median"
    return (
        f"Dot plot of the ejection fraction; each of the {DOTS} dots is 2 % of the belief: {counts}. "
        f"{middle} {reading(record)} %, 90 % interval {low:.0f} to {high:.0f} %."
    )


def _places(posterior: Posterior, states: int) -> Array:
    """Horizontal places of the states, in proportion to the angle that is left."""
    left = np.linspace(1, 0, states) if posterior.angles is None else posterior.angles / posterior.angles[0]
    places: Array = 44 + 426 * (1 - left)
    return places


def _polyline(x: Array, y: Array, style: str) -> Markup:
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return Markup('<polyline class="{}" points="{}"/>').format(style, points)


def _text(x: float, y: float, text: str, anchor: str, style: str = "tick") -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(style, x, y, anchor, text)


def _svg(height: float, spoken: str, parts: list[Markup]) -> Markup:
    opening = Markup('<svg viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">').format(WIDTH, height, spoken)
    return opening + Markup("").join(parts) + Markup("</svg>")
