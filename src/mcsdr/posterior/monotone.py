"""Monotone cubic interpolation of increasing tables, many at once, and its inverse.

Between knots z_k < z_{k+1} with values f_k < f_{k+1}, secant δ_k and end slopes d_k, d_{k+1}, the Hermite cubic in
t = (z − z_k)/h, h = z_{k+1} − z_k, is

    f(z) = f_k + h t [d_k + t (3δ_k − 2d_k − d_{k+1} + t (d_k + d_{k+1} − 2δ_k))]

Fritsch and Butland's slopes (a weighted harmonic mean of the two secants) make it increasing: this is PCHIP. Its slopes
reach three times the smaller secant, and then f' may vanish inside a cell, where a density 1/f' would be infinite. Here
they reach twice the smaller secant at most (STEEPEST), so that f' stays above a share of the smallest secant nearby; on
smooth tables nothing changes. Beyond the outer knots the table goes on as a straight line of positive slope.

References: Fritsch and Carlson 1980, "Monotone piecewise cubic interpolation"; Fritsch and Butland 1984.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcsdr.posterior.normal import normal_cdf

Array = NDArray[np.float64]

# PCHIP lets an outer slope fall to zero where the second cell is much steeper than the first. A tail without slope is
# a point mass, so the slope keeps at least this share of the outer secant.
OUTER_SLOPE = 0.25
STEEPEST = 2.0


def pchip_slopes(z: Array, f: Array) -> Array:
    """Fritsch–Butland slopes d [B, N], at most STEEPEST times the smaller secant beside a knot.

    Arguments:
        z: knots [B, N] or [1, N], strictly increasing, N ≥ 3.
        f: values [B, N], strictly increasing.
    """
    h = np.diff(z)
    delta = np.diff(f) / h
    before, after = h[:, :-1], h[:, 1:]
    w_1, w_2 = 2 * after + before, after + 2 * before
    harmonic = (w_1 + w_2) / (w_1 / delta[:, :-1] + w_2 / delta[:, 1:])
    inner = np.minimum(harmonic, STEEPEST * np.minimum(delta[:, :-1], delta[:, 1:]))
    first = _outer_slope(h[:, 0], h[:, 1], delta[:, 0], delta[:, 1])
    last = _outer_slope(h[:, -1], h[:, -2], delta[:, -1], delta[:, -2])
    return np.concatenate([first[:, None], inner, last[:, None]], axis=1)


def _outer_slope(h_0: Array, h_1: Array, delta_0: Array, delta_1: Array) -> Array:
    """The three-point slope at an outer knot, kept between OUTER_SLOPE·δ_0 and STEEPEST·δ_0."""
    slope = ((2 * h_0 + h_1) * delta_0 - h_0 * delta_1) / (h_0 + h_1)
    return np.clip(slope, OUTER_SLOPE * delta_0, STEEPEST * delta_0)


@dataclass(frozen=True)
class MonotoneCubic:
    """B increasing tables z → f.

    Arguments:
        z: knots [B, N], or [1, N] where all tables share them; strictly increasing, N ≥ 3.
        f: values [B, N], strictly increasing.
        slopes: df/dz at the knots [B, N].
    """

    z: Array
    f: Array
    slopes: Array

    @classmethod
    def fit(cls, z: Array, f: Array) -> MonotoneCubic:
        """The PCHIP interpolant through (z, f)."""
        return cls(z, f, pchip_slopes(z, f))

    def __call__(self, z: Array) -> tuple[Array, Array]:
        """f(z) and df/dz at z [B, M] or [1, M], both [B, M]."""
        k = _cell(self.z, z)
        z_k, h, f_k, delta, d_0, d_1 = self._coefficients(k)
        t = (z - z_k) / h
        inside, slope = _hermite(np.clip(t, 0.0, 1.0), delta, d_0, d_1)
        return f_k + h * inside + slope * h * (t - np.clip(t, 0.0, 1.0)), slope

    def inverse(self, f: Array) -> Array:
        """z with f(z) = f, for f [B, M] or [1, M]: Newton's method inside a shrinking bracket, exact on the tails."""
        k = _cell(self.f, f)
        z_k, h, f_k, delta, d_0, d_1 = self._coefficients(k)
        target = (f - f_k) / h
        lo, hi = np.zeros_like(target), np.ones_like(target)
        t = np.clip(target / delta, 0.0, 1.0)
        for _ in range(60):
            value, slope = _hermite(t, delta, d_0, d_1)
            error = value - target
            if not np.any((np.abs(error) > 4e-16 * delta) & (hi - lo > 1e-16)):
                break
            lo, hi = np.where(error < 0, t, lo), np.where(error > 0, t, hi)
            newton = t - error / np.maximum(slope, 1e-300)
            t = np.where((newton > lo) & (newton < hi), newton, 0.5 * (lo + hi))
        beyond = np.where(target < 0, target / d_0, np.where(target > delta, 1 + (target - delta) / d_1, t))
        z: Array = z_k + h * beyond
        return z

    def _coefficients(self, k: NDArray[np.intp]) -> tuple[Array, Array, Array, Array, Array, Array]:
        """z_k, h, f_k, δ_k, d_k, d_{k+1} for cells k [B or 1, M]."""
        rows = self.f.shape[0]
        knots, k_rows = np.broadcast_to(self.z, self.f.shape), np.broadcast_to(k, (rows, k.shape[1]))

        def take(table: Array, k: NDArray[np.intp]) -> Array:
            return np.take_along_axis(table, k, axis=1)

        z_k, f_k = take(knots, k_rows), take(self.f, k_rows)
        h = take(knots, k_rows + 1) - z_k
        delta = (take(self.f, k_rows + 1) - f_k) / h
        return z_k, h, f_k, delta, take(self.slopes, k_rows), take(self.slopes, k_rows + 1)


def pooled_values(tables: list[MonotoneCubic], weights: Array, z: Array) -> Array:
    """The table of a mixture at the nodes z [1, N]: ℓ [B, N] with Σ w_i Φ(G_i⁻¹(ℓ)) = Φ(z).

    Newton's method between the extreme quantiles of the members.
    """
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


def _cell(knots: Array, x: Array) -> NDArray[np.intp]:
    """Index k of the cell [knot_k, knot_{k+1}) that holds x; the outer cells take what lies beyond them."""
    shape = np.broadcast_shapes((knots.shape[0], 1), x.shape)
    if knots.shape[0] == 1 and x.shape[0] == 1:
        k = np.searchsorted(knots[0], x[0], side="right")[None, :] - 1
    else:
        k = np.full(shape, -1, dtype=np.intp)
        for j in range(knots.shape[1]):
            k += x >= knots[:, j : j + 1]
    cell: NDArray[np.intp] = np.clip(k, 0, knots.shape[1] - 2)
    return cell


def _hermite(t: Array, delta: Array, d_0: Array, d_1: Array) -> tuple[Array, Array]:
    """(f − f_k)/h and df/dz at the fraction t ∈ [0, 1] of a cell."""
    b, c = 3 * delta - 2 * d_0 - d_1, d_0 + d_1 - 2 * delta
    return t * (d_0 + t * (b + t * c)), d_0 + t * (2 * b + 3 * t * c)
