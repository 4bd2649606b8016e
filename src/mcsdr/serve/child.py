"""The child that touches a stranger's bytes: `python -P -m mcsdr.serve.child`, one request on standard input.

    read       a clip            the header that a report needs, then the study, then its frames one after the other
    identify   DICOM files       the Study and SOP Instance UID of each, nothing for what is none
    parts      a multipart body  where each part lies in the file, and the name of the file that a form calls it

It limits its own memory and processor time before it opens anything, may write no file, and ends after one request.
"""

from __future__ import annotations

import json
import mmap
import sys
from collections.abc import Callable, Iterator, Mapping
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any

from mcsdr.errors import McsdrError, UnreadableFile, UnsupportedFormat
from mcsdr.serve.wire import NEXT_STEP, Raw, line, packed

MOST_PARTS = 1000  # of a body
LONGEST_PART_HEADER = 8192  # bytes


def _limit(memory_bytes: int, processor_s: int) -> None:
    """No more memory, processor time, files to write or dumps than one clip needs."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (processor_s, processor_s + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def read(path: str, given: Mapping[str, Any]) -> Iterator[Raw]:
    """The pieces of the answer to "read"; the header goes before anything is decoded."""
    from mcsdr.io import read_study

    yield line({"header": _header(Path(path))})
    yield from packed(read_study(Path(path), **given))


def _header(path: Path) -> dict[str, Any] | None:
    """What a report needs of a DICOM file's header; None of other files, and of what cannot be parsed."""
    from mcsdr.interop.header import plain_header
    from mcsdr.io.dicom import open_dicom

    try:
        return plain_header(open_dicom(path))
    except McsdrError:
        return None


def identify(paths: list[str]) -> Iterator[Raw]:
    """The pieces of the answer to "identify"."""
    yield line({"identified": [_identified(Path(path)) for path in paths]})


def _identified(path: Path) -> list[str] | None:
    from mcsdr.interop.header import is_uid
    from mcsdr.io.dicom import open_dicom
    from mcsdr.io.dicom_header import text

    try:
        dataset = open_dicom(path)
        uids = [text(dataset, "StudyInstanceUID"), text(dataset, "SOPInstanceUID")]
    except McsdrError:
        return None
    return uids if all(map(is_uid, uids)) else None


def parts(path: str, boundary: str) -> Iterator[Raw]:
    """The pieces of the answer to "parts"."""
    file = Path(path)
    found = []
    if file.stat().st_size:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as body:
            found = list(_parts(body, boundary.encode("latin-1", "replace")))
    yield line({"parts": found})


def _parts(body: mmap.mmap, boundary: bytes) -> Iterator[list[Any]]:
    """Start, length, name of the field and of the file, for each part: CRLF --B, headers, an empty line, content."""
    fence = b"\r\n--" + boundary
    begins = len(boundary) + 2 if body[: len(boundary) + 2] == fence[2:] else _after(body, fence, 0)
    count = 0
    while 0 <= begins < len(body) and body[begins : begins + 2] != b"--":
        count += 1
        if count > MOST_PARTS:
            raise UnsupportedFormat(
                f"the body has more than {MOST_PARTS} parts", next_step="Send them in several requests."
            )
        ends = body.find(fence, begins)
        ends = len(body) if ends < 0 else ends
        empty = body.find(b"\r\n\r\n", begins, min(ends, begins + LONGEST_PART_HEADER))
        if empty >= 0:
            header = BytesHeaderParser().parsebytes(body[begins:empty].lstrip(b"\r\n"))
            field = header.get_param("name", "", "content-disposition")
            yield [empty + 4, max(0, ends - empty - 4), str(field or ""), header.get_filename()]
        begins = ends + len(fence)


def _after(body: mmap.mmap, fence: bytes, start: int) -> int:
    at = body.find(fence, start)
    return -1 if at < 0 else at + len(fence)


WORK: dict[str, Callable[..., Iterator[Raw]]] = {"read": read, "identify": identify, "parts": parts}


def main() -> None:
    """Answer one request on standard input."""
    from mcsdr.interop import header as header
    from mcsdr.io import dicom as dicom
    from mcsdr.io.formats import import_readers

    import_readers()  # warm before the file is known

    request = json.loads(sys.stdin.buffer.readline() or b"null")
    if request is None:  # the server has gone
        return
    _limit(request["memory_bytes"], request["processor_s"])
    sent = sys.stdout.buffer
    try:
        for piece in WORK[request["do"]](**request["how"]):
            sent.write(piece)
            sent.flush()
    except McsdrError as error:
        sent.write(line({"error": error.record()}))
    except MemoryError:
        cause = "reading it needs more memory than one clip may have."
        sent.write(line({"error": UnreadableFile(cause, next_step=NEXT_STEP).record()}))
    sent.flush()


if __name__ == "__main__":
    main()
