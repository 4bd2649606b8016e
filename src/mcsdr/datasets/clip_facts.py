"""What reading a clip of a data set gave, and the journal that keeps it.

    clip  --hash, decode-->  ClipFacts  --one line-->  journal

A line's key is the file's path, size and time, the table's frame rate and this package's version: the same key, the
same facts. So a check that was stopped goes on, and a file that was changed is read again. Nothing of a clip is kept
but its facts; memory does not grow with pictures.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

import mcsdr
from mcsdr.datasets.entries import ClipEntry, Fault, FolderCohort
from mcsdr.errors import McsdrError, MissingFile, UnreadableFile, UnwritableFile
from mcsdr.files import sha256_of
from mcsdr.io.pace import pace_of
from mcsdr.study import Clip

# What a reader may say of a clip that casts doubt on the file; its other notices speak of how to use it.
DOUBTS = (
    "frames-missing",
    "frame-count-untrue",
    "frame-rate-doubtful",
    "frame-time-disagrees",
    "frame-times-uneven",
    "frame-times-mended",
    "sector-not-found",
    "spacing-implausible",
)

Key = tuple[object, ...]


@dataclass(frozen=True)
class ClipFacts:
    """What reading a clip gave.

    Arguments:
        sha256: of the file's bytes, None where they could not be read; such facts are not kept.
        frames, frame_rate_hz, height, width: as decoded, the picture before it was cut; None where it was not.
        faults: what is wrong with the file by itself.
    """

    sha256: str | None = None
    frames: int | None = None
    frame_rate_hz: float | None = None
    height: int | None = None
    width: int | None = None
    faults: tuple[Fault, ...] = ()


class Journal:
    """What reading clips gave, by key, kept on disk as it becomes known; a path of None keeps it in memory alone.

    A line that is not whole, as an interrupted write leaves it, is passed over.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.known: dict[Key, ClipFacts] = dict(_journal_lines(path)) if path else {}

    def __enter__(self) -> Journal:
        self._file = None
        if self.path:
            with _named(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("a", encoding="utf-8")
                self._file.write("\n")  # whatever was torn off before ends here
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self._file and self.path:
            with _named(self.path):
                self._file.close()

    def add(self, key: Key, facts: ClipFacts) -> None:
        """Keep the facts of one clip; they are with the system when this returns.

        Raises:
            UnwritableFile: no room.
        """
        self.known[key] = facts
        if self._file and self.path:
            with _named(self.path):
                self._file.write(json.dumps({"key": key, **asdict(facts)}) + "\n")
                self._file.flush()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnwritableFile(f"it cannot be written: {error.strerror}.", path=path) from error


def _journal_lines(path: Path) -> Iterator[tuple[Key, ClipFacts]]:
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                facts = json.loads(line)
                key = tuple(facts.pop("key"))
                yield key, ClipFacts(**{**facts, "faults": tuple(Fault(**fault) for fault in facts["faults"])})
            except (ValueError, TypeError, KeyError, AttributeError):
                continue


def key_of(clip: ClipEntry) -> Key | None:
    """What a clip's facts depend on; None where there is no such file."""
    try:
        status = [file.stat() for file in {clip.path, _pixel_file(clip.path)}]
    except (OSError, ValueError):
        return None
    size, time_ns = sum(s.st_size for s in status), max(s.st_mtime_ns for s in status)
    return (os.path.abspath(clip.path), size, time_ns, clip.frame_rate_hz, mcsdr.__version__)


def _pixel_file(path: Path) -> Path:
    """Where a clip's pixels are: a MetaImage header has them in a file beside it."""
    beside = (path.with_suffix(suffix) for suffix in (".raw", ".zraw") if path.suffix.lower() == ".mhd")
    return next((file for file in beside if file.is_file()), path)


def read_facts(cohort: FolderCohort, clip: ClipEntry) -> ClipFacts:
    """Decode one clip and describe it; whatever happens becomes a fault, never an error."""
    try:
        digest = sha256_of(_pixel_file(clip.path))
        loop = cohort.read_clip(clip)
        height, width = loop.frames.shape[1:] if loop.overview is None else loop.overview.shape
        faults = tuple(_of_pictures(loop))
        return ClipFacts(digest, len(loop.frames), loop.frame_rate_hz, int(height), int(width), faults)
    except McsdrError as error:
        return ClipFacts(digest, faults=(Fault(error.code, error.cause),))
    except Exception as error:  # one clip that breaks its reader must not cost the others their check
        # Memory may have run out, say: without a hash it is tried again the next time.
        return ClipFacts(faults=(Fault(UnreadableFile.code, f"its reader failed ({type(error).__name__})"),))


def look_for(cohort: FolderCohort, clip: ClipEntry) -> ClipFacts:
    """Whether a clip is there; nothing of it is read."""
    return ClipFacts(faults=() if key_of(clip) else (Fault(MissingFile.code, "there is no such file"),))


def _of_pictures(loop: Clip) -> Iterator[Fault]:
    notices = (*loop.notices, *pace_of(loop).notices(adult=False))
    yield from (Fault(notice.code, notice.text, "doubt") for notice in notices if notice.code in DOUBTS)
    pictures = loop.frames
    if pictures.dtype.kind == "f" and not np.isfinite(pictures).all():
        yield Fault("pixels-not-finite", "pixels are NaN or infinite")
    elif pictures.min() == pictures.max():
        yield Fault("blank-picture", f"every pixel is {pictures.min()}", "doubt")
    elif (pictures[1:] == pictures[:1]).all():
        yield Fault("still-picture", f"all {len(pictures)} frames are the same", "doubt")
