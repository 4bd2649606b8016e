"""The reference mixture is checked against definitions, not against itself."""

from __future__ import annotations

from math import cos, pi, sin

import pytest
import torch

from mcsdr.diffusion.closed_form import GaussianMixture

MIXTURE = GaussianMixture.of((0.5, -1.0, 0.4), (0.3, 0.5, 0.8), (0.2, 1.5, 0.2))


@pytest.mark.parametrize("theta", [0.05, 0.6, 1.2, pi / 2])
def test_velocity_is_the_posterior_expectation(theta: float) -> None:
    """v(x, θ) = ∫ (cosθ·ε − sinθ·w) p(w | x) dw with ε = (x − cosθ·w)/sinθ, by a fine sum over w."""
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    w = torch.linspace(-8, 8, 40001, dtype=torch.float64)
    eps = (x[:, None] - cos(theta) * w) / sin(theta)
    log_p = MIXTURE.density(w[None]).log() - 0.5 * eps**2
    p = log_p.softmax(dim=1)
    expected = (p * (cos(theta) * eps - sin(theta) * w)).sum(dim=1)
    torch.testing.assert_close(MIXTURE(x[None], 0, theta)[0], expected, rtol=1e-9, atol=1e-9)


def test_density_distribution_and_quantiles_agree() -> None:
    y = torch.linspace(-12, 12, 20001, dtype=torch.float64)[None]
    density, dy = MIXTURE.density(y), float(y[0, 1] - y[0, 0])
    assert float(density.sum() * dy) == pytest.approx(1, abs=1e-10)
    assert float((density * y).sum() * dy) == pytest.approx(float(MIXTURE.mean), abs=1e-10)
    assert float(((density * (y - MIXTURE.mean) ** 2).sum() * dy).sqrt()) == pytest.approx(float(MIXTURE.sd), abs=1e-9)
    level = torch.linspace(0.001, 0.999, 99, dtype=torch.float64)
    torch.testing.assert_close(MIXTURE.cdf(MIXTURE.quantile(level))[0], level, rtol=0, atol=1e-12)


def test_samples_follow_the_distribution() -> None:
    draws = MIXTURE.sample(20_000, torch.Generator().manual_seed(1))
    u = MIXTURE.cdf(draws)[0].sort().values
    ks = (u - torch.linspace(0, 1, len(u), dtype=torch.float64)).abs().max()
    assert float(ks) < 1.63 / len(u) ** 0.5


def test_standardising_moves_and_scales() -> None:
    unit = MIXTURE.standardised(MIXTURE.mean, MIXTURE.sd)
    assert float(unit.mean) == pytest.approx(0, abs=1e-14)
    assert float(unit.sd) == pytest.approx(1, abs=1e-14)
