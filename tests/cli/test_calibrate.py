"""`mcsdr calibrate` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mcsdr.cli import app
from mcsdr.errors import InvalidConfig
from mcsdr.model import Model, load
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.study import Study


@pytest.fixture
def quick_phantoms(monkeypatch: pytest.MonkeyPatch, studies: list[Study]) -> None:
    """Readings and attributes of phantoms, with the pictures of a few: rendering is tested elsewhere."""
    from dataclasses import replace

    from mcsdr.phantom.cohort import draw_person

    def study(self: PhantomCohort, index: int) -> Study:
        person = draw_person(self.seed, index)
        clips = studies[index % 2].clips if index < 104 else ()
        facts = {"study_id": f"s{index}", "patient_id": f"p{index}", "ef_percent": person.reading_percent}
        return replace(studies[0], clips=clips, attributes=person.attributes, **facts)

    monkeypatch.setattr(PhantomCohort, "__iter__", lambda self: (study(self, index) for index in range(len(self))))


@pytest.mark.usefixtures("quick_phantoms")
def test_the_command(model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = {"train": {"kind": "phantom", "n": 50, "seed": 1}, "val": {"kind": "phantom", "n": 50, "seed": 2}}
    model.card.config["data"] = card
    model.save(tmp_path / "model")
    arguments = ["calibrate", str(tmp_path / "model"), "phantom:110:9"]
    app([*arguments, "--keep-median", "--out", str(tmp_path / "kept")], result_action="return_value")
    kept = load(tmp_path / "kept").calibration
    assert kept is not None
    assert kept.keeps_median
    assert all(map_.h(0.0) == 0 for map_ in kept.maps.values())
    assert "widths alone" in kept.describe()
    app(arguments, result_action="return_value")
    shown = " ".join(capsys.readouterr().out.split())
    assert "cross-fitting" in shown
    assert "Recalibrated on synthetic phantoms" in shown
    folder = tmp_path / "model-calibrated"
    assert {path.name for path in folder.iterdir()} == {
        "model.json", "model.safetensors", "calibration.json", "calibration.md",
    }  # fmt: skip
    calibrated = load(folder)
    assert calibrated.calibration is not None
    assert set(calibrated.calibration.maps) == {"video and attributes", "video", "attributes", "nothing"}
    assert calibrated.calibration.maps["video"].studies == 104
    assert calibrated.calibration.maps["attributes"].studies == 110
    report = json.loads((folder / "calibration.json").read_text())
    assert report["synthetic"] is True
    assert report["settings"]["cohort"] == "110 synthetic phantoms, seed 9"
    states = {(row[0], row[1]) for row in report["tables"][0]["rows"]}
    assert len(states) == 4 * 3
    assert len(report["tables"][1]["rows"]) == 6 * 3
    assert "SYNTHETIC" in (folder / "calibration.md").read_text()
    assert load(tmp_path / "model").calibration is None
    with pytest.raises(InvalidConfig, match="stands where"):
        app(arguments, result_action="return_value")
    for seed, use in ((1, "trained"), (2, "selected")):
        with pytest.raises(InvalidConfig, match=use):
            app([*arguments[:2], f"phantom:110:{seed}", "--out", str(tmp_path / "new")], result_action="return_value")
    app(["info", str(folder), "--json"], result_action="return_value")
    assert "seed 9" in json.loads(capsys.readouterr().out)["calibration"]
