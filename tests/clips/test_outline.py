"""Lines around a cavity lie where it is, in the pixels of the picture that was padded and made small."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mcsdr.clips.outline import CavityOutline

SIDE = 28


def disc(x: float, y: float, radius: float) -> NDArray[np.float16]:
    """How much of each place of a square of side 1 a disc covers, about."""
    centres = (np.arange(SIDE) + 0.5) / SIDE
    distance = np.hypot(centres - x, centres[:, None] - y)
    return (0.5 + SIDE * (radius - distance)).clip(0, 1).astype(np.float16)


def area(line: NDArray[np.float64]) -> float:
    x, y = line.T
    return abs(float(x[:-1] @ y[1:] - x[1:] @ y[:-1])) / 2


@pytest.mark.parametrize("shape", [(200, 200), (200, 120), (120, 200)])
def test_a_disc_is_drawn_where_it_lies(shape: tuple[int, int]) -> None:
    height, width = shape
    side, x, y = max(shape), 0.5, 0.4 * height / max(shape)
    found = CavityOutline(disc(x, y, 0.2)[None].repeat(2, axis=0), np.array([0, 1]), shape).lines(1)
    assert len(found) == 1
    assert np.array_equal(found[0][0], found[0][-1])
    assert found[0].mean(axis=0) == pytest.approx((width / 2, y * side), abs=0.02 * side)
    assert area(found[0]) == pytest.approx(np.pi * (0.2 * side) ** 2, rel=0.03)


def test_lines_close_within_the_picture_and_specks_are_none() -> None:
    p = np.stack([disc(0.0, 0.0, 0.3), disc(0.5, 0.5, 0.02), np.zeros((SIDE, SIDE), np.float16)])
    outline = CavityOutline(p, np.arange(3), (100, 100))
    (corner,) = outline.lines(0)
    assert corner.min() >= 0
    assert area(corner) == pytest.approx(np.pi * 30**2 / 4, rel=0.1)
    assert outline.lines(1) == outline.lines(2) == []


def test_a_frame_far_from_what_was_read_has_none() -> None:
    outline = CavityOutline(disc(0.5, 0.5, 0.2)[None].repeat(3, axis=0), np.array([100, 102, 104]), (100, 100))
    assert [bool(outline.lines(frame)) for frame in (50, 98, 101, 106, 107)] == [False, True, True, True, False]


def test_a_still_tells_one_frame_and_no_other() -> None:
    p = np.stack([disc(0.5, 0.5, radius) for radius in (0.1, 0.2, 0.3)])
    outline = CavityOutline(p, np.array([0, 2, 4]), (100, 100))
    still = outline.still(3)
    assert len(still.probability) == 1
    assert np.array_equal(still.lines(3)[0], outline.lines(3)[0])
    assert still.lines(2) == []
