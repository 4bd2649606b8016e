"""The desk keeps its promises to those who wait: order, room, and no upload that outlives its use."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO, StringIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pypdf import PdfReader

import mcsdr
from mcsdr.interop.structured_report import read_back
from mcsdr.model import Answer
from mcsdr.posterior.population import NAMED
from mcsdr.prediction import Failure
from mcsdr.serve.desk import FOLDER, Desk, Job, LineIsFull
from mcsdr.serve.downloads import BY_NAME
from mcsdr.serve.progress import gives_way
from mcsdr.study import Attributes


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    desk = Desk(mcsdr.load(), line=3)
    yield desk
    desk.close()
    assert not desk.folder.exists()


def submitted(desk: Desk, content: bytes, name: str = "clip") -> Job:
    upload, _ = desk.place()
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


def test_a_clinic_s_population_is_that_of_every_answer(real_clip: Path) -> None:
    medians = []
    for prior in (None, NAMED["heart-failure"]):
        desk = Desk(mcsdr.load(), line=1, prior=prior)
        job = finished(submitted(desk, real_clip.read_bytes()))
        revised = desk.revise(job, Attributes(age_years=70.0), None, True)
        desk.close()
        assert revised.record["prior"] == (prior or mcsdr.load().population).name
        medians.append(revised.record["median"])
    assert medians[1] < medians[0] - 0.5


def test_what_a_killed_service_left_is_removed() -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    orphan = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{int(ended.stdout)}-"))
    mine = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-"))
    (orphan / "upload").write_bytes(b"of a patient")
    Desk(mcsdr.load(), line=1).close()
    assert not orphan.exists()
    assert mine.exists()
    mine.rmdir()


def test_an_upload_has_its_place_from_its_first_byte_on(desk: Desk) -> None:
    coming = [desk.place()[0] for _ in range(desk.line)]
    assert desk.waiting == desk.line
    with pytest.raises(LineIsFull):
        desk.place()
    for upload in coming:
        desk.give_up(upload)
    assert desk.waiting == 0


def test_an_upload_that_lags_loses_its_place_to_a_new_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    coming = [desk.place() for _ in range(desk.line)]
    monkeypatch.setattr("mcsdr.serve.desk.gives_way", lambda lags: gives_way(lags, least_s=0.2))
    with coming[0][1].stands():  # a body that has come, and is looked through
        time.sleep(0.3)
        coming[1][1].moved(100)
        coming[2][1].moved(1 << 20)
        new, _ = desk.place()
        with pytest.raises(LineIsFull):
            desk.place()
    assert [desk.has_place(upload) for upload, _ in coming] == [True, False, True]
    for upload in (new, *(upload for upload, _ in coming)):
        desk.give_up(upload)
    assert desk.waiting == 0


def test_who_changes_attributes_at_once_is_answered_for_their_own(desk: Desk, real_clip: Path) -> None:
    job = finished(submitted(desk, real_clip.read_bytes()))
    ages = [20.0 + i for i in range(12)]
    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(lambda age: desk.revise(job, Attributes(age_years=age), None, False), ages))
    for age, revision in zip(ages, told, strict=True):
        assert isinstance(revision.result, Answer)
        assert revision.result.study.attributes.age_years == age
        assert revision.record == revision.result.record()
    assert sorted(revision.number for revision in told) == list(range(2, 14))
    stands = job.revision
    assert stands is not None
    assert stands.record == max(told, key=lambda revision: revision.number).record


def test_all_forms_of_one_revision_say_the_same(desk: Desk, real_clip: Path) -> None:
    job = finished(submitted(desk, real_clip.read_bytes(), "exam.dcm"))
    old = desk.revise(job, Attributes(age_years=30.0), None, True)  # at the limit of width
    desk.revise(job, Attributes(age_years=90.0), None, True)
    kept = job.kept
    assert kept is not None
    forms = {name: make.content(old, kept.header) for name, make in BY_NAME.items()}
    record = json.loads(forms["result.json"])
    assert record["attributes"] == {"age_years": 30.0}
    median, words = record["median"], f"{record['median']:.0f} %"
    (row,) = csv.DictReader(StringIO(forms["result.csv"].decode()))
    assert float(row["median"]) == median
    assert words in forms["report.html"].decode().replace("\xa0", " ")
    assert words in PdfReader(BytesIO(forms["report.pdf"])).pages[0].extract_text().replace("\xa0", " ")
    report = dcmread(BytesIO(forms["report.dcm"]))
    assert read_back(report)["median"] == median
    observation = json.loads(forms["observation.json"])
    assert observation["valueQuantity"]["value"] == median
    assert observation["identifier"][0]["value"] == f"urn:oid:{report.SOPInstanceUID}"


def test_a_fault_of_ours_fails_one_clip_and_the_line_goes_on(
    desk: Desk, real_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("mcsdr.serve.desk.conclude", lambda *_, **__: 1 / 0)
        failed = finished(submitted(desk, real_clip.read_bytes()))
    assert isinstance(failed.result, Failure)
    assert failed.result.error.cause == "the server failed on this clip (ZeroDivisionError)."
    assert isinstance(finished(submitted(desk, real_clip.read_bytes())).result, Answer)
