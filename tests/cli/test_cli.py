"""The commands as a user types them: `mcsdr` in this process, which has PyTorch already, `typed` in one of its own."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import subprocess
import sys
import warnings
from pathlib import Path
from unittest.mock import patch

import pytest

from mcsdr.cli import main
from mcsdr.evaluation import measures
from mcsdr.model import Model
from mcsdr.phantom.layouts import write_avi
from mcsdr.study import Study


def typed(*arguments: object, check: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mcsdr", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == check, done.stderr
    return done


def mcsdr(*arguments: object, check: int = 0) -> subprocess.CompletedProcess[str]:
    command = ["mcsdr", *map(str, arguments)]
    out, err, status = io.StringIO(), io.StringIO(), 0
    with (
        patch.object(sys, "argv", command),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", "Cyclopts application invoked without tokens")  # it reads sys.argv, as meant
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
    done = subprocess.CompletedProcess(command, status, out.getvalue(), err.getvalue())
    assert done.returncode == check, done.stderr
    return done


@pytest.fixture
def folder(tmp_path: Path, model: Model, studies: list[Study]) -> Path:
    model.save(tmp_path / "model")
    write_avi(tmp_path / "clip.avi", studies[0].clips[0].frames, 25)
    return tmp_path


def test_predict_json_csv_and_report(folder: Path) -> None:
    outputs = ("--json", "--csv", folder / "out.csv", "--report", folder / "out.html")
    inputs = (folder / "clip.avi", folder / "none.avi", "--model", folder / "model", "--answer-anyway")
    done = typed("predict", *inputs, *outputs, check=1)
    answered, failed = json.loads(done.stdout)
    assert failed["error"]["code"] == "missing-file"
    with (folder / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["median"]) == answered["median"]
    assert rows[1]["error"] == "missing-file"
    assert rows[1]["next_step"] == failed["error"]["next_step"]
    page = (folder / "out.html").read_text()
    assert f"{answered['median']:.0f}" in page
    assert "Research use only" in page


def test_what_is_passed_over_is_counted(folder: Path) -> None:
    exam = folder / "exam"
    exam.mkdir()
    (folder / "clip.avi").rename(exam / "clip")
    (exam / "notes.txt").write_text("apical")
    (exam / "report.pdf").write_bytes(b"%PDF")
    arguments = ("predict", exam, "--model", folder / "model", "--answer-anyway")
    record, last = json.loads(mcsdr(*arguments, "--json").stdout)
    assert record["median"] is not None
    assert last == {"summary": {"inputs": 1, "passed_over": {"text or table": 1, "PDF document": 1}}}
    assert "Passed over, as no clips: PDF document 1, text or table 1." in mcsdr(*arguments).stdout
    shown = mcsdr("batch", exam, folder / "out.csv", "--model", folder / "model").stdout
    assert "2 passed over, as no clips: PDF document 1, text or table 1" in shown
    mcsdr(*arguments, "--csv", folder / "few.csv")
    for table in ("out.csv", "few.csv"):
        with (folder / table).open(newline="") as file:
            answered, *last = csv.DictReader(file)
        assert answered["median"]
        assert [row["error"] for row in last] == ["passed-over"] * 2
        assert last[0]["reason"] == "1 file passed over as no clip: PDF document"


def test_the_suffix_says_what_kind_of_report(folder: Path) -> None:
    inputs = (folder / "clip.avi", "--model", folder / "model")
    mcsdr("predict", *inputs, "--report", folder / "out.PDF")
    assert (folder / "out.PDF").read_bytes().startswith(b"%PDF-")
    shown = mcsdr("predict", *inputs[:1], "--model", "no-such-model", "--report", folder / "out.docx", check=2).stderr
    assert "out.docx" in shown  # before the model is looked for
    assert "ends in .html or .pdf" in " ".join(shown.split())
    assert not (folder / "out.docx").exists()


def test_to_abstain_is_no_failure(folder: Path) -> None:
    outputs = ("--json", "--csv", folder / "out.csv", "--report", folder / "out.html")
    done = mcsdr("predict", folder / "clip.avi", "--model", folder / "model", "--age", 9, *outputs)
    (record,) = json.loads(done.stdout)
    assert record["abstained"]["code"] == "adult-model-for-a-child"
    assert record["median"] is None
    with (folder / "out.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["abstained"] == "adult-model-for-a-child"
    assert row["reason"] == record["abstained"]["reason"]
    assert row["next_step"] == record["abstained"]["next_step"]
    assert not row["median"]
    assert record["abstained"]["next_step"] in (folder / "out.html").read_text()
    shown = " ".join(mcsdr("predict", folder / "clip.avi", "--model", folder / "model", "--age", 9).stdout.split())
    assert "No answer: The patient is 9 years old" in shown
    assert "Next step: " in shown


def test_predict_prints_the_same_twice(folder: Path) -> None:
    arguments = ("predict", folder / "clip.avi", "--model", folder / "model", "--age", 63, "--sex", "F", "--json")
    first, second = (json.loads(run(*arguments).stdout) for run in (typed, mcsdr))
    for record in (*first, *second):
        assert record.pop("analysed")  # the time, and nothing else, is another
    assert first == second


def test_predict_says_it_in_words(folder: Path) -> None:
    shown = mcsdr("predict", folder / "clip.avi", "--model", folder / "model").stdout
    assert "phantoms only" in " ".join(shown.split())
    assert "Research use only" in " ".join(shown.split())


def test_simulate_and_evaluate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "RESAMPLES", 20)
    mcsdr("simulate", folder / "cohort", "--n", 8, "--seed", 5, "--seconds", 0.8)
    out = folder / "evaluation"
    shown = mcsdr("evaluate", folder / "model", folder / "cohort", "--out", out, "--gallery", 2).stdout
    assert "CRPS" in shown
    assert (out / "gallery.html").read_text().count("<article>") == 2
    assert json.loads((out / "metrics.json").read_text())["studies"] == 8
    mcsdr("evaluate", folder / "model", "phantom:4:9", "--without", "video", "--without", "attributes")


def test_info(folder: Path) -> None:
    facts = json.loads(mcsdr("info", folder / "model", "--json").stdout)
    assert facts["parameters"]["total"] == sum(v for k, v in facts["parameters"].items() if k != "total")
    assert facts["synthetic"] is True
    assert "small" in mcsdr("info", folder / "model").stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("evaluate", "no-such-model", "phantom:1:1"), "invalid-model"),
        (("info", "no-such-model"), "invalid-model"),
        (("train", "no-such.toml"), "missing-file"),
    ],
)
def test_errors_are_one_paragraph(arguments: tuple[str, ...], code: str) -> None:
    shown = typed(*arguments, check=2).stderr
    assert f"[{code}]" in shown
    assert "Traceback" not in shown
