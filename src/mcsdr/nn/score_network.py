"""The score network (MCSN): the velocity of the probability flow, given a condition.

    v(x, θ; c) = E[cos θ ε − sin θ w | x_θ = x, c],     x_θ = cos θ w + sin θ ε.

Each x is a query of its own; it meets the condition's tokens by cross-attention. For standardised w that is a unit
normal the velocity is zero, so the last layer starts at zero: before any training the posterior is the location-scale
head's logit-normal, and what is learned is the departure from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcsdr.nn.layers import AttentionPool, Block, Condition, KeysValues, between, read_out

FREQUENCIES = 8
REACH = 3.0  # states rarely lie further out


@dataclass(frozen=True)
class ConditionCache:
    """Keys and values of every block for one batch of conditions."""

    blocks: tuple[KeysValues, ...]


@dataclass(frozen=True)
class Angles:
    """All that depends on θ alone, once per schedule: fields [..., width] for angles [...]."""

    gain: Tensor  # of the state in the network's first layer
    embedding: Tensor

    def __getitem__(self, index: int) -> Angles:
        return Angles(self.gain[index], self.embedding[index])


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

    def angles(self, theta: Tensor) -> Angles:
        """The terms of angles θ [...] in (0, π/2]."""
        k = torch.arange(1, FREQUENCIES + 1, device=theta.device, dtype=theta.dtype)
        phases = theta[..., None] * k
        still, _, with_cos, with_sin = cast(nn.Linear, self.state[0]).weight.T / REACH
        gain = still + with_cos * theta.cos()[..., None] + with_sin * theta.sin()[..., None]
        return Angles(gain, self.angle(torch.cat([phases.sin(), phases.cos()], dim=-1)))

    def forward(self, x: Tensor, angles: Angles, cache: ConditionCache) -> Tensor:
        """Velocity [B, N] of states x [B, N]; the angles' terms broadcast against [B, N, width].

        The first layer sees x, x cos θ and x sin θ over their reach, and tanh x; all but the last are x times a gain.
        """
        first, squashed = cast(nn.Linear, self.state[0]), torch.tanh(x)[..., None]
        h = F.gelu(torch.addcmul(first.bias + squashed * first.weight[:, 1], x[..., None], angles.gain))
        h = self.state[2](h) + angles.embedding
        for block, kv in zip(self.blocks, cache.blocks, strict=True):
            h = block.cross(h, kv)  # type: ignore[operator]
        velocity: Tensor = self.out(self.norm(h)).squeeze(-1)
        return velocity


class NoScore(nn.Module):
    """A velocity of zero in the score network's place: nothing departs from the location-scale head's logit-normal.

    What it leaves is the question that every score network must answer: what does it add?
    """

    def cache(self, condition: Condition) -> None:
        """Nothing is kept."""

    def angles(self, theta: Tensor) -> Tensor:
        """The angles themselves; nothing depends on them."""
        return theta

    def forward(self, x: Tensor, angles: Tensor, cache: None) -> Tensor:
        """0, of the shape of x."""
        return torch.zeros_like(x)


class LocationScale(AttentionPool):
    """Centre a and scale b of logit(EF/100) under a condition: what the diffusion's residual is measured from."""

    SCALE = (0.03, 3.0)

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.out = read_out(width, 2)

    def forward(self, condition: Condition) -> tuple[Tensor, Tensor]:
        """a [B] and b [B] > 0."""
        a, raw = self.out(self.pool(condition)).float().unbind(-1)
        return a, between(raw, *self.SCALE)
