"""From noise to residual: one `step` per sampler, over any velocity function.

With x_θ = cosθ·w + sinθ·ε the denoiser gives the velocity

    v(x, θ) = E[cosθ·ε − sinθ·w | x_θ = x],      D = cosθ·x − sinθ·v,      ε̂ = sinθ·x + cosθ·v

where D and ε̂ are the expected residual and noise. The probability-flow ODE is dx/dθ = v, integrated from θ = π/2,
where x = z is standard normal, down to θ = 0, where x = w. In one dimension its flow z → w cannot cross itself: with
the exact velocity it is F⁻¹∘Φ, so a Gaussian quantile flows to the posterior quantile and no random draws are needed.

h = θ − θ' > 0 is the size of a step from θ to θ'. To add a sampler, write one function of the form of `ddim` and name
it in `SAMPLERS`; the angles at which it evaluates the network are found by running it. A multistep rule is a function
of the same form: `v.last` is the evaluation before the one it makes.

References: Song, Sohl-Dickstein, Kingma et al. 2021, "Score-based generative modeling through SDEs" (the flow ODE);
Ho, Jain, Abbeel 2020, "Denoising diffusion probabilistic models"; Song, Meng, Ermon 2021 (DDIM); Lu, Zhou, Bao et al.
2022, "DPM-Solver++: fast solver for guided sampling of diffusion probabilistic models", arXiv 2211.01095.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count, pairwise
from math import cos, inf, log, pi, sin, sqrt, tan
from numbers import Integral
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mcsdr.diffusion.schedule import grid
from mcsdr.errors import InvalidConfig
from mcsdr.posterior import quantile_nodes


class Velocity(Protocol):
    """What a sampler integrates.

    `i` counts the evaluations of one run, so that a network may look up the embedding of
    `evaluation_angles(settings)[i]`, computed once; a closed form ignores it.
    """

    def __call__(self, x: Tensor, i: int, theta: float, /) -> Tensor:
        """v(x, θ) [B, N] at points x [B, N] and the angle θ in radians, the i-th evaluation of the run."""
        ...


class Evaluation(NamedTuple):
    """One evaluation of the velocity: v at the points x and the angle θ."""

    x: Tensor
    theta: float
    v: Tensor

    @property
    def denoised(self) -> Tensor:
        """D = cosθ·x − sinθ·v, the expected residual."""
        return cos(self.theta) * self.x - sin(self.theta) * self.v


class Field:
    """v(x, θ) for one run of a sampler.

    Attributes:
        last: the evaluation made last, None before the first; most rules have no use for it.
    """

    def __init__(self, velocity: Velocity) -> None:
        self.velocity = velocity
        self.last: Evaluation | None = None
        self._index = count()

    def __call__(self, x: Tensor, theta: float) -> Tensor:
        """v [B, N] at points x [B, N] and the angle θ in radians."""
        v = self.velocity(x, next(self._index), theta)
        self.last = Evaluation(x, theta, v)
        return v


Noise = Callable[[], Tensor]
Step = Callable[[Tensor, float, float, Field, Noise], Tensor]


def euler(x: Tensor, theta: float, theta_next: float, v: Field, noise: Noise) -> Tensor:
    """x' = x − h·v(x, θ). Order 1."""
    return x - (theta - theta_next) * v(x, theta)


def ddim(x: Tensor, theta: float, theta_next: float, v: Field, noise: Noise) -> Tensor:
    """x' = cosθ'·D + sinθ'·ε̂ = cos(h)·x − sin(h)·v: the rotation that is exact where D does not change. Order 1."""
    h = theta - theta_next
    return cos(h) * x - sin(h) * v(x, theta)


def midpoint(x: Tensor, theta: float, theta_next: float, v: Field, noise: Noise) -> Tensor:
    """x' = x − 2·sin(h/2)·v(x_m, θ − h/2), x_m the DDIM rotation by h/2. Order 2.

    The circle through x whose velocity half-way is v_m: A cos s + B sin s with A = x, B = (x sin(h/2) − v_m)/cos(h/2).
    """
    half = 0.5 * (theta - theta_next)
    x_m = cos(half) * x - sin(half) * v(x, theta)
    return x - 2 * sin(half) * v(x_m, theta - half)


def heun(x: Tensor, theta: float, theta_next: float, v: Field, noise: Noise) -> Tensor:
    """x' = x − h·(v(x, θ) + v(x − h·v(x, θ), θ'))/2. Order 2."""
    h = theta - theta_next
    v_0 = v(x, theta)
    v_1 = v(x - h * v_0, theta_next)
    return x - 0.5 * h * (v_0 + v_1)


def rk4(x: Tensor, theta: float, theta_next: float, v: Field, noise: Noise) -> Tensor:
    """The classical Runge–Kutta step, for reference. Order 4."""
    h = theta - theta_next
    k_1 = v(x, theta)
    k_2 = v(x - 0.5 * h * k_1, theta - 0.5 * h)
    k_3 = v(x - 0.5 * h * k_2, theta - 0.5 * h)
    k_4 = v(x - h * k_3, theta_next)
    return x - h / 6 * (k_1 + 2 * k_2 + 2 * k_3 + k_4)


def ddpm(x: Tensor, theta: float, theta_next: float, v: Field, noise: Noise) -> Tensor:
    """Ancestral sampling: x' ~ p(x_θ' | x_θ = x, w = D), with the variance of the posterior of the VP chain.

    With α = cosθ/cosθ' and σ² = sin²θ − α² sin²θ' the mean is (α sin²θ'·x + cosθ' σ²·D)/sin²θ and the variance
    σ² sin²θ'/sin²θ, which is 0 in the last step.
    """
    alpha = cos(theta) / cos(theta_next)
    sin2, sin2_next = sin(theta) ** 2, sin(theta_next) ** 2
    sigma2 = sin2 - alpha**2 * sin2_next
    D = cos(theta) * x - sin(theta) * v(x, theta)
    mean = (alpha * sin2_next * x + cos(theta_next) * sigma2 * D) / sin2
    return mean + sqrt(sigma2 * sin2_next / sin2) * noise()


def dpmpp_2m(x: Tensor, theta: float, theta_next: float, v: Field, noise: Noise) -> Tensor:
    """DPM-Solver++(2M): the DDIM step with D extrapolated along λ = log(cosθ/sinθ), half the log-SNR.

        x' = (sinθ'·x + sin(h)·D̃)/sinθ,      D̃ = D + (D − D_last)·(λ' − λ)/(2(λ − λ_last))

    D̃ = D, the step of order 1, where there is no line to follow: in the first step, in the second if the first began
    at θ = π/2 (λ_last = −∞), and in the last, where λ' = ∞ and the extrapolation has no limit; there x' = D. Order 2
    on a grid of λ; from π/2 to 0, where equal angles are ever longer steps of λ, the error is h² log(1/h).
    """
    last = v.last
    D = cos(theta) * x - sin(theta) * v(x, theta)
    if last is not None and theta_next > 0:
        lam, lam_next, lam_last = half_log_snr(theta), half_log_snr(theta_next), half_log_snr(last.theta)
        D = D + 0.5 * (lam_next - lam) / (lam - lam_last) * (D - last.denoised)
    return sin(theta_next) / sin(theta) * x + sin(theta - theta_next) / sin(theta) * D


def half_log_snr(theta: float) -> float:
    """λ = log(cosθ/sinθ) for θ in (0, π/2], −∞ at π/2, where a rounded cosine would give −37."""
    return -log(tan(theta)) if theta < pi / 2 else -inf


SAMPLERS: dict[str, Step] = {
    "euler": euler,
    "ddim": ddim,
    "midpoint": midpoint,
    "heun": heun,
    "rk4": rk4,
    "ddpm": ddpm,
    "dpm++2m": dpmpp_2m,
}
STOCHASTIC = frozenset({"ddpm"})
MOST_STATES = 50_000_000  # of a study: draws × (steps + 1) float32 numbers, 200 MB


@dataclass(frozen=True)
class SamplerSettings:
    """How a posterior is sampled.

    Arguments:
        sampler: a name in `SAMPLERS`.
        steps: number of steps.
        schedule: a name in `mcsdr.diffusion.schedule.SCHEDULES`.
        draws: None for the deterministic quantile nodes, or the number of iid trajectories.
        seed: of the iid starting points and of a stochastic sampler; the quantile nodes need none.
        clipped: draws of raw per cent are held to 0–100 before their mean is taken; the MCSDR authors' code does not.

    Raises:
        InvalidConfig: a name or a number is out of range, or a stochastic sampler is asked to carry quantile nodes.
    """

    sampler: str = "midpoint"
    steps: int = 4
    schedule: str = "quadratic"
    draws: int | None = None
    seed: int = 0
    clipped: bool = False

    def __post_init__(self) -> None:
        for name, number in (("steps", self.steps), ("draws", 2 if self.draws is None else self.draws)):
            if not isinstance(number, Integral):
                raise InvalidConfig(f"{name} = {number!r} is no whole number.", next_step="Write it without a point.")
        if not isinstance(self.seed, Integral) or not 0 <= self.seed < 2**63:
            raise InvalidConfig(f"{self.seed!r} is no seed.", next_step="Give a whole number from 0 to 2⁶³ − 1.")
        if self.sampler not in SAMPLERS:
            raise InvalidConfig(
                f"There is no sampler named {self.sampler!r}.",
                next_step=f"Choose one of {', '.join(sorted(SAMPLERS))}.",
            )
        if self.draws is None and self.sampler in STOCHASTIC:
            raise InvalidConfig(
                f"The sampler {self.sampler!r} adds noise, so it cannot carry quantile nodes.",
                next_step="Give a number of draws, or choose a deterministic sampler.",
            )
        if self.draws is not None and self.draws < 3:
            raise InvalidConfig(
                f"{self.draws} draws do not make a posterior.", next_step="Ask for three draws or more."
            )
        grid(self.schedule, self.steps)
        if (self.draws or 0) * (self.steps + 1) > MOST_STATES:
            raise InvalidConfig(
                f"{self.draws} draws in {self.steps} steps are more states of one study than memory should hold.",
                next_step=f"Ask for fewer: draws × (steps + 1) is {MOST_STATES:,} at most.",
            )

    @property
    def point(self) -> str:
        """What stands for a posterior where one number is asked for: "mean" of iid draws, else "median"."""
        return "mean" if self.draws else "median"

    @property
    def evaluations(self) -> int:
        """Number of network evaluations of one run."""
        return len(evaluation_angles(self))


EXACT = SamplerSettings()
PAPER = SamplerSettings(sampler="ddim", steps=10, schedule="linear-beta", draws=40)
DDPM = SamplerSettings(sampler="ddpm", steps=1000, schedule="linear-beta", draws=40)


def starting_points(
    settings: SamplerSettings,
    batch: int,
    generator: torch.Generator | None = None,
    keys: NDArray[np.int64] | None = None,
) -> Tensor:
    """The points z [batch, N] from which trajectories start, float32 on the CPU.

    The 23 quantile nodes (the same for every study) where `settings.draws` is None, otherwise that many iid standard
    normal draws per study, from `generator` or, without one, from `settings.seed`; where each study has a key of its
    own, [batch], from the seed and the key, so that its draws do not depend on the studies asked beside it.
    """
    if settings.draws is None:
        return torch.from_numpy(quantile_nodes()).float().expand(batch, -1)
    if keys is not None and generator is None:
        return torch.stack([torch.randn(settings.draws, generator=_seeded(settings, int(key))) for key in keys])
    return torch.randn((batch, settings.draws), generator=generator or _seeded(settings))


def trajectories(
    velocity: Velocity, z: Tensor, settings: SamplerSettings, generator: torch.Generator | None = None
) -> Tensor:
    """All states of the sampler, from z at the first angle to the residual w at θ = 0.

    The number of steps is fixed and nothing depends on the data, so the whole loop unrolls into one graph.

    Arguments:
        velocity: the denoiser, called `settings.evaluations` times as velocity(x, i, theta) with x [B, N].
        z: starting points [B, N].
        settings: sampler, steps and schedule.
        generator: randomness of a stochastic sampler, on the CPU; without one each row's comes from `settings.seed` and
            where the row starts, whatever rows stand beside it.

    Returns:
        [steps + 1, B, N], z first and w last, at the angles `angles(settings.schedule, settings.steps)`.
    """
    step, v = SAMPLERS[settings.sampler], Field(velocity)
    noise = _noise_like(z, settings, generator) if settings.sampler in STOCHASTIC else lambda: torch.zeros_like(z)

    thetas, states = grid(settings.schedule, settings.steps), [z]
    for theta, theta_next in pairwise(thetas):
        states.append(step(states[-1], theta, theta_next, v, noise))
    return torch.stack(states)


def evaluation_angles(settings: SamplerSettings) -> Tensor:
    """The angle of each network evaluation in the order of a run, midpoints included: [evaluations] float64, radians.

    Entry i is the θ that `velocity(x, i, θ)` receives; found by running the sampler on a velocity that takes notes.
    """
    visited: list[float] = []

    def note(x: Tensor, i: int, theta: float) -> Tensor:
        visited.append(theta)
        return torch.zeros_like(x)

    trajectories(note, torch.zeros(1, 1), settings)
    return torch.tensor(visited, dtype=torch.float64)


def _noise_like(z: Tensor, settings: SamplerSettings, generator: torch.Generator | None) -> Noise:
    """Standard normal noise of the shape of z [B, N], a new one at each call."""
    if generator is not None:
        return lambda: torch.randn(z.shape, generator=generator, dtype=z.dtype).to(z.device)
    starts = z.detach().cpu().contiguous().numpy()
    rows = [_seeded(settings, zlib.crc32(start)) for start in starts]
    return lambda: torch.stack([torch.randn(z.shape[1], generator=row, dtype=z.dtype) for row in rows]).to(z.device)


def _seeded(settings: SamplerSettings, key: int = 0) -> torch.Generator:
    """A generator of the seed, and of a key of a study's own."""
    return torch.Generator().manual_seed((settings.seed + key * 0x9E3779B97F4A7C15) % 2**63)


def preset(name: str, seed: int = 0) -> SamplerSettings:
    """ "exact", "paper", "paper-clipped" or "ddpm", with the seed of its random draws.

    Raises:
        InvalidConfig: there is none of that name.
    """
    presets = {"exact": EXACT, "paper": PAPER, "paper-clipped": replace(PAPER, clipped=True), "ddpm": DDPM}
    if name not in presets:
        raise InvalidConfig(f"There is no sampler preset {name!r}.", next_step=f"Choose one of {', '.join(presets)}.")
    return replace(presets[name], seed=seed)
