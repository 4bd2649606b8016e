"""Asking a child to read: `Reader`.

The child answers one request and ends. A child that dies, hangs or sends something else becomes an `UnreadableFile`.
Frames are handed on as they come: neither side ever holds more of a clip than it needs.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mcsdr.errors import McsdrError, UnreadableFile
from mcsdr.files import sha256_of
from mcsdr.io import format_at, read_study
from mcsdr.io.finding import called
from mcsdr.io.sandbox.warm import Request, Warm
from mcsdr.io.sandbox.wire import NEXT_STEP, Add, Watch, said_by, study_from
from mcsdr.study import Attributes, Clip, Study

MEMORY_BYTES = 3 * 2**30
PROCESSOR_S, WALL_S = 60, 90
MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError)

LEAVE_S = 1.0  # for a child to end of whom nothing more is wanted
MOST_IDLE = 2

Header = dict[str, Any]


@dataclass(frozen=True)
class Read:
    """What a child made of a file.

    Attributes:
        header: what a report needs of a DICOM file's, as DICOM JSON; None of other files.
        study: where it could be read; its clips' frames are black, they were handed on.
        error: why it could not.
    """

    header: Header | None
    study: Study | None
    error: McsdrError | None = None


@dataclass(frozen=True)
class Part:
    """Where a part of a body lies in its file, and what a form calls its field and file."""

    start: int
    length: int
    field: str
    file: str | None


class Reader:
    """Reads in children of processes that are kept warm; what is asked at the same time is read at the same time.

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
        self._idle = [Warm()]

    def read(
        self,
        path: Path,
        given: Mapping[str, Any],
        watch: Watch,
        handle: list[Request] | None = None,
        *,
        with_header: bool = True,
    ) -> Read:
        """Read one clip.

        Arguments:
            path: the file.
            given: arguments of `read_study`: age, sex, weight, height, frame_rate_hz; None is unknown.
            watch: sees the frames, see `wire.study_from`.
            handle: takes the request, so that another thread may kill its child.
            with_header: whether a report may be made of it.

        Returns:
            the study, or with its header why there is none.
        """
        header: Header | None = None
        lies = str(path.absolute())  # the child was born wherever this process stood then
        how = {"path": lies, "given": dict(given), "with_header": with_header}
        try:
            with self._asked("read", how, handle) as pipe:
                header = said_by(pipe)["header"]
                study = study_from(pipe, watch)
        except McsdrError as error:
            if error.path is not None and error.path.startswith(lies):
                error.path = f"{path}{error.path[len(lies) :]}"
            return Read(header, None, error)
        return Read(header, study)

    def study(self, path: Path, given: Mapping[str, Any]) -> Study:
        """Read one clip with its frames: what `read_study` gives of it, bit for bit.

        Raises:
            McsdrError: as of `read_study`; UnreadableFile where the child does not come back.
        """
        Attributes.of(given.get("age"), given.get("sex"), given.get("weight"), given.get("height"))
        format_at(path)
        frames: list[NDArray[np.uint8]] = []

        def keep(clip: Clip) -> Add:
            frames.append(np.empty(clip.frames.shape, dtype=np.uint8))
            return frames[-1].__setitem__

        read = self.read(path, given, keep, with_header=False)
        if read.study is None:
            error = read.error or UnreadableFile("nothing came of it.")
            if isinstance(error, UnreadableFile):  # one that died does not say of what
                error.path = str(path)
            raise error
        clips = zip(read.study.clips, frames, strict=True)
        whole = tuple(replace(clip, frames=pictures, source=path.name) for clip, pictures in clips)
        return replace(read.study, clips=whole, study_id=called(path), file=str(path), input_sha256=sha256_of(path))

    def identify(self, paths: Sequence[Path]) -> list[tuple[str, str] | None]:
        """The Study and SOP Instance UID of each file, None of what is no DICOM instance that can be kept."""
        try:
            with self._asked("identify", {"paths": [str(path) for path in paths]}) as pipe:
                found = [None if one is None else (str(one[0]), str(one[1])) for one in said_by(pipe)["identified"]]
                if len(found) != len(paths):
                    raise ValueError("not one answer for each")
                return found
        except McsdrError:
            return [None] if len(paths) == 1 else [self.identify([path])[0] for path in paths]

    def parts(self, body: Path, boundary: str) -> list[Part]:
        """The parts of a multipart body.

        Raises:
            McsdrError: it has too many, or the child did not come back.
        """
        with self._asked("parts", {"path": str(body), "boundary": boundary}) as pipe:
            size = body.stat().st_size
            found = [Part(int(start), int(length), *rest) for start, length, *rest in said_by(pipe)["parts"]]
            if not all(0 <= part.start <= part.start + part.length <= size for part in found):
                raise ValueError("outside of the body")
            return found

    def close(self) -> None:
        """End the processes that wait."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for warm in idle:
            warm.end()

    @contextmanager
    def _asked(self, do: str, how: Mapping[str, Any], handle: list[Request] | None = None) -> Iterator[BinaryIO]:
        """The output of a child that was asked; it must be understood, and the child end in peace.

        Raises:
            McsdrError: what is raised inside; UnreadableFile where the child says something else or dies.
        """
        warm = self._take()
        request = warm.ask({"do": do, "how": how, **self.limits})
        if handle is not None:
            handle.append(request)
        timer = threading.Timer(self.wall_s, request.kill)
        timer.start()
        understood, ended = False, None
        try:
            try:
                yield request.pipe
                understood = True
            except MALFORMED:  # what a child sends that has just died is malformed too: see how it ended
                pass
            ended = request.end(None if understood else LEAVE_S)
        finally:
            if ended is None:
                request.end(LEAVE_S)
            timer.cancel()
            self._put_back(warm)
        if not understood or ended != 0:
            raise UnreadableFile(_death(ended), next_step=NEXT_STEP)

    def _take(self) -> Warm:
        """A process that waits, if one still lives, else a new one."""
        with self._lock:
            while self._idle:
                warm = self._idle.pop()
                if warm.lives:
                    return warm
                warm.end()
        return Warm()

    def _put_back(self, warm: Warm) -> None:
        with self._lock:
            if not self._closed and warm.lives and len(self._idle) < MOST_IDLE:
                self._idle.append(warm)
                return
        warm.end()


@cache
def shared() -> Reader:
    """The reader that everything in this process may use; started when it is first asked for."""
    reader = Reader()
    atexit.register(reader.close)
    return reader


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=shared.cache_clear)  # the line to its processes is the parent's


def read_apart(path: Path, given: Mapping[str, Any]) -> Study:
    """A clip read in a child of the shared reader; in this process where nothing can be forked.

    Arguments: as of `Reader.study`.

    Raises:
        McsdrError: as of `Reader.study`.
    """
    return shared().study(path, given) if can_fork() else read_study(path, **given)


def can_fork() -> bool:
    """Whether this system can, as all do but Windows."""
    return hasattr(os, "fork")


def _death(status: int) -> str:
    if status == signal.SIGXCPU:
        return f"reading it took more than {PROCESSOR_S} s of processor time."
    if status == signal.SIGKILL:
        return "reading it took too long or too much memory, and was stopped."
    return "reading it broke off."
