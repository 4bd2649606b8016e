"""What a compressed picture or video says of itself in its first bytes: its kind, size and colour.

    JPEG (T.81), JPEG-LS (T.87)   markers up to the frame header: SOFn or SOF55
    JPEG 2000 (T.800)             SIZ and COD, in a bare codestream or in the boxes of a JP2 file
    MPEG-2, H.264, HEVC           start codes; or an MP4, transport or program stream around them
    RLE (DICOM PS3.5 Annex G)     a table of at most 15 segments, the first at byte 64

A label may be untrue, these are not: the decoder is chosen by them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, NamedTuple

Kind = Literal["jpeg", "jpeg-ls", "jpeg2000", "rle", "video"]
Colour = Literal["RGB", "YBR"]

START, SCAN, END = 0xD8, 0xDA, 0xD9
JFIF, ADOBE = 0xE0, 0xEE
LS_FRAME = 0xF7
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC} | {LS_FRAME}
CODESTREAM, JP2 = b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "
RLE_HEADER = 64
H264_FIRST = (7, 9, 6)  # types of a unit that a stream begins with: parameters, delimiter, information
HEVC_FIRST = (32, 33, 35, 39)


class Head(NamedTuple):
    """What a compressed picture says of itself.

    Arguments:
        kind: which decoder it needs.
        width, height: in pixels; 0 where it does not say.
        bits: of a sample.
        components: how many a pixel has.
        colour: what they are, None where the stream leaves that open.
    """

    kind: Kind
    width: int = 0
    height: int = 0
    bits: int = 8
    components: int = 1
    colour: Colour | None = None


def stream_head(data: bytes) -> Head | None:
    """The head of a compressed picture, or of a piece of video; None where it is neither."""
    if data[:2] == b"\xff\xd8":
        return _jpeg_head(data)
    if data[:4] == CODESTREAM or data[:8] == JP2:
        return _jpeg2000_head(data)
    if video_format(data) is not None:
        return Head("video")
    return Head("rle") if _is_rle(data) else None


def video_format(data: bytes) -> str | None:
    """FFmpeg's name for what holds a piece of video: "h264", "hevc", "mpegvideo", "mov", "mpegts", "mpeg"; or None."""
    if data[4:8] in (b"ftyp", b"moov", b"mdat"):
        return "mov"
    if len(data) > 188 and data[0] == data[188] == 0x47:
        return "mpegts"
    at = 3 if data[:3] == b"\0\0\x01" else 4 if data[:4] == b"\0\0\0\x01" else 0
    if not at or len(data) <= at:
        return None
    first = data[at]
    if first == 0xBA:
        return "mpeg"
    if first == 0xB3:
        return "mpegvideo"
    if first & 0x80:
        return None
    if (first >> 1) & 0x3F in HEVC_FIRST and first & 1 == 0 and data[at + 1 : at + 2] == b"\x01":
        return "hevc"
    return "h264" if first & 0x1F in H264_FIRST else None


def _jpeg_head(data: bytes) -> Head | None:
    jfif, adobe, at = False, None, 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        body = data[at + 4 : at + 2 + length]
        if marker in FRAMES and len(body) >= 6:
            return _of_frame(marker, body, jfif, adobe)
        if marker in (SCAN, END):
            return None
        jfif = jfif or (marker == JFIF and body[:4] == b"JFIF")
        if marker == ADOBE and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]
        at += 2 + length
    return None


def _of_frame(marker: int, body: bytes, jfif: bool, adobe: int | None) -> Head:
    """From the frame header: precision, height, width, and of each component its name and sampling."""
    bits, height, width = body[0], int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    parts = [body[at : at + 3] for at in range(6, 6 + 3 * body[5], 3)]
    kind: Kind = "jpeg-ls" if marker == LS_FRAME else "jpeg"
    colour: Colour | None = None
    if len(parts) == 3 and all(len(part) == 3 for part in parts) and kind == "jpeg":
        if adobe is not None or bytes(part[0] for part in parts) == b"RGB":
            colour = "YBR" if adobe else "RGB"
        elif jfif or len({part[1] for part in parts}) > 1:  # only colour differences are sampled more coarsely
            colour = "YBR"
    return Head(kind, width, height, bits, len(parts), colour)


def _jpeg2000_head(data: bytes) -> Head | None:
    at = data.find(CODESTREAM) + 2
    size = data[at + 4 : at + 42]
    if at < 2 or len(size) < 38:
        return None
    right, bottom, left, top = (int.from_bytes(size[place : place + 4], "big") for place in (2, 6, 10, 14))
    components, bits = int.from_bytes(size[34:36], "big"), (size[36] & 0x7F) + 1
    coding = data.find(b"\xff\x52", at)
    transformed = coding >= 0 and data[coding + 8 : coding + 9] == b"\x01"  # the decoder turns it back to RGB
    colour: Colour | None = "RGB" if components == 3 and transformed else None
    return Head("jpeg2000", right - left, bottom - top, bits, components, colour)


def _is_rle(data: bytes) -> bool:
    if len(data) <= RLE_HEADER:
        return False
    offsets = [int.from_bytes(data[at : at + 4], "little") for at in range(4, RLE_HEADER, 4)]
    count = int.from_bytes(data[:4], "little")
    used = offsets[:count]
    ascending = all(one < other for one, other in pairwise(used))
    return 1 <= count <= 15 and used[0] == RLE_HEADER and ascending
