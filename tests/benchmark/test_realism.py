"""Where a real value falls among phantoms, and the tables and the sheet that say so."""

from __future__ import annotations

import io
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mcsdr.benchmark import realism
from mcsdr.benchmark.measure_table import NAMES, columns, read_measures
from mcsdr.benchmark.picture_measures import MEASURES
from mcsdr.benchmark.realism import Picture, contact_sheet, is_inside, place, tables
from mcsdr.cli import app
from mcsdr.errors import InvalidCohort, InvalidConfig, MissingFile
from mcsdr.files import write_table


def picture(value: float, caption: str = "one", **other: float) -> Picture:
    frames = np.full((4, 112, 112), 50, dtype=np.uint8)
    return Picture(caption, frames, dict.fromkeys(NAMES, value) | other)


@pytest.mark.parametrize(
    ("value", "where", "inside"),
    [(-1, 0, False), (0, 0.5, False), (50, 50.5, True), (97, 97.5, True), (99.5, 100, False)],
)
def test_place_among_a_hundred(value: float, where: float, inside: bool) -> None:
    among = np.append(np.arange(100.0), np.nan)
    assert place(value, among) == pytest.approx(where)
    assert is_inside(value, among) is inside


def test_what_could_not_be_measured_is_not_judged() -> None:
    assert is_inside(math.nan, np.arange(3.0)) is None
    assert is_inside(1.0, np.array([math.nan])) is None
    assert math.isnan(place(1.0, np.array([math.nan])))


def test_what_all_phantoms_share_is_inside_only_where_equal() -> None:
    assert is_inside(0.0, np.zeros(5)) is True
    assert is_inside(0.1, np.zeros(5)) is False


def test_tables_name_what_lies_outside() -> None:
    phantoms = [picture(float(value)) for value in range(101)]
    real = [picture(50.0), picture(50.0, tissue=300.0, cavity=math.nan)]
    first, second, third, last = tables(real, phantoms, "phantoms", {1: "an example"})
    assert list(first.rows[0]) == ["real 1, picture", f"{len(MEASURES)} of {len(MEASURES)}", "met", "none"]
    counted = f"{len(MEASURES) - 2} of {len(MEASURES) - 1}"
    assert list(first.rows[1]) == ["real 2, picture", counted, "not met", "tissue"]
    assert [row[0] for row in first.rows[2:]] == ["real 1, anatomy", "real 2, anatomy"]
    assert [row[0] for row in [*second.rows, *third.rows]] == [row[0] for row in last.rows] == list(NAMES)
    row = dict(zip(second.header, second.rows[0], strict=True))
    assert (row["real 2"], row["2 %"], row["98 %"], row["place 2"], row["inside"]) == (300, 2, 98, "100", "yes, NO")
    assert "an example" in second.markdown()


def test_contact_sheet_holds_every_clip_enlarged() -> None:
    frames = np.zeros((4, 112, 112), dtype=np.uint8)
    frames[2] = 200
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet([Picture("one", frames, {})] * 5))))
    assert sheet.shape == (2 * (224 + 18), 4 * (448 + 4))
    assert (sheet[14:238, 224:448] == 200).all()  # the middle frame of the first
    assert (sheet[256:480, :224] == 0).all()  # the first frame of the fifth


def test_the_command_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["benchmark", "realism", "--quick", "--cohort", "phantom:3:61", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["mcsdr", *words, f"--clip={realism.example()}"])
    app([*words, f"--clip={realism.example()}"], result_action="return_value")
    shown = capsys.readouterr()
    assert "Real pictures among phantoms" in shown.out
    assert "3 of 3 clips measured" in shown.err
    written = (tmp_path / "realism.md").read_text()
    assert str(realism.example()) not in written
    assert realism.EXAMPLE not in (tmp_path / "realism.json").read_text()  # a file's name may be a patient's
    assert "--clip FILE" in written
    assert "SYNTHETIC phantoms" in written
    found = json.loads((tmp_path / "realism.json").read_text())
    assert len(found["tables"][1]["rows"]) == len(MEASURES)
    assert found["settings"]["studies"] == 3
    assert Image.open(tmp_path / "contact-sheet.png").height == 242


def test_the_clip_of_pydicom_stands_in_for_none(tmp_path: Path) -> None:
    report = realism.run(tmp_path, say=lambda line: None, cohort="phantom:2:61")
    assert realism.EXAMPLE in report.tables[1].markdown()
    assert not report.synthetic


@pytest.mark.parametrize(("cohort", "clip"), [("phantom:two", None), ("phantom:2:61", Path("nowhere.dcm"))])
def test_what_cannot_be_read_is_refused_before_anything_is_measured(
    cohort: str, clip: Path | None, tmp_path: Path
) -> None:
    with pytest.raises((InvalidConfig, MissingFile)):
        realism.run(tmp_path, say=pytest.fail, cohort=cohort, clips=[clip] if clip else [])
    assert not list(tmp_path.iterdir())


def real_table(path: Path, n: int = 12, leave_out: str = "motion") -> list[str]:
    """A made-up table of real measures with values that could be found again; those values."""
    names = [name for name in MEASURES if name != leave_out]
    values = 1000 + np.random.default_rng(3).random((n, len(names)))
    cells = [[f"{value:.6f}" for value in row] for row in values]
    write_table(path, names, cells)
    return [cell for row in cells for cell in row]


def test_the_two_sample_test_reports_nothing_of_the_table_but_aucs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = real_table(tmp_path / "SMITH.csv")
    shape = (112, 112)
    maps = {name: np.ones(shape) for name in ("mean", "within_clip_sd", "between_clips_sd")}
    np.savez(tmp_path / "JONES.npz", **maps)
    out = tmp_path / "out"
    words = ["benchmark", "realism", "--cohort", "phantom:5:61", "--out", str(out)]
    words += ["--real", str(tmp_path / "SMITH.csv"), f"--maps={tmp_path / 'JONES.npz'}"]
    monkeypatch.setattr(sys, "argv", ["mcsdr", *words])
    app(words, result_action="return_value")
    written = (out / "realism.md").read_text() + (out / "realism.json").read_text()
    assert "--real FILE --maps FILE" in written
    assert not [secret for secret in ("SMITH", "JONES", *cells) if secret in written]
    told = {table["title"]: table for table in json.loads((out / "realism.json").read_text())["tables"]}
    rows = [row[:3] for row in told["Phantoms told from real clips"]["rows"]]
    assert rows == [["picture", len(MEASURES) - 1, 1.0], ["picture, no framing", len(MEASURES) - 6, 1.0]]
    alone = told["Each measure alone"]["rows"]
    assert {row[0] for row in alone} == {name for name in MEASURES if name != "motion"}
    assert all(row[1:] == [1.0, "NO"] for row in alone)
    assert [row[0] for row in told["Mean maps"]["rows"]] == ["mean", "SD over time", "SD between clips"]
    assert Image.open(out / "mean-maps.png").size == (3 * 452, 2 * 466)


def test_phantoms_are_not_told_from_themselves() -> None:
    studies = [picture(float(value)) for value in np.random.default_rng(0).random(60)]
    real = columns(one.measures for one in studies)
    first, *_, second = realism.told_apart(studies, real, "phantoms")
    assert [row[0] for row in first.rows] == ["picture", "anatomy", "picture, no framing", "all"]
    assert first.rows[0][2] < 0.5, "who learnt from a twin takes it for the other"
    assert {row[1] for row in second.rows} == {0.5}


def test_a_table_without_a_known_measure_is_refused() -> None:
    with pytest.raises(InvalidCohort, match="shares no measure"):
        realism.told_apart([picture(1.0)] * 9, {"height": np.ones(9)}, "phantoms")


def test_a_table_of_measures_is_written_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["benchmark", "realism", "--write-measures", str(tmp_path / "m.csv"), "--clip", str(realism.example())]
    app(words, result_action="return_value")
    assert "1 clips, no names" in capsys.readouterr().out
    assert len(read_measures(tmp_path / "m.csv")["tissue"]) == 1
