"""The postman: makes reports of complete studies and sends them, again and again until the archive has them.

Each study and each report has its own failures and its own time to be tried again, so that one never holds up another.
An archive that is down or has no room is waited for, however long; a study that fails time and again, and a report that
the archive refuses time and again, are moved to quarantine, and a line says so.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

from mcsdr.errors import McsdrError, UnwritableFile
from mcsdr.serve.archive import Archive, NotTaken, Refused, backoff_s
from mcsdr.serve.mailroom import Mailroom

LOOK_S = 0.5
KEPT_S = 30 * 86400.0  # of what was sent
MOST_FAILURES = 3  # of a study
MOST_REFUSALS = 8  # of a report, the last two minutes after the one before


class Postman:
    """Makes reports of complete studies and sends them; one look at a time.

    Arguments:
        mailroom: where everything lies.
        archive: where reports go; None leaves them in the outbox.
    """

    def __init__(self, mailroom: Mailroom, archive: Archive | None) -> None:
        self.mailroom, self.archive = mailroom, archive
        self._failures, self._next_s = 0, 0.0  # of an archive that cannot be reached
        self._tries: Counter[str] = Counter()  # of each study and report that failed
        self._later_s: dict[str, float] = {}
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
            if self._is_due(study):
                self._report(study)
        if self.archive is not None and time.monotonic() >= self._next_s:
            self._send()

    def _report(self, study: Path) -> None:
        try:
            self.mailroom.report(study)
            self._forget(study)
        except UnwritableFile as error:  # no room: nobody's fault, and waited for
            wait_s = self._failed(study)
            self.mailroom.say(f"study {study.name[:8]}: {error.code}; again in {wait_s:.0f} s")
        except Exception as error:  # whatever it is, the next study must not wait for it; its words may quote a file
            code = error.code if isinstance(error, McsdrError) else type(error).__name__
            self._again(study, f"study {study.name[:8]}: {code}", MOST_FAILURES)

    def _send(self) -> None:
        assert self.archive is not None
        for report in self.mailroom.outgoing():
            if not self._is_due(report):
                continue
            try:
                self.archive.send(report)
            except Refused as why:
                self._again(report, f"report {report.stem[:8]}: {why}", MOST_REFUSALS)
                continue
            except NotTaken as why:
                self._failures += 1
                wait_s = backoff_s(self._failures)
                self._next_s = time.monotonic() + wait_s
                self.mailroom.say(f"report {report.stem[:8]}: {why}; again in {wait_s:.0f} s")
                return
            except Exception as error:  # of the libraries that send it
                self._again(report, f"report {report.stem[:8]}: {type(error).__name__}", MOST_REFUSALS)
                continue
            self._failures = 0
            self._forget(report)
            self.mailroom.mark_sent(report)
            self.mailroom.say(f"report {report.stem[:8]}: sent")

    def _is_due(self, thing: Path) -> bool:
        return time.monotonic() >= self._later_s.get(thing.name, 0.0)

    def _failed(self, thing: Path) -> float:
        """Count a failure; the seconds until it is tried again."""
        self._tries[thing.name] += 1
        wait_s = backoff_s(self._tries[thing.name])
        self._later_s[thing.name] = time.monotonic() + wait_s
        return wait_s

    def _again(self, thing: Path, said: str, most: int) -> None:
        """Try a thing again later, or move it to quarantine where it has failed too often."""
        wait_s = self._failed(thing)
        if self._tries[thing.name] < most:
            self.mailroom.say(f"{said}; again in {wait_s:.0f} s")
            return
        self.mailroom.set_aside(thing)
        self._forget(thing)
        self.mailroom.say(f"{said}; {most} times in a row: it was moved to quarantine and is not tried again")

    def _forget(self, thing: Path) -> None:
        self._tries.pop(thing.name, None)
        self._later_s.pop(thing.name, None)

    def _run(self) -> None:
        while not self._stop.wait(LOOK_S):
            try:
                self.look()
                self.mailroom.forget_sent(KEPT_S)
            except Exception as error:  # a fault of ours must not end the thread; its words may quote a file
                self.mailroom.say(f"the node failed ({type(error).__name__}); it goes on")
