"""Small folders of clips in which faults are planted, and a cohort that counts what it reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from mcsdr.datasets.check import Findings
from mcsdr.datasets.entries import ClipEntry, Entry, FolderCohort, leakage_left_to_the_caller
from mcsdr.phantom.layouts import write_avi
from mcsdr.study import Clip, View

FRAMES, RATE = 40, 40


class Folder(FolderCohort):
    """Counts what it reads; by its name a clip has a NaN in it, freezes, or breaks its reader."""

    def __init__(self, root: Path, entries: Iterable[Entry], kind: str = "folder") -> None:
        self.kind = kind
        with leakage_left_to_the_caller():
            super().__init__(root, entries)
        self.reads: list[str] = []

    def read_clip(self, clip: ClipEntry) -> Clip:
        self.reads.append(clip.name)
        loop = super().read_clip(clip)
        if clip.name == "float":
            pictures = loop.frames.astype(np.float32)
            pictures[3, 5, 5] = np.nan
            loop = replace(loop, frames=pictures)  # type: ignore[arg-type]
        if clip.name == "freezes":
            loop = replace(loop, frames=np.repeat(loop.frames[:1], FRAMES, axis=0))
        if clip.name == "breaks":
            raise IndexError("a reader's own mistake")
        return loop


def small_avi(folder: Path) -> bytes:
    """40 flickering frames of 32 x 32 at 40 Hz."""
    path = folder / "small.avi"
    write_avi(path, np.random.default_rng(0).integers(0, 255, (FRAMES, 32, 32), dtype=np.uint8), RATE)
    content = path.read_bytes()
    path.unlink()
    return content


def ten_rows(folder: Path) -> list[Entry]:
    """Ten sound rows, row-0 to row-9."""
    folder.mkdir()
    avi = small_avi(folder)
    return [lay(folder, avi, f"row-{i}") for i in range(10)]


def lay(root: Path, avi: bytes, name: str, **changes: object) -> Entry:
    """A sound row and its clip: bytes after the end of an AVI make it unlike the others and change no picture."""
    path = root / f"{name}.avi"
    path.write_bytes(avi + name.encode())
    clip = ClipEntry(name, path, View.A4C, frame_rate_hz=RATE, frames=FRAMES)
    row = Entry(name, name, "train", (clip,), 60.0, 40.0, 100.0, row=f"list.csv line {name}")
    return replace(row, **changes)  # type: ignore[arg-type]


def with_clip(entry: Entry, **changes: object) -> Entry:
    return replace(entry, clips=(replace(entry.clips[0], **changes),))  # type: ignore[arg-type]


def with_bytes(entry: Entry, content: bytes) -> Entry:
    entry.clips[0].path.write_bytes(content)
    return entry


def with_black_pictures(entry: Entry) -> Entry:
    write_avi(entry.clips[0].path, np.zeros((FRAMES, 32, 32), dtype=np.uint8), RATE)
    return entry


def codes(found: Findings) -> set[tuple[str, str, str]]:
    return {(finding.study_id, finding.code, finding.severity) for finding in found.rows}
