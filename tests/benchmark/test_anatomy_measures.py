"""Measures of anatomy on drawn hearts whose chambers, walls and motion are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mcsdr.benchmark import anatomy_measures as am
from mcsdr.benchmark.anatomy_measures import MEASURES, measure

SIDE, FRAMES = 112, 16
Y, X = np.mgrid[:SIDE, :SIDE]
FAN = (np.abs(X - 56) <= 0.9 * (Y - 2)) & (np.hypot(X - 56, Y - 2) <= 105)
CHAMBERS = {"LV": (48, 64, 20, 9), "RV": (52, 38, 16, 8), "LA": (85, 66, 13, 11), "RA": (85, 38, 13, 11)}


def chamber(name: str, wider: float = 0.0) -> np.ndarray:
    """An ellipse: row, column, half height, half width; all walls as far out as is told."""
    row, column, down, across = CHAMBERS[name]
    inside: np.ndarray = ((Y - row) / (down + wider)) ** 2 + ((X - column) / (across + wider)) ** 2 < 1
    return inside


def still(
    outside: float = 90, wall: float = 150, blood: float = 8, names: tuple[str, ...] = tuple(CHAMBERS)
) -> np.ndarray:
    """Dark chambers with bright walls in tissue of a given grey, float [H, W]."""
    grey = np.full((SIDE, SIDE), outside)
    for name in names:
        grey[chamber(name, 6)] = 150
    for name in names:
        grey[chamber(name)] = 8
    return grey


def clip(*pictures: np.ndarray) -> np.ndarray:
    """Frames that go through the pictures again and again, uint8 [T, H, W]."""
    noise = np.random.default_rng(0).normal(0, 2, (FRAMES, SIDE, SIDE))
    grey = np.stack([pictures[t % len(pictures)] for t in range(FRAMES)]) + noise
    return np.where(FAN, grey.clip(3, 255), 0).astype(np.uint8)


def horseshoe() -> np.ndarray:
    """One chamber in an even wall, in the dark."""
    return clip(still(outside=5, names=("LV",)))


def test_every_measure_of_four_chambers() -> None:
    found = measure(clip(still()))
    assert tuple(found) == tuple(MEASURES)
    assert all(math.isfinite(value) for value in found.values())


def test_four_chambers_are_counted_and_placed() -> None:
    found = measure(clip(still()))
    assert found["chambers"] == 4
    assert found["abreast, ventricles"] > 1.5
    assert found["abreast, atria"] > 1.5
    area = sum(chamber(name).sum() for name in CHAMBERS) / FAN.sum()
    assert found["chambers, share"] == pytest.approx(area, rel=0.2)
    left, right = np.flatnonzero(FAN.any(axis=0))[[0, -1]]
    assert found["cavity across"] == pytest.approx((64 + 0.5 - left) / (right + 1 - left), abs=0.02)
    assert found["cavity, share"] == pytest.approx(chamber("LV").sum() / FAN.sum(), rel=0.25)
    assert found["left chamber across"] == pytest.approx((38 + 0.5 - left) / (right + 1 - left), abs=0.03)
    assert found["left chamber, share"] == pytest.approx(chamber("RA").sum() / FAN.sum(), rel=0.25)


def test_one_horseshoe_in_the_dark_is_one_chamber() -> None:
    found = measure(horseshoe())
    assert found["chambers"] == 1
    assert found["abreast, ventricles"] == pytest.approx(1, abs=0.2)
    assert found["abreast, atria"] < 0.2, "only the end of the ventricle reaches so far down"
    assert found["left chamber, share"] == 0
    assert math.isnan(found["left chamber across"])


def test_a_black_flank_is_no_chamber() -> None:
    grey = still(names=("LV",))
    grey[:, 90:] = 5
    assert measure(clip(grey))["chambers"] == 1


def test_surroundings_tell_an_arch_in_the_dark_from_tissue() -> None:
    dark, bright = measure(horseshoe()), measure(clip(still(outside=140, names=("LV",))))
    for name in ("outside / walls", "far edge / walls"):
        assert dark[name] < 0.1
        assert bright[name] == pytest.approx(140 / 150, abs=0.07)
    for name in ("beyond septum", "beyond lateral wall", "beyond apex"):
        assert dark[name] < 0.4
        assert bright[name] == pytest.approx(1, abs=0.1)
    assert dark["apex / walls"] == pytest.approx(1, abs=0.15)
    for name in ("septum width", "lateral wall width"):
        assert dark[name] == pytest.approx(6, abs=2)
        assert bright[name] == pytest.approx(20, abs=2), "no edge"


def test_an_open_apex_has_no_arch() -> None:
    grey = still(names=("LV",))
    grey[:30, 50:80] = 40
    assert measure(clip(grey))["apex / walls"] < 0.5


def test_the_brighter_septum_and_the_one_that_moves_more_are_told() -> None:
    grey = still(names=("LV",))
    other = grey.copy()
    grey[:, 64:] = np.where(chamber("LV"), grey, 0.5 * grey)[:, 64:]
    assert measure(clip(grey))["septum / lateral wall"] == pytest.approx(2, rel=0.1)
    moved = other.copy()
    moved[:, :60] = np.roll(other, 3, axis=1)[:, :60]
    found = measure(clip(other, moved))
    assert found["septum / lateral motion"] > 3
    assert found["septum motion"] > 2 * measure(clip(other))["septum motion"]


def test_a_black_picture_has_no_walls() -> None:
    found = measure(np.zeros((FRAMES, SIDE, SIDE), dtype=np.uint8))
    assert math.isnan(found["septum / lateral wall"])
    assert found["chambers"] == 0


def test_width_is_counted_about_the_wall_only() -> None:
    g = np.array([10, 20, 100, 90, 20, 10, 95, 10] + [10] * 12, dtype=np.float64)
    wall = am.wall_of(np.tile(g, (3, 1)), blood=10)
    assert (wall.grey, wall.width) == (100, 2)
    assert wall.beyond == pytest.approx((95 + 5 * 10) / 6 / 100)
    assert am.wall_of(np.full((3, am.LONG), 5.0), blood=10).width == 0
    assert math.isnan(am.wall_of(np.full((3, am.LONG), np.nan), blood=10).grey)
