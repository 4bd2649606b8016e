"""Planes of FFmpeg's decoded frames as arrays, without a conversion where none is needed."""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from mcsdr.io.colour import SATURATED

FULL_RANGE = 2  # AVCOL_RANGE_JPEG
# Differences of colour up to which no pixel is saturated, be they both so large and of the limited range.
GREY = int(SATURATED / (2**0.5 * 255 / 224))
LEAST = np.uint8(128 - GREY)
SEPARATE = ("yuv420p", "yuv422p", "yuv444p")  # whose Y is a plane of its own, of 8 bits


def plane(frame: VideoFrame, index: int = 0) -> NDArray[np.uint8]:
    """One plane of 8 bits, [H, W], a view of the decoder's memory."""
    return _rows(VideoPlane(frame, index))  # `frame.planes` makes them all, for six times the cost


def _rows(stored: VideoPlane) -> NDArray[np.uint8]:
    length = stored.line_size  # in bytes, and as many as an alignment asks for
    rows: NDArray[np.uint8] = np.frombuffer(memoryview(stored), dtype=np.uint8, count=stored.height * length)
    return rows.reshape(stored.height, length)[:, : stored.width]


def full_range_luma(frame: VideoFrame, name: str) -> NDArray[np.uint8] | None:
    """The plane Y where it is luma from 0 to 255 as it stands, as in JPEG; None where it must be converted.

    `name` is that of the frame's format, which is dear to ask for.
    """
    if not (name == "gray" or name.startswith("yuvj") or (name in SEPARATE and frame.color_range == FULL_RANGE)):
        return None
    stored = VideoPlane(frame, 0)
    return _rows(stored) if stored.line_size > 0 else None  # rows from the bottom up begin where no buffer says


def is_grey(frame: VideoFrame, name: str) -> bool:
    """Whether a frame's planes of colour differences say that none of its pixels has a colour to speak of.

    `name` is that of the frame's format; False where colour is not stored in planes of its own.
    """
    if not (name.startswith("yuvj") or name in SEPARATE):
        return False
    # What lies below 128 - GREY comes out above 2 GREY too, so that one look at the highest is enough.
    return all(int((plane(frame, index) - LEAST).max()) <= 2 * GREY for index in (1, 2))


def converted(converter: VideoReformatter, frame: VideoFrame, layout: str) -> NDArray[np.uint8]:
    """A frame in another layout, [H, W] or [H, W, 3]; on one thread, since waking others costs more than they save."""
    return converter.reformat(frame, format=layout, threads=1).to_ndarray().astype(np.uint8, copy=False)
