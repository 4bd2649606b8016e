"""Reading tables of text as spreadsheets, programs and people write them: the one reader of all tables.

    bytes --encoding--> lines --delimiter--> header, rows

The encoding is UTF-8, with or without a mark; UTF-16 by its mark, or by every second byte being 0; single bytes that
are no UTF-8 are taken for Latin-1. Cells are separated by what a first line `sep=;` says, else by whichever of comma,
semicolon, tab and bar the header holds most. Where that is no comma, a number may carry a decimal comma: 55,3 is read
as 55.3. A table may be gzipped, and is read line by line.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from mcsdr.errors import MissingFile, UnreadableFile

LOOK = 64 << 10  # bytes that tell the encoding
DELIMITERS = ",;\t|"
NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
SEPARATOR = re.compile(r"sep=(.)\s*", re.IGNORECASE | re.DOTALL)
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
NEXT_STEP = "Save it again as comma-separated text in UTF-8."


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("mcsdr-latin-1", _as_latin_1)


def read_text(path: Path) -> str:
    """The whole text of a small file, whatever its encoding."""
    with _opened(path) as (lines, _):
        return "".join(lines)


def table_lines(path: Path, holding: str = "", *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of the header, then of every row.

    Arguments:
        path: the table, gzipped or not.
        holding: lines without this text are passed over before they are parsed.
        strict: whether a quote that is out of place makes the table unreadable.

    Raises:
        MissingFile: no such file.
        UnreadableFile: it is no text, or no table.
    """
    number = 0

    def kept(lines: Iterable[str], first: str) -> Iterator[str]:
        nonlocal number
        number += 1
        yield first
        for line in lines:
            number += 1
            if holding in line:
                yield line

    with _opened(path) as (lines, _):
        first = next(lines, "")
        said = SEPARATOR.fullmatch(first)
        if said:
            number, first = 1, next(lines, "")
        delimiter = said[1] if said else delimiter_of(first)
        for cells in csv.reader(kept(lines, first), delimiter=delimiter, strict=strict):
            yield number, cells if delimiter == "," else [_with_point(cell) for cell in cells]


def delimiter_of(header: str) -> str:
    """What separates the cells of a table's first line."""
    outside = re.sub(r'"[^"]*"', "", header)
    return max(DELIMITERS, key=outside.count)  # of equals the first: a comma where there is none


def described(path: Path) -> str:
    """What a table looks like, in words, for messages that say what is missing."""
    with _opened(path) as (lines, encoding):
        first = next(lines, "")
        said = SEPARATOR.fullmatch(first)
        header = next(lines, "") if said else first
    delimiter = said[1] if said else delimiter_of(header)
    names = [name.strip()[:40] for name in next(csv.reader([header], delimiter=delimiter), [])]
    shown = ", ".join(repr(name) for name in names[:12]) + (", …" if len(names) > 12 else "")
    return f"as {encoding} text separated by {NAMES.get(delimiter, repr(delimiter))} its columns are {shown or 'none'}"


def _with_point(cell: str) -> str:
    return cell.replace(",", ".") if DECIMAL_COMMA.fullmatch(cell.strip()) else cell


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Iterator[str], str]]:
    """The lines of a table, and the name of its encoding; errors are of this package."""
    if not path.is_file():
        raise MissingFile("there is no such table", path=path)
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            start = cast(IO[bytes], file).read(LOOK)
        encoding = _encoding(start, path)
        with opened(path, "rt", newline="", encoding=encoding, errors="mcsdr-latin-1") as text:
            yield iter(cast(Iterable[str], text)), encoding.removesuffix("-sig").upper()
    except (OSError, EOFError, zlib.error, csv.Error, UnicodeError) as error:
        cause = (
            f"it is no readable table ({type(error).__name__}: {error})"
            if isinstance(error, csv.Error)
            else (f"it is no readable table ({type(error).__name__})")
        )
        raise UnreadableFile(cause, path=path, next_step=NEXT_STEP) from None


def _encoding(start: bytes, path: Path) -> str:
    """The encoding of a file that begins so.

    Raises:
        UnreadableFile: it is a spreadsheet program's own format, or no text.
    """
    if start.startswith(WORKBOOKS):
        raise UnreadableFile("it is a spreadsheet program's workbook, no text", path=path, next_step=NEXT_STEP)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" not in start:
        return "utf-8-sig"
    for odd, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if not any(start[odd::2]):
            return encoding
    raise UnreadableFile("it holds bytes that are no text", path=path, next_step=NEXT_STEP)
