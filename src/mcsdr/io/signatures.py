"""How kinds of files begin: functions of a file's first bytes, some 4,096 of them. They know no parser."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable

TS_PACKET = 188  # bytes of an MPEG transport stream's packet; some carry 4 more in front
PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
STILL_BRANDS = (b"heic", b"heix", b"mif1", b"avif")
ARCHIVES = (b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
DICOMDIR_CLASS = b"1.2.840.10008.1.3.10\0"
SEQUENCE_PARAMETERS = 7  # of an H.264 stream
HEVC_PARAMETERS = (0x40, 0x42)


def begins(*magics: bytes) -> Callable[[bytes], bool]:
    """Whether a file begins with any of these."""
    return lambda head: head.startswith(magics)


def riff(*forms: bytes) -> Callable[[bytes], bool]:
    """Whether a file is RIFF of any of these forms."""
    return lambda head: head[:4] == b"RIFF" and head[8:12] in forms


def is_quicktime(head: bytes) -> bool:
    """MP4, MOV, 3GP."""
    return head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot") and not _is_still(head)


def _is_still(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in STILL_BRANDS


def is_picture(head: bytes) -> bool:
    """PNG, JPEG, BMP, JPEG 2000, HEIF, AVIF."""
    bitmap = head[:2] == b"BM" and head[6:10] == bytes(4)
    return head.startswith(PICTURES) or bitmap or _is_still(head)


def is_transport_stream(head: bytes) -> bool:
    """A mark every 188 bytes, or every 192 from the fifth on."""
    return any(len(marks) >= 4 and set(marks) == {0x47} for marks in (head[::TS_PACKET], head[4 :: TS_PACKET + 4]))


def is_raw_coded(head: bytes) -> bool:
    """H.264 or HEVC without a container: a start code, then a parameter set."""
    found = re.match(rb"\0{2,3}\x01(.)", head, re.DOTALL)
    return found is not None and (found[1][0] & 0x1F == SEQUENCE_PARAMETERS or found[1][0] in HEVC_PARAMETERS)


def is_nifti(head: bytes) -> bool:
    """NIfTI-1 or -2, gzipped or not."""
    inflated = _inflated(head) if head[:2] == b"\x1f\x8b" else head
    return inflated[344:348] in (b"n+1\0", b"ni1\0") or inflated[4:8] in (b"n+2\0", b"ni2\0")


def _inflated(head: bytes) -> bytes:
    """The first bytes of a gzip file, as many as tell a format."""
    try:
        return zlib.decompressobj(wbits=31).decompress(head, 352)
    except zlib.error:
        return b""


def is_metaimage(head: bytes) -> bool:
    """A MetaImage header, whether voxels follow it or not."""
    text = head.partition(b"ElementDataFile")[0]
    return b"NDims" in text and b"DimSize" in text and b"\0" not in text


def is_sequence_array(head: bytes) -> bool:
    """An `.npy` of three or four axes: what else is kept so are tables and features."""
    shape = re.search(rb"'shape': \(([^)]*)\)", head[:1024])
    return head[:6] == b"\x93NUMPY" and shape is not None and len(re.findall(rb"\d+", shape[1])) in (3, 4)


def is_array_archive(head: bytes) -> bool:
    """A zip whose first member is an `.npy`."""
    return head[:4] == b"PK\3\4" and head[30 : 30 + int.from_bytes(head[26:28], "little")].endswith(b".npy")


def is_dicomdir(head: bytes) -> bool:
    """The index of a DICOM medium."""
    return head[128:132] == b"DICM" and DICOMDIR_CLASS in head[:512]


def is_archive(head: bytes) -> bool:
    """7z, RAR, tar, gzip, bzip2, xz, zstd."""
    return head.startswith(ARCHIVES) or head[257:262] == b"ustar"


def is_text(head: bytes) -> bool:
    """Text in UTF-8, UTF-16 with its mark, or an 8-bit alphabet."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    return bool(head) and not re.search(rb"[\x00-\x08\x0e-\x1f]", head)
