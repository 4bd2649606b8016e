"""Training a denoiser: many (θ, ε) pairs for each encoded clip.

    θ ~ U(0, π/2),   ε ~ N(0, 1),   x = cosθ·w + sinθ·ε,   v = cosθ·ε − sinθ·w,   loss = E (v_φ(x, θ) − v)²

The minimiser is the velocity of the flow ODE, E[v | x, θ]. The encoder holds most of the cost, so each clip trains the
network on P pairs; one angle is drawn in each of P equal strata of (0, π/2), which takes most of the variance of the
loss over θ away.

References: Salimans and Ho 2022, "Progressive distillation" (v-prediction); Kingma et al. 2021, "Variational diffusion
models" (stratified times).
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from typing import NamedTuple

import torch
from torch import Tensor


class Pairs(NamedTuple):
    """The randomness of one training step: angles θ in (0, π/2) and noise ε, both [B, P]."""

    theta: Tensor
    eps: Tensor


def draw_pairs(
    shape: tuple[int, int], generator: torch.Generator | None = None, device: torch.device | str = "cpu"
) -> Pairs:
    """Draw (θ, ε) for B clips and P pairs each, float32; column p holds the stratum (π/2)·[p/P, (p+1)/P) of each clip.

    Arguments:
        shape: (B, P).
        generator: on the CPU, so that a run draws the same numbers on every device.
        device: where the pairs go.
    """
    stratum = torch.arange(shape[1])
    # The largest float32 below 1 plus a large integer rounds up, so the angle is held off its upper end.
    share = ((stratum + torch.rand(shape, generator=generator)) / shape[1]).clamp(1e-6, 1 - 1e-6)
    eps = torch.randn(shape, generator=generator)
    return Pairs((0.5 * pi * share).to(device), eps.to(device))


def velocity_error(network_velocity: Callable[[Tensor, Tensor], Tensor], w: Tensor, pairs: Pairs) -> Tensor:
    """(v_φ(x, θ) − v)² for given pairs: [B, P]."""
    theta, eps = pairs
    c, s = theta.cos(), theta.sin()
    x, v = c * w + s * eps, c * eps - s * w
    return (network_velocity(x, theta) - v) ** 2


def denoising_loss(
    network_velocity: Callable[[Tensor, Tensor], Tensor], w: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """The loss of each clip, averaged over its pairs: [B].

    Arguments:
        network_velocity: (x [B, P], θ [B, P]) → v_φ [B, P].
        w: residuals [B, P]; one label per clip is `w.unsqueeze(1).expand(-1, P)`.
        generator: see `draw_pairs`.
    """
    pairs = draw_pairs((w.shape[0], w.shape[1]), generator, w.device)
    return velocity_error(network_velocity, w, pairs).mean(dim=1)
