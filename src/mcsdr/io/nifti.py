"""Reading 2-D + time volumes: NIfTI (`.nii`, `.nii.gz`) and MetaImage (`.mhd` with its raw file).

Both store the picture with the first axis across: I[x, y, t] becomes frames[t, y, x]. Orientation in space (the affine)
is left alone, as every tool of the field does. Where the spacing dx, dy differ by more than 2 %, the coarser axis is
resampled to the finer spacing, so that pixels are square. Grey levels other than 0…255 become

    g = 255 (I − q₀) / (q₁ − q₀), clipped,   q₀, q₁ the 0.1 and 99.9 % quantiles

The size that the header declares is judged before anything is inflated, and a file that inflates to more is refused. A
NIfTI file's time step is believed where it has a unit of time and is an echocardiograph's; MetaImage has none.
"""

from __future__ import annotations

import gzip
import io
import math
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import nibabel
import numpy as np
from numpy.typing import NDArray

from mcsdr.errors import McsdrError, MissingFile, NoFrameTime, NotBMode, SingleFrame, UnreadableFile, UnsupportedFormat
from mcsdr.io.recording import (
    MAX_BYTES,
    MAX_FRAMES,
    MAX_SIDE,
    Recording,
    checked_rate,
    plausible_rate,
    rate_notices,
    uniform_times,
)
from mcsdr.io.square import square_pixels
from mcsdr.study import Notice

HEADERS = {b"n+1\0": 348, b"n+2\0": 540}  # bytes of header by magic
MAX_OFFSET = 16 << 20  # bytes before the voxels: header and extensions
SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
QUANTILES = (0.1, 99.9)  # q₀, q₁ in per cent
SAMPLE = 1 << 20  # voxels from which they are taken
LABELS = 16  # grey levels; a volume of whole numbers within fewer is a segmentation
MHD_HEAD = 64 << 10  # bytes
NEXT_STEP = "Export the clip as a 2-D grey-scale sequence: AVI, MP4, DICOM, or NIfTI with the axes X, Y, T."


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
    with _one_error(path), _opened(path) as file:
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
    return _recording(voxels, (dx, dy), 1 / time_step if time_step else None, frame_rate_hz, path)


def read_mhd(path: Path, *, frame_rate_hz: float | None = None) -> Recording:
    """Read one MetaImage header and the raw file beside it: bytes (MET_UCHAR) of a 2-D sequence.

    Arguments and errors as for `read_nifti`.
    """
    with _one_error(path):
        fields = _mhd_fields(path)
        sizes = _mhd_sizes(fields, path)
        raw = _raw_file(fields, path)
        count = math.prod(sizes)
        if raw.stat().st_size != count:
            held = f"{raw.name} holds {raw.stat().st_size} bytes, its header declares {count}"
            raise UnreadableFile(held, path=path)
        voxels = np.fromfile(raw, dtype=np.uint8, count=count).reshape(sizes, order="F")
        spacing = [float(text) for text in fields.get("ElementSpacing", "1 1").split()[:2]]
        return _recording(voxels, (spacing[0], spacing[1]), None, frame_rate_hz, path)


def _recording(
    voxels: NDArray[Any],
    spacing: tuple[float, float],
    file_hz: float | None,
    given_hz: float | None,
    path: Path,
) -> Recording:
    """From I[x, y, t] and what the header says to frames and times."""
    count = voxels.shape[2]
    if count == 1:
        raise SingleFrame("it holds a single frame", path=path)
    if given_hz is not None:
        rate = checked_rate(given_hz, path)
        notices = rate_notices(rate, {} if file_hz is None else {"its header": file_hz})
    elif file_hz is None:
        raise NoFrameTime("its header gives no plausible time between frames", path=path)
    else:
        rate, notices = file_hz, ()
    grey, grey_notices = _grey(voxels, path)
    frames, sensible = square_pixels(np.ascontiguousarray(grey.transpose(2, 1, 0)), spacing)
    if not sensible:
        text = f"The pixel spacing of {spacing[0]:g} by {spacing[1]:g} makes no sense; square pixels were assumed."
        notices += (Notice("spacing-implausible", text),)
    return Recording(
        path=path,
        frames=frames,
        frame_times_s=uniform_times(count, rate),
        colour=np.zeros((0, 1, 1, 3), dtype=np.uint8),
        notices=notices + grey_notices,
    )


def _grey(voxels: NDArray[Any], path: Path) -> tuple[NDArray[np.uint8], tuple[Notice, ...]]:
    """Grey levels g of voxels I, uint8, and what must be said of them."""
    sample = voxels.reshape(-1, order="A")[:: max(1, voxels.size // SAMPLE)]
    sample = sample[np.isfinite(sample)]
    low, high = (float(voxels.min()), float(voxels.max())) if voxels.dtype == np.uint8 else _range(sample)
    whole = not np.issubdtype(voxels.dtype, np.floating) or bool(np.all(sample == np.rint(sample)))
    if whole and high - low < LABELS:
        raise NotBMode(f"it holds whole numbers from {low:g} to {high:g}: a segmentation, not pictures", path=path)
    if voxels.dtype == np.uint8:
        return voxels, ()
    if whole and low >= 0 and 128 <= high <= 255:  # pictures of 8 bit, kept in a wider type
        return np.nan_to_num(voxels, nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255).astype(np.uint8), ()
    q0, q1 = np.percentile(sample, QUANTILES)
    scaled = (voxels.astype(np.float32) - np.float32(q0)) * np.float32(255.0 / max(q1 - q0, 1e-12))
    text = f"Grey levels from {low:.4g} to {high:.4g} were rescaled to 0 to 255 ({q0:.4g} black, {q1:.4g} white)."
    grey = np.nan_to_num(scaled, nan=0.0).clip(0, 255).round().astype(np.uint8)
    return grey, (Notice("grey-levels-rescaled", text),)


def _range(sample: NDArray[Any]) -> tuple[float, float]:
    return (float(sample.min()), float(sample.max())) if sample.size else (0.0, 0.0)


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
    _check_size(sizes, 1 if dtype == np.uint8 else max(4, dtype.itemsize), path)
    return dtype, int(offset)


def _check_size(sizes: tuple[int, int, int], bytes_each: int, path: Path) -> None:
    width, height, count = sizes
    if max(width, height) > MAX_SIDE or count > MAX_FRAMES or math.prod(sizes) * bytes_each > MAX_BYTES:
        raise UnreadableFile(
            f"it declares {count} frames of {width} x {height} pixels, more than is read of any file",
            path=path,
            next_step="Export a shorter part of the clip, or a smaller picture.",
        )


def _mhd_fields(path: Path) -> dict[str, str]:
    """Key and value of each line of a MetaImage header."""
    with path.open("rb") as file:
        text = file.read(MHD_HEAD).decode("latin-1")
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}


def _mhd_sizes(fields: dict[str, str], path: Path) -> tuple[int, int, int]:
    """X, Y, T of a MetaImage header that declares plain bytes.

    Raises:
        UnsupportedFormat: another type of voxel, more axes, compressed.
    """
    plain = {"NDims": "3", "ElementType": "MET_UCHAR", "CompressedData": "False", "ElementNumberOfChannels": "1"}
    for key, wanted in {**plain, "BinaryData": "True", "HeaderSize": "0"}.items():
        said = fields.get(key, "" if key in ("NDims", "ElementType") else wanted)
        if said.lower() != wanted.lower():
            cause = f"its header says {key} = {said[:40] or 'nothing'}; only {wanted} is read"
            raise UnsupportedFormat(cause, path=path, next_step=NEXT_STEP)
    numbers = fields.get("DimSize", "").split()
    if len(numbers) != 3 or not all(re.fullmatch(r"[1-9]\d{0,8}", number) for number in numbers):
        raise UnreadableFile("its header has no usable DimSize", path=path)
    x, y, t = map(int, numbers)
    _check_size((x, y, t), 1, path)
    return x, y, t


def _raw_file(fields: dict[str, str], path: Path) -> Path:
    """The file of voxels beside a MetaImage header."""
    name = fields.get("ElementDataFile", "")
    if not name or name in (".", "..", "LOCAL", "LIST") or re.search(r"[/\\:\0%]", name):
        cause = f"its ElementDataFile is {name[:40]!r}, not the plain name of a file beside it"
        raise UnsupportedFormat(cause, path=path, next_step=NEXT_STEP)
    raw = path.with_name(name)
    if not raw.is_file():
        raise MissingFile(f"its data file {name[:80]} is not beside it", path=path)
    return raw


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


@contextmanager
def _one_error(path: Path) -> Iterator[None]:
    """Turn whatever a parser raises into one error of this package that names the file."""
    try:
        yield
    except McsdrError:
        raise
    except (EOFError, zlib.error):
        raise UnreadableFile("its compressed data are cut short or damaged", path=path) from None
    except Exception as error:
        raise UnreadableFile(f"it cannot be decoded ({type(error).__name__})", path=path) from None
