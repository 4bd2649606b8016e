"""CAMUS, both releases: from ED to ES, upright, square, with what the Info files say; splits and folds by list."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from folders import camus_patient, loop, mhd, nifti, table

from mcsdr.datasets import Camus
from mcsdr.errors import BadRow, ClipTooShort, InvalidCohort, InvalidConfig, MissingFile, PatientInTwoSplits
from mcsdr.study import View

SPLITS = ("training", "validation", "testing")


def lists(root: Path, *names: list[int], form: str = "subgroup_{}.txt") -> None:
    folder = root / "database_split"
    folder.mkdir(exist_ok=True)
    for split, patients in zip(SPLITS, names, strict=True):
        text = "".join(f"patient{number:04d}\n" for number in patients)
        (folder / form.format(split)).write_text(text)


def codes(cohort: Camus, at: int = 0) -> list[str]:
    return [fault.code for fault in cohort.entries[at].faults]


def test_a_patient_is_one_study_of_two_views(tmp_path: Path) -> None:
    camus_patient(tmp_path / "database_nifti", 1)
    assert Camus.fits(tmp_path)
    (study,) = Camus(tmp_path)
    assert (study.study_id, study.patient_id, study.split, study.ef_percent) == ("patient0001", "patient0001", None, 48)
    assert study.attributes.known() == {"age_years": 61, "sex": "F"}
    assert [clip.view for clip in study.clips] == [View.A2C, View.A4C]
    for clip in study.clips:
        np.testing.assert_array_equal(clip.frames, loop(10))
        assert clip.frame_rate_hz == pytest.approx(46.5)
        assert clip.quality == "medium"
        assert clip.crop is not None
        assert clip.crop.method == "whole"
        assert [notice.code for notice in clip.notices] == ["half-cycle"]
    assert [clip.view for clip in Camus(tmp_path / "database_nifti", views=["A4C"])[0].clips] == [View.A4C]


def test_a_sequence_stored_backwards_is_turned_round(tmp_path: Path) -> None:
    camus_patient(tmp_path, 1)
    camus_patient(tmp_path, 2, ED="10", ES="1")
    forward, backward = (study.clips[0].frames for study in Camus(tmp_path))
    np.testing.assert_array_equal(backward, forward[::-1])
    # Frames are stored ever brighter, so the last one stored is the brightest, and here it is ED.
    assert backward[0].mean() > backward[-1].mean()


def test_a_picture_is_transposed_not_turned(tmp_path: Path) -> None:
    camus_patient(tmp_path, 1)
    frames = loop(10, 40, 60)
    frames[:, :10, 50:] = 255  # top right
    nifti(tmp_path / "patient0001" / "patient0001_4CH_half_sequence.nii.gz", frames)
    np.testing.assert_array_equal(Camus(tmp_path, views=["A4C"])[0].clips[0].frames, frames)


def test_rows_and_columns_of_other_spacing_become_square(tmp_path: Path) -> None:
    camus_patient(tmp_path, 1)
    path = tmp_path / "patient0001" / "patient0001_4CH_half_sequence.nii.gz"
    nifti(path, loop(10, 40, 60), (0.15, 0.3, 1.0))
    clip = Camus(tmp_path, views=["A4C"])[0].clips[0]
    assert clip.frames.shape == (10, 80, 60)
    assert clip.crop is not None
    assert (clip.crop.height, clip.crop.width) == (80, 60)


@pytest.mark.parametrize(("rate", "said"), [("", 50), ("nan", 50), ("0", 50), ("5000", 50), ("n/a", 50), ("37", 37)])
def test_a_missing_frame_rate_is_assumed_and_said(tmp_path: Path, rate: str, said: float) -> None:
    camus_patient(tmp_path, 1, FrameRate=rate)
    clip = Camus(tmp_path)[0].clips[0]
    assert clip.frame_rate_hz == pytest.approx(said)
    assert ("frame-rate-assumed" in {notice.code for notice in clip.notices}) == (said == 50)


def test_fewer_than_five_frames_are_no_half_beat(tmp_path: Path) -> None:
    camus_patient(tmp_path, 1, count=4)
    camus_patient(tmp_path, 2, count=5)
    with pytest.raises(ClipTooShort, match="holds 4"):
        Camus(tmp_path)[0]
    assert len(Camus(tmp_path)[1].clips[0].frames) == 5


def test_a_missing_sequence_is_an_error_on_reading_only(tmp_path: Path) -> None:
    patient = camus_patient(tmp_path, 1)
    (patient / "patient0001_4CH_half_sequence.nii.gz").unlink()
    cohort = Camus(tmp_path)
    with pytest.raises(MissingFile, match="4CH_half_sequence"):
        cohort[0]
    assert Camus(tmp_path, views=["A2C"])[0].clips


@pytest.mark.parametrize(
    ("info", "code"),
    [
        ({"EF": "fair"}, "ef-not-a-number"),
        ({"Age": "old"}, "attribute-not-a-number"),
        ({"ED": ""}, "phases-unknown"),
        ({"ES": "last"}, "frame-not-a-number"),
    ],
)
def test_info_that_is_no_number_costs_its_study(tmp_path: Path, info: dict[str, str], code: str) -> None:
    camus_patient(tmp_path, 1, **info)
    camus_patient(tmp_path, 2)
    cohort = Camus(tmp_path)
    assert code in codes(cohort)
    assert cohort.entries[0].row == "patient0001/Info_2CH.cfg"
    if code in ("ef-not-a-number", "attribute-not-a-number"):
        with pytest.raises(BadRow):
            cohort[0]
    assert not codes(cohort, 1)


def test_a_missing_info_file_and_views_that_disagree(tmp_path: Path) -> None:
    (camus_patient(tmp_path, 1) / "Info_2CH.cfg").unlink()
    info = camus_patient(tmp_path, 2) / "Info_4CH.cfg"
    info.write_text(info.read_text().replace("EF: 48", "EF: 52"))
    cohort = Camus(tmp_path)
    assert codes(cohort) == ["no-info"]
    with pytest.raises(BadRow, match=r"Info_2CH\.cfg is missing"):
        cohort[0]
    assert codes(cohort, 1) == ["ef-disagrees"]
    assert cohort[1].ef_percent == 50


def test_the_older_release(tmp_path: Path) -> None:
    camus_patient(tmp_path / "training", 1, old=True, LVef="55.4", LVedv="100", LVesv="44.6", FrameRate="")
    camus_patient(tmp_path / "testing", 1, old=True, LVef="")
    (train,) = Camus(tmp_path, "train")
    assert (train.patient_id, train.ef_percent) == ("patient0001", 55.4)
    np.testing.assert_array_equal(train.clips[1].frames, loop(10))
    entry = Camus(tmp_path).entries[1]
    assert (entry.patient_id, entry.split, entry.ef_percent) == ("testing/patient0001", "test", None)
    first = Camus(tmp_path).entries[0]
    assert (first.edv_ml, first.esv_ml) == (100, 44.6)
    with pytest.raises(InvalidCohort, match="no study of split 'val'"):
        Camus(tmp_path, "val")


def test_an_older_sequence_of_other_spacing(tmp_path: Path) -> None:
    patient = camus_patient(tmp_path / "training", 1, old=True)
    mhd(patient / "patient0001_4CH_sequence.mhd", loop(10, 40, 60), ElementSpacing="0.308 0.154 1.5")
    assert Camus(tmp_path, views=["A4C"])[0].clips[0].frames.shape == (10, 40, 120)


def test_the_lists_split(tmp_path: Path) -> None:
    for number in (1, 2, 3, 4):
        camus_patient(tmp_path / "database_nifti", number)
    with pytest.raises(InvalidCohort, match="no lists of the splits"):
        Camus(tmp_path, "train")
    assert len(Camus(tmp_path)) == 4
    lists(tmp_path, [1, 2], [3], [4])
    for root in (tmp_path, tmp_path / "database_nifti"):
        assert [len(Camus(root, split)) for split in ("train", "val", "test")] == [2, 1, 1]
    with pytest.raises(InvalidCohort, match="no lists of fold 3"):
        Camus(tmp_path, "train", fold=3)


def test_a_patient_in_two_lists_is_a_leak(tmp_path: Path) -> None:
    camus_patient(tmp_path / "database_nifti", 1)
    lists(tmp_path, [1], [], [1])
    for split in (None, "train", "test"):
        with pytest.raises(PatientInTwoSplits, match=r"patient0001 \(test and train\)"):
            Camus(tmp_path, split)


@pytest.mark.parametrize("form", ["subGroup{fold}_{{}}.txt", "subgroup_{fold}_{{}}.txt", "SUBGROUP{fold}_{{}}.TXT"])
def test_each_patient_is_tested_on_once_over_the_folds(tmp_path: Path, form: str) -> None:
    numbers = list(range(1, 11))
    for number in numbers:
        patient = tmp_path / "database_nifti" / f"patient{number:04d}"
        patient.mkdir(parents=True)
        (patient / "Info_4CH.cfg").write_text("EF: 50\n")
    lists(tmp_path, numbers, [], [])  # the fixed lists must not leak into a fold
    for fold in numbers:
        val = fold % 10 + 1
        lists(tmp_path, [n for n in numbers if n not in (fold, val)], [val], [fold], form=form.format(fold=fold))
    tested: Counter[str] = Counter()
    for fold in numbers:
        parts = {s: {e.patient_id for e in Camus(tmp_path, s, fold=fold).entries} for s in ("train", "val", "test")}
        assert [len(part) for part in parts.values()] == [8, 1, 1]
        assert len(set.union(*parts.values())) == 10
        tested.update(parts["test"])
    assert set(tested.values()) == {1}
    assert len(tested) == 10


def test_what_is_no_camus(tmp_path: Path) -> None:
    with pytest.raises(InvalidCohort, match="no folder patientXXXX"):
        Camus(tmp_path)
    camus_patient(tmp_path, 1)
    with pytest.raises(InvalidConfig, match="asked for PSAX"):
        Camus(tmp_path, views=["PSAX"])


def test_phantoms_carry_their_true_ef(tmp_path: Path) -> None:
    camus_patient(tmp_path / "training", 1, old=True)
    camus_patient(tmp_path / "testing", 1, old=True)
    table(tmp_path / "Truth.csv", "Name,View,TrueEF", ["training/patient0001,A2C,40.5", "testing/patient0001,A2C,60.5"])
    assert [entry.true_ef_percent for entry in Camus(tmp_path).entries] == [40.5, 60.5]
