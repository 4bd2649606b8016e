"""The desk: clips wait in line, one after the other is read and answered, answers are kept for a while.

    waiting ──> reading ──> encoding ──> done        at any time: cancelled
                    └───────────┴──────> failed

One thread works through the line, since one encoding fills the machine. The line is bounded: who comes too late is told
when to come again, and nothing of theirs is kept. An upload lies in a folder of the server's own under a name that the
server made, and is removed as soon as it is read. Answers are kept until newer ones need their room, so that attributes
can change without encoding again.
"""

from __future__ import annotations

import math
import os
import queue
import secrets
import shutil
import subprocess
import tempfile
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mcsdr.errors import McsdrError
from mcsdr.files import sha256_of
from mcsdr.model import Answer, Encoded, Model, conclude, encode
from mcsdr.prediction import Failure
from mcsdr.serve.sandbox import Reader
from mcsdr.serve.views import Marks, key_frames
from mcsdr.study import Attributes

WAITING, READING, ENCODING, DONE, FAILED, CANCELLED = "waiting", "reading", "encoding", "done", "failed", "cancelled"
FINISHED = (DONE, FAILED, CANCELLED)
KEPT_BYTES = 384 * 2**20  # of frames, in answers that are kept
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
        threshold: an EF in per cent, or None.
        anyway: whether an abstention is to show its posterior.
        state: see above.
        header: of a DICOM clip, without pixels.
        record: of the result, worked out once for all who wait.
        encoded, read_s: the study with its tokens, and the seconds that reading took.
        marks: frames of end-diastole and end-systole, of each clip.
    """

    id: str
    name: str
    upload: Path
    given: dict[str, Any]
    threshold: float | None = None
    anyway: bool = False
    state: str = WAITING
    header: bytes = b""
    marks: Marks = field(default_factory=list)
    encoded: Encoded | None = None
    read_s: float = math.nan
    result: Answer | Failure | None = None
    record: dict[str, Any] | None = None
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def kept_bytes(self) -> int:
        """Memory that its frames take."""
        clips = self.encoded.study.clips if self.encoded else ()
        return sum(clip.frames.nbytes + (0 if clip.overview is None else clip.overview.nbytes) for clip in clips)


class Desk:
    """Takes clips in, and answers them in their order.

    Arguments:
        model: what answers.
        line: how many clips may wait.
        kept_bytes, kept_jobs: answers that are kept; the oldest make room.
        reader: reads files in child processes.
    """

    def __init__(
        self,
        model: Model,
        *,
        line: int = 16,
        kept_bytes: int = KEPT_BYTES,
        kept_jobs: int = KEPT_JOBS,
        reader: Reader | None = None,
    ) -> None:
        self.model, self.line, self.kept_bytes, self.kept_jobs = model, line, kept_bytes, kept_jobs
        self.reader = reader or Reader()
        _remove_orphans(Path(tempfile.gettempdir()))
        self.folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-"))
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()
        self._queue: queue.Queue[Job | None] = queue.Queue()
        self._usual_s = USUAL_S
        self._worker = threading.Thread(target=self._work, name="mcsdr-desk", daemon=True)
        self._worker.start()

    def place(self) -> Path:
        """Where a new upload may lie.

        Raises:
            LineIsFull: nothing more may wait.
        """
        self._refuse_full()
        return self.folder / secrets.token_hex(16)

    def submit(
        self,
        upload: Path,
        name: str,
        given: dict[str, Any],
        *,
        threshold: float | None = None,
        anyway: bool = False,
    ) -> Job:
        """Put an upload into the line.

        Raises:
            LineIsFull: too many wait; the upload is removed.
        """
        job = Job(secrets.token_urlsafe(12), name, upload, given, threshold, anyway)
        with self._lock:
            try:
                self._refuse_full()
            except LineIsFull:
                upload.unlink(missing_ok=True)
                raise
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
        for child in job.children:
            child.kill()
        job.upload.unlink(missing_ok=True)
        return True

    def revise(
        self, job: Job, attributes: Attributes | None, threshold: float | None, anyway: bool
    ) -> Answer | Failure | None:
        """The answer with other attributes, threshold or insistence; nothing is encoded again.

        Raises:
            InvalidConfig: the threshold is no ejection fraction.
        """
        if job.encoded is None:
            return job.result
        self._conclude(job, attributes, threshold, anyway)
        job.record = None if job.result is None else job.result.record()
        job.threshold, job.anyway = threshold, anyway
        return job.result

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
        return sum(job.state not in FINISHED for job in self._jobs.values())

    def _refuse_full(self) -> None:
        if self._unfinished() >= self.line:
            raise LineIsFull(max(1, round(self._usual_s * self.line / 4)))

    def _make_room(self) -> None:
        """Forget the oldest answers beyond what may be kept; what waits is never forgotten."""
        finished = [job for job in self._jobs.values() if job.state in FINISHED]
        held = sum(job.kept_bytes for job in finished)
        for job in finished:
            if held <= self.kept_bytes and len(self._jobs) <= self.kept_jobs + self.line:
                break
            held -= job.kept_bytes
            del self._jobs[job.id]

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            if job.state != CANCELLED:
                started = time.monotonic()
                self._answer(job)
                self._usual_s += 0.2 * (time.monotonic() - started - self._usual_s)
            with self._lock:
                self._make_room()

    def _answer(self, job: Job) -> None:
        """Read, encode and conclude; every failure is an answer."""
        sha256 = sha256_of(job.upload)
        try:
            job.state = READING
            started = time.perf_counter()
            try:
                read = self.reader.read(job.upload, job.given, job.children)
            finally:
                job.children.clear()
                job.upload.unlink(missing_ok=True)
            job.header = read.header
            if job.state == CANCELLED:
                return
            job.state = ENCODING
            took = time.perf_counter() - started
            study = replace(read.study, file=job.name, input_sha256=sha256)
            job.encoded = encode(study, self.model)
            job.marks = key_frames(study, self.model)
            job.read_s = took
            self._conclude(job, None, job.threshold, job.anyway)
            self._finish(job, DONE)
        except McsdrError as error:
            error.path = None  # the server's own name for it helps nobody
            job.result = Failure(job.name, error, sha256)
            self._finish(job, FAILED)
        except Exception as error:  # a fault of ours must not stop the line
            kind = type(error).__name__
            job.result = Failure(job.name, McsdrError(f"the server failed on this clip ({kind})."), sha256)
            self._finish(job, FAILED)

    def _conclude(self, job: Job, attributes: Attributes | None, threshold: float | None, anyway: bool) -> None:
        assert job.encoded is not None
        answer = conclude(job.encoded, self.model, attributes=attributes, threshold=threshold, anyway=anyway)
        job.result = replace(answer, seconds={"read": job.read_s, **answer.seconds})

    @staticmethod
    def _finish(job: Job, state: str) -> None:
        job.record = None if job.result is None else job.result.record()
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
