"""The child that touches a stranger's bytes, and the warm process that it is forked from.

    read       a clip            the header that a report needs, then the study, then its frames one after the other
    identify   DICOM files       the Study and SOP Instance UID of each, nothing for what is none
    parts      a multipart body  where each part lies in the file, and the name of the file that a form calls it

The warm process is `python -P -m mcsdr.io.sandbox.child`, with a socket for its standard input. A child limits its own
memory and processor time before it opens anything, may write no file, and ends after one request.
"""

from __future__ import annotations

import json
import mmap
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from email.parser import BytesHeaderParser
from importlib import import_module
from pathlib import Path
from typing import Any

from mcsdr.errors import McsdrError, UnreadableFile, UnsupportedFormat
from mcsdr.io.sandbox.warm import OTHERWISE
from mcsdr.io.sandbox.wire import NEXT_STEP, Raw, line, packed

MOST_PARTS = 1000  # of a body
LONGEST_PART_HEADER = 8192  # bytes


def _limit(memory_bytes: int, processor_s: int) -> None:
    """No more memory, processor time, files to write or dumps than one clip needs."""
    import resource

    most = {"AS": memory_bytes, "CPU": processor_s, "FSIZE": 0, "CORE": 0}
    for name, wanted in most.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        within = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError):  # macOS knows no limit of memory
            resource.setrlimit(kind, (within, within))


def read(path: str, given: Mapping[str, Any], with_header: bool) -> Iterator[Raw]:
    """The pieces of the answer to "read"; the header goes before anything is decoded."""
    from mcsdr.io import read_study

    yield line({"header": _header(Path(path)) if with_header else None})
    yield from packed(read_study(Path(path), **given))


def _header(path: Path) -> dict[str, Any] | None:
    """What a report needs of a DICOM file's header; None of other files, and of what cannot be parsed."""
    from mcsdr.io.dicom import open_dicom
    from mcsdr.io.dicom_excerpt import plain_header

    try:
        return plain_header(open_dicom(path))
    except McsdrError:
        return None


def identify(paths: list[str]) -> Iterator[Raw]:
    """The pieces of the answer to "identify"."""
    yield line({"identified": [_identified(Path(path)) for path in paths]})


def _identified(path: Path) -> list[str] | None:
    from mcsdr.io.dicom import open_dicom
    from mcsdr.io.dicom_excerpt import is_uid
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


def _answer(request: Mapping[str, Any], answer: int) -> None:
    """All that a child does."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())  # the line is its parent's
    _limit(request["memory_bytes"], request["processor_s"])
    with os.fdopen(answer, "wb") as sent:
        try:
            for piece in WORK[request["do"]](**request["how"]):
                sent.write(piece)
                sent.flush()
        except McsdrError as error:
            sent.write(line({"error": error.record()}))
        except MemoryError:
            cause = "reading it needs more memory than one clip may have."
            sent.write(line({"error": UnreadableFile(cause, next_step=NEXT_STEP).record()}))


def _forked(request: Mapping[str, Any], answer: int) -> int:
    """How the child of a request ended, see warm.py."""
    child = os.fork()
    if not child:
        ended = OTHERWISE
        try:
            _answer(request, answer)
            ended = 0
        finally:
            os._exit(ended)  # nothing of its parent's is to be tidied here
    os.close(answer)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return -status if status < 0 else status


def main() -> None:
    """Answer requests, each in a child, until whoever asks has gone."""
    from mcsdr.io import dicom as dicom
    from mcsdr.io import dicom_excerpt as dicom_excerpt
    from mcsdr.io.formats import import_readers

    import_readers()
    import_module("numpy.ma")  # which pictures are reduced with
    with socket.socket(fileno=sys.stdin.fileno()) as asked, asked.makefile("rb") as lines, suppress(OSError):
        while answers := socket.recv_fds(asked, 1, 1)[1]:
            request = json.loads(lines.readline() or b"null")
            if request is None:
                return
            asked.sendall(bytes([_forked(request, answers[0])]))


if __name__ == "__main__":
    main()
