"""Decoding the pixels of an ultrasound DICOM to luma and colour, frame by frame.

    MONOCHROME2          luma = value / 2^(bits - 8)        MONOCHROME1   255 - that
    RGB, PALETTE COLOR   luma = 0.299 R + 0.587 G + 0.114 B
    YBR_FULL(_422)       luma = Y as stored (full range)

JPEG baseline goes through FFmpeg's mjpeg decoder, which is an order of magnitude faster than Pillow; where the colour
model makes that ambiguous (RGB inside JPEG), or the decoder objects, pydicom's own decoders take over.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import av.error
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import apply_color_lut, get_decoder, iter_pixels
from pydicom.uid import UID, JPEGBaseline8Bit

from mcsdr.errors import UnsupportedFormat
from mcsdr.io.colour import luma
from mcsdr.io.recording import FrameStack
from mcsdr.io.video import GreyConverter

MJPEG_MODELS = ("MONOCHROME2", "YBR_FULL", "YBR_FULL_422")  # colour models whose JPEG form is unambiguous
COLOUR_MODELS = ("RGB", "YBR_FULL", "YBR_FULL_422", "PALETTE COLOR")

Picture = NDArray[np.uint8]


def decode_frames(dataset: Dataset, stack: FrameStack) -> None:
    """Decode all frames of a data set onto a stack; frames that are not there are left out.

    Raises:
        UnsupportedFormat: a transfer syntax or colour model without a decoder here.
    """
    path = stack.path
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    model = str(dataset.get("PhotometricInterpretation", ""))
    _check_decodable(dataset, syntax, model, path)
    if syntax == JPEGBaseline8Bit and model in MJPEG_MODELS and _decode_mjpeg(dataset, stack):
        return
    if not syntax.is_encapsulated:
        _drop_missing_frames(dataset)
    for index, stored in _stored_frames(dataset, stack.declared):
        _add(stored, index, dataset, model, stack)


def _check_decodable(dataset: Dataset, syntax: UID, model: str, path: Path) -> None:
    known = syntax.is_transfer_syntax and not syntax.is_private
    try:
        decodable = known and (not syntax.is_encapsulated or get_decoder(syntax).is_available)
    except NotImplementedError:
        decodable = False
    step = "Export the clip again as JPEG baseline, RLE or uncompressed DICOM, or as AVI."
    if not decodable:
        cause = f"its transfer syntax, {syntax.name if known else 'a private one'}, cannot be decoded here"
        raise UnsupportedFormat(cause, path=path, next_step=step)
    if model not in (*COLOUR_MODELS, "MONOCHROME1", "MONOCHROME2"):
        raise UnsupportedFormat("its photometric interpretation is not one of ultrasound", path=path, next_step=step)
    if dataset.get("PixelRepresentation") or dataset.get("BitsAllocated") not in (8, 16):
        raise UnsupportedFormat("its pixels are not unsigned 8- or 16-bit numbers", path=path, next_step=step)


def _decode_mjpeg(dataset: Dataset, stack: FrameStack) -> bool:
    """Decode JPEG baseline through FFmpeg; False, with nothing on the stack, where its first frame does not decode."""
    decoder = av.CodecContext.create("mjpeg", "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.options = {"max_pixels": str(2 * stack.height * stack.width)}
    converter = GreyConverter()
    for index, data in enumerate(generate_frames(dataset.PixelData, number_of_frames=stack.declared)):
        try:
            frames = decoder.decode(av.Packet(data))
        except av.error.FFmpegError:
            frames = []
        whole = [frame for frame in frames if isinstance(frame, VideoFrame) and not frame.is_corrupt]
        if not whole and not len(stack):
            return False
        for frame in whole:
            converter.add(frame, stack, index)
    return len(stack) > 0


def _drop_missing_frames(dataset: Dataset) -> None:
    """Declare only the frames that uncompressed pixel data really hold, so that these at least can be decoded."""
    bits = dataset.Rows * dataset.Columns * dataset.SamplesPerPixel * dataset.BitsAllocated
    if dataset.PhotometricInterpretation == "YBR_FULL_422":
        bits = bits * 2 // 3
    dataset.NumberOfFrames = min(int(dataset.NumberOfFrames), len(dataset.PixelData) * 8 // bits)
    dataset.PixelData = dataset.PixelData[: int(dataset.NumberOfFrames) * bits // 8]


def _stored_frames(dataset: Dataset, declared: int) -> Iterator[tuple[int, NDArray[np.generic]]]:
    """Place and pixels of each frame as pydicom decodes it, colour not converted; forged and missing ones left out."""
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        yield from enumerate(iter_pixels(dataset, raw=True))
        return
    coded = enumerate(generate_frames(dataset.PixelData, number_of_frames=declared))
    size = (int(dataset.Columns), int(dataset.Rows))
    whole = [index for index, data in coded if index < declared and _coded_size(data) in (size, None)]
    if whole:
        yield from zip(whole, iter_pixels(dataset, raw=True, indices=whole), strict=True)


def _coded_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that a compressed image states, before anything is allocated for it; None where unknown."""
    try:
        return Image.open(io.BytesIO(data)).size
    except UnidentifiedImageError:
        return None
    except Image.DecompressionBombError:
        return 0, 0


def _add(stored: NDArray[np.generic], index: int, dataset: Dataset, model: str, stack: FrameStack) -> None:
    """Put one frame as stored on the stack, by its colour model."""
    rgb: Callable[[], Picture] | None = None
    if model in ("MONOCHROME1", "MONOCHROME2"):
        value = _eight_bits(stored, int(dataset.BitsStored))
        grey = 255 - value if model == "MONOCHROME1" else value
    elif model == "PALETTE COLOR":
        table = _palette(dataset)
        entry = np.minimum(stored, len(table) - 1)
        grey, rgb = luma(table)[entry], lambda: table[entry]
    elif model == "RGB":
        value = _eight_bits(stored, int(dataset.BitsStored))
        grey, rgb = luma(value), lambda: value
    else:
        value = _eight_bits(stored, int(dataset.BitsStored))
        grey, rgb = np.ascontiguousarray(value[..., 0]), lambda: _rgb(value)
    stack.add(grey, rgb, index)


def _eight_bits(stored: NDArray[np.generic], bits: int) -> Picture:
    value: NDArray[np.uint16] = stored.astype(np.uint16)
    eight: Picture = np.minimum(value >> max(0, bits - 8), 255).astype(np.uint8)
    return eight


def _rgb(ybr: Picture) -> Picture:
    """Full-range YCbCr (ITU-R BT.601) to RGB."""
    y, cb, cr = (ybr[..., channel].astype(np.float32) for channel in range(3))
    cb, cr = cb - 128.0, cr - 128.0
    value = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    rgb: Picture = np.clip(np.rint(value), 0, 255).astype(np.uint8)
    return rgb


def _palette(dataset: Dataset) -> Picture:
    """The colour of every index: uint8 [entries, 3]; tables are stored with 8 or 16 bits an entry."""
    entries = 1 << int(dataset.BitsStored)
    table = apply_color_lut(np.arange(entries, dtype=np.uint16), dataset)
    eight: Picture = (table >> 8 if table.max(initial=0) > 255 else table).astype(np.uint8)
    return eight
