"""Writing files so that nothing is ever half there."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mcsdr.errors import UnwritableFile


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside, flush to the disk, rename into place; folders on the way are made.

    Raises:
        UnwritableFile: no room or no permission; the old file stays as it was.
    """
    write_keeping(path, None, content)


def write_keeping(path: Path, previous: Path | None, content: bytes) -> None:
    """As `write_atomically`, and what stood at `path` is kept as `previous`.

    Between the two renames there is no file at `path`, but `previous` is whole; both lie in one folder.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with unwritable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if previous is not None and path.exists():
                os.replace(path, previous)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        sync_folder(path.parent)


@contextmanager
def unwritable(path: Path) -> Iterator[None]:
    """What the system refuses within becomes UnwritableFile, of the file it names or else of this one."""
    try:
        yield
    except OSError as error:
        raise UnwritableFile(f"it cannot be written: {error.strerror or error}.", path=path) from error


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk: a rename that was not is undone when the power fails.

    Some systems, and some network drives, cannot: they keep their names as they will.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def clear_partials(folder: Path) -> None:
    """Remove what killed writers left in a folder; for whoever holds it alone, see `locking`."""
    for left in folder.glob(".*.partial"):
        with unwritable(left):
            left.unlink(missing_ok=True)


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
