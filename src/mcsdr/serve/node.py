"""The DICOM node: takes clips in by C-STORE, in the classes and transfer syntaxes that the reader reads.

peer ──C-STORE──> incoming/ ──a child identifies it──> mailroom ──reports──> postman ──> archive
                                 ^  on disk before the peer is told "success"

An object goes to disk as it comes and may have so many bytes; a message, a connection and a pause may be so long. Who
keeps none of it is hung up on. Connections are so many at a time: where all are taken, the one that has been silent for
longest gives way to a new one, so that nobody keeps others out by saying nothing.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import Verification

from mcsdr.errors import UnwritableFile
from mcsdr.io.dicom import SOP_CLASSES
from mcsdr.io.dicom_pixels import transfer_syntaxes
from mcsdr.serve.mailroom import Mailroom
from mcsdr.serve.silence import keep_silent

SUCCESS, NO_ROOM, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xC210
MOST_BYTES = 512 << 20  # of an object
PDU_BYTES = 256 << 10  # that peers are told to keep to
MOST_PDU_BYTES = 4 << 20  # that are read of one who does not
MOST_MESSAGE_BYTES = 1 << 20  # of what is no object
PAUSE_S = 30.0  # for one message unit, and without any
GREETING_S = 5.0  # from connecting to asking for an association
SILENT_S = 1.0  # without a byte, and a connection gives way to a new one where there is no room for both
MOST_CONNECTIONS = 32
UNBOUNDED = 1 << 16  # for the library's own count, which knows nobody to hang up on
MOST_WAITING = 4  # objects of one peer that have come and are not dealt with


class Node:
    """A storage provider in front of a mailroom.

    Arguments:
        mailroom: where instances go.
        title: its application entity title.
        host, port: where it listens; port 0 takes a free one.
        callers: titles that may send; anybody where None.
        most_bytes: of an object.
        pause_s: that a peer may make.
        most_connections: at a time.
        silent_s: after which a connection may be hung up on to make room.
    """

    def __init__(
        self,
        mailroom: Mailroom,
        *,
        title: str = "MCSDR",
        host: str,
        port: int,
        callers: list[str] | None = None,
        most_bytes: int = MOST_BYTES,
        pause_s: float = PAUSE_S,
        most_connections: int = MOST_CONNECTIONS,
        silent_s: float = SILENT_S,
    ) -> None:
        keep_silent()
        _config.STORE_RECV_CHUNKED_DATASET = True  # objects go to disk as they come, not into memory
        self.mailroom, self.most_bytes, self.pause_s = mailroom, most_bytes, pause_s
        self.most_connections, self.silent_s = most_connections, silent_s
        self._connections: dict[Any, _Bounded] = {}  # of each association
        self._lock = threading.Lock()
        entity = AE(ae_title=title)
        entity.require_called_aet = True
        if callers:
            entity.require_calling_aet = callers
        for kind in SOP_CLASSES:
            entity.add_supported_context(kind, transfer_syntaxes())
        entity.add_supported_context(Verification)
        entity.maximum_pdu_size = PDU_BYTES
        entity.maximum_associations = UNBOUNDED
        entity.network_timeout = entity.dimse_timeout = pause_s
        entity.acse_timeout = min(GREETING_S, pause_s)
        handlers = [
            (evt.EVT_C_STORE, self._stored),
            (evt.EVT_CONN_OPEN, self._opened),
            (evt.EVT_CONN_CLOSE, self._closed),
        ]
        self._server = entity.start_server((host, port), block=False, evt_handlers=handlers)
        assert self._server is not None
        self.port: int = self._server.server_address[1]

    def close(self) -> None:
        """Take no more."""
        assert self._server is not None
        self._server.shutdown()

    def _stored(self, event: Any) -> int:
        with event.assoc.dul.socket.recv.waits():
            return self._taken_in(event)

    def _taken_in(self, event: Any) -> int:
        try:
            with self.mailroom.incoming() as folder:
                file = Path(shutil.move(event.dataset_path, folder / "object.dcm"))
                (instance,) = self.mailroom.take_in([file])
        except UnwritableFile:
            return NO_ROOM
        except Exception:  # whatever it is, the peer must not take it for stored
            return NOT_UNDERSTOOD
        return NOT_UNDERSTOOD if instance is None else SUCCESS

    def _opened(self, event: Any) -> None:
        """Give a new connection a bounded way of receiving; one is closed where there are too many."""
        socket = event.assoc.dul.socket
        with self._lock:
            if len(self._connections) >= self.most_connections and not self._hung_up_on_the_most_silent():
                socket.close()
                return
            bounded = self._connections[event.assoc] = _Bounded(event.assoc, socket, self.most_bytes, self.pause_s)
        receive = event.assoc.dimse.receive_primitive

        def received(primitive: Any) -> None:
            try:
                receive(primitive)
            except Exception:  # no room for an object, no message: the library would leave its connection hanging
                socket.close()

        event.assoc.dimse.receive_primitive = received
        socket.recv = bounded

    def _hung_up_on_the_most_silent(self) -> bool:
        """Whether a connection could be closed that has said nothing for a while and waits for nothing of ours."""
        association, silent = min(self._connections.items(), key=lambda one: one[1].heard_s)
        if time.monotonic() - silent.heard_s < self.silent_s:
            return False
        del self._connections[association]
        silent.hang_up()
        return True

    def _closed(self, event: Any) -> None:
        """Remove what had come of an object when its connection was closed."""
        with self._lock:
            self._connections.pop(event.assoc, None)
        message = event.assoc.dimse.message
        file = None if message is None else message._data_set_file
        if file is not None:
            with suppress(OSError):  # no room for what was not written yet
                file.close()
            with suppress(OSError):
                Path(file.name).unlink()


class _Bounded:
    """Receives so many bytes of a connection, as pynetdicom asks for them: neither for ever nor without end.

    Attributes:
        heard_s: when something last came; infinity while the peer waits for us.

    Raises:
        OSError: too much was announced, or it came too slowly; the connection is closed then.
    """

    def __init__(self, association: Any, socket: Any, most_bytes: int, pause_s: float) -> None:
        self.association, self.socket, self.most_bytes, self.pause_s = association, socket, most_bytes, pause_s
        self.heard_s = time.monotonic()

    @contextmanager
    def waits(self) -> Iterator[None]:
        """While the peer waits for an answer, it is not silent."""
        self.heard_s = math.inf
        try:
            yield
        finally:
            self.heard_s = time.monotonic()

    def hang_up(self) -> None:
        """Close from another thread: the one that receives finds the end of what came."""
        with suppress(OSError, AttributeError):  # it has gone by itself
            self.socket.socket.shutdown(SHUT_RDWR)

    def __call__(self, count: int) -> bytearray:
        self._refuse_too_much(count)
        deadline = time.monotonic() + self.pause_s
        while self.association.dimse.msg_queue.qsize() >= MOST_WAITING and time.monotonic() < deadline:
            time.sleep(0.01)
        received = bytearray()
        connection = self.socket.socket
        while len(received) < count:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("the rest of a message did not come")
            connection.settimeout(left_s)
            piece = connection.recv(min(1 << 16, count - len(received)))
            if not piece:
                break
            received += piece
            self.heard_s = max(self.heard_s, time.monotonic())
        return received

    def _refuse_too_much(self, count: int) -> None:
        message = self.association.dimse.message
        held = most = 0
        if message is not None:
            file = message._data_set_file
            held = message.encoded_command_set.tell() + (message.data_set.tell() if file is None else file.tell())
            most = MOST_MESSAGE_BYTES if file is None else self.most_bytes
        if count > MOST_PDU_BYTES or (held and held + count > most):
            raise OSError("more than an object may have")


def keep_incoming_in(mailroom: Mailroom) -> None:
    """Let this process' temporary files lie where the mailroom clears them at its start."""
    tempfile.tempdir = str(mailroom.folder / "incoming")
