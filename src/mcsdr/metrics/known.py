"""How far is a posterior from the exact one?

The exact posterior of a study is a mixture of Gaussians, F(y) = Σ_k w_k Φ((y − m_k)/s_k); the model says G. With
d(y) = G(y) − F(y), Y and Y' independent draws from F, and A(m, v) = E|N(m, v)|,

    W1    = ∫₀¹ |G⁻¹(q) − F⁻¹(q)| dq = ∫ |d(y)| dy       Wasserstein-1, in SDs of F
    KS    = sup_y |d(y)|
    floor = ½ E|Y − Y'| = ½ Σ_ij w_i w_j A(m_i − m_j, s_i² + s_j²)
    CRPS  = floor + ∫ d(y)² dy                           expected under F
          = E|s − Y| − ½ E|s − s'|                       of iid draws s_i, ½ E|s − s'| by the K(K − 1) pairs
    A     = √(2v/π) exp(−m²/2v) + m (2Φ(m/√v) − 1)

The expected CRPS needs no readings, so that its excess over the floor holds no noise of theirs.

Modes: components are taken in the order of their means. A case is *separated* where two neighbours lie at least
SEPARATION of their SDs apart, and its weight is the probability below the middle of the widest such gap. It is
*ambiguous* where all neighbours lie so far apart and every component weighs at least LEAST_WEIGHT. A component is
found where a peak of the model lies within NEAR of its SDs; a case is recovered where all its components are found and
the model has no further peak. Peaks are those of `Posterior.modes(PEAK_SEPARATION, PEAK_MASS)`.

References: Székely and Rizzo 2013, "Energy statistics" (∫ d² as the CRPS's excess); Vallender 1974 (W1 in one
dimension).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mcsdr.diffusion.closed_form import GaussianMixture
from mcsdr.metrics.scores import crps_draws, crps_of
from mcsdr.posterior import Posterior, quantile_nodes
from mcsdr.posterior.draws import pit_of
from mcsdr.posterior.modes import Mode
from mcsdr.posterior.normal import normal_cdf

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

SEPARATION = 4.0  # SDs between neighbouring components
LEAST_WEIGHT = 0.25
NEAR = 2.0  # SDs from a component to the peak that stands for it
PEAK_SEPARATION, PEAK_MASS = 5.0, 0.1  # EF points and probability
# A mixture may reach beyond 0–100 % by its readers' noise. The curve of d is smooth over a fifth of a point.
GRID: Array = np.linspace(-20.0, 120.0, 701)
AT_ONCE = 64  # studies: 32 components of 2,000 over the grid would take 700 MB


@dataclass(frozen=True)
class KnownScores:
    """One number per study, all arrays [B].

    Attributes:
        sd: SD of the exact posterior in EF points.
        w1: Wasserstein-1 in those SDs.
        ks: Kolmogorov–Smirnov distance.
        floor, expected_crps: expected CRPS of the exact posterior and of the model's, in EF points.
        crps, pit: of the model's posterior at the reading that was drawn.
        sd_ratio: SD of the model's posterior over the exact one.
        separated, ambiguous: see the module.
        weight, exact_weight: probability below the middle of the widest gap; NaN where not separated.
        modes, found: components of an ambiguous case, and how many of them the model has a peak for; else 0.
        recovered: all found and no further peak; False where not ambiguous.
    """

    sd: Array
    w1: Array
    ks: Array
    floor: Array
    expected_crps: Array
    crps: Array
    pit: Array
    sd_ratio: Array
    separated: Flags
    ambiguous: Flags
    weight: Array
    exact_weight: Array
    modes: NDArray[np.int64]
    found: NDArray[np.int64]
    recovered: Flags

    def __len__(self) -> int:
        """Number of studies."""
        return len(self.w1)

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary of plain numbers per study."""
        columns = {each.name: getattr(self, each.name).tolist() for each in fields(self)}
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    @property
    def excess(self) -> float:
        """Mean expected CRPS over the mean floor, less 1: what is lost, as a share of what cannot be won."""
        return float(self.expected_crps.mean() / self.floor.mean() - 1)

    @property
    def mode_recall(self) -> float:
        """Share of the ambiguous cases' components that the model has a peak for; NaN without such cases."""
        return float(self.found.sum() / self.modes.sum()) if self.modes.sum() else float("nan")

    @property
    def recovered_share(self) -> float:
        """Share of the ambiguous cases with every component found and no further peak; NaN without such cases."""
        return _mean(self.recovered[self.ambiguous])

    @property
    def weight_error(self) -> float:
        """Mean |weight − exact weight| over the ambiguous cases; NaN without such cases."""
        return _mean(np.abs(self.weight - self.exact_weight)[self.ambiguous])

    @property
    def weight_error_separated(self) -> float:
        """The same over all separated cases, however faint a component."""
        return _mean(np.abs(self.weight - self.exact_weight)[self.separated])


class Gaps(NamedTuple):
    """The separation of mixtures: flags [B], and the middle of the widest gap in EF % [B], NaN where not separated."""

    separated: Flags
    ambiguous: Flags
    cut: Array


def mixture(weights: ArrayLike, means: ArrayLike, sds: ArrayLike) -> GaussianMixture:
    """A batch of exact posteriors from padded arrays [B, K]: a component of weight 0 is none, whatever its mean.

    Raises:
        ValueError: shapes that do not fit, weights that are negative or do not sum to 1, SDs that are not positive.
    """
    w, m, s = (np.atleast_2d(np.asarray(x, dtype=np.float64)) for x in (weights, means, sds))
    if not w.shape == m.shape == s.shape or w.ndim != 2 or not w.size:
        raise ValueError(f"weights {w.shape}, means {m.shape} and sds {s.shape} must be equal, [B, K]")
    m, s = np.where(w > 0, m, 0.0), np.where(w > 0, s, 1.0)
    if not (w >= 0).all() or not np.allclose(w.sum(axis=1), 1, atol=1e-6):
        raise ValueError("the weights of each row must be at least 0 and sum to 1")
    if not (np.isfinite(m).all() and np.isfinite(s).all() and (s > 0).all()):
        raise ValueError("means must be finite and sds positive")
    return GaussianMixture(*map(torch.from_numpy, (w, m, s)))


def score(posterior: Posterior, exact: GaussianMixture, observed: ArrayLike) -> KnownScores:
    """Every score of a batch of posteriors against the exact ones.

    Arguments:
        posterior: a batch [B].
        exact: the exact posteriors, rows [B], in EF %.
        observed: the readings that were drawn, [B] in EF %.

    Raises:
        ValueError: the batches are of different lengths.
    """
    y = np.atleast_1d(np.asarray(observed, dtype=np.float64))
    if not len(posterior) == len(exact.weights) == len(y):
        raise ValueError(f"{len(posterior)} posteriors, {len(exact.weights)} exact ones and {len(y)} readings")
    sd = exact.sd[:, 0].numpy()
    w1, ks, cramer = distances(posterior, exact)
    floor, gaps = crps_floor(exact), find_gaps(exact)
    modes, found, recovered = _modes(posterior, exact, gaps.ambiguous)
    return KnownScores(
        sd=sd,
        w1=w1 / sd,
        ks=ks,
        floor=floor,
        expected_crps=floor + (cramer if posterior.raw is None else _excess_of_draws(posterior.raw, exact)),
        crps=crps_of(posterior, y),
        pit=pit_of(posterior, y),
        sd_ratio=np.atleast_1d(posterior.sd) / sd,
        separated=gaps.separated,
        ambiguous=gaps.ambiguous,
        weight=np.atleast_1d(posterior.pit(gaps.cut)),
        exact_weight=exact_pit(exact, gaps.cut),
        modes=modes,
        found=found,
        recovered=recovered,
    )


def distances(posterior: Posterior, exact: GaussianMixture) -> tuple[Array, Array, Array]:
    """∫|d| dy in EF points, sup|d|, and ∫d² dy in EF points, each [B]."""
    parts = []
    for start in range(0, len(posterior), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        d = posterior[rows].cdf(GRID) - exact[rows].cdf(torch.from_numpy(GRID)[None]).numpy()
        parts.append((np.trapezoid(np.abs(d), GRID), np.abs(d).max(axis=1), np.trapezoid(d**2, GRID)))
    w1, ks, cramer = (np.concatenate(column) for column in zip(*parts, strict=True))
    return w1, ks, cramer


def crps_excess(posterior: Posterior, exact: GaussianMixture) -> Array:
    """What the expected CRPS lies over that of the exact posterior, [B] in EF points; of iid draws without their bias.

    Of a table ∫ d² dy. Of draws, whose table is a step function in all but name, the expectation of the fair estimator.
    """
    return distances(posterior, exact)[2] if posterior.raw is None else _excess_of_draws(posterior.raw, exact)


def _excess_of_draws(raw: Array, exact: GaussianMixture) -> Array:
    near = np.empty_like(raw)
    for start in range(0, len(raw), AT_ONCE):
        rows = slice(start, start + AT_ONCE)
        w, m, s = (x.numpy()[rows, None] for x in (exact.weights, exact.means, exact.sds))
        near[rows] = (w * mean_absolute_normal(raw[rows, :, None] - m, s**2)).sum(axis=2)
    middle = np.nanmean(raw, axis=1)
    apart = np.nanmean(np.abs(raw - middle[:, None]), axis=1) - crps_draws(raw, middle, "fair")
    excess: Array = np.nanmean(near, axis=1) - apart - crps_floor(exact)
    return excess


def crps_floor(exact: GaussianMixture) -> Array:
    """½ E|Y − Y'|, the least expected CRPS there is, [B] in EF points."""
    w, m, s2 = exact.weights, exact.means, exact.sds**2
    difference = m[:, :, None] - m[:, None, :]
    A = mean_absolute_normal(difference.numpy(), (s2[:, :, None] + s2[:, None, :]).numpy())
    floor: Array = 0.5 * np.einsum("bi,bj,bij->b", w.numpy(), w.numpy(), A)
    return floor


def mean_absolute_normal(m: Array, v: Array) -> Array:
    """E|N(m, v)| for means m and variances v > 0."""
    s = np.sqrt(v)
    A: Array = s * np.sqrt(2 / np.pi) * np.exp(-0.5 * m**2 / v) + m * (2 * _cdf(m / s) - 1)
    return A


def exact_pit(exact: GaussianMixture, y: ArrayLike) -> Array:
    """F(y) of one y per study, [B]; NaN for NaN."""
    column = torch.from_numpy(np.asarray(y, dtype=np.float64).reshape(-1, 1))
    return np.asarray(exact.cdf(column)[:, 0].numpy())


def exact_table(exact: GaussianMixture) -> Posterior:
    """The exact posteriors on the nodes that a model answers with: what the table itself costs."""
    z = quantile_nodes()
    return Posterior.from_nodes(z, exact.quantile(torch.from_numpy(normal_cdf(z))).numpy())


def find_gaps(exact: GaussianMixture) -> Gaps:
    """Which mixtures have components that can be told apart, and where to cut between them."""
    w, m, s = _in_order(exact)
    if w.shape[1] == 1:
        none = np.zeros(len(w), dtype=np.bool_)
        return Gaps(none, none, np.full(len(w), np.nan))
    neighbours = w[:, 1:] > 0  # what pads a row comes last
    apart = np.diff(m, axis=1) / np.maximum(s[:, 1:], s[:, :-1])
    widest = np.where(neighbours, apart, -np.inf).argmax(axis=1)[:, None]
    separated = np.asarray(np.where(neighbours, apart, -np.inf).max(axis=1) >= SEPARATION)
    each = np.where(neighbours, apart, np.inf).min(axis=1) >= SEPARATION
    heavy = np.where(w > 0, w, np.inf).min(axis=1) >= LEAST_WEIGHT
    middle = np.take_along_axis(0.5 * (m[:, 1:] + m[:, :-1]), widest, axis=1)[:, 0]
    return Gaps(separated, separated & each & heavy, np.where(separated, middle, np.nan))


def _modes(
    posterior: Posterior, exact: GaussianMixture, ambiguous: Flags
) -> tuple[NDArray[np.int64], NDArray[np.int64], Flags]:
    """Components of ambiguous cases, how many are found, and whether the peaks are these and no others; each [B]."""
    modes, found = np.zeros((2, len(ambiguous)), dtype=np.int64)
    recovered = np.zeros(len(ambiguous), dtype=np.bool_)
    cases = np.flatnonzero(ambiguous)
    if not len(cases):
        return modes, found, recovered
    w, m, s = (x.numpy()[cases] for x in (exact.weights, exact.means, exact.sds))
    for case, peaks, real, mean, sd in zip(cases, _peaks(posterior[cases]), w > 0, m, s, strict=True):
        near = np.abs(np.asarray(peaks)[:, None] - mean[real]) <= NEAR * sd[real]
        modes[case], found[case] = real.sum(), near.any(axis=0).sum()
        recovered[case] = found[case] == modes[case] == len(peaks)
    return modes, found, recovered


def _peaks(posterior: Posterior) -> list[list[float]]:
    each = cast("list[list[Mode]]", posterior.modes(PEAK_SEPARATION, PEAK_MASS))
    return [[mode.location for mode in modes] for modes in each]


def _in_order(exact: GaussianMixture) -> tuple[Array, Array, Array]:
    """Weights, means and SDs [B, K] by ascending mean, what only pads a row last."""
    w, m, s = (x.numpy() for x in (exact.weights, exact.means, exact.sds))
    order = np.argsort(np.where(w > 0, m, np.inf), axis=1, kind="stable")
    return tuple(np.take_along_axis(x, order, axis=1) for x in (w, m, s))  # type: ignore[return-value]


def _cdf(z: Array) -> Array:
    """Φ by torch: `normal_cdf` is a Python loop, too slow for K² pairs of every study."""
    F: Tensor = torch.special.ndtr(torch.from_numpy(z))
    return np.asarray(F.numpy())


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if values.size else float("nan")
