"""EchoNet-Pediatric: two views to a study, folds, blanks, and EF that its clips repeat."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from folders import PEDIATRIC, avi, table

from mcsdr.datasets import EchoNetPediatric
from mcsdr.datasets.entries import Entry
from mcsdr.errors import BadRow, InvalidCohort, InvalidConfig, MissingFile, PatientInTwoSplits
from mcsdr.study import View

A4C = ["CR1-CR10-000001.avi,62.0,F,3,14.5,95,0", "CR1-CR10-000002.avi,62.2,F,3,14.5,95,0"]
PSAX = ["CR1-CR10-000007.avi,62.0,F,3,14.5,95,0", "CR2-CR20-000001.avi,55,M,nan,,,9"]


def lay(root: Path, a4c: list[str] = A4C, psax: list[str] = PSAX) -> Path:
    table(root / "A4C" / "FileList.csv", PEDIATRIC, a4c)
    table(root / "PSAX" / "FileList.csv", PEDIATRIC, psax)
    return root


def entry(cohort: EchoNetPediatric, study: str) -> Entry:
    return next(entry for entry in cohort.entries if entry.study_id == study)


@pytest.mark.parametrize("below", ["", "pediatric_echo_avi", "pediatric_echo_avi/pediatric_echo_avi"])
def test_any_of_the_folders_above_will_do(tmp_path: Path, below: str) -> None:
    lay(tmp_path / below)
    assert EchoNetPediatric.fits(tmp_path)
    assert len(EchoNetPediatric(tmp_path)) == 2


def test_the_clips_of_an_accession_are_one_study(tmp_path: Path) -> None:
    lay(tmp_path)
    for view, name in (("A4C", "CR1-CR10-000001"), ("A4C", "CR1-CR10-000002"), ("PSAX", "CR1-CR10-000007")):
        avi(tmp_path / view / "Videos" / f"{name}.avi")
    study = EchoNetPediatric(tmp_path, "train")[0]
    assert (study.study_id, study.patient_id) == ("CR1-CR10", "CR1")
    assert [clip.view for clip in study.clips] == [View.A4C, View.A4C, View.PSAX]
    assert study.ef_percent == 62.0  # the median of the three
    assert study.attributes.known() == {"age_years": 3, "weight_kg": 14.5, "height_cm": 95, "sex": "F"}
    with pytest.raises(MissingFile):
        EchoNetPediatric(tmp_path, "test")[0]


def test_the_rate_is_the_files_own(tmp_path: Path) -> None:
    lay(tmp_path)
    avi(tmp_path / "PSAX" / "Videos" / "CR2-CR20-000001.avi", fps=40)
    study = EchoNetPediatric(tmp_path, "test")[0]
    assert study.clips[0].frame_rate_hz == pytest.approx(40)
    assert study.attributes.known() == {"sex": "M"}


def test_one_view_gives_the_studies_that_have_it(tmp_path: Path) -> None:
    lay(tmp_path)
    only = EchoNetPediatric(tmp_path, views=["A4C"])
    assert [e.study_id for e in only.entries] == ["CR1-CR10"]
    assert {clip.view for e in only.entries for clip in e.clips} == {View.A4C}
    turned = EchoNetPediatric(tmp_path, views=["PSAX", "A4C"])
    assert entry(turned, "CR1-CR10").clips[0].view is View.PSAX
    folder = EchoNetPediatric(tmp_path / "PSAX")
    assert [e.clips[0].view for e in folder.entries] == [View.PSAX, View.PSAX]
    with pytest.raises(InvalidCohort, match="holds PSAX only"):
        EchoNetPediatric(tmp_path / "PSAX", views=["A4C"])


def test_a_view_that_is_not_there_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    table(tmp_path / "A4C" / "FileList.csv", PEDIATRIC, A4C)
    with pytest.raises(InvalidCohort, match="Ask for the view A4C alone"):
        EchoNetPediatric(tmp_path)
    assert len(EchoNetPediatric(tmp_path, views=["A4C"])) == 1


def test_unpaired_every_clip_is_a_study_of_the_same_patient(tmp_path: Path) -> None:
    lay(tmp_path)
    cohort = EchoNetPediatric(tmp_path, pair=False)
    assert len(cohort) == 4
    assert len({e.study_id for e in cohort.entries}) == 4
    assert Counter(e.patient_id for e in cohort.entries) == {"CR1": 3, "CR2": 1}
    assert not any(e.faults for e in cohort.entries)


def many(root: Path) -> Path:
    rows = [f"CR{i}-CR{i}0-000001.avi,60,F,5,20,110,{i % 10}" for i in range(30)]
    return lay(root, rows, [row.replace("000001", "000002") for row in rows])


def test_each_study_is_tested_on_once_over_the_folds(tmp_path: Path) -> None:
    many(tmp_path)
    tested: Counter[str] = Counter()
    for fold in range(10):
        parts = {
            s: {e.study_id for e in EchoNetPediatric(tmp_path, s, fold=fold).entries} for s in ("train", "val", "test")
        }
        assert not parts["train"] & parts["val"] | parts["train"] & parts["test"] | parts["val"] & parts["test"]
        assert len(set.union(*parts.values())) == 30
        assert parts["test"] == {f"CR{i}-CR{i}0" for i in range(fold, 30, 10)}
        assert parts["val"] == {f"CR{i}-CR{i}0" for i in range((fold + 1) % 10, 30, 10)}
        tested.update(parts["test"])
    assert set(tested.values()) == {1}
    assert len(tested) == 30


def test_the_fixed_split(tmp_path: Path) -> None:
    many(tmp_path)
    assert [len(EchoNetPediatric(tmp_path, split)) for split in ("train", "val", "test")] == [24, 3, 3]
    with pytest.raises(InvalidConfig):
        EchoNetPediatric(tmp_path, fold=10)


def test_clips_that_disagree_on_ef_are_a_doubt_and_their_median_counts(tmp_path: Path) -> None:
    rows = [f"CR1-CR10-00000{i}.avi,{ef},F,3,14,95,0" for i, ef in enumerate((50, 61, 62))]
    lay(tmp_path, rows)
    (fault,) = [fault for fault in entry(EchoNetPediatric(tmp_path), "CR1-CR10").faults if fault.code == "ef-disagrees"]
    assert fault.severity == "doubt"
    assert "50 to 62" in fault.text
    assert entry(EchoNetPediatric(tmp_path, views=["A4C"]), "CR1-CR10").ef_percent == 61
    assert not entry(EchoNetPediatric(lay(tmp_path)), "CR1-CR10").faults  # 62.0 and 62.2 are the same reading


def test_an_attribute_comes_from_the_first_row_that_has_it(tmp_path: Path) -> None:
    lay(tmp_path, ["CR1-CR10-1.avi,60,O,,14,95,0", "CR1-CR10-2.avi,60,F,3,15,nan,0"], PSAX)
    known = entry(EchoNetPediatric(tmp_path), "CR1-CR10").attributes
    assert known == {"sex": "F", "age_years": 3, "weight_kg": 14, "height_cm": 95}


def test_a_sex_other_than_f_or_m_is_unknown_and_no_fault(tmp_path: Path) -> None:
    lay(tmp_path, ["CR1-CR10-1.avi,60,O,nan,NaN,,0", "CR3-CR30-1.avi,60,F,three,15,100,0"], PSAX)
    cohort = EchoNetPediatric(tmp_path, views=["A4C"])
    assert entry(cohort, "CR1-CR10").attributes == {}
    assert not entry(cohort, "CR1-CR10").faults
    (fault,) = entry(cohort, "CR3-CR30").faults
    assert fault.code == "attribute-not-a-number"
    with pytest.raises(BadRow, match="three"):
        cohort[1]


def test_a_patient_whose_views_stand_in_two_splits_is_a_leak(tmp_path: Path) -> None:
    lay(tmp_path, A4C, [PSAX[0][:-1] + "9", PSAX[1]])
    with pytest.raises(PatientInTwoSplits, match=r"CR1 \(test and train\)"):
        EchoNetPediatric(tmp_path)
    EchoNetPediatric(tmp_path, views=["PSAX"])
    lay(tmp_path, [A4C[0], A4C[0].replace("CR10", "CR11")[:-1] + "8"])
    with pytest.raises(PatientInTwoSplits, match=r"CR1 \(train and val\)"):
        EchoNetPediatric(tmp_path, views=["A4C"])


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("CR1-CR10-1.avi,60,F,3,14,95,12", "unknown-split"),
        ("CR1-CR10-1.avi,60,F,3,14,95,", "unknown-split"),
        ("heart.avi,60,F,3,14,95,0", "unknown-patient"),
        ("../CR1-CR10-1.avi,60,F,3,14,95,0", "bad-path"),
        ("CR1-CR10-1.avi,good,F,3,14,95,0", "ef-not-a-number"),
    ],
)
def test_rows_that_cannot_be_used(tmp_path: Path, row: str, code: str) -> None:
    lay(tmp_path, [row])
    cohort = EchoNetPediatric(tmp_path, views=["A4C"])
    assert code in {fault.code for fault in cohort.entries[0].faults}
    assert cohort.entries[0].row == "A4C/FileList.csv line 2"
    with pytest.raises(BadRow):
        cohort[0]


def test_a_repeated_clip_is_read_once(tmp_path: Path) -> None:
    lay(tmp_path, [A4C[0], A4C[0]])
    first = entry(EchoNetPediatric(tmp_path, views=["A4C"]), "CR1-CR10")
    assert len(first.clips) == 1
    assert [fault.code for fault in first.faults] == ["duplicate"]


def test_tracings_may_hold_text_for_a_frame_or_one_past_the_end(tmp_path: Path) -> None:
    def square(name: str, frame: str, side: int) -> list[str]:
        return [f"{name}.avi,{x},{y},{frame}" for x, y in ((0, 0), (side, 0), (side, side), (0, side))]

    lay(tmp_path)
    rows = square("CR1-CR10-000001", "4", 10) + square("CR1-CR10-000001", "9000", 20)
    rows += square("CR1-CR10-000002", "4", 10) + square("CR1-CR10-000002", "No Systolic", 5)
    table(tmp_path / "A4C" / "VolumeTracings.csv", "FileName,X,Y,Frame", rows)
    clips = entry(EchoNetPediatric(tmp_path, views=["A4C"]), "CR1-CR10").clips
    assert [(clip.ed_frame, clip.es_frame) for clip in clips] == [(9000, 4), (None, None)]
    avi(tmp_path / "A4C" / "Videos" / "CR1-CR10-000001.avi")
    avi(tmp_path / "A4C" / "Videos" / "CR1-CR10-000002.avi")
    assert EchoNetPediatric(tmp_path, views=["A4C"])[0].clips


def test_phantoms_carry_their_true_ef(tmp_path: Path) -> None:
    lay(tmp_path / "pediatric_echo_avi")
    table(tmp_path / "Truth.csv", "Name,View,TrueEF", ["CR1-CR10-000001.avi,A4C,58.5"])
    for root in (tmp_path, tmp_path / "pediatric_echo_avi"):
        assert [e.true_ef_percent for e in EchoNetPediatric(root).entries] == [58.5, None]
