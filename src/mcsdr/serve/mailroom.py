"""Clips that an archive sends, and the reports that go back: on disk at every moment, so that a crash loses nothing.

    incoming/… ──whole──> inbox/STUDY/INSTANCE.dcm ──quiet for a while──> read, answered ──> outbox/REPORT.dcm ──> sent/
                                                                                └──> results/REPORT.json

A study counts as complete when nothing of it has come for a while. Each clip of it that the model answers becomes one
structured report; where it answers none, the first clip that can be reported on becomes one that says why not, and
stills and Doppler among them are passed over. A report's SOP Instance UID follows from clip, model and answer, so that
the same clip sent twice, or a report made twice because the machine went down in between, is one object to the archive.
What is done twice is overwritten with the same; what is half written has another name, and is removed at the next
start.

One clip never costs another its report: what no report can be made of is moved to quarantine/, where it is neither
tried again nor forgotten, and a line says so. All bytes that came from outside are parsed in children.

Names of files are hashes: no folder says whose they are. The folder itself is readable by its owner alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from mcsdr.errors import McsdrError, UnwritableFile
from mcsdr.files import sha256_of, write_atomically
from mcsdr.interop.structured_report import structured_report, to_bytes
from mcsdr.io.dicom_excerpt import dataset_of
from mcsdr.io.sandbox import Read, Reader
from mcsdr.model import Answer, Model, conclude
from mcsdr.posterior import Population
from mcsdr.prediction import Failure
from mcsdr.serve.pictures import Passings

QUIET_S = 5.0  # without anything new, and a study is complete
Say = Callable[[str], None]


@dataclass(frozen=True)
class Looked:
    """One clip of a study: the record of what came of it, and its header; its frames were let go."""

    record: dict[str, Any]
    source: Dataset
    file: Path

    @property
    def is_answered(self) -> bool:
        return self.record["median"] is not None


class Mailroom:
    """Takes instances in, makes reports of whole studies, and keeps them until they are sent.

    Arguments:
        folder: of everything; made if it is not there.
        model: what answers.
        reader: reads clips in child processes.
        quiet_s: for how long nothing new must have come.
        say: told what was done, without a word of whose it is.
        prior: the population that every clip comes from, in place of that which the model learnt from.
    """

    def __init__(
        self,
        folder: Path,
        model: Model,
        reader: Reader,
        *,
        quiet_s: float = QUIET_S,
        say: Say = print,
        prior: Population | None = None,
    ) -> None:
        self.folder, self.model, self.reader, self.quiet_s, self.say = folder, model, reader, quiet_s, say
        self.prior = prior
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        self.inbox, self.outbox, self.sent, self.results, self.quarantine, self._incoming = (
            folder / name for name in ("inbox", "outbox", "sent", "results", "quarantine", "incoming")
        )
        shutil.rmtree(self._incoming, ignore_errors=True)  # what had not wholly come when the node went down
        for place in (self.inbox, self.outbox, self.sent, self.results, self.quarantine, self._incoming):
            place.mkdir(exist_ok=True)
        for partial in folder.rglob(".*.partial"):
            partial.unlink(missing_ok=True)

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """A folder for what is still coming; it is removed in the end, with what was not taken in."""
        with tempfile.TemporaryDirectory(dir=self._incoming) as folder:
            yield Path(folder)

    def take_in(self, files: Sequence[Path]) -> list[str | None]:
        """Move whole DICOM files, which lie in `incoming`, into their studies; when this returns they are on disk.

        Returns:
            the SOP Instance UID of each; None of what is no instance of a study.

        Raises:
            UnwritableFile: there is no room.
        """
        taken: list[str | None] = []
        for file, uids in zip(files, self.reader.identify(files), strict=True):
            if uids is not None:
                study, instance = uids
                _move(file, self.inbox / _hashed(study) / f"{_hashed(instance)}.dcm")
            taken.append(None if uids is None else uids[1])
        return taken

    def complete(self) -> list[Path]:
        """The studies to which nothing has been added for a while, oldest first."""
        now = time.time()
        ages = [
            (max(file.stat().st_mtime for file in files), study)
            for study in self.inbox.iterdir()
            if (files := list(study.glob("*.dcm")))
        ]
        return [study for newest, study in sorted(ages) if now - newest >= self.quiet_s]

    def report(self, study: Path) -> list[Path]:
        """Answer a study, write its reports to the outbox, and clear it from the inbox; returns the reports."""
        files = sorted(study.glob("*.dcm"))
        looked = list(self._looked_at(files))
        answered = [one for one in looked if one.is_answered] or looked[:1]
        reports = [report for one in answered if (report := self._written(one)) is not None]
        for file in files:  # one by one: what came meanwhile stays
            file.unlink(missing_ok=True)
        with suppress(OSError):  # something came meanwhile
            study.rmdir()
        self.say(f"study {study.name[:8]}: {len(files)} instances, {len(reports)} reports")
        return reports

    def set_aside(self, thing: Path) -> None:
        """Move a study, an instance or a report to quarantine, where it is not tried again."""
        place = self.quarantine / thing.name
        if place.is_dir():
            shutil.rmtree(place)
        os.replace(thing, place)

    def outgoing(self) -> list[Path]:
        """Reports that are still to be sent, oldest first."""
        return sorted(self.outbox.glob("*.dcm"), key=lambda file: file.stat().st_mtime)

    def mark_sent(self, report: Path) -> None:
        """Move a report that the archive has taken out of the way."""
        os.replace(report, self.sent / report.name)

    def _looked_at(self, files: list[Path]) -> Iterator[Looked]:
        """Every clip that can be reported on: answers, abstentions, and clips that could not be read."""
        for file in files:
            sha256 = sha256_of(file)
            passings = Passings(self.model)
            read = self.reader.read(file, {}, passings.watch)
            if read.header is None:
                self._put_away(file, "cannot be read as DICOM")
                continue
            source = dataset_of(read.header)
            result = self._result(read, passings, file.name, sha256)
            if isinstance(result, Failure):
                self.say(f"instance {file.name[:8]}: {result.error.code}")
                if int(source.get("NumberOfFrames") or 1) <= 1:
                    continue
            yield Looked(result.record(), source, file)

    def _result(self, read: Read, passings: Passings, name: str, sha256: str | None) -> Answer | Failure:
        """The answer to one clip, or why there is none; a fault of ours is a failure of this clip alone."""
        try:
            if read.study is None:
                raise read.error or McsdrError("nothing came of it.")
            encoded = passings.encoded(replace(read.study, file=name, input_sha256=sha256))
            return conclude(encoded, self.model, prior=self.prior)
        except McsdrError as error:
            error.path = None
            return Failure(name, error, sha256)
        except Exception as error:
            return Failure(name, McsdrError(f"the node failed on this clip ({type(error).__name__})."), sha256)

    def _written(self, looked: Looked) -> Path | None:
        """The report in the outbox, and beside it the record that it says the same as; None where none can be made.

        Raises:
            UnwritableFile: there is no room.
        """
        try:
            report = structured_report(looked.record, looked.source)
            content = to_bytes(report)
        except Exception as error:  # of the library's own kinds, where a header holds what a report must not
            code = error.code if isinstance(error, McsdrError) else type(error).__name__
            self._put_away(looked.file, f"no report can be made of it ({code})")
            return None
        name = _hashed(report.SOPInstanceUID)
        path = self.outbox / f"{name}.dcm"
        if (self.sent / path.name).exists():  # made and sent before; the archive has it
            return self.sent / path.name
        described: dict[str, Any] = {"sop_instance_uid": report.SOPInstanceUID, "record": looked.record}
        write_atomically(self.results / f"{name}.json", json.dumps(described, indent=2).encode())
        write_atomically(path, content)
        return path

    def _put_away(self, file: Path, why: str) -> None:
        self.set_aside(file)
        self.say(f"instance {file.name[:8]}: {why}; it was moved to quarantine")

    def forget_sent(self, older_than_s: float) -> None:
        """Remove reports and records that were sent long ago."""
        limit = time.time() - older_than_s
        for file in [*self.sent.iterdir(), *self.results.iterdir()]:
            if file.stat().st_mtime < limit and not (self.outbox / f"{file.stem}.dcm").exists():
                file.unlink()


def _move(file: Path, to: Path) -> None:
    """Move a file so that it is on disk where it belongs, or still where it was."""
    try:
        with file.open("rb") as content:
            os.fsync(content.fileno())
        for last in (False, True):
            to.parent.mkdir(exist_ok=True)
            try:
                os.replace(file, to)
                break
            except FileNotFoundError:  # the study was cleared meanwhile, and its folder removed
                if last:
                    raise
        for folder in (to.parent, to.parent.parent):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    except OSError as error:
        raise UnwritableFile(f"it cannot be written: {error.strerror}.", path=to) from error


def _hashed(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()[:40]
