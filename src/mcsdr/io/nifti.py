"""Reading NIfTI of a 2-D sequence (`.nii`, `.nii.gz`).

The size that the header declares is judged before anything is inflated, and a file that inflates to more is refused.
The time step is believed where it has a unit of time and is an echocardiograph's.
"""

from __future__ import annotations

import gzip
import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import nibabel
import numpy as np

from mcsdr.errors import UnreadableFile, UnsupportedFormat
from mcsdr.io.recording import Recording, plausible_rate
from mcsdr.io.volumes import NEXT_STEP, check_size, one_error, recording

HEADERS = {b"n+1\0": 348, b"n+2\0": 540}  # bytes of header by magic
MAX_OFFSET = 16 << 20  # bytes before the voxels: header and extensions
SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}


def read_nifti(path: Path, *, frame_rate_hz: float | None = None) -> Recording:
    """Read one NIfTI file of a 2-D sequence.

    Arguments:
        path: the file, gzipped or not.
        frame_rate_hz: used instead of what the file says.

    Raises:
        UnreadableFile: damaged, cut short, or larger than it declares or the limits allow.
        UnsupportedFormat: a volume in space (3-D echo), colour, or a header whose voxels lie in another file.
        SingleFrame, NoFrameTime: one picture only; nothing says how fast they follow each other.
        NotBMode: a segmentation.
    """
    with one_error(path), _opened(path) as file:
        head = file.read(max(HEADERS.values()))
        header = _header(head, path)
        sizes, time_step = _sizes(header, path)
        dtype, offset = _declared(header, sizes, path)
        end = offset + math.prod(sizes) * dtype.itemsize
        content = head + file.read(max(0, end - len(head)))
        if len(content) < end:
            raise UnreadableFile(f"it declares {end} bytes and holds {len(content)}; it was cut short", path=path)
        if len(content) > end or file.read(1):
            raise UnreadableFile(f"it holds more than the {end} bytes that its header declares", path=path)
    voxels = np.frombuffer(content, dtype, math.prod(sizes), offset).reshape(sizes, order="F")
    slope, intercept = header.get_slope_inter()
    if (slope or 1.0, intercept or 0.0) != (1.0, 0.0):
        voxels = voxels.astype(np.float32) * slope + intercept
    dx, dy = (float(zoom) for zoom in header.get_zooms()[:2])
    return recording(voxels, (dx, dy), 1 / time_step if time_step else None, frame_rate_hz, path)


def _header(head: bytes, path: Path) -> Any:
    """The parsed header of the file's first bytes."""
    magic = head[4:8] if head[4:7] in (b"n+2", b"ni2") else head[344:348]
    if magic in (b"ni1\0", b"ni2\0"):
        raise UnsupportedFormat("its voxels lie in another file (.hdr and .img)", path=path, next_step=NEXT_STEP)
    if magic not in HEADERS:
        raise UnreadableFile("its header is not NIfTI's, or cut short", path=path)
    kind: Any = nibabel.Nifti1Header if magic == b"n+1\0" else nibabel.Nifti2Header
    return kind.from_fileobj(io.BytesIO(head[: HEADERS[magic]]), check=False)  # what is used of it is checked here


def _sizes(header: Any, path: Path) -> tuple[tuple[int, int, int], float | None]:
    """X, Y, T, and the plausible time step in seconds; axes of length one are taken for absent."""
    shape = [int(size) for size in header.get_data_shape()]
    time = 3 if len(shape) > 3 else 2
    planes = [size for at, size in enumerate(shape) if at >= 2 and at != time]
    if len(shape) < 2 or min(shape) < 1:
        raise UnreadableFile(f"its header declares a volume of {shape} voxels", path=path)
    if any(size > 1 for size in planes):
        size = " x ".join(str(size) for size in shape)
        raise UnsupportedFormat(
            f"it is a moving volume in space ({size}, 3-D echo), not a 2-D sequence", path=path, next_step=NEXT_STEP
        )
    step = float(header.get_zooms()[time]) * SECONDS.get(header.get_xyzt_units()[1], 0.0) if len(shape) > time else 0.0
    plausible = step > 0 and plausible_rate(1 / step)
    return (shape[0], shape[1], shape[time] if len(shape) > time else 1), step if plausible else None


def _declared(header: Any, sizes: tuple[int, int, int], path: Path) -> tuple[np.dtype[Any], int]:
    """Type of the voxels and where they begin, once these and the declared size are within the limits."""
    dtype = header.get_data_dtype()
    if dtype.kind not in "uif":
        what = "colour" if dtype.fields else f"voxels of type {dtype}"
        raise UnsupportedFormat(f"it holds {what}, not grey levels", path=path, next_step=NEXT_STEP)
    offset = float(header["vox_offset"])
    if not 348 <= offset <= MAX_OFFSET:
        raise UnreadableFile(f"its header places the voxels at byte {offset:g}", path=path)
    check_size(sizes, dtype, path)
    return dtype, int(offset)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, inflated as they are read where it is gzipped."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if zipped:
            with gzip.GzipFile(fileobj=file) as inflated:
                yield cast(IO[bytes], inflated)
        else:
            yield file
