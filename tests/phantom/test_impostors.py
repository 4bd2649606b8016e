"""Impostors are the same whenever they are asked for, differ from one another, and name their family."""

from __future__ import annotations

import numpy as np
import pytest

from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.phantom.impostors import FAMILIES, HELD_OUT, ImpostorCohort
from mcsdr.phantom.strangers import WithStrangers
from mcsdr.study import View


@pytest.mark.parametrize("family", [*FAMILIES, "PSAX", "PLAX"])
def test_a_family(family: str) -> None:
    cohort = ImpostorCohort(2, 7, (family,), frames=12)
    first, second = cohort[0].clips[0], cohort[1].clips[0]
    assert first.frames.shape == (12, 112, 112)
    assert first.frames.dtype == np.uint8
    assert family in first.source
    assert first.view == (View.UNKNOWN if family in FAMILIES else View(family))
    assert first.duration_s == pytest.approx(12 / 25)
    assert np.array_equal(first.frames, ImpostorCohort(1, 7, (family,), frames=12)[0].clips[0].frames)
    if family != "black":
        assert not np.array_equal(first.frames, second.frames)
        assert not np.array_equal(first.frames, ImpostorCohort(1, 8, (family,), frames=12)[0].clips[0].frames)


def test_held_out_families_teach_nobody() -> None:
    taught = {ImpostorCohort(40, 1).family(index) for index in range(40)}
    strangers = WithStrangers(PhantomCohort(4, 1), 0.5).impostors
    assert taught.isdisjoint(HELD_OUT)
    assert set(strangers.families).isdisjoint(HELD_OUT)
    assert taught == set(strangers.families)


def test_a_pulsing_still_is_one_picture_of_changing_size() -> None:
    """It moves from frame to frame, and is about as bright throughout."""
    film = ImpostorCohort(1, 3, ("pulsing-still",), frames=25)[0].clips[0].frames.astype(float)
    assert np.abs(np.diff(film, axis=0)).mean(axis=(1, 2)).max() > 1
    assert film.mean(axis=(1, 2)).std() < 0.2 * film.mean()


def test_families_take_turns() -> None:
    cohort = ImpostorCohort(5, 1, ("text", "scene"), frames=4)
    assert [cohort.family(i) for i in range(5)] == ["text", "scene", "text", "scene", "text"]
    assert [study.study_id.split("-")[1] for study in cohort[1:3]] == ["scene", "text"]
    assert len(list(cohort)) == 5
    with pytest.raises(ValueError, match="nonsense"):
        ImpostorCohort(1, 1, ("nonsense",))
