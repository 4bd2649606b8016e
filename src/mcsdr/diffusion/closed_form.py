"""Reference posteriors whose denoiser is known in closed form: mixtures of Gaussians.

For w ~ Σ_k π_k N(m_k, s_k²) and x = cosθ·w + sinθ·ε,

    v_k = cos²θ·s_k² + sin²θ,      r_k ∝ π_k N(x; cosθ·m_k, v_k)
    D = Σ r_k [m_k + cosθ·s_k²·(x − cosθ·m_k)/v_k],      ε̂ = Σ r_k sinθ·(x − cosθ·m_k)/v_k

and the velocity is cosθ·ε̂ − sinθ·D. With it a sampler's error is its own: no network, no training.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, sin

import torch
from torch import Tensor


@dataclass(frozen=True)
class GaussianMixture:
    """A batch of Gaussian mixtures in one dimension, usable as the `velocity` of a sampler.

    Arguments:
        weights, means, sds: [B, K]; the weights of each row sum to 1. float64 for reference work.
    """

    weights: Tensor
    means: Tensor
    sds: Tensor

    @classmethod
    def of(cls, *components: tuple[float, float, float]) -> GaussianMixture:
        """One mixture of (weight, mean, sd) components: `GaussianMixture.of((0.8, 34, 4), (0.2, 52, 4))`."""
        weights, means, sds = torch.tensor(components, dtype=torch.float64).T.unsqueeze(1)
        return cls(weights, means, sds)

    def __call__(self, x: Tensor, i: int, theta: float) -> Tensor:
        """The velocity v(x, θ) [B, N]; the index i of the evaluation is not needed."""
        c, s = cos(theta), sin(theta)
        m, s2 = self.means.unsqueeze(-1), self.sds.unsqueeze(-1) ** 2
        v = c**2 * s2 + s**2
        offset = x.unsqueeze(-2) - c * m
        log_r = self.weights.log().unsqueeze(-1) - 0.5 * (v.log() + offset**2 / v)
        r = log_r.softmax(dim=-2)
        D = m + c * s2 * offset / v
        eps = s * offset / v
        return (r * (c * eps - s * D)).sum(dim=-2)

    def __getitem__(self, rows: slice) -> GaussianMixture:
        """Some of the batch."""
        return GaussianMixture(self.weights[rows], self.means[rows], self.sds[rows])

    def standardised(self, a: float | Tensor, b: float | Tensor) -> GaussianMixture:
        """The mixture of w = (y − a)/b; a and b are numbers or [B, 1]."""
        return GaussianMixture(self.weights, (self.means - a) / b, self.sds / b)

    @property
    def mean(self) -> Tensor:
        """[B, 1]."""
        mean: Tensor = (self.weights * self.means).sum(-1, keepdim=True)
        return mean

    @property
    def sd(self) -> Tensor:
        """[B, 1]."""
        second = (self.weights * (self.means**2 + self.sds**2)).sum(-1, keepdim=True)
        sd: Tensor = (second - self.mean**2).sqrt()
        return sd

    def density(self, y: Tensor) -> Tensor:
        """p(y) [B, N] at y [B, N]."""
        standard = (y.unsqueeze(-2) - self.means.unsqueeze(-1)) / self.sds.unsqueeze(-1)
        kernel = torch.exp(-0.5 * standard**2) / (2 * torch.pi) ** 0.5
        density: Tensor = (self.weights.unsqueeze(-1) / self.sds.unsqueeze(-1) * kernel).sum(-2)
        return density

    def cdf(self, y: Tensor) -> Tensor:
        """F(y) [B, N] at y [B, N]."""
        standard = (y.unsqueeze(-2) - self.means.unsqueeze(-1)) / self.sds.unsqueeze(-1)
        F: Tensor = (self.weights.unsqueeze(-1) * torch.special.ndtr(standard)).sum(-2)
        return F

    def quantile(self, level: Tensor) -> Tensor:
        """F⁻¹(level) [B, N] at levels [N] or [B, N] in (0, 1), by bisection to the last bit."""
        reach = 40 * self.sds.amax(-1, keepdim=True)
        lo = self.means.amin(-1, keepdim=True) - reach + torch.zeros_like(level)
        hi = self.means.amax(-1, keepdim=True) + reach + torch.zeros_like(level)
        for _ in range(80):
            middle = 0.5 * (lo + hi)
            below = self.cdf(middle) < level
            lo, hi = torch.where(below, middle, lo), torch.where(below, hi, middle)
        return 0.5 * (lo + hi)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n iid values [B, n]."""
        k = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        eps = torch.randn(k.shape, generator=generator, dtype=self.means.dtype)
        return self.means.gather(-1, k) + self.sds.gather(-1, k) * eps


# Posteriors of EF in per cent, of the shapes that a study may have: (weight, mean, SD) of each component.
FIVE: dict[str, GaussianMixture] = {
    "narrow": GaussianMixture.of((1, 60, 2.5)),
    "wide": GaussianMixture.of((1, 45, 9)),
    "skewed": GaussianMixture.of((0.6, 24, 3), (0.4, 31, 6)),
    "two peaks": GaussianMixture.of((0.5, 36, 4), (0.5, 54, 4)),
    "80/20": GaussianMixture.of((0.8, 34, 4), (0.2, 52, 4)),
}
SEPARATED = GaussianMixture.of((0.5, 34, 2.5), (0.5, 54, 2.5))
