"""What the mathematics of each sampler promises, with denoisers known in closed form."""

from __future__ import annotations

from itertools import pairwise
from math import atan, cos, exp, log, log2, pi, prod, sin, tan

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mcsdr.diffusion.closed_form import FIVE as SHAPES
from mcsdr.diffusion.closed_form import GaussianMixture
from mcsdr.diffusion.sampler import (
    DDPM,
    EXACT,
    PAPER,
    SAMPLERS,
    STOCHASTIC,
    Field,
    SamplerSettings,
    evaluation_angles,
    starting_points,
    trajectories,
)
from mcsdr.diffusion.schedule import SCHEDULES, angles, grid
from mcsdr.errors import InvalidConfig
from mcsdr.posterior import quantile_nodes

DETERMINISTIC = sorted(set(SAMPLERS) - STOCHASTIC)
ORDER = {"euler": 1, "ddim": 1, "midpoint": 2, "heun": 2, "rk4": 4, "dpm++2m": 2}
Z = torch.linspace(-3, 3, 121, dtype=torch.float64)[None]


def final(velocity: GaussianMixture, z: Tensor, **kwargs: object) -> Tensor:
    return trajectories(velocity, z, SamplerSettings(**kwargs))[-1]  # type: ignore[arg-type]


def residual(shape: GaussianMixture, off: float = 0.0, scale: float = 1.0) -> tuple[GaussianMixture, Tensor, Tensor]:
    """The mixture of w = (y − a)/b, a off by `off` SD and b by the factor `scale`."""
    a, b = shape.mean + off * shape.sd, shape.sd * scale
    return shape.standardised(a, b), a, b


# --- exact cases -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
@pytest.mark.parametrize("sampler", sorted(set(DETERMINISTIC) - {"ddim", "dpm++2m"}))
def test_a_unit_gaussian_is_left_as_it_is(sampler: str, schedule: str) -> None:
    unit = GaussianMixture.of((1, 0, 1))
    torch.testing.assert_close(final(unit, Z, sampler=sampler, steps=5, schedule=schedule), Z, rtol=0, atol=1e-14)


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
def test_ddim_shrinks_a_unit_gaussian_at_every_step(schedule: str) -> None:
    """The velocity is 0, so the rotation leaves ∏ cos(h): no schedule of finite steps cures DDIM."""
    shrunk = prod(cos(before - after) for before, after in pairwise(grid(schedule, 5)))
    w = final(GaussianMixture.of((1, 0, 1)), Z, sampler="ddim", steps=5, schedule=schedule)
    torch.testing.assert_close(w, shrunk * Z, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("steps", [1, 2, 10, 100])
@pytest.mark.parametrize("s", [0.05, 0.387, 1.0, 3.0])
def test_ddim_maps_a_gaussian_by_the_known_product(steps: int, s: float) -> None:
    """SD = (1/cosθ_0) ∏ [ρ_i + (1 − ρ_i) s²/(s² + σ_i²)], σ = tanθ, ρ_i = σ_{i+1}/σ_i, to float precision."""
    sigma = [tan(theta) for theta in grid("linear-beta", steps)]
    rho = [after / before for before, after in pairwise(sigma)]
    gain = prod(r + (1 - r) * s**2 / (s**2 + v**2) for r, v in zip(rho, sigma[:-1], strict=True))
    w = final(GaussianMixture.of((1, 0, s)), Z, sampler="ddim", steps=steps, schedule="linear-beta")
    torch.testing.assert_close(w, Z * gain / cos(grid("linear-beta", steps)[0]), rtol=1e-11, atol=1e-13)


def test_ten_ddim_steps_of_the_paper_make_a_posterior_two_thirds_as_wide() -> None:
    """N(55, 4.8²) standardised by the marginal SD 12.4, with the exact score: SD ratio 0.684."""
    s = 4.8 / 12.4
    w = final(GaussianMixture.of((1, 0, s)), Z, sampler="ddim", steps=10, schedule="linear-beta")
    assert float((w / (s * Z))[0, 0]) == pytest.approx(0.684, abs=5e-4)


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_ddim_finds_a_point_mass_in_any_number_of_steps(steps: int) -> None:
    w = final(GaussianMixture.of((1, 1.7, 1e-9)), Z, sampler="ddim", steps=steps)
    torch.testing.assert_close(w, torch.full_like(Z, 1.7), rtol=0, atol=1e-7)


def test_ddim_is_the_rotation_of_denoised_and_noise() -> None:
    theta, theta_next = 1.1, 0.7
    mixture = residual(SHAPES["skewed"])[0]
    v = mixture(Z, 0, theta)
    D, eps = cos(theta) * Z - sin(theta) * v, sin(theta) * Z + cos(theta) * v
    step = SAMPLERS["ddim"](Z, theta, theta_next, lambda x, t: mixture(x, 0, t), lambda: Z)
    torch.testing.assert_close(step, cos(theta_next) * D + sin(theta_next) * eps)


# --- convergence -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["uniform", "quadratic"])
@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_order_of_convergence(sampler: str, schedule: str) -> None:
    """Halving the step divides the error by 2^order; by a little less where the error is h² log(1/h)."""
    mixture, a, b = residual(SHAPES["skewed"], off=0.4, scale=0.75)
    z = Z[:, ::10]
    truth = (SHAPES["skewed"].quantile(torch.special.ndtr(z)) - a) / b
    steps = (24, 48, 96)
    error = [float((final(mixture, z, sampler=sampler, steps=n, schedule=schedule) - truth).abs().max()) for n in steps]
    for (n, before), (_, after) in pairwise(zip(steps, error, strict=True)):
        order = ORDER[sampler] - (log2(log(2 * n) / log(n)) if sampler == "dpm++2m" else 0)
        assert log2(before / after) == pytest.approx(order, abs=0.25)


def test_dpm_solver_is_of_order_two_in_the_log_snr() -> None:
    """Equal steps of λ = log(cosθ/sinθ) from −1.5 to 2, against RK4 on a far finer grid of them."""
    mixture = residual(SHAPES["skewed"], off=0.4, scale=0.75)[0]

    def at_the_end(sampler: str, steps: int) -> Tensor:
        x, v = Z, Field(mixture)
        for theta, theta_next in pairwise(atan(exp(1.5 - 3.5 * k / steps)) for k in range(steps + 1)):
            x = SAMPLERS[sampler](x, theta, theta_next, v, lambda: Z)
        return x

    truth = at_the_end("rk4", 400)
    error = [float((at_the_end("dpm++2m", n) - truth).abs().max()) for n in (32, 64, 128)]
    for before, after in pairwise(error):
        assert log2(before / after) == pytest.approx(2, abs=0.15)


def test_dpm_solver_extrapolates_the_denoised_along_the_log_snr() -> None:
    """Lu et al. 2022, algorithm 2, in its own symbols: α = cosθ, σ = sinθ, h_i = λ_i − λ_(i−1), r = h_(i−1)/h_i."""
    t = [1.3, 1.0, 0.6]
    mixture = residual(SHAPES["skewed"])[0]
    lam = [log(cos(s) / sin(s)) for s in t]
    D = [cos(s) * Z - sin(s) * mixture(Z, 0, s) for s in t]
    h = lam[2] - lam[1]
    r = (lam[1] - lam[0]) / h
    extrapolated = (1 + 1 / (2 * r)) * D[1] - 1 / (2 * r) * D[0]
    expected = sin(t[2]) / sin(t[1]) * Z - cos(t[2]) * (exp(-h) - 1) * extrapolated
    v = Field(mixture)
    v(Z, t[0])
    torch.testing.assert_close(SAMPLERS["dpm++2m"](Z, t[1], t[2], v, lambda: Z), expected, rtol=1e-12, atol=1e-12)


def test_dpm_solver_falls_to_order_one_where_the_log_snr_is_infinite() -> None:
    """First step from θ = π/2, second after it (λ_last = −∞), last to θ = 0: all the DDIM step, and all finite."""
    mixture = residual(SHAPES["two peaks"])[0]
    states = trajectories(mixture, Z, SamplerSettings("dpm++2m", 3, "uniform"))
    first, second, last = pairwise(grid("uniform", 3))
    assert first[0] == pi / 2
    for k, (theta, theta_next) in enumerate((first, second, last)):
        ddim = SAMPLERS["ddim"](states[k], theta, theta_next, Field(mixture), lambda: Z)
        torch.testing.assert_close(states[k + 1], ddim, rtol=1e-12, atol=1e-12)
    D = cos(last[0]) * states[2] - sin(last[0]) * mixture(states[2], 0, last[0])
    torch.testing.assert_close(states[3], D, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_the_exact_flow_carries_quantiles_to_quantiles(shape: str) -> None:
    """G = F⁻¹∘Φ."""
    mixture, a, b = residual(SHAPES[shape])
    y = a + b * final(mixture, Z, sampler="rk4", steps=100)
    torch.testing.assert_close(y, SHAPES[shape].quantile(torch.special.ndtr(Z)), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("off", "scale"), [(0, 1), (0.4, 0.75), (-0.4, 1.4)])
@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_the_default_is_accurate(shape: str, off: float, scale: float) -> None:
    """KS < 0.007 and SD within 1 %, even with a location off by 0.4 SD and a scale off by a factor 1.4."""
    mixture, a, b = residual(SHAPES[shape], off, scale)
    y = a + b * trajectories(mixture, Z, EXACT)[-1]
    level, phi = torch.special.ndtr(Z), torch.exp(-0.5 * Z**2)
    assert float((SHAPES[shape].cdf(y) - level).abs().max()) < 0.007
    assert (y.diff() > 0).all()
    truth = SHAPES[shape].quantile(level)

    def sd(values: Tensor) -> float:
        mean = (phi * values).sum() / phi.sum()
        return float(((phi * (values - mean) ** 2).sum() / phi.sum()).sqrt())

    assert sd(y) == pytest.approx(sd(truth), rel=0.01)


@settings(max_examples=40, deadline=None)
@given(
    components=st.lists(st.tuples(st.floats(0.05, 1), st.floats(-2, 2), st.floats(0.05, 2)), min_size=1, max_size=4),
    steps=st.integers(2, 12),
    schedule=st.sampled_from(["uniform", "quadratic"]),
)
def test_ddim_is_increasing_for_every_exact_score(
    components: list[tuple[float, float, float]], steps: int, schedule: str
) -> None:
    """u' = ρu + (1 − ρ)D(u) with D increasing, at any step size; a single step from π/2 has ρ = 0 and gives E[w]."""
    total = sum(weight for weight, _, _ in components)
    mixture = GaussianMixture.of(*((weight / total, m, s) for weight, m, s in components))
    assert (final(mixture, Z, sampler="ddim", steps=steps, schedule=schedule).diff() > 0).all()


# --- ancestral sampling ----------------------------------------------------------------------------------------------


def test_ddpm_converges_to_the_distribution() -> None:
    shape = SHAPES["two peaks"]
    mixture, a, b = residual(shape)
    z = torch.randn(1, 4000, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    y = a + b * final(mixture, z, sampler="ddpm", steps=500, schedule="linear-beta", draws=4000)
    u = shape.cdf(y)[0].sort().values
    ks = float((u - torch.linspace(0, 1, len(u), dtype=torch.float64)).abs().max())
    assert ks < 1.63 / len(u) ** 0.5


def test_ddpm_has_the_variance_of_the_chains_posterior() -> None:
    """One step from θ to θ' with a known w: x' ~ N(mean, σ² sin²θ'/sin²θ), the conditional of the joint Gaussian."""
    theta, theta_next, w = 1.2, 0.8, 0.7
    n = 200_000
    generator = torch.Generator().manual_seed(0)
    early = torch.randn(n, generator=generator, dtype=torch.float64)
    late = torch.randn(n, generator=generator, dtype=torch.float64)
    alpha = cos(theta) / cos(theta_next)
    x_next = cos(theta_next) * w + sin(theta_next) * early
    x = alpha * x_next + (sin(theta) ** 2 - alpha**2 * sin(theta_next) ** 2) ** 0.5 * late

    def velocity(x: Tensor, theta: float) -> Tensor:
        return (cos(theta) * x - w) / sin(theta)

    back = SAMPLERS["ddpm"](x, theta, theta_next, velocity, lambda: torch.randn(n, generator=generator, dtype=x.dtype))
    assert float(back.mean()) == pytest.approx(float(x_next.mean()), abs=0.01)
    assert float(back.std()) == pytest.approx(sin(theta_next), rel=0.01)
    assert float(torch.corrcoef(torch.stack([x, back]))[0, 1]) == pytest.approx(
        float(torch.corrcoef(torch.stack([x, x_next]))[0, 1]), abs=0.01
    )


def test_ddpm_is_reproducible_from_its_seed() -> None:
    mixture = residual(SHAPES["wide"])[0]
    runs = [final(mixture, Z, sampler="ddpm", steps=20, draws=121, seed=seed) for seed in (5, 5, 6)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


# --- what the network relies on --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "chosen", [EXACT, PAPER, *(SamplerSettings(name, steps=3, draws=5) for name in sorted(SAMPLERS))], ids=str
)
def test_evaluations_come_in_the_announced_order(chosen: SamplerSettings) -> None:
    calls: list[tuple[int, float]] = []

    def velocity(x: Tensor, i: int, theta: float) -> Tensor:
        calls.append((i, theta))
        return torch.zeros_like(x)

    trajectories(velocity, Z, chosen)
    assert [i for i, _ in calls] == list(range(chosen.evaluations))
    assert [theta for _, theta in calls] == evaluation_angles(chosen).tolist()


def test_the_presets() -> None:
    assert (EXACT.evaluations, PAPER.evaluations, DDPM.evaluations) == (8, 10, 1000)
    assert evaluation_angles(PAPER).tolist() == grid("linear-beta", 10)[:-1]
    midpoints = evaluation_angles(EXACT)[1::2]
    theta = angles(EXACT.schedule, EXACT.steps)
    torch.testing.assert_close(midpoints, 0.5 * (theta[1:] + theta[:-1]))


def test_all_states_are_returned_noise_first() -> None:
    states = trajectories(residual(SHAPES["wide"])[0], Z, EXACT)
    assert states.shape == (EXACT.steps + 1, *Z.shape)
    assert torch.equal(states[0], Z)


def test_a_batch_is_its_studies_one_by_one() -> None:
    pair = [residual(SHAPES[name])[0] for name in ("two peaks", "80/20")]
    both = GaussianMixture(*(torch.cat([getattr(p, name) for p in pair]) for name in ("weights", "means", "sds")))
    together = trajectories(both, Z.expand(2, -1), EXACT)
    for k, mixture in enumerate(pair):
        torch.testing.assert_close(together[:, k : k + 1], trajectories(mixture, Z, EXACT), rtol=0, atol=1e-13)


@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_the_loop_unrolls_into_one_graph(sampler: str) -> None:
    """Exported or traced, it is the same map of any z."""

    class Sampler(torch.nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return trajectories(lambda x, i, theta: torch.tanh(x) * (i + theta), z, SamplerSettings(sampler))

    z, other = torch.randn(2, 23), torch.randn(2, 23)
    torch.testing.assert_close(torch.export.export(Sampler(), (z,)).module()(other), Sampler()(other))
    torch.testing.assert_close(torch.jit.trace(Sampler(), (z,))(other), Sampler()(other))


def test_starting_points() -> None:
    nodes = starting_points(EXACT, batch=3)
    assert nodes.shape == (3, 23)
    torch.testing.assert_close(nodes[1], torch.from_numpy(quantile_nodes()).float())
    draws = starting_points(PAPER, batch=3)
    assert draws.shape == (3, 40)
    assert torch.equal(draws, starting_points(PAPER, batch=3))
    assert not torch.equal(draws[0], draws[1])


@pytest.mark.parametrize(
    "wrong", [{"sampler": "magic"}, {"schedule": "magic"}, {"steps": 0}, {"draws": 1}, {"sampler": "ddpm"}]
)
def test_settings_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidConfig):
        SamplerSettings(**wrong)  # type: ignore[arg-type]
