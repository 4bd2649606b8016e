"""The shape of a sector from the pixels of it that could be seen: a fan, else a convex hull.

A phased array draws a fan: two straight edges that meet in an apex (x_0, y_0), above the picture or in it, and an arc
of radius R about it. Shadows and low gain hide parts of a fan, above all its lower corners, but not its geometry:

    left edge    x = b_l - s y     the slope s and the offsets b_l, b_r on which most of the rows' first and last
    right edge   x = b_r + s y     pixels agree (a Hough transform); the fan stands upright, so s is common
    apex         where the edges meet
    arc          the R on which most of the columns' lowest pixels agree

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
SEEN = 0.5  # share of the fan that the hull of the seen pixels must fill

Floats = NDArray[np.float64]


class Fan(NamedTuple):
    """An upright fan, in pixels: its edges' slope s, its apex, its radius about the apex, and its first row."""

    slope: float
    apex_x: float
    apex_y: float
    radius: float
    top: int
    span: float  # how far apart points lay that agreed; a quarter of it is allowed beyond the edges

    def mask(self, shape: tuple[int, ...]) -> Mask:
        """What the fan holds of a picture [H, W]."""
        y, x = np.ogrid[: shape[0], : shape[1]]
        right, down, margin = x - self.apex_x, y - self.apex_y, 0.25 * self.span
        held: Mask = (np.abs(right) <= self.slope * down + margin) & (y >= self.top)
        held &= right**2 + down**2 <= (self.radius + margin) ** 2
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
    for s in np.tan(HALF_ANGLES):
        b_left, count_left = _densest(first + s * rows, span)
        b_right, count_right = _densest(last - s * rows, span)
        if count_left + count_right > votes:
            slope, left, right, votes = s, b_left, b_right, count_left + count_right
    if slope == 0.0:
        return None
    apex_x, apex_y = (left + right) / 2.0, (left - right) / (2.0 * slope)
    radii = np.hypot(columns - apex_x, lowest - apex_y)
    radius, count = _densest(radii, span)
    if count < AGREEING * len(radii):
        radius = float(radii.max())
    return Fan(slope, apex_x, apex_y, radius, int(rows[0]), span)


def _span(mask: Mask) -> float:
    """How far apart points may lie, in pixels, and still agree."""
    return max(2.0, AGREEMENT * float(min(mask.shape)))


def _densest(values: Floats, span: float) -> tuple[float, int]:
    """The interval of a given span that holds most values: its middle, and how many it holds."""
    ordered = np.sort(values)
    counts = np.searchsorted(ordered, ordered + span, side="right") - np.arange(len(ordered))
    at = int(counts.argmax())
    return float(ordered[at]) + 0.5 * span, int(counts[at])


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
    for point in zip(y.tolist(), x.tolist(), strict=True):
        while len(chain) >= 2 and _turn(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    corners = np.array(chain, dtype=np.float64)
    return np.interp(at, corners[:, 0], corners[:, 1])


def _turn(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> int:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
