"""Drawings of the page: inline SVG whose colours are the page's own, so that they follow light, dark and print.

The dotplot itself is the posterior's (`mcsdr.posterior.svg`); every number in it is the record's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mcsdr.posterior import Posterior
from mcsdr.posterior import svg as drawn
from mcsdr.posterior.svg import svg, text
from mcsdr.posterior.told import Told
from mcsdr.report import is_two_peaked

Array = NDArray[np.float64]


def dotplot(posterior: Posterior, record: Mapping[str, Any]) -> Markup:
    """Fifty dots over the EF axis with the cut-points, the density behind, and median and intervals beneath."""
    low, high = record["interval_90"]
    fifty = (record["quantiles"]["0.25"], record["quantiles"]["0.75"])
    peaks = tuple(mode["ef"] for mode in record["modes"]) if is_two_peaked(record) else ()
    return drawn.dotplot(posterior, Told(record["median"], (low, high), fifty, peaks))


def settling(posterior: Posterior) -> Markup | None:
    """The sampler's states from the prior, of draws from noise (left), to the answer (right); None where not kept."""
    if posterior.trajectories is None:
        return None
    states = posterior.trajectories[:, 0]
    low, high = 10 * np.floor(states.min() / 10), 10 * np.ceil(states.max() / 10)
    place, y = _places(posterior, len(states)), 34 + 200 * (high - states) / (high - low)
    middle = int(np.argmin(np.abs(states[-1] - posterior.median)))
    lines = [_polyline(place, column, "path") for column in y.T] + [_polyline(place, y[:, middle], "path median")]
    rows = [
        Markup('<line class="grid" x1="44" x2="470" y1="{0:.1f}" y2="{0:.1f}"/>').format(at)
        + text(36, at + 5, f"{ef:.0f}", "end")
        for ef in np.arange(low, high + 1, 10)
        for at in [34 + 200 * (high - ef) / (high - low)]
    ]
    words = [
        text(8, 16, "EF in %", "start"),
        text(44, 262, _start(posterior), "start"),
        text(470, 262, "settled", "end"),
    ]
    first, last = states[0], states[-1]
    spoken = (
        f"{states.shape[1]} paths of the sampler in {len(states) - 1} steps, from {_start(posterior)} spread over EF "
        f"{first.min():.0f} to {first.max():.0f} % to settled values of {last.min():.0f} to {last.max():.0f} %."
    )
    return svg(272, spoken, [*rows, *lines, *words])


def settling_table(posterior: Posterior) -> list[tuple[str, float, float, float]]:
    """The numbers of `settling`: for each state its name and the lowest, middle and highest path in EF %."""
    if posterior.trajectories is None:
        return []
    states = posterior.trajectories[:, 0]
    names = [_start(posterior), *(f"after step {k}" for k in range(1, len(states) - 1)), "settled"]
    return [(name, *map(float, np.quantile(s, [0, 0.5, 1]))) for name, s in zip(names, states, strict=True)]  # type: ignore[misc]


def _start(posterior: Posterior) -> str:
    """What the paths begin with."""
    return "prior" if posterior.raw is None else "noise"


def _places(posterior: Posterior, states: int) -> Array:
    """Horizontal places of the states, in proportion to the angle that is left."""
    left = np.linspace(1, 0, states) if posterior.angles is None else posterior.angles / posterior.angles[0]
    places: Array = 44 + 426 * (1 - left)
    return places


def _polyline(x: Array, y: Array, style: str) -> Markup:
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return Markup('<polyline class="{}" points="{}"/>').format(style, points)
