"""What a service needs of the machine, asked before anything slow is begun: a port, and a folder of its own."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mcsdr.errors import CannotListen, UnwritableFile

CAUSES = {
    errno.EADDRINUSE: ("port {port} of {host} is taken.", None),
    errno.EACCES: ("port {port} is for the system's own services.", "Choose a port above 1023 with --port."),
    errno.EADDRNOTAVAIL: ("{host} is no address of this machine.", "Give one that is, such as --host 127.0.0.1."),
}


@contextmanager
def explained(host: str, port: int) -> Iterator[None]:
    """What the system says against listening at this address, in words.

    Raises:
        CannotListen: it says something.
    """
    try:
        yield
    except socket.gaierror as error:
        raise CannotListen(f"{host} is no address.", next_step="Give one such as --host 127.0.0.1.") from error
    except OverflowError as error:
        raise CannotListen(f"{port} is no port.", next_step="Choose one from 0 to 65535 with --port.") from error
    except OSError as error:
        cause, step = CAUSES.get(error.errno or 0, (f"{{host}}:{{port}}: {error.strerror}.", None))
        raise CannotListen(cause.format(host=host, port=port), next_step=step) from error


def bound(host: str, port: int) -> socket.socket:
    """A socket that holds an address; the caller listens on it, or closes it.

    Raises:
        CannotListen: the address is taken, or cannot be had.
    """
    held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        with explained(host, port):
            held.bind((host, port))
    except CannotListen:
        held.close()
        raise
    return held


def make_private(folder: Path) -> None:
    """Make a folder that its owner alone may read.

    Raises:
        UnwritableFile: it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UnwritableFile(f"the folder cannot be made: {error.strerror}.", path=folder) from error
