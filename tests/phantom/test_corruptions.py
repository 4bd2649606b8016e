"""Every corruption does what its name says, more of it at each severity, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from mcsdr.errors import InvalidConfig
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.phantom.corruptions import NAMES, SEVERITIES, TABLE, corrupt, sector_of
from mcsdr.study import Clip

ANYWHERE = {"crop", "overlay text"}  # what may paint outside of the sector


@pytest.fixture(scope="module")
def clip() -> Clip:
    return PhantomCohort(4, 52, frames=40)[3].clips[0]


@pytest.fixture(scope="module")
def worse(clip: Clip) -> dict[str, list[Clip]]:
    """Severities 0 to 5 of everything."""
    return {name: [corrupt(clip, name, severity, generator(name)) for severity in range(6)] for name in NAMES}


def generator(name: str) -> np.random.Generator:
    return np.random.default_rng([0, *name.encode()])


def seen(clip: Clip, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """The frames nearest to these times."""
    return clip.frames[np.abs(clip.frame_times_s[:, None] - times_s).argmin(axis=0)].astype(float)


def test_fourteen_of_five() -> None:
    assert len(NAMES) == 14
    assert SEVERITIES == (1, 2, 3, 4, 5)
    for corruption in TABLE.values():
        steps = np.diff(corruption.amounts)
        assert (steps > 0).all() or (steps < 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_stays_a_clip(name: str, clip: Clip, worse: dict[str, list[Clip]]) -> None:
    for severity, after in enumerate(worse[name]):
        assert after.frames.dtype == np.uint8
        assert after.frames.shape[1:] == clip.frames.shape[1:]
        assert len(after.frames) == len(after.frame_times_s)
        again = corrupt(clip, name, severity, generator(name))
        assert np.array_equal(after.frames, again.frames), "equal generators, equal clips"
        if name != "frame drop":
            assert np.array_equal(after.frame_times_s, clip.frame_times_s)


@pytest.mark.parametrize("name", NAMES)
def test_severity_zero_is_the_clip_itself(name: str, clip: Clip, worse: dict[str, list[Clip]]) -> None:
    assert worse[name][0] is clip


@pytest.mark.parametrize("name", NAMES)
def test_each_severity_is_farther_from_the_clip(name: str, clip: Clip, worse: dict[str, list[Clip]]) -> None:
    away = [np.abs(seen(after, clip.frame_times_s) - clip.frames).mean() for after in worse[name]]
    assert (np.diff(away) > 0).all(), away


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ANYWHERE])
def test_outside_of_the_sector_nothing_changes(name: str, clip: Clip, worse: dict[str, list[Clip]]) -> None:
    outside = ~sector_of(clip).mask
    assert outside.mean() > 0.1
    for after in worse[name]:
        assert np.array_equal(after.frames[:, outside], seen(clip, after.frame_times_s)[:, outside])


def test_frames_that_are_left_keep_their_times(clip: Clip, worse: dict[str, list[Clip]]) -> None:
    for before, after in zip(worse["frame drop"], worse["frame drop"][1:], strict=False):
        assert (np.diff(after.frame_times_s) > 0).all()
        assert after.frame_times_s[[0, -1]].tolist() == clip.frame_times_s[[0, -1]].tolist()
        assert set(after.frame_times_s) < set(before.frame_times_s), "what is lost stays lost"
        assert np.array_equal(after.frames, seen(clip, after.frame_times_s))


def test_gain_goes_both_ways(clip: Clip) -> None:
    mask = sector_of(clip).mask
    means = {corrupt(clip, "gain ±", 3, np.random.default_rng(s)).frames[:, mask].mean() for s in range(8)}
    assert len(means) == 2
    assert min(means) < clip.frames[:, mask].mean() < max(means)


def test_attenuation_follows_the_range_and_a_shadow_the_beam(clip: Clip, worse: dict[str, list[Clip]]) -> None:
    sector = sector_of(clip)
    lost = (clip.frames.astype(float) - worse["attenuation"][2].frames).mean(axis=0)
    lit = sector.mask & (clip.frames.min(axis=0) > 80)  # nothing there falls to black
    assert np.corrcoef(lost[lit], sector.range_share[lit])[0, 1] > 0.99
    dark = sector.mask & (worse["shadow sector"][3].frames.max(axis=0) == 0) & (clip.frames.min(axis=0) > 30)
    assert np.ptp(sector.angle_rad[dark]) < 2 * 0.45 * sector.half_angle_rad


def test_the_sector_is_found_in_a_mirrored_and_in_a_compressed_picture(clip: Clip) -> None:
    sector = sector_of(clip)
    mirrored = sector_of(replace(clip, frames=clip.frames[:, :, ::-1]))
    either = sector.mask | mirrored.mask[:, ::-1]
    assert (sector.mask & mirrored.mask[:, ::-1]).sum() > 0.97 * either.sum()
    noise = np.random.default_rng(0).integers(1, 15, clip.frames.shape).astype(np.uint8)
    noisy = sector_of(replace(clip, frames=np.maximum(clip.frames, noise)))
    assert (sector.mask & noisy.mask).sum() > 0.9 * (sector.mask | noisy.mask).sum()
    assert sector.range_share[sector.mask].max() == pytest.approx(1)


def test_a_black_clip_has_a_sector_too() -> None:
    black = Clip(np.zeros((6, 40, 50), np.uint8), np.arange(6) / 25)
    assert sector_of(black).mask.all()
    assert corrupt(black, "lateral blur", 2, np.random.default_rng(0)).frames.max() == 0


@pytest.mark.parametrize(("name", "severity"), [("fog", 1), ("haze", 6), ("haze", -1)])
def test_what_there_is_not_is_refused(name: str, severity: int, clip: Clip) -> None:
    with pytest.raises(InvalidConfig):
        corrupt(clip, name, severity, np.random.default_rng(0))
