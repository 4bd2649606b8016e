"""The Sequence of Ultrasound Regions: what is drawn where on the screen, and how large a pixel of it is.

spatial format   1 two-dimensional   2 M-mode   3 spectral Doppler
data type        1 tissue            2 colour flow
deltas           how far apart columns and rows lie, in cm where their unit is 3
"""

from __future__ import annotations

import math
from pathlib import Path

from pydicom.dataset import Dataset

from mcsdr.errors import NotBMode
from mcsdr.io.dicom_header import integer, number, numbers
from mcsdr.io.patches import Box
from mcsdr.io.square import plausible_aspect
from mcsdr.study import Notice

TWO_D, M_MODE, SPECTRAL = 1, 2, 3  # Region Spatial Format
TISSUE, COLOUR_FLOW = 1, 2  # Region Data Type
CENTIMETRES = 3


def tissue_regions(dataset: Dataset, height: int, width: int) -> tuple[Box, ...]:
    """The regions that show 2-D tissue in a picture of a size; one without units that fills it all does not count."""
    boxes = []
    for region in _regions(dataset):
        box = _box(region)
        unitless = integer(region, "PhysicalUnitsXDirection") == 0
        screen = box.left == box.top == 0 and box.right >= width and box.bottom >= height
        if _shows_tissue(region) and not (unitless and screen):
            boxes.append(box)
    return tuple(boxes)


def refuse_by_region(dataset: Dataset, path: Path) -> None:
    """Refuse what the regions say is no grey-scale loop.

    Raises:
        NotBMode: colour flow, or traces alone.
    """
    regions = _regions(dataset)
    if any(integer(region, "RegionDataType") == COLOUR_FLOW for region in regions):
        raise NotBMode("its header says that it holds colour flow (colour Doppler)", path=path)
    traces = {integer(region, "RegionSpatialFormat") for region in regions} & {M_MODE, SPECTRAL}
    if traces and not any(_shows_tissue(region) for region in regions):
        name = "M-mode" if M_MODE in traces else "spectral Doppler"
        raise NotBMode(f"its header says that it is {name}", path=path)


def pixel_aspect(dataset: Dataset) -> tuple[float, tuple[Notice, ...]]:
    """Width of a pixel over its height, 1 where the file does not say otherwise; and what must be said of it.

    The largest tissue region's deltas go before Pixel Aspect Ratio, which is height to width, and Pixel Spacing.
    """
    found = _from_regions(dataset)
    for keyword in ("PixelAspectRatio", "PixelSpacing"):
        pair = numbers(dataset, keyword)
        if found is None and len(pair) == 2:
            found = pair[1] / pair[0] if pair[0] else math.nan
    if found is None:
        return 1.0, ()
    if not plausible_aspect(found):
        text = "The shape of a pixel that the file states makes no sense; square pixels were assumed."
        return 1.0, (Notice("spacing-implausible", text),)
    return found, ()


def _from_regions(dataset: Dataset) -> float | None:
    """Aspect by the deltas of the largest tissue region in centimetres, None where there is none."""
    measured = []
    for region in _regions(dataset):
        box = _box(region)
        across, down = number(region, "PhysicalDeltaX"), number(region, "PhysicalDeltaY")
        units = {integer(region, f"PhysicalUnits{axis}Direction") for axis in "XY"}
        if _shows_tissue(region) and units == {CENTIMETRES} and across and down:
            area = (box.right - box.left) * (box.bottom - box.top)
            measured.append((area, abs(across) / abs(down)))  # rows and columns may count upwards
    return max(measured)[1] if measured else None


def _box(region: Dataset) -> Box:
    left, top, right, bottom = (
        integer(region, f"RegionLocation{corner}", -1) for corner in ("MinX0", "MinY0", "MaxX1", "MaxY1")
    )
    return Box(top, left, bottom + 1, right + 1)


def _shows_tissue(region: Dataset) -> bool:
    return integer(region, "RegionSpatialFormat") == TWO_D and integer(region, "RegionDataType") == TISSUE


def _regions(dataset: Dataset) -> list[Dataset]:
    return list(dataset.get("SequenceOfUltrasoundRegions") or [])
