"""Reading NRRD of a 2-D sequence: a header of `field: value` lines, an empty line, then the voxels.

Axes are in the order in which they vary, fastest first. Of those longer than one, two are in space, in the order
across, down; the third is time: the one whose kind is "time" or "list", else the last. Its spacing is believed where
the header gives it a unit of time and it is an echocardiograph's.

Reference: http://teem.sourceforge.net/nrrd/format.html
"""

from __future__ import annotations

import io
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from mcsdr.errors import UnreadableFile, UnsupportedFormat
from mcsdr.io.recording import MAX_BYTES, Recording, plausible_rate
from mcsdr.io.volumes import NEXT_STEP, check_size, exactly, one_error, recording

HEADER = 64 << 10  # bytes
TYPES = {
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i1": ("signed char", "int8", "int8_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "f4": ("float",),
    "f8": ("double",),
}
SECONDS = {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3, "us": 1e-6}
TIMES = ("time", "list")
COLOURS = ("vector", "rgb-color", "rgba-color", "3-color", "4-color", "complex", "2-vector", "3-vector")


def read_nrrd(path: Path, *, frame_rate_hz: float | None = None) -> Recording:
    """Read one NRRD file; arguments and errors as for `nifti.read_nifti`."""
    with one_error(path):
        with path.open("rb") as file:
            head = file.read(HEADER)
            fields, end = _fields(head, path)
            dtype = _type(fields, path)
            sizes, axes = _axes(fields, path)
            check_size((sizes[axes[0]], sizes[axes[1]], sizes[axes[2]]), dtype, path)
            file.seek(end)
            content = _voxels(file.read(MAX_BYTES + 1), fields, math.prod(sizes) * dtype.itemsize, path)
        long = sorted(axes)
        voxels = np.frombuffer(content, dtype).reshape([sizes[axis] for axis in long], order="F")
        spacing = _spacings(fields, len(sizes))
        return recording(
            voxels.transpose([long.index(axis) for axis in axes]),
            (spacing[axes[0]], spacing[axes[1]]),
            _rate(fields, spacing[axes[2]], axes[2]),
            frame_rate_hz,
            path,
        )


def _fields(head: bytes, path: Path) -> tuple[dict[str, str], int]:
    """Field and value of each line, and at which byte the header ends."""
    ends = [(head.find(gap), len(gap)) for gap in (b"\n\n", b"\r\n\r\n") if gap in head]
    if not ends:
        cause = "its header has no end, so that its voxels lie in another file"
        raise UnsupportedFormat(cause, path=path, next_step=NEXT_STEP)
    at, length = min(ends)
    pairs = (line.partition(":") for line in head[:at].decode("latin-1").splitlines() if not line.startswith("#"))
    return {key.strip().lower(): value.strip().lstrip("=") for key, colon, value in pairs if colon}, at + length


def _type(fields: dict[str, str], path: Path) -> np.dtype[Any]:
    said = fields.get("type", "").lower()
    code = next((code for code, names in TYPES.items() if said in names), None)
    for key in ("data file", "datafile"):
        if key in fields:
            raise UnsupportedFormat("its voxels lie in another file", path=path, next_step=NEXT_STEP)
    if code is None:
        raise UnsupportedFormat(f"its voxels are of type {said[:40] or 'unknown'}", path=path, next_step=NEXT_STEP)
    return np.dtype(f"{'>' if fields.get('endian', '').lower() == 'big' else '<'}{code}")


def _axes(fields: dict[str, str], path: Path) -> tuple[list[int], tuple[int, int, int]]:
    """The sizes of all axes, and which of them are X, Y and T."""
    words = fields.get("sizes", "").split()
    if not words or not all(word.isdigit() and 0 < int(word) < 10**9 for word in words):
        raise UnreadableFile("its header has no usable sizes", path=path)
    sizes = [int(word) for word in words]
    kinds = [kind.lower() for kind in fields.get("kinds", "").split()] or [""] * len(sizes)
    if len(kinds) != len(sizes):
        raise UnreadableFile("its header has not as many kinds as sizes", path=path)
    if any(kind in COLOURS and size > 1 for kind, size in zip(kinds, sizes, strict=True)):
        raise UnsupportedFormat("it holds colour or vectors, not grey levels", path=path, next_step=NEXT_STEP)
    long = [axis for axis, size in enumerate(sizes) if size > 1]
    if len(long) != 3:
        size = " x ".join(words)
        raise UnsupportedFormat(f"it is no 2-D sequence but an array of {size}", path=path, next_step=NEXT_STEP)
    time = next((axis for axis in long if kinds[axis] in TIMES), long[-1])
    x, y = (axis for axis in long if axis != time)
    return sizes, (x, y, time)


def _spacings(fields: dict[str, str], count: int) -> list[float]:
    """The distance along each axis, 1 where the header does not say."""
    if "spacings" in fields:
        said = [float(word) for word in fields["spacings"].split()]
    else:
        vectors = fields.get("space directions", "").replace("none", "(nan)").replace(", ", ",").split()
        said = [math.hypot(*map(float, vector.strip("()").split(","))) for vector in vectors]
    said += [math.nan] * (count - len(said))
    return [value if math.isfinite(value) else 1.0 for value in said]


def _rate(fields: dict[str, str], step: float, axis: int) -> float | None:
    """The plausible frame rate in Hz, None where the time axis has no unit of time."""
    units = [unit.strip('"').lower() for unit in fields.get("units", "").split()]
    seconds = step * SECONDS.get(units[axis], 0.0) if axis < len(units) else 0.0
    return 1 / seconds if seconds > 0 and plausible_rate(1 / seconds) else None


def _voxels(content: bytes, fields: dict[str, str], size: int, path: Path) -> bytes:
    match fields.get("encoding", "").lower():
        case "raw":
            pass
        case "gzip" | "gz":
            content = zlib.decompressobj(wbits=31).decompress(content, size + 1)
        case other:
            cause = f"its voxels are encoded as {other[:20] or 'nothing known'}; raw and gzip are read"
            raise UnsupportedFormat(cause, path=path, next_step="Save it again with the encoding raw or gzip.")
    return exactly(io.BytesIO(content), size, path)
