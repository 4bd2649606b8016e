"""Histogram: a softmax over bins of two EF points, taught by soft labels.

    p_k ∝ exp(out_k(c)),      loss = −Σ_k t_k log p_k,      t_k ∝ Φ((e_k+1 − y)/σ) − Φ((e_k − y)/σ)

with σ = 1.5 points, 0.75 of a bin. Inside a bin the density is constant. The label's smoothing stays in the answer: its
variance is larger than the posterior's by σ² and by a twelfth of a squared bin, 2.6 squared points together.

References: Imani and White 2018, "Improving regression performance with distributional losses" (HL-Gauss); Farebrother
et al. 2024, "Stop regressing" (σ of 0.75 bins).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mcsdr.diffusion.denoiser import Pairs
from mcsdr.nn.heads.head import Head, held, interpolate
from mcsdr.nn.layers import Condition, read_out

BINS = 50
SIGMA_PERCENT = 1.5


class Histogram(Head):
    """Cross-entropy with soft labels; the distribution function is linear inside a bin."""

    edges: Tensor

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        edges = torch.linspace(0, 100, BINS + 1, dtype=torch.float64)
        self.register_buffer("edges", edges, persistent=False)
        self.out = read_out(width, BINS)

    def loss(self, condition: Condition, ef_percent: Tensor, pairs: Pairs) -> Tensor:
        mass = torch.special.ndtr((self.edges - ef_percent[:, None]) / SIGMA_PERCENT).diff(dim=1)
        label = (mass / mass.sum(1, keepdim=True)).float()
        return F.cross_entropy(self.out(self.pool(condition)).float(), label)

    def quantiles(self, condition: Condition, z: Tensor) -> Tensor:
        p = self.out(self.pool(condition)).double().softmax(-1)
        cdf = F.pad(p.cumsum(1), (1, 0))
        return held(interpolate(torch.special.ndtr(z.double()), cdf, self.edges[None]))
