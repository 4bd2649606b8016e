"""The standard normal distribution on NumPy arrays, and integrals against it over the cells of a table."""

from __future__ import annotations

from math import erfc, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_erfc = np.frompyfunc(erfc, 1, 1)
_inv_cdf = np.frompyfunc(NormalDist().inv_cdf, 1, 1)
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(6)
_TAIL = np.array([0.7, 1.6, 2.8, 5.0])


def normal_cdf(z: ArrayLike) -> Array:
    """Φ(z), accurate in both tails."""
    return np.asarray(0.5 * _erfc(-np.asarray(z, dtype=np.float64) / sqrt(2)), dtype=np.float64)


def normal_quantile(q: ArrayLike) -> Array:
    """Φ⁻¹(q), with ∓∞ at 0 and 1."""
    q = np.asarray(q, dtype=np.float64)
    inside = (q > 0) & (q < 1)
    z = np.asarray(_inv_cdf(np.where(inside, q, 0.5)), dtype=np.float64)
    return np.where(inside, z, np.where(q <= 0, -np.inf, np.inf))


def normal_quadrature(knots: Array, upper: Array | None = None) -> tuple[Array, Array]:
    """Points z and weights of ∫ · φ(z) dz for integrands that are smooth between knots.

    Gauss–Legendre with six points in each cell, and in four more cells on either tail, out to 5 beyond the outer knot.

    Arguments:
        knots: [B, N], ascending.
        upper: the integral ends here, [B, 1]; cells above it shrink to nothing.

    Returns:
        points and weights, both [B, 6(N + 7)].
    """
    knots = np.concatenate([knots[:, :1] - _TAIL[::-1], knots, knots[:, -1:] + _TAIL], axis=1)
    if upper is not None:
        knots = np.minimum(knots, upper)
    half = 0.5 * np.diff(knots)[..., None]
    z = (0.5 * (knots[:, 1:] + knots[:, :-1])[..., None] + half * _POINTS).reshape(len(knots), -1)
    weights = (half * _WEIGHTS).reshape(len(knots), -1)
    return z, weights * np.exp(-0.5 * z**2) / sqrt(2 * np.pi)


def quantile_nodes() -> Array:
    """The 23 nodes z: Φ⁻¹((i − ½)/20) for i = 1…20, the median 0 and ±2.576, ascending [23]."""
    levels = (np.arange(20) + 0.5) / 20
    return np.sort(np.concatenate([normal_quantile(levels), [0.0, -2.576, 2.576]]))
