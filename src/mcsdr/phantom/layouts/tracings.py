"""Tracings of the left ventricle as the Stanford data sets store them, from the phantom's contour as a reader drew it.

EchoNet-Dynamic stores the long axis and 20 chords perpendicular to it, in the middle of 20 slices of equal height;
EchoNet-Pediatric stores a polygon. Points are (x, y) in pixels.

In life trace and label are of one hand: the single-plane EF of published tracings is the label within 1.5 points. With
V the discs' volume, a reader who reports EF y has drawn contours of V_ES = (1 − y/100)·V_ED, so that of the true ones

    R = (1 − y/100)·V_ED/V_ES,      widths of ES × R^(1/4),      widths of ED × R^(−1/4),

half of the reader's error in either frame, across the long axis; the axis stays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Traced = tuple[Array, Array]  # a contour [N, 2], and the ends of its long axis [2, 2]

CHORDS = 20
MOST = 1.25  # by which a width is changed: no reader is further out; a clip that shows no ES cannot be mended
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


def as_read(ed: Traced, es: Traced, ef_percent: float) -> tuple[Array, Array]:
    """The contours of ED and ES as the reader drew them who reported this EF, each [N, 2]."""
    volumes = [volume(chords(*one)) for one in (ed, es)]
    by = ((1 - ef_percent / 100) * volumes[0] / volumes[1]) ** 0.25
    by = float(np.clip(by, 1 / MOST, MOST))
    return widened(*ed, 1 / by), widened(*es, by)


def widened(contour: Array, apex_and_base: Array, by: float) -> Array:
    """The contour [N, 2] with its places across the long axis multiplied."""
    apex, base = apex_and_base
    down = (base - apex) / np.linalg.norm(base - apex)
    along = np.outer((contour - apex) @ down, down)
    return np.asarray(apex + along + by * (contour - apex - along))


def volume(rows: Array) -> float:
    """The sum of discs on the chords of one frame, the long axis first: in cubic pixels."""
    length, widths = np.linalg.norm(rows[0, 2:] - rows[0, :2]), np.linalg.norm(rows[1:, 2:] - rows[1:, :2], axis=1)
    return float(np.pi / 4 * (widths**2).mean() * length)


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
