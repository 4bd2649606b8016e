"""The normal distribution in NumPy, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from mcsdr.posterior.normal import normal_cdf, normal_quadrature, normal_quantile


def test_distribution_and_quantile_match_scipy() -> None:
    z = np.linspace(-9, 9, 181)
    np.testing.assert_allclose(normal_cdf(z), special.ndtr(z), rtol=1e-13)
    q = np.concatenate([np.logspace(-12, -1, 40), np.linspace(0.1, 0.9999, 60)])
    np.testing.assert_allclose(normal_quantile(q), special.ndtri(q), rtol=1e-9, atol=1e-12)
    assert normal_quantile([0.0, 1.0]).tolist() == [-np.inf, np.inf]


def test_the_quadrature_knows_the_moments() -> None:
    z, weight = normal_quadrature(np.linspace(-2.5, 2.5, 23)[None])
    for power, moment in enumerate([1, 0, 1, 0, 3]):
        assert float((weight * z**power).sum()) == pytest.approx(moment, abs=1e-7)


def test_the_quadrature_stops_where_it_is_told() -> None:
    upper = np.array([[-3.1], [0.3], [4.0]])
    _, weight = normal_quadrature(np.linspace(-2.5, 2.5, 23)[None], upper)
    np.testing.assert_allclose(weight.sum(axis=1), special.ndtr(upper[:, 0]), atol=1e-8)
