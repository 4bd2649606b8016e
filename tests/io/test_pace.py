"""A frame rate that cannot be is told, by R waves, by the machine's heart rate, and by the heart in the pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from generated_clips import fan_mask, write_video

import mcsdr
from mcsdr.io import read_clip
from mcsdr.io.pace import pace_of
from mcsdr.model import Answer
from mcsdr.prediction import predict
from mcsdr.study import Clip


def heart(rate_hz: float = 30.0, seconds: float = 4.0, bpm: float = 70.0, systole_s: float = 0.0) -> np.ndarray:
    """uint8 [T, 112, 112]: a speckled fan with a chamber that beats, short in systole; of a given length where told."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:112, :112]
    inside = fan_mask(112, 112)
    phases = (np.arange(round(seconds * rate_hz)) / rate_hz * bpm / 60) % 1
    frames = np.zeros((len(phases), 112, 112), dtype=np.uint8)
    for frame, phase in zip(frames, phases, strict=True):
        shrunk = np.exp(-(((phase - 0.35) / 0.12) ** 2))
        if systole_s:
            share = systole_s * bpm / 60
            shrunk = np.sin(0.5 * np.pi * np.interp(phase, (0, share, share + 0.6 * (1 - share), 1), (0, 1, 0, 0))) ** 2
        chamber = np.hypot((x - 56) / (16 - 6 * shrunk), (y - 55) / (26 - 6 * shrunk)) < 1
        grey = np.where(chamber, 10.0, 90.0) * rng.rayleigh(0.8, (112, 112))
        frame[inside] = grey.clip(0, 255)[inside]
    return frames


def clip(factor: float, **known: object) -> Clip:
    """Four seconds of a heart at 70 beats a minute, filmed at 30 Hz and said to be at `factor` times as much."""
    frames = heart()
    return replace(Clip(frames, np.arange(len(frames)) / (30.0 * factor)), **known)  # type: ignore[arg-type]


@pytest.mark.parametrize("known", [{}, {"heart_rate_bpm": 70.0}, {"r_wave_times_s": (0.1, 0.957, 1.814, 2.671)}])
def test_a_true_rate_is_not_doubted(known: dict[str, object]) -> None:
    assert pace_of(clip(1.0, **known)).notices() == ()


@pytest.mark.parametrize("factor", [0.35, 0.5, 0.6, 1.8, 2.0, 4.0])
def test_no_resting_adult_beats_so(factor: float) -> None:
    (notice,) = pace_of(clip(factor)).notices()
    assert notice.code == "frame-rate-doubtful"
    assert f"{70 * factor:.0f}"[0] in notice.text
    assert "--frame-rate" in notice.text


def test_a_rate_that_programs_write_by_default_is_doubted_sooner() -> None:
    frames = heart(50.0, seconds=3.0)  # 70 beats a minute; at 33 frames a second 46, at 30 but 42
    at = {rate: pace_of(Clip(frames, np.arange(len(frames)) / rate)).notices() for rate in (30.0, 33.0, 34.0)}
    assert "programs write" in at[30.0][0].text
    assert at[33.0] == at[34.0] == ()
    frames = heart(50.0, seconds=3.0, bpm=77.0)
    (notice,) = pace_of(Clip(frames, np.arange(len(frames)) / 29.97)).notices()
    assert "beats 46 times" in notice.text


@pytest.mark.parametrize(("bpm", "systole_s", "factor", "told"), [(110, 0.32, 0.5, "twice"), (51, 0.38, 2.0, "half")])
def test_systole_tells_half_and_twice_a_rate_at_an_ordinary_pace(
    bpm: float, systole_s: float, factor: float, told: str
) -> None:
    frames = heart(30.0, 4.0, bpm, systole_s)
    times_s = np.arange(len(frames)) / 30.0
    assert pace_of(Clip(frames, times_s)).notices() == ()
    wrong = pace_of(Clip(frames, times_s / factor * 1.01))  # 30 is a rate that programs write by default
    (notice,) = wrong.notices()
    assert f"hearts do that beat {told} as often" in notice.text
    assert "--frame-rate" in notice.text
    assert wrong.notices(adult=False) == ()  # measured on adults alone
    assert pace_of(Clip(frames, times_s / factor, heart_rate_bpm=bpm * factor)).notices() == ()


def test_a_childs_heart_may_beat_fast_but_not_slowly() -> None:
    assert pace_of(clip(2.0)).notices(adult=False) == ()
    assert pace_of(clip(0.6)).notices(adult=False) != ()


@pytest.mark.parametrize("factor", [0.35, 0.6, 1.45])
def test_the_machines_heart_rate_contradicts(factor: float) -> None:
    (notice,) = pace_of(clip(factor, heart_rate_bpm=70.0)).notices()
    assert "the file says 70" in notice.text


def test_r_waves_after_the_end_contradict() -> None:
    (notice,) = pace_of(clip(2.0, r_wave_times_s=(0.1, 0.957, 1.814, 2.671, 3.528))).notices()
    assert "lasts 2.00 s" in notice.text


def test_the_answer_carries_it_and_a_given_rate_ends_it(tmp_path: Path) -> None:
    path = write_video(tmp_path / "slow.avi", heart(), rate=10)
    (answer,) = predict([path], mcsdr.load(), anyway=True)
    assert isinstance(answer, Answer)
    assert "frame-rate-doubtful" in [notice.code for notice in answer.notices]
    assert pace_of(read_clip(path, frame_rate_hz=30)).notices() == ()


def test_a_still_scene_says_nothing_of_pace() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (60, 112, 112), dtype=np.uint8)
    assert pace_of(Clip(frames, np.arange(60) / 30.0)).notices() == ()
