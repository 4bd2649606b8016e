"""Counting the moving pictures on a screen: bi-plane, dual, quad and stress screens show several at once.

A loop is a patch of live pixels nearly as large as the largest, that fills its box nearly as well and flickers nearly
as much: what the codec makes of text and ticks does not. Two patches are parts of one sector where

    side by side       the gap between them widens with depth      a shadow spreads from the probe; fans set beside each
                                                                   other come nearer as they widen
    one above another  the lower begins about as wide as the       a dark band crosses a sector; a fan below another
                       upper was                                   begins at its tip

Two fans that touch are one patch; it has two tips, and between these nothing is seen from the top of the picture on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mcsdr.io.patches import Mask, bounding_box

LOOP_SHARE = 0.35  # of the largest loop's area, at least
LOOP_SIDES = 0.4  # of its height and of its width, at least: an ECG strip is wide and low
LOOP_FILL = 0.7  # of the share of its box that it fills, at least
LOOP_FLICKER = 0.3  # of its median σ, at least
WIDENING = 1.5  # the gap of a shadow at depth against that near the probe
AS_WIDE = 0.7  # of the upper part's width: so wide begins the lower part of a sector that a dark band cuts
TIPS_APART = 0.25  # of the width: gap between two tips, at least
TIPS_DEEP = 0.7  # of the upper third's rows show it
ALIKE = 0.5  # two fans that touch are of a size: the smaller has at least this share of the larger


def separate_loops(labels: NDArray[np.intp]) -> list[Mask]:
    """The live patches that are loops of their own, the largest first: bool [h, w] each, on a grid of cells.

    Arguments:
        labels: int [h, w], patches of what flickers, as `live_cells` gives them.
    """
    largest: Mask = labels == 1
    if not largest.any():
        return []
    found = [largest]
    for label in range(2, int(labels.max()) + 1):
        patch: Mask = labels == label
        if patch.sum() < LOOP_SHARE * largest.sum():
            break  # patches come in order of size
        if _as_large(patch, largest) and not any(_one_sector(patch, other) for other in found):
            found.append(patch)
    return _halves(largest) or found if len(found) == 1 else found


def _as_large(patch: Mask, largest: Mask) -> bool:
    box, limit = bounding_box(patch), bounding_box(largest)
    high, wide = box.bottom - box.top, box.right - box.left
    most_high, most_wide = limit.bottom - limit.top, limit.right - limit.left
    filled, most_filled = patch.sum() / (high * wide), largest.sum() / (most_high * most_wide)
    return bool(high >= LOOP_SIDES * most_high and wide >= LOOP_SIDES * most_wide and filled >= LOOP_FILL * most_filled)


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
