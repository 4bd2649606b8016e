"""Loops on a screen are counted; a sector that a shadow, a band or the gain cuts in two is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from generated_clips import Pictures, fan_loop, fan_mask

from mcsdr.errors import SeveralLoops
from mcsdr.io.patches import bounding_box
from mcsdr.io.recording import Recording, to_clip
from mcsdr.io.sector import find_sector, flicker


def beside(*loops: Pictures) -> Pictures:
    return np.concatenate(loops, axis=2)


def test_one_loop_is_one(fan: Pictures) -> None:
    assert find_sector(fan).others == ()


@pytest.mark.parametrize("seen_from", [slice(None), slice(34, 286)])
def test_two_loops_are_two_also_where_they_touch(fan: Pictures, seen_from: slice) -> None:
    sector = find_sector(beside(fan[..., seen_from], fan_loop(seed=3)[..., seen_from]))
    assert len(sector.others) == 1
    assert not (sector.mask & sector.others[0]).all()


def test_a_smaller_second_loop_counts(fan: Pictures) -> None:
    small = np.zeros_like(fan)
    small[:, 40:208, 48:272] = fan_loop(40, 168, 224, seed=4)
    assert len(find_sector(beside(fan, small)).others) == 1


@pytest.mark.parametrize(("times", "at"), [(1, "beside"), (2, "beside"), (4, "beside"), (4, "corner"), (4, "below")])
def test_a_loop_of_a_half_or_a_quarter_of_the_sides_counts(fan: Pictures, times: int, at: str) -> None:
    small = fan_loop(40, 240 // times, 320 // times, seed=5)
    frames = beside(fan, np.zeros_like(fan))
    height, width = small.shape[1:]
    top, left = {"beside": (20 if times > 1 else 0, 320), "corner": (2, 4), "below": (178, 0)}[at]
    part = frames[:, top : top + height, left : left + width]
    np.maximum(part, small, out=part)
    sector = find_sector(frames)
    assert len(sector.others) == 1
    assert (sector.mask[:, :320] & fan_mask()).sum() > 0.95 * fan_mask().sum()
    shown = fan_mask(height, width)
    assert (sector.others[0][top : top + height, left : left + width] & shown).sum() > 0.9 * shown.sum()


@pytest.mark.parametrize("at", [45, 60, 80])
def test_a_near_field_that_a_dark_band_cuts_off_is_no_loop(fan: Pictures, at: int) -> None:
    """It is a small fan, but its tip is the sector's."""
    frames = fan.copy()
    frames[:, at : at + 14] = 0
    assert find_sector(frames).others == ()


def test_valves_in_a_dark_chamber_are_no_loop(fan: Pictures) -> None:
    """They move in a small fan of their own, but within the sector."""
    y, x = np.mgrid[:240, :320]
    frames = fan.copy()
    frames[:, np.hypot(x - 160, 0.8 * (y - 140)) < 55] = 0
    valves = np.zeros_like(frames)
    valves[:, 100:160, 120:200] = fan_loop(40, 60, 80, seed=6)
    assert find_sector(np.maximum(frames, valves)).others == ()


@pytest.mark.parametrize(
    "box", [(200, 238, 10, 310), (20, 180, 2, 16), (10, 60, 4, 60), (180, 236, 4, 60), (170, 236, 210, 318)]
)
def test_what_flickers_in_a_small_box_is_no_loop(fan: Pictures, box: tuple[int, int, int, int]) -> None:
    """An ECG strip, a colour bar and blocks of text, all that a poor codec makes of them."""
    top, bottom, left, right = box
    frames = fan.copy()
    rng = np.random.default_rng(2)
    part = frames[:, top:bottom, left:right]
    part[...] = np.where(fan_mask()[top:bottom, left:right], part, rng.integers(0, 200, part.shape))
    assert find_sector(frames).others == ()


@pytest.mark.parametrize("box", [(206, 238, 10, 310), (10, 60, 4, 60), (180, 236, 4, 60)])
def test_a_small_moving_panel_apart_from_the_sector_leaves_it_as_it_is(
    fan: Pictures, box: tuple[int, int, int, int]
) -> None:
    """A strip or thumbnail without the shape of a fan is no loop, and no part of the sector."""
    top, bottom, left, right = box
    frames = fan.copy()
    frames[:, top:bottom, left:right] = fan[:, 60 : 60 + bottom - top, 160 - (right - left) // 2 :][..., : right - left]
    sector = find_sector(frames)
    assert sector.others == ()
    found, clean = (bounding_box(mask) for mask in (sector.mask, fan_mask()))
    assert np.abs(np.subtract(found, clean)).max() <= 2


@pytest.mark.parametrize(("times", "said"), [(1, "side by side"), (4, "zoom's overview")])
def test_two_loops_are_refused_by_their_cause(fan: Pictures, times: int, said: str) -> None:
    """A zoom's overview shows the same heart at the same moment, and so does the other plane of a bi-plane screen."""
    small = np.zeros_like(fan)
    small[:, : 240 // times, : 320 // times] = fan_loop(40, 240 // times, 320 // times, seed=5)
    recording = Recording(Path("x"), beside(fan, small), np.arange(40) / 30.0, np.zeros((0, 1, 1, 3), dtype=np.uint8))
    with pytest.raises(SeveralLoops, match=said):
        to_clip(recording)


def test_four_loops_are_four(fan: Pictures) -> None:
    pair = beside(fan, fan_loop(seed=3))
    assert len(find_sector(np.concatenate([pair, pair[:, :, ::-1]], axis=1)).others) == 3


def test_what_stands_still_is_no_loop(fan: Pictures) -> None:
    assert find_sector(beside(fan, np.repeat(fan[:1], len(fan), axis=0))).others == ()


@pytest.mark.parametrize("angle", [-0.3, -0.1, 0.0, 0.2])
@pytest.mark.parametrize("width", [0.1, 0.2, 0.3])
def test_a_shadow_does_not_make_two_of_one(fan: Pictures, angle: float, width: float) -> None:
    y, x = np.mgrid[:240, :320]
    frames = fan.copy()
    frames[:, np.abs(np.arctan2(x - 160, y - 12) - angle) < width / 2] = 0
    assert find_sector(frames).others == ()


@pytest.mark.parametrize("at", [70, 100, 130])
def test_a_dark_band_does_not_make_two_of_one(fan: Pictures, at: int) -> None:
    frames = fan.copy()
    frames[:, at : at + 12] = 0
    assert find_sector(frames).others == ()


def test_dark_chambers_do_not_make_two_of_one() -> None:
    frames = fan_loop()
    y, x = np.mgrid[:240, :320]
    frames[:, np.hypot(x - 160, 0.6 * (y - 160)) < 45] = 0
    assert find_sector(frames).others == ()


def test_a_trace_and_flickering_text_are_no_loops(fan: Pictures) -> None:
    frames = fan.copy()
    rng = np.random.default_rng(2)
    frames[:, 214:236, 30:290] = rng.integers(0, 200, (len(frames), 22, 260))
    frames[:, 10:200, :20] = rng.integers(0, 6, (len(frames), 190, 20))
    frames[:, ~fan_mask()] = np.maximum(frames[:, ~fan_mask()], 1)
    assert find_sector(frames).others == ()


def test_flicker_leaves_out_a_tenth_at_either_end() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (32, 50, 40), dtype=np.uint8)
    wanted = np.sort(frames, axis=0)[3:29].std(axis=0)
    assert np.abs(flicker(frames) - wanted).max() < 1e-4
    assert np.abs(flicker(frames[:7]) - frames[:7].std(axis=0)).max() < 1e-4
