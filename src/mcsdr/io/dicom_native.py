"""Uncompressed pixels: how the samples of a frame are arranged, and where each frame lies.

    one sample a pixel       grey, or the index of a palette
    three a pixel            c₁c₂c₃ c₁c₂c₃ …, or plane by plane (Planar Configuration 1)
    two a pixel              Y₀Y₁CbCr Y₂Y₃CbCr …: YBR_FULL_422 and YBR_PARTIAL_422

YBR_FULL_422 stands over both of the latter, and over plain RGB. The number of bytes tells them apart, and where frames
are miscounted too the samples do: of two arrangements the one whose picture is nearer to grey. So does a missing Planar
Configuration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mcsdr.errors import UnreadableFile, UnsupportedFormat
from mcsdr.io.dicom_file import DicomFile, StoredPixels
from mcsdr.io.dicom_header import integer, number

Order = Literal["grey", "pixels", "planes", "422"]
SAMPLES = {"grey": 1.0, "pixels": 3.0, "planes": 3.0, "422": 2.0}
NEEDED = {
    "BitsAllocated": "Bits Allocated",
    "SamplesPerPixel": "Samples per Pixel",
    "Rows": "Rows",
    "Columns": "Columns",
}
LIMITED = (16.0, 235.0)  # black and white of YBR_PARTIAL

Picture = NDArray[np.uint8]
Samples = NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class NativeFrames:
    """Where uncompressed frames lie, and what they hold.

    Arguments:
        pixels: where the bytes are.
        count: of frames that are wholly there.
        height, width: in pixels.
        order: of the samples.
        bits, allocated: of a sample that are used, and that it takes.
    """

    pixels: StoredPixels
    count: int
    height: int
    width: int
    order: Order
    bits: int
    allocated: int

    def stored(self, index: int) -> Samples:
        """The samples of a frame, [H, W] or [H, W, 3], as wide as they are stored."""
        size = _frame_bytes(self.height, self.width, self.order, self.allocated)
        values = self._values(index * size, size)
        if self.bits < self.allocated:  # bits above those stored once held overlays
            values = values & values.dtype.type((1 << self.bits) - 1)
        return _arranged(values, self.height, self.width, self.order)

    def _values(self, start: int, size: int) -> Samples:
        """Some bytes of the pixels as numbers."""
        pixels = self.pixels
        if self.allocated == 8 and pixels.big_endian and pixels.words:  # two bytes of a word are the other way round
            first = start // 2 * 2
            pairs = np.frombuffer(
                pixels.read(pixels.start + first, (start + size + 1) // 2 * 2 - first), dtype=np.uint8
            )
            return pairs.reshape(-1, 2)[:, ::-1].reshape(-1)[start - first :][:size]
        kind = "u1" if self.allocated == 8 else ">u2" if pixels.big_endian else "<u2"
        return np.frombuffer(pixels.read(pixels.start + start, size), dtype=kind)


def native_frames(file: DicomFile, model: str) -> NativeFrames:
    """The frames of uncompressed pixels.

    Raises:
        UnreadableFile: the header lacks what describes them.
        UnsupportedFormat: numbers that no ultrasound machine writes.
    """
    assert file.pixels is not None
    dataset, path = file.dataset, file.path
    for keyword, name in NEEDED.items():
        if number(dataset, keyword) is None and not (keyword == "SamplesPerPixel" and model):
            raise UnreadableFile(f"its header does not say {name}, without which no pixel can be read", path=path)
    allocated = integer(dataset, "BitsAllocated")
    if integer(dataset, "PixelRepresentation") or allocated not in (8, 16):
        raise UnsupportedFormat(
            "its pixels are not unsigned 8- or 16-bit numbers",
            path=path,
            next_step="Export the clip again as JPEG baseline, RLE or uncompressed DICOM, or as AVI.",
        )
    height, width = integer(dataset, "Rows"), integer(dataset, "Columns")
    bits = min(allocated, integer(dataset, "BitsStored", allocated) or allocated)
    order = _order(file, model, height, width, allocated)
    size = _frame_bytes(height, width, order, allocated)
    count = file.pixels.length // size if size else 0
    return NativeFrames(file.pixels, count, height, width, order, bits, allocated)


def _order(file: DicomFile, model: str, height: int, width: int, allocated: int) -> Order:
    dataset, pixels = file.dataset, file.pixels
    assert pixels is not None
    coloured = model.startswith("YBR") or model == "RGB"
    if integer(dataset, "SamplesPerPixel", 3 if coloured else 1) != 3:
        return "grey"
    orders: list[Order] = ["pixels", "planes"]
    if number(dataset, "PlanarConfiguration") is not None:
        orders = ["planes" if integer(dataset, "PlanarConfiguration") == 1 else "pixels"]
    if "422" in model and allocated == 8 and width % 2 == 0:
        declared = integer(dataset, "NumberOfFrames", 1)
        fits = [
            order
            for order in ("422", *orders)
            if abs(pixels.length - declared * _frame_bytes(height, width, order, allocated)) <= 1
        ]
        orders = [order for order in ("422", *orders) if order in fits] or ["422", *orders]
    return _greyest(pixels, orders, height, width, allocated) if len(orders) > 1 else orders[0]


def _greyest(pixels: StoredPixels, orders: list[Order], height: int, width: int, allocated: int) -> Order:
    """The arrangement under which the first frame is nearest to grey; the first of those alike."""

    def colourfulness(order: Order) -> float:
        frames = NativeFrames(pixels, 1, height, width, order, allocated, allocated)
        if pixels.length < _frame_bytes(height, width, order, allocated):
            return math.inf
        picture = eight_bits(frames.stored(0), allocated).astype(np.int16)
        first, second, third = (picture[..., channel] for channel in range(3))
        as_rgb = np.abs(first - second).mean() + np.abs(second - third).mean()
        as_ybr = np.abs(second - 128).mean() + np.abs(third - 128).mean()
        return float(min(as_rgb, as_ybr))

    return min(orders, key=colourfulness)


def _frame_bytes(height: int, width: int, order: Order, allocated: int) -> int:
    return int(height * width * SAMPLES[order]) * allocated // 8


def _arranged(values: Samples, height: int, width: int, order: Order) -> Samples:
    match order:
        case "grey":
            return values.reshape(height, width)
        case "pixels":
            return values.reshape(height, width, 3)
        case "planes":
            return np.moveaxis(values.reshape(3, height, width), 0, -1)
    pairs = values.reshape(height, width // 2, 4)
    picture = np.empty((height, width, 3), dtype=values.dtype)
    picture[:, 0::2, 0], picture[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
    picture[:, 0::2, 1:] = picture[:, 1::2, 1:] = pairs[..., 2:]
    return picture


def eight_bits(stored: Samples, bits: int) -> Picture:
    """Samples of which `bits` are used, as numbers of 8 bit."""
    if stored.dtype == np.uint8 and bits == 8:
        return stored
    wide: NDArray[np.uint16] = stored.astype(np.uint16)
    eight: Picture = np.minimum(wide >> max(0, bits - 8), 255).astype(np.uint8)
    return eight


def full_range(luma: Picture) -> Picture:
    """Luma from the limited range of YBR_PARTIAL, 16 … 235, to 0 … 255."""
    black, white = LIMITED
    scaled = (luma.astype(np.float32) - black) * (255.0 / (white - black))
    full: Picture = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return full


def palette(dataset: Dataset) -> Picture:
    """The colour of every index: uint8 [entries, 3]; tables are stored with 8 or 16 bits an entry."""
    from pydicom.pixels import apply_color_lut

    entries = 1 << min(16, integer(dataset, "BitsStored", 8))
    table = apply_color_lut(np.arange(entries, dtype=np.uint16), dataset)
    eight: Picture = (table >> 8 if table.max(initial=0) > 255 else table).astype(np.uint8)
    return eight
