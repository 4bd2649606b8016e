"""Writing files so that nothing is ever half there."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterable
from pathlib import Path

from mcsdr.errors import UnwritableFile


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside, flush to the disk, rename into place; folders on the way are made.

    Raises:
        UnwritableFile: no room or no permission; the old file stays as it was.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise UnwritableFile(f"it cannot be written: {error.strerror}.", path=path) from error


def sha256_of(path: Path) -> str | None:
    """SHA-256 of a file's bytes, read in pieces; None where there is no file, or it cannot be read."""
    try:
        if not path.is_file():  # to open a pipe would be to wait for ever
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None


def write_table(path: Path, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """A CSV file, in one piece or not at all; None becomes an empty cell.

    Raises:
        UnwritableFile: as for `write_atomically`.
    """
    write_atomically(path, csv_bytes([header, *rows]))


def csv_bytes(rows: Iterable[Iterable[object]]) -> bytes:
    """Rows as lines of a CSV file; None becomes an empty cell."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
