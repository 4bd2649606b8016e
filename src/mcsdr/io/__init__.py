"""Reading files into studies: one file in, one Study out.

    study = read_study("clip.dcm", age=63, sex="F")
    study.clips[0].frames            # uint8 [T, H, W], the sector, everything else 0
    study.clips[0].frame_times_s     # seconds

A file is recognised by what it holds, never by its name alone: DICOM, AVI, MP4 and its relatives, NIfTI, MetaImage. To
add a format, write one reader that returns a `Recording` and name it in `_record`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mcsdr.errors import (
    InputError,
    InvalidAttributes,
    InvalidConfig,
    MissingFile,
    UnreadableFile,
    UnsupportedFormat,
)
from mcsdr.io.dicom_signature import begins_as_dicom
from mcsdr.study import Attributes, Clip, Study, View

if TYPE_CHECKING:
    from mcsdr.io.recording import Recording

__all__ = ["find_clips", "read_clip", "read_study"]

VIDEO_SUFFIXES = (".avi", ".mp4", ".mov", ".m4v")
DICOM_SUFFIXES = (".dcm", ".dicom")
VOLUME_SUFFIXES = (".nii", ".nii.gz", ".mhd")
HEAD = 4096  # bytes that tell a format
SEXES = {"f": "F", "female": "F", "m": "M", "male": "M"}


def read_study(
    path: str | Path,
    *,
    age: float | None = None,
    sex: str | None = None,
    weight: float | None = None,
    height: float | None = None,
    frame_rate_hz: float | None = None,
    view: View | str | None = None,
) -> Study:
    """Read one clip and what is known of the patient.

    Arguments:
        path: an AVI, MP4, MOV, multi-frame ultrasound DICOM, NIfTI or MetaImage (.mhd) file.
        age: years; sex: "F" or "M"; weight: kg; height: cm. Each goes before what a DICOM file says.
        frame_rate_hz: frames per second, goes before what the file says.
        view: "A4C", "A2C" or "PSAX", where known.

    Returns:
        a study with one clip, cut to its sector. Doubts are in `study.all_notices`.

    Raises:
        MissingFile, UnreadableFile, UnsupportedFormat: the file cannot be used.
        SingleFrame, ClipTooShort, NotBMode, NoFrameTime: it can be read, but not for ejection fraction.
        InvalidAttributes: an attribute that was given is out of range.
    """
    given = _given_attributes(age, sex, weight, height)
    clip_view = _view(view)
    recording = _record(Path(path), frame_rate_hz)
    notices = tuple(notice for name, notice in recording.attribute_notices.items() if name not in given)
    return Study(
        clips=(_clip(recording, clip_view),),
        attributes=_attributes({**recording.attributes, **given}),
        study_id=Path(Path(path).name.removesuffix(".gz")).stem,
        notices=notices,
    )


def read_clip(path: str | Path, *, frame_rate_hz: float | None = None, view: View | str | None = None) -> Clip:
    """Read one clip; arguments and errors as for `read_study`."""
    clip_view = _view(view)
    return _clip(_record(Path(path), frame_rate_hz), clip_view)


def find_clips(path: str | Path) -> list[Path]:
    """The files that may be clips: a file gives itself, a folder every candidate below it, sorted.

    Candidates are files with a video's, DICOM's or volume's suffix, and files without a suffix that begin as DICOM
    does; hidden files and DICOMDIR are passed over. Nothing is decoded.

    Raises:
        MissingFile: no such file or folder.
    """
    root = Path(path)
    if not root.exists():
        raise MissingFile("there is no such file or folder", path=root)
    if root.is_file():
        return [root]
    return sorted(file for file in root.rglob("*") if _is_candidate(file))


def _is_candidate(file: Path) -> bool:
    if file.name.startswith(".") or file.name.upper() == "DICOMDIR" or not file.is_file():
        return False
    suffix = file.suffix.lower()
    if file.name.lower().endswith(VIDEO_SUFFIXES + DICOM_SUFFIXES + VOLUME_SUFFIXES):
        return True
    # Files are often named by their UID, whose last number looks like a suffix.
    return (not suffix or suffix[1:].isdigit()) and _format(_head(file)) == "dicom"


def _record(path: Path, frame_rate_hz: float | None) -> Recording:
    """Decode a file with the reader for what it holds."""
    if not path.exists():
        raise MissingFile("there is no such file", path=path)
    if not path.is_file():
        raise UnsupportedFormat("it is not a file", path=path, next_step="Give the clips of the folder one by one.")
    match _format(_head(path)):
        case "dicom":
            from mcsdr.io.dicom import read_dicom  # imported late: pydicom and PyAV are slow to import

            return read_dicom(path, frame_rate_hz=frame_rate_hz)
        case "avi" | "mov" as demuxer:
            from mcsdr.io.video import read_video

            return read_video(path, demuxer, frame_rate_hz=frame_rate_hz)
        case "nifti" | "mhd" as volume:
            from mcsdr.io import nifti

            reader = nifti.read_nifti if volume == "nifti" else nifti.read_mhd
            return reader(path, frame_rate_hz=frame_rate_hz)
        case _:
            raise _unrecognised(path)


def _format(head: bytes) -> str | None:
    """What a file's first bytes say that it is: "dicom", "avi", "mov" (MP4 included), "nifti", "mhd" or None."""
    if begins_as_dicom(head):
        return "dicom"
    if head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"AVIX"):
        return "avi"
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return "mov"
    inflated = _inflated(head) if head[:2] == b"\x1f\x8b" else head
    if inflated[344:348] in (b"n+1\0", b"ni1\0") or inflated[4:8] in (b"n+2\0", b"ni2\0"):
        return "nifti"
    if b"NDims" in head and b"DimSize" in head and b"\0" not in head:
        return "mhd"
    return None


def _inflated(head: bytes) -> bytes:
    """The first bytes of a gzip file, as many as tell a format."""
    try:
        return zlib.decompressobj(wbits=31).decompress(head, 352)
    except zlib.error:
        return b""


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError as error:
        raise UnreadableFile(f"it cannot be opened ({type(error).__name__})", path=path) from None


def _unrecognised(path: Path) -> InputError:
    if path.stat().st_size == 0:
        return UnreadableFile("it is empty", path=path)
    if path.name.lower().endswith(VIDEO_SUFFIXES + DICOM_SUFFIXES + VOLUME_SUFFIXES):
        return UnreadableFile(f"its name ends in {path.suffix}, but it holds something else", path=path)
    return UnsupportedFormat("it is neither a video nor DICOM, NIfTI or MetaImage", path=path)


def _clip(recording: Recording, view: View) -> Clip:
    from mcsdr.io.recording import to_clip

    return to_clip(recording, view)


def _given_attributes(
    age: float | None, sex: str | None, weight: float | None, height: float | None
) -> dict[str, float | str]:
    """The attributes that the caller gave, checked before any file is read."""
    letter = None
    if sex:
        letter = SEXES.get(sex.strip().lower())
        if letter is None:
            raise InvalidAttributes(f"sex is {sex!r}; it must be 'F', 'M' or unknown.")
    return Attributes(age_years=age, sex=letter, weight_kg=weight, height_cm=height).known()


def _attributes(values: Mapping[str, float | str]) -> Attributes:
    return Attributes(**values)  # type: ignore[arg-type]


def _view(view: View | str | None) -> View:
    if view is None:
        return View.UNKNOWN
    try:
        return View(view)
    except ValueError:
        names = ", ".join(member.value for member in View)
        raise InvalidConfig(f"the view is {view!r}", next_step=f"Choose one of {names}.") from None
