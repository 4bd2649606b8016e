"""Keeping of every frame only its sector, so that a long clip of large pictures fits into memory.

    sample frames --whole--> sector --> the other frames, each cut as it comes

The sector is sought on a sample of at most 24 frames, evenly spread over the clip. A reader that can reach any frame
decodes them in the `order` given, the sample first, and then holds at most the sample's whole pictures beside what is
kept. One that meets the frames in their order of time either keeps them all whole until the last, or goes over the file
twice: a first time for the frames that the stack `samples`, a second time for the others.

    stack = SectorStack(path, count, height, width)
    for index in stack.order():
        stack.add(decoded(index), rgb, index)
    frames, look = stack.cut()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcsdr.errors import UnreadableFile
from mcsdr.io.blank import Blank
from mcsdr.io.colour import COLOUR_FRAMES, colour_stride
from mcsdr.io.looking import Look, look
from mcsdr.io.patches import Box
from mcsdr.io.recording import MAX_BYTES, FrameStack
from mcsdr.io.sector import sample_indices
from mcsdr.io.square import squared, squared_size

SMALL = 1 << 24  # bytes of whole pictures that lie in one piece
MAX_DECODED = 4 << 30  # pixels of all frames together, each decoded once or twice

Pictures = NDArray[np.uint8]


class SectorStack(FrameStack):
    """Collects frames in any order, finds the sector on a sample of them, and keeps of all only that.

    Arguments:
        path: the file, for messages.
        count: how many frames it holds; 0 where that is not known before they are decoded.
        height, width: of its pictures as stored, in pixels.
        aspect: width of a pixel over its height; pictures are made square as they are added.
        regions: where the file says that the 2-D image lies, in pixels as stored.

    Raises:
        UnreadableFile: as for `FrameStack`; what is kept counts, not what is decoded.
        EmptyPicture: large, and nothing has been seen so far.
    """

    def __init__(
        self, path: Path, count: int, height: int, width: int, *, aspect: float = 1.0, regions: Sequence[Box] = ()
    ) -> None:
        super().__init__(path, count, height, width)
        if count * height * width > MAX_DECODED:
            size = f"{count} frames of {width} x {height} pixels"
            raise UnreadableFile(
                f"it declares {size}; at most {MAX_DECODED >> 30} Gi pixels are decoded",
                path=path,
                next_step="Export a shorter part of the clip, or a smaller picture.",
            )
        self.aspect = aspect
        self._size = squared_size(height, width, aspect)
        self._regions = [_scaled(box, self._size[0] / height, self._size[1] / width) for box in regions]
        sample = sample_indices(count) if count else ()
        self._sample = dict.fromkeys(sample)
        self._coloured = set(sample[:: max(1, len(sample) // COLOUR_FRAMES)][: COLOUR_FRAMES + 1])
        self._stride, self._is_square = colour_stride(*self._size), self._size == (height, width)
        self._block = self._room(count)
        self._whole: dict[int, Pictures] = {}
        self._kept: Pictures | None = None
        self._look: Look | None = None
        self._blank = Blank(path)

    def order(self) -> list[int]:
        """Every index below the count: those of the sample first."""
        return [*self._sample, *(index for index in range(self.declared) if index not in self._sample)]

    def passes(self) -> Sequence[Callable[[int], bool]]:
        """All frames at once; where they are too many to be kept whole, first those that show the sector."""
        return (self.samples, lambda index: not self.samples(index)) if self.is_large else super().passes()

    def samples(self, index: int) -> bool:
        """Whether the sector is sought on this frame; all are looked at where the count is not known."""
        return not self.declared or index in self._sample

    @property
    def is_large(self) -> bool:
        """Whether all pictures together are too many to be kept whole."""
        return self.declared * self._size[0] * self._size[1] > MAX_BYTES

    def add(
        self, luma: NDArray[np.uint8], rgb: Callable[[], NDArray[np.uint8]] | None, index: int | None = None
    ) -> None:
        """Take one frame; arguments as for `FrameStack.add`. What is kept of it is a copy."""
        if luma.shape != (self.height, self.width):
            raise UnreadableFile("the size of its picture changes from frame to frame", path=self.path)
        at = index if index is not None else (self.indices[-1] + 1 if self.indices else 0)
        if rgb is not None and (at in self._coloured or (not self.declared and self._takes_colour())):
            colour = self._square(rgb())
            self._colour.append(np.ascontiguousarray(colour[:: self._stride, :: self._stride]))
        picture = self._square(luma)
        self.indices.append(at)
        if self._look is not None:
            self._keep(picture, at)
            return
        self._blank.look(picture, at)
        if at < len(self._block):
            self._block[at] = picture
        else:
            self._check_bytes(len(self.indices) * picture.size)
            self._whole[at] = np.array(picture)
        if len(self.indices) == len(self._sample) and self._sample.keys() == set(self.indices):
            self._find()

    def cut(self) -> tuple[Pictures, Look]:
        """The frames in order of time, cut to the sector: uint8 [T, height, width]; and what was seen.

        They are handed over, not kept. `indices` are ascending from then on.

        Raises:
            UnreadableFile: there is none.
        """
        if not self.indices:
            raise UnreadableFile("no frame of it could be decoded", path=self.path)
        if self._look is None:
            self._find()
        assert self._kept is not None
        assert self._look is not None
        self.indices = sorted(set(self.indices))
        kept, self._kept = self._kept, None
        whole = self.indices[-1] + 1 == len(self.indices)
        return kept[: len(self.indices)] if whole else kept[self.indices], self._look

    def _room(self, count: int) -> Pictures:
        """One piece of memory for all pictures whole, which is kept where nothing is cut away; none for many."""
        return np.empty((count if count * self._size[0] * self._size[1] <= SMALL else 0, *self._size), dtype=np.uint8)

    def _square(self, picture: Pictures) -> Pictures:
        """A picture [H, W] or [H, W, 3] in square pixels; itself where they are."""
        return picture if self._is_square else squared(picture[None], self.aspect)[0]

    def _taken(self, at: int) -> Pictures:
        """A picture that was taken whole, by its place in the file."""
        taken: Pictures = self._block[at] if at < len(self._block) else self._whole[at]
        return taken

    def _takes_colour(self) -> bool:
        return len(self) % 4 == 0 and len(self._colour) <= COLOUR_FRAMES

    def _find(self) -> None:
        """Look at what is there, and cut it."""
        places = sorted(set(self.indices))
        sample = [self._taken(places[i]) for i in sample_indices(len(places))]
        self._look = look(sample, self.colour(), self._regions)
        crop = self._look.sector.crop
        rows, columns = slice(crop.top, crop.top + crop.height), slice(crop.left, crop.left + crop.width)
        self._box, self._mask = (rows, columns), np.uint8(255) * self._look.sector.mask[rows, columns]
        if (crop.height, crop.width) == self._size and places[-1] < len(self._block):
            self._kept = np.bitwise_and(self._block, self._mask, out=self._block)
            self._whole.clear()
        else:
            self._kept = np.empty((max(self.declared, places[-1] + 1), crop.height, crop.width), dtype=np.uint8)
            self._check_bytes(self._kept.size)
            if len(places) == places[-1] + 1 <= len(self._block):
                np.bitwise_and(self._block[: len(places), rows, columns], self._mask, out=self._kept[: len(places)])
                places = []
            for place in places:
                self._keep(self._taken(place), place)
                self._whole.pop(place, None)
        self._block = self._room(0)

    def _keep(self, picture: Pictures, at: int) -> None:
        assert self._kept is not None
        if at >= len(self._kept):
            self._check_bytes(2 * self._kept.size)
            self._kept = np.concatenate([self._kept, np.empty_like(self._kept)])
        np.bitwise_and(picture[self._box], self._mask, out=self._kept[at])

    def _check_count(self, count: int) -> None:
        self._check_frames(count)

    def _check_bytes(self, size: int) -> None:
        if size > MAX_BYTES:
            raise UnreadableFile(
                f"more than {MAX_BYTES >> 20} MiB of it would have to be kept when decoded",
                path=self.path,
                next_step="Export a shorter part of the clip, or a smaller picture.",
            )


def _scaled(box: Box, down: float, across: float) -> Box:
    return Box(round(box.top * down), round(box.left * across), round(box.bottom * down), round(box.right * across))
