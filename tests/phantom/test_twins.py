"""Twins differ in the ejection fraction alone, or share it alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mcsdr.datasets import CohortSpec, open_cohort
from mcsdr.errors import InvalidConfig
from mcsdr.phantom import heart, ranges
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.phantom.contraction import moment
from mcsdr.phantom.twins import LEAST, TwinCohort, twin
from mcsdr.study import View

COHORT = PhantomCohort(12, 4, frames=6, appearance="varied", population="flat")


def test_twins_apart_have_everything_alike_but_the_ejection_fraction() -> None:
    pairs = TwinCohort(COHORT, "apart")
    for k in range(12):
        first, second = pairs.person(2 * k), pairs.person(2 * k + 1)
        assert abs(first.true_ef_percent - second.true_ef_percent) >= LEAST
        assert 100 * second.parameters["ef"] == pytest.approx(second.true_ef_percent)
        rows = [name for name in first.parameters if np.any(first.parameters[name] != second.parameters[name])]
        assert set(rows) <= {"ef", "shortening"}
        assert first.attributes == second.attributes
        assert (first.texture == second.texture).all()
        psax = [one.recording(View.PSAX).parameters["ef"] for one in (first, second)]
        assert psax[0] != psax[1]


def test_twins_are_the_same_picture_at_end_diastole() -> None:
    person = COHORT.person(2)
    other = twin(person, 20.0 if person.true_ef_percent > 40 else 65.0)
    for one in (person, other):
        one.parameters.update({"phase": 0.0, "rr_spread": 0.0, "persistence_s": 0.0, "h264": 0.0})
    first, second = (study.clips[0].frames.astype(float) for study in COHORT.studies([person, other]))
    assert np.abs(first[0] - second[0]).mean() < 0.5
    assert np.abs(first - second)[3:].mean() > 3 * np.abs(first[0] - second[0]).mean() + 0.2


def test_twins_have_the_volumes_that_they_should() -> None:
    person = COHORT.person(5)
    for ef in (12.0, 45.0, 75.0):
        p = ranges.stack([twin(person, ef).parameters | {"phase": 0.0}], torch.device("cpu"))
        edv, esv = heart.volumes_ml(p)
        assert 100 * (1 - (esv / edv).item()) == pytest.approx(ef, abs=1e-3)
        assert edv.item() == pytest.approx(COHORT.volumes_ml(5)[0], rel=1e-5)
        assert moment(p, torch.zeros(1, 1, 1))[2].item() > 0


def test_twins_alike_share_person_and_ejection_fraction_and_nothing_of_the_picture() -> None:
    pairs = TwinCohort(COHORT, "alike")
    first, second = pairs.person(6), pairs.person(7)
    assert first.true_ef_percent == second.true_ef_percent
    assert first.reading_percent == second.reading_percent
    assert first.attributes == second.attributes
    assert first.parameters["length_mm"] != second.parameters["length_mm"]
    assert first.parameters["phase"] != second.parameters["phase"]


def test_pairs_lie_side_by_side_and_share_their_patient() -> None:
    spec = CohortSpec(kind="phantom", n=3, seed=4, appearance="varied", population="flat", twins="apart")
    cohort = open_cohort(spec)
    assert len(cohort) == 6
    first, second = cohort[2:4]
    assert first.patient_id == second.patient_id
    assert second.study_id == f"{first.study_id}-twin"
    assert "twins apart" in spec.describe()


def test_plain_phantoms_have_no_twins() -> None:
    with pytest.raises(InvalidConfig, match="twins"):
        TwinCohort(PhantomCohort(2, 1), "apart")
