"""`mcsdr benchmark` as a user types it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcsdr import DEFAULT_MODEL
from mcsdr.cli import app
from mcsdr.errors import InvalidConfig
from mcsdr.evaluation.evidence import exactness, known, missing, rivals, robustness
from mcsdr.evaluation.evidence.record import Report, Table

COMMANDS = ("posterior", "heads", "uci", "missing", "realism", "robustness", "scale")
Calls = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What each benchmark was asked for, in place of running it."""
    asked: Calls = []

    def stand_in(name: str, synthetic: bool) -> Callable[..., Report]:
        def run(*given: Any, **options: Any) -> Report:
            say = options.pop("say", None) or given[0]
            asked.append((name, options))
            say(f"{name} is being measured")
            return Report(name, [Table(f"Table of {name}", ("who", "CRPS"), [["ours", 2.5]])], {}, synthetic)

        return run

    monkeypatch.setattr(exactness, "run", stand_in("exactness", False))
    monkeypatch.setattr(known, "run", stand_in("known", True))
    monkeypatch.setattr(rivals, "run", stand_in("heads", True))
    monkeypatch.setattr(rivals, "run_end_to_end", stand_in("heads-end-to-end", True))
    monkeypatch.setattr(missing, "run", stand_in("missing", True))
    monkeypatch.setattr(robustness, "run", stand_in("robustness", True))
    return asked


def type_in(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["mcsdr", "benchmark", *map(str, words)])
    app(["benchmark", *map(str, words)], result_action="return_value")


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    type_in(monkeypatch, "--help")
    assert command in capsys.readouterr().out
    type_in(monkeypatch, command, "--help")
    shown = capsys.readouterr().out
    assert "--quick" in shown
    assert "figures mean nothing" in " ".join(shown.replace("│", " ").split())


@pytest.mark.parametrize(
    "words",
    [("posterior", "--part", "everything"), ("rivals",), ("missing", "--train", "many"), ("heads", "--no-such-option")],
)
def test_what_there_is_not_is_refused(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], calls: Calls
) -> None:
    with pytest.raises(SystemExit) as stop:
        type_in(monkeypatch, *words)
    assert stop.value.code != 0
    assert not calls


def test_tables_are_printed_and_written_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], calls: Calls
) -> None:
    type_in(monkeypatch, "missing", "--out", tmp_path, "--train", 64, "--cohort", "adult")
    shown, said = capsys.readouterr()
    assert "Table of missing" in shown
    assert "2.500" in shown
    assert "SYNTHETIC" in shown
    assert "missing is being measured" in said
    assert calls == [("missing", {"seed": 0, "train": 64, "cohorts": ["adult"]})]
    data = json.loads((tmp_path / "missing.json").read_text())
    assert data["command"] == f"mcsdr benchmark missing --out {tmp_path} --train 64 --cohort adult"
    assert data["tables"][0]["rows"] == [["ours", 2.5]]
    assert "| ours | 2.500 |" in (tmp_path / "missing.md").read_text()


def test_posteriors_come_in_two_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: Calls) -> None:
    type_in(monkeypatch, "posterior", "--out", tmp_path, "--randomised", "--test", 9)
    assert calls == [("exactness", {"seed": 0}), ("known", {"seed": 0, "randomised": True, "test": 9})]
    assert {path.name for path in tmp_path.iterdir()} == {
        *(f"{name}.{end}" for name in ("exactness", "known") for end in ("md", "json"))
    }
    calls.clear()
    type_in(monkeypatch, "posterior", "--out", tmp_path, "--part", "exactness")
    type_in(monkeypatch, "posterior", "--out", tmp_path, "--part", "known")
    assert [name for name, _ in calls] == ["exactness", "known"]


def test_options_that_a_part_has_no_use_for_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: Calls
) -> None:
    for option in (("--randomised",), ("--epochs", 3), ("--kind", "control")):
        with pytest.raises(InvalidConfig, match="learns nothing"):
            type_in(monkeypatch, "posterior", "--part", "exactness", "--out", tmp_path, *option)
    assert not calls


def test_heads_on_tokens_or_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: Calls) -> None:
    type_in(monkeypatch, "heads", "--out", tmp_path, "--rival", "mdn", "--rival", "card", "--seeds", 2)
    type_in(monkeypatch, "heads", "--out", tmp_path, "--end-to-end")
    assert calls == [
        ("heads", {"seeds": (0, 1), "rivals": ["mdn", "card"]}),
        ("heads-end-to-end", {"seeds": (0, 1, 2)}),
    ]


def test_tiny_runs_stand_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: Calls) -> None:
    monkeypatch.chdir(tmp_path)
    type_in(monkeypatch, "missing", "--quick", "--test", 12)
    assert (tmp_path / "out/benchmark/missing-quick/missing.md").exists()
    assert calls[0][1]["train"] == 64
    assert calls[0][1]["test"] == 12, "what is given counts"


def test_robustness_writes_no_path_of_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: Calls
) -> None:
    clip, folder = tmp_path / "secret" / "clip.dcm", tmp_path / "hospital"
    folder.mkdir()
    type_in(monkeypatch, "robustness", "small", "--cohort", folder, "--clip", clip, "--n", 9, "--out", tmp_path)
    options = {"model": "small", "seed": 0, "cohort": str(folder), "n": 9, "clips": [clip]}
    assert calls == [("robustness", options)]
    text = (tmp_path / "robustness.json").read_text()
    assert "secret" not in text
    assert "hospital" not in text
    assert "benchmark robustness small --cohort FOLDER --clip FILE" in json.loads(text)["command"]
    monkeypatch.chdir(tmp_path)
    type_in(monkeypatch, "robustness", "--quick")
    assert calls[1] == ("robustness", {"model": DEFAULT_MODEL, "seed": 0, "n": 4})
    assert (tmp_path / "out/benchmark/robustness-quick/robustness.md").exists()


@pytest.mark.slow
def test_missing_modalities_for_real(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    type_in(monkeypatch, "missing", "--quick", "--cohort", "adult")
    tables = json.loads(Path("out/benchmark/missing-quick/missing.json").read_text())["tables"]
    assert [table["title"] for table in tables] == [
        "Target: a missing modality costs at most 3 % of CRPS",
        "All subsets: adult",
        "Missing completely at random, attributes, the video kept: adult",
        "Missing completely at random, attributes and video: adult",
        "Shuffled attributes: adult",
        "Tower test: adult",
        "Known prior: adult, no video",
    ]
    assert len(tables[1]["rows"]) == 32


@pytest.mark.slow
def test_robustness_for_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    type_in(monkeypatch, "robustness", "--quick")
    folder = Path("out/benchmark/robustness-quick")
    assert {path.name for path in folder.iterdir()} == {
        *("robustness.md", "robustness.json", "robustness.png", "corruptions.png", "answers.csv")
    }
    tables = json.loads((folder / "robustness.json").read_text())["tables"]
    assert [table["title"] for table in tables] == [
        "Figures to reach",
        "All corruptions by severity",
        "Does the SD grow with severity?",
        "Every corruption at every severity",
        "Metamorphic tests: 4 synthetic phantoms, seed 51",
    ]
    assert len(tables[3]["rows"]) == 71
