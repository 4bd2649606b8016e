"""Decoded clips on disk: one run of uint8 frames, memory-mapped, and an index of what is known of each study.

Reading 32 frames from the map costs well under a millisecond; decoding them from a video costs tens. Clips lie end to
end, each as long as it is, so a study may hold any number of any length. A cache is built in a folder of its own and
renamed into place when it is complete, so a half-written one is never read. Its name is a hash of what it was made
from.

Every clip has a checksum, looked at when it is first read, and the index a hash: one flipped bit is an error, not
another label.

A study that cannot be used is left out and listed in `bad_rows.csv`; more of them than the limit allows stop the
build.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import zlib
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from copy import copy
from dataclasses import astuple, dataclass
from fractions import Fraction
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from mcsdr.clips import ClipSettings, Frames, store
from mcsdr.clips.attributes import attribute_row
from mcsdr.errors import BadRow, DamagedCache, McsdrError, OutputInUse, TooManyBadRows
from mcsdr.files import locked_table, write_atomically, write_table
from mcsdr.files.sealing import check_seal, seal
from mcsdr.files.workers import worker_pool
from mcsdr.files.writing import sync_folder, unwritable
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.study import KnownPosterior, Study, View

FRAMES, INDEX, SUMS, BAD_ROWS = "frames.u8", "index.json", "sums.json", "bad_rows.csv"
T = TypeVar("T")
AHEAD = 8  # studies that each process reads ahead


@dataclass(frozen=True)
class StoredClip:
    """Where a clip lies in the run of frames, and its view."""

    offset: int
    length: int
    view: View


class ClipCache:
    """The stored clips of a cohort, study by study, in its order.

    Attributes:
        clips: for each study its clips.
        patients: for each study whose it is.
        ef_percent, true_ef_percent: float [N], NaN where unknown.
        known: for each study its exact posterior, None where there is none.
        attributes: float [N, A] in natural units, NaN where unknown (see `mcsdr.clips.attributes`).
        folder: where it lies.
        bad: studies that were left out, as (name, why).
        names: what each study is called in its cohort, see `name_of`.

    Raises:
        DamagedCache: a file is not what was written, or not there.
    """

    def __init__(self, folder: Path) -> None:
        check_seal(folder / INDEX)
        index: dict[str, Any] = json.loads((folder / INDEX).read_text())
        size, rows = index["size"], index["studies"]
        self.clips = [[StoredClip(o, n, View(view)) for o, n, view in row["clips"]] for row in rows]
        self.names = [row["name"] for row in rows]
        self.patients = [row["patient_id"] or row["study_id"] for row in rows]
        self.ef_percent = np.array([row["ef_percent"] for row in rows], dtype=np.float64)
        self.true_ef_percent = np.array([row["true_ef_percent"] for row in rows], dtype=np.float64)
        self.attributes = np.array([row["attributes"] for row in rows], dtype=np.float64).reshape(len(rows), -1)
        self.known = [None if row["known"] is None else _known(*row["known"]) for row in rows]
        self.folder = folder
        self.bad: list[tuple[str, str]] = [(name, why) for name, why in index["bad"]]
        try:
            self._frames: Frames = np.memmap(folder / FRAMES, np.uint8, "r").reshape(-1, size, size)
        except (OSError, ValueError) as error:
            raise DamagedCache(f"it cannot be read: {error}", path=folder / FRAMES) from error
        if not (folder / SUMS).exists():  # an earlier version's
            sums = [self._checksum(clip) for clips in self.clips for clip in clips]
            write_atomically(folder / SUMS, json.dumps(sums).encode())
        check_seal(folder / SUMS)
        clips = (clip for clips in self.clips for clip in clips)
        self._sums = dict(zip((clip.offset for clip in clips), json.loads((folder / SUMS).read_text()), strict=True))

    def __len__(self) -> int:
        return len(self.clips)

    def select(self, names: Collection[str]) -> ClipCache:
        """The same cache with only the studies of these names, the bad ones among them included in `bad`."""
        kept = [i for i, name in enumerate(self.names) if name in names]
        chosen = copy(self)
        for name in ("names", "clips", "patients", "known"):
            setattr(chosen, name, [getattr(self, name)[i] for i in kept])
        for name in ("ef_percent", "true_ef_percent", "attributes"):
            setattr(chosen, name, getattr(self, name)[kept])
        chosen.bad = [(name, why) for name, why in self.bad if name in names]
        return chosen

    def frames(self, clip: StoredClip, start: int = 0, stop: int | None = None) -> Frames:
        """Frames start to stop of a clip, uint8 [T, size, size]; read from the map.

        Raises:
            DamagedCache: the clip is not what was written; looked at when it is first read.
        """
        expected = self._sums.get(clip.offset)
        if expected is not None:
            if self._checksum(clip) != expected:
                cause = f"the clip at frame {clip.offset} is not what was written: its checksum differs."
                raise DamagedCache(cause, path=self.folder / FRAMES)
            self._sums.pop(clip.offset, None)
        stop = clip.length if stop is None else stop
        return np.array(self._frames[clip.offset + start : clip.offset + stop])

    def _checksum(self, clip: StoredClip) -> int:
        return zlib.crc32(self._frames[clip.offset : clip.offset + clip.length].data)


def cached(
    root: Path,
    made_from: dict[str, object],
    cohort: Sequence[Study],
    settings: ClipSettings,
    attributes: tuple[str, ...],
    advance: Callable[[int], None] = lambda done: None,
    max_bad: float = 0.0,
    workers: int = 0,
) -> ClipCache:
    """The cache for `made_from` under `root`, built from the cohort if it is not there yet, by `workers` processes.

    Raises:
        TooManyBadRows: more than the share `max_bad` of the cohort's studies cannot be used.
        OutputInUse: another process is building it.
        UnwritableFile: no room or no permission.
        DamagedCache: it is not what was written.
    """
    stored = settings.model_dump(include={"sampling", "rate_hz", "frames", "every", "size"})
    description = {**made_from, "clip": stored, "attributes": attributes, "format": 7}
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:16]
    folder = root / digest

    def build(partial: Path) -> None:
        _build(partial, cohort, settings, attributes, advance, max_bad, workers)
        write_atomically(partial / "made_from.json", json.dumps(description, indent=2).encode())

    built_once(folder, build)
    cache = ClipCache(folder)
    check_limit(cache.bad, len(cohort), max_bad)
    return cache


def built_once(folder: Path, build: Callable[[Path], None]) -> None:
    """Have `build` fill a folder beside this one, renamed into place when it is complete, unless it is there.

    Raises:
        OutputInUse: another process is building it.
        UnwritableFile: no room or no permission.
    """
    if folder.exists():
        return
    root = folder.parent
    _clear_partials(root)
    with locked_table(folder, "mcsdr, which renders or decodes clips"):
        partial = root / f"{folder.name}.partial"
        try:
            with unwritable(partial):
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir(parents=True)
            build(partial)
            with unwritable(folder):
                os.replace(partial, folder)
                sync_folder(root)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _clear_partials(root: Path) -> None:
    """Remove what killed builds left: a cache that somebody still builds is locked."""
    for left in root.glob("*.partial*"):
        try:
            with locked_table(root / left.name.partition(".")[0], "mcsdr, which clears what was left"):
                shutil.rmtree(left, ignore_errors=True)
        except OutputInUse:
            continue


def allowed_bad(max_bad: float, total: int) -> int:
    """How many of `total` studies may be bad where the share `max_bad` may.

    In binary 0.29·100 is under 29, and 1/6·6 under 1; the share is meant as it was written.
    """
    return math.floor(Fraction(max_bad).limit_denominator(1_000_000) * total)


def check_limit(bad: Sequence[tuple[str, str]], total: int, max_bad: float) -> None:
    """Raise TooManyBadRows where more than the share `max_bad` of `total` studies is bad."""
    if len(bad) > allowed_bad(max_bad, total):
        first = "; ".join(why for _, why in bad[:5])
        allowed = f"at most {max_bad:.2%} may be (data.max_bad)"
        raise TooManyBadRows(f"{len(bad)} of {total} studies cannot be used, {allowed}. The first: {first}")


def readers(cohort: Sequence[T], workers: int = 0) -> Iterator[Callable[[], T]]:
    """What reads each study of a cohort, in its order; phantoms come ready, on a GPU rendered several at once.

    Arguments:
        workers: processes that read ahead, so that all cores decode or render; 0 reads in this one.
    """
    if workers:
        yield from _read_ahead(cohort, workers)
    elif isinstance(cohort, PhantomCohort):
        yield from (partial(_itself, cast(T, study)) for study in cohort)
    else:
        yield from (partial(cohort.__getitem__, index) for index in range(len(cohort)))


def _itself(study: T) -> T:
    return study


def _read_ahead(cohort: Sequence[T], workers: int) -> Iterator[Callable[[], T]]:
    """Studies read by other processes, a bounded number of them ahead."""
    with worker_pool(workers, _serve, (cohort,)) as pool:
        waiting: deque[Future[T]] = deque()
        for index in range(len(cohort)):
            waiting.append(pool.submit(_served, index))
            if len(waiting) > AHEAD * workers:
                yield waiting.popleft().result
        while waiting:
            yield waiting.popleft().result


_cohort: Sequence[Any] = ()  # of a process that reads for another


def _serve(cohort: Sequence[Any]) -> None:
    global _cohort
    _cohort = cohort


def _served(index: int) -> Any:
    return _cohort[index]


def _build(
    folder: Path,
    cohort: Sequence[Study],
    settings: ClipSettings,
    attributes: tuple[str, ...],
    advance: Callable[[int], None],
    max_bad: float,
    workers: int,
) -> None:
    rows: list[dict[str, Any]] = []
    bad: list[tuple[str, str]] = []
    sums: list[int] = []
    offset = 0
    with FileIO(folder / FRAMES, "w") as file:  # without a buffer, so that nothing is left to fail at the close
        for index, read in enumerate(readers(cohort, workers)):
            try:
                study = read()
                if not study.clips or study.ef_percent is None:
                    cause = "it has no clip or no ejection fraction to learn from."
                    raise BadRow(cause, path=study.study_id or str(index))
                stored = [store(clip, settings) for clip in study.clips]
            except McsdrError as error:
                bad.append((name_of(cohort, index), str(error)))
                check_limit(bad, len(cohort), max_bad)
            else:
                clips = []
                for clip, frames in zip(study.clips, stored, strict=True):
                    data = np.ascontiguousarray(frames).data.cast("B")
                    _append(file, data, folder / FRAMES)
                    sums.append(zlib.crc32(data))
                    clips.append((offset, len(frames), clip.view.value))
                    offset += len(frames)
                rows.append({"name": name_of(cohort, index), **_index_row(study, clips, attributes)})
            advance(index + 1)
        with unwritable(folder / FRAMES):
            os.fsync(file.fileno())
    if not rows:
        raise TooManyBadRows("no study of the cohort can be used.")
    write_table(folder / BAD_ROWS, ("study_id", "error"), bad)
    index_of_all = {"size": settings.size, "studies": rows, "bad": bad}
    for path, content in ((folder / INDEX, index_of_all), (folder / SUMS, sums)):
        write_atomically(path, json.dumps(content).encode())
        seal(path)


def _append(file: FileIO, data: memoryview, path: Path) -> None:
    with unwritable(path):
        while data:
            data = data[file.write(data) :]


def _index_row(study: Study, clips: list[tuple[int, int, str]], attributes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "study_id": study.study_id,
        "patient_id": study.patient_id,
        "clips": clips,
        "ef_percent": study.ef_percent,
        "true_ef_percent": float("nan") if study.true_ef_percent is None else study.true_ef_percent,
        "known": None if study.known_posterior is None else astuple(study.known_posterior),
        "attributes": attribute_row(study.attributes, attributes),
    }


def _known(weights: list[float], ef_percent: list[float], reader_sd: float) -> KnownPosterior:
    return KnownPosterior(tuple(weights), tuple(ef_percent), reader_sd)


def name_of(cohort: Sequence[Study], index: int) -> str:
    """What a study is called in its cohort, whether or not it can be read: its name and its row of the table."""
    entries = getattr(cohort, "entries", None)
    if not entries:
        return f"study {index}"
    return f"{entries[index].study_id} ({entries[index].row})" if entries[index].row else entries[index].study_id
