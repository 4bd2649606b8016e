"""The desk: clips wait in line, one after the other is read and answered, answers are kept for a while.

    waiting ──> reading ──> encoding ──> done        at any time: cancelled
                    └───────────┴──────> failed

One thread works through the line, since one encoding fills the machine. The line is bounded, and an upload has its
place in it from its first byte on: who comes too late is told when to come again, and nothing of theirs is kept; who
lets bytes trickle loses the place to who comes then. It lies in a folder of the server's own under a name that the
server made, and is removed as soon as it is read.

An answer is a `Revision`: attributes, result and record in one value that never changes. Other attributes make the next
one, which takes its place as a whole; whoever holds one says one thing in every form. Answers are kept until newer ones
need their room, the newest in any case, so that attributes can change without encoding again.
"""

from __future__ import annotations

import mmap
import os
import queue
import secrets
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mcsdr.errors import McsdrError
from mcsdr.files import sha256_of
from mcsdr.files.memory import give_back
from mcsdr.io.sandbox import Reader, Request
from mcsdr.model import Answer, Encoded, Model, conclude
from mcsdr.posterior import Population
from mcsdr.prediction import Failure
from mcsdr.serve.guard import LEAST_RATE
from mcsdr.serve.keeping import Kept, Revision, packed, unpacked
from mcsdr.serve.pictures import Passings
from mcsdr.serve.progress import Progress, gives_way
from mcsdr.study import Attributes

WAITING, READING, ENCODING, DONE, FAILED, CANCELLED = "waiting", "reading", "encoding", "done", "failed", "cancelled"
FINISHED = (DONE, FAILED, CANCELLED)
KEPT_BYTES = 192 * 2**20  # of answers that are kept
KEPT_JOBS = 200
FOLDER = "mcsdr-desk-"  # begins the name of a folder of uploads; the number of its process follows
USUAL_S = 2.0  # for one clip, until some have been answered


class LineIsFull(Exception):
    """No more clips can wait; `retry_s` says when to try again."""

    def __init__(self, retry_s: int) -> None:
        self.retry_s = retry_s
        super().__init__(f"the line is full; try again in {retry_s} s")


@dataclass
class Job:
    """One clip on its way.

    Attributes:
        id: not to be guessed.
        name: what the user calls the clip; shown to them, never logged.
        upload: the file, until it is read.
        given: what the user said of the patient and the frame rate: arguments of `read_study`.
        model: what answers.
        threshold: an EF in per cent, or None.
        anyway: whether an abstention is to show its posterior.
        state: see above.
        memory: what is kept of it once it is finished, in one piece; replaced as a whole, under `lock`.
        listeners, asked_s: how many are told of its states as they change, and when somebody last asked.
    """

    id: str
    name: str
    upload: Path
    given: dict[str, Any]
    model: Model
    threshold: float | None = None
    anyway: bool = False
    state: str = WAITING
    memory: mmap.mmap | None = None
    listeners: int = 0
    asked_s: float = 0.0
    requests: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def kept(self) -> Kept | None:
        """What is kept of it, made again at each call; None until it is finished."""
        memory = self.memory
        return None if memory is None else unpacked(memory, self.model)

    @property
    def revision(self) -> Revision | None:
        """The answer as it stands."""
        kept = self.kept
        return None if kept is None else kept.revision

    @property
    def result(self) -> Answer | Failure | None:
        """Of the revision that stands."""
        revision = self.revision
        return None if revision is None else revision.result

    @property
    def kept_bytes(self) -> int:
        """Memory that what is kept of it takes."""
        return 0 if self.memory is None else len(self.memory)


class Desk:
    """Takes clips in, and answers them in their order.

    Arguments:
        model: what answers.
        line: how many clips may wait.
        kept_bytes, kept_jobs: answers that are kept; the oldest make room.
        reader: reads files in child processes.
        prior: the population that every clip comes from, in place of that which the model learnt from.
    """

    def __init__(
        self,
        model: Model,
        *,
        line: int = 16,
        kept_bytes: int = KEPT_BYTES,
        kept_jobs: int = KEPT_JOBS,
        reader: Reader | None = None,
        prior: Population | None = None,
    ) -> None:
        self.model, self.line, self.kept_bytes, self.kept_jobs = model, line, kept_bytes, kept_jobs
        self.reader, self.prior = reader or Reader(), prior
        _remove_orphans(Path(tempfile.gettempdir()))
        self.folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-"))
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._coming: dict[Path, Progress] = {}  # uploads that have a place, and are not submitted
        self._lock = threading.Lock()
        self._queue: queue.Queue[Job | None] = queue.Queue()
        self._usual_s = USUAL_S
        self._worker = threading.Thread(target=self._work, name="mcsdr-desk", daemon=True)
        self._worker.start()

    def place(self) -> tuple[Path, Progress]:
        """Where a new upload may lie, and its progress, to be told of what comes of it.

        It has its place in the line until it is submitted or given up, or lags where all are taken and another comes.

        Raises:
            LineIsFull: nothing more may wait.
        """
        with self._lock:
            if self._unfinished() >= self.line:
                slowest = gives_way({upload: progress.lag_s for upload, progress in self._coming.items()})
                if slowest is None:
                    raise LineIsFull(max(1, round(self._usual_s * self.line / 4)))
                del self._coming[slowest]
            upload, progress = self.folder / secrets.token_hex(16), Progress(LEAST_RATE)
            self._coming[upload] = progress
        return upload, progress

    def has_place(self, upload: Path) -> bool:
        """Whether an upload that is coming still has the place that it was given."""
        return upload in self._coming

    def give_up(self, upload: Path) -> None:
        """Give the place of an upload back that will not be submitted, and remove what came of it."""
        with self._lock:
            self._coming.pop(upload, None)
        upload.unlink(missing_ok=True)

    def submit(
        self,
        upload: Path,
        name: str,
        given: dict[str, Any],
        *,
        threshold: float | None = None,
        anyway: bool = False,
    ) -> Job:
        """Put an upload into the line, at the place that it has."""
        job = Job(secrets.token_urlsafe(12), name, upload, given, self.model, threshold, anyway)
        with self._lock:
            self._coming.pop(upload, None)
            self._jobs[job.id] = job
            self._make_room()
        self._queue.put(job)
        return job

    def find(self, job_id: str) -> Job | None:
        """A job that is waiting, at work or kept."""
        return self._jobs.get(job_id)

    @property
    def waiting(self) -> int:
        """How many wait or are at work."""
        with self._lock:
            return self._unfinished()

    def cancel(self, job_id: str) -> bool:
        """Stop a job and forget it; False where there is none."""
        with self._lock:
            job = self._jobs.pop(job_id, None)
        if job is None:
            return False
        if job.state not in FINISHED:
            job.state = CANCELLED
        for request in job.requests:
            request.kill()
        job.upload.unlink(missing_ok=True)
        return True

    def revise(self, job: Job, attributes: Attributes | None, threshold: float | None, anyway: bool) -> Revision:
        """The next revision, with other attributes, threshold or insistence; nothing is encoded again.

        Raises:
            InvalidConfig: the threshold is no ejection fraction.
            ValueError: the job has no answer that could be revised.
        """
        with job.lock:
            kept = job.kept
            if kept is None or kept.encoded is None:
                raise ValueError("there is no answer to revise")
            answer = self._concluded(kept.encoded, kept.read_s, attributes, threshold, anyway)
            revision = Revision(kept.revision.number + 1, answer, answer.record())
            job.memory = packed(replace(kept, revision=revision), self.model)
            return revision

    def close(self) -> None:
        """Stop working, and remove what was uploaded."""
        with self._lock:
            unfinished = [job.id for job in self._jobs.values() if job.state not in FINISHED]
        for job_id in unfinished:
            self.cancel(job_id)
        self._queue.put(None)
        self._worker.join(timeout=30)
        self.reader.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- the line ----------------------------------------------------------------------------------------------------

    def _unfinished(self) -> int:
        return len(self._coming) + sum(job.state not in FINISHED for job in self._jobs.values())

    def _make_room(self) -> None:
        """Forget the oldest answers beyond what may be kept; what waits is never forgotten, nor is the newest."""
        finished = {job.id: job.kept_bytes for job in self._jobs.values() if job.state in FINISHED}
        held = sum(finished.values())
        for job_id, size in list(finished.items())[:-1]:
            if held <= self.kept_bytes and len(finished) <= self.kept_jobs:
                break
            held -= size
            del finished[job_id], self._jobs[job_id]

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            if job.state != CANCELLED:
                started = time.monotonic()
                self._answer(job)
                self._usual_s += 0.2 * (time.monotonic() - started - self._usual_s)
            with self._lock:
                self._make_room()
            give_back()

    def _answer(self, job: Job) -> None:
        """Read, encode and conclude; every failure is an answer."""
        sha256 = sha256_of(job.upload)
        try:
            kept = self._read_and_concluded(job, sha256)
        except McsdrError as error:
            error.path = None  # the server's own name for it helps nobody
            kept = _failed(Failure(job.name, error, sha256))
        except Exception as error:  # a fault of ours must not stop the line
            why = McsdrError(f"the server failed on this clip ({type(error).__name__}).")
            kept = _failed(Failure(job.name, why, sha256))
        if kept is not None:
            job.memory = packed(kept, self.model)
            if job.state != CANCELLED:
                job.state = FAILED if isinstance(kept.revision.result, Failure) else DONE

    def _read_and_concluded(self, job: Job, sha256: str | None) -> Kept | None:
        """None of a job that was cancelled meanwhile."""
        passings = Passings(self.model)
        job.state = READING
        started = time.perf_counter()
        try:
            read = self.reader.read(job.upload, job.given, passings.watch, job.requests)
        finally:
            job.requests.clear()
            job.upload.unlink(missing_ok=True)
        if job.state == CANCELLED:
            return None
        if read.study is None:
            raise read.error or McsdrError("nothing came of it.")
        job.state, read_s = ENCODING, time.perf_counter() - started
        study = replace(read.study, file=job.name, input_sha256=sha256)
        encoded = passings.encoded(study, with_sheet=True)
        give_back()  # the pictures of a clip of minutes, before its many windows are sampled
        answer = self._concluded(encoded, read_s, None, job.threshold, job.anyway)
        return Kept(Revision(1, answer, answer.record()), read.header, encoded, read_s, passings.marks, passings.sheet)

    def _concluded(
        self, encoded: Encoded, read_s: float, attributes: Attributes | None, threshold: float | None, anyway: bool
    ) -> Answer:
        how: dict[str, Any] = {"attributes": attributes, "threshold": threshold, "anyway": anyway, "prior": self.prior}
        answer = conclude(encoded, self.model, **how)
        return replace(answer, seconds={"read": read_s, **answer.seconds})


def _failed(result: Failure) -> Kept:
    return Kept(Revision(1, result, result.record()))


def _remove_orphans(place: Path) -> None:
    """Remove what processes of this user left that were killed: uploads of patients must not outlive the service."""
    for folder in place.glob(f"{FOLDER}*-*"):
        process = folder.name.removeprefix(FOLDER).partition("-")[0]
        if process.isdigit() and folder.stat().st_uid == os.getuid() and not _lives(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
