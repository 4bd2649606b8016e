"""STOW-RS: instances that come by HTTP, several in one body, into the mailroom.

    Content-Type: multipart/related; type="application/dicom"; boundary=B
    body ──a child finds the parts──> a file each ──a child identifies them──> inbox

The answer is the DICOM JSON model: what was stored in Referenced SOP Sequence (0008,1199), what was not in Failed SOP
Sequence (0008,1198). Reference: DICOM PS3.18 10.5.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mcsdr.serve.mailroom import Mailroom
from mcsdr.serve.receiving import copy_part

NOT_UNDERSTOOD = 0xC000


def store(mailroom: Mailroom, body: Path, boundary: str) -> tuple[int, dict[str, Any]]:
    """Take the instances of a body in; HTTP status and answer.

    Raises:
        McsdrError: it is no such body, or has too many parts.
        UnwritableFile: there is no room.
    """
    stored: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    with mailroom.incoming() as folder:
        files = []
        for number, part in enumerate(mailroom.reader.parts(body, boundary)):
            files.append(folder / f"{number}.dcm")
            copy_part(body, part, files[-1])
        for instance in mailroom.take_in(files):
            if instance is None:
                failed.append({"00081197": {"vr": "US", "Value": [NOT_UNDERSTOOD]}})
            else:
                stored.append({"00081155": {"vr": "UI", "Value": [instance]}})
    said = {"00081199": {"vr": "SQ", "Value": stored}} if stored else {}
    said |= {"00081198": {"vr": "SQ", "Value": failed}} if failed else {}
    return (200 if not failed else 202 if stored else 409), said
