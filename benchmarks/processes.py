"""Services and nodes that the reliability cases are tried on, and what is seen of them from outside."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MCSDR = (sys.executable, "-m", "mcsdr")


class Peak:
    """The most memory of a process from now on, or of any of its children and theirs."""

    def __init__(self, process: Any, *, of_children: bool = False) -> None:
        self._process, self._of_children, self._most, self._stop = process, of_children, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.2 if self._of_children else 0.02):
            for process in self._process.children(recursive=True) if self._of_children else [self._process]:
                with contextlib.suppress(Exception):  # it has ended meanwhile
                    self._most = max(self._most, process.memory_info().rss)

    def ended(self) -> int:
        """Bytes."""
        self._stop.set()
        self._thread.join()
        return self._most


def ran(words: tuple[str, ...], **how: Any) -> subprocess.CompletedProcess[str]:
    """A command of mcsdr to its end, and what it said."""
    return subprocess.run([*MCSDR, *words], capture_output=True, text=True, **how)


@contextlib.contextmanager
def served(options: tuple[str, ...], **how: Any) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A service that answers, and its process."""
    server = subprocess.Popen([*MCSDR, "serve", "--port", "0", *options], stdout=subprocess.PIPE, text=True, **how)
    assert server.stdout is not None
    base = server.stdout.readline().split()[3].rstrip("/")
    try:
        wait_until(lambda: answers(base), 300)
        yield base, server
    finally:
        server.terminate()
        server.wait(timeout=120)


@contextlib.contextmanager
def noding(folder: Path, port: int, **how: Any) -> Iterator[subprocess.Popen[str]]:
    """A node that listens."""
    command = [*MCSDR, "node", str(folder), "--port", str(port), "--quiet", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **how)
    assert process.stdout is not None
    try:
        process.stdout.readline()  # it listens
        yield process
    finally:
        process.kill()
        process.wait()


def stored(path: Path, port: int) -> str:
    """The status with which a node takes a file, or why it could not be sent."""
    from pydicom.filereader import read_file_meta_info
    from pynetdicom import AE

    entity = AE(ae_title="SCANNER")
    try:
        meta = read_file_meta_info(path)
        entity.add_requested_context(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
        association = entity.associate("127.0.0.1", port, ae_title="MCSDR")
        if not association.is_established:
            return "no association"
        status = association.send_c_store(path).get("Status")
        association.release()
        return "no status" if status is None else f"{status:#06x}"
    except Exception as error:  # of the sender's own parser
        return f"not sent ({type(error).__name__})"
    finally:
        for left in entity.active_associations:
            left.abort()


def small_clips(folder: Path, count: int) -> list[Path]:
    """So many small SYNTHETIC clips in a new folder."""
    from mcsdr.phantom.cohort import PhantomCohort
    from mcsdr.phantom.layouts.video import write_avi

    folder.mkdir()
    files = [folder / f"{number}.avi" for number in range(count)]
    for file, study in zip(files, PhantomCohort(count, 91), strict=True):
        write_avi(file, study.clips[0].frames, 25)
    return files


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def wait_until(what: Callable[[], object], seconds: float) -> bool:
    """Whether it came true in time."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if what():
            return True
        time.sleep(0.05)
    return False


def answers(base: str) -> bool:
    """Whether a service answers yet."""
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{base}/health", timeout=60) as response:
        return int(response.status) == 200
    return False
