"""Proper scores of a posterior F at a label y: lower is better.

    CRPS(F, y) = ∫ (F(t) − 1{t ≥ y})² dt = E|Y − y| − ½ E|Y − Y'|,      NLL = −log p(y)

A CRPS is only comparable with one of the same estimator, so each is named:

    quantile-table   the integral over the interpolated table z → y; no sampling error
    fair             K iid draws, ½ E|Y − Y'| by the mean over the K(K − 1) pairs: unbiased
    paper            K iid draws, by 1/K² over all K² pairs, as in the MCSDR paper: too high by ½ E|Y − Y'|/K

The fair estimator is for iid draws only: N equal-mass nodes are not independent, and on them it is too low.

References: Gneiting and Raftery 2007, "Strictly proper scoring rules, prediction, and estimation"; Ferro 2014, "Fair
scores for ensemble forecasts".
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcsdr.metrics.calibration import inside
from mcsdr.posterior import Posterior
from mcsdr.posterior.draws import pit_of

Array = NDArray[np.float64]

CRPS_ESTIMATORS = ("quantile-table", "fair", "paper")


def crps_quantile_table(z: ArrayLike, y_percent: ArrayLike, observed: ArrayLike) -> Array:
    """CRPS of the posterior whose quantile at level Φ(z_j) is y_j; estimator "quantile-table".

        CRPS = y·(2F(y) − 1) + E[Y] − 2·E[Y; Y < y] − ½ E|Y − Y'|

    Arguments:
        z: nodes, ascending, [N] or [B, N].
        y_percent: the table [B, N] in EF %.
        observed: labels [B] in EF %.

    Returns:
        [B] in EF points.
    """
    return crps_of(Posterior.from_nodes(z, np.atleast_2d(np.asarray(y_percent, dtype=np.float64))), observed)


def crps_of(posterior: Posterior, observed: ArrayLike) -> Array:
    """The CRPS without bias: of a table "quantile-table", of iid draws "fair", of those as drawn; [B] in EF points."""
    y = np.atleast_1d(np.asarray(observed, dtype=np.float64))
    if posterior.raw is not None:
        return crps_draws(posterior.raw, y, "fair")
    F, below = posterior.pit(y), posterior.partial_mean(y)
    return np.atleast_1d(y * (2 * F - 1) + posterior.table_mean - 2 * below - posterior.half_mean_difference)


class StudyScores(NamedTuple):
    """CRPS in EF points ("quantile-table"), PIT, and width of the 90 % interval in EF points, of each study, [B]."""

    crps: Array
    pit: Array
    width: Array

    @classmethod
    def of(cls, posterior: Posterior, observed: ArrayLike) -> StudyScores:
        """Of posteriors [B] at labels [B] in EF %."""
        low, high = posterior.interval(0.9)
        return cls(crps_of(posterior, observed), pit_of(posterior, observed), np.asarray(high - low))

    @property
    def mean_crps(self) -> float:
        """Over studies."""
        return float(self.crps.mean())

    @property
    def coverage(self) -> float:
        """Share of labels inside the 90 % interval."""
        return float(inside(self.pit, 0.9).mean())


def crps_draws(draws: ArrayLike, observed: ArrayLike, estimator: str = "fair") -> Array:
    """CRPS of K iid draws: mean |s_i − y| − ½ Σ_ij |s_i − s_j| / n, n = K(K − 1) for "fair" and K² for "paper".

    Arguments:
        draws: [B, K] in EF %, K ≥ 2; NaN fills the rows of studies with fewer.
        observed: labels [B] in EF %.
        estimator: "fair" or "paper".

    Returns:
        [B] in EF points.

    Raises:
        ValueError: shapes that do not fit, or an unknown estimator.
    """
    s, y = np.asarray(draws, dtype=np.float64), np.asarray(observed, dtype=np.float64)
    if s.ndim != 2 or y.shape != (len(s),) or s.shape[1] < 2:
        raise ValueError(f"draws {s.shape} must be [B, K] with K ≥ 2, and observed {y.shape} [B]")
    K = (~np.isnan(s)).sum(axis=1)
    pairs = {"fair": K * (K - 1), "paper": K * K}
    if estimator not in pairs:
        raise ValueError(f"estimator {estimator!r} must be one of {sorted(pairs)}")
    return _crps_sorted(np.sort(s, axis=1), y[:, None], K, pairs[estimator])


def _crps_sorted(s: Array, y: Array, K: NDArray[np.int64], pairs: NDArray[np.int64]) -> Array:
    """½ Σ_ij |s_i − s_j| = Σ_i (2i − K − 1) s_(i), i = 1…K, without the K² differences; NaN beyond K."""
    rank = 2 * np.arange(1, s.shape[1] + 1) - K[:, None] - 1
    crps: Array = np.nanmean(np.abs(s - y), axis=1) - np.nansum(rank * s, axis=1) / pairs
    return crps


def nll(log_density: ArrayLike) -> float:
    """Mean negative log density, −mean log p(y_i), in nats for densities per EF point.

    Arguments:
        log_density: [B], such as `posterior.log_density(observed)`; −∞ is passed on, as it should be.
    """
    log_p = np.asarray(log_density, dtype=np.float64)
    if log_p.ndim != 1 or not log_p.size or np.isnan(log_p).any():
        raise ValueError("log_density must be [B] with B ≥ 1 and without NaN")
    return float(-log_p.mean())
