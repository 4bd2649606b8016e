"""The shape of a sector from the pixels of it that could be seen: a fan, else a convex hull.

A phased array draws a fan: two straight edges that meet in an apex (x_0, y_0), above the picture or in it, and an arc
of radius R about it. Shadows and low gain hide parts of a fan, above all its lower corners, but not its geometry:

    left edge    x = b_l - s y     the slope s and the offsets b_l, b_r on which most of the rows' first and last
    right edge   x = b_r + s y     pixels agree (a Hough transform); the fan stands upright, so s is common. Least
                                   squares over those that agree then place them, since half-angles half a degree apart
                                   are 3 pixels apart at the end of an edge of 200
    apex         where the edges meet
    arc          the R on which most of the columns' lowest pixels agree, their median

Where the fan so drawn does not hold nearly all that was seen, or is mostly unseen, the shape is the convex hull: for
every row y the interval [left(y), right(y)], with `left` the convex minorant of the first pixels of the rows and
`right` the concave majorant of the last. Where the hull reaches as far as the fan, the shape is what both hold.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcsdr.io.patches import Mask, bounding_box

HALF_ANGLES = np.radians(np.arange(20.0, 60.5, 0.5))  # of each edge against the vertical
AGREEMENT = 0.025  # of the picture's shorter side: points so close together agree
AGREEING = 0.25  # share of the rows, or columns, that must agree on the edges, or the arc
HELD = 0.95  # share of the seen pixels that a fan must hold
ROUNDS = 6  # of least squares; by then the points that agree are the same
EDGE = 0.5  # pixels allowed beyond the edges and the arc
SEEN = 0.5  # share of the fan that the hull of the seen pixels must fill

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


class Fan(NamedTuple):
    """An upright fan, in pixels: its edges' slope s, its apex, its radius about the apex, and its first row."""

    slope: float
    apex_x: float
    apex_y: float
    radius: float
    top: int

    def mask(self, shape: tuple[int, ...]) -> Mask:
        """What the fan holds of a picture [H, W]."""
        y, x = np.ogrid[: shape[0], : shape[1]]
        right, down = x - self.apex_x, y - self.apex_y
        held: Mask = (np.abs(right) <= self.slope * down + EDGE) & (y >= self.top)
        held &= right**2 + down**2 <= (self.radius + EDGE) ** 2
        return held


def sector_shape(patch: Mask) -> Mask:
    """The filled shape of the sector whose visible pixels are given: bool [H, W]."""
    hull = convex_hull(patch)
    fitted = fit_fan(patch)
    if fitted is None:
        return hull
    fan = fitted.mask(patch.shape)
    if (patch & fan).sum() < HELD * patch.sum() or (hull & fan).sum() < SEEN * fan.sum():
        return hull
    short = np.abs(np.subtract(bounding_box(hull), bounding_box(fan))).max()
    return fan & hull if short <= 1.5 * _span(patch) else fan


def fit_fan(patch: Mask) -> Fan | None:
    """The upright fan whose edges the pixels of a patch [H, W] agree on, or None where they do not."""
    height, width = patch.shape
    rows = np.flatnonzero(patch.any(axis=1))
    first = patch[rows].argmax(axis=1)
    last = width - 1 - patch[rows, ::-1].argmax(axis=1)
    columns = np.flatnonzero(patch.any(axis=0))
    lowest = height - 1 - patch[::-1, columns].argmax(axis=0)
    span = _span(patch)
    slope, left, right, votes = 0.0, 0.0, 0.0, 2.0 * AGREEING * len(rows)
    slopes = np.tan(HALF_ANGLES)
    b_left, count_left = _densest(first + slopes[:, None] * rows, span)
    b_right, count_right = _densest(last - slopes[:, None] * rows, span)
    most = int((count_left + count_right).argmax())
    if count_left[most] + count_right[most] > votes:
        edges = float(slopes[most]), float(b_left[most]), float(b_right[most])
        slope, left, right = _placed(rows, first, last, edges, 0.5 * span)
    if slope == 0.0:
        return None
    apex_x, apex_y = (left + right) / 2.0, (left - right) / (2.0 * slope)
    radii = np.hypot(columns - apex_x, lowest - apex_y)
    (radius,), (count,) = (found.tolist() for found in _densest(radii[None], span))
    if count < AGREEING * len(radii):
        return Fan(slope, apex_x, apex_y, float(radii.max()), int(rows[0]))
    agreeing = radii[np.abs(radii - radius) <= 0.5 * span]
    return Fan(slope, apex_x, apex_y, float(np.median(agreeing)), int(rows[0]))


def _placed(
    y: Indices, first: Indices, last: Indices, edges: tuple[float, float, float], reach: float
) -> tuple[float, float, float]:
    """Slope s and offsets b_l, b_r of the edges, by least squares over the points that lie within reach of them."""
    slope, left, right = edges
    for _ in range(ROUNDS):
        on_left = np.abs(first + slope * y - left) <= reach
        on_right = np.abs(last - slope * y - right) <= reach
        y_l, x_l, y_r, x_r = y[on_left], first[on_left], y[on_right], last[on_right]
        if min(len(y_l), len(y_r)) < 2:
            return edges
        deep_l, deep_r = y_l - y_l.mean(), y_r - y_r.mean()
        slope = float((deep_r @ x_r - deep_l @ x_l) / (deep_r @ deep_r + deep_l @ deep_l))
        left, right = float(x_l.mean() + slope * y_l.mean()), float(x_r.mean() - slope * y_r.mean())
    return slope, left, right


def _span(mask: Mask) -> float:
    """How far apart points may lie, in pixels, and still agree."""
    return max(2.0, AGREEMENT * float(min(mask.shape)))


def _densest(values: Floats, span: float) -> tuple[Floats, NDArray[np.intp]]:
    """For each row of values [S, P] the interval of a given span that holds most of them: its middle, and how many."""
    ordered = np.sort(values, axis=1)
    rows, width = len(ordered), ordered.shape[1]
    # One search for all rows: each is set apart from the one before by more than they are long.
    apart = (np.arange(rows) * (np.ptp(ordered) + 4.0 * span + 1.0))[:, None]
    flat = (ordered + apart).reshape(-1)
    reach = np.searchsorted(flat, flat + span, side="right").reshape(rows, width)
    counts = reach - np.arange(rows * width).reshape(rows, width)
    at = counts.argmax(axis=1)
    middles: Floats = ordered[np.arange(rows), at] + 0.5 * span
    return middles, counts[np.arange(rows), at]


def convex_hull(mask: Mask) -> Mask:
    """The filled convex hull of the true pixels of a mask [H, W]."""
    width = mask.shape[1]
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = width - 1 - mask[rows, ::-1].argmax(axis=1)
    y = np.arange(rows[0], rows[-1] + 1)
    left, right = _convex_minorant(rows, first, y), -_convex_minorant(rows, -last, y)
    hull = np.zeros_like(mask)
    x = np.arange(width)
    hull[y] = (x >= np.floor(left)[:, None]) & (x <= np.ceil(right)[:, None])
    return hull


def _convex_minorant(y: NDArray[np.intp], x: NDArray[np.intp], at: NDArray[np.intp]) -> NDArray[np.float64]:
    """The largest convex function below the points (y, x), evaluated at `at` (Andrew's monotone chain)."""
    chain: list[tuple[int, int]] = []
    for row, column in zip(y.tolist(), x.tolist(), strict=True):
        while len(chain) >= 2:
            (row_a, column_a), (row_b, column_b) = chain[-2], chain[-1]
            if (row_b - row_a) * (column - column_a) > (column_b - column_a) * (row - row_a):
                break  # the chain turns the convex way
            chain.pop()
        chain.append((row, column))
    corners = np.array(chain, dtype=np.float64)
    return np.interp(at, corners[:, 0], corners[:, 1])
