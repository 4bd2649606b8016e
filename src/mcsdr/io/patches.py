"""Patches of a mask: cleaning it of thin structures, and finding its connected parts.

A mask is cleaned on a grid of cells of c x c pixels: a cell is set where at least half of its pixels are, and then an
opening (erosion, then dilation, by 3 x 3 cells) removes whatever is thinner than three cells.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

CELLS = 120  # cells along the picture's shorter side
NEAR_FIELD = 0.03  # share of the largest patch that a patch above it must have to belong to it


class Box(NamedTuple):
    """A rectangle of pixels: rows top…bottom-1, columns left…right-1."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the box in a picture [H, W]."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def bounding_box(mask: Mask) -> Box:
    """The smallest box that holds every true pixel of a mask that has one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)


def main_patch(mask: Mask, labels: NDArray[np.intp] | None = None) -> Mask:
    """The true pixels of the largest patch, freed of thin structures, with the near field above it: bool [H, W].

    `labels` are the mask's `live_cells`, where these are known already.
    """
    labels = live_cells(mask) if labels is None else labels
    return from_cells(_with_near_field(labels), mask.shape) & mask


def live_cells(mask: Mask) -> NDArray[np.intp]:
    """Patches of a mask's cells, freed of thin structures: int [h, w], 0 outside, 1 the largest, then 2, …"""
    return components(dilate(erode(_majority(mask, _cell(mask.shape)))))


def from_cells(cells: Mask, shape: tuple[int, ...]) -> Mask:
    """Cells as the pixels of a picture of a shape [H, W]."""
    cell = _cell(shape)
    full: Mask = np.repeat(np.repeat(cells, cell, axis=0), cell, axis=1)[: shape[0], : shape[1]]
    return full


def _cell(shape: tuple[int, ...]) -> int:
    return max(1, int(min(shape)) // CELLS)


def components(mask: Mask) -> NDArray[np.intp]:
    """Patches of true pixels connected through edges or corners: int [H, W], 0 outside, 1 the largest, then 2, …"""
    rows, columns = np.nonzero(np.diff(mask, axis=1, prepend=False, append=False))
    row, start, stop = rows[::2], columns[::2], columns[1::2]  # the runs, those of a row from left to right
    root = _roots(row, start, stop)
    sizes = np.bincount(root, weights=stop - start, minlength=len(row))
    rank = np.empty(len(row), dtype=np.intp)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(1, len(row) + 1)
    step = np.zeros((len(mask), mask.shape[1] + 1), dtype=np.intp)
    step[row, start], step[row, stop] = rank[root], -rank[root]
    labels: NDArray[np.intp] = np.cumsum(step[:, :-1], axis=1)
    return labels


def _roots(row: NDArray[np.intp], start: NDArray[np.intp], stop: NDArray[np.intp]) -> NDArray[np.intp]:
    """The first run of the patch that each run belongs to; the least of its neighbours' is taken until all agree."""
    wide = 2 + int(stop.max(initial=0))
    above = (row - 1) * wide  # a run touches those above that end where it starts or later, and start where it ends
    first = np.searchsorted(row * wide + stop, above + start)
    touched = np.maximum(np.searchsorted(row * wide + start, above + stop, side="right") - first, 0)
    lower = np.repeat(np.arange(len(row)), touched)
    upper = np.arange(len(lower)) + np.repeat(first - np.cumsum(touched) + touched, touched)
    root = np.arange(len(row))
    while True:
        least = root.copy()
        np.minimum.at(least, lower, root[upper])
        np.minimum.at(least, upper, root[lower])
        least = least[least]
        if np.array_equal(least, root):
            return root
        root = least


def _with_near_field(labels: NDArray[np.intp]) -> Mask:
    """The largest patch, with every smaller one above it that its columns enclose.

    A dark band can cut the near field off from the rest; an ECG strip lies below the sector, text at its sides.
    """
    patch: Mask = labels == 1
    if not patch.any():
        return patch
    size, box = patch.sum(), bounding_box(patch)
    for label in range(2, int(labels.max()) + 1):
        other = labels == label
        if other.sum() < NEAR_FIELD * size:
            break  # patches come in order of size
        place = bounding_box(other)
        if place.bottom < box.bottom and box.left <= place.left and place.right <= box.right:
            patch |= other
    return patch


def _majority(mask: Mask, cell: int) -> Mask:
    """Whether at least half of the pixels of each cell are true; the picture is padded with false."""
    if cell == 1:
        return mask
    height, width = mask.shape
    padded = np.pad(mask, ((0, -height % cell), (0, -width % cell)))
    cells = padded.reshape(padded.shape[0] // cell, cell, padded.shape[1] // cell, cell)
    share: NDArray[np.float64] = cells.mean(axis=(1, 3))
    return share >= 0.5


def dilate(mask: Mask, cross: bool = False) -> Mask:
    """True where any of the 3 x 3 neighbours in [..., H, W] is true; of those along edges only, where `cross`."""
    padded = np.pad(mask, [(0, 0)] * (mask.ndim - 2) + [(1, 1), (1, 1)])
    rows = padded[..., :-2, :] | padded[..., 1:-1, :] | padded[..., 2:, :]
    middle = padded[..., 1:-1, :] if cross else rows
    grown: Mask = middle[..., :-2] | rows[..., 1:-1] | middle[..., 2:]
    return grown


def erode(mask: Mask, cross: bool = False) -> Mask:
    """True where all of the 3 x 3 neighbours are true; what lies beyond the picture counts as true."""
    return ~dilate(~mask, cross)
