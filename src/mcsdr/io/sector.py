"""Finding the ultrasound sector in a picture, cutting it out and blanking the rest.

A screen holds the beating heart and much that is not heart: text, ticks, buttons, a colour bar, an ECG trace. Live
ultrasound flickers in every pixel and frame, because speckle and noise are new each time; what is drawn on the screen
stands still, or passes over a pixel now and then. So with σ the standard deviation over time of a pixel's grey level,
its lowest and highest tenth left out,

    seen   = largest patch of  σ > τ                 (patches.py)
    sector = the fan, else the convex hull, of it     (fan.py)

where τ is twice the flicker of the picture's quietest tenth, within bounds: it rises with the noise of a compressed or
re-recorded clip. Dark cavities and shadowed sides lie inside the shape, so they are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcsdr.io.fan import sector_shape
from mcsdr.io.patches import Box, Mask, bounding_box, main_patch
from mcsdr.study import Crop

FLICKER = (0.7, 2.5)  # bounds of τ, grey levels
BRIGHT = 16.0  # mean grey level that counts as tissue where nothing flickers
SMALLEST = 0.05  # a sector fills at least this share of the picture
WHOLE = 0.85  # a sector that reaches over this share of both sides needs no cutting
ALREADY_CUT = 0.6  # screens are not square, so a square picture without drawings was cut before: the same for it
DRAWN = (48, 0.002)  # grey level of drawings, and the share of a picture that they cover at least
SAMPLE = 32  # frames looked at
SIDE = 640  # pixels; a longer picture is looked at more coarsely


class Sector(NamedTuple):
    """Where the sector lies: its crop, and its mask over the whole picture (bool [H0, W0]).

    `found` is False where neither movement nor brightness showed a sector; the mask is then the whole box.
    """

    crop: Crop
    mask: Mask
    found: bool


def find_sector(frames: NDArray[np.uint8], *, regions: Sequence[Box] = (), overlay: Mask | None = None) -> Sector:
    """The ultrasound sector of a clip.

    Arguments:
        frames: uint8 [T, H, W], luma of the whole picture.
        regions: where the file says the 2-D image lies; those that do not fit the picture are ignored, and within the
            largest that does the sector is sought as it would be in a whole picture.
        overlay: bool [H, W], pixels known to be drawn over the picture (a coloured ECG trace), never part of a sector.

    Returns:
        the sector; its crop is the bounding box of the mask, by method "regions" (a region of the file applied),
        "picture" (found in the image alone) or "whole" (the picture is all sector, nothing was cut).
    """
    height, width = frames.shape[1:]
    limit = fitting_region(regions, height, width)
    box = limit or Box(0, 0, height, width)
    inside = _sector_mask(frames[(slice(None), *box.slices)], None if overlay is None else overlay[box.slices])
    mask = np.zeros((height, width), dtype=bool)
    mask[box.slices] = True if inside is None else inside
    top, left, bottom, right = bounding_box(mask)
    share = min((bottom - top) / height, (right - left) / width)
    whole = Crop(0, 0, height, width, "whole")
    if height == width and share >= ALREADY_CUT and not _anything_drawn(frames[0], mask):
        return Sector(whole, np.ones_like(mask), inside is not None)
    cut = Crop(top, left, bottom - top, right - left, "regions" if limit else "picture")
    return Sector(whole if share >= WHOLE else cut, mask, inside is not None)


def cut_sector(frames: NDArray[np.uint8], sector: Sector) -> NDArray[np.uint8]:
    """The frames cut to the sector's box, everything outside its mask set to 0: uint8 [T, height, width]."""
    crop = sector.crop
    rows, columns = slice(crop.top, crop.top + crop.height), slice(crop.left, crop.left + crop.width)
    cut: NDArray[np.uint8] = frames[:, rows, columns] * sector.mask[rows, columns]
    return cut


def fitting_region(regions: Sequence[Box], height: int, width: int) -> Box | None:
    """The largest region that lies within the picture and is large enough to hold a sector, or None.

    Files that were scaled down keep the region of the original size; such a region reaches past the picture.
    """
    fitting = [
        box
        for box in regions
        if min(box) >= 0
        and 0.25 * height <= box.bottom - box.top <= height - box.top
        and 0.2 * width <= box.right - box.left <= width - box.left
    ]
    return max(fitting, key=lambda box: (box.bottom - box.top) * (box.right - box.left), default=None)


def flicker(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """σ of each pixel: float [H, W] from uint8 [T, H, W]."""
    ordered = np.sort(np.ascontiguousarray(np.moveaxis(frames, 0, -1)), axis=-1)
    tenth = len(frames) // 10
    kept = ordered[..., tenth : len(frames) - tenth]
    deviation: NDArray[np.float32] = kept.std(axis=-1, dtype=np.float32)
    return deviation


def _anything_drawn(frame: NDArray[np.uint8], sector: Mask) -> bool:
    """Whether text or the like stands outside the sector."""
    return float(((frame > DRAWN[0]) & ~sector).mean()) > DRAWN[1]


def _sector_mask(frames: NDArray[np.uint8], overlay: Mask | None) -> Mask | None:
    """The shape of what flickers, else of what is bright; None where neither is large enough for a sector."""
    height, width = frames.shape[1:]
    step = -(-max(height, width) // SIDE)
    at = np.unique(np.linspace(0, len(frames) - 1, SAMPLE).round().astype(int))
    sample = frames[at, ::step, ::step]
    deviation = flicker(sample)
    threshold = np.clip(2.0 * np.percentile(deviation, 10), *FLICKER)
    for live in (deviation > threshold, sample.mean(axis=0, dtype=np.float32) > BRIGHT):
        if overlay is not None:
            live &= ~overlay[::step, ::step]
        seen = main_patch(live)
        if seen.sum() >= SMALLEST * seen.size:
            shape = sector_shape(seen)
            return np.repeat(np.repeat(shape, step, axis=0), step, axis=1)[:height, :width]
    return None
