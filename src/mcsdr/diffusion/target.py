"""Ejection fraction in per cent against the residual w that is diffused; the only place where the two meet.

    w = (logit(y/100) − a)/b,      y = 100·sigmoid(a + b·w),      dw/dy = 100/(y(100 − y)·b)

a and b > 0 are the location and scale of logit(y/100) for this study, so w is near standard normal and every w is an EF
inside (0, 100). The target of the MCSDR paper is y itself, in per cent (a = 0, b = 1), which can leave the range.

A label of exactly 0 or 100 has no logit. Smithson and Verkuilen squeeze all labels, y → (y(n − 1) + 50)/n, which moves
ordinary labels too; here only labels within EDGE of an end move, half-way from the end to EDGE: 0 → 0.25, 0.5 → 0.5.

References: Smithson and Verkuilen 2006, "A better lemon squeezer?".
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from mcsdr.errors import InvalidConfig

EDGE = 0.5


class Target(Protocol):
    """How labels become what is diffused. All arguments broadcast; a and b are tensors or numbers, b > 0."""

    def to_residual(self, ef_percent: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
        """w for labels in per cent."""
        ...

    def to_percent(self, w: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
        """EF in per cent for residuals."""
        ...

    def log_jacobian(self, ef_percent: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
        """log dw/dy, so that log p(y) = log p(w) + log_jacobian; per EF point."""
        ...


def shrink(ef_percent: Tensor) -> Tensor:
    """Labels within EDGE of 0 or 100 drawn half-way towards EDGE; all others as they are, to the bit.

    >>> shrink(torch.tensor([0.0, 0.4, 55.0, 100.0]))
    tensor([ 0.2500,  0.4500, 55.0000, 99.7500])
    """
    low = torch.where(ef_percent < EDGE, 0.5 * (ef_percent + EDGE), ef_percent)
    return torch.where(low > 100 - EDGE, 0.5 * (low + 100 - EDGE), low)


class BoundedResidual:
    """w = (logit(y/100) − a)/b."""

    def to_residual(self, ef_percent: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
        """w for labels y in [0, 100] per cent."""
        y = shrink(ef_percent)
        return (torch.log(y) - torch.log(100 - y) - a) / b

    def to_percent(self, w: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
        """y = 100·sigmoid(a + b·w)."""
        return 100 * torch.sigmoid(a + b * w)

    def belief(
        self, x: Tensor, theta: Tensor, own: tuple[Tensor, Tensor], prior: tuple[Tensor | float, Tensor | float]
    ) -> Tensor:
        """EF in per cent of the sampler's states, each the quantile of what is believed while the clip is half seen.

        With L = logit(y/100) = a + b w and noise that is the prior, a₀ + b₀ ε, the mixture cosψ·L + sinψ·(a₀ + b₀ ε) is
        a line in x_θ = cosθ w + sinθ ε, for tanψ = tanθ·b/b₀:

            ℓ = (c·a + s·a₀ + x)/n,      c = cosθ/b,   s = sinθ/b₀,   n = √(c² + s²)

        In one dimension quantiles flow to quantiles, so that every state is one of the belief at its angle, from the
        prior at θ = π/2, y = 100·sigmoid(a₀ + b₀ z), to the posterior at θ = 0, y = 100·sigmoid(a + b w).

        Arguments:
            x: states [S, B, N] at the angles θ [S].
            own: a and b of each study, [B, 1].
            prior: a₀ and b₀ of what is believed where nothing is known.
        """
        (a, b), (a_0, b_0), theta = own, prior, theta[:, None, None]
        c, s = theta.cos() / b, theta.sin() / b_0
        return 100 * torch.sigmoid((c * a + s * a_0 + x) / (c**2 + s**2).sqrt())

    def log_jacobian(self, ef_percent: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
        """log [100/(y(100 − y)·b)] at the label that `to_residual` sees."""
        y = shrink(ef_percent)
        return torch.log(100 / (y * (100 - y) * b))


class RawPercent:
    """The paper's target: w = (y − a)/b with a = 0 and b = 1, that is y itself, in per cent."""

    def to_residual(self, ef_percent: Tensor, a: Tensor | float = 0.0, b: Tensor | float = 1.0) -> Tensor:
        """w = (y − a)/b."""
        return (ef_percent - a) / b

    def to_percent(self, w: Tensor, a: Tensor | float = 0.0, b: Tensor | float = 1.0) -> Tensor:
        """y = a + b·w, which may leave [0, 100]."""
        return a + b * w

    def log_jacobian(self, ef_percent: Tensor, a: Tensor | float = 0.0, b: Tensor | float = 1.0) -> Tensor:
        """−log b."""
        return -torch.log(torch.as_tensor(b, dtype=ef_percent.dtype)).expand_as(ef_percent)


TARGETS: dict[str, Target] = {"bounded": BoundedResidual(), "raw": RawPercent()}


def target(name: str) -> Target:
    """The target of that name: "bounded" or "raw".

    Raises:
        InvalidConfig: there is none.
    """
    if name not in TARGETS:
        raise InvalidConfig(
            f"There is no target named {name!r}.", next_step=f"Choose one of {', '.join(sorted(TARGETS))}."
        )
    return TARGETS[name]
