"""Spearman's ρ is scipy's, ties and batches included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from mcsdr.metrics.rank import ranks, spearman

VALUES = st.lists(st.integers(-3, 3).map(float), min_size=6, max_size=6)


@given(VALUES, VALUES)
def test_as_scipy_says(x: list[float], y: list[float]) -> None:
    assert np.array_equal(ranks(x), rankdata(x))
    if len(set(x)) > 1 and len(set(y)) > 1:
        assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    else:
        assert np.isnan(spearman(x, y))


def test_a_batch_against_one_row() -> None:
    sds = np.random.default_rng(0).normal(size=(3, 4, 6))
    rho = spearman(np.arange(6), sds)
    assert rho.shape == (3, 4)
    assert rho[1, 2] == pytest.approx(spearmanr(np.arange(6), sds[1, 2]).statistic)


def test_one_value_has_no_rank_correlation() -> None:
    with pytest.raises(ValueError, match="M ≥ 2"):
        spearman([1.0], [2.0])
