"""Files that are kept for long and never change: each with its SHA-256 beside it, so that one flipped bit is seen.

FILE           the content
FILE.sha256    its hash, in the form that `sha256sum -c` reads
"""

from __future__ import annotations

from pathlib import Path

from mcsdr.errors import DamagedCache
from mcsdr.files.writing import sha256_of, write_atomically


def seal(path: Path) -> None:
    """Write a file's hash beside it.

    Raises:
        UnwritableFile: no room or no permission.
    """
    write_atomically(_seal_of(path), f"{sha256_of(path)}  {path.name}\n".encode())


def check_seal(path: Path) -> None:
    """Check a file against its hash; one that an earlier version left without is taken as it is, and sealed.

    Raises:
        DamagedCache: it is not what it was.
    """
    if not path.is_file():
        raise DamagedCache("it is not there.", path=path)
    if not _seal_of(path).exists():
        seal(path)
    try:
        written = _seal_of(path).read_text().split()[:1]
    except (OSError, ValueError):
        written = []
    if written != [sha256_of(path)]:
        raise DamagedCache("it is not what was written: its SHA-256 differs.", path=path)


def _seal_of(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")
