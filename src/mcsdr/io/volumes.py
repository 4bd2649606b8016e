"""From voxels I[x, y, t] to a recording: what NIfTI, MetaImage, NRRD and NumPy arrays have in common.

The picture is stored with the first axis across: I[x, y, t] becomes frames[t, y, x]. Orientation in space is left
alone, as every tool of the field does. Pixels are made square (square.py). Grey levels other than 0…255 become

    g = 255 (I − q₀) / (q₁ − q₀), clipped,   q₀, q₁ the 0.1 and 99.9 % quantiles
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from mcsdr.errors import McsdrError, NoFrameTime, NotBMode, SingleFrame, UnreadableFile
from mcsdr.io.recording import (
    MAX_BYTES,
    MAX_FRAMES,
    MAX_SIDE,
    Recording,
    checked_rate,
    rate_notices,
    uniform_times,
)
from mcsdr.io.square import square_pixels
from mcsdr.study import Notice

QUANTILES = (0.1, 99.9)  # q₀, q₁ in per cent
SAMPLE = 1 << 20  # voxels from which they are taken
SHARES = 0.5  # real numbers whose greatest lies from here to 1 are shares of white
LABELS = 16  # grey levels; a volume of whole numbers within fewer is a segmentation
NEXT_STEP = "Export the clip as a 2-D grey-scale sequence: AVI, MP4, DICOM, or NIfTI with the axes X, Y, T."

Voxels = NDArray[Any]


def recording(
    voxels: Voxels, spacing: tuple[float, float], file_hz: float | None, given_hz: float | None, path: Path
) -> Recording:
    """From I[x, y, t] and what the header says to frames and times.

    Arguments:
        voxels: numbers [X, Y, T].
        spacing: dx, dy.
        file_hz: the plausible rate that the file states, None where it states none.
        given_hz: the caller's, which goes before it.

    Raises:
        SingleFrame, NoFrameTime: one picture only; nothing says how fast they follow each other.
        NotBMode: a segmentation.
    """
    count = voxels.shape[2]
    if count == 1:
        raise SingleFrame("it holds a single frame", path=path)
    rate, notices = rate_of(file_hz, given_hz, path)
    grey, grey_notices = grey_levels(voxels, path)
    frames, sensible = square_pixels(np.ascontiguousarray(grey.transpose(2, 1, 0)), spacing)
    if not sensible:
        text = f"The pixel spacing of {spacing[0]:g} by {spacing[1]:g} makes no sense; square pixels were assumed."
        notices += (Notice("spacing-implausible", text),)
    return Recording(
        path=path,
        frames=frames,
        frame_times_s=uniform_times(count, rate),
        colour=np.zeros((0, 1, 1, 3), dtype=np.uint8),
        notices=notices + grey_notices,
    )


def rate_of(file_hz: float | None, given_hz: float | None, path: Path) -> tuple[float, tuple[Notice, ...]]:
    """The frame rate in Hz, the given one before the file's, and what must be said of it.

    Raises:
        NoFrameTime: there is neither, or the given one is not an echocardiograph's.
    """
    if given_hz is not None:
        rate = checked_rate(given_hz, path)
        return rate, rate_notices(rate, {} if file_hz is None else {"its header": file_hz})
    if file_hz is None:
        raise NoFrameTime("its header gives no plausible time between frames", path=path)
    return file_hz, ()


def grey_levels(voxels: Voxels, path: Path) -> tuple[NDArray[np.uint8], tuple[Notice, ...]]:
    """Grey levels g of voxels I, uint8 of the same shape, and what must be said of them.

    Raises:
        NotBMode: a segmentation.
    """
    sample = voxels.reshape(-1, order="A")[:: max(1, voxels.size // SAMPLE)]
    sample = sample[np.isfinite(sample)]
    low, high = (float(voxels.min()), float(voxels.max())) if voxels.dtype == np.uint8 else _range(sample)
    whole = not np.issubdtype(voxels.dtype, np.floating) or bool(np.all(sample == np.rint(sample)))
    if whole and high - low < LABELS:
        raise NotBMode(f"it holds whole numbers from {low:g} to {high:g}: a segmentation, not pictures", path=path)
    if voxels.dtype == np.uint8:
        return voxels, ()
    if whole and low >= 0 and 128 <= high <= 255:  # pictures of 8 bit, kept in a wider type
        return np.nan_to_num(voxels, nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255).astype(np.uint8), ()
    q0, q1 = (0.0, 1.0) if low >= 0 and SHARES <= high <= 1 else np.percentile(sample, QUANTILES)
    scaled = (voxels.astype(np.float32) - np.float32(q0)) * np.float32(255.0 / max(q1 - q0, 1e-12))
    text = f"Grey levels from {low:.4g} to {high:.4g} were rescaled to 0 to 255 ({q0:.4g} black, {q1:.4g} white)."
    grey = np.nan_to_num(scaled, nan=0.0).clip(0, 255).round().astype(np.uint8)
    return grey, (Notice("grey-levels-rescaled", text),)


def _range(sample: Voxels) -> tuple[float, float]:
    return (float(sample.min()), float(sample.max())) if sample.size else (0.0, 0.0)


def check_size(sizes: tuple[int, int, int], dtype: np.dtype[Any], path: Path) -> None:
    """Judge X, Y, T before anything is read; voxels that are no bytes are worked on in four bytes at least.

    Raises:
        UnreadableFile: more than is read of any file.
    """
    width, height, count = sizes
    bytes_each = 1 if dtype == np.uint8 else max(4, dtype.itemsize)
    if max(width, height) > MAX_SIDE or count > MAX_FRAMES or math.prod(sizes) * bytes_each > MAX_BYTES:
        raise UnreadableFile(
            f"it declares {count} frames of {width} x {height} pixels, more than is read of any file",
            path=path,
            next_step="Export a shorter part of the clip, or a smaller picture.",
        )


def exactly(file: IO[bytes], size: int, path: Path) -> bytes:
    """All that is left of a file, which is as much as its header declares, in bytes.

    Raises:
        UnreadableFile: it is less, or more.
    """
    content = file.read(size + 1)
    if len(content) < size:
        raise UnreadableFile(f"it declares {size} bytes and holds {len(content)}; it was cut short", path=path)
    if len(content) > size:
        raise UnreadableFile(f"it holds more than the {size} bytes that its header declares", path=path)
    return content


@contextmanager
def one_error(path: Path) -> Iterator[None]:
    """Turn whatever a parser raises into one error of this package that names the file."""
    try:
        yield
    except McsdrError:
        raise
    except (EOFError, zlib.error):
        raise UnreadableFile("its compressed data are cut short or damaged", path=path) from None
    except Exception as error:
        raise UnreadableFile(f"it cannot be decoded ({type(error).__name__})", path=path) from None
