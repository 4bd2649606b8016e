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
flicker with the codec's noise: the fan begins where the black above it ends. Its flanks and its arc are fitted to what
flickers, which codecs let fade before the edge, or carry over it: with g the mean grey level and

    t = g / (g + c)        from black, 0, to anything seen, near 1

the edges of a fan that holds, of one slope, and then its arc are moved to where t falls most outwards, all along them.

Where the fan so drawn does not hold nearly all that was seen, or is mostly unseen, the shape is the convex hull: for
every row y the interval [left(y), right(y)], with `left` the convex minorant of the first pixels of the rows and
`right` the concave majorant of the last. Where the hull reaches as far as the fan, the shape is what both hold.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcsdr.io.patches import Mask, bounding_box

HALF_ANGLES = np.radians(np.arange(20.0, 61.0, 1.0))  # of each edge against the vertical; they are placed finer
AGREEMENT = 0.025  # of the picture's shorter side: points so close together agree
AGREEING = 0.25  # share of the rows, or columns, that must agree on the edges, or the arc
HELD = 0.95  # share of the seen pixels that a fan must hold
ROWS = 64  # so many, evenly spread, tell where the edges are
ROUNDS = 6  # of least squares; by then the points that agree are the same
EDGE = 0.5  # pixels allowed beyond the edges and the arc
NEAR = 0.06  # of the radius: so far above or below the first row that was seen a fan may begin
LIT = 0.06  # share of a fan's row that is not black, at least
GAP = 3  # black rows that part a fan from what is drawn above it
SEEN = 0.5  # share of the fan that the hull of the seen pixels must fill
BLACK = 8.0  # mean grey level up to which a pixel is black
DIM = 4.0  # c, grey levels
RIM = 0.04  # of the picture's shorter side: so far the edges and the arc may be moved
FALL = 0.15  # sum of two t inside less two outside, the mean along the rim: less says nothing

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

    def mask(self, shape: tuple[int, ...], rows: slice = slice(None)) -> Mask:
        """What the fan holds of some rows of a picture [H, W]."""
        y, x = np.ogrid[slice(*rows.indices(shape[0])), : shape[1]]
        right, down = x - self.apex_x, y - self.apex_y
        held: Mask = (np.abs(right) <= self.slope * down + EDGE) & (y >= self.top)
        held &= right**2 + down**2 <= (self.radius + EDGE) ** 2
        return held


Grey = NDArray[np.float32]  # the mean grey level of a picture's pixels, [H, W]


def sector_shape(patch: Mask) -> Mask:
    """The filled shape of the sector whose visible pixels are given: bool [H, W]."""
    hull = convex_hull(patch)
    fan = fan_shape(patch, hull)
    return hull if fan is None else fan


def fan_shape(patch: Mask, hull: Mask, grey: Grey | None = None) -> Mask | None:
    """The shape of the fan whose visible pixels are given, bool [H, W]; None where they are no fan's.

    Arguments:
        patch: the visible pixels, bool [H, W].
        hull: their convex hull.
        grey: the mean grey level of the picture, float [H, W], where that is known.
    """
    fitted = fit_fan(patch)
    if fitted is None:
        return None
    if grey is not None:
        fitted = _from_black(fitted, grey)
    fan = fitted.mask(patch.shape)
    if (patch & fan).sum() < HELD * patch.sum() or (hull & fan).sum() < SEEN * fan.sum():
        return None
    if grey is not None:
        fan = _with_arc(_with_edges(fitted, grey), grey).mask(patch.shape)
    box = bounding_box(hull)
    short = np.abs(np.subtract(box[1:], bounding_box(fan)[1:])).max()
    if short <= 1.5 * _span(patch):
        fan[box.top :] &= hull[box.top :]
    return fan


def _with_edges(fan: Fan, grey: Grey) -> Fan:
    """The fan with both edges where the picture falls to black, its lowest point where it was."""
    slope, apex_x, apex_y, radius, top = fan
    y = np.arange(max(top, math.ceil(apex_y)), min(len(grey), int(apex_y + radius * math.cos(math.atan(slope)))))
    reach = _rim(grey)
    if len(y) <= 2 * reach:
        return fan
    y = y[:: -(-len(y) // ROWS)]
    half, steps = slope * (y - apex_y), _steps(grey)
    falls = [_fall(y[:, None], apex_x + way * (half[:, None] + steps), grey) for way in (-1, 1)]
    moves = np.arange(-reach, reach + 1)  # outwards: of the edge's upper end, and of its lower end beyond that
    along = np.rint(moves[:, None] * np.linspace(0, 1, len(y))).astype(np.intp)
    at = (moves[:, None] + along[:, None, :] + reach).clip(0, 2 * reach)
    left, right = (fall[np.arange(len(y)), at].mean(axis=2) for fall in falls)
    best = int((left.max(axis=1) + right.max(axis=1)).argmax())
    steeper = slope + (_peak(left.max(axis=1) + right.max(axis=1)) - reach) / float(y[-1] - y[0])
    if left[best].max() + right[best].max() < 2 * FALL or steeper <= 0:
        return fan
    out_left, out_right = (_peak(side[best]) - reach for side in (left, right))
    wide = float(half[0]) + 0.5 * (out_left + out_right)
    tip = float(y[0]) - wide / steeper
    return Fan(steeper, apex_x + 0.5 * (out_right - out_left), tip, apex_y + radius - tip, top)


def _with_arc(fan: Fan, grey: Grey) -> Fan:
    """The fan with its arc where the picture falls to black."""
    flank = 0.9 * math.atan(fan.slope)
    angle = np.linspace(-flank, flank, max(2, int(fan.radius * flank)))[:, None]
    away = fan.radius + _steps(grey)
    fall = _fall(fan.apex_y + away * np.cos(angle), fan.apex_x + away * np.sin(angle), grey).mean(axis=0)
    return fan if fall.max() < FALL else fan._replace(radius=fan.radius + _peak(fall) - _rim(grey))


def _steps(grey: Grey) -> Indices:
    """How far out the pixels lie that are looked at beside a rim; two inside and two outside tell of each place."""
    reach = _rim(grey)
    return np.arange(-reach - 1, reach + 3)


def _fall(rows: NDArray[Any], columns: NDArray[Any], grey: Grey) -> NDArray[np.float32]:
    """How far t falls at each place along a rim and each step in or out of it: [P, 2 reach + 1].

    `rows` and `columns` say where the pixels lie, [P, K] for the K steps of `_steps`, or what spreads to it.
    """
    y, x = (np.rint(at).astype(np.intp).clip(0, side - 1) for at, side in ((rows, len(grey)), (columns, grey.shape[1])))
    g = grey[y, x]
    t: NDArray[np.float32] = g / (g + np.float32(DIM))
    fall: NDArray[np.float32] = t[:, :-3] + t[:, 1:-2] - t[:, 2:-1] - t[:, 3:]
    return fall


def _peak(values: NDArray[Any]) -> float:
    """Where values at 0, 1, … are highest: the top of the parabola through the highest and its neighbours."""
    k = int(values.argmax())
    if k in (0, len(values) - 1):
        return float(k)
    a, b, c = values[k - 1 : k + 2].tolist()
    return k + (0.5 * (a - c) / (a - 2 * b + c) if a - 2 * b + c < 0 else 0.0)


def _rim(grey: Grey) -> int:
    """How many pixels an edge may be moved."""
    return max(2, round(RIM * float(min(grey.shape))))


def _from_black(fan: Fan, grey: Grey) -> Fan:
    """The fan from where the black above it ends."""
    reach = int(NEAR * fan.radius)
    highest = max(0, math.ceil(fan.apex_y), fan.top - reach)
    rows = slice(highest, min(fan.top + reach + 1, len(grey)))
    inside = fan._replace(top=highest).mask(grey.shape, rows)
    is_lit = ((grey[rows] > BLACK) & inside).sum(axis=1) >= LIT * inside.sum(axis=1)
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


def _edges(y: Indices, first: Indices, last: Indices, span: float) -> tuple[float, Edges]:
    """Slope s and offsets b_l, b_r that most rows' first and last pixels agree on, and how many of these do."""
    slopes, some = np.tan(HALF_ANGLES), slice(None, None, -(-len(y) // ROWS))
    slant = slopes[:, None] * y[some]
    offsets, counts = _densest(np.concatenate([first[some] + slant, last[some] - slant]), span)
    both = (counts[: len(slopes)] + counts[len(slopes) :]) * (len(y) / len(y[some]))
    most = int(both.argmax())
    return float(both[most]), (float(slopes[most]), float(offsets[most]), float(offsets[len(slopes) + most]))


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
