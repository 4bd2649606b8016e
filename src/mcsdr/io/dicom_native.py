"""Uncompressed pixels: how the samples of a frame are arranged, and where each frame lies.

    one sample a pixel       grey, or the index of a palette
    three a pixel            c₁c₂c₃ c₁c₂c₃ …, or plane by plane (Planar Configuration 1)
    two a pixel              Y₀Y₁CbCr Y₂Y₃CbCr …: YBR_FULL_422 and YBR_PARTIAL_422

YBR_FULL_422 stands over both of the latter, and over plain RGB. The number of bytes tells them apart, and where frames
are miscounted too the samples do: of two arrangements the one whose picture is nearer to grey. So does a missing Planar
Configuration, and one under which the picture is far from grey while under the other it is near to it and as smooth.
Bits Stored is too many where the samples of 16 bits need four fewer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mcsdr.errors import UnreadableFile, UnsupportedFormat
from mcsdr.io.dicom_file import DicomFile, StoredPixels
from mcsdr.io.dicom_header import integer, number
from mcsdr.study import Notice

Order = Literal["grey", "pixels", "planes", "422"]
SAMPLES = {"grey": 1.0, "pixels": 3.0, "planes": 3.0, "422": 2.0}
NEEDED = {
    "BitsAllocated": "Bits Allocated",
    "SamplesPerPixel": "Samples per Pixel",
    "Rows": "Rows",
    "Columns": "Columns",
}
CLEARLY = 0.35  # of the colourfulness under the stated arrangement: that under another is at most so much
AS_SMOOTH = 1.4  # times as far may rows then lie apart: of a tinted picture taken the wrong way they lie twice as far
SPARE = 4  # bits that the samples leave unused, from which on fewer are stored than stated
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
        notices: what must be said of their header.
    """

    pixels: StoredPixels
    count: int
    height: int
    width: int
    order: Order
    bits: int
    allocated: int
    notices: tuple[Notice, ...] = ()

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
    frames = NativeFrames(file.pixels, count, height, width, order, bits, allocated, _of_planes(dataset, order))
    needed = _bits_needed(frames)
    return frames if needed == bits else replace(frames, bits=needed, notices=(*frames.notices, _of_bits(bits, needed)))


def _bits_needed(frames: NativeFrames) -> int:
    """How many bits the samples of the first, the middle and the last frame use, where these are clearly fewer."""
    if frames.allocated == 8 or not frames.count:
        return frames.bits
    few = {0, frames.count // 2, frames.count - 1}
    most = max(int(frames.stored(index).max(initial=0)) for index in few)
    needed = max(8, most.bit_length())
    return needed if most and needed <= frames.bits - SPARE else frames.bits


def _of_bits(stated: int, needed: int) -> Notice:
    text = f"The header says that {stated} bits of a sample are used, but its pixels need {needed} and were read so."
    return Notice("bit-depth-untrue", text)


def _of_planes(dataset: Dataset, order: Order) -> tuple[Notice, ...]:
    stated = number(dataset, "PlanarConfiguration")
    if stated is None or order not in ("pixels", "planes") or (stated == 1) == (order == "planes"):
        return ()
    text = (
        "The header says that samples are stored otherwise than they are (Planar Configuration); they were read right."
    )
    return (Notice("planar-configuration-untrue", text),)


def _order(file: DicomFile, model: str, height: int, width: int, allocated: int) -> Order:
    dataset, pixels = file.dataset, file.pixels
    assert pixels is not None
    coloured = model.startswith("YBR") or model == "RGB"
    if integer(dataset, "SamplesPerPixel", 3 if coloured else 1) != 3:
        return "grey"
    orders: list[Order] = ["pixels", "planes"]
    if number(dataset, "PlanarConfiguration") is not None:
        orders = [_stated_or_clear(file, height, width, allocated)]
    if "422" in model and allocated == 8 and width % 2 == 0:
        declared = integer(dataset, "NumberOfFrames", 1)
        fits = [
            order
            for order in ("422", *orders)
            if abs(pixels.length - declared * _frame_bytes(height, width, order, allocated)) <= 1
        ]
        orders = [order for order in ("422", *orders) if order in fits] or ["422", *orders]
    return _greyest(pixels, orders, height, width, allocated) if len(orders) > 1 else orders[0]


def _stated_or_clear(file: DicomFile, height: int, width: int, allocated: int) -> Order:
    """The arrangement that Planar Configuration states; the other where that gives clearly the better picture."""
    assert file.pixels is not None
    orders: tuple[Order, Order] = ("pixels", "planes")
    stated, other = orders if integer(file.dataset, "PlanarConfiguration") != 1 else orders[::-1]
    here, there = (_look(file.pixels, order, height, width, allocated) for order in (stated, other))
    clear = there.colour < CLEARLY * here.colour and there.rows_apart <= AS_SMOOTH * here.rows_apart
    return other if clear else stated


def _greyest(pixels: StoredPixels, orders: Sequence[Order], height: int, width: int, allocated: int) -> Order:
    """The arrangement under which the first frame is nearest to grey; the first of those alike."""
    return min(orders, key=lambda order: _look(pixels, order, height, width, allocated).colour)


class _Look(NamedTuple):
    """How far a picture is from grey, be it RGB or YCbCr, and its rows from each other, in grey levels."""

    colour: float
    rows_apart: float


def _look(pixels: StoredPixels, order: Order, height: int, width: int, allocated: int) -> _Look:
    """The first frame under an arrangement; infinity where there is no such frame."""
    frames = NativeFrames(pixels, 1, height, width, order, allocated, allocated)
    if pixels.length < _frame_bytes(height, width, order, allocated):
        return _Look(math.inf, math.inf)
    picture = eight_bits(frames.stored(0), allocated).astype(np.int16)
    first, second, third = (picture[..., channel] for channel in range(3))
    as_rgb = np.abs(first - second).mean() + np.abs(second - third).mean()
    as_ybr = np.abs(second - 128).mean() + np.abs(third - 128).mean()
    return _Look(float(min(as_rgb, as_ybr)), float(np.abs(np.diff(first, axis=0)).mean()))


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
