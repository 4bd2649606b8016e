"""What goes over the pipe from the child to who asked it: lines of JSON, and arrays of plain numbers.

    {"header": …}                          of a DICOM file, else null; before anything is decoded
    {"study": …, "arrays": [shapes]}       or {"error": …}, which may also come later or instead
    the arrays one after the other         times and overviews first
    the frames of each clip, one by one    so that nobody needs to hold them

What comes is checked as if a stranger had sent it: sizes are limited before anything is allocated, and add up; nothing
is unpickled.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mcsdr import errors
from mcsdr.errors import McsdrError, UnreadableFile
from mcsdr.study import Attributes, Clip, Crop, Notice, Study, View

LONGEST_LINE = 1 << 20
MOST_FRAMES_BYTES = 1 << 30
MOST_OTHER_BYTES = 64 << 20
MOST_CLIPS = 16
ARRAYS = {"uint8", "float64"}
NEXT_STEP = "Export the clip again from its source; if it is sound, cut it shorter or smaller."

Picture = NDArray[np.uint8]
Add = Callable[[int, Picture], None]
Watch = Callable[[Clip], Add]
Raw = bytes | memoryview
Shape = tuple[int, ...]


def line(said: Mapping[str, Any]) -> bytes:
    """One line."""
    return json.dumps(said).encode() + b"\n"


def packed(study: Study) -> Iterator[Raw]:
    """A study of plain numbers and words as bytes; its frames are not copied."""
    arrays: list[NDArray[Any]] = []

    def place(array: NDArray[Any] | None) -> int | None:
        if array is None:
            return None
        arrays.append(np.ascontiguousarray(array))
        return len(arrays) - 1

    clips = []
    for clip in study.clips:
        plain = {name: getattr(clip, name) for name in ("heart_rate_bpm", "quality", "r_wave_times_s")}
        notices = [[notice.code, notice.text] for notice in clip.notices]
        crop = None if clip.crop is None else asdict(clip.crop)
        places = {name: place(getattr(clip, name)) for name in ("frame_times_s", "overview")}
        shown = {"view": clip.view.value, "crop": crop, "notices": notices, "frames": list(clip.frames.shape)}
        clips.append({**plain, **shown, **places})
    said = {
        "clips": clips,
        "attributes": study.attributes.known(),
        "notices": [[notice.code, notice.text] for notice in study.notices],
    }
    yield line({"study": said, "arrays": [[array.dtype.name, *array.shape] for array in arrays]})
    yield from (array.tobytes() for array in arrays)
    for clip in study.clips:
        yield from (np.ascontiguousarray(frame).data.cast("B") for frame in clip.frames)


def said_by(pipe: BinaryIO) -> dict[str, Any]:
    """The next line of a child.

    Raises:
        McsdrError: the line says why there is nothing else.
        ValueError: it is none.
    """
    raw = pipe.readline(LONGEST_LINE)
    said = json.loads(raw) if raw.endswith(b"\n") else None
    if not isinstance(said, dict):
        raise ValueError("no line of JSON")
    if "error" in said:
        raise _error(said["error"])
    return said


def study_from(pipe: BinaryIO, watch: Watch) -> Study:
    """A study that a child packed.

    Arguments:
        pipe: the child's output.
        watch: is told of each clip, and gives what its frames are handed to as they come.

    Returns:
        the study, whose clips have the shape of their frames but show nothing: `watch` has seen them.

    Raises:
        McsdrError: what the child says.
        ValueError, and others that malformed data raise: it says something else.
    """
    said = said_by(pipe)
    arrays = _arrays(said["arrays"], pipe)
    study = _study(said["study"], arrays)
    for clip in study.clips:
        add = watch(clip)
        count, height, width = clip.frames.shape
        for index in range(count):
            add(index, np.frombuffer(_exactly(pipe, height * width), np.uint8).reshape(height, width))
    if pipe.read(1):
        raise ValueError("more was sent than was said")
    return study


def _error(said: Mapping[str, Any]) -> McsdrError:
    """The typed error that a child reports; its words, at a bearable length."""
    kinds = {
        kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, McsdrError)
    }
    kind = kinds.get(said["code"], UnreadableFile)
    path = None if said.get("path") is None else str(said["path"])[:4096]
    return kind(str(said["cause"])[:500], path=path, next_step=str(said["next_step"])[:500])


def _exactly(pipe: BinaryIO, size: int) -> bytes:
    data = pipe.read(size)
    if len(data) != size:
        raise ValueError("it was cut short")
    return data


def _arrays(shapes: Sequence[Sequence[Any]], pipe: BinaryIO) -> list[NDArray[Any]]:
    sizes = [_bytes_of(name, tuple(shape)) for name, *shape in shapes]
    if sum(sizes) > MOST_OTHER_BYTES:
        raise ValueError("the arrays are too large")
    return [
        np.frombuffer(_exactly(pipe, size), np.dtype(name)).reshape(shape)
        for size, (name, *shape) in zip(sizes, shapes, strict=True)
    ]


def _bytes_of(name: str, shape: Shape) -> int:
    if name not in ARRAYS or not all(isinstance(side, int) and side >= 0 for side in shape):
        raise ValueError("no such array")
    return math.prod(shape) * np.dtype(name).itemsize


def _study(said: Mapping[str, Any], arrays: Sequence[NDArray[Any]]) -> Study:
    clips = [_clip(one, arrays) for one in said["clips"]]
    if len(clips) > MOST_CLIPS or sum(clip.frames.size for clip in clips) > MOST_FRAMES_BYTES:
        raise ValueError("the clips are too large")
    return Study(tuple(clips), Attributes(**said["attributes"]), notices=_notices(said["notices"]))


def _clip(one: Mapping[str, Any], arrays: Sequence[NDArray[Any]]) -> Clip:
    crop = None if one["crop"] is None else Crop(**one["crop"])
    overview = None if one["overview"] is None else arrays[one["overview"]]
    times, shape = arrays[one["frame_times_s"]], tuple(one["frames"])
    _bytes_of("uint8", shape)
    if len(shape) != 3 or 0 in shape or times.shape != shape[:1] or times.dtype != np.float64 or shape[0] < 2:
        raise ValueError("frames and times do not fit")
    if overview is not None and (overview.ndim != 2 or overview.dtype != np.uint8):
        raise ValueError("the overview is no picture")
    return Clip(
        np.broadcast_to(np.uint8(0), shape),
        times,
        view=View(one["view"]),
        heart_rate_bpm=one["heart_rate_bpm"],
        quality=one["quality"],
        crop=crop,
        overview=overview,
        notices=_notices(one["notices"]),
        r_wave_times_s=tuple(map(float, one["r_wave_times_s"])),
    )


def _notices(said: Sequence[Sequence[str]]) -> tuple[Notice, ...]:
    return tuple(Notice(str(code), str(text)) for code, text in said)
