"""A process that has imported all readers and sees no file: for each request it forks a child, which does.

Starting Python and its readers takes the better part of a second, a fork takes milliseconds. What was asked, and the
end of a pipe for the answer, go over a socket; what comes back is one byte, how the child ended:

    0 in peace    1 to 64 by this signal    255 otherwise    no byte: it was killed together with its parent
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

COMMAND = (sys.executable, "-P", "-W", "ignore", "-m", "mcsdr.io.sandbox.child")
OTHERWISE = 255


class Warm:
    """The process, and the line to it; it works at one request at a time."""

    def __init__(self) -> None:
        self._killed = False
        environment = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
        environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
        self._line, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                COMMAND,
                env=environment,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # parsers quote what they read, names among it
                start_new_session=True,  # an interrupt at the terminal is for who asked; one kill ends its child too
            )

    @property
    def lives(self) -> bool:
        """Whether it can be asked."""
        return not self._killed and self._process.poll() is None

    def ask(self, said: Mapping[str, Any]) -> Request:
        """Begin a request; where the process has died, the request's end says so."""
        reading, writing = os.pipe()
        try:
            with suppress(OSError):
                socket.send_fds(self._line, [b"?"], [writing])
                self._line.sendall(json.dumps(said, default=float).encode() + b"\n")
        finally:
            os.close(writing)
        return Request(self, reading)

    def told(self, wait_s: float | None) -> int | None:
        """How its child ended; None where it has not within this time."""
        try:
            self._line.settimeout(wait_s)
            told = self._line.recv(1)
        except TimeoutError:
            return None
        except OSError:
            told = b""
        self._killed = self._killed or not told
        return told[0] if told else int(signal.SIGKILL)

    def kill(self) -> None:
        """End it, and the child that it has."""
        self._killed = True
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill it, and let nothing of it stay."""
        self.kill()
        self._process.wait()
        self._line.close()


class Request:
    """One request while a child works at it; when it is over, the warm process may be asked again.

    Arguments:
        warm: who was asked.
        reading: the end of the pipe that the answer comes from.

    Attributes:
        pipe: what the child says.
    """

    def __init__(self, warm: Warm, reading: int) -> None:
        self.pipe = os.fdopen(reading, "rb")
        self._warm, self._lock, self._over = warm, threading.Lock(), False

    def kill(self) -> None:
        """End the child, from any thread; nothing where the request is over."""
        with self._lock:
            if not self._over:
                self._warm.kill()

    def end(self, wait_s: float | None = None) -> int:
        """How the child ended; one that has not within this time is killed."""
        self.pipe.close()  # what still writes to it ends of that
        told = self._warm.told(wait_s)
        if told is None:
            self.kill()
            told = int(signal.SIGKILL)
        with self._lock:
            self._over = True
        return told
