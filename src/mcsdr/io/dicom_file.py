"""Opening a DICOM file: its header as a data set, and where in the file its pixels lie.

    [preamble DICM] [group 2] header … (7FE0,0010) Pixel Data     what is in brackets may be missing
    Pixel Data = bytes of known length, or items: offset table, fragment, fragment, …, delimiter

What the bytes are decides, not what the header calls them: pixels of undefined length, or that begin with an item, are
encapsulated. A missing delimiter costs nothing; a fragment that the file ends within is left out, and the file counts
as cut short. Pixels stay in the file until a frame of them is asked for.
"""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from mcsdr.errors import McsdrError, MissingFile, UnreadableFile
from mcsdr.io.dicom_header import text
from mcsdr.io.dicom_signature import begins_as_dicom

PREAMBLE = 132  # bytes of preamble and magic
MAX_FILE = 8 << 30  # bytes
MAX_INFLATED = 400 << 20  # bytes of a deflated file
RUNS = (64 << 20, 200)  # bytes from which it is asked how often its size a file has become; 1030 is all that can be
MAX_FRAGMENTS = 1_000_000
PIXEL_DATA = (0x7FE0, 0x0010)
UNDEFINED = 0xFFFFFFFF
ITEM, DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"


@dataclass(frozen=True)
class StoredPixels:
    """Where the pixels lie in the file.

    Arguments:
        file: what they are read from.
        start, length: of the bytes that are there, delimiters included.
        fragments: offset and length of each, the offset table not among them; None where they are not encapsulated.
        cut_short: whether the file ends before they do.
        big_endian: whether words of 16 bits are.
        words: whether bytes too are stored in such words (OW).
    """

    file: BinaryIO
    start: int
    length: int
    fragments: tuple[tuple[int, int], ...] | None
    cut_short: bool
    big_endian: bool = False
    words: bool = False

    def read(self, offset: int, length: int) -> bytes:
        """Some bytes, by their place in the file."""
        self.file.seek(offset)
        return self.file.read(length)

    def fragment(self, index: int) -> bytes:
        """One fragment's bytes."""
        assert self.fragments is not None
        return self.read(*self.fragments[index])


@dataclass(frozen=True)
class DicomFile:
    """A file that is open: its header, without the pixels, and where these lie."""

    path: Path
    dataset: Dataset
    pixels: StoredPixels | None

    @property
    def syntax(self) -> UID:
        """The transfer syntax that it names; empty where it names none."""
        return UID(text(self.dataset.file_meta, "TransferSyntaxUID"))


class _Bounded(io.RawIOBase):
    """A file of which no more is read than there is: a forged length then cannot allocate more than that."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, io.SEEK_END)
        file.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._size - self._file.tell())
        return self._file.read(left if size is None or size < 0 else min(size, left))

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


@contextmanager
def opened(path: Path) -> Iterator[DicomFile]:
    """Any DICOM file, parsed but not judged.

    Raises:
        MissingFile: no such file.
        UnreadableFile: not DICOM, damaged, or larger than the limits; also for whatever goes wrong while it is open.
    """
    if not path.is_file():
        raise MissingFile("there is no such file", path=path)
    with one_error(path), path.open("rb") as file:
        if not begins_as_dicom(file.read(PREAMBLE + 12)):
            raise UnreadableFile("it does not begin as a DICOM file does", path=path)
        if file.seek(0, io.SEEK_END) > MAX_FILE:
            raise UnreadableFile(f"it is larger than {MAX_FILE >> 30} GiB", path=path)
        yield _parse(cast(BinaryIO, _Bounded(file)), path)


@contextmanager
def one_error(path: Path) -> Iterator[None]:
    """Turn whatever the parser raises on a damaged file (seven kinds and more) into one error that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parser's warnings quote values, names among them
            yield
    except McsdrError:
        raise
    except Exception as error:
        raise UnreadableFile(f"the DICOM file cannot be decoded ({type(error).__name__})", path=path) from None


def _parse(file: BinaryIO, path: Path) -> DicomFile:
    file.seek(PREAMBLE if file.read(PREAMBLE)[128:] == b"DICM" else 0)
    meta = FileMetaDataset(read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2))
    if text(meta, "TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        file = _inflated(file, path)
    begins = file.tell()
    little = file.read(2)[:1] != b"\0"  # of groups below 256, as the first is
    file.seek(begins)
    # Whether elements carry their representations the parser finds out by itself, whatever it is told.
    dataset: Dataset = read_dataset(file, False, little, stop_when=lambda tag, vr, length: tag >= 0x7FE00010)
    dataset.file_meta = meta
    return DicomFile(path, dataset, _stored_pixels(file, little))


def _inflated(file: BinaryIO, path: Path) -> BinaryIO:
    """The data set of a deflated file from here on, or the file itself where it is not deflated, whatever it says.

    It is inflated piece by piece, and refused when it grows beyond the limits: a deflated picture of anything is a
    fortieth of its size or more. What is damaged on the way is inflated as far as it goes.
    """
    begins = file.tell()
    inflater, content = zlib.decompressobj(-zlib.MAX_WBITS), io.BytesIO()
    rest = file.read(MAX_INFLATED)
    with contextlib.suppress(zlib.error):
        while rest and not inflater.eof:
            content.write(inflater.decompress(rest, 1 << 20))
            rest = inflater.unconsumed_tail
            grown, taken = content.tell(), file.tell() - begins - len(rest)
            if grown > MAX_INFLATED:
                raise UnreadableFile(f"it inflates to more than {MAX_INFLATED >> 20} MiB", path=path)
            if grown > RUNS[0] and grown > RUNS[1] * taken:
                cause = f"its first {taken >> 10} KiB inflate to {grown >> 20} MiB of the same values"
                raise UnreadableFile(cause, path=path)
    content.seek(0)
    if begins_as_dicom(content.getvalue()[:PREAMBLE]):
        return content
    file.seek(begins)
    return file


def _stored_pixels(file: BinaryIO, little: bool) -> StoredPixels | None:
    """Where the pixels are, from the place of their tag on; None where the file ends before it."""
    order = "<" if little else ">"
    head = file.read(12)
    if len(head) < 8 or struct.unpack(f"{order}HH", head[:4]) != PIXEL_DATA:
        return None
    explicit = head[4:6] in (b"OB", b"OW", b"UN") and head[6:8] == b"\0\0"
    length = struct.unpack(f"{order}L", head[8:12] if explicit else head[4:8])[0]
    start = file.tell() - len(head) + (12 if explicit else 8)
    end = file.seek(0, io.SEEK_END)
    file.seek(start)
    begins = file.read(4)
    if length == UNDEFINED or begins == ITEM:
        stop = end if length == UNDEFINED else min(end, start + length)
        fragments, cut_short = _fragments(file, start, stop)
        return StoredPixels(file, start, stop - start, fragments, cut_short)
    there = min(length, end - start)
    words = explicit and head[4:6] == b"OW"
    return StoredPixels(file, start, there, None, there < length, big_endian=not little, words=words)


def _fragments(file: BinaryIO, start: int, end: int) -> tuple[tuple[tuple[int, int], ...], bool]:
    """Offset and length of the items that are wholly there, the offset table left out; whether the last is not."""
    items: list[tuple[int, int]] = []
    at, cut_short = start, False
    while at + 8 <= end and len(items) < MAX_FRAGMENTS:
        file.seek(at)
        head = file.read(8)
        if head[:4] != ITEM:
            cut_short = head[:4] != DELIMITER
            break
        length = int.from_bytes(head[4:], "little")
        if at + 8 + length > end:
            cut_short = True
            break
        items.append((at + 8, length))
        at += 8 + length
    if items and not _is_picture(file, *items[0]):
        items = items[1:]
    return tuple(items), cut_short


def _is_picture(file: BinaryIO, offset: int, length: int) -> bool:
    """Whether the first item is a picture, where the standard has an offset table."""
    file.seek(offset)
    head = file.read(min(length, 4))
    return head[:2] == b"\xff\xd8" or head[:4] == b"\xff\x4f\xff\x51"
