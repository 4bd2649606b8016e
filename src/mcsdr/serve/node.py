"""The DICOM node: takes clips in by C-STORE, in the classes and transfer syntaxes that the reader reads.

peer ──C-STORE──> incoming/ ──a child identifies it──> mailroom ──reports──> postman ──> archive
                                 ^  on disk before the peer is told "success"

An object goes to disk as it comes and may have so many bytes; a message, a connection and a pause may be so long. Who
keeps none of it is hung up on. Connections are so many at a time, and of one address not all of them: whatever one
sender does, others find a place. Where all are taken, one that lags behind a slow line's pace (progress.py) gives way
to a new one, so that nobody keeps others out by silence, nor by a byte now and then.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import Verification

from mcsdr.errors import UnwritableFile
from mcsdr.io.dicom import SOP_CLASSES
from mcsdr.io.dicom_pixels import transfer_syntaxes
from mcsdr.serve.mailroom import Mailroom
from mcsdr.serve.progress import LAG_S, Progress, gives_way
from mcsdr.serve.silence import keep_silent

SUCCESS, NO_ROOM, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xC210
MOST_BYTES = 512 << 20  # of an object
PDU_BYTES = 256 << 10  # that peers are told to keep to
MOST_PDU_BYTES = 4 << 20  # that are read of one who does not
MOST_MESSAGE_BYTES = 1 << 20  # of what is no object
PAUSE_S = 30.0  # without a byte, within a message or between two
LEAST_RATE = 4 << 10  # bytes a second: half of an ISDN line
GREETING_S = 5.0  # from connecting to asking for an association
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
        most_connections: at a time; of one address three in four of them.
        lag_s: by which a connection lags that may be hung up on to make room.
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
        lag_s: float = LAG_S,
    ) -> None:
        keep_silent()
        _config.STORE_RECV_CHUNKED_DATASET = True  # objects go to disk as they come, not into memory
        self.mailroom, self.most_bytes, self.pause_s = mailroom, most_bytes, pause_s
        self.most_connections, self.lag_s = most_connections, lag_s
        self.most_of_one = most_connections - most_connections // 4
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
        progress: Progress = event.assoc.dul.socket.recv.progress
        with progress.stands():
            status = self._taken_in(event)
        if status == SUCCESS:
            progress.caught_up()
        return status

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
        socket, sender = event.assoc.dul.socket, sender_of(event.address[0])
        with self._lock:
            if not self._has_room(sender):
                socket.close()
                return
            bounded = _Bounded(event.assoc, socket, sender, self.most_bytes, self.pause_s)
            self._connections[event.assoc] = bounded
        receive = event.assoc.dimse.receive_primitive

        def received(primitive: Any) -> None:
            try:
                receive(primitive)
            except Exception:  # no room for an object, no message: the library would leave its connection hanging
                socket.close()

        event.assoc.dimse.receive_primitive = received
        socket.recv = bounded

    def _has_room(self, sender: str) -> bool:
        """Whether another connection of a sender may be held, if need be in the place of one that lags."""
        theirs = {each: one for each, one in self._connections.items() if one.sender == sender}
        if len(theirs) >= self.most_of_one:
            return self._one_gave_way(theirs)
        return len(self._connections) < self.most_connections or self._one_gave_way(self._connections)

    def _one_gave_way(self, among: dict[Any, _Bounded]) -> bool:
        lags = {each: one.progress.lag_s for each, one in among.items()}
        slowest = gives_way(lags, {each: one.sender for each, one in among.items()}, self.lag_s)
        if slowest is None:
            return False
        self._connections.pop(slowest).hang_up()
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
        sender: whose connection it is.
        progress: of what it sends.

    Raises:
        OSError: too much was announced, or it came too slowly; the connection is closed then.
    """

    def __init__(self, association: Any, socket: Any, sender: str, most_bytes: int, pause_s: float) -> None:
        self.association, self.socket, self.sender = association, socket, sender
        self.most_bytes, self.pause_s = most_bytes, pause_s
        self.progress = Progress(LEAST_RATE)

    def hang_up(self) -> None:
        """Close from another thread: the one that receives finds the end of what came."""
        with suppress(OSError, AttributeError):  # it has gone by itself
            self.socket.socket.shutdown(SHUT_RDWR)

    def __call__(self, count: int) -> bytearray:
        self._refuse_too_much(count)
        self._wait_for_what_came()
        deadline = time.monotonic() + self.pause_s + count / LEAST_RATE
        received = bytearray()
        connection = self.socket.socket
        while len(received) < count:
            left_s = min(self.pause_s, deadline - time.monotonic())
            if left_s <= 0:
                raise TimeoutError("the rest of a message did not come")
            connection.settimeout(left_s)
            piece = connection.recv(min(1 << 16, count - len(received)))
            if not piece:
                break
            received += piece
            self.progress.moved(len(piece))
        return received

    def _wait_for_what_came(self) -> None:
        """Until objects that have come are dealt with."""
        deadline = time.monotonic() + self.pause_s
        while self.association.dimse.msg_queue.qsize() >= MOST_WAITING and time.monotonic() < deadline:
            time.sleep(0.01)

    def _refuse_too_much(self, count: int) -> None:
        message = self.association.dimse.message
        held = most = 0
        if message is not None:
            file = message._data_set_file
            held = message.encoded_command_set.tell() + (message.data_set.tell() if file is None else file.tell())
            most = MOST_MESSAGE_BYTES if file is None else self.most_bytes
        if count > MOST_PDU_BYTES or (held and held + count > most):
            raise OSError("more than an object may have")


def sender_of(address: str) -> str:
    """Who sends from an address: of IPv6 the network of 64 bits, all of which one machine may have to itself."""
    host = ip_address(address.partition("%")[0])
    if isinstance(host, IPv6Address):
        return str(host.ipv4_mapped or IPv6Address(int(host) >> 64 << 64))
    return str(host)


def keep_incoming_in(mailroom: Mailroom) -> None:
    """Let this process' temporary files lie where the mailroom clears them at its start."""
    tempfile.tempdir = str(mailroom.folder / "incoming")
