"""Bare video streams, as they lie in DICOM."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

CONTAINERS = {"mpeg2video": "mpeg2video", "libx264": "h264", "libx265": "hevc"}


def video_stream(pictures: NDArray[np.uint8], codec: str, rate: int = 30) -> bytes:
    """uint8 [T, H, W, 3] as a stream of MPEG-2, H.264 or HEVC without a container."""
    options = {"mpeg2video": {"qmin": "1", "qmax": "3"}, "libx265": {"crf": "12", "x265-params": "log-level=none"}}
    memory = io.BytesIO()
    with av.open(memory, "w", format=CONTAINERS[codec]) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options.get(codec, {"crf": "10"}))
        stream.height, stream.width, stream.pix_fmt = *pictures.shape[1:3], "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return memory.getvalue()
