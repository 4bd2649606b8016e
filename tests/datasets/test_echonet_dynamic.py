"""EchoNet-Dynamic's folder: names, numbers, splits, tracings; what is wrong costs its own row."""

from __future__ import annotations

from pathlib import Path

import pytest
from folders import DYNAMIC, avi, table

from mcsdr.datasets import EchoNetDynamic
from mcsdr.datasets.entries import row_faults
from mcsdr.errors import BadRow, InvalidCohort, MissingFile, PatientInTwoSplits
from mcsdr.study import View

GOOD = "0XA,60.0,40.0,100.0,112,112,50,30,TRAIN"


def open_with(folder: Path, *rows: str, split: str | None = None) -> EchoNetDynamic:
    table(folder / "FileList.csv", DYNAMIC, rows)
    return EchoNetDynamic(folder, split)


def codes(cohort: EchoNetDynamic, at: int = 0) -> set[str]:
    entry = cohort.entries[at]
    return {fault.code for fault in (*entry.faults, *row_faults(entry))}


def test_a_study_is_read_with_the_rate_of_the_table(tmp_path: Path) -> None:
    avi(tmp_path / "Videos" / "0XA.avi", fps=30)
    (study,) = open_with(tmp_path, GOOD)
    assert (study.study_id, study.patient_id, study.split, study.ef_percent) == ("0XA", "0XA", "train", 60.0)
    assert study.clips[0].frame_rate_hz == pytest.approx(50)
    assert study.clips[0].view is View.A4C
    assert not study.attributes.known()


def test_names_carry_avi_or_do_not_and_the_folder_above_will_do(tmp_path: Path) -> None:
    inner = tmp_path / "EchoNet-Dynamic"
    for name in ("0XA", "0XB"):
        avi(inner / "Videos" / f"{name}.avi")
    open_with(inner, GOOD, GOOD.replace("0XA", "0XB.avi"))
    cohort = EchoNetDynamic(tmp_path)
    assert [entry.study_id for entry in cohort.entries] == ["0XA", "0XB"]
    assert all(study.clips for study in cohort)


def test_nothing_is_decoded_before_it_is_asked_for(tmp_path: Path) -> None:
    cohort = open_with(tmp_path, GOOD)
    assert len(cohort) == 1
    with pytest.raises(MissingFile):
        cohort[0]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("60.0", "sixty", "ef-not-a-number"),
        ("60.0", "1_0", "ef-not-a-number"),
        ("60.0", "", "ef-missing"),
        ("60.0", "nan", "ef-missing"),
        ("60.0", "inf", "ef-not-finite"),
        ("60.0", "160", "ef-out-of-range"),
        ("40.0", "small", "volume-not-a-number"),
        ("40.0,100.0", "100.0,40.0", "esv-above-edv"),
        (",50,", ",fast,", "frame-rate-not-a-number"),
        ("TRAIN", "HOLDOUT", "unknown-split"),
        ("0XA", "../0XA", "bad-path"),
        ("0XA", "/etc/0XA", "bad-path"),
        ("0XA", "a/0XA", "bad-path"),
        ("0XA", "a\\0XA", "bad-path"),
        ("0XA", "", "bad-path"),
        ("0XA", "..", "bad-path"),
    ],
)
def test_a_bad_row_costs_itself_alone(tmp_path: Path, old: str, new: str, code: str) -> None:
    avi(tmp_path / "Videos" / "0XB.avi")
    cohort = open_with(tmp_path, GOOD.replace(old, new), GOOD.replace("0XA", "0XB"))
    assert code in codes(cohort)
    assert cohort.entries[0].row == "FileList.csv line 2"
    with pytest.raises(BadRow, match="line 2"):
        cohort[0]
    assert not codes(cohort, 1)
    assert cohort[1].ef_percent == 60


def test_a_frame_count_that_is_no_number_is_a_doubt(tmp_path: Path) -> None:
    avi(tmp_path / "Videos" / "0XA.avi")
    cohort = open_with(tmp_path, GOOD.replace(",30,", ",many,"))
    assert [(fault.code, fault.severity) for fault in cohort.entries[0].faults] == [("frames-not-a-number", "doubt")]
    assert cohort[0].clips


def test_attributes_are_joined_and_faults_name_their_line(tmp_path: Path) -> None:
    for name in ("0XA", "0XC"):
        avi(tmp_path / "Videos" / f"{name}.avi")
    people = ["0XB.avi,old,M,80,180,50", "0XA,nan,U,,170.5,61.5"]
    table(tmp_path / "Attributes.csv", "FileName,Age,Sex,Weight,Height,TrueEF", people)
    cohort = open_with(tmp_path, *(GOOD.replace("0XA", name) for name in ("0XA", "0XB", "0XC")))
    assert cohort[0].attributes.known() == {"height_cm": 170.5}
    assert cohort[0].true_ef_percent == 61.5
    (fault,) = cohort.entries[1].faults
    assert fault.code == "attribute-not-a-number"
    assert "Attributes.csv line 2" in fault.text
    assert cohort[2].attributes.known() == {}


def test_the_larger_area_is_end_diastole_whatever_the_order(tmp_path: Path) -> None:
    def chords(name: str, frame: str, half_width: float) -> list[str]:
        axis = f"{name}.avi,50,10,50,90,{frame}"
        return [axis, *(f"{name}.avi,{50 - half_width},{y},{50 + half_width},{y},{frame}" for y in (20, 50, 80))]

    rows = chords("0XA", "7", 10) + chords("0XA", "20", 20) + chords("0XB", "3", 10)
    rows += [*chords("0XC", "5", 30), "0XC.avi,,,,,9", "0XC.avi,a,b,c,d,9"]
    table(tmp_path / "VolumeTracings.csv", "FileName,X1,Y1,X2,Y2,Frame", rows)
    cohort = open_with(tmp_path, *(GOOD.replace("0XA", name) for name in ("0XA", "0XB", "0XC")))
    marks = [(entry.clips[0].ed_frame, entry.clips[0].es_frame) for entry in cohort.entries]
    assert marks == [(20, 7), (None, None), (None, None)]
    assert not codes(cohort, 1)


def test_a_patient_in_two_splits_stops_whichever_is_asked_for(tmp_path: Path) -> None:
    rows = (GOOD, GOOD.replace("0XA", "0XA.avi").replace("TRAIN", "TEST"))
    for split in (None, "train", "val"):
        with pytest.raises(PatientInTwoSplits, match=r"0XA \(test and train\)"):
            open_with(tmp_path, *rows, split=split)


def test_a_repeated_row_is_a_duplicate(tmp_path: Path) -> None:
    assert "duplicate" in codes(open_with(tmp_path, GOOD, GOOD), 1)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00F\x00i", b"", b'FileName,EF,Split,FPS\n"0XA' + b"x" * 200_000])
def test_a_table_that_is_no_table(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "FileList.csv").write_bytes(content)
    with pytest.raises(InvalidCohort):
        EchoNetDynamic(tmp_path)


def test_an_empty_split_is_said_and_which_there_are(tmp_path: Path) -> None:
    with pytest.raises(InvalidCohort, match="no study of split 'val'") as caught:
        open_with(tmp_path, GOOD, split="val")
    there = EchoNetDynamic(tmp_path).entries[0].split
    assert caught.value.next_step == f"Ask for a split that it has: {there}."
