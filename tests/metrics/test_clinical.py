"""Cut-points: against scipy and against the definition by pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mcsdr.metrics.clinical import auroc, brier

few_values = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40)


@given(rows=few_values)
def test_auroc_is_the_share_of_pairs_in_order(rows: list[tuple[int, bool]]) -> None:
    score, event = np.array([s for s, _ in rows], dtype=float), np.array([e for _, e in rows])
    if event.all() or not event.any():
        assert math.isnan(auroc(score, event))
        return
    difference = score[event][:, None] - score[~event]
    assert auroc(score, event) == pytest.approx(((difference > 0) + 0.5 * (difference == 0)).mean())
    U = stats.mannwhitneyu(score[event], score[~event]).statistic
    assert auroc(score, event) == pytest.approx(U / (event.sum() * (~event).sum()))


def test_auroc_sees_order_alone_and_brier_honesty_too() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(4000)
    event = rng.random(4000) < p
    assert auroc(p**3, event) == auroc(p, event)
    assert auroc(-p, event) == pytest.approx(1 - auroc(p, event))
    assert brier(p**3, event) > brier(p, event) + 0.02
    assert brier(p, event) == pytest.approx((p * (1 - p)).mean(), abs=0.01)


def test_brier_of_certainty_and_of_the_base_rate() -> None:
    event = np.array([True, False, False, False])
    assert brier(event, event) == 0
    assert brier(~event, event) == 1
    assert brier(np.full(4, 0.25), event) == pytest.approx(0.25 * 0.75)


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(ValueError, match="probabilities"):
        brier([1.2], [True])
    for score, event in (([], []), ([0.5], [True, False]), ([math.nan], [True])):
        with pytest.raises(ValueError, match="must be equal"):
            auroc(score, event)
