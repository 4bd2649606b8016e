"""Write docs/formats.md from the registry of readers: every kind of file, how it is told, which commands take it."""

from __future__ import annotations

from pathlib import Path

from mcsdr.io.formats import FORMATS, WAYS

PAGE = Path(__file__).with_name("formats.md")
HEADER = """# What is read

Made by `python docs/make_formats.py` from the registry of readers, `mcsdr.io.formats`; edit that.

A file is told by what it holds, whatever its suffix or none. Of a folder every file that is one of these is answered,
and what is passed over is counted by kind: in the terminal, in the summary that ends `predict --json`, and in the last
rows of a table, one for each kind ([batch](how-to/many-clips.md)).

"""
BETWEEN = """
`given` means that the format cannot say how fast its pictures follow each other: give `--frame-rate HZ`. A folder that
holds nothing but numbered pictures (frame_001.png, frame_002.png, …: PNG, JPEG, BMP, TIFF) is a clip for `predict` and
`batch`, its rate given likewise. `check` reads whatever its data set's table names; `serve` takes one file, so that a
MetaImage must hold its voxels itself (.mha). Pixels that are not square are made so, and a picture that a phone stored
lying is turned.

Rates: a container's is believed. A notice says where the coded stream states another, as H.264 and MPEG-4 may
(`frame-time-disagrees`), and where the heart in the pictures contradicts it (`frame-rate-doubtful`). Half or twice the
true rate is noticed where the heart would then beat as few resting adults' do, which is most often. Where it would beat
at an ordinary pace, systole's share of a beat gives away half of the doubled rates and a fifth of the halved ones, in
adults alone; nothing gives away the rest (`python benchmarks/pace.py`). Know what your exporter writes.

Counts: MP4, MOV and AVI state how many frames they hold; Matroska, WebM, Windows Media and Flash how long they last. A
file that holds less is refused, or, where one frame or under 5 % is missing, answered with the notice `frames-missing`.
MPEG streams state neither, so that a part of one cannot be told from a shorter clip.

## What is not read, and what to do instead

"""


def page() -> str:
    """The page as it should stand."""
    columns = ("format", "suffixes", "told by", "frame rate", *(f"`{way}`" for way in WAYS))
    rows = [
        (
            kind.title,
            " ".join(kind.suffixes),
            kind.told_by,
            kind.rate,
            *("yes" if way in kind.ways else "" for way in WAYS),
        )
        for kind in FORMATS
        if kind.reader
    ]
    others = [(kind.title, kind.told_by, kind.next_step) for kind in FORMATS if not kind.reader]
    return HEADER + _table(columns, rows) + BETWEEN + _table(("kind", "told by", "next step"), others)


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
