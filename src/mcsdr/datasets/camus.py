"""CAMUS: a folder for each patient, in it a half sequence and a text file for each of two views.

    database_nifti/patientXXXX/patientXXXX_{2CH,4CH}_half_sequence.nii.gz, Info_{2CH,4CH}.cfg
    training|testing/patientXXXX/patientXXXX_{2CH,4CH}_sequence.mhd, Info_{2CH,4CH}.cfg      the older release

Info files hold lines "Key: value": ED, ES (from 1), Sex, Age, ImageQuality, EF, FrameRate; LVedv, LVesv and LVef in the
older release. The EF is biplane, of both views together, and reads low against other data sets' (a true 55 as 49): do
not pool the two without saying so.

A half sequence is the half beat between ED and ES. Where ED > ES it is stored backwards and is turned round on
reading, so that every clip runs from ED to ES. It is shorter than any clip that an ejection fraction may be asked of,
so it is not refused as such, but carries the notice "half-cycle".

Splits stand in lists of patients, `database_split/subgroup_{training,validation,testing}.txt`, and those of ten folds
in `subGroup{1..10}_….txt`. The older release has its two folders only: "train" and "test", of which the latter came
without EF.

Reference: Leclerc et al. 2019, "Deep learning for segmentation using an open large-scale dataset in 2D
echocardiography".
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mcsdr.clips import SHORTEST_WHOLE
from mcsdr.datasets.entries import ClipEntry, Entry, FolderCohort
from mcsdr.datasets.table import Row, studies, wanted_views, with_truth
from mcsdr.errors import ClipTooShort, InvalidCohort, InvalidConfig, MissingFile
from mcsdr.io.metaimage import read_metaimage
from mcsdr.io.nifti import read_nifti
from mcsdr.io.recording import plausible_rate
from mcsdr.io.tables import read_text
from mcsdr.study import QUALITIES, Clip, Crop, Notice, View

NAMES = {View.A2C: "2CH", View.A4C: "4CH"}
ASSUMED_HZ = 50.0
LISTS = {"training": "train", "train": "train", "validation": "val", "val": "val", "testing": "test", "test": "test"}
LIST_NAME = re.compile(rf"sub_?group_?(?P<fold>\d*)_?(?P<split>{'|'.join(LISTS)})\.txt", re.IGNORECASE)
PATIENT = re.compile(r"patient\d+", re.IGNORECASE)


class Camus(FolderCohort):
    """The patients of one split or of all, one study each, read from disk when asked for.

    Arguments:
        root: the folder that holds database_nifti, or training and testing, or the patients' folders.
        split: "train", "val" or "test"; all where None.
        views: the clips of each study, in this order.
        fold: 1 to 10 takes the split from the lists of ten folds, None from the fixed ones.

    Raises:
        InvalidCohort: no patient's folder; or a split or fold is asked for and there are no lists of it.
        PatientInTwoSplits: a patient stands in two lists.
        InvalidConfig: a view is asked for that CAMUS has not.
    """

    kind = "camus"
    layout = "patientXXXX/ with Info_4CH.cfg, in database_nifti/, training/ or the folder itself"

    def __init__(
        self,
        root: str | Path,
        split: str | None = None,
        *,
        views: Sequence[View | str] = (View.A2C, View.A4C),
        fold: int | None = None,
    ) -> None:
        folder = Path(root)
        patients = _patients(folder)
        if not patients:
            raise InvalidCohort("there is no folder patientXXXX of CAMUS.", path=folder)
        wanted = wanted_views(views)
        if not set(wanted) <= set(NAMES):
            raise InvalidConfig(f"CAMUS has the views {' and '.join(NAMES)}, asked for {', '.join(wanted)}.")
        splits = _splits(folder, fold)
        if not splits and (fold is not None or (split is not None and patients[0].parent.name not in LISTS)):
            raise InvalidCohort(
                f"there are no lists of {'the splits' if fold is None else f'fold {fold}'}.",
                path=folder,
                next_step="Put the data set's folder database_split beside database_nifti.",
            )
        clips = (
            _entry(patient, view, s) for patient in patients for s in _splits_of(patient, splits) for view in wanted
        )
        super().__init__(folder, with_truth(studies(clips), folder), split)

    @staticmethod
    def fits(root: Path) -> bool:
        """Whether a folder is laid out like this."""
        return any(any(patient.glob("Info_*.cfg")) for patient in _patients(root)[:3])

    def read_clip(self, clip: ClipEntry) -> Clip:
        """One half sequence, from ED to ES.

        Raises:
            MissingFile, UnreadableFile, UnsupportedFormat: the file cannot be used.
            ClipTooShort: fewer than five frames.
        """
        rate = clip.frame_rate_hz if plausible_rate(clip.frame_rate_hz) else None
        if not clip.path.is_file():
            raise MissingFile("there is no such file", path=clip.path)
        reader = read_metaimage if clip.path.suffix == ".mhd" else read_nifti
        recording = reader(clip.path, frame_rate_hz=rate or ASSUMED_HZ)
        frames = recording.frames
        if len(frames) < SHORTEST_WHOLE:
            raise ClipTooShort(f"it holds {len(frames)} frames, fewer than {SHORTEST_WHOLE}", path=clip.path)
        if clip.ed_frame is not None and clip.es_frame is not None and clip.ed_frame > clip.es_frame:
            frames = np.ascontiguousarray(frames[::-1])
        notices = recording.notices if rate else ()
        notices += (Notice("half-cycle", "The clip is half a beat, from end-diastole to end-systole."),)
        if rate is None:
            text = f"The data set gives no plausible frame rate; {ASSUMED_HZ:g} Hz was assumed."
            notices += (Notice("frame-rate-assumed", text),)
        height, width = frames.shape[1:]
        return Clip(
            frames=frames,
            frame_times_s=recording.frame_times_s,
            view=clip.view,
            source=clip.path.name,
            quality=clip.quality,
            crop=Crop(0, 0, height, width, "whole"),
            notices=notices,
        )


def _patients(root: Path) -> list[Path]:
    """The patients' folders, in order."""
    here = [root / "database_nifti", root / "training", root / "testing", root]
    found = [[path for path in at.iterdir() if PATIENT.fullmatch(path.name)] for at in here if at.is_dir()]
    return [path for paths in found for path in sorted(paths) if path.is_dir()]


def _splits(root: Path, fold: int | None) -> dict[str, list[str]]:
    """The splits in whose lists each patient stands, by the patient's name in lower case."""
    places = [root / "database_split", root.parent / "database_split", root]
    files = [path for at in places if at.is_dir() for path in sorted(at.glob("*" if at == root else "**/*"))]
    splits: dict[str, list[str]] = defaultdict(list)
    for path in dict.fromkeys(files):
        named = LIST_NAME.fullmatch(path.name)
        if named and (named["fold"] == "" if fold is None else named["fold"] == str(fold)):
            split = LISTS[named["split"].lower()]
            for name in PATIENT.findall(read_text(path)):
                if split not in splits[name.lower()]:
                    splits[name.lower()].append(split)
    return dict(splits)


def _splits_of(patient: Path, splits: Mapping[str, list[str]]) -> Sequence[str | None]:
    """The splits of a patient's folder, [None] where unknown; two are a leak, which opening the cohort finds."""
    folder = LISTS.get(patient.parent.name)
    if folder == "test" or (folder and not splits):  # the two folders of the older release number patients anew
        return [folder]
    return splits.get(patient.name.lower(), [None])


def _entry(patient: Path, view: View, split: str | None) -> Entry:
    """One view as a study of its own; the views of a patient are joined later."""
    info = patient / f"Info_{NAMES[view]}.cfg"
    name = f"testing/{patient.name}" if patient.parent.name == "testing" else patient.name
    row = Row(_info(info), f"{name}/{info.name}")
    if not row.cells:
        row.fault("no-info", f"{info.name} is missing or empty")
    rate = row.number("FrameRate", "frame-rate", "doubt")
    ed, es, frames = (row.integer(key, "frame") for key in ("ED", "ES", "NbFrame"))
    if row.cells and (ed is None or es is None):
        row.fault("phases-unknown", "ED or ES is not given, so the sequence may run backwards", "doubt")
    quality = row.text("ImageQuality").lower()
    clip = ClipEntry(
        name=f"{patient.name}_{NAMES[view]}",
        path=_sequence(patient, NAMES[view]),
        view=view,
        frame_rate_hz=rate,
        frames=frames,
        ed_frame=None if ed is None else ed - 1,
        es_frame=None if es is None else es - 1,
        quality=quality if quality in QUALITIES else None,
    )
    return Entry(
        study_id=name,
        patient_id=name,
        split=split,
        clips=(clip,),
        ef_percent=row.number("EF" if "EF" in row.cells else "LVef", "ef"),
        esv_ml=row.number("LVesv", "volume"),
        edv_ml=row.number("LVedv", "volume"),
        attributes=row.attributes(),
        faults=tuple(row.faults),  # of all cells read above
        row=row.where,
    )


def _info(path: Path) -> dict[str, str]:
    """Key and value of each line of an Info file; empty where there is none."""
    if not path.is_file():
        return {}
    pairs = (line.partition(":") for line in read_text(path).splitlines())
    return {key.strip(): value.strip() for key, colon, value in pairs if colon}


def _sequence(patient: Path, name: str) -> Path:
    """The file of a view's half sequence, in the newer or the older release."""
    endings = ("half_sequence.nii.gz", "half_sequence.nii", "sequence.mhd")
    paths = [patient / f"{patient.name}_{name}_{ending}" for ending in endings]
    return next((path for path in paths if path.is_file()), paths[0])
