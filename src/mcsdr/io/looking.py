"""What a sample of a clip's frames shows: where the sector lies, and how much of it shows colour flow.

Frames and colours are looked at together, because a thin coloured drawing (an ECG trace) that passes over the sector is
no part of it, and because flow counts only within the sector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcsdr.io.colour import Coloured, colour_stride, coloured_pixels
from mcsdr.io.patches import Box, Mask
from mcsdr.io.sector import Pictures, Sector, find_sector

OVERLAY_SHARE = 0.05  # of the picture: thin coloured drawings stay below, a colour box does not


class Look(NamedTuple):
    """The sector, the largest share of it that shows flow in any frame, and the first picture, uint8 [H, W]."""

    sector: Sector
    flow: float
    overview: NDArray[np.uint8]


def look(frames: Pictures, colour: NDArray[np.uint8], regions: Sequence[Box] = ()) -> Look:
    """Look at frames of a clip.

    Arguments:
        frames: uint8 [T, H, W], or T of [H, W], luma of whole pictures, the first of the clip first.
        colour: uint8 [N, h, w, 3], RGB of some of them, every `colour_stride(H, W)`-th pixel; N may be 0.
        regions: where the file says that the 2-D image lies.
    """
    if not len(colour):
        return Look(find_sector(frames, regions=regions), 0.0, frames[0].copy())
    stride = colour_stride(*frames[0].shape)
    coloured = coloured_pixels(colour)
    sector = find_sector(frames, regions=regions, overlay=_drawings(coloured, stride, frames[0].shape))
    return Look(sector, coloured.flow_share(sector.mask[::stride, ::stride]), frames[0].copy())


def _drawings(coloured: Coloured, stride: int, shape: tuple[int, ...]) -> Mask | None:
    """Pixels [H, W] that a thin coloured drawing (an ECG trace) passes over; None where there is no such drawing."""
    passed = coloured.flow().any(axis=0)
    if not passed.any() or passed.mean() > OVERLAY_SHARE:
        return None
    full: Mask = np.repeat(np.repeat(passed, stride, axis=0), stride, axis=1)
    return full[: shape[0], : shape[1]]
