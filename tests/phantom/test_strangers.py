"""Clips that tell nothing: the person's attributes are all that is left, and what they say is known."""

from __future__ import annotations

import numpy as np
import pytest

from mcsdr.datasets import CohortSpec, open_cohort
from mcsdr.errors import InvalidConfig
from mcsdr.phantom import people
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.phantom.strangers import WithStrangers, prior
from mcsdr.study import View

COHORT = PhantomCohort(400, 5, appearance="varied")


def test_the_share_is_what_was_asked_for_and_the_others_are_as_they_were() -> None:
    mixed = WithStrangers(COHORT, 0.2)
    strange = [mixed.is_stranger(index) for index in range(len(mixed))]
    assert abs(np.mean(strange) - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 400)
    index = strange.index(False)
    assert (mixed[index].clips[0].frames == COHORT[index].clips[0].frames).all()
    assert mixed[index].known_posterior is None


def test_a_stranger_keeps_its_person_and_not_the_heart() -> None:
    mixed = WithStrangers(COHORT, 0.9)
    for index in [index for index in range(40) if mixed.is_stranger(index)][:12]:
        study, own = mixed[index], COHORT.person(index)
        assert study.attributes == own.attributes
        assert study.true_ef_percent == own.true_ef_percent
        assert study.clips[0].view != View.A4C
        assert study.clips[0].frames.shape == (32, 112, 112)
        assert study.known_posterior is not None


def test_its_known_posterior_is_the_prior() -> None:
    person = COHORT.person(3).attributes
    known = prior(person)
    draws = np.random.default_rng(0).choice(known.ef_percent, 40_000)
    readings = draws + known.reader_sd * np.random.default_rng(1).standard_normal(40_000)
    exact = people.reading_cdf(person)
    empirical = np.searchsorted(np.sort(readings), people.GRID) / len(readings)
    assert np.abs(empirical - exact).max() < 0.025


def test_strangers_are_named_in_a_cohort() -> None:
    spec = CohortSpec(kind="phantom", n=30, seed=5, appearance="varied", strangers=0.5)
    assert isinstance(open_cohort(spec), WithStrangers)
    assert "50 % strangers" in spec.describe()
    with pytest.raises(InvalidConfig, match="strangers"):
        open_cohort(CohortSpec(kind="phantom", n=30, seed=5, ambiguity="control", strangers=0.5))
