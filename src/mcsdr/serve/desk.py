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

import json
import math
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
from mcsdr.io.sandbox import Header, Reader, Request
from mcsdr.model import Answer, Encoded, Model, conclude
from mcsdr.posterior import Population
from mcsdr.prediction import Failure
from mcsdr.serve.guard import LEAST_RATE
from mcsdr.serve.memory import give_back
from mcsdr.serve.pictures import Marks, Passings, Sheet, kept_bytes
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


@dataclass(frozen=True)
class Revision:
    """One answer of a job, which never changes.

    Attributes:
        number: counted from 1; other attributes, another threshold or insistence make the next one.
        result: the answer, or why there is none.
        record: of the result.
    """

    number: int
    result: Answer | Failure
    record: dict[str, Any]


@dataclass
class Job:
    """One clip on its way.

    Attributes:
        id: not to be guessed.
        name: what the user calls the clip; shown to them, never logged.
        upload: the file, until it is read.
        given: what the user said of the patient and the frame rate: arguments of `read_study`.
        threshold: an EF in per cent, or None.
        anyway: whether an abstention is to show its posterior.
        state: see above.
        header: what a report needs of a DICOM clip's.
        encoded, read_s: the study with its tokens, and the seconds that reading took.
        marks, sheet: frames of end-diastole and end-systole, of each clip; and all frames on one picture.
        revision: the answer as it stands; replaced as a whole, under `lock`.
        listeners, asked_s: how many are told of its states as they change, and when somebody last asked.
    """

    id: str
    name: str
    upload: Path
    given: dict[str, Any]
    threshold: float | None = None
    anyway: bool = False
    state: str = WAITING
    header: Header | None = None
    encoded: Encoded | None = None
    read_s: float = math.nan
    marks: Marks = field(default_factory=list)
    sheet: Sheet | None = None
    revision: Revision | None = None
    listeners: int = 0
    asked_s: float = 0.0
    requests: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def result(self) -> Answer | Failure | None:
        """Of the revision that stands."""
        return None if self.revision is None else self.revision.result

    @property
    def kept_bytes(self) -> int:
        """Memory that it takes: pictures, tokens, header and words."""
        held = len(json.dumps(self.header)) + (0 if self.sheet is None else len(self.sheet.jpeg))
        held += 0 if self.revision is None else len(json.dumps(self.revision.record))
        if self.encoded is None:
            return held
        video = self.encoded.video
        tokens = sum(tensor.numel() * tensor.element_size() for tensor in (video.tokens, video.mask))
        return held + tokens + kept_bytes(self.encoded.study)


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
        job = Job(secrets.token_urlsafe(12), name, upload, given, threshold, anyway)
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
            if job.encoded is None or job.revision is None:
                raise ValueError("there is no answer to revise")
            answer = self._concluded(job, attributes, threshold, anyway)
            job.revision = Revision(job.revision.number + 1, answer, answer.record())
            return job.revision

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
        passings = Passings(self.model)
        try:
            job.state = READING
            started = time.perf_counter()
            try:
                read = self.reader.read(job.upload, job.given, passings.watch, job.requests)
            finally:
                job.requests.clear()
                job.upload.unlink(missing_ok=True)
            job.header = read.header
            if job.state == CANCELLED:
                return
            if read.study is None:
                raise read.error or McsdrError("nothing came of it.")
            job.state, job.read_s = ENCODING, time.perf_counter() - started
            study = replace(read.study, file=job.name, input_sha256=sha256)
            job.encoded = passings.encoded(study, with_sheet=True)
            job.marks, job.sheet = passings.marks, passings.sheet
            give_back()  # the pictures of a clip of minutes, before its many windows are sampled
            self._finish(job, DONE, self._concluded(job, None, job.threshold, job.anyway))
        except McsdrError as error:
            error.path = None  # the server's own name for it helps nobody
            self._finish(job, FAILED, Failure(job.name, error, sha256))
        except Exception as error:  # a fault of ours must not stop the line
            why = McsdrError(f"the server failed on this clip ({type(error).__name__}).")
            self._finish(job, FAILED, Failure(job.name, why, sha256))

    def _concluded(self, job: Job, attributes: Attributes | None, threshold: float | None, anyway: bool) -> Answer:
        assert job.encoded is not None
        how: dict[str, Any] = {"attributes": attributes, "threshold": threshold, "anyway": anyway, "prior": self.prior}
        answer = conclude(job.encoded, self.model, **how)
        return replace(answer, seconds={"read": job.read_s, **answer.seconds})

    @staticmethod
    def _finish(job: Job, state: str, result: Answer | Failure) -> None:
        job.revision = Revision(1, result, result.record())
        if job.state != CANCELLED:
            job.state = state


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
