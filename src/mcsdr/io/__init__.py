"""Reading files into studies: one file in, one Study out.

    study = read_study("clip.dcm", age=63, sex="F")
    study.clips[0].frames            # uint8 [T, H, W], the sector, everything else 0
    study.clips[0].frame_times_s     # seconds

A file is recognised by what it holds, never by its name: formats.py lists all kinds, and what reads them. To add a
format, write one reader that returns a `Recording` and name it there.
"""

from __future__ import annotations

import hashlib
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
from mcsdr.io.finding import Found, called, find_clips, in_words, kind_of, no_clip, survey
from mcsdr.io.formats import Format, named_as
from mcsdr.study import Attributes, Clip, Study, View

if TYPE_CHECKING:
    from mcsdr.io.recording import Recording

__all__ = ["Found", "find_clips", "in_words", "no_clip", "read_clip", "read_study", "survey"]


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
        path: a clip of any format that docs/formats.md lists as read, or a folder of numbered pictures; or several
            files, which become the clips of one study.
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
        study_id=called(path),
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


def format_at(path: Path) -> Format | None:
    """The kind of file that lies here, one with a reader; None of a folder. Nothing is decoded.

    Raises:
        MissingFile, UnreadableFile, UnsupportedFormat: it needs no reader to be refused.
    """
    if not path.exists():
        raise MissingFile("there is no such file", path=path)
    if path.is_dir():
        return None
    if not path.is_file():
        raise UnsupportedFormat("it is no file that can be read twice", path=path, next_step="Copy it into a file.")
    kind = kind_of(path)
    if kind is None or not kind.reader:
        raise _refusal(kind, path)
    return kind


def _record(path: Path, frame_rate_hz: float | None) -> Recording:
    """Decode a file, or a folder of numbered pictures, with the reader for what it holds."""
    kind = format_at(path)
    if kind is None:
        from mcsdr.io.pictures import read_folder

        return read_folder(path, frame_rate_hz=frame_rate_hz)
    recording: Recording = kind.load()(path, frame_rate_hz=frame_rate_hz)
    return recording


def _refusal(kind: Format | None, path: Path) -> InputError:
    """Why a file that no reader takes is not read."""
    if path.stat().st_size == 0:
        return UnreadableFile("it is empty", path=path)
    if named_as(path.name) is not None:
        held = "something else" if kind is None else f"something else: {kind.title}"
        return UnreadableFile(f"its name ends in {path.suffix}, but it holds {held}", path=path)
    if kind is not None:
        return UnsupportedFormat(f"it is no clip but: {kind.title}", path=path, next_step=kind.next_step)
    return UnsupportedFormat("it is of no kind that is known here", path=path)


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
