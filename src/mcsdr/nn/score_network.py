"""The score network (MCSN): the velocity of the probability flow, given a condition.

    v(x, θ; c) = E[cos θ ε − sin θ w | x_θ = x, c],     x_θ = cos θ w + sin θ ε.

Each x is a query of its own; it meets the condition's tokens by cross-attention. For standardised w that is a unit
normal the velocity is zero, so the last layer starts at zero: before any training the posterior is the location-scale
head's logit-normal, and what is learned is the departure from it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mcsdr.nn.layers import Block, Condition, CrossAttention, KeysValues

FREQUENCIES = 8


@dataclass(frozen=True)
class ConditionCache:
    """Keys and values of every block for one batch of conditions."""

    blocks: tuple[KeysValues, ...]


class ScoreNetwork(nn.Module):
    """Velocity of states x [B, N] at angle θ under a cached condition."""

    def __init__(self, width: int, heads: int, depth: int, expansion: int) -> None:
        super().__init__()
        self.angle = nn.Sequential(nn.Linear(2 * FREQUENCIES, width), nn.GELU(), nn.Linear(width, width))
        self.state = nn.Sequential(nn.Linear(4, width), nn.GELU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(Block(width, heads, expansion) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def cache(self, condition: Condition) -> ConditionCache:
        """Keys and values of the condition, once for all steps and trajectories."""
        return ConditionCache(tuple(b.attention.cache(condition.tokens, condition.mask) for b in self.blocks))  # type: ignore[union-attr, operator]

    def embed_angles(self, theta: Tensor) -> Tensor:
        """Embedding [..., width] of angles θ [...] in (0, π/2]; once per schedule."""
        k = torch.arange(1, FREQUENCIES + 1, device=theta.device, dtype=theta.dtype)
        phases = theta[..., None] * k
        embedding: Tensor = self.angle(torch.cat([phases.sin(), phases.cos()], dim=-1))
        return embedding

    def forward(self, x: Tensor, theta: Tensor, angle_embedding: Tensor, cache: ConditionCache) -> Tensor:
        """Velocity [B, N] of x [B, N]; θ and its embedding broadcast against x and [B, N, width]."""
        # The state also comes squashed and divided by its reach, so that far-out states stay within the network's.
        cos, sin = theta.cos().expand_as(x), theta.sin().expand_as(x)
        features = torch.stack([x / 3, torch.tanh(x), x * cos / 3, x * sin / 3], dim=-1)
        h = self.state(features) + angle_embedding
        for block, kv in zip(self.blocks, cache.blocks, strict=True):
            h = block.cross(h, kv)  # type: ignore[operator]
        velocity: Tensor = self.out(self.norm(h)).squeeze(-1)
        return velocity


class LocationScale(nn.Module):
    """Centre a and scale b of logit(EF/100) under a condition: what the diffusion's residual is measured from."""

    LOG_SCALE = (math.log(0.03), math.log(3.0))

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.query = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.attention = CrossAttention(width, heads)
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 2))

    def forward(self, condition: Condition) -> tuple[Tensor, Tensor]:
        """a [B] and b [B] > 0."""
        kv = self.attention.cache(condition.tokens, condition.mask)
        pooled = self.attention(self.query.expand(len(condition.tokens), -1, -1), kv).squeeze(1)
        a, raw = self.out(pooled).float().unbind(-1)
        low, high = self.LOG_SCALE
        return a, torch.exp(low + (high - low) * torch.sigmoid(raw))
