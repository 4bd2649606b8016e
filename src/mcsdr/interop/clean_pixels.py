"""Pictures of an ultrasound DICOM with everything outside the ultrasound sector black (PS3.15, Clean Pixel Data).

    keep = ⋃ over regions R of  sectors in R, else R itself      where the header names 2-D tissue regions
         = sectors in the whole picture                           where it names none
         = the whole picture                                      where there is no sector, and nothing is burnt in

Names stand in the banner around the picture, and sometimes in a corner of a region: so the sector is sought in regions
too. A region that reaches past the picture, or is the whole of it, says nothing of where text stands and does not
count. What is drawn over the sector itself is not found.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcsdr.errors import Identifiable
from mcsdr.io.dicom_file import DicomFile
from mcsdr.io.dicom_header import text
from mcsdr.io.dicom_pixels import frames_of, missing_frames
from mcsdr.io.dicom_regions import tissue_regions
from mcsdr.io.patches import Box, Mask
from mcsdr.io.recording import FrameStack
from mcsdr.io.sector import find_sector

Pictures = NDArray[np.uint8]


class _Screens(FrameStack):
    """Keeps the whole of every frame, in colour where it has colour."""

    def __init__(self, path: Path, declared: int, height: int, width: int) -> None:
        super().__init__(path, declared, height, width)
        self.shown: list[Pictures] = []

    def add(
        self, luma: NDArray[np.uint8], rgb: Callable[[], NDArray[np.uint8]] | None, index: int | None = None
    ) -> None:
        super().add(luma, None, index)
        self.shown.append(luma if rgb is None else rgb())


def clean_pictures(file: DicomFile) -> tuple[Pictures, list[int]]:
    """The frames of a file, blanked outside of what shows tissue.

    Returns:
        uint8 [T, H, W], or [T, H, W, 3] in RGB; and the place in the file of each.

    Raises:
        UnreadableFile, UnsupportedFormat: the pixels do not decode, or more than a twentieth of the frames is missing.
        Identifiable: nothing says where text may stand in the picture.
    """
    frames = frames_of(file)
    screens = _Screens(file.path, frames.count, frames.height, frames.width)
    frames.decode(screens)
    missing_frames(frames, screens, file)
    shown, luma = screens.shown, screens.frames()
    if len({picture.ndim for picture in shown}) > 1:
        shown = [picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2) for picture in shown]
    regions = tissue_regions(file.dataset, frames.height, frames.width)
    keep = kept(luma, regions, text(file.dataset, "BurnedInAnnotation") == "NO", file.path)
    pictures = np.stack(shown)
    pictures[:, ~keep] = 0
    return pictures, screens.indices


def kept(luma: Pictures, regions: tuple[Box, ...], nothing_burnt_in: bool, path: Path) -> Mask:
    """The pixels bool [H, W] that may stay.

    Raises:
        Identifiable: no region, no sector, and the header does not say that nothing is burnt in.
    """
    height, width = luma.shape[1:]
    keep = np.zeros((height, width), dtype=bool)
    telling = [box for box in regions if _tells(box, height, width)]
    for box in telling or [Box(0, 0, height, width)]:
        sector = _sector(luma[(slice(None), *box.slices)])
        if sector is None and not (telling or nothing_burnt_in):
            cause = "it names no ultrasound region, no sector was found in its picture, and text may be burnt in"
            raise Identifiable(cause, path=path)
        keep[box.slices] |= True if sector is None else sector
    return keep


def _tells(box: Box, height: int, width: int) -> bool:
    """Whether a region lies within the picture and is not all of it."""
    inside = 0 <= box.top < box.bottom <= height and 0 <= box.left < box.right <= width
    return inside and (box.bottom - box.top < height or box.right - box.left < width)


def _sector(luma: Pictures) -> Mask | None:
    """The shapes of all sectors that the picture shows, None where there is none.

    `find_sector` takes a square picture with little drawn outside of the sector as it is; a black column keeps it from
    that, because the little may be a name.
    """
    if min(luma.shape[1:]) < 2:
        return None
    sector = find_sector(np.pad(luma, ((0, 0), (0, 0), (0, 1 + (luma.shape[1] == luma.shape[2] + 1)))))
    shapes = np.logical_or.reduce([sector.mask, *sector.others])
    return shapes[:, : luma.shape[2]] if sector.found else None
