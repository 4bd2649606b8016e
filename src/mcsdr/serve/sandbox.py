"""Reading untrusted bytes in a child process: whatever they do to their parser, the server lives.

    server ──what to do──> child: limits on memory, processor time, files; an empty environment      (child.py)
    server <──lines of JSON, plain arrays, frames one by one── child                                 (wire.py)

The child answers one request and ends. A child that dies, hangs or sends something else becomes an `UnreadableFile`.
Starting Python and its readers takes a good part of a second, so one child always waits, warm, for the next request.
Frames are handed on as they come: neither side ever holds more of a clip than it needs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from mcsdr.errors import McsdrError, UnreadableFile
from mcsdr.serve.wire import NEXT_STEP, Watch, said_by, study_from
from mcsdr.study import Study

MEMORY_BYTES = 3 * 2**30
PROCESSOR_S, WALL_S = 60, 90
MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError)

Header = dict[str, Any]
Children = list["subprocess.Popen[bytes]"]


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
    """Reads in children; one is kept warm.

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

    def read(self, path: Path, given: Mapping[str, Any], watch: Watch, handle: Children | None = None) -> Read:
        """Read one clip.

        Arguments:
            path: the file.
            given: arguments of `read_study`: age, sex, weight, height, frame_rate_hz; None is unknown.
            watch: sees the frames, see `wire.study_from`.
            handle: takes the child, so that another thread may kill it.

        Returns:
            the study, or with its header why there is none.
        """
        header: Header | None = None
        try:
            with self._asked("read", {"path": str(path), "given": dict(given)}, handle) as pipe:
                header = said_by(pipe)["header"]
                study = study_from(pipe, watch)
        except McsdrError as error:
            return Read(header, None, error)
        return Read(header, study)

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
        """End the child that waits."""
        with self._lock:
            self._closed = True
            spare, self._spare = self._spare, None
        if spare is not None:
            _end(spare)

    @contextmanager
    def _asked(self, do: str, how: Mapping[str, Any], handle: Children | None = None) -> Iterator[BinaryIO]:
        """The output of a child that was asked; it must be understood, and the child end in peace.

        Raises:
            McsdrError: what is raised inside; UnreadableFile where the child says something else or dies.
        """
        child = self._take()
        if handle is not None:
            handle.append(child)
        assert child.stdin is not None
        timer = threading.Timer(self.wall_s, child.kill)
        timer.start()
        understood = False
        try:
            with suppress(BrokenPipeError), child.stdin as stdin:
                stdin.write(json.dumps({"do": do, "how": how, **self.limits}).encode() + b"\n")
            try:
                yield cast(BinaryIO, child.stdout)
                understood = True
            except MALFORMED:  # what a child sends that has just died is malformed too: see how it ended
                with suppress(subprocess.TimeoutExpired):
                    child.wait(1.0)
            else:
                child.wait()
            ended = child.poll()
        finally:
            timer.cancel()
            _end(child)
        if not understood or ended != 0:
            raise UnreadableFile(_death(ended or 0), next_step=NEXT_STEP)

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
            [sys.executable, "-P", "-W", "ignore", "-m", "mcsdr.serve.child"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # parsers quote what they read, names among it
            start_new_session=True,  # an interrupt at the terminal is the server's to handle
        )


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


def _death(status: int) -> str:
    if status == -getattr(signal, "SIGXCPU", 0):
        return f"reading it took more than {PROCESSOR_S} s of processor time."
    if status == -signal.SIGKILL:
        return "reading it took too long or too much memory, and was stopped."
    return "reading it broke off."
