"""`mcsdr predict`: one clip at length, many clips a line each, and where everything went."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from mcsdr import DISCLAIMER
from mcsdr.cli import app
from mcsdr.model import Model
from mcsdr.phantom.layouts import write_avi
from mcsdr.study import Study


@pytest.fixture
def exams(tmp_path: Path, model: Model, studies: list[Study], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three clips, of which one cannot be read, with a model beside them."""
    monkeypatch.chdir(tmp_path)
    model.save(tmp_path / "model")
    (tmp_path / "exams").mkdir()
    for name, study in zip(("a.avi", "b.avi"), studies, strict=False):
        write_avi(tmp_path / "exams" / name, study.clips[0].frames, 25)
    (tmp_path / "exams" / "c.avi").write_text("no video")
    return tmp_path / "exams"


def typed(*words: object) -> int:
    try:
        app(["predict", *map(str, words), "--model", "model"], result_action="return_value")
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_a_folder_gets_a_line_for_each_clip_and_a_summary(exams: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(exams, "--answer-anyway", "--threshold", 45, "--age", 63, "--json") == 1
    first, second, _ = json.loads(capsys.readouterr().out)
    assert typed(exams, "--answer-anyway", "--threshold", 45, "--age", 63) == 1
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    for line, record in zip(lines, (first, second), strict=False):
        low, high = record["interval_90"]
        assert f"  EF {record['median']:.0f} %, 90 % of reports {low:.0f} to {high:.0f} %, P(EF ≤ 45 %) " in line
    assert [line.split()[0] for line in lines[:3]] == ["a.avi", "b.avi", "c.avi"]
    assert lines[2].split(maxsplit=1)[1] == "failed: unreadable-file"
    flat = " ".join(shown.out.split())
    answered = sum(record["abstained"] is None for record in (first, second))
    assert f"3 clips: {answered} answered" in flat
    assert "1 failed: unreadable-file 1" in flat
    assert "unreadable-file: Export or copy the clip again" in flat
    assert "Attributes used: age 63 years (as given, for all)." in flat
    assert flat.count(DISCLAIMER) == 1
    assert "3/3" in shown.err


def test_abstentions_are_counted_by_code(exams: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(exams / "a.avi", exams / "b.avi", "--age", 9) == 0
    flat = " ".join(capsys.readouterr().out.split())
    assert flat.startswith("a.avi no answer: adult-model-for-a-child b.avi no answer: adult-model-for-a-child ")
    assert "2 clips: 0 answered 2 abstained: adult-model-for-a-child 2" in flat
    assert "adult-model-for-a-child: Use a model that has learnt from children." in flat
    assert "%" not in flat


def test_one_clip_is_told_at_length_with_what_was_used(exams: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (exams / "a.avi", "--answer-anyway", "--threshold", 45, "--weight", 71.5, "--sex", "F")
    assert typed(*words, "--report", "out.html", "--csv", "out.csv") == 0
    shown = capsys.readouterr()
    flat = " ".join(shown.out.split())
    assert "The median reading is EF" in flat or "Two readings fit" in flat
    assert "EF ≤ 45 %" in flat
    assert "the threshold that was named" in flat
    assert "Attributes used: sex F, weight 71.5 kg (as given)." in flat
    assert shown.out.endswith("The report is in out.html.\nThe table is in out.csv.\n")
    assert shown.err == ""
    assert Path("out.html").exists()
    with Path("out.csv").open(newline="") as file:
        assert [row["file"] for row in csv.DictReader(file)] == [str(exams / "a.avi")]


def test_json_stays_json_and_the_places_are_told_beside_it(exams: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(exams, "--json", "--csv", "out.csv") == 1
    shown = capsys.readouterr()
    assert len(json.loads(shown.out)) == 3
    assert shown.err.endswith("The table is in out.csv.\n")


def test_an_empty_folder_fails_in_its_place(exams: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (exams.parent / "empty").mkdir()
    assert typed(exams.parent / "empty", exams / "a.avi") == 1
    assert "failed: missing-file" in capsys.readouterr().out.splitlines()[0]
