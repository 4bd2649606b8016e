"""The time of the diffusion is an angle, and a schedule is a descending grid of angles.

    x_θ = cosθ · w + sinθ · ε,      ε ~ N(0, 1),      θ from π/2 (pure noise) down to 0 (the residual w)

Every variance-preserving chain is of this form with cosθ_t = sqrt(ᾱ_t), so the chain of the MCSDR paper
(T = 1000, β linear from 1e-4 to 0.02) is a schedule too. It starts at arccos(sqrt(ᾱ_T)) = π/2 − 0.006, not at π/2:
a little of the signal is left in what the sampler takes for pure noise.

References: Song, Meng, Ermon 2021, "Denoising diffusion implicit models"; Lu and Song 2024, "Simplifying, stabilizing
and scaling continuous-time consistency models" (TrigFlow).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from math import acos, pi, sqrt
from operator import mul

import torch
from torch import Tensor

from mcsdr.errors import InvalidConfig

T = 1000
BETA_MIN, BETA_MAX = 1e-4, 0.02
MOST_STEPS = 10_000  # of a schedule, whose angles are held as a list


def uniform(steps: int) -> list[float]:
    """θ_k = (π/2)(1 − k/steps)."""
    return [0.5 * pi * (1 - k / steps) for k in range(steps)] + [0.0]


def quadratic(steps: int) -> list[float]:
    """θ_k = (π/2)·s(1 + s)/2 with s = 1 − k/steps: steps shorten to a third of their length towards θ = 0.

    Two peaks part near θ = 0, the nearer the wider the residual's scale was set. Over five EF-shaped posteriors whose
    location is off by up to 0.4 SD and whose scale by up to a factor 1.4, the worst KS of four midpoint steps falls
    from 0.027 on the uniform grid to 0.006 here; where location and scale are right, the two grids are alike.
    """
    return [0.25 * pi * s * (1 + s) for s in (1 - k / steps for k in range(steps))] + [0.0]


def linear_beta(steps: int) -> list[float]:
    """θ_t = arccos(sqrt(ᾱ_t)) at t = ⌊(steps − k)·T/steps⌋ − 1, then 0; ᾱ_t = ∏ (1 − β_s), β linear in t.

    Where the steps do not divide T, the levels t are cut to whole ones as the MCSDR authors' code cuts them.
    """
    if steps > T:
        raise InvalidConfig(
            f"The linear-beta schedule has {T} levels, too few for {steps} steps.",
            next_step=f"Ask for at most {T} steps.",
        )
    betas = (BETA_MIN + (BETA_MAX - BETA_MIN) * t / (T - 1) for t in range(T))
    alpha_bar = list(accumulate((1 - beta for beta in betas), mul))
    return [acos(sqrt(alpha_bar[(steps - k) * T // steps - 1])) for k in range(steps)] + [0.0]


SCHEDULES: dict[str, Callable[[int], list[float]]] = {
    "uniform": uniform,
    "quadratic": quadratic,
    "linear-beta": linear_beta,
}


def grid(schedule: str, steps: int) -> list[float]:
    """The angles of a schedule as Python floats, which a compiled graph takes for constants.

    Arguments:
        schedule: a name in `SCHEDULES`.
        steps: number of sampler steps, at least 1.

    Returns:
        steps + 1 angles in radians, strictly descending, the last exactly 0.

    Raises:
        InvalidConfig: unknown schedule, or a number of steps it does not have.
    """
    if schedule not in SCHEDULES:
        raise InvalidConfig(
            f"There is no schedule named {schedule!r}.", next_step=f"Choose one of {', '.join(sorted(SCHEDULES))}."
        )
    if steps < 1:
        raise InvalidConfig(f"A sampler needs at least one step, and {steps} were asked for.", next_step="Raise steps.")
    if steps > MOST_STEPS:
        raise InvalidConfig(
            f"{steps} steps are more than any schedule has.", next_step=f"Ask for {MOST_STEPS} at most."
        )
    return SCHEDULES[schedule](steps)


def chain() -> Tensor:
    """The angles of the chain's T levels, t ascending, cos θ_t = sqrt(ᾱ_t): [T] float64."""
    return torch.tensor(linear_beta(T)[:-1][::-1], dtype=torch.float64)


def uniform_level(theta: Tensor) -> Tensor:
    """The level t, int64 in 0…T − 1, whose share of the chain is that of θ in (0, π/2): uniform where θ is."""
    return (theta * (2 / pi) * T).long().clamp(0, T - 1)


def angles(schedule: str, steps: int) -> Tensor:
    """`grid` as a float64 tensor [steps + 1].

    >>> angles("uniform", 2)
    tensor([1.5708, 0.7854, 0.0000], dtype=torch.float64)
    """
    return torch.tensor(grid(schedule, steps), dtype=torch.float64)
