"""Planes of FFmpeg's decoded frames as arrays, without a conversion where none is needed."""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

FULL_RANGE = 2  # AVCOL_RANGE_JPEG


def plane(frame: VideoFrame, index: int = 0) -> NDArray[np.uint8]:
    """One plane of 8 bits, [H, W], a view of the decoder's memory."""
    stored = frame.planes[index]
    values: NDArray[np.uint8] = np.frombuffer(memoryview(stored), dtype=np.uint8)
    rows = values[: stored.height * stored.line_size].reshape(stored.height, stored.line_size)
    return rows[:, : stored.width]


def full_range_luma(frame: VideoFrame) -> NDArray[np.uint8] | None:
    """The plane Y where it is luma from 0 to 255 as it stands, as in JPEG; None where it must be converted."""
    name = frame.format.name
    if name.startswith("yuvj") or (name in ("yuv420p", "yuv422p", "yuv444p") and frame.color_range == FULL_RANGE):
        return plane(frame)
    return plane(frame) if name == "gray" else None


def converted(converter: VideoReformatter, frame: VideoFrame, layout: str) -> NDArray[np.uint8]:
    """A frame in another layout, [H, W] or [H, W, 3]; on one thread, since waking others costs more than they save."""
    return converter.reformat(frame, format=layout, threads=1).to_ndarray().astype(np.uint8, copy=False)
