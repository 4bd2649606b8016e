"""`mcsdr check` as a user meets it: what it prints, what it writes, and its exit status."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mcsdr.cli.check import SHOWN, check
from mcsdr.errors import InvalidConfig
from mcsdr.phantom.layouts import write_avi

HEADER = "FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split"


def data_set(root: Path, names: list[str], **cells: dict[str, str]) -> Path:
    """EchoNet-Dynamic's layout with one clip per name; cells of a row by its name."""
    (root / "Videos").mkdir(parents=True)
    write_avi(root / "one.avi", np.random.default_rng(0).integers(0, 255, (30, 112, 112), dtype=np.uint8), 30)
    clip = (root / "one.avi").read_bytes()
    (root / "one.avi").unlink()
    lines = [HEADER]
    for name in names:
        row = dict(zip(HEADER.split(","), (name, "60", "40", "100", "112", "112", "30", "30", "TRAIN"), strict=True))
        lines.append(",".join((row | cells.get(name, {})).values()))
        (root / "Videos" / f"{name}.avi").write_bytes(clip + name.encode())
    (root / "FileList.csv").write_text("\n".join(lines) + "\n")
    return root


def run(capsys: pytest.CaptureFixture[str], data: Path, out: Path, **options: object) -> tuple[int, str, str]:
    status = 0
    try:
        check(str(data), out=out, workers=1, **options)  # type: ignore[arg-type]
    except SystemExit as stop:
        status = int(stop.code or 0)
    shown = capsys.readouterr()
    return status, shown.out, shown.err


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "220")


def test_a_sound_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = data_set(tmp_path / "data", ["0XA", "0XB", "0XC"])
    (data / "SYNTHETIC.txt").write_text("SYNTHETIC")
    status, shown, _ = run(capsys, data, tmp_path / "out")
    assert status == 0
    assert "Nothing is wrong" in shown
    assert "SYNTHETIC" in shown
    assert "Research use only" in shown
    figures = next(line for line in shown.splitlines() if "EF, mean" in line)
    assert "60.0 (0.0)" in figures
    assert "55.7 (12.5)" in figures
    assert "–" in next(line for line in shown.splitlines() if "ESV, range" in line or "EF, range" in line)
    assert json.loads((tmp_path / "out" / "check.json").read_text())["synthetic"] is True


def test_bad_rows_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"0X{i:03d}" for i in range(SHOWN + 10)]
    data = data_set(tmp_path / "data", names, **{name: {"EF": "150", "ESV": ""} for name in names[5:]})
    status, shown, _ = run(capsys, data, tmp_path / "out", clips=False)
    assert status == 1
    assert "FileList.csv line 7" in shown
    assert "outside 0 to 100" in shown
    assert "and 5 more in findings.csv" in shown
    assert "ef-out-of-range 55" in shown
    with (tmp_path / "out" / "findings.csv").open(newline="") as file:
        assert [row["study_id"] for row in csv.DictReader(file)] == names[5:]


def test_doubts_alone_leave_with_status_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = data_set(tmp_path / "data", ["0XA", "0XB"], **{"0XB": {"NumberOfFrames": "99"}})
    status, shown, _ = run(capsys, data, tmp_path / "out")
    assert status == 0
    assert "the table says 99 frames, the file holds 30" in shown


def test_leakage_leaves_with_status_3_after_the_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = data_set(tmp_path / "data", ["0XA", "0XB", "0XC"], **{"0XC": {"Split": "TEST"}, "0XB": {"EF": ""}})
    (data / "Videos" / "0XC.avi").write_bytes((data / "Videos" / "0XA.avi").read_bytes())
    status, shown, complaint = run(capsys, data, tmp_path / "out")
    assert status == 3
    assert "[patient-in-two-splits]" in complaint
    assert "EF is blank" in shown
    assert "0XA: the same clip stands in test and train" in complaint
    assert (tmp_path / "out" / "findings.csv").exists()


def test_names_are_shown_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = "[bold]0X[/nothing]"
    data = data_set(tmp_path / "data", ["0XA", "0XB"])
    with (data / "FileList.csv").open("a") as file:
        file.write(f"{odd},60,40,100,112,112,30,30,TRAIN\n0X\x1b[31mred,60,40,100,112,112,30,30,TRAIN\n")
    (data / "Videos" / "[red]stray.avi").write_bytes(b"")
    status, shown, _ = run(capsys, data, tmp_path / "out")
    assert status == 1
    assert "\x1b" not in shown
    assert "[red]stray.avi" in shown
    assert odd in shown
    assert "missing-file 1" in shown


def test_what_is_no_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidConfig, match="no folder"):
        run(capsys, Path("phantom:3:1"), tmp_path / "out")
