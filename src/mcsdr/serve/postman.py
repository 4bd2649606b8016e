"""The postman: makes reports of complete studies and sends them, again and again until the archive has them."""

from __future__ import annotations

import threading
import time

from mcsdr.errors import McsdrError
from mcsdr.serve.archive import Archive, NotTaken, backoff_s
from mcsdr.serve.mailroom import Mailroom

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
