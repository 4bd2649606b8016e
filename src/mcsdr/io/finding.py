"""Which files below a folder are clips: told by what they hold, whatever their suffix or none.

    found = survey("exam/")
    found.clips          # files that a reader takes, and folders of numbered pictures
    found.passed_over    # {"text or table": 2, "PDF document": 1}: nothing is left out without a word

Nothing is decoded; of each file the first bytes are read.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from mcsdr.errors import MissingFile, UnreadableFile
from mcsdr.io.formats import HEAD, Format, format_of, named_as

DICOMDIR, PICTURE = "DICOMDIR", "single picture"
TIFF_SUFFIXES = (".tif", ".tiff")
RAW_SUFFIXES = (".raw", ".zraw")  # of voxels that belong to a header


@dataclass(frozen=True)
class Found:
    """What lies at a path.

    Attributes:
        clips: what may be a clip, sorted.
        passed_over: how many files of which kind are none.
    """

    clips: list[Path] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)


def survey(path: str | Path) -> Found:
    """The clips at a path, a file giving itself, and what else lies there.

    Raises:
        MissingFile: no such file or folder.
    """
    root = Path(path)
    if not root.exists():
        raise MissingFile("there is no such file or folder", path=root)
    found = Found()
    if root.is_file():
        found.clips.append(root)
        return found
    for folder, folders, names in os.walk(root):
        folders.sort()
        _survey_folder(Path(folder), names, found)
    found.clips.sort()
    return found


def no_clip(folder: str | Path, found: Found) -> MissingFile:
    """The error of a folder that holds none."""
    others = f": {in_words(found.passed_over)}" if found.passed_over else ""
    step = "Give a folder of clips: docs/formats.md lists what is read."
    return MissingFile(f"the folder holds no clip{others}", path=folder, next_step=step)


def find_clips(path: str | Path) -> list[Path]:
    """The clips at a path, as `survey` finds them."""
    return survey(path).clips


def called(path: str | Path) -> str:
    """What the study of a file is called: the file's name without its suffixes."""
    return Path(Path(path).name.removesuffix(".gz")).stem


def kind_of(path: Path) -> Format | None:
    """What a file holds, None where it is not known.

    Raises:
        UnreadableFile: it cannot be opened.
    """
    try:
        with path.open("rb") as file:
            return format_of(file.read(HEAD))
    except OSError as error:
        raise UnreadableFile(f"it cannot be opened ({type(error).__name__})", path=path) from None


def in_words(passed_over: Counter[str]) -> str:
    """Kinds and their counts as one phrase, the most frequent first."""
    ordered = sorted(passed_over.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{kind} {count}" for kind, count in ordered)


def _survey_folder(folder: Path, names: list[str], found: Found) -> None:
    """Add the files of one folder, which is a clip itself where it holds numbered pictures and no other clip."""
    clips: list[Path] = []
    pictures = 0
    for name in names:
        kind = _kind_in_folder(folder / name)
        if kind is None:
            clips.append(folder / name)
        elif kind == PICTURE:
            pictures += 1
        else:
            found.passed_over[kind] += 1
    pages = [clip for clip in clips if clip.suffix.lower() in TIFF_SUFFIXES]
    if (pictures or pages) and len(clips) == len(pages) and _is_series(folder):
        found.clips.append(folder)
        return
    found.clips.extend(clips)
    if pictures:
        found.passed_over[PICTURE] += pictures


def _is_series(folder: Path) -> bool:
    from mcsdr.io.pictures import numbered_pictures  # imported late: Pillow is not needed to look at suffixes

    return bool(numbered_pictures(folder))


def _kind_in_folder(file: Path) -> str | None:
    """What a file is passed over as; None where it may be a clip."""
    if file.name.startswith("."):
        return "hidden file"
    if file.name.upper() == DICOMDIR:
        return DICOMDIR
    if not file.is_file():  # a pipe, a broken link: to open it might be to wait for ever
        return "no file"
    try:
        kind = kind_of(file)
    except UnreadableFile:
        return None  # so that it is an error of its own
    if kind is not None and kind.name == "picture":
        return PICTURE
    if named_as(file.name) is not None or (kind is not None and kind.reader):
        return None
    if kind is not None:
        return kind.title
    if file.suffix.lower() in RAW_SUFFIXES:
        return "raw data"
    return "empty file" if file.stat().st_size == 0 else "unknown kind"
