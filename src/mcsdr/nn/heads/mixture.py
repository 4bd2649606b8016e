"""Mixture density network: a mixture of five Gaussians of ℓ = logit(y/100).

    p(ℓ | c) = Σ_k π_k N(ℓ; m_k, s_k²),      loss = −log p(ℓ),      F(ℓ) = Σ_k π_k Φ((ℓ − m_k)/s_k)

References: Bishop 1994, "Mixture density networks".
"""

from __future__ import annotations

import torch
from torch import Tensor

from mcsdr.diffusion.denoiser import Pairs
from mcsdr.diffusion.target import BoundedResidual
from mcsdr.nn.heads.head import Head, bisect, of_logit
from mcsdr.nn.layers import Condition, between, read_out

COMPONENTS = 5
SCALE_LOGIT = (0.03, 3.0)


class MixtureDensity(Head):
    """Five Gaussians in the logit, by maximum likelihood; quantiles by bisection between those of the components."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.out = read_out(width, 3 * COMPONENTS)

    def loss(self, condition: Condition, ef_percent: Tensor, pairs: Pairs) -> Tensor:
        log_weight, m, s = self._components(condition)
        residual = (BoundedResidual().to_residual(ef_percent, 0.0, 1.0)[:, None] - m) / s
        return -torch.logsumexp(log_weight - s.log() - 0.5 * residual**2, dim=1).mean()

    def quantiles(self, condition: Condition, z: Tensor) -> Tensor:
        log_weight, m, s = (part.double()[:, None] for part in self._components(condition))
        z = z.double()
        quantiles = m + s * z[..., None]

        def cdf(latent: Tensor) -> Tensor:
            of_components: Tensor = torch.special.ndtr((latent[..., None] - m) / s)
            return (log_weight.exp() * of_components).sum(-1)

        low, high = quantiles.amin(-1), quantiles.amax(-1)
        return of_logit(bisect(cdf, torch.special.ndtr(z), low, high))

    def _components(self, condition: Condition) -> tuple[Tensor, Tensor, Tensor]:
        """log π, m and s, [B, 5] each; the locations start side by side, so that each finds its own part."""
        raw_weight, raw_m, raw_s = self.out(self.pool(condition)).float().chunk(3, dim=-1)
        apart = torch.linspace(-1, 1, COMPONENTS, device=raw_m.device)
        return raw_weight.log_softmax(-1), raw_m + apart, between(raw_s, *SCALE_LOGIT)
