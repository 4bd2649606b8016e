"""Finding the ultrasound sector in a picture, cutting it out and blanking the rest.

A screen holds the beating heart and much that is not heart: text, ticks, buttons, a colour bar, an ECG trace. Live
ultrasound flickers in every pixel and frame, because speckle and noise are new each time; what is drawn on the screen
stands still, or passes over a pixel now and then. So with σ the standard deviation over time of a pixel's grey level,
its lowest and highest tenth left out,

    seen   = largest patch of  σ > τ                 (patches.py)
    sector = the fan of it, else the fan of what is not black, else its convex hull     (fan.py)

where τ is twice the flicker of the picture's quietest tenth, within bounds: it rises with the noise of a compressed or
re-recorded clip. Dark cavities and shadowed sides lie inside the shape, so they are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcsdr.io.fan import BLACK, Grey, convex_hull, fan_shape, sector_shape
from mcsdr.io.loops import LOOP_FLICKER, separate_loops
from mcsdr.io.patches import Box, Mask, bounding_box, from_cells, live_cells, main_patch
from mcsdr.study import Crop

FLICKER = (0.7, 2.5)  # bounds of τ, grey levels
BRIGHT = 16.0  # mean grey level that counts as tissue where nothing flickers
WITHIN = 0.9  # of what flickers lies in the fan of what is not black, which a codec's blocks reach beyond
FEW = 4  # every so many of the sample give the mean grey level
SMALLEST = 0.05  # a sector fills at least this share of the picture
WHOLE = 0.85  # a sector that reaches over this share of both sides needs no cutting
ALREADY_CUT = 0.6  # screens are not square, so a square picture without drawings was cut before: the same for it
DRAWN = (48, 0.002)  # grey level of drawings, and the share of a picture that they cover at least
SAMPLE = 24  # frames looked at
BAND = 128  # rows that are looked at together, so that they stay in the processor's cache
SIDE = 480  # pixels; a longer picture is looked at more coarsely


Pictures = NDArray[np.uint8] | Sequence[NDArray[np.uint8]]  # [T, H, W], or T of [H, W]


class Sector(NamedTuple):
    """Where the sector lies: its crop, and its mask over the whole picture (bool [H0, W0]).

    `found` is False where neither movement nor brightness showed a sector; the mask is then the whole box. `others` are
    the masks of further loops on the same screen.
    """

    crop: Crop
    mask: Mask
    found: bool
    others: tuple[Mask, ...] = ()


def find_sector(frames: Pictures, *, regions: Sequence[Box] = (), overlay: Mask | None = None) -> Sector:
    """The ultrasound sector of a clip.

    Arguments:
        frames: uint8 [T, H, W], or T of [H, W], luma of the whole picture.
        regions: where the file says the 2-D image lies; those that do not fit the picture are ignored, and within the
            largest that does the sector is sought as it would be in a whole picture.
        overlay: bool [H, W], pixels known to be drawn over the picture (a coloured ECG trace), never part of a sector.

    Returns:
        the sector; its crop is the bounding box of the mask, by method "regions" (a region of the file applied),
        "picture" (found in the image alone) or "whole" (the picture is all sector, nothing was cut).
    """
    height, width = frames[0].shape
    limit = fitting_region(regions, height, width)
    box = limit or Box(0, 0, height, width)
    coarse = _look(frames, overlay)
    live = coarse.live(Box(0, 0, height, width))
    labels = live_cells(live)
    inside = coarse.shape(box) if limit else coarse.shape(box, live, labels)
    mask = np.zeros((height, width), dtype=bool)
    mask[box.slices] = True if inside is None else inside
    top, left, bottom, right = bounding_box(mask)
    share = min((bottom - top) / height, (right - left) / width)
    whole = Crop(0, 0, height, width, "whole")
    panels = [] if limit is None else _beside(limit, regions, height, width)
    others = coarse.others(mask, live, labels) or coarse.moving_in(panels, mask)
    if height == width and share >= ALREADY_CUT and not others and not _anything_drawn(frames[0], mask):
        return Sector(whole, np.ones_like(mask), inside is not None)
    cut = Crop(top, left, bottom - top, right - left, "regions" if limit else "picture")
    return Sector(whole if share >= WHOLE and not others else cut, mask, inside is not None, others)


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
    fitting = [box for box in regions if _fits(box, height, width)]
    return max(fitting, key=lambda box: (box.bottom - box.top) * (box.right - box.left), default=None)


def _fits(box: Box, height: int, width: int) -> bool:
    high, wide = box.bottom - box.top, box.right - box.left
    return min(box) >= 0 and 0.25 * height <= high <= height - box.top and 0.2 * width <= wide <= width - box.left


def _beside(limit: Box, regions: Sequence[Box], height: int, width: int) -> list[Box]:
    """The other regions that could hold a sector and do not overlap the one where it is sought."""
    return [
        box
        for box in regions
        if _fits(box, height, width)
        and (box.bottom <= limit.top or box.top >= limit.bottom or box.right <= limit.left or box.left >= limit.right)
    ]


def flicker(frames: Pictures) -> NDArray[np.float32]:
    """σ of each pixel: float [H, W] from uint8 [T, H, W], or T of [H, W], T at most 256.

    With n values left of a pixel, (n σ)² = n Σx² − (Σx)², in whole numbers.
    """
    bands = [_variation([frame[top : top + BAND] for frame in frames]) for top in range(0, len(frames[0]), BAND)]
    tenth = len(frames) // 10
    deviation: NDArray[np.float32] = np.sqrt(np.concatenate(bands), dtype=np.float32)
    deviation /= len(frames) - 2 * tenth
    return deviation


def _variation(frames: Pictures) -> NDArray[np.uint32]:
    """(n σ)² of each pixel, the lowest and highest tenth of its values left out.

    These are taken off by as many rounds of a bubble sort along time, two passes over whole pictures each: a fraction
    of the time that sorting every pixel's values takes.
    """
    x, tenth = [np.array(frame) for frame in frames], len(frames) // 10
    spare = np.empty_like(x[0])
    for first in range(tenth):
        last = len(x) - 1 - first
        for i in range(first, last):  # the highest rises to `last`
            np.minimum(x[i], x[i + 1], out=spare)
            np.maximum(x[i], x[i + 1], out=x[i + 1])
            x[i], spare = spare, x[i]
        for i in range(last - 1, first, -1):  # the lowest sinks to `first`
            np.minimum(x[i - 1], x[i], out=spare)
            np.maximum(x[i - 1], x[i], out=x[i])
            x[i - 1], spare = spare, x[i - 1]
    # Sums of at most 256 values are exact as numbers of 32 bits, real ones too, which need no conversion to be added.
    total, squares, wide = (np.zeros(x[0].shape, dtype=np.float32) for _ in range(3))
    for value in x[tenth : len(x) - tenth]:
        wide[...] = value
        total += wide
        squares += np.multiply(wide, wide, out=wide)
    n, total_n, squares_n = np.uint32(len(x) - 2 * tenth), total.astype(np.uint32), squares.astype(np.uint32)
    return n * squares_n - total_n * total_n


def _anything_drawn(frame: NDArray[np.uint8], sector: Mask) -> bool:
    """Whether text or the like stands outside the sector."""
    return float(((frame > DRAWN[0]) & ~sector).mean()) > DRAWN[1]


class _Coarse(NamedTuple):
    """What is seen on a sample of frames, at every `step`-th pixel: these pixels, σ, and what is drawn over them."""

    sample: Pictures
    deviation: NDArray[np.float32]
    overlay: Mask | None
    step: int
    size: tuple[int, int]

    def shape(self, box: Box, live: Mask | None = None, labels: NDArray[np.intp] | None = None) -> Mask | None:
        """The sector's shape in a box of the picture: of what flickers, else of what is bright.

        `live` and its `live_cells` are given where they are known already. None where neither is large enough for a
        sector.
        """
        live = self.live(box) if live is None else live
        seen = main_patch(live, labels)
        if seen.sum() < SMALLEST * seen.size:
            seen = self._bright(box, BRIGHT)
        if seen.sum() < SMALLEST * seen.size:
            return None
        hull = convex_hull(seen)
        grey = self._grey(box)
        shape = fan_shape(seen, hull, grey)
        if shape is None:
            shape = self._of_bright(seen, hull, grey, box)
        top, left = box.top % self.step, box.left % self.step  # the first coarse pixel may begin before the box
        return self.full(shape)[top:, left:][: box.bottom - box.top, : box.right - box.left]

    def _of_bright(self, seen: Mask, hull: Mask, grey: Grey, box: Box) -> Mask:
        """The fan of what is not black where it holds what flickers, since codecs freeze tissue; else the hull."""
        top, left, bottom, right = bounding_box(hull)
        if min((bottom - top) / len(hull), (right - left) / hull.shape[1]) >= WHOLE:
            return hull
        bright = self._bright(box, BLACK)
        if not bright.any():
            return hull
        fan = fan_shape(bright, convex_hull(bright), grey)
        return hull if fan is None or (fan & seen).sum() < WITHIN * seen.sum() else fan

    def _bright(self, box: Box, level: float) -> Mask:
        """The largest patch in a box of the picture that is brighter than a level."""
        inside = [picture[self._part(box)] for picture in self.sample]
        mean: NDArray[np.float32] = np.mean(inside, axis=0, dtype=np.float32)
        return main_patch(self._not_drawn(mean > level, box))

    def _grey(self, box: Box) -> Grey:
        """The mean grey level in a box of the picture, of a few of its frames."""
        grey: Grey = np.mean([picture[self._part(box)] for picture in self.sample[::FEW]], axis=0, dtype=np.float32)
        return grey

    def live(self, box: Box) -> Mask:
        """What flickers in a box of the picture."""
        deviation = self.deviation[self._part(box)]
        few = deviation[::2, ::2]
        tenth = (few.size - 1) // 10
        quiet = float(np.partition(few, tenth, axis=None)[tenth])
        return self._not_drawn(deviation > min(max(2.0 * quiet, FLICKER[0]), FLICKER[1]), box)

    def others(self, sector: Mask, live: Mask, labels: NDArray[np.intp]) -> tuple[Mask, ...]:
        """The shapes of the loops that the screen shows beside a sector: bool [H, W] each."""
        separate = separate_loops(labels, live)
        if len(separate) < 2:
            return ()
        loops = [from_cells(loop, live.shape) & live for loop in separate]
        flickers = [float(np.median(self.deviation[loop])) for loop in loops]
        loops = [loop for loop, sd in zip(loops, flickers, strict=True) if sd >= LOOP_FLICKER * flickers[0]]
        if len(loops) < 2:
            return ()
        shapes = [self.full(sector_shape(loop)) for loop in loops]
        own = int(np.argmax([(shape & sector).sum() for shape in shapes]))
        return (*shapes[:own], *shapes[own + 1 :])

    def moving_in(self, panels: Sequence[Box], sector: Mask) -> tuple[Mask, ...]:
        """The shapes of what moves in other boxes of the picture about as much as the sector: bool [H, W] each."""
        own = float(np.median(self.deviation[sector[:: self.step, :: self.step]])) if panels else 0.0
        shapes = []
        for box in panels:
            part = self._part(box)
            seen = np.zeros(self.deviation.shape, dtype=bool)
            seen[part] = main_patch(self.live(box))
            if seen.sum() >= SMALLEST * seen[part].size and np.median(self.deviation[seen]) >= LOOP_FLICKER * own:
                shapes.append(self.full(sector_shape(seen)))
        return tuple(shapes)

    def full(self, mask: Mask) -> Mask:
        """A coarse mask in the picture's own pixels."""
        if self.step == 1:
            return mask
        return np.repeat(np.repeat(mask, self.step, axis=0), self.step, axis=1)[: self.size[0], : self.size[1]]

    def _part(self, box: Box) -> tuple[slice, slice]:
        step = self.step
        return slice(box.top // step, -(-box.bottom // step)), slice(box.left // step, -(-box.right // step))

    def _not_drawn(self, mask: Mask, box: Box) -> Mask:
        return mask if self.overlay is None else mask & ~self.overlay[self._part(box)]


def _look(frames: Pictures, overlay: Mask | None) -> _Coarse:
    height, width = frames[0].shape
    step = -(-max(height, width) // SIDE)
    sample = [frames[index][::step, ::step] for index in sample_indices(len(frames))]
    coarse_overlay = None if overlay is None else overlay[::step, ::step]
    return _Coarse(sample, flicker(sample), coarse_overlay, step, (height, width))


@lru_cache(64)
def sample_indices(count: int) -> tuple[int, ...]:
    """The frames of a clip of `count` that its sector is sought on, evenly spread, ascending."""
    return tuple(np.unique(np.linspace(0, count - 1, min(SAMPLE, count)).round().astype(np.intp)).tolist())
