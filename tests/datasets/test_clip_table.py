"""Any folder with a table of clips."""

from __future__ import annotations

from pathlib import Path

import pytest
from folders import avi, table

from mcsdr.datasets import ClipTable
from mcsdr.errors import BadRow, InvalidCohort, InvalidConfig, PatientInTwoSplits
from mcsdr.study import View


def test_two_columns_are_enough(tmp_path: Path) -> None:
    avi(tmp_path / "deep" / "er" / "a.avi", fps=40)
    path = table(tmp_path / "echo.csv", "filename,ef", ["./deep/er/a.avi,55"])
    for root in (path, tmp_path):
        (study,) = ClipTable(root)
        assert (study.study_id, study.patient_id, study.split, study.ef_percent) == ("./deep/er/a.avi",) * 2 + (
            None,
            55,
        )
        assert study.clips[0].view is View.UNKNOWN
        assert study.clips[0].frame_rate_hz == pytest.approx(40)


def test_every_column_in_any_case(tmp_path: Path) -> None:
    for name in "abc":
        avi(tmp_path / "clips" / f"{name}.avi")
    header = "FILENAME,Ef,SPLIT,PatientID,studyId,View,fps,AGE,sex,Weight,HEIGHT,Colour of eyes"
    rows = [
        "clips/a.avi,55,Train,p1,s1,A4C,25,61,female,70,,blue",
        "clips\\b.avi,55.3,train,p1,s1,2CH,,,,,,",
        "clips/c.avi,40,TEST,p2,s2,plax,,nan,?,,180,",
    ]
    table(tmp_path / "t.csv", header, rows)
    first, second = ClipTable(tmp_path)
    assert (first.study_id, first.patient_id, first.split) == ("s1", "p1", "train")
    assert [clip.view for clip in first.clips] == [View.A4C, View.A2C]
    assert first.clips[0].frame_rate_hz == pytest.approx(25)
    assert first.attributes.known() == {"age_years": 61, "sex": "F", "weight_kg": 70}
    assert first.ef_percent == pytest.approx(55.15)
    assert (second.clips[0].view, second.attributes.known()) == (View.UNKNOWN, {"height_cm": 180})
    assert len(ClipTable(tmp_path, "test")) == 1
    assert [entry.study_id for entry in ClipTable(tmp_path, views=["A2C"]).entries] == ["s1"]
    with pytest.raises(InvalidConfig, match="A5C"):
        ClipTable(tmp_path, views=["A5C"])


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("../a.avi,50,train,p", "bad-path"),
        ("clips/../../a.avi,50,train,p", "bad-path"),
        ("/etc/a.avi,50,train,p", "bad-path"),
        ("C:\\a.avi,50,train,p", "bad-path"),
        (",50,train,p", "bad-path"),
        ("a.avi,half,train,p", "ef-not-a-number"),
        ('a.avi,"55,3",train,p', "ef-not-a-number"),
        ("a.avi,50,practice,p", "unknown-split"),
    ],
)
def test_a_bad_row_costs_itself_alone(tmp_path: Path, row: str, code: str) -> None:
    avi(tmp_path / "b.avi")
    cohort = ClipTable(table(tmp_path / "t.csv", "FileName,EF,Split,PatientID", [row, "b.avi,60,train,q"]))
    assert [fault.code for fault in cohort.entries[0].faults] == [code]
    with pytest.raises(BadRow, match=r"t\.csv line 2"):
        cohort[0]
    assert cohort[1].ef_percent == 60


def test_a_patient_in_two_splits_is_a_leak(tmp_path: Path) -> None:
    rows = ["a.avi,50,train,p", "b.avi,50,test,p"]
    path = table(tmp_path / "t.csv", "FileName,EF,Split,PatientID", rows)
    with pytest.raises(PatientInTwoSplits, match=r"p \(test and train\)"):
        ClipTable(path, "train")


def test_a_study_of_two_patients_is_a_duplicate(tmp_path: Path) -> None:
    rows = ["a.avi,50,p,s", "b.avi,50,q,s"]
    cohort = ClipTable(table(tmp_path / "t.csv", "FileName,EF,PatientID,StudyID", rows))
    assert [fault.code for fault in cohort.entries[1].faults] == ["duplicate"]


def test_which_table_must_be_plain(tmp_path: Path) -> None:
    with pytest.raises(InvalidCohort, match="holds none"):
        ClipTable(tmp_path)
    table(tmp_path / "notes.csv", "Day,Weather", ["1,rain"])
    table(tmp_path / "a.csv", "FileName,EF", ["a.avi,50"])
    assert len(ClipTable(tmp_path)) == 1
    table(tmp_path / "b.csv", "FileName,EF", ["b.avi,50"])
    with pytest.raises(InvalidCohort, match=r"2: a.csv, b.csv"):
        ClipTable(tmp_path)
    assert len(ClipTable(tmp_path / "b.csv")) == 1
    with pytest.raises(InvalidCohort, match="lacks the column filename, ef"):
        ClipTable(tmp_path / "notes.csv")
