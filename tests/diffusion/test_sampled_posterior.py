"""What the posterior promises that each sampler makes, from the residual's noise to EF in per cent: exact scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from mcsdr.diffusion.closed_form import SEPARATED, GaussianMixture
from mcsdr.diffusion.sampler import (
    DDPM,
    EXACT,
    PAPER,
    SAMPLERS,
    STOCHASTIC,
    SamplerSettings,
    Velocity,
    starting_points,
    trajectories,
)
from mcsdr.diffusion.target import BoundedResidual
from mcsdr.metrics.calibration import pit_ks
from mcsdr.metrics.scores import crps_of
from mcsdr.posterior import Posterior
from mcsdr.posterior.normal import normal_cdf

DETERMINISTIC = sorted(set(SAMPLERS) - STOCHASTIC)

# As many steps as bring each sampler within a hundredth of the exact posterior.
ACCURATE = {
    "euler": SamplerSettings("euler", 60),
    "ddim": SamplerSettings("ddim", 100),
    "midpoint": EXACT,
    "heun": SamplerSettings("heun", 4),
    "rk4": SamplerSettings("rk4", 3),
    "dpm++2m": SamplerSettings("dpm++2m", 16),
    "ddpm": replace(DDPM, steps=200, schedule="quadratic", draws=4000),
}


def logit_mixture(*components: tuple[float, float, float]) -> GaussianMixture:
    """A mixture in ℓ = logit(y/100) with peaks at (weight, EF, SD in EF points)."""
    return GaussianMixture.of(*((w, np.log(ef / (100 - ef)), 100 * sd / ef / (100 - ef)) for w, ef, sd in components))


SHAPES = {
    "one peak": logit_mixture((1, 60, 5)),
    "skewed": logit_mixture((0.6, 24, 3), (0.4, 31, 6)),
    "two peaks": logit_mixture((0.5, 36, 4), (0.5, 54, 4)),
}


def carried(velocity: Velocity, z: Tensor, settings: SamplerSettings, a: Tensor | float, b: Tensor | float) -> Tensor:
    return BoundedResidual().to_percent(trajectories(velocity, z, settings)[-1], a, b)


def posterior_of(velocity: Velocity, settings: SamplerSettings, a: Tensor | float, b: Tensor | float) -> Posterior:
    z = starting_points(settings, 1).double()
    y = carried(velocity, z, settings, a, b)[0]
    return Posterior.from_nodes(z[0], y) if settings.draws is None else Posterior.from_draws(y)


def sampled(shape: GaussianMixture, settings: SamplerSettings, off: float = 0.0, scale: float = 1.0) -> Posterior:
    """The posterior of the shape's residual, its location off by `off` SD and its scale by the factor `scale`."""
    a, b = shape.mean + off * shape.sd, scale * shape.sd
    return posterior_of(shape.standardised(a, b), settings, a, b)


def untrained(x: Tensor, i: int, theta: float) -> Tensor:
    """A velocity that is nobody's score: it sends neighbours apart and far out."""
    return 20 * torch.sin(40 * x + theta)


# --- whatever the network says ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_every_ejection_fraction_is_inside_the_range(sampler: str, steps: int) -> None:
    settings = SamplerSettings(sampler, steps, draws=40 if sampler in STOCHASTIC else None)
    for a in (-3.5, 0.0, 3.5):
        z = starting_points(settings, 1).double()
        y = carried(untrained, z, settings, a, 2.0)
        assert ((y >= 0) & (y <= 100)).all()
        posterior = posterior_of(untrained, settings, a, 2.0)
        assert ((posterior.y_percent > 0) & (posterior.y_percent < 100)).all()
        assert 0 < posterior.quantile(1e-4) < posterior.mean < posterior.quantile(1 - 1e-4) < 100


@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_crossed_trajectories_are_counted(sampler: str) -> None:
    settings = SamplerSettings(sampler, 4)
    y = carried(untrained, starting_points(settings, 1).double(), settings, 0.0, 0.05)
    crossings = int((y.diff() < 0).sum())
    assert crossings > 0
    assert posterior_of(untrained, settings, 0.0, 0.05).violations == crossings


# --- monotone where promised, counted where not ----------------------------------------------------------------------


@pytest.mark.parametrize("shape", sorted(SHAPES))
@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_accurate_trajectories_do_not_cross(sampler: str, shape: str) -> None:
    assert sampled(SHAPES[shape], ACCURATE[sampler]).violations == 0
    assert sampled(SHAPES[shape], ACCURATE[sampler], off=0.4, scale=1.4).violations == 0


def test_ddim_never_crosses_and_two_midpoint_steps_may() -> None:
    """The exact score of two separated peaks: DDIM promises order at any step size, the midpoint rule does not."""
    residual = SEPARATED.standardised(SEPARATED.mean, SEPARATED.sd)
    nodes = starting_points(EXACT, 1).double()

    def crossings(sampler: str, steps: int) -> int:
        w = trajectories(residual, nodes, SamplerSettings(sampler, steps))[-1]
        return int((w.diff() < 0).sum())

    assert [crossings("ddim", steps) for steps in (2, 3, 4, 10)] == [0, 0, 0, 0]
    assert crossings("midpoint", 2) > 0
    assert crossings("midpoint", EXACT.steps) == 0


# --- a distribution, and the right one -------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [2, None])
@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_the_density_integrates_to_one(sampler: str, steps: int | None) -> None:
    """However coarse the sampler."""
    points, weights = np.polynomial.legendre.leggauss(8)
    settings = replace(ACCURATE[sampler], draws=40 if sampler in STOCHASTIC else None)
    settings = settings if steps is None else replace(settings, steps=steps)
    for shape in SHAPES.values():
        posterior = sampled(shape, settings)
        edges = posterior.quantile(normal_cdf(np.union1d(np.linspace(-6, 6, 2001), posterior.z[0])))
        half = 0.5 * np.diff(edges)
        y = edges[:-1, None] + half[:, None] * (1 + points)
        density = posterior.density(y.ravel()).reshape(y.shape)
        assert (half[:, None] * weights * density).sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("shape", sorted(SHAPES))
@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_labels_have_a_uniform_pit_under_the_sampled_table(sampler: str, shape: str) -> None:
    """Labels from the exact posterior, PIT by inverting the discretised table; a draws' table has its own noise."""
    n = 4000
    labels = BoundedResidual().to_percent(SHAPES[shape].sample(n, torch.Generator().manual_seed(1)), 0.0, 1.0)[0]
    posterior = sampled(SHAPES[shape], ACCURATE[sampler])
    noise = 1 / n + (1 / posterior.draws if posterior.draws else 0)
    assert pit_ks(posterior.cdf(labels)) < 1.63 * noise**0.5


def test_the_pit_convicts_the_papers_ten_steps() -> None:
    """DDIM on its grid, with a scale for everybody that is 2.5 times that of this posterior."""
    n = 4000
    shape = SHAPES["one peak"]
    labels = BoundedResidual().to_percent(shape.sample(n, torch.Generator().manual_seed(1)), 0.0, 1.0)[0]
    assert pit_ks(sampled(shape, replace(PAPER, draws=None), scale=2.5).cdf(labels)) > 3 * 1.63 / n**0.5
    assert pit_ks(sampled(shape, EXACT, scale=2.5).cdf(labels)) < 1.63 / n**0.5


@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_the_table_answers_for_the_discretised_map(sampler: str) -> None:
    """F(G(z)) = Φ(z) between the nodes, for G of ten evaluations or so, however far it is from the exact one."""
    settings = SamplerSettings(sampler, 10, "linear-beta")
    z = torch.linspace(-3, 3, 301, dtype=torch.float64)[None]
    for shape in SHAPES.values():
        y = carried(shape.standardised(shape.mean, shape.sd), z, settings, shape.mean, shape.sd)[0]
        np.testing.assert_allclose(sampled(shape, settings).cdf(y), normal_cdf(z[0]), atol=0.01)


@pytest.mark.parametrize("shape", sorted(SHAPES))
@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_the_crps_of_the_nodes_is_that_of_the_posterior(sampler: str, shape: str) -> None:
    """∫ (F(t) − 1{t ≥ y})² dt of the exact mixture, by the midpoint rule, at labels in both tails and between."""
    posterior = sampled(SHAPES[shape], ACCURATE[sampler])
    edges = np.linspace(0, 100, 20_001)
    t = 0.5 * (edges[1:] + edges[:-1])
    F = SHAPES[shape].cdf(torch.from_numpy(np.log(t / (100 - t)))[None])[0].numpy()
    for y in posterior.quantile([0.02, 0.3, 0.5, 0.8, 0.99]):
        exact = ((F - (t >= y)) ** 2).sum() * (edges[1] - edges[0])
        assert crps_of(posterior, y)[0] == pytest.approx(exact, rel=0.02)
