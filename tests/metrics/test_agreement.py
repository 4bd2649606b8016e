"""Agreement: against scipy, against simulation, and what each measure does not see."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mcsdr.metrics.agreement import (
    bland_altman,
    concordance,
    lower_limit,
    pearson_r,
    sd_of_differences,
    slope,
    upper_limit,
)

RNG = np.random.default_rng(0)
READ = RNG.normal(55, 12, 300)
PREDICTED = 0.8 * READ + 9 + RNG.normal(0, 5, 300)


def test_pearson_is_scipys() -> None:
    assert pearson_r(PREDICTED, READ) == pytest.approx(stats.pearsonr(PREDICTED, READ).statistic, abs=1e-12)


def test_concordance_is_lins() -> None:
    """ρ_c = r·C_b with C_b = 2/(v + 1/v + u²), v the ratio of SDs, u the mean difference over their geometric mean."""
    s_p, s_y = PREDICTED.std(), READ.std()
    v, u = s_p / s_y, (PREDICTED.mean() - READ.mean()) / math.sqrt(s_p * s_y)
    expected = stats.pearsonr(PREDICTED, READ).statistic * 2 / (v + 1 / v + u**2)
    assert concordance(PREDICTED, READ) == pytest.approx(expected, abs=1e-12)


def test_slope_is_the_least_squares_line() -> None:
    assert slope(PREDICTED, READ) == pytest.approx(stats.linregress(READ, PREDICTED).slope, abs=1e-12)
    assert math.isnan(slope([50.0, 60.0], [40.0, 40.0]))


def test_a_constant_error_costs_concordance_but_not_correlation() -> None:
    assert pearson_r(READ + 10, READ) == pytest.approx(1)
    assert concordance(READ + 10, READ) < 0.8
    assert concordance(READ, READ) == pytest.approx(1)


def test_constants_have_neither() -> None:
    assert math.isnan(pearson_r([50.0, 50.0], [40.0, 60.0]))
    assert math.isnan(concordance([50.0, 50.0], [50.0, 50.0]))


def test_limits_of_agreement_by_hand() -> None:
    d = PREDICTED - READ
    found = bland_altman(PREDICTED, READ)
    assert found.bias == pytest.approx(d.mean())
    assert found.sd == pytest.approx(d.std(ddof=1)) == sd_of_differences(PREDICTED, READ)
    assert (found.lower, found.upper) == pytest.approx((d.mean() - 1.96 * found.sd, d.mean() + 1.96 * found.sd))
    assert (lower_limit(PREDICTED, READ), upper_limit(PREDICTED, READ)) == pytest.approx((found.lower, found.upper))


@pytest.mark.parametrize("n", [5, 12, 40, 300])
def test_the_intervals_are_bland_and_altmans(n: int) -> None:
    found, t = bland_altman(PREDICTED[:n], READ[:n]), stats.t.ppf(0.975, n - 1)
    of_bias = t * found.sd / math.sqrt(n)
    of_limit = t * found.sd * math.sqrt(1 / n + 1.96**2 / (2 * (n - 1)))
    for centre, half, interval in (
        (found.bias, of_bias, found.bias_interval),
        (found.lower, of_limit, found.lower_interval),
        (found.upper, of_limit, found.upper_interval),
    ):
        low, high = interval
        assert (low + high) / 2 == pytest.approx(centre)
        assert (high - low) / 2 == pytest.approx(half, rel=3e-3)


def test_the_interval_of_a_limit_holds_it_as_often_as_it_says() -> None:
    """Differences N(1, 4²): the true upper limit is 1 + 1.96·4."""
    hits = 0
    for _ in range(2000):
        low, high = bland_altman(RNG.normal(1, 4, 60), np.zeros(60)).upper_interval
        hits += low <= 1 + 1.96 * 4 <= high
    assert 0.93 < hits / 2000 < 0.97


def test_what_cannot_be_compared_is_refused() -> None:
    for predicted, observed in (([], []), ([1.0], [1.0, 2.0]), ([math.nan, 1.0], [1.0, 2.0])):
        with pytest.raises(ValueError, match="must be"):
            bland_altman(predicted, observed)
