"""Keeping of every frame only its sector, in one pass over a file whose frames come in order of time.

    first frames, whole --> a provisional box, with a margin --> every frame's box, and the sample's frames whole
    at the end: sample --whole--> sector, as for every clip --> the box cut to it

The first second shows nearly all of the sector. Where it did not, and the sector reaches beyond the box, the file has
to be gone over again (cutting.py).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mcsdr.errors import UnreadableFile
from mcsdr.io.cutting import Pictures, SectorStack
from mcsdr.io.looking import Look, look
from mcsdr.io.patches import Box
from mcsdr.io.sector import sample_indices

WHOLE_BYTES = 1 << 28  # of whole pictures; of a video that has more only the sector is kept
FIRST = 48  # frames that give the provisional box
MARGIN = 0.03  # of the picture's sides, on each side of it


class StreamingStack(SectorStack):
    """Collects frames in order of time; arguments and errors as for `SectorStack`, the count known."""

    @property
    def is_large(self) -> bool:
        """Never: one pass is enough."""
        return False

    def add(
        self, luma: NDArray[np.uint8], rgb: Callable[[], NDArray[np.uint8]] | None, index: int | None = None
    ) -> None:
        """Take the next frame; arguments as for `FrameStack.add`."""
        if luma.shape != (self.height, self.width):
            raise UnreadableFile("the size of its picture changes from frame to frame", path=self.path)
        at = len(self) if index is None else index
        if rgb is not None and at in self._coloured:
            colour = self._square(rgb())
            self._colour.append(np.ascontiguousarray(colour[:: self._stride, :: self._stride]))
        picture = self._square(luma)
        self._blank.look(picture, at)
        if at in self._sample or self._kept is None:
            self._whole[at] = np.array(picture)
        self.indices.append(at)
        if self._kept is not None:
            self._put(picture, len(self) - 1)
        elif len(self) == FIRST:
            self._provide()

    def holds_the_sector(self) -> bool:
        """Whether the sector that the sample shows lies in the box that was kept."""
        if not self.indices or self._kept is None:
            return False
        places = sorted(place for place in self._whole if place in self._sample)
        shown = [self._whole.pop(place) for place in places]
        self._look = look(shown, self.colour(), self._regions)
        crop, box = self._look.sector.crop, self._wide
        return (
            box.top <= crop.top
            and box.left <= crop.left
            and crop.top + crop.height <= box.bottom
            and crop.left + crop.width <= box.right
        )

    def cut(self) -> tuple[Pictures, Look]:
        """The frames in order of time, cut to the sector, once `holds_the_sector`; they are handed over, not kept."""
        assert self._look is not None
        assert self._kept is not None
        crop, wide = self._look.sector.crop, self._kept[: len(self)]
        self._kept = None
        mask = np.uint8(255) * self._look.sector.mask[crop.top :, crop.left :][: crop.height, : crop.width]
        top, left = crop.top - self._wide.top, crop.left - self._wide.left
        # A frame's cut is no larger than its box, so that it can be moved to its place in the same memory.
        cut = wide.reshape(-1)[: len(wide) * mask.size].reshape(len(wide), *mask.shape)
        for at, box in enumerate(wide):
            cut[at] = box[top : top + crop.height, left : left + crop.width] & mask
        return cut, self._look

    def _provide(self) -> None:
        """Find the provisional box, and keep of the frames so far what lies in it."""
        places = sorted(self._whole)
        shown = [self._whole[places[i]] for i in sample_indices(len(places))]
        crop = look(shown, self.colour(), self._regions).sector.crop
        height, width = self._size
        down, across = round(MARGIN * height), round(MARGIN * width)
        self._wide = Box(
            max(0, crop.top - down),
            max(0, crop.left - across),
            min(height, crop.top + crop.height + down),
            min(width, crop.left + crop.width + across),
        )
        sides = self._wide.bottom - self._wide.top, self._wide.right - self._wide.left
        self._check_bytes(self.declared * sides[0] * sides[1])
        self._kept = np.empty((self.declared, *sides), dtype=np.uint8)
        for number, place in enumerate(places):
            picture = self._whole[place] if place in self._sample else self._whole.pop(place)
            self._put(picture, number)

    def _put(self, picture: Pictures, number: int) -> None:
        assert self._kept is not None
        if number >= len(self._kept):
            raise UnreadableFile("it holds more frames than were counted", path=self.path)
        self._kept[number] = picture[self._wide.slices]
