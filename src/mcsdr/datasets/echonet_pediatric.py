"""EchoNet-Pediatric: a folder for each view, A4C and PSAX, in each `FileList.csv`, `VolumeTracings.csv`, `Videos/`.

Columns FileName, EF, Sex, Age, Weight, Height, Split. A FileName is `CRx-CRy-n.avi`: patient, accession, instance; the
clips of one accession are one study, "CRx-CRy", and carry the same EF. Age (years), Weight (kg) and Height (cm) may be
blank. `Split` is a fold, 0 to 9, the same for all clips of a patient:

    fold k      test = k, validation = (k + 1) mod 10, training = the rest
    no fold     training 0 to 7, validation 8, test 9

The table holds no frame rate, and the one in the files is mostly the writer's default of 50: times are the files' own,
to be trusted as little. A traced Frame may be a text or past the clip's end.

Reference: Reddy et al. 2023, "Video-based deep learning for automated assessment of left ventricular ejection fraction
in pediatric patients".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mcsdr.datasets.entries import ClipEntry, Entry, FolderCohort
from mcsdr.datasets.table import Row, Shelf, columns, first_folder, read_table, stem, studies, wanted_views, with_truth
from mcsdr.datasets.tracings import with_marks
from mcsdr.errors import InvalidCohort, InvalidConfig
from mcsdr.study import View

REQUIRED = ("FileName", "EF", "Split")
BELOW = ("pediatric_echo_avi", "pediatric_echo_avi/pediatric_echo_avi")
FOLDS = 10
VIEWS = (View.A4C, View.PSAX)


class EchoNetPediatric(FolderCohort):
    """The studies of one split or of all, read from disk when asked for.

    Arguments:
        root: the folder that holds A4C and PSAX, one of the two above it, or the folder of one view.
        split: "train", "val" or "test"; all where None.
        views: the clips wanted, in this order; a study with none of them is left out.
        fold: which of the ten is tested on; None for the fixed split.
        pair: whether all clips of an accession make one study; False makes a study of each clip.

    Raises:
        InvalidCohort: no folder or table of a view, a column is missing, or no study of this split.
        PatientInTwoSplits: a patient's clips, of whichever views are asked for, stand in two splits.
        InvalidConfig: no such fold or view.
    """

    kind = "echonet-pediatric"
    layout = "A4C/ or PSAX/ with FileList.csv (FileName, EF, Sex, Age, Weight, Height, Split) and Videos/"

    def __init__(
        self,
        root: str | Path,
        split: str | None = None,
        *,
        views: Sequence[View | str] = VIEWS,
        fold: int | None = None,
        pair: bool = True,
    ) -> None:
        if fold is not None and not 0 <= fold < FOLDS:
            raise InvalidConfig(f"fold {fold} of EchoNet-Pediatric is asked for.", next_step="Choose 0 to 9.")
        folder = _folder(Path(root))
        clips: list[Entry] = []
        for view, at in _view_folders(folder, wanted_views(views)).items():
            rows = read_table(at / "FileList.csv", REQUIRED, name=f"{at.name}/FileList.csv")
            shelf = Shelf(at)
            clips += with_marks((_entry(row, at, view, fold, shelf) for row in rows), at / "VolumeTracings.csv")
        clips = with_truth(clips, Path(root))
        super().__init__(root, studies(clips if pair else map(_alone, clips)), split)

    @staticmethod
    def fits(root: Path) -> bool:
        """Whether a folder is laid out like this."""
        folder = _folder(root)
        tables = [folder / view / "FileList.csv" for view in VIEWS]
        if folder.name in VIEWS:  # another folder with such columns may be anybody's
            tables.append(folder / "FileList.csv")
        return any({"filename", "ef", "sex", "age", "split"} <= set(columns(table)) for table in tables)


def _folder(root: Path) -> Path:
    within = [first_folder(root, BELOW, view) for view in VIEWS]
    return next((folder for folder in within if folder != root), root)


def _view_folders(folder: Path, views: Sequence[View]) -> dict[View, Path]:
    """Where each view lies."""
    if (folder / "FileList.csv").is_file():
        named = next((view for view in VIEWS if folder.name.upper() == view), None)
        view = named or (views[0] if len(views) == 1 else View.UNKNOWN)
        if named and named not in views:
            raise InvalidCohort(f"the folder holds {named} only, asked for {', '.join(views)}.", path=folder)
        return {view: folder}
    missing = [view for view in views if not (folder / view / "FileList.csv").is_file()]
    if missing:
        here = [view for view in VIEWS if view not in missing and (folder / view).is_dir()]
        step = f"Ask for the view {here[0]} alone, or point the command at the whole data set." if here else None
        raise InvalidCohort(f"no such table as {missing[0]}/FileList.csv.", path=folder, next_step=step)
    return {view: folder / view for view in views}


def split_of(fold_of_clip: int, fold: int | None) -> str:
    """The split of a clip in fold 0 to 9 when `fold` is tested on; the fixed split where that is None."""
    test, val = (9, 8) if fold is None else (fold, (fold + 1) % FOLDS)
    return {test: "test", val: "val"}.get(fold_of_clip, "train")


def _entry(row: Row, folder: Path, view: View, fold: int | None, shelf: Shelf) -> Entry:
    """One clip as a study by the name of its accession; those of one accession are joined later."""
    name = stem(row.text("FileName"))
    patient, _, rest = name.partition("-")
    accession = rest.partition("-")[0]
    if not accession:
        row.fault("unknown-patient", f"FileName is {name[:80]!r}, which does not name patient and accession")
    path = row.path(folder / "Videos", "FileName", ".avi")
    return Entry(
        study_id=f"{patient}-{accession}" if accession else name,
        patient_id=patient,
        split=_split(row, fold),
        clips=(ClipEntry(row.text("FileName"), shelf.find(path), view),) if path else (),
        ef_percent=row.number("EF", "ef"),
        attributes=row.attributes(),
        faults=tuple(row.faults),  # of all cells read above
        row=row.where,
    )


def _alone(entry: Entry) -> Entry:
    """A clip as a study by its own name."""
    return replace(entry, study_id=f"{entry.clips[0].view}/{stem(entry.clips[0].name)}") if entry.clips else entry


def _split(row: Row, fold: int | None) -> str | None:
    text = row.text("Split")
    if text.isdigit() and int(text) < FOLDS:
        return split_of(int(text), fold)
    row.fault("unknown-split", f"Split is {text[:40]!r}, not a fold from 0 to 9")
    return None
