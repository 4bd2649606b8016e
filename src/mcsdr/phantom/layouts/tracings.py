"""Tracings of the left ventricle as the Stanford data sets store them, from the phantom's true contour.

EchoNet-Dynamic stores the long axis and 20 chords perpendicular to it, in the middle of 20 slices of equal height;
EchoNet-Pediatric stores a polygon. Points are (x, y) in pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CHORDS = 20
POINTS = 40


def chords(contour: Array, apex_and_base: Array) -> Array:
    """The long axis and its chords as rows x1, y1, x2, y2, [1 + CHORDS, 4].

    The axis runs from the apex to the base, the chords from the picture's left to its right.

    Arguments:
        contour: from one end of the annulus over the apex to the other, [N, 2].
        apex_and_base: the ends of the long axis, [2, 2].
    """
    apex, base = apex_and_base
    length = float(np.linalg.norm(base - apex))
    down = (base - apex) / length
    across = np.array([down[1], -down[0]])
    along, aside = (contour - apex) @ down, (contour - apex) @ across
    rows = [np.concatenate([apex, base])]
    for chord in range(CHORDS):
        level = length * (chord + 0.5) / CHORDS
        ends = [apex + level * down + end * across for end in _crossings(along - level, aside)]
        rows.append(np.concatenate(sorted(ends, key=lambda point: float(point[0]))))
    return np.stack(rows)


def polygon(contour: Array, points: int = POINTS) -> Array:
    """The contour at points of equal distance along it, [points, 2]; a ring does not repeat its first point."""
    closed = bool(np.allclose(contour[0], contour[-1]))
    walked = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(contour, axis=0), axis=1))])
    where = np.linspace(0, walked[-1], points, endpoint=not closed)
    return np.stack([np.interp(where, walked, contour[:, axis]) for axis in (0, 1)], axis=1)


def _crossings(height: Array, aside: Array) -> tuple[float, float]:
    """The outermost places at which the closed contour crosses height 0."""
    next_height, next_aside = np.roll(height, -1), np.roll(aside, -1)
    edge = (height < 0) != (next_height < 0)
    share = height[edge] / (height[edge] - next_height[edge])
    places = aside[edge] + share * (next_aside[edge] - aside[edge])
    return float(places.min()), float(places.max())
