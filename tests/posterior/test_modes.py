"""Two peaks are reported where there are two, and hardly ever where there is one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mcsdr.diffusion.closed_form import GaussianMixture
from mcsdr.diffusion.sampler import EXACT, trajectories
from mcsdr.posterior import Posterior, quantile_nodes
from mcsdr.posterior.normal import normal_cdf

Z = quantile_nodes()


def table(mixture: GaussianMixture) -> Posterior:
    return Posterior.from_nodes(Z, mixture.quantile(torch.from_numpy(normal_cdf(Z)))[0].numpy())


def unimodal_controls(n: int) -> GaussianMixture:
    """A batch of random mixtures whose density has one peak: skewed, heavy-tailed and flat-topped ones."""
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.full(3, 2.0), size=4 * n)
    means = rng.uniform(20, 70, (4 * n, 1)) + rng.normal(0, 1, (4 * n, 3)) * rng.uniform(0, 10, (4 * n, 1))
    candidates = [torch.from_numpy(x) for x in (weights, means, rng.uniform(2, 9, (4 * n, 3)))]
    p = GaussianMixture(*candidates).density(torch.linspace(0, 100, 1001, dtype=torch.float64)[None])
    peaks = ((p[:, 1:-1] > p[:, :-2]) & (p[:, 1:-1] >= p[:, 2:])).sum(dim=1)
    return GaussianMixture(*(x[peaks == 1][:n] for x in candidates))


@pytest.mark.parametrize(
    "parts",
    [
        ((0.5, 36, 4), (0.5, 54, 4)),
        ((0.7, 34, 4), (0.3, 52, 4)),
        ((0.6, 34, 5), (0.4, 52, 5)),
        ((0.5, 38, 3), (0.5, 50, 3)),
    ],
)
def test_two_readings_are_found_with_their_shares(parts: tuple[tuple[float, float, float], ...]) -> None:
    modes = table(GaussianMixture.of(*parts)).modes()
    assert len(modes) == 2
    for mode, (weight, mean, _) in zip(modes, parts, strict=True):
        assert mode.location == pytest.approx(mean, abs=1)
        assert mode.mass == pytest.approx(weight, abs=0.04)
    assert sum(mode.mass for mode in modes) == pytest.approx(1)


@pytest.mark.parametrize(
    "parts",
    [((1, 55, 5),), ((0.9, 34, 4), (0.1, 56, 4)), ((0.5, 47, 1.5), (0.5, 53, 1.5)), ((0.5, 40, 6), (0.5, 51, 6))],
    ids=["one", "light", "close", "merged"],
)
def test_less_than_two_readings_is_one(parts: tuple[tuple[float, float, float], ...]) -> None:
    (mode,) = table(GaussianMixture.of(*parts)).modes()
    assert mode.mass == 1


def test_three_readings_can_be_told_apart() -> None:
    modes = table(GaussianMixture.of((0.33, 25, 2.5), (0.34, 45, 2.5), (0.33, 65, 2.5))).modes()
    assert [round(mode.location) for mode in modes] == [25, 45, 65]


def test_false_positives_are_under_one_per_cent() -> None:
    """Of quantile tables, of tables as sampled, with noise of 3 % of an SD on each node, and of 40 draws."""
    n = 300
    controls, rng, generator = unimodal_controls(n), np.random.default_rng(1), torch.Generator().manual_seed(1)
    y = controls.quantile(torch.from_numpy(normal_cdf(Z)))
    a, b = controls.mean + 0.3 * controls.sd, 1.3 * controls.sd
    sampled = a + b * trajectories(controls.standardised(a, b), torch.from_numpy(Z).expand(n, -1), EXACT)[-1]
    noisy = y.numpy() + 0.03 * controls.sd.numpy() * rng.normal(size=y.shape)
    posteriors = [Posterior.from_nodes(Z, table) for table in (y, sampled, noisy)]
    posteriors.append(Posterior.from_draws(controls.sample(40, generator)))
    for posterior in posteriors:
        assert np.mean([len(modes) > 1 for modes in posterior.modes()]) < 0.01
