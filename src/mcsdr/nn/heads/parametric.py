"""Heads of two numbers: a location and a scale, or a mean and a precision.

    mse           y ~ N(m(c), s²),               m by least squares, one s for all patients
    gaussian      y ~ N(m(c), s(c)²)
    logit-normal  logit(y/100) ~ N(a(c), b(c)²)
    beta          y/100 ~ Beta(mκ, (1 − m)κ),    mean m(c), precision κ(c)

The normal distributions of y reach beyond 0 and 100 %; their quantiles are clipped, so what lies beyond is told of the
ends.

References: Nix and Weigend 1994 (Gaussian likelihood); Ferrari and Cribari-Neto 2004, "Beta regression for modelling
rates and proportions".
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcsdr.diffusion.denoiser import Pairs
from mcsdr.diffusion.target import BoundedResidual, shrink
from mcsdr.nn.heads.head import SPREAD, Head, from_units, held, interpolate, of_logit, to_units
from mcsdr.nn.layers import Condition, between, read_out

SCALE_PERCENT = (0.5, 50.0)  # of y
SCALE_LOGIT = (0.03, 3.0)  # of logit(y/100), as the location-scale head's
PRECISION = (1.0, 1e4)
TAIL, REACH = 1e-12, 12.0


def log_loss(units: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """−log N(units; mean, scale²) less its constant, averaged."""
    return (scale.log() + 0.5 * ((units - mean) / scale) ** 2).mean()


class PointRegression(Head):
    """Least squares in per cent; the residual's SD is one number for all patients, fitted by its own likelihood.

    It is the SD of the residuals that training sees, those with hidden modalities among them.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.out = read_out(width, 1)
        self.raw_scale = nn.Parameter(torch.zeros(()))

    def loss(self, condition: Condition, ef_percent: Tensor, pairs: Pairs) -> Tensor:
        y, (m, s) = to_units(ef_percent), self._mean_scale(condition)
        return (y - m).square().mean() + log_loss(y, m.detach(), s)

    def quantiles(self, condition: Condition, z: Tensor) -> Tensor:
        m, s = self._mean_scale(condition)
        return held(from_units(m[:, None] + s * z))

    def _mean_scale(self, condition: Condition) -> tuple[Tensor, Tensor]:
        m = self.out(self.pool(condition)).float().squeeze(-1)
        return m, between(self.raw_scale, *SCALE_PERCENT) / SPREAD


class Gaussian(Head):
    """N(m, s²) in per cent by maximum likelihood, both of the patient."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.out = read_out(width, 2)

    def loss(self, condition: Condition, ef_percent: Tensor, pairs: Pairs) -> Tensor:
        return log_loss(to_units(ef_percent), *self._mean_scale(condition))

    def quantiles(self, condition: Condition, z: Tensor) -> Tensor:
        m, s = self._mean_scale(condition)
        return held(from_units(m[:, None] + s[:, None] * z))

    def _mean_scale(self, condition: Condition) -> tuple[Tensor, Tensor]:
        m, raw = self.out(self.pool(condition)).float().unbind(-1)
        return m, between(raw, *SCALE_PERCENT) / SPREAD


class LogitNormal(Head):
    """N(a, b²) of logit(y/100) by maximum likelihood."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.out = read_out(width, 2)

    def loss(self, condition: Condition, ef_percent: Tensor, pairs: Pairs) -> Tensor:
        return log_loss(BoundedResidual().to_residual(ef_percent, 0.0, 1.0), *self._location_scale(condition))

    def quantiles(self, condition: Condition, z: Tensor) -> Tensor:
        a, b = self._location_scale(condition)
        return of_logit(a[:, None] + b[:, None] * z)

    def _location_scale(self, condition: Condition) -> tuple[Tensor, Tensor]:
        a, raw = self.out(self.pool(condition)).float().unbind(-1)
        return a, between(raw, *SCALE_LOGIT)


class Beta(Head):
    """Beta(α, β) of y/100 by maximum likelihood, α = mκ and β = (1 − m)κ.

    ℓ = logit Beta(α, β) has density ∝ σ(ℓ)^α σ(−ℓ)^β, mean ψ(α) − ψ(β) and variance ψ'(α) + ψ'(β); its distribution
    function is integrated on a grid laid out by these, and inverted in z = Φ⁻¹(F), where it is nearly straight.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.out = read_out(width, 2)

    def loss(self, condition: Condition, ef_percent: Tensor, pairs: Pairs) -> Tensor:
        alpha, beta = self._shape(condition)
        y = shrink(ef_percent).double() / 100
        log_normaliser = torch.lgamma(alpha) + torch.lgamma(beta) - torch.lgamma(alpha + beta)
        return (log_normaliser - (alpha - 1) * y.log() - (beta - 1) * (1 - y).log()).mean().float()

    def quantiles(self, condition: Condition, z: Tensor) -> Tensor:
        alpha, beta = (shape[:, None] for shape in self._shape(condition))
        centre = torch.digamma(alpha) - torch.digamma(beta)
        sd = (torch.polygamma(1, alpha) + torch.polygamma(1, beta)).sqrt()
        grid = centre + sd * torch.linspace(-REACH, REACH, 2001, dtype=sd.dtype, device=sd.device)
        log_density = alpha * F.logsigmoid(grid) + beta * F.logsigmoid(-grid)
        density = (log_density - log_density.amax(1, keepdim=True)).exp()
        mass = F.pad(torch.cumulative_trapezoid(density, grid), (1, 0))
        cdf = (mass / mass[:, -1:]).clamp(TAIL, 1 - TAIL)
        return of_logit(interpolate(z.double(), torch.special.ndtri(cdf), grid))

    def _shape(self, condition: Condition) -> tuple[Tensor, Tensor]:
        """α and β [B]; the mean is held between 1 and 99 %."""
        raw_mean, raw_precision = self.out(self.pool(condition)).double().unbind(-1)
        m, kappa = 0.01 + 0.98 * torch.sigmoid(raw_mean), between(raw_precision, *PRECISION)
        return m * kappa, (1 - m) * kappa
