"""Taking a body in: piece by piece into a file of the server's own, which holds a place in the line while it comes.

What is in it, be it a clip, a form with one or instances by the dozen, is for a child to find out.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import Message
from pathlib import Path
from typing import BinaryIO

from fastapi import Request

from mcsdr.errors import UnwritableFile
from mcsdr.io.sandbox import Part
from mcsdr.serve.desk import Desk, LineIsFull
from mcsdr.serve.refusals import refusal

PIECE = 1 << 20  # bytes that are copied at a time
LONGEST_NAME = 200
LONGEST_BOUNDARY = 70
FASTER = "Send it again over a faster line, or later."
CLOSE = {"connection": "close"}  # the rest of the body is not read
ONE_FILE = "Send curl -F file=@clip.dcm 'ADDRESS?age=63', what is known in the address; or the clip as the body."


def _write(file: BinaryIO, chunk: bytes) -> None:
    try:
        if file.write(chunk) < len(chunk):
            raise OSError(errno.ENOSPC, "no room for the rest")
    except OSError as error:
        raise UnwritableFile(f"the upload cannot be written: {error.strerror}.") from error


@asynccontextmanager
async def received(request: Request, desk: Desk) -> AsyncIterator[Path]:
    """The body of a request as a file; whatever happens, what is not submitted is removed and its place given back.

    Raises:
        HTTPException: the line is full, or it was and another came faster.
        UnwritableFile: there is no room for it.
    """
    try:
        upload, progress = desk.place()
    except LineIsFull as full:
        wait = str(full.retry_s)
        step = f"Try again in {wait} s."
        raise refusal(429, "line-is-full", "Too many clips wait.", step, {"retry-after": wait}) from None
    try:
        with upload.open("wb", buffering=0) as file:
            async for chunk in request.stream():
                progress.moved(len(chunk))
                if not desk.has_place(upload):
                    raise refusal(408, "too-slow", "The line is full, and others came faster.", FASTER, CLOSE)
                with progress.stands():
                    await asyncio.to_thread(_write, file, chunk)
        with progress.stands():
            yield upload
    except BaseException:
        desk.give_up(upload)
        raise


async def out_of_form(request: Request, desk: Desk, upload: Path) -> str:
    """Leave of a form (`curl -F file=@clip.dcm`) its one file, and return what it is called; a plain body has no name.

    Raises:
        HTTPException: the form holds no file, several, or anything else, which would be lost without a word.
    """
    kind = header_of(request)
    if kind.get_content_type() != "multipart/form-data":
        return ""
    parts = await asyncio.to_thread(desk.reader.parts, upload, boundary_of(kind))
    if len(parts) != 1 or parts[0].file is None:
        raise refusal(422, "not-one-file", "A form must hold one file and nothing else.", ONE_FILE)
    alone = upload.with_suffix(".part")
    try:
        await asyncio.to_thread(copy_part, upload, parts[0], alone)
        alone.replace(upload)
    finally:
        alone.unlink(missing_ok=True)
    return parts[0].file[-LONGEST_NAME:]


def header_of(request: Request) -> Message:
    """The content type of a request, parsed."""
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    return header


def boundary_of(kind: Message) -> str:
    """The boundary of a multipart body.

    Raises:
        HTTPException: it names none that may be.
    """
    boundary = kind.get_boundary() or ""
    if not 0 < len(boundary) <= LONGEST_BOUNDARY:
        raise refusal(422, "no-boundary", "The body does not say where its parts end.", "Name a boundary.")
    return boundary


def copy_part(body: Path, part: Part, to: Path) -> None:
    """Copy one part of a body into a file of its own."""
    with body.open("rb") as source, to.open("wb") as target:
        source.seek(part.start)
        left = part.length
        while left and (piece := source.read(min(left, PIECE))):
            target.write(piece)
            left -= len(piece)
