"""`mcsdr sr`, `mcsdr fhir` and `mcsdr deidentify` as a user meets them: files, exit status, errors that name nobody."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from tests.interop.records import abstention, answer, failure
from tests.io.generated_clips import screen_loop, ultrasound

from mcsdr.cli import app
from mcsdr.errors import InvalidConfig, MismatchedSource, MissingFile, UnreadableFile
from mcsdr.files import sha256_of
from mcsdr.interop.structured_report import read_back


def run(*arguments: str | Path) -> int:
    """One command; its exit status."""
    try:
        app([str(argument) for argument in arguments], result_action="return_value")
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return Path(shutil.copy(get_testdata_file("examples_ybr_color.dcm"), tmp_path / "clip.dcm"))


def results(folder: Path, *records: object) -> Path:
    path = folder / "answers.json"
    path.write_text(json.dumps(list(records)))
    return path


def test_the_commands_are_listed() -> None:
    assert {"sr", "fhir", "deidentify"} <= set(app)


@pytest.mark.parametrize("make", [answer, abstention, failure])
def test_sr_writes_a_report_that_reads_back(tmp_path: Path, clip: Path, make: object) -> None:
    record = make()  # type: ignore[operator]
    assert run("sr", results(tmp_path, record), clip, tmp_path / "report.dcm") == 0
    report = dcmread(tmp_path / "report.dcm")
    assert read_back(report)["median"] == record["median"]
    assert run("sr", results(tmp_path, record), clip, tmp_path / "again.dcm") == 0
    assert dcmread(tmp_path / "again.dcm").SOPInstanceUID == report.SOPInstanceUID


def test_sr_takes_the_record_of_the_clips_name(tmp_path: Path, clip: Path) -> None:
    several = results(tmp_path, answer(1, file="a/other.dcm"), answer(2, file="b/clip.dcm"))
    assert run("sr", several, clip, tmp_path / "report.dcm") == 0
    assert read_back(dcmread(tmp_path / "report.dcm"))["median"] == answer(2)["median"]
    with pytest.raises(MismatchedSource):
        run("sr", results(tmp_path, answer(1, file="a.dcm"), answer(2, file="b.dcm")), clip, tmp_path / "none.dcm")
    with pytest.raises(MismatchedSource):
        run(
            "sr",
            results(tmp_path, answer(1, file="a/clip.dcm"), answer(2, file="b/clip.dcm")),
            clip,
            tmp_path / "n.dcm",
        )
    assert not (tmp_path / "none.dcm").exists()


def test_sr_takes_the_record_of_the_clips_bytes(tmp_path: Path, clip: Path) -> None:
    mine = answer(1, file="renamed.dcm", input_sha256=sha256_of(clip))
    other = answer(2, file="clip.dcm", input_sha256="0" * 64)
    assert run("sr", results(tmp_path, other, mine), clip, tmp_path / "report.dcm") == 0
    assert read_back(dcmread(tmp_path / "report.dcm"))["median"] == answer(1)["median"]
    wrong = results(tmp_path, other)
    for command in (("sr", wrong, clip, tmp_path / "none.dcm"), ("fhir", wrong, clip)):
        with pytest.raises(MismatchedSource, match="bytes"):
            run(*command)
    with pytest.raises(MissingFile):
        run("sr", wrong, tmp_path / "gone.dcm", tmp_path / "none.dcm")
    assert not (tmp_path / "none.dcm").exists()


def test_sr_refuses_a_result_of_another_clip_by_name(tmp_path: Path) -> None:
    other = ultrasound(screen_loop(4), StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.4")
    other.save_as(tmp_path / "other.dcm", enforce_file_format=True)
    with pytest.raises(MismatchedSource) as refused:
        run("sr", results(tmp_path, answer()), tmp_path / "other.dcm", tmp_path / "report.dcm")
    with pytest.raises(MismatchedSource):
        run("fhir", results(tmp_path, answer()), tmp_path / "other.dcm")
    assert "other.dcm" in str(refused.value)
    assert "lanted" not in str(refused.value)


def test_what_is_no_result_is_refused(tmp_path: Path, clip: Path) -> None:
    broken = [
        answer(prob={"<=30": None}),
        answer(abstained="yes"),
        answer(3, clips=[]),
        answer(beats=[{}]),
        answer(file=1),
    ]
    for content in ("", "[]", "[1]", '{"median": 1}', "\udcff", *map(json.dumps, broken)):
        (tmp_path / "bad.json").write_text(content, errors="surrogateescape")
        with pytest.raises(UnreadableFile):
            run("sr", tmp_path / "bad.json", clip, tmp_path / "report.dcm")
    with pytest.raises(MissingFile):
        run("fhir", tmp_path / "none.json")
    with pytest.raises(MissingFile):
        run("sr", results(tmp_path, answer()), tmp_path / "none.dcm", tmp_path / "report.dcm")


def test_fhir_prints_an_observation_or_a_bundle(tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fhir", results(tmp_path, answer()), clip, "--subject", "Patient/17") == 0
    one = json.loads(capsys.readouterr().out)
    assert (one["resourceType"], one["subject"]["reference"]) == ("Observation", "Patient/17")
    assert "derivedFrom" in one
    assert run("fhir", results(tmp_path, answer(), failure()), "--out", tmp_path / "f.json") == 0
    both = json.loads((tmp_path / "f.json").read_text())
    assert [entry["resource"]["resourceType"] for entry in both["entry"]] == ["Observation"] * 2


def test_deidentify_copies_a_file(tmp_path: Path, clip: Path) -> None:
    before = clip.read_bytes()
    assert run("deidentify", clip, tmp_path / "copy.dcm", "--salt", "s") == 0
    assert dcmread(tmp_path / "copy.dcm").PatientIdentityRemoved == "YES"
    assert clip.read_bytes() == before


def test_deidentify_copies_a_folder_and_counts_what_it_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.dcm", "b.dcm"):
        ultrasound(screen_loop(4), StudyInstanceUID="1.2.3").save_as(folder / name, enforce_file_format=True)
    assert run("deidentify", folder, tmp_path / "out") == 0
    copies = [dcmread(path) for path in (tmp_path / "out").iterdir()]
    assert len(copies) == 2
    assert len({copy.StudyInstanceUID for copy in copies}) == 1
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {copy.SOPInstanceUID for copy in copies}
    (folder / "c.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"broken")
    ultrasound(screen_loop(4), Modality="CT").save_as(folder / "d.dcm", enforce_file_format=True)
    capsys.readouterr()
    assert run("deidentify", folder, tmp_path / "more") == 1
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 2
    assert ["c.dcm" in line or "d.dcm" in line for line in shown.err.splitlines()] == [True, True]
    assert "lanted" not in shown.out + shown.err
    with pytest.raises(InvalidConfig):
        run("deidentify", folder, folder / "copies")
