"""The DICOM node: takes clips by C-STORE, reports by C-STORE or STOW-RS, and tries again until the archive has them.

    peer ──C-STORE──> mailroom ──reports──> archive
                        ^  on disk before the peer is told "success"

Two threads work: pynetdicom's, which take instances in, and one that looks at the mailroom every now and then.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from mcsdr.errors import McsdrError, UnwritableFile
from mcsdr.serve.archive import Archive, NotTaken, backoff_s
from mcsdr.serve.mailroom import Mailroom

SUCCESS, NO_ROOM, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xC210
SYNTAXES = [  # that pixels may come in; the first that the peer offers is taken
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.102",
    "1.2.840.10008.1.2.4.103",
    "1.2.840.10008.1.2.5",
]
LOOK_S = 0.5
KEPT_S = 30 * 86400.0  # of what was sent


class Postman:
    """Makes reports of complete studies and sends them; one look at a time.

    Arguments:
        mailroom: where everything lies.
        archive: where reports go; None leaves them in the outbox.
    """

    def __init__(self, mailroom: Mailroom, archive: Archive | None) -> None:
        self.mailroom, self.archive = mailroom, archive
        self._failures, self._next_s = 0, 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mcsdr-postman", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Finish what is in hand, and stop."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=120)

    def look(self) -> None:
        """Report on what is complete, and send what waits."""
        for study in self.mailroom.complete():
            try:
                self.mailroom.report(study)
            except McsdrError as error:  # no room, say: it stays where it is, and is tried again
                self.mailroom.say(f"study {study.name[:8]}: {error.code}; tried again later")
        if self.archive is not None and time.monotonic() >= self._next_s:
            self._send()

    def _send(self) -> None:
        assert self.archive is not None
        for report in self.mailroom.outgoing():
            try:
                self.archive.send(report)
            except NotTaken as why:
                self._failures += 1
                wait_s = backoff_s(self._failures)
                self._next_s = time.monotonic() + wait_s
                self.mailroom.say(f"report {report.stem[:8]}: {why}; again in {wait_s:.0f} s")
                return
            self._failures = 0
            self.mailroom.mark_sent(report)
            self.mailroom.say(f"report {report.stem[:8]}: sent")

    def _run(self) -> None:
        while not self._stop.wait(LOOK_S):
            try:
                self.look()
                self.mailroom.forget_sent(KEPT_S)
            except Exception as error:  # a fault of ours must not end the thread; its words may quote a file
                self.mailroom.say(f"the node failed ({type(error).__name__}); it goes on")


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
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax, SYNTAXES)
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
