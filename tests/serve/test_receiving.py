"""A body that trickles into a full line is told that others came faster, and nothing of it stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import HTTPException

from mcsdr.serve.progress import Progress
from mcsdr.serve.receiving import received


class Line:
    """A desk at which an upload has its place until another takes it."""

    def __init__(self, upload: Path) -> None:
        self.upload, self.taken = upload, False
        self.progress = Progress(1000)

    def place(self) -> tuple[Path, Progress]:
        return self.upload, self.progress

    def has_place(self, upload: Path) -> bool:
        return not self.taken

    def give_up(self, upload: Path) -> None:
        upload.unlink()


class Sender:
    """A request whose body comes in two pieces; another comes in between."""

    def __init__(self, line: Line, taken: bool) -> None:
        self.line, self.taken = line, taken

    async def stream(self) -> AsyncIterator[bytes]:
        yield b"a"
        self.line.taken = self.taken
        yield b"b"


async def came(sender: Any, line: Any) -> bytes:
    async with received(sender, line) as upload:
        assert line.progress._stands
        return upload.read_bytes()


def test_a_body_that_lost_its_place_is_told_so(tmp_path: Path) -> None:
    line = Line(tmp_path / "upload")
    assert asyncio.run(came(Sender(line, taken=False), line)) == b"ab"
    with pytest.raises(HTTPException) as refused:
        asyncio.run(came(Sender(line, taken=True), line))
    assert refused.value.status_code == 408
    assert refused.value.headers == {"connection": "close"}
    assert not line.upload.exists()
