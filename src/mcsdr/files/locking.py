"""One writer at a time: an exclusive lock on an output folder or a table, which dies with the process that holds it.

    with locked_folder(folder, "mcsdr train"): …         # the lock file is FOLDER/.lock
    with locked_table(table, "mcsdr batch"): …           # the lock file is .TABLE.lock beside it

The lock is the operating system's (`flock`), on a file that says who holds it; the file's mere presence means nothing.
A process that ends, by kill −9 too, lets go of it, and the next one takes it over. The file is removed when the lock is
given back; whoever waited for the removed file opens the new one, which is why a lock only counts on the file that
stands at the path.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from mcsdr.errors import OutputInUse, UnwritableFile

TAKEN = (errno.EWOULDBLOCK, errno.EACCES)
LONGEST_RECORD = 4096  # bytes that are read of what a lock file says

_held: set[int] = set()  # descriptors of the locks of this process


def _forget_in_child() -> None:
    """A forked process shares the lock, and would hold it on after its parent was killed: close its copies."""
    for descriptor in tuple(_held):
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)


@contextmanager
def locked_folder(folder: Path, command: str) -> Iterator[None]:
    """Hold a folder alone; it is made where there is none.

    Arguments:
        folder: what is written to.
        command: who holds it, as a second one is told, such as "mcsdr train".

    Raises:
        OutputInUse: another process, or another part of this one, holds it; the error says which.
        UnwritableFile: the lock file cannot be written.
    """
    with _locked(folder.resolve() / ".lock", folder, command):
        yield


@contextmanager
def locked_table(table: Path, command: str) -> Iterator[None]:
    """Hold a table alone, which need not be there yet; as `locked_folder`."""
    there = table.resolve()
    with _locked(there.with_name(f".{there.name}.lock"), table, command):
        yield


@contextmanager
def _locked(path: Path, target: Path, command: str) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _take(path)
    except OSError as error:
        raise UnwritableFile(f"it cannot be locked: {error.strerror}.", path=path) from error
    if descriptor is None:
        raise OutputInUse(f"it is written by {_holder(path)}.", path=target)
    _held.add(descriptor)
    try:
        _write(descriptor, path, command)
        yield
    finally:
        if descriptor in _held:  # not in a process forked meanwhile, which holds nothing
            _held.discard(descriptor)
            path.unlink(missing_ok=True)  # while the lock is held: nobody else's is removed
            os.close(descriptor)


def _take(path: Path) -> int | None:
    """An open, locked descriptor of the file that stands at the path; None where another holds it."""
    import fcntl  # at hand on every system but Windows

    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _stands_at(path, descriptor):
                return descriptor
        except OSError as error:
            os.close(descriptor)
            if error.errno in TAKEN:
                return None
            raise
        os.close(descriptor)  # of a file that its last holder has just removed


def _stands_at(path: Path, descriptor: int) -> bool:
    try:
        there, ours = path.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _write(descriptor: int, path: Path, command: str) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    record = {"command": command, "pid": os.getpid(), "host": socket.gethostname(), "since": since}
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(record).encode() + b"\n", 0)
    except OSError as error:
        raise UnwritableFile(f"it cannot be written: {error.strerror}.", path=path) from error


def _holder(path: Path) -> str:
    """Who holds a lock, as its file says."""
    try:
        with path.open("rb") as file:
            said = json.loads(file.read(LONGEST_RECORD))
        return f"{said['command']} (process {said['pid']} on {said['host']}, since {said['since']})"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process, which has just begun"
