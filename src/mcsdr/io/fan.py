"""The shape of a sector from the pixels of it that could be seen: a fan, else a convex hull.

A phased array draws a fan: two straight edges that meet in an apex (x_0, y_0), above the picture or in it, and an arc
of radius R about it. Shadows and low gain hide parts of a fan, above all its lower corners, but not its geometry:

    left edge    x = b_l - s y     the slope s and the offsets b_l, b_r on which most of the rows' first and last
    right edge   x = b_r + s y     pixels agree (a Hough transform); the fan stands upright, so s is common. Least
                                   squares over those that agree then place them, since half-angles half a degree apart
                                   are 3 pixels apart at the end of an edge of 200
    apex         where the edges meet
    arc          the R on which most of the columns' lowest pixels agree, their median

What lies just beneath the probe hardly flickers, and not at all once a codec has frozen it, while the black above may
flicker with the codec's noise: the fan begins where the black above it ends.

Where the fan so drawn does not hold nearly all that was seen, or is mostly unseen, the shape is the convex hull: for
every row y the interval [left(y), right(y)], with `left` the convex minorant of the first pixels of the rows and
`right` the concave majorant of the last. Where the hull reaches as far as the fan, the shape is what both hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
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
NEAR = 0.06  # of the radius: so far above or below the first row that was seen a fan may begin
LIT = 0.06  # share of a fan's row that is not black, at least
GAP = 3  # black rows that part a fan from what is drawn above it
SEEN = 0.5  # share of the fan that the hull of the seen pixels must fill

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Edges = tuple[float, float, float]  # s, b_l, b_r


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


Lit = Callable[[slice], Mask]  # the pixels of some rows of a picture that are not black


def sector_shape(patch: Mask) -> Mask:
    """The filled shape of the sector whose visible pixels are given: bool [H, W]."""
    hull = convex_hull(patch)
    fan = fan_shape(patch, hull)
    return hull if fan is None else fan


def fan_shape(patch: Mask, hull: Mask, lit: Lit | None = None) -> Mask | None:
    """The shape of the fan whose visible pixels are given, bool [H, W]; None where they are no fan's.

    Arguments:
        patch: the visible pixels, bool [H, W].
        hull: their convex hull.
        lit: tells what of the picture is not black, where that is known.
    """
    fitted = fit_fan(patch)
    if fitted is None:
        return None
    if lit is not None:
        fitted = _from_black(fitted, lit, patch.shape)
    fan = fitted.mask(patch.shape)
    if (patch & fan).sum() < HELD * patch.sum() or (hull & fan).sum() < SEEN * fan.sum():
        return None
    box = bounding_box(hull)
    short = np.abs(np.subtract(box[1:], bounding_box(fan)[1:])).max()
    if short <= 1.5 * _span(patch):
        fan[box.top :] &= hull[box.top :]
    return fan


def _from_black(fan: Fan, lit: Lit, shape: tuple[int, ...]) -> Fan:
    """The fan from where the black above it ends."""
    reach = int(NEAR * fan.radius)
    highest = max(0, math.ceil(fan.apex_y), fan.top - reach)
    rows = slice(highest, min(fan.top + reach + 1, shape[0]))
    inside = fan._replace(top=highest).mask(shape)[rows]
    is_lit = (lit(rows) & inside).sum(axis=1) >= LIT * inside.sum(axis=1)
    at = fan.top - highest
    if at < 0 or not is_lit[at:].any():
        return fan
    at += int(is_lit[at:].argmax())
    above = np.flatnonzero(is_lit[:at])[::-1].tolist()
    for row in above:
        if at - row > GAP:
            break
        at = row
    return fan._replace(top=highest + at)


def fit_fan(patch: Mask) -> Fan | None:
    """The upright fan whose edges the pixels of a patch [H, W] agree on, or None where they do not."""
    height, width = patch.shape
    rows = np.flatnonzero(patch.any(axis=1))
    first = patch[rows].argmax(axis=1)
    last = width - 1 - patch[rows, ::-1].argmax(axis=1)
    columns = np.flatnonzero(patch.any(axis=0))
    lowest = height - 1 - patch[::-1, columns].argmax(axis=0)
    span = _span(patch)
    voted, edges = _edges(rows, first, last, span)
    if voted <= 2.0 * AGREEING * len(rows):
        return None
    slope, left, right = _placed(rows, first, last, edges, 0.5 * span)
    apex_x, apex_y = (left + right) / 2.0, (left - right) / (2.0 * slope)
    radii = np.hypot(columns - apex_x, lowest - apex_y)
    (radius,), (count,) = (found.tolist() for found in _densest(radii[None], span))
    if count < AGREEING * len(radii):
        return Fan(slope, apex_x, apex_y, float(radii.max()), int(rows[0]))
    agreeing = radii[np.abs(radii - radius) <= 0.5 * span]
    return Fan(slope, apex_x, apex_y, float(np.median(agreeing)), int(rows[0]))


def _edges(y: Indices, first: Indices, last: Indices, span: float) -> tuple[int, Edges]:
    """Slope s and offsets b_l, b_r that most rows' first and last pixels agree on, and how many of these do."""
    slopes = np.tan(HALF_ANGLES)
    slant = slopes[:, None] * y
    offsets, counts = _densest(np.concatenate([first + slant, last - slant]), span)
    both = counts[: len(slopes)] + counts[len(slopes) :]
    most = int(both.argmax())
    return int(both[most]), (float(slopes[most]), float(offsets[most]), float(offsets[len(slopes) + most]))


def _placed(y: Indices, first: Indices, last: Indices, edges: Edges, reach: float) -> Edges:
    """Slope s and offsets b_l, b_r of the edges, by least squares over the points that lie within reach of them."""
    x = np.stack([-first, last]).astype(np.float64)  # the left edge mirrored, so that both rise with s
    terms = np.stack([np.broadcast_to(term, x.shape) for term in (1.0, y, y * y, x, x * y)], axis=1)
    slope, left, right = edges
    for _ in range(ROUNDS):
        on = np.abs(x - slope * y - [[-left], [right]]) <= reach
        (n_l, y_l, yy_l, x_l, xy_l), (n_r, y_r, yy_r, x_r, xy_r) = (terms @ on[:, :, None])[:, :, 0].tolist()
        if min(n_l, n_r) < 2:
            return edges
        spread = yy_l - y_l * y_l / n_l + yy_r - y_r * y_r / n_r
        before, slope = (slope, left, right), (xy_l - x_l * y_l / n_l + xy_r - x_r * y_r / n_r) / spread
        left, right = -(x_l - slope * y_l) / n_l, (x_r - slope * y_r) / n_r
        if before == (slope, left, right):
            break
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
