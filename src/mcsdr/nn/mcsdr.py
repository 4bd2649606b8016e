"""The score head of the MCSDR paper: the noise in y_t, given a time, the pooled video feature and the attributes.

    c  = [feature; A₂ ReLU(A₁ attributes)]         condition, one token
    e  = GELU(T sinusoid(t))                       time
    q  = Q [y_t; e]                                query
    h  = norm(q + O V (K c))                       cross-attention
    ε̂  = out(norm(h + FFN(h)))

Over one key the softmax is 1 whatever the query, so cross-attention is an affine map of the condition. The original
stores query and key projections all the same, 131,584 numbers that no output depends on; they are left out here, and
with them the number of heads. What remains is its function exactly. y is the ejection fraction in per cent, unscaled;
t counts 1,000 steps of a variance-preserving diffusion, β linear from 1e-4 to 0.02.

One thing is added: an attribute that is unknown counts as the training mean, where the original stops.

References: the MCSDR paper, arXiv 2602.08202.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LONGEST_WAVE = 10_000.0


class McsdrHead(nn.Module):
    """Noise of states y_t [B, N] under conditions [B, D].

    Arguments:
        feature_width: of the pooled video feature.
        attributes: how many there are, A; with none the condition is the feature alone.
        attribute_width: of their encoding; 0 for none.
        time_width: of the sinusoid, even.
        width: of query, key and value.
    """

    def __init__(
        self,
        feature_width: int,
        attributes: int,
        attribute_width: int = 64,
        time_width: int = 64,
        width: int = 256,
    ) -> None:
        super().__init__()
        self.attributes: nn.Sequential | None = None
        condition_width = feature_width
        if attributes and attribute_width:
            self.attributes = nn.Sequential(
                nn.Linear(attributes, attribute_width), nn.ReLU(), nn.Linear(attribute_width, attribute_width)
            )
            condition_width += attribute_width
        self.time_width = time_width
        self.time = nn.Sequential(nn.Linear(time_width, time_width), nn.GELU())
        self.query = nn.Linear(1 + time_width, width)
        self.key = nn.Linear(condition_width, width)
        self.value = nn.Linear(width, width)
        self.out_attention = nn.Linear(width, width)
        self.norm_attention = nn.LayerNorm(width)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.norm_feed = nn.LayerNorm(width)
        self.out = nn.Linear(width, 1)
        # As multi-head attention starts: query, key and value projections are drawn as one matrix of 3·width rows.
        nn.init.uniform_(self.value.weight, -math.sqrt(1.5 / width), math.sqrt(1.5 / width))
        nn.init.zeros_(self.value.bias)
        nn.init.zeros_(self.out_attention.bias)

    def condition(self, features: Tensor, attributes: Tensor) -> Tensor:
        """What is known, [B, feature_width + attribute_width].

        Arguments:
            features: [B, feature_width], the mean of the video tokens.
            attributes: [B, A] standardised, NaN where unknown, which counts as the training mean, 0.
        """
        if self.attributes is None:
            return features
        return torch.cat([features, self.attributes(attributes.nan_to_num(nan=0.0))], dim=-1)

    def noise(self, y_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """ε̂ [B, N] in states y_t [B, N] at times t, int64 in 0…999, of a shape that broadcasts to [B, N]."""
        weight = self.query.weight
        # The time's share of Q [y_t; e] is worked out once per time rather than once per state.
        of_time = F.linear(self.time(sinusoid(t, self.time_width)), weight[:, 1:], self.query.bias)
        query = y_t[..., None] * weight[:, 0] + of_time
        attended = self.out_attention(self.value(self.key(condition)))[:, None]
        h = self.norm_attention(query + attended)
        h = self.norm_feed(h + self.feed(h))
        epsilon: Tensor = self.out(h).squeeze(-1)
        return epsilon


def sinusoid(t: Tensor, width: int) -> Tensor:
    """sin and cos of t over waves of geometrically growing length, [..., width]; in float32 whatever t is."""
    half = width // 2
    k = torch.arange(half, device=t.device)
    phases = t[..., None].float() * torch.exp(-math.log(LONGEST_WAVE) / max(half - 1, 1) * k)
    return torch.cat([phases.sin(), phases.cos()], dim=-1)
