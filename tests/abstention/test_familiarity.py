"""What is familiar is answered, what is not is refused, and no more is refused than was allowed."""

from __future__ import annotations

import numpy as np
import pytest

from mcsdr.abstention.familiarity import RIDGE, Familiarity, _logistic, fit_familiarity, token_features
from mcsdr.errors import InvalidCohort, InvalidModel

WIDTH = 24


def clips(n: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> np.ndarray:
    """Features of two places that vary in six directions, with a little of everything else."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(99).standard_normal((6, 6 * WIDTH))
    return scale * (rng.standard_normal((n, 6)) @ directions) + 0.1 * rng.standard_normal((n, 6 * WIDTH)) + shift


@pytest.fixture(scope="module")
def fitted() -> Familiarity:
    return fit_familiarity(clips(400, 1), clips(300, 2, shift=1.5), clips(400, 3), share=0.02, width=WIDTH)


def test_the_share_that_was_allowed_is_refused_of_validation(fitted: Familiarity) -> None:
    assert fitted.refuses(clips(400, 3)).mean() <= 0.02 + 1e-9
    assert fitted.refuses(clips(400, 3)).mean() >= 0.01
    assert fitted.refuses(clips(2000, 4)).mean() < 0.05


def test_what_was_shown_and_what_was_never_shown_is_refused(fitted: Familiarity) -> None:
    assert fitted.refuses(clips(200, 5, shift=1.5)).mean() > 0.99
    assert fitted.refuses(clips(200, 6, scale=6)).mean() > 0.9  # too far along known directions
    beside = clips(200, 7) + 2 * np.random.default_rng(8).standard_normal(6 * WIDTH)  # off all of them
    assert fitted.refuses(beside).mean() > 0.99


def test_it_is_small_and_survives_float32(fitted: Familiarity) -> None:
    assert fitted.numbers == sum(array.size for array in fitted.arrays().values())
    full = fit_familiarity(clips(400, 1), clips(300, 2, 1.5), clips(400, 3), width=WIDTH)
    again = Familiarity(**{name: array.copy() for name, array in full.arrays().items()})
    assert np.array_equal(again.refuses(clips(400, 3)), full.refuses(clips(400, 3)))
    with pytest.raises(InvalidModel, match="weights"):
        Familiarity(**(full.arrays() | {"weights": np.zeros(50, np.float32)}))


def test_too_few_clips_teach_nothing() -> None:
    with pytest.raises(InvalidCohort, match="too few"):
        fit_familiarity(clips(400, 1), clips(20, 2), clips(400, 3), width=WIDTH)


def test_newton_finds_where_the_gradient_vanishes() -> None:
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((300, 5)), np.where(rng.random(300) < 0.2, 1.0, -1.0)
    w, b = _logistic(x, t)
    weight = np.where(t > 0, 150 / (t > 0).sum(), 150 / (t < 0).sum())
    pull = weight * (1 / (1 + np.exp(-(x @ w + b))) - (t > 0))
    assert x.T @ pull + RIDGE * w == pytest.approx(np.zeros(5), abs=1e-6)
    assert pull.sum() == pytest.approx(0, abs=1e-4)


def test_tokens_that_do_not_exist_do_not_count() -> None:
    rng = np.random.default_rng(1)
    tokens = rng.standard_normal((2, 6, 3))  # three instants of two places
    mask = np.array([[True] * 6, [True] * 4 + [False] * 2])
    features = token_features(tokens, mask, places=2)
    assert features.shape == (2, 6 + 12)
    assert features[1, :6] == pytest.approx(np.r_[tokens[1, :4].mean(axis=0), tokens[1, :4].std(axis=0)])
    first, second = tokens[1, :4:2], tokens[1, 1:4:2]
    over_time = np.r_[first.mean(0), second.mean(0), first.std(0), second.std(0)]
    assert features[1, 6:] == pytest.approx(over_time)
    assert np.isnan(token_features(tokens[:1], mask[:1] & False, places=2)).all()
