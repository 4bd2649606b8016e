"""Outputs are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcsdr.errors import UnwritableFile
from mcsdr.files import write_atomically


def test_folders_are_made_and_nothing_is_left_beside(tmp_path: Path) -> None:
    write_atomically(tmp_path / "new" / "deep" / "file.txt", b"content")
    assert [path.name for path in (tmp_path / "new" / "deep").iterdir()] == ["file.txt"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.txt"
    write_atomically(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UnwritableFile, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_in_the_way_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UnwritableFile, match="cannot be written"):
        write_atomically(tmp_path / "file" / "report.html", b"page")
