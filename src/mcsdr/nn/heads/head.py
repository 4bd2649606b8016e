"""What the rival heads share: one interface, the scales of the ejection fraction, and how a distribution is inverted.

A head turns the tokens of a condition into the quantile function of a posterior, z → F⁻¹(Φ(z)) in per cent. All heads
read the tokens through the same attention pooling and a small network as large as the location-scale head's, so that
they differ in the family of distributions and in the loss alone.

Numbers that a head regresses are O(1): in per cent they are (y − 55)/12, otherwise they are of ℓ = logit(y/100).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mcsdr.diffusion.denoiser import Pairs
from mcsdr.nn.layers import AttentionPool, Condition
from mcsdr.posterior import EDGE_PERCENT

CENTRE, SPREAD = 55.0, 12.0  # of EF in per cent over a cohort: units of what is regressed, not a prior


class Head(AttentionPool):
    """Condition to posterior.

    Arguments:
        width: of a token.
        heads: of the pooling attention.
    """

    def loss(self, condition: Condition, ef_percent: Tensor, pairs: Pairs) -> Tensor:
        """What training minimises, a scalar.

        Arguments:
            condition: of B studies.
            ef_percent: labels [B] in [0, 100].
            pairs: the only randomness, [B, P]; heads without any leave it alone.
        """
        raise NotImplementedError

    def quantiles(self, condition: Condition, z: Tensor) -> Tensor:
        """EF in per cent at the levels Φ(z), inside (0, 100), [B, N].

        Arguments:
            condition: of B studies.
            z: [B or 1, N], in any order; the answer increases with z except where a head's own text says that it may
                cross, which `Posterior.from_nodes` counts and sorts.
        """
        raise NotImplementedError


def from_units(units: Tensor) -> Tensor:
    """EF in per cent of (y − 55)/12, not held."""
    return CENTRE + SPREAD * units


def to_units(ef_percent: Tensor) -> Tensor:
    """(y − 55)/12 of EF in per cent."""
    return (ef_percent - CENTRE) / SPREAD


def held(ef_percent: Tensor) -> Tensor:
    """EF in per cent, clipped to what a table of quantiles may hold."""
    return ef_percent.clamp(EDGE_PERCENT, 100 - EDGE_PERCENT)


def of_logit(latent: Tensor) -> Tensor:
    """EF in per cent of ℓ = logit(y/100), held inside (0, 100)."""
    return held(100 * torch.sigmoid(latent))


def interpolate(x: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """The piecewise linear function through (knots, values) at x, its end pieces continued.

    Arguments:
        x: [B or 1, N].
        knots, values: ascending, [B or 1, M].

    Returns:
        [B, N].
    """
    rows = max(len(x), len(knots), len(values))
    x, knots, values = (t.expand(rows, -1).contiguous() for t in (x, knots, values))
    right = torch.searchsorted(knots, x, right=True).clamp(1, knots.shape[1] - 1)
    x_0, x_1 = knots.gather(1, right - 1), knots.gather(1, right)
    y_0, y_1 = values.gather(1, right - 1), values.gather(1, right)
    return y_0 + (x - x_0) / (x_1 - x_0).clamp(min=1e-300) * (y_1 - y_0)


def bisect(cdf: Callable[[Tensor], Tensor], level: Tensor, low: Tensor, high: Tensor, halvings: int = 50) -> Tensor:
    """y with F(y) = level, of the shape of low and high, between which it lies."""
    for _ in range(halvings):
        middle = 0.5 * (low + high)
        below = cdf(middle) < level
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return 0.5 * (low + high)
