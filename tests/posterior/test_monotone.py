"""Monotone cubic interpolation, against SciPy's PCHIP."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.interpolate import PchipInterpolator

from mcsdr.posterior.monotone import OUTER_SLOPE, STEEPEST, MonotoneCubic

B, N = 3, 9
gaps = hnp.arrays(np.float64, (B, N), elements=st.floats(1e-3, 5))


def tables(dz: np.ndarray, df: np.ndarray) -> MonotoneCubic:
    return MonotoneCubic.fit(np.cumsum(dz, axis=1), np.cumsum(df, axis=1))


@settings(deadline=None)
@given(dz=gaps, df=gaps)
def test_the_slopes_are_scipys(dz: np.ndarray, df: np.ndarray) -> None:
    """Up to the steepest slope allowed here, and the least one at the outer knots."""
    table = tables(dz, df)
    delta = np.diff(table.f) / np.diff(table.z)
    for z, f, slopes, secants in zip(table.z, table.f, table.slopes, delta, strict=True):
        oracle = PchipInterpolator(z, f).derivative()(z)
        smaller = np.minimum(np.append(secants[0], secants), np.append(secants, secants[-1]))
        oracle = np.minimum(oracle, STEEPEST * smaller)
        oracle[0], oracle[-1] = max(oracle[0], OUTER_SLOPE * secants[0]), max(oracle[-1], OUTER_SLOPE * secants[-1])
        np.testing.assert_allclose(slopes, oracle, rtol=1e-7, atol=1e-9)


def test_the_values_are_scipys() -> None:
    z = np.linspace(-2, 2, 12)
    f = np.sinh(1.3 * z)[None]
    query = np.linspace(-2, 2, 301)
    value, slope = MonotoneCubic.fit(z[None], f)(query[None])
    oracle = PchipInterpolator(z, f[0])
    np.testing.assert_allclose(value[0], oracle(query), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(slope[0], oracle.derivative()(query), rtol=1e-11)


@settings(deadline=None)
@given(dz=gaps, df=gaps)
def test_increasing_through_its_knots_and_straight_beyond(dz: np.ndarray, df: np.ndarray) -> None:
    table = tables(dz, df)
    np.testing.assert_allclose(table(table.z)[0], table.f, rtol=1e-12, atol=1e-12)
    query = np.linspace(table.z[:, 0] - 3, table.z[:, -1] + 3, 400).T
    value, slope = table(query)
    assert (np.diff(value, axis=1) >= 0).all()
    assert (slope > 0).all()
    outside = np.stack([table.z[:, 0] - 2, table.z[:, 0] - 1, table.z[:, -1] + 1, table.z[:, -1] + 2], axis=1)
    f = table(outside)[0]
    np.testing.assert_allclose(f[:, 1] - f[:, 0], table.slopes[:, 0], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(f[:, 3] - f[:, 2], table.slopes[:, -1], rtol=1e-6, atol=1e-9)


@settings(deadline=None)
@given(dz=gaps, df=gaps)
def test_the_inverse_undoes_it(dz: np.ndarray, df: np.ndarray) -> None:
    table = tables(dz, df)
    f = np.linspace(table.f[:, 0] - 2, table.f[:, -1] + 2, 301).T
    np.testing.assert_allclose(table(table.inverse(f))[0], f, rtol=1e-11, atol=1e-11)


@settings(deadline=None)
@given(dz=gaps, df=gaps)
def test_the_slope_keeps_away_from_zero(dz: np.ndarray, df: np.ndarray) -> None:
    """f' ≥ OUTER_SLOPE times the smallest secant, so that a density is at most that much above the densest cell."""
    table = tables(dz, df)
    _, slope = table(np.linspace(table.z[:, 0], table.z[:, -1], 500).T)
    smallest = OUTER_SLOPE * (np.diff(table.f) / np.diff(table.z)).min(axis=1)
    assert (slope >= smallest[:, None] * (1 - 1e-9)).all()


def test_shared_and_own_knots_agree() -> None:
    rng = np.random.default_rng(0)
    z, f = np.linspace(-2, 2, 11)[None], np.cumsum(rng.uniform(0.1, 1, (4, 11)), axis=1)
    query = rng.uniform(-3, 3, (1, 50))
    shared, own = MonotoneCubic.fit(z, f), MonotoneCubic.fit(np.repeat(z, 4, axis=0), f)
    np.testing.assert_array_equal(shared(query)[0], own(np.repeat(query, 4, axis=0))[0])
    np.testing.assert_array_equal(shared.inverse(query), own.inverse(query))
