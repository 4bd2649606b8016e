"""Pictures of an ultrasound DICOM with everything outside the ultrasound sector black (PS3.15, Clean Pixel Data).

    keep = ⋃ over regions R of  sector in R, else R itself       where the header names 2-D tissue regions
         = sector in the whole picture                            where it names none
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
from pydicom.dataset import Dataset

from mcsdr.errors import Identifiable, UnreadableFile
from mcsdr.io.dicom import tissue_regions
from mcsdr.io.dicom_pixels import decode_frames
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


def clean_pictures(dataset: Dataset, path: Path) -> Pictures:
    """The frames of a data set, blanked outside of what shows tissue: uint8 [T, H, W], or [T, H, W, 3] in RGB.

    Raises:
        UnreadableFile, UnsupportedFormat: the pixels do not decode, or more than a twentieth of the frames is missing.
        Identifiable: nothing says where text may stand in the picture.
    """
    if "PixelData" not in dataset:
        raise UnreadableFile("it holds no pixel data", path=path)
    _clear_spare_bits(dataset)
    declared = int(dataset.get("NumberOfFrames") or 1)
    dataset.NumberOfFrames = declared  # a still does not say it
    screens = _Screens(path, declared, int(dataset.Rows), int(dataset.Columns))
    decode_frames(dataset, screens)
    screens.missing()
    shown, luma = screens.shown, screens.frames()
    if len({picture.ndim for picture in shown}) > 1:
        shown = [picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2) for picture in shown]
    keep = kept(luma, tissue_regions(dataset), str(dataset.get("BurnedInAnnotation") or "") == "NO", path)
    pictures = np.stack(shown)
    pictures[:, ~keep] = 0
    return pictures


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
    """The sector's own shape, None where there is none.

    `find_sector` takes a square picture with little drawn outside of the sector as it is; a black column keeps it from
    that, because the little may be a name.
    """
    if min(luma.shape[1:]) < 2:
        return None
    sector = find_sector(np.pad(luma, ((0, 0), (0, 0), (0, 1 + (luma.shape[1] == luma.shape[2] + 1)))))
    return sector.mask[:, : luma.shape[2]] if sector.found else None


def _clear_spare_bits(dataset: Dataset) -> None:
    """Bits above those stored once held overlays; they go before anything is made of them."""
    stored, allocated = int(dataset.get("BitsStored") or 0), int(dataset.get("BitsAllocated") or 0)
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated or not 0 < stored < allocated or allocated not in (8, 16):
        return
    kind = "<u2" if allocated == 16 else "u1"
    content = dataset.PixelData[: len(dataset.PixelData) // np.dtype(kind).itemsize * np.dtype(kind).itemsize]
    dataset.PixelData = (np.frombuffer(content, dtype=kind) & ((1 << stored) - 1)).astype(kind).tobytes()
