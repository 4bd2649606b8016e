"""Risk–coverage: against sorting by hand, between the oracle and chance, blind to the order of ties."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mcsdr.metrics.selective import aurc, excess_aurc, risk_at, risk_coverage

losses = hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 50))


def by_hand(loss: np.ndarray, order: tuple[int, ...]) -> float:
    return float(np.mean([loss[list(order[:k])].mean() for k in range(1, len(loss) + 1)]))


@given(loss=losses, data=st.data())
def test_aurc_by_hand(loss: np.ndarray, data: st.DataObject) -> None:
    sd = np.array(data.draw(st.permutations(range(len(loss)))), dtype=float)
    assert aurc(loss, sd) == pytest.approx(by_hand(loss, tuple(np.argsort(sd))), abs=1e-9)
    assert excess_aurc(loss, sd) >= -1e-9
    assert excess_aurc(loss, loss) == 0


def test_no_order_beats_the_oracle_and_none_is_worse_than_its_reverse() -> None:
    loss = np.array([3.0, 1.0, 4.0, 1.5, 9.0])
    every = [by_hand(loss, order) for order in permutations(range(5))]
    assert aurc(loss, loss) == pytest.approx(min(every))
    assert aurc(loss, -loss) == pytest.approx(max(every))


def test_ties_are_the_mean_over_their_orders() -> None:
    loss = np.array([5.0, 1.0, 2.0, 8.0])
    tied = np.array([1.0, 2.0, 2.0, 2.0])
    every = [by_hand(loss, (0, *order)) for order in permutations((1, 2, 3))]
    assert aurc(loss, tied) == pytest.approx(np.mean(every))
    assert aurc(loss, np.zeros(4)) == pytest.approx(loss.mean())


def test_an_informed_spread_lowers_the_risk() -> None:
    rng = np.random.default_rng(0)
    sd = rng.uniform(2, 10, 3000)
    loss = np.abs(sd * rng.standard_normal(3000))
    curve = risk_coverage(loss, sd)
    assert curve.coverage[-1] == 1
    assert curve.risk[-1] == pytest.approx(loss.mean())
    assert risk_at(loss, sd, 0.5) < 0.7 * loss.mean()
    assert aurc(loss, sd) < 0.75 * aurc(loss, rng.random(3000))


def test_the_share_that_is_kept_is_rounded_up() -> None:
    loss, sd = np.array([1.0, 2.0, 3.0, 10.0, 20.0]), np.arange(5.0)
    assert risk_at(loss, sd, 0.2) == 1
    assert risk_at(loss, sd, 0.21) == 1.5
    assert risk_at(loss, sd, 0.6) == 2
    assert risk_at(loss, sd, 1.0) == pytest.approx(loss.mean())


def test_what_cannot_be_ranked_is_refused() -> None:
    for loss, sd in (([], []), ([1.0], [1.0, 2.0]), ([1.0], [float("nan")])):
        with pytest.raises(ValueError, match="must be"):
            aurc(loss, sd)
