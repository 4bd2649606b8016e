"""How many frames a video should hold, by what its container states and means to show.

    MP4, MOV      the samples of its table, but for those that an edit list leaves out (a trimmed clip)
    AVI           the frames of its header, but for the empty chunks, which only hold the frame before them longer
    Matroska, Flash, Windows Media    the length that the header states, where all tracks end before it; and for the
                  first and the last the bytes that it states, where the file has fewer
    MPEG          nothing is stated: what is there is all that can be known

What should be shown and is not, be it cut off or damaged, is missing; what is meant to be skipped is not.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from av.container import InputContainer
from av.video.stream import VideoStream

from mcsdr.errors import UnreadableFile

MICROSECONDS = 1e-6
INDEXED = ("avi", "mov")  # whose index is read when they are opened
STATING = ("matroska", "flv", "asf")  # whose header states a length in time
SHORT = 0.03  # of the stated length: less is the rounding of clocks, or a last frame that is shown longer
INDEX, CHUNK = b"idx1", 16
MOST_INDEX = 64 << 20  # bytes
ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")  # its File Properties
BROADCAST = 1
SEGMENT = b"\x18\x53\x80\x67"
MOST_BOXES = 10_000
LOOK = 64 << 10  # bytes of header


class Counting:
    """Counts the frames of one stream.

    Arguments:
        path: the file.
        stream: the stream whose frames are counted.
        demuxer: FFmpeg's name of the container.
        duration: microseconds that the container states, where it does.

    Attributes:
        shown: packets that are there and are to be shown, once `look` has seen them.
        failed: how many of them could not be decoded, as the decoder counts.
        by_index: whether they were counted without going over the packets.
    """

    def __init__(self, path: Path, stream: VideoStream, demuxer: str, duration: int | None) -> None:
        self._path, self._stream, self._demuxer = path, stream, demuxer
        self._stated, self._stated_s = max(0, stream.frames), 0.0
        if demuxer in STATING:
            self._stated_s = MICROSECONDS * (duration or 0) or (_asf_seconds(path) if demuxer == "asf" else 0.0)
        stated_bytes = _stated_bytes(path, demuxer)
        self._held_share = min(1.0, path.stat().st_size / stated_bytes) if stated_bytes else 1.0
        self.shown = self.failed = 0
        self.by_index = False
        self._end_s = 0.0

    def look(self, container: InputContainer) -> None:
        """Count what is to be shown, by the container's index where it is whole, else packet by packet."""
        self.by_index = self._demuxer in INDEXED and self._indexed()
        if not self.by_index:
            self._packets(container)
        if self._demuxer == "avi" and self._stated > self.shown:
            self._stated = max(0, self._stated - max(self._held, _empty_chunks(self._path)))

    def _indexed(self) -> bool:
        """Whether the index knows of every frame that the header states."""
        entries = [(entry.timestamp, entry.is_discard) for entry in self._stream.index_entries if entry.size > 0]
        self._held = _gaps([at for at, _ in entries])
        self.shown = sum(not skipped for _, skipped in entries)
        if self._demuxer == "mov" and self.shown:
            self._stated = self.shown
            return True
        return self.shown > 0 and self.shown + self._held >= self._stated

    def _packets(self, container: InputContainer) -> None:
        """Go over all packets of all streams; nothing is decoded."""
        bases = {stream.index: float(stream.time_base or 0) for stream in container.streams}
        step_s = float(1 / self._stream.average_rate) if self._stream.average_rate else 0.0
        self.shown, places = 0, []
        for packet in container.demux():
            if packet.size == 0:
                continue
            index = packet.stream_index
            at = packet.pts if packet.pts is not None else packet.dts
            if at is not None:
                length = packet.duration or 0
                self._end_s = max(self._end_s, (at + length) * bases[index] + (0.0 if length else step_s))
            if index == self._stream.index:
                self.shown += not packet.is_discard
                if packet.dts is not None:
                    places.append(packet.dts)
        self._held = _gaps(places)

    def declared(self, decoded: int, rate_hz: float | None) -> int:
        """How many frames there should be, once `decoded` were found; 0 where nothing is known."""
        there, short_s = decoded + self.failed, self._stated_s - self._end_s
        stated = max(self._stated, round(there / self._held_share) if self._held_share < 1 else 0)
        if rate_hz and short_s > SHORT * self._stated_s:
            stated = max(stated, there + round(short_s * rate_hz))
        return max(stated, there) if stated or self.failed else 0


def _gaps(places: list[int]) -> int:
    """How many places are left out of an ascending list: an AVI numbers its chunks, empty or not."""
    return sum(max(0, at - before - 1) for before, at in pairwise([-1, *places]))


def refuse_without_table(path: Path, demuxer: str) -> None:
    """Refuse an MP4 or MOV that ends before the table of its frames, which mostly stands at the end.

    Raises:
        UnreadableFile: it has no such table.
    """
    if demuxer == "mov" and not {b"moov", b"moof"} & set(_boxes(path)):
        step = "Export or copy the whole clip again from its source."
        raise UnreadableFile("it was cut short: the table of its frames is missing", path=path, next_step=step)


def _boxes(path: Path) -> Iterator[bytes]:
    """The kinds of an MP4's outermost boxes, in order, as far as they can be followed."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        at = 0
        for _ in range(MOST_BOXES):
            file.seek(at)
            head = file.read(16)
            if len(head) < 8:
                return
            yield head[4:8]
            size = int.from_bytes(head[:4], "big")
            if size == 1:
                size = int.from_bytes(head[8:16], "big")
            if size < 8 or at + size > end:
                return
            at += size


def _empty_chunks(path: Path) -> int:
    """How many chunks of picture an AVI's index calls empty; 0 where it has no index."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - MOST_INDEX))
        tail = file.read(MOST_INDEX)
    at = tail.rfind(INDEX)
    if at < 0 or len(tail) < at + 8:
        return 0
    (length,) = struct.unpack("<I", tail[at + 4 : at + 8])
    entries = tail[at + 8 : at + 8 + length]
    whole = len(entries) // CHUNK * CHUNK
    return sum(
        name[2:] in (b"dc", b"db") and size == 0 for name, _, _, size in struct.iter_unpack("<4sIII", entries[:whole])
    )


def _asf_seconds(path: Path) -> float:
    """The length that a Windows Media header states; FFmpeg drops it where the file is shorter than it should be."""
    _, length, preroll = _asf_properties(path)
    return max(0.0, length * 1e-7 - preroll * 1e-3)


def _stated_bytes(path: Path, demuxer: str) -> int:
    """How many bytes a file should have, 0 where it does not say."""
    match demuxer:
        case "matroska":
            return _matroska_bytes(path)
        case "asf":
            return _asf_properties(path)[0]
    return 0


def _asf_properties(path: Path) -> tuple[int, int, int]:
    """Bytes, length in 100 ns and preroll in ms that a Windows Media header states; zeros where it cannot."""
    with path.open("rb") as file:
        head = file.read(LOOK)
    at = head.find(ASF_FILE)
    fields = head[at + 40 : at + 92]
    if at < 0 or len(fields) < 52:
        return 0, 0, 0
    size, _, _, length, _, preroll, flags = struct.unpack("<QQQQQQI", fields)
    return (0, 0, 0) if flags & BROADCAST else (size, length, preroll)


def _matroska_bytes(path: Path) -> int:
    """How many bytes a Matroska file should have, 0 where its segment does not say."""
    with path.open("rb") as file:
        head = file.read(LOOK)
    header, at = _element_size(head, 4)
    at += header or 0
    if head[at : at + 4] != SEGMENT:
        return 0
    size, at = _element_size(head, at + 4)
    return 0 if size is None else at + size


def _element_size(head: bytes, at: int) -> tuple[int | None, int]:
    """The size of an EBML element, None where it is unknown, and where its content starts."""
    if at >= len(head) or not head[at]:
        return None, at
    length = 9 - head[at].bit_length()
    ones = (1 << 7 * length) - 1
    size = int.from_bytes(head[at : at + length], "big") & ones
    return None if size == ones else size, at + length
