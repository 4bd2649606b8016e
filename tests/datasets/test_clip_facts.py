"""What was read is kept: a check goes on where it was stopped, and reads again what has changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from planted import Folder, codes, lay, small_avi, ten_rows, with_clip

from mcsdr.datasets.check import check_cohort
from mcsdr.datasets.entries import Entry
from mcsdr.errors import UnwritableFile


@pytest.fixture(scope="module")
def avi(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return small_avi(tmp_path_factory.mktemp("avi"))


@pytest.fixture
def ten(tmp_path: Path) -> list[Entry]:
    return ten_rows(tmp_path / "data")


class Stop(Exception):
    pass


def test_an_interrupted_check_goes_on(tmp_path: Path, ten: list[Entry]) -> None:
    def stop(done: int, total: int) -> None:
        if done == 4:
            raise Stop

    journal = tmp_path / "out" / "journal.jsonl"
    with pytest.raises(Stop):
        check_cohort(Folder(tmp_path, ten), journal=journal, advance=stop)
    with journal.open("a") as file:
        file.write('{"key": ["torn')
    again, seen = Folder(tmp_path, ten), []
    found = check_cohort(again, journal=journal, advance=lambda done, total: seen.append((done, total)))
    assert sorted(again.reads) == [f"row-{i}" for i in range(4, 10)]
    assert seen == [(done, 10) for done in range(4, 11)]
    assert found.rows == ()
    third = Folder(tmp_path, ten)
    assert check_cohort(third, journal=journal) == found
    assert third.reads == []


def test_a_changed_file_or_rate_is_read_again(tmp_path: Path, ten: list[Entry], avi: bytes) -> None:
    journal = tmp_path / "journal.jsonl"
    assert check_cohort(Folder(tmp_path, ten), journal=journal).rows == ()
    ten[3].clips[0].path.write_bytes(avi[:2000])
    ten[5] = with_clip(ten[5], frame_rate_hz=80.0)
    again = Folder(tmp_path, ten)
    found = check_cohort(again, journal=journal)
    assert sorted(again.reads) == ["row-3", "row-5"]
    assert codes(found) == {("row-3", "unreadable-file", "bad"), ("row-5", "frame-time-disagrees", "doubt")}


def test_what_may_pass_is_tried_again(tmp_path: Path, ten: list[Entry]) -> None:
    journal = tmp_path / "journal.jsonl"
    path = ten[2].clips[0].path
    content = path.read_bytes()
    path.unlink()
    ten[4] = with_clip(ten[4], name="breaks")
    assert codes(check_cohort(Folder(tmp_path, ten), journal=journal)) == {
        ("row-2", "missing-file", "bad"),
        ("row-4", "unreadable-file", "bad"),
    }
    path.write_bytes(content)
    again = Folder(tmp_path, [*ten[:4], with_clip(ten[4], name="row-4"), *ten[5:]])
    assert check_cohort(again, journal=journal).rows == ()
    assert sorted(again.reads) == ["row-2", "row-4"]


def test_a_journal_that_cannot_be_written_says_so(tmp_path: Path, ten: list[Entry]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableFile):
        check_cohort(Folder(tmp_path, ten), journal=tmp_path / "file" / "journal.jsonl")


def test_pixels_beside_their_header_count_as_the_file(tmp_path: Path, avi: bytes) -> None:
    rows = []
    for name in ("a", "b"):
        path = tmp_path / f"{name}.mhd"
        path.write_text(f"ElementDataFile = {name}.raw\n")
        path.with_suffix(".raw").write_bytes(b"the same")
        rows.append(with_clip(lay(tmp_path, avi, name), path=path))
    journal = tmp_path / "journal.jsonl"
    assert ("b", "same-bytes", "doubt") in codes(check_cohort(Folder(tmp_path, rows), journal=journal))
    (tmp_path / "b.raw").write_bytes(b"another one")
    again = Folder(tmp_path, rows)
    assert "same-bytes" not in {code for _, code, _ in codes(check_cohort(again, journal=journal))}
    assert again.reads == ["b"]
