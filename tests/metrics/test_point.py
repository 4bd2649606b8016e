"""Point errors, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mcsdr.metrics.point import bias, mae, r2, rmse

OBSERVED = np.array([30.0, 50.0, 60.0, 60.0])


def test_by_hand() -> None:
    predicted = OBSERVED + np.array([3, -1, 1, 1])
    assert mae(predicted, OBSERVED) == 1.5
    assert rmse(predicted, OBSERVED) == pytest.approx(math.sqrt(3))
    assert bias(predicted, OBSERVED) == 1
    assert r2(predicted, OBSERVED) == pytest.approx(1 - 12 / 600)


def test_the_mean_explains_nothing_and_the_truth_all() -> None:
    assert r2(np.full(4, OBSERVED.mean()), OBSERVED) == pytest.approx(0)
    assert r2(OBSERVED, OBSERVED) == 1
    assert math.isnan(r2(OBSERVED[2:], OBSERVED[2:]))


@pytest.mark.parametrize(
    ("predicted", "observed"), [([1.0], [1.0, 2.0]), ([], []), ([float("nan")], [1.0]), ([[1.0]], [[1.0]])]
)
def test_what_cannot_be_scored_is_refused(predicted: list[float], observed: list[float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        mae(predicted, observed)
