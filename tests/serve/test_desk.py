"""The desk keeps its promises to those who wait: order, room, and no upload that outlives its use."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import mcsdr
from mcsdr.model import Answer
from mcsdr.prediction import Failure
from mcsdr.serve.desk import FOLDER, Desk, Job, LineIsFull
from mcsdr.study import Attributes


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    desk = Desk(mcsdr.load(), line=3)
    yield desk
    desk.close()
    assert not desk.folder.exists()


def submitted(desk: Desk, content: bytes, name: str = "clip") -> Job:
    upload = desk.place()
    upload.write_bytes(content)
    return desk.submit(upload, name, {})


def finished(job: Job, seconds: float = 90.0) -> Job:
    deadline = time.monotonic() + seconds
    while job.state not in ("done", "failed", "cancelled"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return job


def test_an_answer_can_be_revised_and_the_clip_is_gone(desk: Desk, real_clip: Path) -> None:
    job = finished(submitted(desk, real_clip.read_bytes()))
    assert isinstance(job.result, Answer)
    assert list(desk.folder.iterdir()) == []
    revised = desk.revise(job, Attributes(age_years=70.0), None, False).result
    assert isinstance(revised, Answer)
    assert revised.study.attributes.age_years == 70.0
    assert revised.input_sha256 == job.result.input_sha256


def test_damaged_files_fail_one_by_one(desk: Desk, real_clip: Path) -> None:
    jobs = [submitted(desk, content) for content in (b"", b"words", real_clip.read_bytes()[:3000])]
    for job in jobs:
        assert isinstance(finished(job).result, Failure)
    assert list(desk.folder.iterdir()) == []


def test_a_full_line_takes_nothing_and_keeps_nothing(desk: Desk, real_clip: Path) -> None:
    jobs = [submitted(desk, real_clip.read_bytes()) for _ in range(desk.line)]
    with pytest.raises(LineIsFull) as full:
        desk.place()
    assert full.value.retry_s >= 1
    for job in jobs:
        desk.cancel(job.id)
    deadline = time.monotonic() + 60
    while list(desk.folder.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(desk.folder.iterdir()) == []


def test_old_answers_make_room(real_clip: Path) -> None:
    small = Desk(mcsdr.load(), line=2, kept_bytes=1)
    jobs = [finished(submitted(small, real_clip.read_bytes())) for _ in range(3)]
    small.close()
    assert [small.find(job.id) is not None for job in jobs] == [False, False, True]  # the newest is told in any case
    assert 200_000 < jobs[-1].kept_bytes < 2_000_000


def test_what_a_killed_service_left_is_removed() -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    orphan = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{int(ended.stdout)}-"))
    mine = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-"))
    (orphan / "upload").write_bytes(b"of a patient")
    Desk(mcsdr.load(), line=1).close()
    assert not orphan.exists()
    assert mine.exists()
    mine.rmdir()
