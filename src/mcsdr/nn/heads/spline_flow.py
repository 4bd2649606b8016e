"""Conditional neural spline flow: three monotone rational-quadratic splines between ℓ = logit(y/100) and a normal.

    z = T(ℓ; c) increasing,      loss = −log φ(T(ℓ)) − log T'(ℓ),      F⁻¹(Φ(z)) = 100·sigmoid(T⁻¹(z; c))

Each spline has eight pieces on (−5, 5) and is the identity beyond; ℓ comes as (ℓ − 0.2)/0.5, near unit normal over a
cohort. The flow is zuko's, an optional dependency.

References: Durkan, Bekasov, Murray, Papamakarios 2019, "Neural spline flows"; zuko, github.com/probabilists/zuko.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mcsdr.diffusion.denoiser import Pairs
from mcsdr.diffusion.target import BoundedResidual
from mcsdr.errors import MissingExtra
from mcsdr.nn.heads.head import Head, of_logit
from mcsdr.nn.layers import Condition

LOCATION, SCALE = 0.2, 0.5  # of logit(y/100) over a cohort: units, as y's 55 and 12 are
TRANSFORMS, HIDDEN = 3, (64, 64)


class SplineFlow(Head):
    """Neural spline flow by maximum likelihood.

    Raises:
        MissingExtra: zuko is not installed.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        try:
            from zuko.flows import NSF
        except ImportError as error:
            raise MissingExtra.of("zuko") from error
        self.norm = nn.LayerNorm(width)
        self.flow = NSF(features=1, context=width, transforms=TRANSFORMS, hidden_features=HIDDEN)

    def loss(self, condition: Condition, ef_percent: Tensor, pairs: Pairs) -> Tensor:
        latent = BoundedResidual().to_residual(ef_percent, LOCATION, SCALE)
        pooled = self.norm(self.pool(condition)).float()
        with torch.autocast(latent.device.type, enabled=False):  # a spline's pieces need all of float32
            return -self._distribution(pooled).log_prob(latent[:, None]).mean()  # type: ignore[no-any-return]

    def quantiles(self, condition: Condition, z: Tensor) -> Tensor:
        pooled = self.norm(self.pool(condition)).float()
        points = z.float().expand(len(pooled), -1).T[..., None]
        latent = self._distribution(pooled).transform.inv(points).squeeze(-1).T
        return of_logit(LOCATION + SCALE * latent)

    def _distribution(self, pooled: Tensor) -> Any:
        return self.flow(pooled)
