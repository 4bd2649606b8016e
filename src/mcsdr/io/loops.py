"""Counting the moving pictures on a screen: bi-plane, dual, quad and stress screens show several at once.

A loop is a patch of live pixels nearly as large as the largest, that fills its box nearly as well and flickers nearly
as much: what the codec makes of text and ticks does not. Two patches are parts of one sector where

    side by side       the gap between them widens with depth      a shadow spreads from the probe; fans set beside each
                                                                   other come nearer as they widen
    one above another  the lower begins about as wide as the       a dark band crosses a sector; a fan below another
                       upper was                                   begins at its tip

Two fans that touch are one patch; it has two tips, and between these nothing is seen from the top of the picture on.

A much smaller patch is a loop where it is a fan of its own: upright, filled, beginning at a tip of its own, and outside
of the largest. Text, an ECG strip and what a shadow leaves of a sector have no such shape; valves in a dark chamber lie
within the largest.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mcsdr.io.fan import convex_hull, fit_fan
from mcsdr.io.patches import Mask, bounding_box, from_cells

LOOP_SHARE = 0.35  # of the largest loop's area, at least
LOOP_SIDES = 0.4  # of its height and of its width, at least: an ECG strip is wide and low
LOOP_FILL = 0.7  # of the share of its box that it fills, at least
LOOP_FLICKER = 0.3  # of its median σ, at least
SMALL_SHARE = 0.03  # of the largest loop's area, of a fan of its own
SMALL_SIDES = 0.15  # of its height and of its width
FAN_HOLDS = 0.9  # of the patch, at least
FAN_FILLED = 0.8  # by the hull of the patch, at least
TIP = 0.3  # of its radius: so far below its tip a fan of its own begins
UPRIGHT = 0.15  # of its width: so far from its middle its tip lies
SAME_TIP = 0.15  # of the largest's radius: so far apart two tips are one
OUTSIDE = 0.2  # of it that lies within the largest loop's hull, at most
WIDENING = 1.5  # the gap of a shadow at depth against that near the probe
AS_WIDE = 0.7  # of the upper part's width: so wide begins the lower part of a sector that a dark band cuts
TIPS_APART = 0.25  # of the width: gap between two tips, at least
TIPS_DEEP = 0.7  # of the upper third's rows show it
ALIKE = 0.5  # two fans that touch are of a size: the smaller has at least this share of the larger


def separate_loops(labels: NDArray[np.intp], live: Mask) -> list[Mask]:
    """The live patches that are loops of their own, the largest first: bool [h, w] each, on a grid of cells.

    Arguments:
        labels: int [h, w], patches of what flickers, as `live_cells` gives them.
        live: what flickers, bool [H, W].
    """
    largest: Mask = labels == 1
    if not largest.any():
        return []
    found: list[Mask] = [largest]
    small: list[Mask] = []
    for label in range(2, int(labels.max()) + 1):
        patch: Mask = labels == label
        if patch.sum() < SMALL_SHARE * largest.sum():
            break  # patches come in order of size
        if patch.sum() >= LOOP_SHARE * largest.sum() and _as_large(patch, largest):
            found += [] if any(_one_sector(patch, other) for other in found) else [patch]
        elif _has_sides(patch, largest, SMALL_SIDES) and _apart(patch, largest):
            seen, seen_largest = (from_cells(cells, live.shape) & live for cells in (patch, largest))
            small += [patch] if _is_fan(seen) and not _one_tip(seen, seen_largest) else []
    return ((_halves(largest) or found) if len(found) == 1 else found) + small


def _has_sides(patch: Mask, largest: Mask, share: float) -> bool:
    box, limit = bounding_box(patch), bounding_box(largest)
    high, wide = share * (limit.bottom - limit.top), share * (limit.right - limit.left)
    return box.bottom - box.top >= high and box.right - box.left >= wide


def _apart(patch: Mask, largest: Mask) -> bool:
    return bool((patch & convex_hull(largest)).sum() <= OUTSIDE * patch.sum())


def _is_fan(patch: Mask) -> bool:
    """Whether the pixels of a patch [H, W] fill an upright fan from its tip on."""
    inner = patch[bounding_box(patch).slices]
    fitted = fit_fan(inner)
    if fitted is None:
        return False
    fan = fitted.mask(inner.shape)
    return bool(
        (inner & fan).sum() >= FAN_HOLDS * inner.sum()
        and (convex_hull(inner) & fan).sum() >= FAN_FILLED * fan.sum()
        and fitted.top - fitted.apex_y <= TIP * fitted.radius
        and abs(fitted.apex_x - inner.shape[1] / 2) <= UPRIGHT * inner.shape[1]
    )


def _one_tip(one: Mask, largest: Mask) -> bool:
    """Whether a fan's edges meet where the largest's do, whose near field it then is, cut off by a dark band."""
    fan, fan_of_largest = fit_fan(one), fit_fan(largest)
    if fan is None or fan_of_largest is None:
        return False
    apart = math.hypot(fan.apex_x - fan_of_largest.apex_x, fan.apex_y - fan_of_largest.apex_y)
    return apart <= SAME_TIP * fan_of_largest.radius


def _as_large(patch: Mask, largest: Mask) -> bool:
    filled, most_filled = (mask[bounding_box(mask).slices].mean() for mask in (patch, largest))
    return _has_sides(patch, largest, LOOP_SIDES) and bool(filled >= LOOP_FILL * most_filled)


def _one_sector(one: Mask, other: Mask) -> bool:
    """Whether two patches are parts of one sector that a shadow or a dark band cuts in two."""
    rows = np.flatnonzero(one.any(axis=1) & other.any(axis=1))
    if len(rows) >= 3:
        left, right = sorted((one, other), key=lambda mask: float(np.flatnonzero(mask.any(axis=0)).mean()))
        width = left.shape[1]
        gap = right[rows].argmax(axis=1) - (width - left[rows, ::-1].argmax(axis=1))
        third = len(rows) // 3
        near, far = float(np.median(gap[:third])), float(np.median(gap[-third:]))
        return near <= 0 or far > WIDENING * near + 1.0
    upper, lower = sorted((one, other), key=lambda mask: bounding_box(mask).top)
    if not (upper.any(axis=0) & lower.any(axis=0)).any():
        return False
    widths = lower.sum(axis=1)[lower.any(axis=1)]
    begins = int(widths[: max(1, len(widths) // 5)].max())
    return begins >= AS_WIDE * int(upper.sum(axis=1).max())


def _halves(patch: Mask) -> list[Mask]:
    """The two fans that touch in one patch; none where it has one tip."""
    box = bounding_box(patch)
    inner = patch[box.slices]
    upper = inner[: max(1, len(inner) // 3)]
    covered = np.logical_or.accumulate(upper, axis=0)
    first, last = covered.argmax(axis=1), covered.shape[1] - covered[:, ::-1].argmax(axis=1)
    dark = last - first - covered.sum(axis=1)
    if (dark >= TIPS_APART * inner.shape[1]).mean() < TIPS_DEEP:
        return []  # nearly always: there is no room for a gap
    gaps = [_widest_gap(row) for row in covered]
    wide = [gap for gap in gaps if gap[1] - gap[0] >= TIPS_APART * inner.shape[1]]
    if len(wide) < TIPS_DEEP * len(upper):
        return []
    middle = box.left + int(np.median([sum(gap) / 2 for gap in wide]))
    left, right = patch.copy(), patch.copy()
    left[:, middle:], right[:, :middle] = False, False
    halves = sorted((left, right), key=lambda mask: -int(mask.sum()))
    return halves if halves[1].sum() >= ALIKE * halves[0].sum() else []


def _widest_gap(row: NDArray[np.bool_]) -> tuple[int, int]:
    """Where the widest run of dark cells between lit ones starts and stops; nowhere where there is none."""
    lit = np.flatnonzero(row)
    if len(lit) < 2:
        return 0, 0
    at = int(np.diff(lit).argmax())
    return int(lit[at]) + 1, int(lit[at + 1])
