"""The DICOM node: takes clips in by C-STORE, in the classes and transfer syntaxes that the reader reads.

peer ──C-STORE──> mailroom ──reports──> postman ──> archive
                    ^  on disk before the peer is told "success"
"""

from __future__ import annotations

import logging
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

from mcsdr.errors import UnwritableFile
from mcsdr.io.dicom import SOP_CLASSES
from mcsdr.io.dicom_pixels import transfer_syntaxes
from mcsdr.serve.mailroom import Mailroom

SUCCESS, NO_ROOM, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xC210


class Node:
    """A storage provider in front of a mailroom.

    Arguments:
        mailroom: where instances go.
        title: its application entity title.
        host, port: where it listens; port 0 takes a free one.
        callers: titles that may send; anybody where None.
    """

    def __init__(
        self, mailroom: Mailroom, *, title: str = "MCSDR", host: str, port: int, callers: list[str] | None = None
    ) -> None:
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # it logs whole data sets
        self.mailroom = mailroom
        entity = AE(ae_title=title)
        entity.require_called_aet = True
        if callers:
            entity.require_calling_aet = callers
        for kind in SOP_CLASSES:
            entity.add_supported_context(kind, transfer_syntaxes())
        entity.add_supported_context(Verification)
        entity.maximum_pdu_size = 0
        self._server = entity.start_server((host, port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._stored)])
        assert self._server is not None
        self.port: int = self._server.server_address[1]

    def close(self) -> None:
        """Take no more."""
        assert self._server is not None
        self._server.shutdown()

    def _stored(self, event: Any) -> int:
        try:
            content = event.encoded_dataset()
            self.mailroom.receive(
                content, str(event.dataset.StudyInstanceUID), str(event.request.AffectedSOPInstanceUID)
            )
        except UnwritableFile:
            return NO_ROOM
        except Exception:
            return NOT_UNDERSTOOD
        return SUCCESS
