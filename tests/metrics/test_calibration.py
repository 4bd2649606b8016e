"""Calibration measures: right on calibrated forecasts, and moving the right way on others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from mcsdr.metrics.calibration import coverage, coverage_error, inside, mean_width, picp, pit_ks, qice, reliability

PERFECT = (np.arange(1000) + 0.5) / 1000
any_pit = hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1))


def test_a_uniform_pit_is_calibrated() -> None:
    np.testing.assert_allclose(coverage(PERFECT, [0.5, 0.8, 0.9]), [0.5, 0.8, 0.9], atol=1e-9)
    assert pit_ks(PERFECT) == pytest.approx(0.0005)
    assert qice(PERFECT) == pytest.approx(0, abs=1e-12)
    line = reliability(PERFECT)
    assert (line.slope, line.intercept) == (pytest.approx(1), pytest.approx(0, abs=1e-9))


@pytest.mark.parametrize(("ratio", "sign"), [(0.7, -1), (1.4, 1)])
def test_too_narrow_under_covers_and_too_wide_over_covers(ratio: float, sign: int) -> None:
    """Posterior SD = ratio·true SD: coverage of level λ is 2Φ(ratio·Φ⁻¹((1 + λ)/2)) − 1."""
    u = stats.norm.cdf(stats.norm.ppf(PERFECT) / ratio)
    expected = 2 * stats.norm.cdf(ratio * stats.norm.ppf(0.95)) - 1
    assert coverage(u, 0.9)[0] == pytest.approx(expected, abs=2e-3)
    assert sign * (coverage(u, 0.9)[0] - 0.9) > 0
    assert qice(u) > 0.01
    assert pit_ks(u) > 0.05


def test_coverage_error_by_hand_and_at_its_ends() -> None:
    levels = np.arange(5, 100, 5) / 100
    u = stats.norm.cdf(stats.norm.ppf(PERFECT) / 0.7)
    expected = np.mean([abs(np.mean(np.abs(u - 0.5) <= level / 2) - level) for level in levels])
    assert coverage_error(u) == pytest.approx(expected, abs=1e-12)
    assert coverage_error(PERFECT) == pytest.approx(0, abs=1e-9)
    assert coverage_error(np.full(9, 0.5)) == pytest.approx(0.5)
    assert coverage_error(np.zeros(9)) == pytest.approx(0.5)


def test_coverage_is_the_share_inside() -> None:
    u = np.array([0.05, 0.0499, 0.95, 0.5])
    assert inside(u, 0.9).tolist() == [True, False, True, True]
    assert coverage(u, [0.9])[0] == 0.75


@given(pit=any_pit)
def test_ks_is_scipys(pit: np.ndarray) -> None:
    assert pit_ks(pit) == pytest.approx(stats.kstest(pit, "uniform").statistic, abs=1e-12)


def test_qice_is_cards() -> None:
    """CARD counts labels between the sample quantiles 0, 10, …, 100 %, those outside in the outer bins."""
    rng = np.random.default_rng(0)
    draws, observed = rng.normal(0, 1, (300, 1001)), rng.normal(0.3, 1.5, 300)
    edges = np.quantile(draws, np.linspace(0, 1, 11), axis=1)
    member = np.clip((observed > edges).sum(axis=0), 1, 10)
    card = np.abs(np.bincount(member, minlength=11)[1:] / 300 - 0.1).mean()
    # The same sample quantiles as a distribution function, by linear interpolation between order statistics.
    pit = np.array(
        [np.interp(y, np.sort(row), np.linspace(0, 1, 1001)) for y, row in zip(observed, draws, strict=True)]
    )
    assert qice(pit) == pytest.approx(card, abs=1e-12)


@given(pit=any_pit)
def test_measures_stay_in_their_range(pit: np.ndarray) -> None:
    assert 0 <= qice(pit) <= 0.18 + 1e-12
    assert 0 < pit_ks(pit) <= 1
    assert (np.diff(coverage(pit, [0.1, 0.5, 0.9])) >= 0).all()


def test_intervals() -> None:
    lower, upper = np.array([40.0, 50.0]), np.array([50.0, 70.0])
    assert picp(lower, upper, [50.0, 71.0]) == 0.5
    assert mean_width(lower, upper) == 15


def test_what_is_no_pit_is_refused() -> None:
    for wrong in ([], [1.2], [float("nan")], [[0.5]]):
        with pytest.raises(ValueError, match="pit"):
            pit_ks(wrong)
    with pytest.raises(ValueError, match="lower"):
        picp([1.0], [2.0], [1.0, 2.0])
