"""Attention over the tokens of a condition, with keys and values computed once.

A posterior asks many questions of one condition: every trajectory, at every step, is a query, and all of them meet
the same tokens. So the keys and values [B, h, L, d/h] are computed once, and queries [B, N, d] come on an axis of
their own; nothing is copied N times.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel


@dataclass(frozen=True)
class Condition:
    """What is known of a study, as tokens [B, L, d] and which of them may be looked at, bool [B, L]."""

    tokens: Tensor
    mask: Tensor


@dataclass(frozen=True)
class KeysValues:
    """Keys and values [B, h, L, d/h] of one attention layer, and what is added to the scores, [B, 1, 1, L]."""

    keys: Tensor
    values: Tensor
    mask: Tensor | None


class CrossAttention(nn.Module):
    """Multi-head attention of queries [B, N, d] over cached keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def cache(self, tokens: Tensor, mask: Tensor | None) -> KeysValues:
        """Keys and values of tokens [B, L, d]; mask bool [B, L] or None for all."""
        keys, values = self.key_value(tokens).chunk(2, dim=-1)
        # As a number, 0 or −∞: a bool would be turned into one again by every query.
        added = None if mask is None else torch.zeros_like(mask, dtype=torch.float32).masked_fill_(~mask, -torch.inf)
        return KeysValues(self._split(keys), self._split(values), None if added is None else added[:, None, None, :])

    def forward(self, x: Tensor, kv: KeysValues) -> Tensor:
        """Attend: [B, N, d] -> [B, N, d]."""
        queries = self._split(self.query(x))
        with _for_gradients(queries):
            heads = F.scaled_dot_product_attention(queries, kv.keys, kv.values, attn_mask=kv.mask)
        out: Tensor = self.out(heads.transpose(1, 2).flatten(2))
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], self.heads, -1).transpose(1, 2)


def _for_gradients(queries: Tensor) -> AbstractContextManager[None]:
    """The plain product where a gradient is asked for on a CPU: over so few tokens the fused one's takes far longer."""
    plain = queries.requires_grad and queries.device.type == "cpu"
    return sdpa_kernel(SDPBackend.MATH) if plain else nullcontext()


class AttentionPool(nn.Module):
    """One learned query over the tokens of a condition: how everything but the score network reads it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.query = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.attention = CrossAttention(width, heads)

    def pool(self, condition: Condition) -> Tensor:
        """What is known as one vector, [B, d]."""
        kv = self.attention.cache(condition.tokens, condition.mask)
        return self.attention(self.query.expand(condition.tokens.shape[0], -1, -1), kv).squeeze(1)  # type: ignore[no-any-return]


def read_out(width: int, outputs: int) -> nn.Sequential:
    """The small network from a pooled condition [..., width] to numbers [..., outputs]."""
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, outputs))


def between(raw: Tensor, low: float, high: float) -> Tensor:
    """A positive number between low and high, their geometric mean at raw = 0."""
    log_low, log_high = math.log(low), math.log(high)
    return torch.exp(log_low + (log_high - log_low) * torch.sigmoid(raw))


class Block(nn.Module):
    """Pre-norm residual attention and feed-forward; self-attention when the queries are the tokens."""

    def __init__(self, width: int, heads: int, expansion: int) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = CrossAttention(width, heads)
        self.norm_feed = nn.LayerNorm(width)
        self.feed = nn.Sequential(nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width))

    def cross(self, x: Tensor, kv: KeysValues) -> Tensor:
        """Queries [B, N, d] look at cached tokens."""
        x = x + self.attention(self.norm_attention(x), kv)
        x = x + self.feed(self.norm_feed(x))
        return x

    def mix(self, tokens: Tensor) -> Tensor:
        """Tokens [B, L, d] look at each other."""
        normed = self.norm_attention(tokens)
        tokens = tokens + self.attention(normed, self.attention.cache(normed, None))
        tokens = tokens + self.feed(self.norm_feed(tokens))
        return tokens
