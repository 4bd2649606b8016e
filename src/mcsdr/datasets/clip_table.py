"""Any folder of clips with a table: a CSV of FileName and EF, one row per clip.

Further columns are read where they are there, whatever their case: Split (train, val, test), PatientID, StudyID, View
(A4C, A2C, PSAX), FPS (frames per second, goes before the file's own), ESV and EDV (mL), Age (years), Sex, Weight (kg),
Height (cm). FileName is a path relative to the table, whatever its case; where no such file is there, it is looked for
by its name beside the table and in Videos/. Rows of one StudyID are one study with several clips; without it
every row is a study. Without PatientID every study is a patient of its own, and leakage cannot be seen.

    FileName,EF,Split,PatientID,View,Age
    clips/a.avi,61,train,p1,A4C,54
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mcsdr.datasets.entries import ClipEntry, Entry, FolderCohort
from mcsdr.datasets.table import Row, Shelf, columns, read_table, studies, view_of, wanted_views
from mcsdr.errors import InvalidCohort
from mcsdr.study import View

REQUIRED = ("filename", "ef")
ATTRIBUTES = {"age_years": "age", "weight_kg": "weight", "height_cm": "height"}


class ClipTable(FolderCohort):
    """The studies of a table, of one split or of all, read from disk when asked for.

    Arguments:
        root: the CSV, or the folder in which it is the only one with the columns FileName and EF.
        split: "train", "val" or "test"; all where None.
        views: the clips wanted; all where None. A study with none of them is left out.

    Raises:
        InvalidCohort: no such table or more than one, a column is missing, or no study of this split.
        InvalidConfig: no such view.
    """

    kind = "table"
    layout = "one CSV with the columns FileName and EF"

    def __init__(
        self, root: str | Path, split: str | None = None, *, views: Sequence[View | str] | None = None
    ) -> None:
        table = _table(Path(root))
        shelf = Shelf(table.parent, table.parent / "Videos")
        entries = [_entry(row, table.parent, shelf) for row in read_table(table, REQUIRED, any_case=True)]
        wanted = None if views is None else wanted_views(views)
        if wanted is not None:
            entries = [entry for entry in entries if not entry.clips or entry.clips[0].view in wanted]
        super().__init__(table.parent, studies(entries), split)

    @staticmethod
    def fits(root: Path) -> bool:
        """Whether a file is such a table, or a folder holds one."""
        return len(_tables(root)) == 1


def _tables(root: Path) -> list[Path]:
    candidates = [root] if root.is_file() else sorted(root.glob("*.csv"))
    return [path for path in candidates if set(REQUIRED) <= set(columns(path))]


def _table(root: Path) -> Path:
    if root.is_file():
        return root
    tables = _tables(root)
    if len(tables) != 1:
        names = f"{len(tables)}: {', '.join(path.name for path in tables)}" if tables else "none"
        raise InvalidCohort(
            f"the folder should hold one CSV with the columns FileName and EF; it holds {names}.",
            path=root,
            next_step="Give the path of the CSV itself.",
        )
    return tables[0]


def _entry(row: Row, folder: Path, shelf: Shelf) -> Entry:
    path = row.path(folder, "filename", nested=True)
    study = row.text("studyid") or row.text("filename")
    clips: tuple[ClipEntry, ...] = ()
    if path is not None:
        found = shelf.find(path)
        clips = (ClipEntry(row.text("filename"), found, view_of(row.text("view")), row.number("fps", "frame-rate")),)
    return Entry(
        study_id=study,
        patient_id=row.text("patientid") or study,
        split=row.split("split"),
        clips=clips,
        ef_percent=row.number("ef", "ef"),
        esv_ml=row.number("esv", "volume"),
        edv_ml=row.number("edv", "volume"),
        true_ef_percent=row.number("trueef", "true-ef"),
        attributes=row.attributes(ATTRIBUTES, sex="sex"),
        faults=tuple(row.faults),  # of all cells read above
        row=row.where,
    )
