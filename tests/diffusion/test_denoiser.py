"""The loss has the flow's velocity as its minimiser, and its randomness is drawn in one place."""

from __future__ import annotations

from math import pi

import pytest
import torch
from torch import Tensor

from mcsdr.diffusion.closed_form import GaussianMixture
from mcsdr.diffusion.denoiser import Pairs, denoising_loss, draw_pairs, velocity_error


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_each_clip_has_one_angle_in_every_stratum() -> None:
    theta, eps = draw_pairs((500, 64), seeded())
    assert theta.shape == eps.shape == (500, 64)
    stratum = (theta / (pi / 2) * 64).floor()
    assert (stratum == torch.arange(64)).float().mean() > 0.9999
    assert float(theta.min()) > 0
    assert float(theta.max()) < pi / 2
    assert float(eps.mean()) == pytest.approx(0, abs=0.02)
    assert float(eps.std()) == pytest.approx(1, abs=0.02)


def test_the_same_generator_draws_the_same_pairs() -> None:
    first, again, other = draw_pairs((2, 4), seeded(1)), draw_pairs((2, 4), seeded(1)), draw_pairs((2, 4), seeded(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.theta, other.theta)


def test_a_known_residual_is_learnt_without_error() -> None:
    """For w = 0 the velocity is x·cotθ exactly."""
    loss = denoising_loss(lambda x, theta: x / theta.tan(), torch.zeros(8, 64), seeded())
    torch.testing.assert_close(loss, torch.zeros(8), rtol=0, atol=1e-9)


def test_for_standard_normal_residuals_the_best_velocity_is_zero_and_its_loss_one() -> None:
    w = torch.randn(4000, 1, generator=seeded(1)).expand(-1, 32)
    loss = denoising_loss(lambda x, theta: torch.zeros_like(x), w, seeded())
    assert loss.shape == (4000,)
    assert float(loss.mean()) == pytest.approx(1, abs=0.03)


def test_the_minimiser_is_the_velocity_of_the_flow() -> None:
    """Moving the closed-form velocity along any direction raises the loss by the square of the move."""
    mixture = GaussianMixture.of((0.5, -1, 0.5), (0.5, 1, 0.3))
    n = 4000
    pairs = draw_pairs((1, n), seeded())
    theta = 0.7
    fixed = Pairs(torch.full((1, n), theta, dtype=torch.float64), pairs.eps.double())
    w = mixture.sample(n, seeded(4))

    def moved(by: float, direction: Tensor | float) -> float:
        return float(velocity_error(lambda x, t: mixture(x, 0, theta) + by * direction, w, fixed).mean())

    for direction in (1.0, torch.linspace(-1, 1, n, dtype=torch.float64)):
        square = float(torch.as_tensor(direction, dtype=torch.float64).square().mean())
        assert moved(0.5, direction) - moved(0, direction) == pytest.approx(0.25 * square, abs=0.04)
        assert moved(-0.5, direction) - moved(0, direction) == pytest.approx(0.25 * square, abs=0.04)
