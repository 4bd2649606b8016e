"""The posterior of ejection fraction as a table of quantiles, z → y.

A standard normal z flows to y = G(z) in per cent, and G is increasing, so that with Φ the normal distribution function

    F(y) = Φ(G⁻¹(y)),      F⁻¹(q) = G(Φ⁻¹(q)),      log p(y) = log φ(z) − log G'(z),  z = G⁻¹(y)

G is known at nodes z_j and interpolated there as a monotone cubic (PCHIP) of ℓ = logit(y/100), linear in z beyond the
outer nodes, so that every quantile lies inside (0, 100). Two kinds of content share the class: quantile nodes, carried
by a deterministic sampler, and iid draws, which are sorted and placed at the levels (i − ½)/K. Moments of nodes are
integrals of the interpolated table, since the SD of 20 equal-mass nodes is 3 % too small; those of draws are plain, of
the draws as drawn (`mcsdr.posterior.draws`).

Arrays in, arrays out: a batch of B studies gives [B] or [B, M]; a single study gives floats or [M].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcsdr.errors import InvalidConfig
from mcsdr.posterior import questions, told
from mcsdr.posterior.draws import one_below_other, plain_mean, plain_sd, share_outside, side_by_side
from mcsdr.posterior.modes import Mode, smoothed_modes
from mcsdr.posterior.monotone import MonotoneCubic, pooled_values
from mcsdr.posterior.normal import normal_cdf, normal_quadrature, normal_quantile, quantile_nodes
from mcsdr.posterior.questions import Several
from mcsdr.posterior.scale import check_table, latent_table, logit, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]
Value = float | Array  # of one study, or [B] of a batch
FARTHEST = 40.0  # of z: beyond it lies no probability that a float can hold


@dataclass(frozen=True, eq=False)
class Posterior:
    """Posterior of EF for one study or for a batch; built by `from_nodes`, `from_draws` or `mixture`.

    >>> posterior = Posterior.from_nodes([-2, -1, 0, 1, 2], [44, 52, 59, 65, 70])
    >>> posterior
    Posterior(EF 59 %, 90 % 47–68)
    >>> round(posterior.prob_below(50), 2), round(posterior.mean, 1)
    (0.1, 58.5)
    >>> posterior.interval(90)
    Traceback (most recent call last):
    mcsdr.errors.InvalidConfig: An interval holds a share of the belief, above 0 and at most 1; 90 is none. ...
    >>> Posterior.joined([posterior, posterior])
    Posterior(2 studies, medians 59–59 %)

    Attributes:
        z: nodes, ascending, [B, N], or [1, N] where all studies share them.
        latent: ℓ = logit(y/100) at the nodes, ascending, [B, N].
        violations: neighbouring nodes found out of order before sorting, [B]; 0 for iid draws.
        single: whether this is one study, whose results are floats.
        draws: number of iid draws in the table, None for quantile nodes.
        trajectories: states of the sampler in EF %, [S+1, B, N], noise first, or None.
        angles: θ of those states in radians, [S+1], or None.
        raw: the draws as drawn, in EF %, ascending, [B, K]; NaN fills rows of fewer; None for nodes.
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
    raw: Array | None = None
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
        check_table(nodes, y)
        if trajectories is not None:
            trajectories = np.asarray(trajectories, dtype=np.float64)
            trajectories = trajectories[:, None] if single else trajectories
        return cls(
            z=nodes,
            latent=latent_table(y),
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
        table = cls.from_nodes(z, y, trajectories=trajectories, angles=angles)
        return replace(table, draws=K, raw=np.atleast_2d(y))

    @classmethod
    def mixture(cls, posteriors: Sequence[Posterior], weights: Sequence[float] | None = None) -> Posterior:
        """Pool posteriors of the same studies: F(y) = Σ_i w_i F_i(y), tabulated on the mean of their nodes.

        A mixture of a posterior with itself is that posterior. Of tables of another size, and of iid draws, the
        quantile nodes are taken.

        Arguments:
            posteriors: one or more, all of the same batch.
            weights: not negative, scaled to sum 1; equal if left out.

        Raises:
            InvalidConfig: nothing to pool, different batches, or weights that do not fit.
        """
        if not posteriors or len({(p.latent.shape[0], p.single) for p in posteriors}) != 1:
            raise InvalidConfig("A mixture pools posteriors of the same studies.", next_step="Pass equal batches.")
        w = questions.weights(weights, len(posteriors))
        z = quantile_nodes()[None]
        if all(p.draws is None and p.latent.shape[1] == z.shape[1] for p in posteriors):
            z = np.mean([np.broadcast_to(p.z, p.latent.shape) for p in posteriors], axis=0)
        latent = pooled_values([p._table for p in posteriors], w, z)
        pooled = cls.from_nodes(z, percent(latent))
        raw = side_by_side([p.raw for p in posteriors]) if len(set(w.tolist())) == 1 else None
        return replace(pooled, single=posteriors[0].single, raw=raw)

    @classmethod
    def joined(cls, batches: Sequence[Posterior]) -> Posterior:
        """Batches of studies one after the other, all of the same kind; trajectories are left behind.

        Raises:
            InvalidConfig: nothing to join, or nodes that differ in number or in kind.
        """
        if not batches or len({(p.latent.shape[1], p.draws, p.raw is None, p.known is None) for p in batches}) != 1:
            raise InvalidConfig("Only posteriors of one kind make a batch.", next_step="Join equal tables.")
        return cls(
            z=np.concatenate([np.broadcast_to(p.z, p.latent.shape) for p in batches]),
            latent=np.concatenate([p.latent for p in batches]),
            violations=np.concatenate([p.violations for p in batches]),
            draws=batches[0].draws,
            raw=one_below_other([p.raw for p in batches]),
            known=None if batches[0].known is None else np.concatenate([p.known for p in batches]),
        )

    def __len__(self) -> int:
        """Number of studies."""
        return int(self.latent.shape[0])

    def __getitem__(self, index: SupportsIndex | slice | NDArray[np.integer | np.bool_]) -> Posterior:
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
            raw=None if self.raw is None else self.raw[rows],
            known=None if self.known is None else self.known[rows],
        )

    @cached_property
    def _table(self) -> MonotoneCubic:
        return MonotoneCubic.fit(self.z, self.latent)

    @property
    def y_percent(self) -> Array:
        """The table's values at the nodes in EF %: [N] or [B, N], ascending."""
        return self._rows(percent(self.latent))

    @property
    def mean(self) -> Value:
        """E[y] = ∫ G(z) φ(z) dz in EF %, of draws their plain mean, which may leave 0–100: float or [B]."""
        return self.table_mean if self.raw is None else self._values(plain_mean(self.raw))

    @property
    def table_mean(self) -> Value:
        """∫ G(z) φ(z) dz in EF %, of draws too: float or [B]."""
        y, weight = self._integrand()
        return self._values((weight * y).sum(axis=1))

    @property
    def outside(self) -> Value | None:
        """The share of draws at 0 or 100 % or beyond, float or [B]; None for nodes."""
        return None if self.raw is None else self._values(share_outside(self.raw))

    @property
    def sd(self) -> Value:
        """Standard deviation in EF points, of draws their plain one: float or [B]."""
        if self.raw is not None:
            return self._values(plain_sd(self.raw))
        y, weight = self._integrand()
        mean = (weight * y).sum(axis=1, keepdims=True)
        return self._values(np.sqrt((weight * (y - mean) ** 2).sum(axis=1)))

    @property
    def median(self) -> Value:
        """G(0) in EF %: float or [B]."""
        return self._values(percent(self._table(np.zeros((1, 1)))[0])[:, 0])

    def partial_mean(self, y: ArrayLike) -> Value:
        """E[Y; Y < y] = ∫_{−∞}^{G⁻¹(y)} G(z) φ(z) dz in EF %, for one y per study; of y ≤ 0 it is 0."""
        upper = np.clip(self._z_of(questions.observed(y, len(self))), -FARTHEST, FARTHEST)
        values, weight = self._integrand(upper=upper)
        return self._values((weight * values).sum(axis=1))

    @property
    def half_mean_difference(self) -> Value:
        """½ E|Y − Y'| = ∫ (2Φ(z) − 1) G(z) φ(z) dz in EF points, the sharpness term of the CRPS."""
        z, weight = normal_quadrature(self.z)
        y = percent(self._table(z)[0])
        return self._values((weight * (2 * normal_cdf(z) - 1) * y).sum(axis=1))

    @overload
    def quantile(self, q: float) -> Value: ...
    @overload
    def quantile(self, q: Several) -> Array: ...
    def quantile(self, q: float | Several) -> Value:
        """F⁻¹(q) in EF %.

        Arguments:
            q: a level in (0, 1), or levels [M] shared by all studies.

        Raises:
            InvalidConfig: a level outside [0, 1], such as 50 where 0.5 is meant.

        >>> Posterior.from_nodes([-1, 0, 1], [40, 50, 60]).quantile([0.25, 0.5, 0.75]).round(1)
        array([43.2, 50. , 56.8])
        """
        z = normal_quantile(questions.levels(q))
        return self._shaped(percent(self._table(questions.row(z))[0]), z.ndim)

    def interval(self, level: float = 0.9) -> tuple[Value, Value]:
        """The central interval (lower, upper) that holds `level` of the probability.

        Raises:
            InvalidConfig: a level that is no share, such as 90 where 0.9 is meant.
        """
        questions.interval_level(level)
        tail = (1 - level) / 2
        return self.quantile(tail), self.quantile(1 - tail)

    @overload
    def cdf(self, y: float) -> Value: ...
    @overload
    def cdf(self, y: Several) -> Array: ...
    def cdf(self, y: float | Several) -> Value:
        """F(y) = P(EF ≤ y); y in EF %, a number or a grid [M] shared by all studies."""
        y = questions.numbers(y, "EF")
        return self._shaped(normal_cdf(self._z_of(questions.row(y))), y.ndim)

    @overload
    def prob_below(self, c: float) -> Value: ...
    @overload
    def prob_below(self, c: Several) -> Array: ...
    def prob_below(self, c: float | Several) -> Value:
        """P(EF < c); c in EF %, a number or [M].

        Raises:
            InvalidConfig: no EF in per cent, such as 0.4 where 40 is meant.
        """
        return self.cdf(questions.cut_points(c))

    def prob_between(self, lower: float, upper: float) -> Value:
        """P(lower ≤ EF < upper); EF in %.

        Raises:
            InvalidConfig: no EF in per cent, or the lower end above the upper.
        """
        low, high = questions.between(lower, upper)
        return self.cdf(high) - self.cdf(low)

    @overload
    def density(self, grid: float) -> Value: ...
    @overload
    def density(self, grid: Several) -> Array: ...
    def density(self, grid: float | Several) -> Value:
        """p(y) per EF point; y in EF %, a number or a grid [M] shared by all studies. 0 outside (0, 100)."""
        y = questions.numbers(grid, "The grid of a density")
        return self._shaped(np.exp(self._log_density(questions.row(y))), y.ndim)

    def log_density(self, y: ArrayLike) -> Value:
        """log p(y) per EF point for one observed y per study: float or [B]."""
        return self._values(self._log_density(questions.observed(y, len(self)))[:, 0])

    def pit(self, y: ArrayLike) -> Value:
        """The probability integral transform F(y) of one observed y per study: float or [B]."""
        return self._values(normal_cdf(self._z_of(questions.observed(y, len(self))))[:, 0])

    def sample(self, n: SupportsIndex, seed: int = 0) -> Array:
        """n iid draws in EF %: [n] or [B, n]; the same seed gives the same draws."""
        z = np.random.default_rng(seed).standard_normal((len(self), questions.count(n)))
        return self._rows(percent(self._table(z)[0]))

    def modes(self, min_separation: float = 8.0, min_mass: float = 0.2) -> list[Mode] | list[list[Mode]]:
        """The peaks that may be told to a clinician, ascending: one list of (location, mass), or one list per study.

        Arguments:
            min_separation: least distance of two peaks in EF points.
            min_mass: least probability that a peak must hold.

        See `mcsdr.posterior.modes` for the rule and its false-positive rate.
        """
        cdf, sd = (lambda edges: normal_cdf(self._z_of(edges[None]))), np.atleast_1d(self.sd)
        found = smoothed_modes(cdf, sd, self.draws, min_separation, min_mass)
        return found[0] if self.single else found

    def __repr__(self) -> str:
        return f"Posterior({told.in_short(self)})"

    def _repr_html_(self) -> str:
        from mcsdr.posterior.notebook import as_html

        return as_html(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain data in EF %: median, mean, sd, interval_90, quantiles and modes; of a batch a list of each."""
        return told.as_plain_data(self)

    def plot(self, ax: Axes | None = None, *, threshold: float | None = None) -> Axes:
        """Draw one study's belief on `ax`, or on a figure of its own: 50 dots, density, categories, median, intervals.

        Arguments:
            threshold: a cut-point in EF % to mark, with the probability below it.

        Raises:
            InvalidConfig: the posterior is of a batch, or the threshold no EF in per cent.
        """
        from mcsdr.posterior.axes import plot

        if not self.single:
            raise InvalidConfig(f"A plot shows one study, not {len(self)}.", next_step="Plot posterior[0].")
        return plot(self, ax, threshold)

    def _z_of(self, y: Array) -> Array:
        """G⁻¹(y) [B, M] for y [B or 1, M] in EF %; ∓∞ outside (0, 100), NaN for NaN."""
        inside = (y > 0) & (y < 100)
        z = self._table.inverse(logit(np.where(inside, y, 50.0)))
        outside = np.where(y <= 0, -np.inf, np.where(y >= 100, np.inf, np.nan))
        return np.where(inside, z, outside)

    def _log_density(self, y: Array) -> Array:
        inside = (y > 0) & (y < 100)
        outside = np.where(np.isnan(y), np.nan, -np.inf)
        y = np.where(inside, y, 50.0)
        z = self._table.inverse(logit(y))
        slope = self._table(z)[1] * y * (100 - y) / 100
        return np.where(inside, -0.5 * z**2 - 0.5 * np.log(2 * np.pi) - np.log(slope), outside)

    def _integrand(self, upper: Array | None = None) -> tuple[Array, Array]:
        z, weight = normal_quadrature(self.z, upper)
        return percent(self._table(z)[0]), weight

    def _values(self, x: Array) -> Value:
        """[B] → float for a single study."""
        return float(x[0]) if self.single else x

    def _rows(self, x: Array) -> Array:
        """[B, M] → [M] for a single study."""
        return x[0] if self.single else x

    def _shaped(self, x: Array, query_dimensions: int) -> Value:
        """[B, M] → the shape of the question: one number per study where it was a number."""
        return self._rows(x) if query_dimensions else self._values(x[:, 0])
