"""Against an exact posterior: the exact one itself loses nothing, and each kind of error is seen by its own score."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mcsdr.diffusion.closed_form import GaussianMixture
from mcsdr.metrics import known
from mcsdr.metrics.calibration import pit_ks
from mcsdr.metrics.scores import crps_of
from mcsdr.posterior import Posterior, quantile_nodes
from mcsdr.posterior.normal import normal_quantile

Array = NDArray[np.float64]


def two_answers(n: int = 40, sd: float = 2.5) -> GaussianMixture:
    """Pairs of readings 4.8 to 8 SDs apart, the lighter of 0.27 to 0.5."""
    rng = np.random.default_rng(1)
    low, gap, weight = rng.uniform(25, 40, n), rng.uniform(4.8, 8, n) * sd, rng.uniform(0.27, 0.73, n)
    return known.mixture(np.column_stack([weight, 1 - weight]), np.column_stack([low, low + gap]), np.full((n, 2), sd))


def fine(exact: GaussianMixture, nodes: int = 1201) -> Posterior:
    """The exact posterior on so many nodes that the table costs nothing."""
    z = np.linspace(-4.5, 4.5, nodes)
    return Posterior.from_nodes(z, exact.quantile(torch.special.ndtr(torch.from_numpy(z))).numpy())


def gaussian_like(exact: GaussianMixture) -> Posterior:
    """A Gaussian of the exact mean and SD."""
    z = quantile_nodes()
    return Posterior.from_nodes(z, (exact.mean + exact.sd * torch.from_numpy(z)).numpy())


def readings(exact: GaussianMixture, seed: int = 0) -> Array:
    return np.asarray(exact.sample(1, torch.Generator().manual_seed(seed))[:, 0].numpy())


def test_the_exact_posterior_loses_nothing() -> None:
    exact = two_answers()
    scores = known.score(fine(exact), exact, readings(exact))
    assert scores.w1.max() < 2e-3
    assert scores.ks.max() < 2e-3
    assert 0 <= scores.excess < 1e-5
    assert scores.ambiguous.all()
    assert scores.mode_recall == scores.recovered_share == 1.0
    assert scores.weight_error < 1e-3
    assert scores.sd_ratio == pytest.approx(1.0, abs=2e-3)


def test_the_nodes_of_an_answer_hold_the_exact_posterior_well_enough_to_reach_the_figures() -> None:
    exact = two_answers(200)
    scores = known.score(known.exact_table(exact), exact, readings(exact))
    assert scores.recovered_share >= 0.95
    assert scores.weight_error < 0.02
    assert scores.w1.mean() < 0.05
    assert scores.excess < 2e-3


def test_a_gaussian_of_the_same_mean_and_sd_has_no_two_peaks() -> None:
    exact = two_answers()
    scores = known.score(gaussian_like(exact), exact, readings(exact))
    assert scores.recovered_share == 0.0
    assert scores.mode_recall < 0.5
    assert scores.w1.mean() > 0.15
    assert scores.excess > 0.01
    assert scores.sd_ratio == pytest.approx(1.0, abs=0.02)


def test_one_peak_of_two_and_a_third_peak_are_both_failures() -> None:
    exact = known.mixture([[0.5, 0.5]], [[35, 55]], [[2.5, 2.5]])
    one = known.score(fine(GaussianMixture.of((1.0, 35.0, 2.5))), exact, [35.0])
    assert (one.modes.tolist(), one.found.tolist(), one.recovered.tolist()) == ([2], [1], [False])
    three = known.score(fine(GaussianMixture.of((0.35, 35, 2.5), (0.35, 55, 2.5), (0.3, 75, 2.5))), exact, [35.0])
    assert (three.found.tolist(), three.recovered.tolist()) == ([2], [False])


def test_the_weight_error_is_the_error_of_the_weight() -> None:
    exact = known.mixture([[0.3, 0.7]], [[35, 55]], [[2.5, 2.5]])
    scores = known.score(fine(GaussianMixture.of((0.45, 35, 2.5), (0.55, 55, 2.5))), exact, [35.0])
    assert scores.weight_error == pytest.approx(0.15, abs=1e-3)
    assert scores.w1[0] * scores.sd[0] == pytest.approx(0.15 * 20, abs=0.02)  # of the mass, 20 points away


def test_a_shift_is_its_own_wasserstein_distance() -> None:
    exact = GaussianMixture.of((1.0, 50.0, 4.0))
    scores = known.score(fine(GaussianMixture.of((1.0, 52.0, 4.0))), exact, [50.0])
    assert scores.w1[0] == pytest.approx(0.5, abs=2e-3)
    assert not scores.separated[0]
    assert np.isnan([scores.weight_error, scores.mode_recall, scores.recovered_share]).all()


def test_the_floor_of_a_gaussian_is_sigma_over_root_pi() -> None:
    assert known.crps_floor(GaussianMixture.of((1.0, 50.0, 4.0))) == pytest.approx(4 / np.sqrt(np.pi))


def test_expected_crps_is_the_mean_over_readings() -> None:
    exact = GaussianMixture.of((0.3, 40.0, 2.5), (0.7, 56.0, 2.5))
    model = fine(GaussianMixture.of((0.5, 43.0, 3.5), (0.5, 55.0, 3.5)), nodes=101)
    scores = known.score(model, exact, [50.0])
    q = (np.arange(500) + 0.5) / 500
    y, same = exact.quantile(torch.from_numpy(q)[None]).numpy()[0], np.zeros(500, dtype=np.int64)
    assert scores.expected_crps[0] == pytest.approx(crps_of(model[same], y).mean(), abs=4e-3)
    assert scores.floor[0] == pytest.approx(crps_of(fine(exact, nodes=101)[same], y).mean(), abs=4e-3)


def test_perfect_draws_lose_what_so_few_must_and_no_more() -> None:
    exact = two_answers(400)
    draws = Posterior.from_draws(exact.sample(40, torch.Generator().manual_seed(3)).numpy())
    scores = known.score(draws, exact, readings(exact))
    excess = scores.expected_crps - scores.floor
    assert abs(excess.mean()) < 3 * excess.std() / 20  # without bias, where their table pays ½ E|Y − Y'|/K
    assert known.distances(draws, exact)[2].mean() > 0.7 * scores.floor.mean() / 40
    np.testing.assert_allclose(scores.crps, crps_of(draws, readings(exact)))
    assert pit_ks(scores.pit) < 0.09


def test_crps_and_pit_are_those_at_the_reading() -> None:
    exact = two_answers(500)
    model, y = known.exact_table(exact), readings(exact)
    scores = known.score(model, exact, y)
    assert scores.crps == pytest.approx(crps_of(model, y))
    assert pit_ks(scores.pit) < 1.6 / np.sqrt(len(y))
    assert pit_ks(known.exact_pit(exact, y)) < 1.6 / np.sqrt(len(y))


def test_padding_is_no_component() -> None:
    bare = known.mixture([[0.4, 0.6]], [[35, 55]], [[2.5, 2.5]])
    padded = known.mixture([[0.4, 0.0, 0.6]], [[35, np.nan, 55]], [[2.5, 0.0, 2.5]])
    one, other = (known.score(fine(bare), exact, [40.0]).rows() for exact in (bare, padded))
    assert one == [pytest.approx(row) for row in other]


@pytest.mark.parametrize(
    ("weights", "means", "separated", "ambiguous"),
    [
        ((0.5, 0.5), (40, 50), True, True),
        ((0.5, 0.5), (40, 49.9), False, False),
        ((0.24, 0.76), (40, 60), True, False),
        ((1 / 3, 1 / 3, 1 / 3), (70, 40, 55), True, True),
        ((1 / 3, 1 / 3, 1 / 3), (42, 40, 60), True, False),
        ((1.0, 0.0, 0.0), (40, 80, 90), False, False),
    ],
)
def test_what_counts_as_separated_and_as_ambiguous(
    weights: tuple[float, ...], means: tuple[float, ...], separated: bool, ambiguous: bool
) -> None:
    gaps = known.find_gaps(known.mixture(weights, means, [2.5] * len(means)))
    assert (gaps.separated[0], gaps.ambiguous[0]) == (separated, ambiguous)


def test_the_cut_is_the_middle_of_the_widest_gap() -> None:
    gaps = known.find_gaps(known.mixture([1 / 3] * 3, [42, 40, 60], [2.5] * 3))
    assert gaps.cut[0] == pytest.approx(51.0)


@pytest.mark.parametrize(
    ("weights", "means", "sds"),
    [([0.5, 0.4], [40, 50], [2, 2]), ([1.5, -0.5], [40, 50], [2, 2]), ([1.0], [40], [0]), ([1.0], [40, 50], [2, 2])],
)
def test_what_is_no_mixture_is_refused(weights: list[float], means: list[float], sds: list[float]) -> None:
    with pytest.raises(ValueError, match="must"):
        known.mixture(weights, means, sds)


def test_batches_of_different_lengths_are_refused() -> None:
    exact = two_answers(3)
    with pytest.raises(ValueError, match="3 posteriors"):
        known.score(fine(exact), exact, [50.0])


def test_normal_quantile_and_the_exact_table_agree() -> None:
    table = known.exact_table(GaussianMixture.of((1.0, 50.0, 4.0)))
    assert table.quantile(0.9) == pytest.approx([50 + 4 * normal_quantile(0.9)], abs=0.02)
