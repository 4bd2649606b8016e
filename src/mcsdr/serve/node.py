"""The DICOM node: takes clips in by C-STORE, in the classes and transfer syntaxes that the reader reads.

peer ──C-STORE──> incoming/ ──a child identifies it──> mailroom ──reports──> postman ──> archive
                                 ^  on disk before the peer is told "success"

An object goes to disk as it comes and may have so many bytes; a message, a connection and a pause may be so long. Who
keeps none of it is hung up on.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
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
MOST_CONNECTIONS = 32
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
    ) -> None:
        keep_silent()
        _config.STORE_RECV_CHUNKED_DATASET = True  # objects go to disk as they come, not into memory
        self.mailroom, self.most_bytes, self.pause_s = mailroom, most_bytes, pause_s
        self._connections: set[Any] = set()
        entity = AE(ae_title=title)
        entity.require_called_aet = True
        if callers:
            entity.require_calling_aet = callers
        for kind in SOP_CLASSES:
            entity.add_supported_context(kind, transfer_syntaxes())
        entity.add_supported_context(Verification)
        entity.maximum_pdu_size = PDU_BYTES
        entity.network_timeout = entity.acse_timeout = entity.dimse_timeout = pause_s
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
        """Give a new connection a bounded way of receiving; one too many is closed."""
        socket = event.assoc.dul.socket
        if len(self._connections) >= MOST_CONNECTIONS:
            socket.close()
            return
        self._connections.add(event.assoc)
        receive = event.assoc.dimse.receive_primitive

        def received(primitive: Any) -> None:
            try:
                receive(primitive)
            except Exception:  # no room for an object, no message: the library would leave its connection hanging
                socket.close()

        event.assoc.dimse.receive_primitive = received
        socket.recv = _Bounded(event.assoc, socket, self.most_bytes, self.pause_s)

    def _closed(self, event: Any) -> None:
        """Remove what had come of an object when its connection was closed."""
        self._connections.discard(event.assoc)
        message = event.assoc.dimse.message
        file = None if message is None else message._data_set_file
        if file is not None:
            with suppress(OSError):  # no room for what was not written yet
                file.close()
            with suppress(OSError):
                Path(file.name).unlink()


class _Bounded:
    """Receives so many bytes of a connection, as pynetdicom asks for them: neither for ever nor without end.

    Raises:
        OSError: too much was announced, or it came too slowly; the connection is closed then.
    """

    def __init__(self, association: Any, socket: Any, most_bytes: int, pause_s: float) -> None:
        self.association, self.socket, self.most_bytes, self.pause_s = association, socket, most_bytes, pause_s

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
