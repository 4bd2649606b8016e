"""Reading files into studies: one file in, one Study out.

    study = read_study("clip.dcm", age=63, sex="F")
    study.clips[0].frames            # uint8 [T, H, W], the sector, everything else 0
    study.clips[0].frame_times_s     # seconds

A file is recognised by what it holds, never by its name alone: DICOM, AVI, MP4 and its relatives, NIfTI, MetaImage. To
add a format, write one reader that returns a `Recording` and name it in `_record`.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence
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
from mcsdr.files import sha256_of
from mcsdr.study import Attributes, Clip, Study, View

if TYPE_CHECKING:
    from mcsdr.io.recording import Recording

__all__ = ["find_clips", "read_clip", "read_study"]

VIDEO_SUFFIXES = (".avi", ".mp4", ".mov", ".m4v")
DICOM_SUFFIXES = (".dcm", ".dicom")
VOLUME_SUFFIXES = (".nii", ".nii.gz", ".mhd")
HEAD = 4096  # bytes that tell a format


def read_study(
    path: str | Path | Sequence[str | Path],
    *,
    age: float | None = None,
    sex: str | None = None,
    weight: float | None = None,
    height: float | None = None,
    frame_rate_hz: float | None = None,
    view: View | str | None = None,
) -> Study:
    """Read one clip, or several of one examination, and what is known of the patient.

    Arguments:
        path: an AVI, MP4, MOV, multi-frame ultrasound DICOM, NIfTI or MetaImage (.mhd) file; or several files, which
            become the clips of one study.
        age: years; sex: "F" or "M" in any usual spelling; weight: kg; height: cm. Each goes before what a DICOM file
            says.
        frame_rate_hz: frames per second, goes before what the file says.
        view: "A4C", "A2C" or "PSAX", where known.

    Returns:
        a study with a clip of each file, cut to its sector. Doubts are in `study.all_notices`.

    Raises:
        MissingFile, UnreadableFile, UnsupportedFormat: the file cannot be used.
        SingleFrame, ClipTooShort, NotBMode, NoFrameTime: it can be read, but not for ejection fraction.
        InvalidAttributes: an attribute that was given is out of range.
    """
    given = Attributes.of(age, sex, weight, height).known()  # checked before any file is read
    clip_view = _view(view)
    if isinstance(path, str | Path):
        return _study(path, given, frame_rate_hz, clip_view)
    if not path:
        raise InvalidConfig("no file was named.", next_step="Name one file or several.")
    return _joined([_study(one, given, frame_rate_hz, clip_view) for one in path])


def _study(path: str | Path, given: Mapping[str, float | str], frame_rate_hz: float | None, view: View) -> Study:
    """The study of one file."""
    recording = _record(Path(path), frame_rate_hz)
    notices = tuple(notice for name, notice in recording.attribute_notices.items() if name not in given)
    return Study(
        clips=(_clip(recording, view),),
        attributes=_attributes({**recording.attributes, **given}),
        study_id=Path(Path(path).name.removesuffix(".gz")).stem,
        notices=notices,
        file=str(path),
        input_sha256=sha256_of(Path(path)),
    )


def _joined(studies: Sequence[Study]) -> Study:
    """Several studies of one file each as one study.

    Raises:
        InvalidAttributes: the files say different things of the patient.
    """
    known: dict[str, float | str] = {}
    for study in studies:
        for name, value in study.attributes.known().items():
            if known.setdefault(name, value) != value:
                raise InvalidAttributes(
                    f"the files say {name} {known[name]} and {value}: they may be of two patients.",
                    path=study.file,
                    next_step="Read them one by one, or say what is right: age=, sex=, weight=, height=.",
                )
    hashes = "".join(study.input_sha256 or "" for study in studies)
    return Study(
        clips=tuple(clip for study in studies for clip in study.clips),
        attributes=_attributes(known),
        study_id="+".join(study.study_id for study in studies),
        notices=tuple(dict.fromkeys(notice for study in studies for notice in study.notices)),
        file=" + ".join(study.file for study in studies),
        input_sha256=studies[0].input_sha256 if len(studies) == 1 else hashlib.sha256(hashes.encode()).hexdigest(),
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
    if head[128:132] == b"DICM":
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
