"""A phantom is a function of (seed, index): whatever the batch, the order or the length of the cohort."""

from __future__ import annotations

import numpy as np
import pytest

from mcsdr.phantom import people, ultrasound
from mcsdr.phantom.cohort import PhantomCohort, draw_person
from mcsdr.study import Attributes


def test_the_same_study_alone_in_a_batch_and_in_a_longer_cohort() -> None:
    short, long = PhantomCohort(6, seed=5, frames=8), PhantomCohort(60, seed=5, frames=8)
    batch = short.batch([4, 1, 5])
    alone = long[1]
    assert np.array_equal(batch[1].clips[0].frames, alone.clips[0].frames)
    assert batch[1].ef_percent == alone.ef_percent
    assert batch[1].attributes == alone.attributes
    assert alone.clips[0].frames.shape == (8, ultrasound.SIZE, ultrasound.SIZE)


def test_other_seeds_and_indices_are_other_people() -> None:
    people_seen = {draw_person(seed, index).true_ef_percent for seed in (1, 2) for index in range(20)}
    assert len(people_seen) == 40


def test_longer_clips_begin_like_shorter_ones() -> None:
    frames = [PhantomCohort(1, seed=9, frames=n)[0].clips[0].frames for n in (8, 12)]
    assert np.array_equal(frames[0], frames[1][:8])


def test_clips_at_the_rate_of_the_machine() -> None:
    study = PhantomCohort(2, seed=3, sampling_hz=None, seconds=0.6)[1]
    clip = study.clips[0]
    rate = round(draw_person(3, 1).parameters["frame_rate_hz"])
    assert clip.frame_rate_hz == pytest.approx(rate)
    assert clip.duration_s == pytest.approx(0.6, abs=1 / rate)


def test_blood_boils_and_tissue_moves() -> None:
    """Speckle is new in each frame in blood and carried along in tissue; both are textured, the outside is black."""
    clip = PhantomCohort(40, seed=11, frames=8)[7].clips[0].frames.astype(float)
    assert clip.std() > 10
    assert (clip[:, -1, 0] == 0).all()
    assert (clip[:, -1, -1] == 0).all()
    change = np.abs(np.diff(clip, axis=0)).mean(0)
    assert change[clip.mean(0) > 20].mean() > 1


def test_true_ejection_fractions_follow_the_prior_of_their_person() -> None:
    """The probability integral transform of the truth under p(E | A) is uniform."""
    drawn = [draw_person(21, index) for index in range(1500)]
    levels = []
    for person in drawn:
        density = people.prior_density(person.attributes)
        cumulative = np.cumsum(density) * (people.GRID[1] - people.GRID[0])
        levels.append(np.interp(person.true_ef_percent, people.GRID, cumulative))
    levels = np.sort(levels)
    assert np.abs(levels - (np.arange(1500) + 0.5) / 1500).max() < 1.63 / np.sqrt(1500)


def test_readings_follow_the_known_distribution_of_readings() -> None:
    person = Attributes(71, "M", 96.0, 174.0)
    rng = np.random.default_rng(0)
    readings = np.sort([people.draw_reading(people.draw_true_ef(person, rng), rng) for _ in range(4000)])
    known = np.interp(readings, people.GRID, people.reading_cdf(person))
    assert np.abs(known - (np.arange(4000) + 0.5) / 4000).max() < 1.63 / np.sqrt(4000)


def test_prior_needs_a_whole_person() -> None:
    with pytest.raises(ValueError, match="age, sex, weight and height"):
        people.prior_density(Attributes(60, "F"))
