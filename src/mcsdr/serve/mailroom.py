"""Clips that an archive sends, and the reports that go back: on disk at every moment, so that a crash loses nothing.

    inbox/STUDY/INSTANCE.dcm ──quiet for a while──> read, answered ──> outbox/REPORT.dcm ──sent──> sent/REPORT
                                                          └──> results/REPORT.json

A study counts as complete when nothing of it has come for a while. Each clip of it that the model answers becomes one
structured report; where it answers none, the first clip that can be reported on becomes one that says why not, and
stills and Doppler among them are passed over. A report's SOP Instance UID follows from clip, model and answer, so that
the same clip sent twice, or a report made twice because the machine went down in between, is one object to the archive.
What is done twice is overwritten with the same; what is half written has another name.

Names of files are hashes: no folder says whose they are. The folder itself is readable by its owner alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset

from mcsdr.errors import McsdrError, UnreadableFile
from mcsdr.files import sha256_of, write_atomically
from mcsdr.interop.structured_report import structured_report, to_bytes
from mcsdr.io.dicom import open_dicom
from mcsdr.io.dicom_header import text
from mcsdr.model import Answer, Model
from mcsdr.prediction import Failure
from mcsdr.serve.sandbox import Reader

QUIET_S = 5.0  # without anything new, and a study is complete
Say = Callable[[str], None]


@dataclass(frozen=True)
class Looked:
    """One clip of a study: the record of what came of it, and its header; its frames are let go."""

    record: dict[str, Any]
    source: Dataset

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
    """

    def __init__(
        self, folder: Path, model: Model, reader: Reader, *, quiet_s: float = QUIET_S, say: Say = print
    ) -> None:
        self.folder, self.model, self.reader, self.quiet_s, self.say = folder, model, reader, quiet_s, say
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        self.inbox, self.outbox, self.sent, self.results = (
            folder / name for name in ("inbox", "outbox", "sent", "results")
        )
        for place in (self.inbox, self.outbox, self.sent, self.results):
            place.mkdir(exist_ok=True)

    def receive(self, content: bytes, study_uid: str, instance_uid: str) -> None:
        """Keep one instance; when this returns it is on disk.

        Arguments:
            content: a whole DICOM file.

        Raises:
            UnwritableFile: there is no room.
        """
        write_atomically(self.inbox / _hashed(study_uid) / f"{_hashed(instance_uid)}.dcm", content)

    def take_in(self, content: bytes) -> str:
        """Keep one whole DICOM file, and return its SOP Instance UID.

        Raises:
            UnreadableFile: it is none, or says nothing of its study.
        """
        try:
            header = dcmread(
                BytesIO(content), stop_before_pixels=True, specific_tags=["StudyInstanceUID", "SOPInstanceUID"]
            )
            study, instance = text(header, "StudyInstanceUID"), text(header, "SOPInstanceUID")
        except Exception as error:
            raise UnreadableFile(f"it is no DICOM instance of a study ({type(error).__name__})") from None
        if not (study and instance):
            raise UnreadableFile(f"its header has no {'SOP' if study else 'Study'} Instance UID")
        self.receive(content, study, instance)
        return instance

    def complete(self) -> list[Path]:
        """The studies to which nothing has been added for a while, oldest first."""
        now = time.time()
        ages = [
            (max((file.stat().st_mtime for file in study.iterdir()), default=0.0), study) for study in self._studies()
        ]
        return [study for newest, study in sorted(ages) if now - newest >= self.quiet_s]

    def report(self, study: Path) -> list[Path]:
        """Answer a study, write its reports to the outbox, and clear it from the inbox; returns the reports."""
        files = sorted(study.glob("*.dcm"))
        looked = list(self._looked_at(files))
        answered = [one for one in looked if one.is_answered] or looked[:1]
        reports = [self._written(one) for one in answered]
        for file in files:  # one by one: what came meanwhile stays
            file.unlink()
        if not any(study.iterdir()):
            study.rmdir()
        self.say(f"study {study.name[:8]}: {len(files)} instances, {len(reports)} reports")
        return reports

    def outgoing(self) -> list[Path]:
        """Reports that are still to be sent, oldest first."""
        return sorted(self.outbox.glob("*.dcm"), key=lambda file: file.stat().st_mtime)

    def mark_sent(self, report: Path) -> None:
        """Move a report that the archive has taken out of the way."""
        os.replace(report, self.sent / report.name)

    def _studies(self) -> list[Path]:
        return [place for place in self.inbox.iterdir() if place.is_dir()]

    def _looked_at(self, files: list[Path]) -> Iterator[Looked]:
        """Every clip that can be reported on: answers, abstentions, and clips that could not be read."""
        for file in files:
            sha256 = sha256_of(file)
            try:
                header = open_dicom(file)
            except McsdrError:
                self.say(f"instance {file.name[:8]}: cannot be read as DICOM, no report")
                continue
            try:
                read = self.reader.read(file, {})
                study = replace(read.study, file=file.name, input_sha256=sha256)
                result: Answer | Failure = self.model(study)
            except McsdrError as error:
                error.path = None
                self.say(f"instance {file.name[:8]}: {error.code}")
                if int(header.get("NumberOfFrames") or 1) <= 1:
                    continue
                result = Failure(file.name, error, sha256)
            yield Looked(result.record(), header)

    def _written(self, looked: Looked) -> Path:
        """The report in the outbox, and beside it the record that it says the same as."""
        report = structured_report(looked.record, looked.source)
        name = _hashed(report.SOPInstanceUID)
        path = self.outbox / f"{name}.dcm"
        if (self.sent / path.name).exists():  # made and sent before; the archive has it
            return self.sent / path.name
        described: dict[str, Any] = {"sop_instance_uid": report.SOPInstanceUID, "record": looked.record}
        write_atomically(self.results / f"{name}.json", json.dumps(described, indent=2).encode())
        write_atomically(path, to_bytes(report))
        return path

    def forget_sent(self, older_than_s: float) -> None:
        """Remove reports and records that were sent long ago."""
        limit = time.time() - older_than_s
        for file in [*self.sent.iterdir(), *self.results.iterdir()]:
            if file.stat().st_mtime < limit and not (self.outbox / f"{file.stem}.dcm").exists():
                file.unlink()


def _hashed(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()[:40]
