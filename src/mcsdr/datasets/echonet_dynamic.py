"""EchoNet-Dynamic: `FileList.csv`, `Videos/*.avi`, one row per clip and patient.

Columns FileName, EF, ESV, EDV, FrameHeight, FrameWidth, FPS, NumberOfFrames, Split; FileName without ".avi", but names
that carry it are read too. The release holds no attributes; where a table `Attributes.csv` (FileName, Age, Sex, Weight,
Height, and TrueEF for phantoms) lies beside it, as this package's own phantoms write it, it is joined by FileName.
`VolumeTracings.csv`, where there is one, marks end-diastole and end-systole; a clip without tracings is as good for EF.

Reference: Ouyang et al. 2020, "Video-based AI for beat-to-beat assessment of cardiac function".
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mcsdr.datasets.entries import ClipEntry, Entry, FolderCohort
from mcsdr.datasets.table import Row, Shelf, by_clip, columns, first_folder, read_table, stem
from mcsdr.datasets.tracings import with_marks
from mcsdr.study import View

REQUIRED = ("FileName", "EF", "Split", "FPS")


class EchoNetDynamic(FolderCohort):
    """The studies of one split ("train", "val", "test") or of all, read from disk when asked for.

    Arguments:
        root: the folder that holds FileList.csv, or the one above it.
        split: all splits where None.

    Raises:
        InvalidCohort: no FileList.csv, a column is missing, or no study of this split.
    """

    kind = "echonet-dynamic"
    layout = "FileList.csv with a column FPS, and Videos/"

    def __init__(self, root: str | Path, split: str | None = None) -> None:
        folder = _folder(Path(root))
        rows = read_table(folder / "FileList.csv", REQUIRED)
        people = by_clip(folder / "Attributes.csv")
        shelf = Shelf(folder)
        entries = [_entry(row, people.get(stem(row.text("FileName"))), folder, shelf) for row in rows]
        super().__init__(root, with_marks(entries, folder / "VolumeTracings.csv"), split)

    @staticmethod
    def fits(root: Path) -> bool:
        """Whether a folder is laid out like this."""
        return {"filename", "ef", "split", "fps"} <= set(columns(_folder(root) / "FileList.csv"))


def _folder(root: Path) -> Path:
    return first_folder(root, ("EchoNet-Dynamic",), "FileList.csv")


def _entry(row: Row, person: Row | None, folder: Path, shelf: Shelf) -> Entry:
    name = stem(row.text("FileName"))
    path = row.path(folder / "Videos", "FileName", ".avi")
    # The table's rate is the machine's; a converted file may carry any other.
    rate, frames = row.number("FPS", "frame-rate"), row.integer("NumberOfFrames", "frames")
    clips = (ClipEntry(row.text("FileName"), shelf.find(path), View.A4C, rate, frames),) if path else ()
    person = person or Row({}, "")
    return Entry(
        study_id=name,
        patient_id=name,
        split=row.split(),
        clips=clips,
        ef_percent=row.number("EF", "ef"),
        esv_ml=row.number("ESV", "volume"),
        edv_ml=row.number("EDV", "volume"),
        true_ef_percent=person.number("TrueEF", "true-ef"),
        attributes=person.attributes(),
        faults=(*row.faults, *(replace(fault, text=f"{person.where}: {fault.text}") for fault in person.faults)),
        row=row.where,
    )
