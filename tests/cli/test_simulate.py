"""`mcsdr simulate` as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcsdr.cli import app
from mcsdr.cli.simulate import WRITTEN
from mcsdr.errors import InvalidCohort
from mcsdr.phantom.layouts import QUIRKS

SMALL = ("--n", "1", "--seed", "3", "--seconds", "0.2", "--scale", "0.06")


def run(*arguments: object) -> None:
    app(["simulate", *map(str, arguments)], result_action="return_value")


@pytest.mark.parametrize("layout", list(QUIRKS))
def test_every_layout_by_name(layout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "--layout", layout, *SMALL)
    shown = capsys.readouterr().out.replace("\n", " ")
    assert "1 synthetic patients" in shown
    assert "No patient was examined." in shown
    for name in WRITTEN[layout].split(", "):
        assert (tmp_path / name.rstrip("/")).exists() or name == "testing/"
    assert "Quirks" not in (tmp_path / "SYNTHETIC.txt").read_text()


def test_quirks_are_named_in_the_folder(tmp_path: Path) -> None:
    run(tmp_path, "--layout", "camus", "--quirks", *SMALL)
    assert "reversed" in (tmp_path / "SYNTHETIC.txt").read_text()


def test_the_default_is_echonet_dynamic_and_not_written_twice(tmp_path: Path) -> None:
    run(tmp_path, *SMALL)
    assert (tmp_path / "VolumeTracings.csv").exists()
    with pytest.raises(InvalidCohort, match="already holds"):
        run(tmp_path, *SMALL)


def test_an_unknown_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        run(tmp_path / "new", "--layout", "mimic", *SMALL)
    assert not (tmp_path / "new").exists()
