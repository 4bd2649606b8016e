"""Reading an untrusted file in a child process: whatever the file does to its parser, the server lives.

    server ──path, what is known──> child: limits on memory, processor time, files; an empty environment
    server <──one line of JSON, then raw arrays── child

The child reads one file and ends. What it sends is checked as if a stranger had sent it: a line of JSON, and arrays of
plain numbers whose sizes add up; nothing is unpickled. A child that dies, hangs or sends something else becomes an
`UnreadableFile`. Starting Python and its readers takes a good part of a second, so one child always waits, warm, for
the next file.

The child is this module run as a script: `python -P -m mcsdr.serve.sandbox`.
"""

from __future__ import annotations

import io
import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcsdr import errors
from mcsdr.errors import McsdrError, UnreadableFile
from mcsdr.study import Attributes, Clip, Crop, Notice, Study, View

MEMORY_BYTES = 3 * 2**30
PROCESSOR_S, WALL_S = 60, 90
MOST_SENT = 2 * 2**30
LONGEST_LINE = 1 << 20
ARRAYS = {"uint8", "float64"}
NEXT_STEP = "Export the clip again from its source; if it is sound, cut it shorter or smaller."


@dataclass(frozen=True)
class Read:
    """What a child made of a file: the study, and the DICOM header without pixels, empty for other files."""

    study: Study
    header: bytes


class Reader:
    """Reads files in children; one is kept warm.

    Arguments:
        memory_bytes, processor_s, wall_s: limits of each child.
    """

    def __init__(
        self, memory_bytes: int = MEMORY_BYTES, processor_s: int = PROCESSOR_S, wall_s: float = WALL_S
    ) -> None:
        self.limits = {"memory_bytes": memory_bytes, "processor_s": processor_s}
        self.wall_s = wall_s
        self._lock = threading.Lock()
        self._closed = False
        self._spare: subprocess.Popen[bytes] | None = self._start()

    def read(self, path: Path, given: Mapping[str, Any], handle: list[subprocess.Popen[bytes]] | None = None) -> Read:
        """Read one file.

        Arguments:
            path: the file.
            given: arguments of `read_study`: age, sex, weight, height, frame_rate_hz; None is unknown.
            handle: takes the child, so that another thread may kill it.

        Raises:
            McsdrError: as `read_study` does; UnreadableFile where the child does not come back in one piece.
        """
        child = self._take()
        if handle is not None:
            handle.append(child)
        try:
            sent = _ask(child, {"path": str(path), "given": dict(given), **self.limits}, self.wall_s)
        finally:
            child.kill()
            child.wait()
        return _unpack(sent, child.returncode)

    def close(self) -> None:
        """End the child that waits."""
        with self._lock:
            self._closed = True
            spare, self._spare = self._spare, None
        if spare is not None:
            _end(spare)

    def _take(self) -> subprocess.Popen[bytes]:
        """The child that waits, if it still lives, and another one in its place."""
        with self._lock:
            spare, self._spare = self._spare, None if self._closed else self._start()
        if spare is None or spare.poll() is not None:
            if spare is not None:
                _end(spare)
            return self._start()
        return spare

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
        environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-m", "mcsdr.serve.sandbox"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # parsers quote what they read, names among it
            start_new_session=True,  # an interrupt at the terminal is the server's to handle
        )


def _ask(child: subprocess.Popen[bytes], request: Mapping[str, Any], wall_s: float) -> bytes:
    """What the child writes until it ends; a child that takes too long is killed."""
    assert child.stdin is not None
    assert child.stdout is not None
    timer = threading.Timer(wall_s, child.kill)
    timer.start()
    try:
        with suppress(BrokenPipeError), child.stdin as stdin:
            stdin.write(json.dumps(request).encode() + b"\n")
        with child.stdout as stdout:
            sent = stdout.read(MOST_SENT + 1)
        if len(sent) > MOST_SENT:
            child.kill()
        child.wait()
        return sent
    finally:
        timer.cancel()


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()


# --- the wire: a line of JSON, then the arrays one after the other ---------------------------------------------------


def pack(study: Study, header: bytes) -> Iterator[bytes]:
    """A study of plain numbers and words as bytes."""
    arrays: list[NDArray[Any]] = [np.frombuffer(header, np.uint8)]

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
        places = {name: place(getattr(clip, name)) for name in ("frames", "frame_times_s", "overview")}
        clips.append({**plain, "view": clip.view.value, "crop": crop, "notices": notices, **places})
    said = {
        "clips": clips,
        "attributes": study.attributes.known(),
        "notices": [[notice.code, notice.text] for notice in study.notices],
    }
    shapes = [[array.dtype.name, *array.shape] for array in arrays]
    yield json.dumps({"study": said, "arrays": shapes}).encode() + b"\n"
    yield from (array.tobytes() for array in arrays)


def _unpack(sent: bytes, status: int) -> Read:
    """What a child sent, believed only as far as it is plain.

    Raises:
        McsdrError: what the child says, or that it did not come back.
    """
    line, ended, _ = sent[:LONGEST_LINE].partition(b"\n")
    try:
        said = json.loads(line) if ended else None
        if isinstance(said, dict) and "error" in said:
            raise _error(said["error"])
        if status == 0 and isinstance(said, dict):
            arrays = _arrays(said["arrays"], memoryview(sent)[len(line) + 1 :])
            return Read(_study(said["study"], arrays), arrays[0].tobytes())
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        status = 0
    raise UnreadableFile(_death(status), next_step=NEXT_STEP)


def _death(status: int) -> str:
    if status == -getattr(signal, "SIGXCPU", 0):
        return f"reading it took more than {PROCESSOR_S} s of processor time."
    if status == -signal.SIGKILL:
        return "reading it took too long or too much memory, and was stopped."
    return "reading it broke off."


def _error(said: Mapping[str, str]) -> McsdrError:
    """The typed error that a child reports; its words, at a bearable length."""
    kinds = {
        kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, McsdrError)
    }
    kind = kinds.get(said["code"], UnreadableFile)
    return kind(str(said["cause"])[:500], next_step=str(said["next_step"])[:500])


def _arrays(shapes: list[list[Any]], rest: memoryview) -> list[NDArray[Any]]:
    arrays, at = [], 0
    for name, *shape in shapes:
        if name not in ARRAYS or not all(isinstance(side, int) and side >= 0 for side in shape):
            raise ValueError("no such array")
        dtype = np.dtype(name)
        size = math.prod(shape) * dtype.itemsize
        if at + size > len(rest):
            raise ValueError("an array is cut short")
        arrays.append(np.frombuffer(rest[at : at + size], dtype).reshape(shape))
        at += size
    if at != len(rest):
        raise ValueError("more was sent than was said")
    return arrays


def _study(said: Mapping[str, Any], arrays: list[NDArray[Any]]) -> Study:
    clips = []
    for one in said["clips"]:
        crop = None if one["crop"] is None else Crop(**one["crop"])
        overview = None if one["overview"] is None else arrays[one["overview"]]
        frames, times = arrays[one["frames"]], arrays[one["frame_times_s"]]
        if frames.ndim != 3 or frames.dtype != np.uint8 or times.shape != frames.shape[:1] or len(frames) < 2:
            raise ValueError("frames and times do not fit")
        clips.append(
            Clip(
                frames,
                times,
                view=View(one["view"]),
                heart_rate_bpm=one["heart_rate_bpm"],
                quality=one["quality"],
                crop=crop,
                overview=overview,
                notices=_notices(one["notices"]),
                r_wave_times_s=tuple(map(float, one["r_wave_times_s"])),
            )
        )
    return Study(tuple(clips), Attributes(**said["attributes"]), notices=_notices(said["notices"]))


def _notices(said: list[list[str]]) -> tuple[Notice, ...]:
    return tuple(Notice(str(code), str(text)) for code, text in said)


# --- the child -------------------------------------------------------------------------------------------------------


def _limit(memory_bytes: int, processor_s: int) -> None:
    """No more memory, processor time, files to write or dumps than one clip needs."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (processor_s, processor_s + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _header(path: Path) -> bytes:
    """A DICOM file's header without pixels, plainly encoded; empty for other files, and where it cannot be written."""
    from pydicom import dcmread, dcmwrite
    from pydicom.uid import ExplicitVRLittleEndian

    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return b""
    buffer = io.BytesIO()
    with suppress(Exception):  # the clip is read all the same; only a structured report needs this
        dataset = dcmread(path, stop_before_pixels=True)
        dataset.remove_private_tags()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True)
        return buffer.getvalue()
    return b""


def _child() -> None:
    """Answer one request on standard input."""
    from mcsdr.io import read_study
    from mcsdr.io.formats import import_readers

    import_readers()  # warm before the file is known

    request = json.loads(sys.stdin.buffer.readline() or b"null")
    if request is None:  # the server has gone
        return
    _limit(request["memory_bytes"], request["processor_s"])
    path = Path(request["path"])
    try:
        study = read_study(path, **request["given"])
        pieces = list(pack(study, _header(path)))
    except McsdrError as error:
        pieces = [json.dumps({"error": error.record()}).encode() + b"\n"]
    except MemoryError:
        cause = "reading it needs more memory than one clip may have."
        pieces = [json.dumps({"error": UnreadableFile(cause, next_step=NEXT_STEP).record()}).encode() + b"\n"]
    for piece in pieces:
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    _child()
