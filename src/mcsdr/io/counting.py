"""How many frames a video should hold, by what its container states and means to show.

    MP4, MOV      the samples of its table, but for those that an edit list leaves out (a trimmed clip)
    AVI           the frames of its header, but for the empty chunks, which only hold the frame before them longer
    Matroska, Flash, Windows Media    the length that the header states, where all tracks end before it
    MPEG          nothing is stated: what is there is all that can be known

What should be shown and is not, be it cut off or damaged, is missing; what is meant to be skipped is not.
"""

from __future__ import annotations

import struct
from pathlib import Path

from av.container import InputContainer
from av.video.stream import VideoStream

MICROSECONDS = 1e-6
STATING = ("matroska", "flv", "asf")  # whose header states a length in time
SHORT = 0.03  # of the stated length: less is the rounding of clocks, or a last frame that is shown longer
INDEX, CHUNK = b"idx1", 16
MOST_INDEX = 64 << 20  # bytes
ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")  # its File Properties
BROADCAST = 1


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
    """

    def __init__(self, path: Path, stream: VideoStream, demuxer: str, duration: int | None) -> None:
        self._path, self._stream, self._demuxer = path, stream, demuxer
        indexed = sum(not entry.is_discard and entry.size > 0 for entry in stream.index_entries)
        self._stated = indexed if demuxer == "mov" and indexed else max(0, stream.frames)
        self._stated_s = 0.0
        if demuxer in STATING:
            self._stated_s = MICROSECONDS * (duration or 0) or (_asf_seconds(path) if demuxer == "asf" else 0.0)
        self.shown = self.failed = 0
        self._end_s = 0.0

    def look(self, container: InputContainer) -> None:
        """Go over all packets of all streams; nothing is decoded."""
        last, held = -1, 0
        for packet in container.demux():
            if packet.size == 0:
                continue
            base, at = packet.time_base, packet.pts if packet.pts is not None else packet.dts
            if base is not None and at is not None:
                self._end_s = max(self._end_s, float((at + (packet.duration or 0)) * base))
            if packet.stream is self._stream:
                self.shown += not packet.is_discard
                if packet.dts is not None:
                    held += max(0, packet.dts - last - 1)  # an AVI counts its chunks, empty or not
                    last = packet.dts
        if self._demuxer == "avi":
            self._stated = max(0, self._stated - max(held, _empty_chunks(self._path)))

    def declared(self, decoded: int, rate_hz: float | None) -> int:
        """How many frames there should be, once `decoded` were found; 0 where nothing is known."""
        stated, short_s = self._stated, self._stated_s - self._end_s
        if rate_hz and short_s > SHORT * self._stated_s:
            stated = decoded + self.failed + round(short_s * rate_hz)
        return max(stated, decoded + self.failed) if stated or self.failed else 0


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
    with path.open("rb") as file:
        head = file.read(MOST_INDEX >> 10)
    at = head.find(ASF_FILE)
    fields = head[at + 64 : at + 92]  # length and its send time in 100 ns, preroll in ms, flags
    if at < 0 or len(fields) < 28:
        return 0.0
    length, _, preroll, flags = struct.unpack("<QQQI", fields)
    return 0.0 if flags & BROADCAST else max(0.0, length * 1e-7 - preroll * 1e-3)
