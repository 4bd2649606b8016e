"""Kinds of patients: the right rows in each, and no figure where there are too few."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mcsdr.metrics.bootstrap import cluster_bootstrap_mean
from mcsdr.metrics.subgroups import LEAST_PATIENTS, age_band, ef_band, subgroups, true_ef_band

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("age", "band"),
    [(0, "<1"), (0.99, "<1"), (1, "1–12"), (12.9, "1–12"), (13, "13–17"), (18, "18–44"), (64.5, "45–64"), (65, "≥65")],
)
def test_ages_by_completed_years(age: float, band: str) -> None:
    assert age_band(age) == band


@pytest.mark.parametrize(
    ("ef", "band"), [(30, "≤30"), (30.1, "31–40"), (40, "31–40"), (40.1, "41–49"), (49.9, "41–49"), (50, "≥50")]
)
def test_ejection_fractions_by_their_inequalities(ef: float, band: str) -> None:
    assert ef_band(ef) == band


@pytest.mark.parametrize(("ef", "band"), [(29.9, "<30"), (30, "30–40"), (40, "40–50"), (59.9, "50–60"), (60, "≥60")])
def test_true_ejection_fractions_in_tens(ef: float, band: str) -> None:
    assert true_ef_band(ef) == band


def test_what_is_not_known_is_called_so() -> None:
    assert age_band(math.nan) == ef_band(math.nan) == true_ef_band(math.nan) == "unknown"


def test_each_group_is_measured_on_its_own_rows() -> None:
    sex, patients, error = RNG.choice(["F", "M", "unknown"], 300), RNG.integers(0, 200, 300), RNG.normal(0, 4, 300)
    groups = list(subgroups("sex", sex.tolist(), ("M", "F"), patients, {"MAE": np.abs(error)}, resamples=50))
    assert [group.group for group in groups] == ["M", "F", "unknown"]
    assert sum(group.studies for group in groups) == 300
    for group in groups:
        mine = sex == group.group
        assert group.patients == len(set(patients[mine]))
        assert group.measures["MAE"] == cluster_bootstrap_mean(patients[mine], np.abs(error[mine]), resamples=50)


def test_patients_count_and_not_their_clips() -> None:
    """Nineteen patients with ten clips each are no evidence; twenty with one clip each are."""
    labels = ["few"] * 190 + ["enough"] * 20
    patients = [i // 10 for i in range(190)] + list(range(1000, 1020))
    enough, few = subgroups("views", labels, (), patients, {"MAE": np.ones(210)}, resamples=20)
    assert LEAST_PATIENTS == 20
    assert (few.patients, few.has_evidence, dict(few.measures)) == (19, False, {})
    assert (enough.patients, enough.has_evidence) == (20, True)
