"""`mcsdr batch` as a user types it."""

from __future__ import annotations

import csv
from pathlib import Path

from tests.cli.test_cli import folder, mcsdr  # noqa: F401

from mcsdr import DISCLAIMER


def test_a_list_becomes_a_table(folder: Path) -> None:  # noqa: F811
    (folder / "list.csv").write_text("id,file\np1,clip.avi\np2,none.avi\n")
    arguments = ("batch", folder / "list.csv", folder / "out.csv", "--model", folder / "model", "--answer-anyway")
    done = mcsdr(*arguments, check=1)
    with (folder / "out.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["id"], first["file"], second["error"]) == ("p1", "clip.avi", "missing-file")
    assert float(first["low_90"]) < float(first["median"]) < float(first["high_90"])
    assert "2 rows in out.csv" in done.stdout
    assert "1 failed: missing-file 1" in done.stdout
    assert DISCLAIMER in done.stdout
    assert "2/2" in done.stderr
    whole = (folder / "out.csv").read_bytes()
    (folder / "out.csv").write_bytes(whole[:-20])
    assert mcsdr(*arguments, check=1).stdout == done.stdout
    assert (folder / "out.csv").read_bytes() == whole


def test_what_would_spoil_a_table_is_refused(folder: Path) -> None:  # noqa: F811
    (folder / "list.csv").write_text("file\nclip.avi\n")
    over = mcsdr("batch", folder / "list.csv", folder / "list.csv", "--model", folder / "model", check=2).stderr
    assert "[invalid-config]" in over
    assert (folder / "list.csv").read_text() == "file\nclip.avi\n"
    mcsdr("batch", folder / "list.csv", folder / "out.csv", "--model", folder / "model")
    changed = ("batch", folder / "list.csv", folder / "out.csv", "--model", folder / "model", "--threshold", 40)
    shown = " ".join(mcsdr(*changed, check=2).stderr.split())
    assert "threshold" in shown
    assert "[changed-run] Begin anew with --restart" in shown
    mcsdr(*changed, "--restart")
