"""Tables as spreadsheets write them: one reader finds encoding and delimiter, or says what it found."""

from __future__ import annotations

import codecs
import gzip
from pathlib import Path

import pytest

from mcsdr.errors import MissingFile, UnreadableFile
from mcsdr.io.tables import delimiter_of, described, read_text, table_lines

ROWS = [["file", "age", "name"], ["a.avi", "63.5", "Müller"], ["b ü.avi", "70", "O'Hara"]]
ENCODINGS = {
    "UTF-8": lambda text: text.encode(),
    "UTF-8 with a mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "UTF-16 as Excel writes it": lambda text: text.encode("utf-16"),
    "UTF-16, big end first": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "Latin-1": lambda text: text.encode("latin-1"),
}


def lines(*, by: str = ",", end: str = "\n", said: str = "", rows: list[list[str]] = ROWS) -> str:
    return said + "".join(by.join(cells) + end for cells in rows)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("by", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_spreadsheet_gives_the_same_cells(tmp_path: Path, encoding: str, by: str, end: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(ENCODINGS[encoding](lines(by=by, end=end)))
    assert [cells for _, cells in table_lines(path)] == ROWS
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert [cells for _, cells in table_lines(path.rename(tmp_path / "t.csv.gz"))] == ROWS


def test_a_first_line_may_say_the_delimiter(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [["file", "note, long, with commas"], ["a.avi", "x"]]
    path.write_text(lines(by=";", said="sep=;\r\n", rows=rows))
    assert list(table_lines(path)) == [(2, rows[0]), (3, rows[1])]
    path.write_text(lines(by="^", said="SEP=^\n", rows=rows))
    assert [cells for _, cells in table_lines(path)] == rows


def test_a_decimal_comma_is_a_point_where_commas_separate_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("FileName;EF;Note\na.avi;55,3;1,2 and 3,4\nb,1.avi;-0,5;x\n")
    assert [cells for _, cells in table_lines(path)][1:] == [["a.avi", "55.3", "1,2 and 3,4"], ["b,1.avi", "-0.5", "x"]]
    path.write_text('FileName,EF\na.avi,"55,3"\n')
    assert [cells for _, cells in table_lines(path)][1] == ["a.avi", "55,3"]  # it may be a thousand


def test_the_delimiter_is_what_the_header_holds_most() -> None:
    assert delimiter_of("file") == ","
    assert delimiter_of("file;age;sex, if known") == ";"
    assert delimiter_of('"a;b;c;d",e,f') == ","
    assert delimiter_of("file\tage") == "\t"


def test_what_was_found_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("Datei;Alter\nä;3\n".encode("utf-16"))
    assert described(path) == "as UTF-16 text separated by semicolons its columns are 'Datei', 'Alter'"
    path.write_bytes(b"")
    assert described(path).endswith("its columns are none")


def test_long_tables_are_read_line_by_line_and_filtered(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1,x\n2,lvef\n" * 3)
    found = table_lines(path, holding="lvef")
    assert list(found) == [(1, ["a", "b"]), (3, ["2", "lvef"]), (5, ["2", "lvef"]), (7, ["2", "lvef"])]


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04xl/workbook", b"\xd0\xcf\x11\xe0\xa1\xb1", b"a,b\n\0\1\2\3\0", b"\x1f\x8bno"]
)
def test_what_is_no_text_is_refused_with_the_next_step(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ("t.csv.gz" if content[:2] == b"\x1f\x8b" else "t.csv")
    path.write_bytes(content)
    with pytest.raises(UnreadableFile) as caught:
        list(table_lines(path))
    assert "UTF-8" in caught.value.next_step
    with pytest.raises(MissingFile):
        list(table_lines(tmp_path / "gone.csv"))


def test_a_quote_that_never_ends(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('file\n"a\n')
    with pytest.raises(UnreadableFile):
        list(table_lines(path, strict=True))
    assert len(list(table_lines(path))) == 2


def test_a_mark_is_no_part_of_a_text(tmp_path: Path) -> None:
    path = tmp_path / "Info_4CH.cfg"
    for content in ("ED: 1\n".encode("utf-8-sig"), "ED: 1\n".encode("utf-16")):
        path.write_bytes(content)
        assert read_text(path) == "ED: 1\n"
