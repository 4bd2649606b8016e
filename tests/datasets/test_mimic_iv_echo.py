"""MIMIC-IV-ECHO: reports joined to examinations, files that are no loops left out, a split that never changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from folders import avi, loop, table, zipped

from mcsdr.datasets import MimicIvEcho
from mcsdr.datasets.mimic_iv_echo import split_of
from mcsdr.errors import BadRow, InvalidCohort, MissingFile
from mcsdr.phantom.layouts import write_avi

RECORDS = "subject_id,study_id,acquisition_datetime,dicom_filepath"
REPORTS = "subject_id,measurement_id,measurement_datetime,test_type,measurement,measurement_description,result,unit"
STUDIES = "subject_id,study_id,study_datetime,note_id,note_seq,note_charttime,measurement_id,measurement_datetime"


def record(subject: int, study: int, number: int, day: str = "2150-03-01") -> str:
    path = f"files/p10/p{subject}/s{study}/{study}_{number:04d}.dcm"
    return f"{subject},{study},{day} 10:{number:02d}:00,{path}"


def report(
    subject: int, name: str, result: str, at: str = "2150-03-01 14:00:00", number: int = 7, kind: str = "tte"
) -> str:
    return f'{subject},{number},{at},{kind},{name},"what, in words",{result},%'


def lay(root: Path, reports: list[str], records: list[str] | None = None) -> Path:
    table(root / "echo-record-list.csv", RECORDS, records or [record(10, 90, 1), record(10, 90, 2)])
    zipped(root / "structured-measurement.csv.gz", REPORTS, reports)
    return root


def file_of(root: Path, number: int, subject: int = 10, study: int = 90) -> Path:
    return root / f"files/p10/p{subject}/s{study}/{study}_{number:04d}.dcm"


@pytest.mark.parametrize(
    ("rows", "ef"),
    [
        ([("lvef", "55")], 55),
        ([("lvef", "55"), ("lvef_upper", "60")], 57.5),
        ([("lvef", "55"), ("lvef_upper", "100")], 55),
        ([("lvef", "55"), ("lvef_upper", "high")], 55),
        ([("biplane_lvef", "41.5"), ("lvef_3d", "44")], 41.5),
        ([("lvef", ""), ("lvef_3d", "44")], 44),
        ([("lvef", "55"), ("lvedd", "4.9"), ("rest_lvef", "9")], 55),
    ],
)
def test_the_ef_of_a_report(tmp_path: Path, rows: list[tuple[str, str]], ef: float) -> None:
    cohort = MimicIvEcho(lay(tmp_path, [report(10, *row) for row in rows]))
    (entry,) = cohort.entries
    assert (entry.study_id, entry.patient_id, entry.ef_percent) == ("90", "10", ef)
    assert len(entry.clips) == 2


def test_studies_without_a_report_are_counted_and_left_out(tmp_path: Path) -> None:
    days = ["2150-03-01", "2150-03-09", "2150-03-01"]
    records = [record(10, 90, 1), record(10, 91, 1, days[1]), record(11, 92, 1)]
    reports = [
        report(10, "lvef", "30", "2150-02-20 10:00:00", 1),
        report(10, "lvef", "40", "2150-03-02 10:00:00", 2),
        report(10, "lvef", "50", "2150-03-03 09:00:00", 3),
        report(11, "lvef", "60", number=4, kind="tee"),
        report(12, "lvef", "70", number=5),
    ]
    cohort = MimicIvEcho(lay(tmp_path, reports, records))
    assert [(entry.study_id, entry.ef_percent) for entry in cohort.entries] == [("90", 40)]
    assert cohort.unlabelled == 2


def test_the_study_list_goes_before_the_nearest(tmp_path: Path) -> None:
    reports = [report(10, "lvef", "40", number=2), report(10, "lvef", "50", "2150-03-02 20:00:00", number=3)]
    lay(tmp_path, reports)
    table(tmp_path / "echo-study-list.csv", STUDIES, ["10,90,2150-03-01 10:00:00,,,,3.0,2150-03-02 20:00:00"])
    assert MimicIvEcho(tmp_path).entries[0].ef_percent == 50


def test_files_that_are_no_grey_loops_are_left_out_and_said(tmp_path: Path) -> None:
    lay(tmp_path, [report(10, "lvef", "55")], [record(10, 90, n) for n in (1, 2, 3)])
    avi(file_of(tmp_path, 1))  # whatever its name, a file is read as what it holds
    write_avi(file_of(tmp_path, 2), loop(1), 50)
    file_of(tmp_path, 3).write_text("neither")
    cohort = MimicIvEcho(tmp_path)
    with pytest.raises(Exception, match="something else"):
        cohort[0]
    write_avi(file_of(tmp_path, 3), loop(5), 50)
    study = cohort[0]
    assert len(study.clips) == 1
    (notice,) = study.notices
    assert notice.code == "files-left-out"
    assert "Of 3 files 2 were left out: 1 clip-too-short, 1 single-frame" in notice.text
    avi(file_of(tmp_path, 1), count=3)
    with pytest.raises(BadRow, match="none of its files"):
        cohort[0]
    file_of(tmp_path, 1).unlink()
    with pytest.raises(MissingFile):
        cohort[0]


def test_paths_do_not_lead_out(tmp_path: Path) -> None:
    bad = "10,90,2150-03-01 10:00:00,files/../../secret.dcm"
    cohort = MimicIvEcho(lay(tmp_path, [report(10, "lvef", "55")], [bad]))
    assert [fault.code for fault in cohort.entries[0].faults] == ["bad-path"]
    with pytest.raises(BadRow):
        cohort[0]


def test_an_ef_that_is_no_number_is_a_fault_that_names_its_line(tmp_path: Path) -> None:
    cohort = MimicIvEcho(lay(tmp_path, [report(10, "lvef", "greater than 55")]))
    (fault,) = cohort.entries[0].faults
    assert fault.code == "ef-not-a-number"
    assert "structured-measurement.csv.gz line 2" in fault.text


def test_the_split_is_of_patients_and_never_changes() -> None:
    shares = np.unique([split_of(str(10_000_000 + i)) for i in range(5000)], return_counts=True)
    assert dict(zip(*shares, strict=True)) == pytest.approx({"train": 4000, "val": 500, "test": 500}, rel=0.15)
    known = {"10002221": "test", "10012345": "val", "10055555": "train", "19999999": "train"}
    assert {name: split_of(name) for name in known} == known


def test_all_studies_of_a_patient_share_a_split(tmp_path: Path) -> None:
    records = [record(subject, 100 + 2 * subject + k, 1) for subject in range(40) for k in (0, 1)]
    cohort = MimicIvEcho(lay(tmp_path, [report(s, "lvef", "55", number=s) for s in range(40)], records))
    assert len(cohort) == 80
    assert sum(len(MimicIvEcho(tmp_path, split)) for split in ("train", "val", "test")) == 80


def test_a_damaged_table(tmp_path: Path) -> None:
    lay(tmp_path, [report(10, "lvef", "55")])
    path = tmp_path / "structured-measurement.csv.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InvalidCohort, match="cannot be read"):
        MimicIvEcho(tmp_path)
    path.unlink()
    with pytest.raises(InvalidCohort, match="no such table"):
        MimicIvEcho(tmp_path)
