"""The heart's own posterior: a reader's error taken out, against posteriors that are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from mcsdr.errors import InvalidConfig
from mcsdr.posterior import Posterior, heart_of, quantile_nodes
from mcsdr.posterior.deconvolution import CENTRES, heart_shares, reader_error

SIGMA = 4.0
LEVELS = [0.05, 0.5, 0.95]
CASES = {  # weight, mean and SD of the heart's posterior
    "one peak": [(1.0, 55.0, 4.8)],
    "two peaks": [(0.6, 34.0, 3.0), (0.4, 54.0, 3.0)],
    "skew": [(0.7, 60.0, 3.0), (0.3, 50.0, 6.0)],
    "narrow": [(1.0, 60.0, 1.5)],
}


def table_of(parts: list[tuple[float, float, float]], error: float = 0.0) -> tuple[Posterior, np.ndarray]:
    """A mixture with a reader's error on it, as a table; and its quantiles at LEVELS."""
    y = np.linspace(-20, 120, 20001)
    F = sum(w * norm.cdf(y, m, np.hypot(s, error)) for w, m, s in parts)
    return Posterior.from_nodes(quantile_nodes(), np.interp(norm.cdf(quantile_nodes()), F, y)), np.interp(LEVELS, F, y)


@pytest.mark.parametrize("name", CASES)
def test_it_finds_the_heart_s_posterior_of_a_known_report(name: str) -> None:
    (report, _), (exact, ends) = table_of(CASES[name], SIGMA), table_of(CASES[name])
    heart = heart_of(report, SIGMA)
    assert heart.quantile(LEVELS) == pytest.approx(ends, abs=0.45)
    low, high = heart.interval(0.9)
    assert exact.prob_between(low, high) == pytest.approx(0.9, abs=0.02)  # it covers the truth as often as it says
    assert report.prob_between(*report.interval(0.9)) == pytest.approx(0.9, abs=1e-6)


def test_a_report_s_interval_covers_the_truth_too_often_and_the_heart_s_does_not() -> None:
    """Hearts N(55, 5²) seen exactly as well as their posterior says, over 4,000 patients."""
    rng = np.random.default_rng(3)
    centre = 55 + 8 * rng.standard_normal(4000)
    truth = centre + 4.8 * rng.standard_normal(4000)
    z = quantile_nodes()
    report = Posterior.from_nodes(z, np.clip(centre, 15, 90)[:, None] + np.hypot(4.8, SIGMA) * z)
    inside = [
        np.mean((np.asarray(low) <= truth) & (truth <= np.asarray(high)))
        for low, high in (report.interval(0.9), heart_of(report, SIGMA).interval(0.9))
    ]
    assert inside[0] > 0.95
    assert inside[1] == pytest.approx(0.9, abs=0.02)


def test_what_is_taken_out_comes_back_when_it_is_put_in() -> None:
    report, _ = table_of(CASES["two peaks"], SIGMA)
    again = np.cumsum(heart_shares(report, SIGMA) @ reader_error(SIGMA), axis=1)[0]
    assert again == pytest.approx(np.asarray(report.cdf(CENTRES + 0.25)), abs=0.004)


def test_no_error_changes_nothing_and_nonsense_is_refused() -> None:
    report, _ = table_of(CASES["one peak"], SIGMA)
    assert heart_of(report, 0.0) is report
    with pytest.raises(InvalidConfig, match="EF points"):
        heart_of(report, 40)
    sure = Posterior.from_nodes(quantile_nodes(), 60 + 2.0 * quantile_nodes())  # surer than any reader
    assert 0.2 < heart_of(sure, SIGMA).sd < 2.0
