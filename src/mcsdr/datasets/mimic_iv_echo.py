"""MIMIC-IV-ECHO: whole examinations as DICOM, with the measurements of the reports.

    echo-record-list.csv             subject_id, study_id, acquisition_datetime, dicom_filepath; one row per file
    echo-study-list.csv              study_id, and since version 1.0 the measurement_id of its report
    structured-measurement.csv.gz    subject_id, measurement_id, measurement_datetime, test_type, measurement, result
    files/p10/p{subject}/s{study}/{study}_0001.dcm

A report's EF is, in per cent, the first that is there of `lvef` (with `lvef_upper`, where it is there, the middle of
the two: such reports give a range), `biplane_lvef` and `lvef_3d`; of transthoracic tests ("tte") alone. Where the study
list names no report, a study takes its patient's nearest within two days. Studies without an EF are left out, and
counted in `unlabelled`.

An examination holds some seventy files of all views, among them stills, colour and spectral Doppler. Those that are
not grey-scale loops are left out on reading, with a notice; which view a clip shows is not known. The data set has no
split: a hash of the patient gives 80 % to "train" and 10 % each to "val" and "test", always the same.

Reference: Gow et al. 2023, "MIMIC-IV-ECHO: Echocardiogram Matched Subset", PhysioNet.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from mcsdr.datasets.entries import ClipEntry, Entry, Fault, FolderCohort
from mcsdr.datasets.table import Row, picked, records
from mcsdr.errors import BadRow, RefusedClip, UnsupportedFormat
from mcsdr.study import Clip, Notice

RECORDS, STUDIES, REPORTS = "echo-record-list", "echo-study-list", "structured-measurement"
COLUMNS = ("subject_id", "study_id", "acquisition_datetime", "dicom_filepath")
EF_NAMES, UPPER = ("lvef", "biplane_lvef", "lvef_3d"), "lvef_upper"
DOWNLOADED = ("physionet.org/files/mimic-iv-echo/*", "files/mimic-iv-echo/*", "mimic-iv-echo/*", "mimic-iv-echo*")
NEAREST = timedelta(days=2)
WIDEST = 20.0  # points between lvef and lvef_upper; a wider range is a slip


@dataclass
class Report:
    """The EF measurements of one report, as text by name."""

    where: str
    subject: str
    time: datetime | None
    results: dict[str, str] = field(default_factory=dict)


class MimicIvEcho(FolderCohort):
    """The labelled studies of one split or of all, read from disk when asked for.

    Arguments:
        root: the folder that holds echo-record-list.csv, or one above it that a downloader made.
        split: "train", "val" or "test"; all where None.

    Attributes:
        unlabelled: how many studies have no reported EF; they are left out.

    Raises:
        InvalidCohort: a table or column is missing, or no labelled study is in this split.
    """

    kind = "mimic-iv-echo"
    layout = "echo-record-list.csv, structured-measurement.csv.gz and files/"

    def __init__(self, root: str | Path, split: str | None = None) -> None:
        folder = _folder(Path(root))
        files = next((at for at in (folder, *_downloaded(folder)) if (at / "files").is_dir()), folder)
        rows: dict[str, list[Row]] = defaultdict(list)
        table = _table(folder, RECORDS)
        for line, cells in picked(table, COLUMNS):
            rows[cells[1]].append(Row(dict(zip(COLUMNS, cells, strict=True)), f"{table.name} line {line}"))
        reports = _reports(folder, {group[0].text("subject_id") for group in rows.values()})
        of_patient: dict[str, list[Report]] = defaultdict(list)
        for report in reports.values():
            of_patient[report.subject].append(report)
        links = _links(folder)
        found = {
            study: reports.get(links[study]) if links.get(study) else _nearest(group, of_patient)
            for study, group in rows.items()
        }
        self.unlabelled = sum(report is None for report in found.values())
        entries = [_entry(study, rows[study], report, files) for study, report in found.items() if report]
        super().__init__(folder, entries, split)

    @staticmethod
    def fits(root: Path) -> bool:
        """Whether a folder is laid out like this."""
        return _table(_folder(root), RECORDS).is_file()

    def read_clips(self, entry: Entry) -> tuple[tuple[Clip, ...], tuple[Notice, ...]]:
        """The grey-scale loops of a study, and how many files of which kind were left out.

        Raises:
            BadRow: none of its files is a grey-scale loop.
            MissingFile, UnreadableFile: a file is missing or damaged.
        """
        clips, refused = [], Counter[str]()
        for clip in entry.clips:
            try:
                clips.append(replace(self.read_clip(clip), view=clip.view))
            except (RefusedClip, UnsupportedFormat) as error:
                refused[error.code] += 1
        if not refused:
            return tuple(clips), ()
        kinds = ", ".join(f"{count} {code}" for code, count in sorted(refused.items()))
        text = f"Of {len(entry.clips)} files {refused.total()} were left out: {kinds}."
        if not clips:
            raise BadRow(f"none of its files is a grey-scale loop: {kinds}", path=f"{self.root}: {entry.row}")
        return tuple(clips), (Notice("files-left-out", text),)


def split_of(subject: str) -> str:
    """The split of a patient, from a hash of the name."""
    share = int.from_bytes(hashlib.sha256(f"mimic-iv-echo {subject}".encode()).digest()[:8]) / 2**64
    return "train" if share < 0.8 else "val" if share < 0.9 else "test"


def _folder(root: Path) -> Path:
    """The folder that holds the tables: the root, or where `wget -r` put them below it."""
    return next((at for at in (root, *_downloaded(root)) if _table(at, RECORDS).is_file()), root)


def _downloaded(root: Path) -> list[Path]:
    """The folders below a root that a downloader may have made, such as physionet.org/files/mimic-iv-echo/1.0."""
    return [at for pattern in DOWNLOADED for at in sorted(root.glob(pattern)) if at.is_dir()]


def _table(folder: Path, name: str) -> Path:
    zipped = folder / f"{name}.csv.gz"
    return zipped if zipped.is_file() else folder / f"{name}.csv"


def _reports(folder: Path, subjects: set[str]) -> dict[str, Report]:
    """The reports of these patients that hold an EF, by measurement_id."""
    table = _table(folder, REPORTS)
    names = ("subject_id", "measurement_id", "measurement_datetime", "test_type", "measurement", "result")
    reports: dict[str, Report] = {}
    for line, (subject, number, time, test, name, result) in picked(table, names, holding="lvef"):
        if (name in EF_NAMES or name == UPPER) and subject in subjects and test.lower() == "tte":
            new = Report(f"{table.name} line {line}", subject, _time(time))
            reports.setdefault(number.removesuffix(".0"), new).results.setdefault(name, result)
    return {name: report for name, report in reports.items() if set(report.results) & set(EF_NAMES)}


def _links(folder: Path) -> dict[str, str]:
    """The measurement_id of each study, where the study list names it."""
    table = _table(folder, STUDIES)
    if not table.is_file():
        return {}
    rows = (cells for _, cells in records(table, ("study_id",)))
    return {cells["study_id"]: cells.get("measurement_id", "").removesuffix(".0") for cells in rows}


def _nearest(group: list[Row], of_patient: Mapping[str, list[Report]]) -> Report | None:
    """The patient's report nearest in time to a study, within two days."""
    times = [time for row in group if (time := _time(row.text("acquisition_datetime")))]
    reports = of_patient.get(group[0].text("subject_id"), [])
    apart = {abs(report.time - min(times)): report for report in reports if report.time} if times else {}
    nearest = min(apart, default=None)
    return apart[nearest] if nearest is not None and nearest <= NEAREST else None


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        return None


def _ef(row: Row) -> float | None:
    """The EF of a report in per cent."""
    name = next((name for name in EF_NAMES if row.text(name)), EF_NAMES[0])
    ef = row.number(name, "ef")
    upper = row.number(UPPER, "ef-upper", "doubt") if name == "lvef" else None
    if ef is None or upper is None or not 0 < upper - ef <= WIDEST:
        return ef
    return (ef + upper) / 2


def _entry(study: str, group: list[Row], report: Report, folder: Path) -> Entry:
    result = Row(report.results, report.where)
    ef = _ef(result)
    paths = [(row.text("dicom_filepath"), row.path(folder, "dicom_filepath", nested=True)) for row in group]
    faults = [replace(fault, text=f"{report.where}: {fault.text}") for fault in result.faults]
    subject = group[0].text("subject_id")
    if any(row.text("subject_id") != subject for row in group):
        faults.append(Fault("unknown-patient", "its files name more than one patient"))
    return Entry(
        study_id=study,
        patient_id=subject,
        split=split_of(subject),
        clips=tuple(ClipEntry(name, path) for name, path in paths if path),
        ef_percent=ef,
        faults=(*faults, *(fault for row in group for fault in row.faults)),
        row=group[0].where,
    )
