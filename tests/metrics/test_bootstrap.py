"""Bootstrap intervals cover, and clustered rows widen them."""

from __future__ import annotations

import numpy as np
import pytest

from mcsdr.metrics.bootstrap import cluster_bootstrap, cluster_bootstrap_mean
from mcsdr.metrics.point import rmse

RNG = np.random.default_rng(0)
PATIENTS = np.sort(RNG.integers(0, 60, 200))
ERRORS = RNG.normal(1, 4, 200)


def mean(x: np.ndarray) -> float:
    return float(x.mean())


def test_the_fast_mean_is_the_general_bootstrap() -> None:
    order = RNG.permutation(200)
    general = cluster_bootstrap(mean, PATIENTS[order], ERRORS[order], resamples=300, seed=7)
    fast = cluster_bootstrap_mean(PATIENTS[order], ERRORS[order], resamples=300, seed=7)
    assert general == pytest.approx(fast, rel=1e-12)
    assert fast.estimate == pytest.approx(ERRORS.mean())


def test_seeded() -> None:
    runs = [cluster_bootstrap_mean(PATIENTS, ERRORS, resamples=200, seed=seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_rows_of_a_patient_travel_together() -> None:
    """Two patients with equal rows each: a resample's mean is one of three values, never another."""
    seen: set[float] = set()

    def note(x: np.ndarray, patient: np.ndarray) -> float:
        assert set(np.bincount(patient, minlength=2)) <= {0, 5, 10}
        seen.add(mean(x))
        return mean(x)

    patients = np.array([1, 0] * 5)
    cluster_bootstrap(note, patients, patients.astype(float), patients, resamples=50)
    assert seen == {0.0, 0.5, 1.0}


def test_repeating_every_clip_does_not_narrow_the_interval() -> None:
    """Ten copies of each clip hold no new information; a bootstrap over rows would claim a third of the width."""
    once = cluster_bootstrap_mean(np.arange(80), ERRORS[:80], resamples=500)
    tenfold = cluster_bootstrap_mean(np.repeat(np.arange(80), 10), np.repeat(ERRORS[:80], 10), resamples=500)
    rows = cluster_bootstrap_mean(np.arange(800), np.repeat(ERRORS[:80], 10), resamples=500)
    assert tenfold == pytest.approx(once)
    assert (rows.upper - rows.lower) < 0.4 * (once.upper - once.lower)


def test_the_width_is_that_of_the_standard_error() -> None:
    x = RNG.normal(0, 1, 400)
    interval = cluster_bootstrap_mean(np.arange(400), x, resamples=4000)
    assert interval.upper - interval.lower == pytest.approx(2 * 1.96 * x.std() / 20, rel=0.06)


def test_the_interval_covers_as_often_as_it_says() -> None:
    hits = 0
    for trial in range(200):
        patient_effect = np.random.default_rng(trial).normal(0, 1, 40)
        x = np.repeat(patient_effect, 3) + np.random.default_rng(1000 + trial).normal(0, 0.5, 120)
        interval = cluster_bootstrap_mean(np.repeat(np.arange(40), 3), x, resamples=200, level=0.9, seed=trial)
        hits += interval.lower <= 0 <= interval.upper
    assert 0.83 < hits / 200 < 0.95


def test_any_statistic_of_several_arrays() -> None:
    observed = RNG.normal(55, 10, 200)
    interval = cluster_bootstrap(rmse, PATIENTS, observed + ERRORS, observed, resamples=100)
    assert interval.lower < interval.estimate == rmse(observed + ERRORS, observed) < interval.upper


def test_resamples_without_the_statistic_are_left_out() -> None:
    """The share of events among those with one, NaN where a resample drew none; and a statistic that is never there."""
    events = np.r_[1.0, np.zeros(9)]

    def of_events(x: np.ndarray) -> float:
        return float(x.sum() / (x > 0).sum()) if x.any() else float("nan")

    assert cluster_bootstrap(of_events, np.arange(10), events, resamples=100) == (1, 1, 1)
    assert np.isnan(cluster_bootstrap(of_events, np.arange(10), np.zeros(10), resamples=20)).all()


def test_rows_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="same length"):
        cluster_bootstrap_mean(PATIENTS[:-1], ERRORS)
    with pytest.raises(ValueError, match="same length"):
        cluster_bootstrap(mean, [], np.array([]))


def test_an_interval_always_holds_its_estimate() -> None:
    """KS and its like grow with the noise of every resample; the percentile interval alone would lie above them."""
    pit = (np.arange(60) + 0.5) / 60
    groups = np.arange(60)

    def distance(u: np.ndarray) -> float:
        u = np.sort(u)
        return float(np.abs(u - (np.arange(len(u)) + 0.5) / len(u)).max())

    found = cluster_bootstrap(distance, groups, pit, resamples=200)
    assert 0 <= found.lower <= found.estimate <= found.upper
    assert found.estimate < 0.01
    shifted = cluster_bootstrap(lambda x: float(x.mean()) - 5, groups, pit, resamples=200)
    assert shifted.lower < shifted.estimate < shifted.upper < 0  # one that is not biased is left as it was
