"""Reading MetaImage of a 2-D sequence: `.mhd` with its raw file beside it, or `.mha` with the voxels after the header.

A header is lines of `Key = value`, of which ElementDataFile is the last. Compressed voxels are one zlib stream, which
is inflated no further than the header declares. The format has no time step, so the frame rate must be given.
"""

from __future__ import annotations

import io
import math
import re
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from mcsdr.errors import MissingFile, UnreadableFile, UnsupportedFormat
from mcsdr.io.recording import MAX_BYTES, Recording
from mcsdr.io.volumes import NEXT_STEP, check_size, exactly, one_error, recording

HEADER = 64 << 10  # bytes
TYPES = {
    "MET_UCHAR": "u1",
    "MET_CHAR": "i1",
    "MET_USHORT": "u2",
    "MET_SHORT": "i2",
    "MET_UINT": "u4",
    "MET_INT": "i4",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
PLAIN = {"ElementNumberOfChannels": "1", "BinaryData": "True", "HeaderSize": "0"}  # what else is not read

Fields = dict[str, str]


def read_metaimage(path: Path, *, frame_rate_hz: float | None = None) -> Recording:
    """Read one MetaImage file of a 2-D sequence.

    Arguments:
        path: the header.
        frame_rate_hz: frames per second, which the format cannot say.

    Raises:
        MissingFile: the raw file is not beside its header.
        UnreadableFile: damaged, cut short, or larger than it declares or the limits allow.
        UnsupportedFormat: colour, text, voxels in several files, a volume in space.
        SingleFrame, NoFrameTime: one picture only; no rate was given.
        NotBMode: a segmentation.
    """
    with one_error(path):
        fields, end = _fields(path)
        dtype = _type(fields, path)
        sizes = _sizes(fields, path)
        check_size(sizes, dtype, path)
        source, start = _source(fields, path, end)
        with source.open("rb") as file:
            file.seek(start)
            content = _voxels(file, fields, math.prod(sizes) * dtype.itemsize, path, source)
        voxels = np.frombuffer(content, dtype).reshape(sizes, order="F")
        spacing = [float(text) for text in fields.get("ElementSpacing", fields.get("ElementSize", "1 1")).split()[:2]]
        return recording(voxels, (spacing[0], spacing[1]), None, frame_rate_hz, path)


def _fields(path: Path) -> tuple[Fields, int]:
    """Key and value of each line of the header, and at which byte it ends."""
    with path.open("rb") as file:
        head = file.read(HEADER)
    last = re.search(rb"^ElementDataFile\s*=\s*LOCAL[^\n]*(\n|$)", head, re.MULTILINE | re.IGNORECASE)
    end = last.end() if last else len(head)
    pairs = (line.partition("=") for line in head[:end].decode("latin-1").splitlines())
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}, end


def _type(fields: Fields, path: Path) -> np.dtype[Any]:
    kind = fields.get("ElementType", "")
    wrong = [(key, fields[key], wanted) for key, wanted in PLAIN.items() if fields.get(key, wanted) != wanted]
    if kind not in TYPES:
        wrong.append(("ElementType", kind[:40] or "nothing", "a type of whole or real numbers"))
    if wrong:
        key, said, wanted = wrong[0]
        cause = f"its header says {key} = {said[:40]}; only {wanted} is read"
        raise UnsupportedFormat(cause, path=path, next_step=NEXT_STEP)
    big = "true" in (fields.get(key, "").lower() for key in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB"))
    return np.dtype(f"{'>' if big else '<'}{TYPES[kind]}")


def _sizes(fields: Fields, path: Path) -> tuple[int, int, int]:
    """X, Y, T; an axis of length one between Y and T is taken for absent."""
    numbers = fields.get("DimSize", "").split()
    if not all(re.fullmatch(r"[1-9]\d{0,8}", number) for number in numbers) or not numbers:
        raise UnreadableFile("its header has no usable DimSize", path=path)
    if fields.get("NDims") != str(len(numbers)):
        said = fields.get("NDims", "")[:9] or "nothing"
        cause = f"its header says NDims = {said}, but its DimSize has {len(numbers)} numbers"
        raise UnreadableFile(cause, path=path)
    shape = [int(number) for number in numbers]
    if len(shape) == 4 and shape[2] == 1:
        del shape[2]
    if len(shape) != 3:
        size = " x ".join(numbers)
        cause = f"its header says NDims = {len(shape)}: it is no 2-D sequence but a volume of {size}"
        raise UnsupportedFormat(cause, path=path, next_step=NEXT_STEP)
    return shape[0], shape[1], shape[2]


def _source(fields: Fields, path: Path, end: int) -> tuple[Path, int]:
    """The file that holds the voxels, and at which byte they start."""
    name = fields.get("ElementDataFile", "")
    if name.upper() == "LOCAL":
        return path, end
    if not name or name in (".", "..") or name.upper().startswith("LIST") or re.search(r"[/\\:\0%]", name):
        cause = f"its ElementDataFile is {name[:40]!r}, not the plain name of a file beside it"
        raise UnsupportedFormat(cause, path=path, next_step=NEXT_STEP)
    raw = path.with_name(name)
    if not raw.is_file():
        raise MissingFile(f"its data file {name[:80]} is not beside it", path=path)
    return raw, 0


def _voxels(file: IO[bytes], fields: Fields, size: int, path: Path, source: Path) -> bytes:
    """So many bytes of voxels, inflated where they are compressed."""
    if fields.get("CompressedData", "False").lower() != "true":
        if source != path and source.stat().st_size != size:
            held = f"{source.name} holds {source.stat().st_size} bytes, its header declares {size}"
            raise UnreadableFile(held, path=path)
        return exactly(file, size, path)
    inflater = zlib.decompressobj()
    content = inflater.decompress(file.read(MAX_BYTES), size + 1)
    return exactly(io.BytesIO(content), size, path)
