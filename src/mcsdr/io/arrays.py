"""Reading NumPy arrays: `.npy` of frames, `.npz` of frames with their rate or times.

    frames          [T, H, W], [T, H, W, 1 or 3], or [T, 1 or 3, H, W]; the only such array, or the one of these names
    frame_rate_hz   a number; also frame_rate, fps
    frame_times_s   [T]; also times

Nothing pickled is loaded, and the size that a header declares is judged before anything is inflated. An `.npy` cannot
say its rate.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from mcsdr.errors import UnreadableFile, UnsupportedFormat
from mcsdr.io.colour import luma
from mcsdr.io.recording import FrameStack, Recording, plausible_rate, uniform_times
from mcsdr.io.video import frame_times
from mcsdr.io.volumes import check_size, grey_levels, one_error, rate_of

RATES = ("frame_rate_hz", "frame_rate", "fps")
TIMES = ("frame_times_s", "times")
FRAMES = ("frames", "video", "clip", "images")
FEW = 1 << 20  # bytes of a rate or of times
LONGEST = 4  # times the other side of a picture: beyond it the axes are in another order
NEXT_STEP = "Save an array `frames` of [T, H, W] or [T, H, W, 3], and a number `frame_rate_hz` beside it in an .npz."

Array = NDArray[Any]


def read_npy(path: Path, *, frame_rate_hz: float | None = None) -> Recording:
    """Read one array of frames.

    Arguments:
        path: the file.
        frame_rate_hz: frames per second, which an array cannot say.

    Raises:
        UnreadableFile: damaged, cut short, or larger than the limits.
        UnsupportedFormat: no array of pictures.
        NoFrameTime: no rate was given.
        NotBMode: a segmentation.
    """
    with one_error(path), path.open("rb") as file:
        return _recording(_frames(file, path), {}, frame_rate_hz, path)


def read_npz(path: Path, *, frame_rate_hz: float | None = None) -> Recording:
    """Read one archive of frames with their rate or times; arguments and errors as for `read_npy`."""
    with one_error(path), zipfile.ZipFile(path) as archive:
        names = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        few = {name: info for name, info in names.items() if name in RATES + TIMES and info.file_size <= FEW}
        said: dict[str, Array] = {}
        for name, info in few.items():
            with archive.open(info) as file:
                said[name] = npy.read_array(file, allow_pickle=False)
        chosen = next((name for name in FRAMES if name in names), None)
        others = [name for name in names if name not in few]
        if chosen is None and len(others) != 1:
            cause = f"it holds {len(others)} arrays, none of them called frames"
            raise UnsupportedFormat(cause, path=path, next_step=NEXT_STEP)
        with archive.open(names[chosen or others[0]]) as file:
            return _recording(_frames(file, path), said, frame_rate_hz, path)


def _frames(file: IO[bytes], path: Path) -> Array:
    """The array of frames, [T, H, W] or [T, H, W, 3], its header judged before it is read."""
    version = npy.read_magic(file)
    header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = header(file)
    if dtype.kind not in "buif":
        raise UnsupportedFormat(f"its array is of type {dtype}, not of grey levels", path=path, next_step=NEXT_STEP)
    channels_first = len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3)
    count, *rest = shape if len(shape) in (3, 4) else (0,)
    channels = rest.pop(0 if channels_first else -1) if len(rest) == 3 else 1
    if channels not in (1, 3) or not count or min(rest) < 1 or max(rest) > LONGEST * min(rest):
        size = " x ".join(map(str, shape))
        raise UnsupportedFormat(f"its array is of {size}, not frames of pictures", path=path, next_step=NEXT_STEP)
    check_size((rest[1], rest[0], count * channels), dtype, path)
    length = math.prod(shape) * dtype.itemsize
    content = file.read(length)
    if len(content) < length:
        raise UnreadableFile(f"it declares {length} bytes and holds {len(content)}; it was cut short", path=path)
    array = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
    if channels_first:
        array = np.moveaxis(array, 1, -1)
    if dtype.kind == "b":
        array = array.astype(np.uint8)
    return array[..., 0] if array.ndim == 4 and channels == 1 else array


def _recording(frames: Array, said: Mapping[str, Array], given_hz: float | None, path: Path) -> Recording:
    stamps = next((said[name] for name in TIMES if name in said), None)
    rate = next((float(said[name].reshape(-1)[0]) for name in RATES if name in said and said[name].size), None)
    if stamps is not None:
        if stamps.shape != (len(frames),):
            raise UnreadableFile(f"it holds {len(frames)} frames and {stamps.size} times", path=path)
        times, notices = frame_times([float(time) for time in stamps], rate, given_hz, path)
    else:
        hz, notices = rate_of(rate if plausible_rate(rate) else None, given_hz, path)
        times = uniform_times(len(frames), hz)
    grey, grey_notices = grey_levels(frames, path)
    stack = FrameStack(path, len(grey), *grey.shape[1:3])
    for picture in grey:
        if picture.ndim == 3:
            stack.add(luma(picture), partial(np.asarray, picture))
        else:
            stack.add(picture, None)
    return Recording(path, stack.frames(), times, stack.colour(), notices=notices + grey_notices)
