"""Does the posterior know when to pass? Keep the studies it is surest of, and see what is lost on them.

Sort the B studies by uncertainty u, least first, and let ℓ be their losses. Keeping the first k,

    coverage_k = k/B,    risk_k = (1/k) Σ_{i ≤ k} ℓ_(i),    AURC = (1/B) Σ_k risk_k

An oracle sorts by the loss itself, and nobody can do better: excess AURC = AURC(ℓ, u) − AURC(ℓ, ℓ) ≥ 0, and an
uncertainty that says nothing has AURC = mean ℓ on average. Of studies with equal u each carries their mean loss, which
is the expectation over all orders among them. "Coverage" here is the share of studies kept, not that of an interval.

References: Geifman and El-Yaniv 2017, "Selective classification for deep neural networks"; Geifman, Uziel and El-Yaniv
2019, "Bias-reduced uncertainty estimation for deep neural classifiers" (excess AURC).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class RiskCoverage(NamedTuple):
    """Shares kept k/B and the mean loss on what is kept, both [B], k = 1…B."""

    coverage: Array
    risk: Array


def risk_coverage(loss: ArrayLike, uncertainty: ArrayLike) -> RiskCoverage:
    """The risk–coverage curve.

    Arguments:
        loss: what an answer costs, such as |ŷ − y| or its CRPS in EF points, [B].
        uncertainty: by which answers are kept, the lower the sooner, such as the posterior's SD, [B].

    Raises:
        ValueError: no rows, two lengths, or values that are not finite.
    """
    ell, u = np.asarray(loss, dtype=np.float64), np.asarray(uncertainty, dtype=np.float64)
    if ell.shape != u.shape or ell.ndim != 1 or not ell.size:
        raise ValueError(f"loss {ell.shape} and uncertainty {u.shape} must be equal, [B] with B ≥ 1")
    if not (np.isfinite(ell).all() and np.isfinite(u).all()):
        raise ValueError("losses and uncertainties must be finite")
    k = np.arange(1, len(ell) + 1)
    return RiskCoverage(k / len(ell), np.cumsum(_kept_order(ell, u)) / k)


def aurc(loss: ArrayLike, uncertainty: ArrayLike) -> float:
    """Area under the risk–coverage curve, in the loss's unit; lower is better."""
    return float(risk_coverage(loss, uncertainty).risk.mean())


def excess_aurc(loss: ArrayLike, uncertainty: ArrayLike) -> float:
    """AURC beyond that of the oracle, which keeps the smallest losses; 0 is best."""
    return aurc(loss, uncertainty) - aurc(loss, loss)


def risk_at(loss: ArrayLike, uncertainty: ArrayLike, kept: float) -> float:
    """Mean loss on the surest share `kept` in (0, 1] of the studies, rounded up to a whole one."""
    risk = risk_coverage(loss, uncertainty).risk
    return float(risk[math.ceil(kept * len(risk) - 1e-9) - 1])


def _kept_order(ell: Array, u: Array) -> Array:
    """Losses in the order in which studies are kept; equal uncertainties share their mean loss."""
    order = np.argsort(u, kind="stable")
    sorted_u, sorted_ell = u[order], ell[order]
    start = np.flatnonzero(np.r_[True, sorted_u[1:] != sorted_u[:-1]])
    if len(start) == len(u):
        return sorted_ell
    size = np.diff(np.r_[start, len(u)])
    return np.repeat(np.add.reduceat(sorted_ell, start) / size, size)
