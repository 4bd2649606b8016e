"""The posterior of ejection fraction as a table of quantiles, z → y.

A standard normal z flows to y = G(z) in per cent, and G is increasing, so that with Φ the normal distribution function

    F(y) = Φ(G⁻¹(y)),      F⁻¹(q) = G(Φ⁻¹(q)),      log p(y) = log φ(z) − log G'(z),  z = G⁻¹(y)

G is known at nodes z_j and interpolated there as a monotone cubic (PCHIP) of ℓ = logit(y/100), linear in z beyond the
outer nodes, so that every quantile lies inside (0, 100). Two kinds of content share the class: quantile nodes, carried
by a deterministic sampler, and iid draws, which are sorted and placed at the levels (i − ½)/K. Moments are integrals of
the interpolated table, not sums over its nodes: the SD of 20 equal-mass nodes is 3 % too small.

Arrays in, arrays out: a batch of B studies gives [B] or [B, M]; a single study gives floats or [M].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcsdr.errors import InvalidConfig
from mcsdr.posterior.modes import smoothed_modes
from mcsdr.posterior.monotone import MonotoneCubic
from mcsdr.posterior.normal import normal_cdf, normal_quadrature, normal_quantile

Array = NDArray[np.float64]

# EF of exactly 0 or 100 % has no logit; a table's values are held this far from the ends.
EDGE_PERCENT = 0.01
# The least gap between neighbouring nodes in ℓ (2.5e-5 EF points at 50 %), so that ties keep a finite density.
LEAST_GAP = 1e-6


def quantile_nodes() -> Array:
    """The 23 nodes z: Φ⁻¹((i − ½)/20) for i = 1…20, the median 0 and ±2.576, ascending [23]."""
    levels = (np.arange(20) + 0.5) / 20
    return np.sort(np.concatenate([normal_quantile(levels), [0.0, -2.576, 2.576]]))


@dataclass(frozen=True, eq=False)
class Posterior:
    """Posterior of EF for one study or for a batch; built by `from_nodes`, `from_draws` or `mixture`.

    Attributes:
        z: nodes, ascending, [B, N], or [1, N] where all studies share them.
        latent: ℓ = logit(y/100) at the nodes, ascending, [B, N].
        violations: neighbouring nodes found out of order before sorting, [B]; 0 for iid draws.
        single: whether this is one study, whose results are floats.
        draws: number of iid draws in the table, None for quantile nodes.
        trajectories: states of the sampler in EF %, [S+1, B, N], noise first, or None.
        angles: θ of those states in radians, [S+1], or None.
        known: what was known of each study where the table was recalibrated (`mcsdr.posterior.recalibration`), [B], or
            None.
    """

    z: Array
    latent: Array
    violations: NDArray[np.int64]
    single: bool = False
    draws: int | None = None
    trajectories: Array | None = None
    angles: Array | None = None
    known: NDArray[np.str_] | None = None

    @classmethod
    def from_nodes(
        cls,
        z: ArrayLike,
        y_percent: ArrayLike,
        *,
        trajectories: ArrayLike | None = None,
        angles: ArrayLike | None = None,
    ) -> Posterior:
        """The posterior whose quantile at level Φ(z_j) is y_j.

        Arguments:
            z: nodes, strictly ascending, [N] or [B, N] with N ≥ 3.
            y_percent: EF in per cent, [N] for one study or [B, N]; sorted if need be, and held inside (0, 100).
            trajectories: states of the sampler in EF %, [S+1, N] or [S+1, B, N].
            angles: their θ in radians, [S+1].

        Raises:
            InvalidConfig: shapes that do not fit, nodes that do not ascend, or values that are not finite.
        """
        nodes, y = np.asarray(z, dtype=np.float64), np.asarray(y_percent, dtype=np.float64)
        single = y.ndim == 1
        nodes, y = np.atleast_2d(nodes), np.atleast_2d(y)
        _check_table(nodes, y)
        if trajectories is not None:
            trajectories = np.asarray(trajectories, dtype=np.float64)
            trajectories = trajectories[:, None] if single else trajectories
        return cls(
            z=nodes,
            latent=_latent_table(y),
            violations=(np.diff(y, axis=1) < 0).sum(axis=1),
            single=single,
            trajectories=trajectories,
            angles=None if angles is None else np.asarray(angles, dtype=np.float64),
        )

    @classmethod
    def from_draws(
        cls, y_percent: ArrayLike, *, trajectories: ArrayLike | None = None, angles: ArrayLike | None = None
    ) -> Posterior:
        """The empirical posterior of K iid draws, sorted and placed at the levels (i − ½)/K.

        Arguments:
            y_percent: draws of EF in per cent, [K] for one study or [B, K], K ≥ 3.
            trajectories, angles: as for `from_nodes`.
        """
        y = np.sort(np.asarray(y_percent, dtype=np.float64), axis=-1)
        K = y.shape[-1]
        z = normal_quantile((np.arange(K) + 0.5) / K)
        return replace(cls.from_nodes(z, y, trajectories=trajectories, angles=angles), draws=K)

    @classmethod
    def mixture(cls, posteriors: Sequence[Posterior], weights: Sequence[float] | None = None) -> Posterior:
        """Pool posteriors of the same studies: F(y) = Σ_i w_i F_i(y), tabulated on the quantile nodes.

        Arguments:
            posteriors: one or more, all of the same batch.
            weights: not negative, scaled to sum 1; equal if left out.

        Raises:
            InvalidConfig: nothing to pool, different batches, or weights that do not fit.
        """
        w = np.ones(len(posteriors)) if weights is None else np.asarray(weights, dtype=np.float64)
        if not posteriors or len({(p.latent.shape[0], p.single) for p in posteriors}) != 1:
            raise InvalidConfig("A mixture pools posteriors of the same studies.", next_step="Pass equal batches.")
        if w.shape != (len(posteriors),) or (w < 0).any() or not w.sum() > 0:
            raise InvalidConfig("A mixture needs one weight ≥ 0 per posterior.", next_step="Check the weights.")
        z = quantile_nodes()[None]
        latent = _pooled_quantiles([p._table for p in posteriors], w / w.sum(), z)
        pooled = cls.from_nodes(z[0], _percent(latent))
        return replace(pooled, single=posteriors[0].single)

    @classmethod
    def joined(cls, batches: Sequence[Posterior]) -> Posterior:
        """Batches of studies one after the other, all of the same kind; trajectories are left behind.

        Raises:
            InvalidConfig: nothing to join, or nodes that differ in number or in kind.
        """
        if not batches or len({(p.latent.shape[1], p.draws, p.known is None) for p in batches}) != 1:
            raise InvalidConfig("Only posteriors of one kind make a batch.", next_step="Join equal tables.")
        return cls(
            z=np.concatenate([np.broadcast_to(p.z, p.latent.shape) for p in batches]),
            latent=np.concatenate([p.latent for p in batches]),
            violations=np.concatenate([p.violations for p in batches]),
            draws=batches[0].draws,
            known=None if batches[0].known is None else np.concatenate([p.known for p in batches]),
        )

    def __len__(self) -> int:
        """Number of studies."""
        return int(self.latent.shape[0])

    def __getitem__(self, index: int | slice | NDArray[Any]) -> Posterior:
        """One study, or the batch of the studies selected."""
        single = isinstance(index, int | np.integer)
        if single and not -len(self) <= int(index) < len(self):  # type: ignore[arg-type]
            raise IndexError(f"study {index} of a batch of {len(self)}")
        rows = np.atleast_1d(np.arange(len(self))[index])
        return replace(
            self,
            z=self.z if len(self.z) == 1 else self.z[rows],
            latent=self.latent[rows],
            violations=self.violations[rows],
            single=single,
            trajectories=None if self.trajectories is None else self.trajectories[:, rows],
            known=None if self.known is None else self.known[rows],
        )

    @cached_property
    def _table(self) -> MonotoneCubic:
        return MonotoneCubic.fit(self.z, self.latent)

    @property
    def y_percent(self) -> Array:
        """The table's values at the nodes in EF %: [N] or [B, N], ascending."""
        return self._rows(_percent(self.latent))

    # --- moments -----------------------------------------------------------------------------------------------------

    @property
    def mean(self) -> Any:
        """E[y] = ∫ G(z) φ(z) dz in EF %: float or [B]."""
        y, weight = self._integrand()
        return self._values((weight * y).sum(axis=1))

    @property
    def sd(self) -> Any:
        """Standard deviation in EF points: float or [B]."""
        y, weight = self._integrand()
        mean = (weight * y).sum(axis=1, keepdims=True)
        return self._values(np.sqrt((weight * (y - mean) ** 2).sum(axis=1)))

    @property
    def median(self) -> Any:
        """G(0) in EF %: float or [B]."""
        return self._values(_percent(self._table(np.zeros((1, 1)))[0])[:, 0])

    def partial_mean(self, y: ArrayLike) -> Any:
        """E[Y; Y < y] = ∫_{−∞}^{G⁻¹(y)} G(z) φ(z) dz in EF %, for one y per study."""
        values, weight = self._integrand(upper=self._z_of(_column(y, len(self))))
        return self._values((weight * values).sum(axis=1))

    @property
    def half_mean_difference(self) -> Any:
        """½ E|Y − Y'| = ∫ (2Φ(z) − 1) G(z) φ(z) dz in EF points, the sharpness term of the CRPS."""
        z, weight = normal_quadrature(self.z)
        y = _percent(self._table(z)[0])
        return self._values((weight * (2 * normal_cdf(z) - 1) * y).sum(axis=1))

    # --- quantiles and probabilities ---------------------------------------------------------------------------------

    def quantile(self, q: ArrayLike) -> Any:
        """F⁻¹(q) in EF %.

        Arguments:
            q: a level in (0, 1), or levels [M] shared by all studies.

        Returns:
            float or [B] for one level, [M] or [B, M] for several.

        >>> Posterior.from_nodes([-1, 0, 1], [40, 50, 60]).quantile(0.5)
        50.0
        """
        z = normal_quantile(q)
        return self._shaped(_percent(self._table(_row(z))[0]), z.ndim)

    def interval(self, level: float = 0.9) -> tuple[Any, Any]:
        """The central interval (lower, upper) that holds `level` of the probability."""
        tail = (1 - level) / 2
        return self.quantile(tail), self.quantile(1 - tail)

    def cdf(self, y: ArrayLike) -> Any:
        """F(y) = P(EF ≤ y); y in EF %, a number or a grid [M] shared by all studies."""
        y = np.asarray(y, dtype=np.float64)
        return self._shaped(normal_cdf(self._z_of(_row(y))), y.ndim)

    def prob_below(self, c: ArrayLike) -> Any:
        """P(EF < c); c in EF %, a number or [M]."""
        return self.cdf(c)

    def prob_between(self, lower: float, upper: float) -> Any:
        """P(lower ≤ EF < upper); EF in %."""
        return self.cdf(upper) - self.cdf(lower)

    def density(self, grid: ArrayLike) -> Any:
        """p(y) per EF point; y in EF %, a number or a grid [M] shared by all studies. 0 outside (0, 100)."""
        y = np.asarray(grid, dtype=np.float64)
        return self._shaped(np.exp(self._log_density(_row(y))), y.ndim)

    def log_density(self, y: ArrayLike) -> Any:
        """log p(y) per EF point for one observed y per study: float or [B]."""
        return self._values(self._log_density(_column(y, len(self)))[:, 0])

    def pit(self, y: ArrayLike) -> Any:
        """The probability integral transform F(y) of one observed y per study: float or [B]."""
        return self._values(normal_cdf(self._z_of(_column(y, len(self))))[:, 0])

    def sample(self, n: int, seed: int = 0) -> Array:
        """n iid draws in EF %: [n] or [B, n]; the same seed gives the same draws."""
        z = np.random.default_rng(seed).standard_normal((len(self), n))
        return self._rows(_percent(self._table(z)[0]))

    def modes(self, min_separation: float = 8.0, min_mass: float = 0.2) -> Any:
        """The peaks that may be told to a clinician, ascending: one list of (location, mass), or one list per study.

        Arguments:
            min_separation: least distance of two peaks in EF points.
            min_mass: least probability that a peak must hold.

        See `mcsdr.posterior.modes` for the rule and its false-positive rate.
        """
        found = smoothed_modes(self._edges_cdf, np.atleast_1d(self.sd), self.draws, min_separation, min_mass)
        return found[0] if self.single else found

    # --- inside ------------------------------------------------------------------------------------------------------

    def _edges_cdf(self, edges: Array) -> Array:
        return normal_cdf(self._z_of(edges[None]))

    def _z_of(self, y: Array) -> Array:
        """G⁻¹(y) [B, M] for y [B or 1, M] in EF %; ∓∞ outside (0, 100), NaN for NaN."""
        inside = (y > 0) & (y < 100)
        z = self._table.inverse(_logit(np.where(inside, y, 50.0)))
        outside = np.where(y <= 0, -np.inf, np.where(y >= 100, np.inf, np.nan))
        return np.where(inside, z, outside)

    def _log_density(self, y: Array) -> Array:
        inside = (y > 0) & (y < 100)
        outside = np.where(np.isnan(y), np.nan, -np.inf)
        y = np.where(inside, y, 50.0)
        z = self._table.inverse(_logit(y))
        slope = self._table(z)[1] * y * (100 - y) / 100
        return np.where(inside, -0.5 * z**2 - 0.5 * np.log(2 * np.pi) - np.log(slope), outside)

    def _integrand(self, upper: Array | None = None) -> tuple[Array, Array]:
        z, weight = normal_quadrature(self.z, upper)
        return _percent(self._table(z)[0]), weight

    def _values(self, x: Array) -> Any:
        """[B] → float for a single study."""
        return float(x[0]) if self.single else x

    def _rows(self, x: Array) -> Array:
        """[B, M] → [M] for a single study."""
        return x[0] if self.single else x

    def _shaped(self, x: Array, query_dimensions: int) -> Any:
        """[B, M] → the shape of the question: one number per study where it was a number."""
        return self._rows(x) if query_dimensions else self._values(x[:, 0])


def prob_change(before: Posterior, after: Posterior, at_most: float) -> float:
    """P(EF after − EF before ≤ at_most) of two exams of one patient, `at_most` in EF points, −10 for a fall of ten.

    The two posteriors are taken as independent, each of one study: ∫ F_after(y + at_most) dF_before(y), over 2,000
    equally likely y. What both exams share (a reader's habit, the same prior) makes them less independent than that.
    """
    levels = (np.arange(2000) + 0.5) / 2000
    return float(np.mean(after.cdf(before.quantile(levels) + at_most)))


def _pooled_quantiles(tables: list[MonotoneCubic], weights: Array, z: Array) -> Array:
    """ℓ [B, N] with Σ w_i Φ(G_i⁻¹(ℓ)) = Φ(z): Newton's method between the extreme quantiles of the members."""
    members = np.stack([table(z)[0] for table in tables])
    lo, hi, level = members.min(axis=0), members.max(axis=0), normal_cdf(z)
    ell: Array = np.average(members, axis=0, weights=weights)
    for _ in range(60):
        F, density = np.zeros_like(ell), np.zeros_like(ell)
        for w, table in zip(weights, tables, strict=True):
            z_i = table.inverse(ell)
            F += w * normal_cdf(z_i)
            density += w * np.exp(-0.5 * z_i**2) / np.sqrt(2 * np.pi) / table(z_i)[1]
        error = F - level
        if np.abs(error).max() < 1e-12:
            break
        lo, hi = np.where(error < 0, ell, lo), np.where(error > 0, ell, hi)
        newton = ell - error / np.maximum(density, 1e-300)
        ell = np.where((newton > lo) & (newton < hi), newton, 0.5 * (lo + hi))
    return ell


def _latent_table(y: Array) -> Array:
    """logit(y/100) [B, N], sorted, held inside (0, 100), and strictly ascending."""
    latent = _logit(np.clip(np.sort(y, axis=1), EDGE_PERCENT, 100 - EDGE_PERCENT))
    ramp = LEAST_GAP * np.arange(y.shape[1])
    ascending: Array = np.maximum.accumulate(latent - ramp, axis=1) + ramp
    return ascending


def _check_table(z: Array, y: Array) -> None:
    if z.shape[-1] != y.shape[-1] or len(z) not in (1, len(y)) or y.shape[-1] < 3 or y.ndim != 2:
        raise InvalidConfig(
            f"A quantile table needs one value per node: z {z.shape}, y {y.shape}.",
            next_step="Give z as [N] and y as [N] or [B, N], with three nodes or more.",
        )
    if not (np.isfinite(z).all() and np.isfinite(y).all() and (np.diff(z, axis=1) > 0).all()):
        raise InvalidConfig(
            "A quantile table needs finite values and ascending nodes.",
            next_step="Look for NaN in the network's output, and for nodes given twice.",
        )


def _logit(y: Array) -> Array:
    ell: Array = np.log(y) - np.log(100 - y)
    return ell


def _percent(latent: Array) -> Array:
    y: Array = 50 * (1 + np.tanh(0.5 * latent))
    return y


def _row(x: Array) -> Array:
    return np.reshape(x, (1, -1))


def _column(y: ArrayLike, studies: int) -> Array:
    """One observed EF per study, as [B, 1]."""
    column = np.asarray(y, dtype=np.float64).reshape(-1, 1)
    if len(column) != studies:
        raise InvalidConfig(
            f"{len(column)} observed values for {studies} studies.", next_step="Give one observed EF per study."
        )
    return column
