"""Pixels become square, once for all readers."""

from __future__ import annotations

import numpy as np
import pytest

from mcsdr.io.square import MAX_SIDE, plausible_aspect, squared, squared_size


@pytest.mark.parametrize(
    ("aspect", "size"),
    [(1.0, (100, 80)), (1.015, (100, 80)), (2.0, (100, 160)), (0.5, (200, 80)), (4 / 3, (100, 107)), (0.0, (100, 80))],
)
def test_the_coarser_axis_is_resampled_to_the_finer(aspect: float, size: tuple[int, int]) -> None:
    assert squared_size(100, 80, aspect) == size
    assert squared(np.zeros((2, 100, 80), dtype=np.uint8), aspect).shape == (2, *size)
    assert squared(np.zeros((2, 100, 80, 3), dtype=np.uint8), aspect).shape == (2, *size, 3)


@pytest.mark.parametrize("aspect", [float("nan"), float("inf"), -1.0, 0.0, 100.0, 0.01])
def test_nonsense_changes_nothing(aspect: float) -> None:
    frames = np.zeros((2, 10, 12), dtype=np.uint8)
    assert not plausible_aspect(aspect)
    assert squared(frames, aspect) is frames


def test_a_picture_that_would_outgrow_the_limits_is_made_coarser() -> None:
    assert squared_size(3000, 2000, 3.0) == (1000, 2000)
    assert max(squared_size(MAX_SIDE, MAX_SIDE, 2.0)) <= MAX_SIDE
    assert squared_size(1000, 1000, 2.0, count=1000) == (500, 1000)


def test_a_circle_is_round_again() -> None:
    y, x = np.mgrid[:200, :200]
    disc = np.where(np.hypot(x - 100, y - 100) < 60, 200, 20).astype(np.uint8)
    squeezed = disc[:, ::2][None]
    round_again = squared(squeezed, 2.0)[0]
    assert np.abs(round_again.astype(int) - disc).mean() < 2
