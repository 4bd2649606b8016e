"""Written data sets as programs that know nothing of this package read them."""

from __future__ import annotations

import csv
from pathlib import Path

import av
import numpy as np


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def video(path: Path) -> tuple[np.ndarray, float, str]:
    """Grey frames [T, H, W], the frame rate that the file states, and its codec."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.average_rate is not None
        frames = np.stack([frame.to_ndarray(format="gray") for frame in container.decode(video=0)])
        return frames, float(stream.average_rate), stream.codec_context.name


def metaimage(path: Path) -> tuple[np.ndarray, list[float]]:
    """Frames [T, H, W] and the spacing of x, y and t, by the format's own rules."""
    header = dict(line.split(" = ") for line in path.read_text().splitlines())
    assert header["ElementType"] == "MET_UCHAR"
    assert header["BinaryData"] == "True"
    assert header["CompressedData"] == "False"
    assert list(header)[-1] == "ElementDataFile"
    sizes = [int(word) for word in header["DimSize"].split()]
    assert len(sizes) == int(header["NDims"])
    raw = np.fromfile(path.with_name(header["ElementDataFile"]), dtype=np.uint8)
    return raw.reshape(sizes[::-1]), [float(word) for word in header["ElementSpacing"].split()]


def cfg(path: Path) -> dict[str, str]:
    return dict(line.split(": ") for line in path.read_text().splitlines())


def polygon_area(x: np.ndarray, y: np.ndarray) -> float:
    return 0.5 * abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))
