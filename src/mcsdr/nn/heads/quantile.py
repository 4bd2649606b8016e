"""Quantile regression: the pinball loss, at fixed levels or at random ones.

    ρ_τ(y, q) = (τ − 1[y < q])·(y − q),      ∫₀¹ ρ_τ(y, F⁻¹(τ)) dτ = ½ CRPS(F, y)

    quantiles   the 23 nodes of the posterior's table, F⁻¹(Φ(z_j)) of ℓ = logit(y/100): a median, and slopes outwards
                from it that are positive, so that nothing crosses
    iqn         one network q(c, τ), trained at random τ = Φ(ε): the CRPS, and a quantile at every level

References: Koenker and Bassett 1978; Gneiting and Raftery 2007 (the CRPS as an integral of quantile scores); Dabney,
Ostrovski, Silver, Munos 2018, "Implicit quantile networks for distributional reinforcement learning".
"""

from __future__ import annotations

from math import pi

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcsdr.diffusion.denoiser import Pairs
from mcsdr.nn.heads.head import SPREAD, Head, interpolate, of_logit
from mcsdr.nn.layers import Condition, read_out
from mcsdr.posterior import quantile_nodes

COSINES = 64


def pinball(ef_percent: Tensor, quantile: Tensor, level: Tensor) -> Tensor:
    """ρ_τ of labels [B], quantiles [B, N] and levels [B or 1, N], in units of 12 EF points: [B, N]."""
    error = (ef_percent[:, None] - quantile) / SPREAD
    return torch.maximum(level * error, (level - 1) * error)


class QuantileTable(Head):
    """The quantiles at the 23 nodes by the pinball loss; between and beyond them ℓ is linear in z."""

    nodes: Tensor
    spacing: Tensor

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        nodes = torch.from_numpy(quantile_nodes())
        self.register_buffer("nodes", nodes, persistent=False)
        self.register_buffer("spacing", nodes.diff(), persistent=False)
        self.middle = int(nodes.abs().argmin())
        self.out = read_out(width, len(nodes))

    def loss(self, condition: Condition, ef_percent: Tensor, pairs: Pairs) -> Tensor:
        level = torch.special.ndtr(self.nodes)[None]
        return pinball(ef_percent, of_logit(self._latent(condition)), level).mean().float()

    def quantiles(self, condition: Condition, z: Tensor) -> Tensor:
        return of_logit(interpolate(z.double(), self.nodes[None], self._latent(condition)))

    def _latent(self, condition: Condition) -> Tensor:
        """ℓ at the nodes, ascending, [B, 23]: ℓ_j+1 = ℓ_j + softplus(·)·(z_j+1 − z_j), from the median outwards."""
        raw = self.out(self.pool(condition)).double()
        median, steps = raw[:, :1], F.softplus(raw[:, 1:]) * self.spacing
        below, above = steps[:, : self.middle], steps[:, self.middle :]
        down = below.flip(1).cumsum(1).flip(1)
        return torch.cat([median - down, median, median + above.cumsum(1)], dim=1)


class ImplicitQuantile(Head):
    """q(c, τ) = out(pooled ⊙ GELU(A cos(π k τ))), k = 0 … 63; quantiles may cross."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.level = nn.Sequential(nn.Linear(COSINES, width), nn.GELU())
        self.norm = nn.LayerNorm(width)
        self.out = read_out(width, 1)

    def loss(self, condition: Condition, ef_percent: Tensor, pairs: Pairs) -> Tensor:
        level = torch.special.ndtr(pairs.eps)
        return pinball(ef_percent, self._at(condition, level), level).mean()

    def quantiles(self, condition: Condition, z: Tensor) -> Tensor:
        return self._at(condition, torch.special.ndtr(z).float())

    def _at(self, condition: Condition, level: Tensor) -> Tensor:
        k = torch.arange(COSINES, device=level.device)
        embedded = self.level(torch.cos(pi * k * level[..., None]))
        pooled = self.norm(self.pool(condition))[:, None]
        return of_logit(self.out(pooled * embedded).float().squeeze(-1))
