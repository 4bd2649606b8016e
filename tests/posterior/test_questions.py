"""Questions that make no sense are refused by name, with what was probably meant; grids pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mcsdr.errors import InvalidConfig
from mcsdr.posterior import Posterior, quantile_nodes

ONE = Posterior.from_nodes(quantile_nodes(), 50 + 8 * quantile_nodes())
BATCH = Posterior.joined([ONE, ONE])


@pytest.mark.parametrize("posterior", [ONE, BATCH], ids=["one", "batch"])
@pytest.mark.parametrize(
    ("ask", "cause", "next_step"),
    [
        (lambda p: p.interval(90), "90 is none", "Did you mean 0.9?"),
        (lambda p: p.interval(0), "0 is none", "Give a share such as 0.9."),
        (lambda p: p.interval(-0.5), "-0.5 is none", "Give a share such as 0.9."),
        (lambda p: p.interval(float("nan")), "nan is none", "Give a share such as 0.9."),
        (lambda p: p.interval("0.9"), "not '0.9'", "Give 40"),
        (lambda p: p.quantile(1.5), "1.5 does not", "Give a share such as 0.9."),
        (lambda p: p.quantile(50), "50 does not", "Did you mean 0.5?"),
        (lambda p: p.quantile([0.1, 95]), "95 does not", "Did you mean 0.95?"),
        (lambda p: p.quantile(np.nan), "nan does not", "Give a share such as 0.9."),
        (lambda p: p.prob_below(0.4), "0.4 is a fraction", "Did you mean 40?"),
        (lambda p: p.prob_below(-3), "-3 is not", "Give a cut-point such as 40."),
        (lambda p: p.prob_below(400), "400 is not", "Give a cut-point such as 40."),
        (lambda p: p.prob_below("40"), "not '40'", "Give 40"),
        (lambda p: p.prob_below(None), "not None", "Give 40"),
        (lambda p: p.prob_between(60, 40), "60, lies above the upper, 40", "Did you mean prob_between(40, 60)?"),
        (lambda p: p.prob_between(0.4, 0.5), "0.4 is a fraction", "Did you mean 40?"),
        (lambda p: p.density("abc"), "The grid of a density", "Give 40"),
        (lambda p: p.density([40, None]), "not [40, None]", "Give 40"),
        (lambda p: p.density([[1], [2, 3]]), "not [[1], [2, 3]]", "Give 40"),
        (lambda p: p.cdf(True), "not True", "Give 40"),
        (lambda p: p.sample(-1), "not -1", "Give a number such as 1000."),
        (lambda p: p.sample(2.5), "not 2.5", "Give a number such as 1000."),
        (lambda p: p.sample("7"), "not '7'", "Give a number such as 1000."),
    ],
)
def test_nonsense_is_refused_by_name(
    posterior: Posterior, ask: Callable[[Any], object], cause: str, next_step: str
) -> None:
    with pytest.raises(InvalidConfig) as refused:
        ask(posterior)
    assert cause in refused.value.cause
    assert refused.value.next_step.startswith(next_step)


def test_what_has_a_meaning_is_answered() -> None:
    assert (ONE.quantile(0), ONE.quantile(1)) == (0.0, 100.0)
    assert ONE.interval(1) == (0.0, 100.0)
    assert (ONE.prob_below(0), ONE.prob_below(100)) == (0.0, 1.0)
    assert ONE.prob_between(40, 40) == 0.0
    assert ONE.sample(0).shape == (0,)
    assert ONE.sample(np.int64(3)).shape == (3,)
    assert ONE.density([]).shape == (0,)


def test_a_grid_may_pass_through_small_numbers() -> None:
    grid = np.array([0.0, 0.4, 40.0, 100.0])
    np.testing.assert_array_equal(ONE.prob_below(grid), ONE.cdf(grid))
    assert ONE.prob_below(grid)[2] == ONE.prob_below(40)
    assert ONE.cdf(0.4) == ONE.cdf(grid)[1]


@pytest.mark.parametrize("of", [list, tuple, np.float32, np.array, torch.tensor], ids=lambda of: of.__name__)
def test_numbers_of_any_kind_are_numbers(of: Callable[[Any], Any]) -> None:
    """Whole cut-points, so that float32 holds them exactly."""
    np.testing.assert_array_equal(ONE.cdf(of([40, 50])), ONE.cdf(np.array([40.0, 50.0])))
