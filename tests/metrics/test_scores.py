"""CRPS against closed forms and scoringrules, and what each estimator may be used for."""

from __future__ import annotations

import numpy as np
import pytest
import scoringrules

from mcsdr.metrics.scores import CRPS_ESTIMATORS, crps_draws, crps_of, crps_quantile_table, nll
from mcsdr.posterior import Posterior, quantile_nodes
from mcsdr.posterior.normal import normal_quantile

Z = quantile_nodes()
RNG = np.random.default_rng(0)


def test_quantile_table_matches_the_definition() -> None:
    """∫ (F(t) − 1{t ≥ y})² dt on a fine grid, for a skewed and a two-peaked table."""
    tables = np.stack([20 + 50 / (1 + np.exp(-1.5 * Z)), 45 + 12 * np.tanh(3 * Z) + Z])
    t = np.linspace(0, 100, 200_001)
    middle = 0.5 * (t[1:] + t[:-1])
    for observed in ([30.0, 45.0], [70.0, 33.0], [5.0, 95.0]):
        crps = crps_quantile_table(Z, tables, observed)
        F = Posterior.from_nodes(Z, tables).cdf(middle)
        step = middle >= np.asarray(observed)[:, None]
        np.testing.assert_allclose(crps, ((F - step) ** 2).sum(axis=1) * (t[1] - t[0]), rtol=2e-5)


def test_quantile_table_of_a_narrow_normal_is_the_closed_form() -> None:
    """The tails of the table go on in logit, so a normal in y is met to a few parts in ten thousand."""
    observed = np.array([44.0, 50.0, 53.0, 61.0])
    crps = crps_quantile_table(Z, np.tile(50 + 4 * Z, (4, 1)), observed)
    np.testing.assert_allclose(crps, scoringrules.crps_normal(observed, 50.0, 4.0), rtol=3e-4)


def test_a_batch_and_a_single_posterior_score_alike() -> None:
    posterior = Posterior.from_nodes(Z, np.stack([50 + 4 * Z, 40 + 6 * Z]))
    both = crps_of(posterior, [48.0, 48.0])
    assert both.shape == (2,)
    np.testing.assert_allclose(crps_of(posterior[1], 48.0), both[1:])


@pytest.mark.parametrize(("ours", "theirs"), [("fair", "fair"), ("paper", "nrg")])
def test_draws_match_scoringrules(ours: str, theirs: str) -> None:
    draws, observed = RNG.normal(50, 8, (30, 40)), RNG.normal(50, 8, 30)
    expected = scoringrules.crps_ensemble(observed, draws, estimator=theirs)
    np.testing.assert_allclose(crps_draws(draws, observed, ours), expected, rtol=1e-10)


def test_the_papers_convention_is_too_high_by_the_mean_difference_over_k() -> None:
    draws, observed = RNG.normal(50, 8, (30, 40)), RNG.normal(50, 8, 30)
    half_mean_difference = 0.5 * np.abs(draws[:, :, None] - draws[:, None, :]).sum(axis=(1, 2)) / (40 * 39)
    excess = crps_draws(draws, observed, "paper") - crps_draws(draws, observed, "fair")
    np.testing.assert_allclose(excess, half_mean_difference / 40, rtol=1e-10)


def test_fair_is_unbiased_for_iid_draws_and_paper_is_not() -> None:
    """Posterior N(50, 8²) at y = 50: true CRPS against the mean over 20,000 ensembles of 5."""
    draws, observed = RNG.normal(50, 8, (20_000, 5)), np.full(20_000, 50.0)
    truth = float(scoringrules.crps_normal(50.0, 50.0, 8.0))
    fair = crps_draws(draws, observed, "fair")
    assert fair.mean() == pytest.approx(truth, abs=3 * fair.std() / 20_000**0.5)
    assert crps_draws(draws, observed, "paper").mean() == pytest.approx(truth + 8 / np.pi**0.5 / 5, rel=0.02)


@pytest.mark.parametrize("N", [10, 20, 40])
def test_fair_is_too_low_on_equal_mass_nodes(N: int) -> None:
    """N quantile nodes are not iid: 1/N² is right on them, "fair" is off by −½E|Y − Y'|/N."""
    nodes = 50 + 8 * normal_quantile((np.arange(N) + 0.5) / N)[None]
    truth = float(scoringrules.crps_normal(53.0, 50.0, 8.0))
    sharpness = 8 / np.pi**0.5
    assert crps_draws(nodes, [53.0], "paper")[0] == pytest.approx(truth, abs=0.15 * sharpness / N)
    assert crps_draws(nodes, [53.0], "fair")[0] - truth == pytest.approx(-sharpness / N, rel=0.15)


def test_the_true_posterior_scores_best_on_average() -> None:
    observed = RNG.normal(50, 6, 4000)

    def score(mean: float, sd: float) -> float:
        return float(crps_quantile_table(Z, np.tile(mean + sd * Z, (4000, 1)), observed).mean())

    best = score(50, 6)
    assert best < min(score(52, 6), score(50, 4.5), score(50, 8))


def test_nll() -> None:
    posterior = Posterior.from_nodes(Z, np.stack([50 + 4 * Z, 40 + 6 * Z]))
    assert nll(posterior.log_density([52.0, 41.0])) == pytest.approx(
        -0.5 * (np.log(posterior[0].density(52.0)) + np.log(posterior[1].density(41.0)))
    )
    assert nll([0.0, -np.inf]) == np.inf


def test_what_cannot_be_scored_is_refused() -> None:
    assert CRPS_ESTIMATORS == ("quantile-table", "fair", "paper")
    with pytest.raises(ValueError, match="estimator"):
        crps_draws(np.zeros((2, 3)), [0, 0], "pwm")
    with pytest.raises(ValueError, match="draws"):
        crps_draws(np.zeros((2, 1)), [0, 0])
    with pytest.raises(ValueError, match="NaN"):
        nll([float("nan")])


@pytest.mark.parametrize("label", [0.0, 100.0])
def test_a_label_at_an_end_has_a_score(label: float) -> None:
    """CRPS = E|Y − y| − ½ E|Y − Y'|, and E|Y − 0| is the mean."""
    posterior = Posterior.from_nodes(quantile_nodes(), 40 + 6 * quantile_nodes())
    expected = abs(posterior.mean - label) - posterior.half_mean_difference
    assert crps_of(posterior, label) == pytest.approx(expected, abs=1e-6)
