"""`mcsdr info` and `mcsdr train` as a user types them: what ships with the package, by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mcsdr import DEFAULT_MODEL
from mcsdr.cli import app
from mcsdr.files.shipped import experiments, models
from mcsdr.model import Model
from mcsdr.training.settings import TrainSettings


def typed(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    app([str(word) for word in words], result_action="return_value")
    return capsys.readouterr().out


def test_a_model_is_told_in_ten_lines_of_eighty_columns(capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads(typed(capsys, "info", "--json"))
    lines = typed(capsys, "info").splitlines()
    assert len(lines) == 10
    assert max(map(len, lines)) <= 80
    assert lines[0] == f"{DEFAULT_MODEL}, {facts['parameters']['total']:,} parameters"
    assert f"sha256        {facts['model_sha256']}" in lines
    mae = facts["figures"]["test"]["estimate and 95 % interval"]["video and attributes"]["MAE"][0]
    assert f"measured      MAE {mae:.1f}, " in "\n".join(lines)
    assert " ".join(lines[-2:]) == facts["disclaimer"]


def test_all_is_told_on_request_with_the_hash_whole(capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads(typed(capsys, "info", "--json"))
    shown = typed(capsys, "info", "--all")
    assert f"\nmodel_sha256: {facts['model_sha256']}\n" in shown
    assert "\nAURC " in shown.replace("│ ", "")


def test_a_model_that_was_never_measured_says_so(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model.save(tmp_path / "model")
    shown = typed(capsys, "info", tmp_path / "model")
    assert "measured      not yet" in shown
    assert "recalibrated  no\n" in shown


def test_bundled_models_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    lines = typed(capsys, "info", "--list").splitlines()
    assert [line.split(",")[0].split(" ")[0] for line in lines] == list(models())
    assert f"{DEFAULT_MODEL} (the default), 2.8 MB: 8000 synthetic phantoms" in "\n".join(lines)


def test_experiments_are_listed_with_their_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    shown = typed(capsys, "train", "--list")
    assert [line for line in shown.splitlines() if line and not line.startswith(" ")] == list(experiments())
    flat = " ".join(shown.split())
    assert "phantom The bundled model phantom-a4c: trained on synthetic phantoms alone, on no patient." in flat
    assert "reduced" not in experiments()  # laid over others, it trains nothing by itself


@pytest.mark.parametrize("name", ["phantom", "configs/phantom.toml"])
def test_an_experiment_is_trained_by_name_or_by_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Model
) -> None:
    import mcsdr.training

    asked: list[TrainSettings] = []

    def run(settings: TrainSettings, out: Path, watcher: Any, continue_with_changes: bool) -> Model:
        asked.append(settings)
        model.card.figures["validation"] = {"CRPS": 1.0}
        return model

    monkeypatch.setattr(mcsdr.training, "train", run)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "phantom.toml").write_text(experiments()["phantom"].read_text())
    app(["train", name, "--optim.epochs", "4"], result_action="return_value")
    assert (asked[0].run.name, asked[0].optim.epochs) == ("phantom-a4c", 4)
