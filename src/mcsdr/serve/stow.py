"""STOW-RS: instances that come by HTTP, several in one body, into the mailroom.

    Content-Type: multipart/related; type="application/dicom"; boundary=B
    --B CRLF headers CRLF CRLF instance CRLF --B … --B--

The answer is the DICOM JSON model: what was stored in Referenced SOP Sequence (0008,1199), what was not in Failed SOP
Sequence (0008,1198). Reference: DICOM PS3.18 10.5.
"""

from __future__ import annotations

from collections.abc import Iterator
from email.message import Message
from typing import Any

from mcsdr.errors import McsdrError, UnsupportedFormat, UnwritableFile
from mcsdr.serve.mailroom import Mailroom

NOT_UNDERSTOOD = 0xC000
LONGEST_BOUNDARY = 70


def instances(body: bytes, content_type: str) -> Iterator[bytes]:
    """The parts of a body, without their headers.

    Raises:
        UnsupportedFormat: it is no such body.
    """
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_boundary() or ""
    if header.get_content_type() != "multipart/related" or not 0 < len(boundary) <= LONGEST_BOUNDARY:
        raise UnsupportedFormat(
            "the body is not multipart/related", next_step='Send multipart/related; type="application/dicom".'
        )
    fence = b"\r\n--" + boundary.encode("latin-1", "replace")
    for part in (b"\r\n" + body).split(fence)[1:]:
        if part.startswith(b"--"):
            return
        _, _, content = part.partition(b"\r\n\r\n")
        yield content


def store(mailroom: Mailroom, body: bytes, content_type: str) -> tuple[int, dict[str, Any]]:
    """Take the instances of a body in; HTTP status and answer.

    Raises:
        UnsupportedFormat: it is no such body.
        UnwritableFile: there is no room.
    """
    stored: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for content in instances(body, content_type):
        try:
            stored.append({"00081155": {"vr": "UI", "Value": [mailroom.take_in(content)]}})
        except UnwritableFile:
            raise
        except McsdrError:
            failed.append({"00081197": {"vr": "US", "Value": [NOT_UNDERSTOOD]}})
    said = {"00081199": {"vr": "SQ", "Value": stored}} if stored else {}
    said |= {"00081198": {"vr": "SQ", "Value": failed}} if failed else {}
    return (200 if not failed else 202 if stored else 409), said
