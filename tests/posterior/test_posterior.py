"""What a posterior promises: it is a distribution on (0, 100), and its table is the one asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from mcsdr.diffusion.closed_form import GaussianMixture
from mcsdr.errors import InvalidConfig
from mcsdr.posterior import Posterior, prob_change, quantile_nodes
from mcsdr.posterior.normal import normal_cdf, normal_quantile
from mcsdr.posterior.pooling import pooled

Z = quantile_nodes()
LEVELS = np.linspace(0.001, 0.999, 999)
SKEWED = GaussianMixture.of((0.6, 24, 3), (0.4, 31, 6))
TWO_PEAKS = GaussianMixture.of((0.5, 36, 4), (0.5, 54, 4))


def true_quantile(mixture: GaussianMixture, level: np.ndarray) -> np.ndarray:
    return mixture.quantile(torch.from_numpy(np.asarray(level)))[0].numpy()


def table(mixture: GaussianMixture) -> Posterior:
    return Posterior.from_nodes(Z, true_quantile(mixture, normal_cdf(Z)))


def logit_normal(mean: float, sd: float, z: np.ndarray) -> np.ndarray:
    return 100 / (1 + np.exp(-(mean + sd * z)))


any_table = hnp.arrays(np.float64, (2, len(Z)), elements=st.floats(0, 100))


# --- a distribution on (0, 100), whatever the table ------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(y=any_table)
def test_quantiles_ascend_inside_the_range(y: np.ndarray) -> None:
    posterior = Posterior.from_nodes(Z, y)
    quantiles = posterior.quantile(LEVELS)
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert ((quantiles > 0) & (quantiles < 100)).all()
    assert (posterior.mean > 0).all()
    assert (posterior.mean < 100).all()
    assert (posterior.sd > 0).all()


@settings(max_examples=60, deadline=None)
@given(y=any_table)
def test_the_distribution_function_inverts_the_quantiles(y: np.ndarray) -> None:
    posterior = Posterior.from_nodes(Z, y)
    for study in posterior[0], posterior[1]:
        q = study.quantile(LEVELS)
        separate = np.concatenate([[True], np.diff(q) > 1e-9])
        separate &= (q > 1e-6) & (q < 100 - 1e-6)  # nearer to an end a float no longer tells neighbours apart
        np.testing.assert_allclose(study.cdf(q)[separate], LEVELS[separate], atol=1e-6)
    assert (posterior.cdf(0.0) == 0).all()
    assert (posterior.cdf(100.0) == 1).all()


@pytest.mark.parametrize(
    "posterior",
    [table(SKEWED), table(TWO_PEAKS), Posterior.from_draws(TWO_PEAKS.sample(40, torch.Generator().manual_seed(0))[0])],
    ids=["skewed", "two peaks", "draws"],
)
def test_the_density_is_the_derivative_and_integrates_to_one(posterior: Posterior) -> None:
    edges = posterior.quantile(normal_cdf(np.union1d(np.linspace(-5, 5, 20_001), posterior.z)))
    points, weights = np.polynomial.legendre.leggauss(8)
    half = 0.5 * np.diff(edges)
    y = edges[:-1, None] + half[:, None] * (1 + points)
    mass = half * (weights * posterior.density(y.ravel()).reshape(y.shape)).sum(axis=1)
    assert mass.sum() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(mass, np.diff(posterior.cdf(edges)), atol=1e-7)
    assert posterior.density(101.0) == posterior.density(-1.0) == 0
    assert posterior.log_density(40.0) == pytest.approx(np.log(posterior.density(40.0)))


def test_the_pit_of_its_own_samples_is_uniform() -> None:
    posterior = Posterior.from_nodes(Z, np.stack([true_quantile(m, normal_cdf(Z)) for m in (SKEWED, TWO_PEAKS)]))
    draws = posterior.sample(2000, seed=4)
    assert draws.shape == (2, 2000)
    pit = np.stack([posterior.pit(column) for column in draws.T])
    for u in pit.T:
        assert stats.kstest(u, "uniform").pvalue > 0.01
    np.testing.assert_array_equal(draws, posterior.sample(2000, seed=4))


# --- against closed forms --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mean", "sd"), [(0.2, 0.1), (-1.5, 0.4), (2.0, 0.8)])
def test_a_logit_normal_posterior_is_exact(mean: float, sd: float) -> None:
    """ℓ is linear in z, so interpolation and extrapolation have no error at all."""
    posterior = Posterior.from_nodes(Z, logit_normal(mean, sd, Z))
    y, z = np.linspace(0.5, 99.5, 199), np.linspace(-9, 9, 20001)
    ell = np.log(y / (100 - y))
    np.testing.assert_allclose(posterior.quantile(LEVELS), logit_normal(mean, sd, normal_quantile(LEVELS)), rtol=1e-12)
    np.testing.assert_allclose(posterior.cdf(y), stats.norm.cdf(ell, mean, sd), atol=1e-12)
    np.testing.assert_allclose(
        posterior.density(y), stats.norm.pdf(ell, mean, sd) * 100 / (y * (100 - y)), rtol=1e-9, atol=1e-15
    )
    weight = np.exp(-0.5 * z**2) / np.exp(-0.5 * z**2).sum()
    truth = logit_normal(mean, sd, z)
    assert posterior.mean == pytest.approx((weight * truth).sum(), abs=1e-5)
    assert posterior.sd == pytest.approx(np.sqrt((weight * (truth - (weight * truth).sum()) ** 2).sum()), rel=1e-5)
    assert posterior.median == pytest.approx(logit_normal(mean, sd, np.zeros(1))[0])


@pytest.mark.parametrize("mixture", [SKEWED, TWO_PEAKS], ids=["skewed", "two peaks"])
def test_the_nodes_hold_the_posterior(mixture: GaussianMixture) -> None:
    """Mean within 0.004 SD, SD within 0.2 %, KS under 0.002, from 23 exact quantiles."""
    posterior = table(mixture)
    mean, sd = float(mixture.mean), float(mixture.sd)
    assert posterior.mean == pytest.approx(mean, abs=0.004 * sd)
    assert posterior.sd == pytest.approx(sd, rel=0.002)
    assert np.abs(posterior.cdf(true_quantile(mixture, LEVELS)) - LEVELS).max() < 0.002


def test_twenty_equal_mass_nodes_alone_understate_the_sd() -> None:
    """Why moments are integrals: the SD of the bare nodes is 3 % low."""
    z = normal_quantile((np.arange(20) + 0.5) / 20)
    y = logit_normal(0.2, 0.1, z)
    posterior = Posterior.from_nodes(z, y)
    assert y.std() / posterior.sd == pytest.approx(0.97, abs=0.006)
    assert posterior.sd == pytest.approx(Posterior.from_nodes(Z, logit_normal(0.2, 0.1, Z)).sd, rel=1e-6)


def test_many_draws_approach_the_posterior() -> None:
    draws = TWO_PEAKS.sample(20_000, torch.Generator().manual_seed(2))[0].numpy()
    posterior = Posterior.from_draws(draws)
    assert posterior.draws == 20_000
    assert posterior.mean == pytest.approx(draws.mean(), abs=0.01)
    assert posterior.sd == pytest.approx(draws.std(), rel=0.002)
    assert np.abs(posterior.cdf(true_quantile(TWO_PEAKS, LEVELS)) - LEVELS).max() < 1.63 / 20_000**0.5


# --- questions -------------------------------------------------------------------------------------------------------


def test_probabilities_add_up() -> None:
    posterior = table(TWO_PEAKS)
    low, middle = posterior.prob_below(40), posterior.prob_between(40, 50)
    assert low + middle + (1 - posterior.prob_below(50)) == pytest.approx(1)
    assert low == pytest.approx(float(TWO_PEAKS.cdf(torch.tensor([[40.0]], dtype=torch.float64))), abs=0.002)
    lower, upper = posterior.interval(0.9)
    assert posterior.prob_between(lower, upper) == pytest.approx(0.9, abs=1e-12)
    assert posterior.cdf(lower) == pytest.approx(0.05, abs=1e-12)
    assert posterior.quantile(0.5) == posterior.median


def test_partial_mean_and_mean_difference_by_simulation() -> None:
    posterior = table(TWO_PEAKS)
    y = posterior.quantile((np.arange(200_000) + 0.5) / 200_000)
    assert posterior.partial_mean(47.0) == pytest.approx(np.where(y < 47, y, 0).mean(), abs=1e-3)
    assert posterior.partial_mean(100.0) == pytest.approx(posterior.mean, abs=1e-9)
    rank = 2 * np.arange(1, len(y) + 1) - len(y) - 1
    assert posterior.half_mean_difference == pytest.approx((rank * y).sum() / len(y) ** 2, abs=1e-3)


def test_a_study_of_a_batch_answers_as_it_does_alone() -> None:
    y = np.stack([true_quantile(m, normal_cdf(Z)) for m in (SKEWED, TWO_PEAKS, SKEWED)])
    states = np.broadcast_to(np.linspace(50, y, 5), (5, 3, len(Z)))
    batch = Posterior.from_nodes(Z, y, trajectories=states, angles=np.linspace(1.5, 0, 5))
    alone = Posterior.from_nodes(Z, y[1])
    one = batch[1]
    assert len(batch) == 3
    assert len(batch[:2]) == 2
    assert isinstance(one.mean, float)
    assert (one.mean, one.sd, one.median, one.interval(0.8)) == (
        alone.mean,
        alone.sd,
        alone.median,
        alone.interval(0.8),
    )
    assert (batch.mean[1], batch.cdf(40)[1], batch.pit([30, 40, 50])[1]) == (one.mean, one.cdf(40), one.pit(40))
    np.testing.assert_array_equal(batch.density(LEVELS * 100)[1], one.density(LEVELS * 100))
    assert batch.modes()[1] == one.modes()
    assert one.trajectories is not None
    np.testing.assert_array_equal(one.trajectories[:, 0], states[:, 1])
    np.testing.assert_array_equal(batch[-1].y_percent, batch[2].y_percent)
    assert len(list(batch)) == 3


def test_shapes() -> None:
    batch = Posterior.from_nodes(Z, np.tile(logit_normal(0.1, 0.2, Z), (4, 1)))
    assert batch.quantile(0.3).shape == (4,)
    assert batch.quantile([0.3, 0.6]).shape == (4, 2)
    assert batch.interval()[0].shape == (4,)
    assert batch.density(np.arange(1, 99)).shape == (4, 98)
    assert batch.log_density(np.full(4, 50)).shape == (4,)
    assert batch.sample(7).shape == (4, 7)
    assert batch[0].sample(7).shape == (7,)
    assert batch[0].quantile([0.3, 0.6]).shape == (2,)
    assert isinstance(batch[0].cdf(50), float)


# --- how tables are made ---------------------------------------------------------------------------------------------


def test_nodes_out_of_order_are_counted_and_sorted() -> None:
    y = logit_normal(0.2, 0.1, Z)
    y[[3, 4, 10, 11]] = y[[4, 3, 11, 10]]
    posterior = Posterior.from_nodes(Z, np.stack([y, np.sort(y)]))
    assert posterior.violations.tolist() == [2, 0]
    np.testing.assert_allclose(posterior.y_percent[0], np.sort(y))


def test_values_at_and_beyond_the_ends_are_held_inside() -> None:
    posterior = Posterior.from_draws(np.array([-3.0, 0.0, 0.0, 2.0, 5.0, 104.0]))
    assert ((posterior.y_percent > 0) & (posterior.y_percent < 100)).all()
    assert np.isfinite(posterior.log_density(1.0))


def test_draws_answer_by_their_plain_mean() -> None:
    """As the MCSDR authors' code does, beyond the ends too; the table alone is held inside."""
    raw = np.array([[-40.0, -3.0, 8.0, 20.0], [50.0, 51.0, 60.0, 130.0]])
    posterior = Posterior.from_draws(raw)
    np.testing.assert_allclose(posterior.mean, raw.mean(axis=1))
    np.testing.assert_allclose(posterior.sd, raw.std(axis=1, ddof=1))
    np.testing.assert_allclose(posterior.outside, [0.5, 0.25])
    clipped = Posterior.from_draws(raw.clip(0, 100))
    np.testing.assert_allclose(clipped.mean, [7.0, 65.25])
    np.testing.assert_allclose(clipped.outside, posterior.outside)  # the share that was moved
    assert table(SKEWED).outside is None


def test_draws_of_several_clips_are_pooled_as_drawn() -> None:
    """Studies of one and of two clips in a batch: the mean is that of all their draws."""
    raw = np.array([[-10.0, 0.5, 3.0], [40.0, 50.0, 60.0], [20.0, 30.0, 110.0]])
    posterior = pooled(Posterior.from_draws(raw), np.array([0, 1, 1]))
    np.testing.assert_allclose(posterior.mean, [raw[0].mean(), raw[1:].mean()])
    assert posterior[0].mean == pytest.approx(raw[0].mean())
    both = Posterior.joined([posterior[:1], posterior[1:]])
    np.testing.assert_allclose(both.mean, posterior.mean)


def test_a_mixture_pools_distribution_functions() -> None:
    members = [table(SKEWED), table(TWO_PEAKS)]
    pooled = Posterior.mixture(members, weights=[1, 3])
    nodes = pooled.y_percent
    np.testing.assert_allclose(
        pooled.cdf(nodes), 0.25 * members[0].cdf(nodes) + 0.75 * members[1].cdf(nodes), atol=1e-9
    )
    assert pooled.mean == pytest.approx(0.25 * members[0].mean + 0.75 * members[1].mean, abs=0.05)
    same = Posterior.mixture([members[0], members[0]])
    np.testing.assert_allclose(same.y_percent, members[0].y_percent, rtol=1e-9)


def test_a_missing_label_has_no_pit() -> None:
    posterior = table(SKEWED)
    assert np.isnan(posterior.pit(np.nan))
    assert np.isnan(posterior.log_density(np.nan))


@pytest.mark.parametrize(
    ("z", "y"),
    [([0, 1], [40, 50]), ([0, 1, 1], [40, 50, 60]), ([0, 1, 2], [40, np.nan, 60]), ([0, 1, 2, 3], [40, 50, 60])],
)
def test_tables_that_are_none_are_refused(z: list[float], y: list[float]) -> None:
    with pytest.raises(InvalidConfig):
        Posterior.from_nodes(z, y)


def test_questions_that_do_not_fit_are_refused() -> None:
    batch = Posterior.from_nodes(Z, np.tile(logit_normal(0.1, 0.2, Z), (4, 1)))
    with pytest.raises(InvalidConfig):
        batch.pit([50.0, 60.0])
    with pytest.raises(InvalidConfig):
        Posterior.mixture([batch, batch[0]])
    with pytest.raises(InvalidConfig):
        Posterior.mixture([batch, batch], weights=[1.0])
    with pytest.raises(IndexError):
        batch[4]


def test_the_quantile_nodes() -> None:
    assert Z.shape == (23,)
    assert (np.diff(Z) > 0).all()
    np.testing.assert_allclose(Z, -Z[::-1], atol=1e-12)
    assert Z[11] == 0
    assert Z[-1] == 2.576


def test_the_probability_of_a_change_is_that_of_two_normals() -> None:
    before, after = (Posterior.from_nodes(quantile_nodes(), m + 4 * quantile_nodes()) for m in (60.0, 50.0))
    assert prob_change(before, after, -10) == pytest.approx(0.5, abs=0.005)
    assert prob_change(before, after, 0) == pytest.approx(normal_cdf(10 / (4 * 2**0.5)), abs=0.005)
    assert prob_change(before, before, 0) == pytest.approx(0.5, abs=0.005)
