"""Beats are found in the pictures alone: whatever the rate of frames, drift, mirror or speckle."""

from __future__ import annotations

import numpy as np
import pytest

from mcsdr.clips import ClipSettings, frame_indices
from mcsdr.clips.beats import Beats, find_beats
from mcsdr.phantom.cohort import PhantomCohort, draw_person

RATE = 25.0
SEED = 5102
INDICES = (0, 1, 2, 3)


class Film:
    """A phantom's clip as stored, at 25 Hz, and when its heart is at end-diastole and end-systole."""

    def __init__(self, index: int, keep_every: int = 1, seconds: float = 3.0) -> None:
        clip = PhantomCohort(10, SEED, sampling_hz=None, seconds=seconds)[index].clips[0]
        p = draw_person(SEED, index).parameters
        frames, times = clip.frames[::keep_every], clip.frame_times_s[::keep_every]
        at = frame_indices(times, ClipSettings())
        self.frames, self.times = frames[at], times[at]
        self.period_s = 60 / p["heart_rate_bpm"]
        self.diastoles = (np.arange(-1, 20) - p["phase"]) * self.period_s
        self.systoles = self.diastoles + p["systolic_share"] * self.period_s

    def errors(self, found: Beats) -> tuple[float, float, float]:
        """Relative error of the period; median distance in seconds from end-diastole and end-systole."""
        at = [(self.times[beat.end_diastole], self.times[beat.end_systole]) for beat in found.beats]
        diastole = np.median([np.abs(self.diastoles - early).min() for early, _ in at])
        systole = np.median([np.abs(self.systoles - late).min() for _, late in at])
        return abs(found.period_s / self.period_s - 1), float(diastole), float(systole)


@pytest.fixture(scope="module")
def films() -> list[Film]:
    return [Film(index) for index in INDICES]


def test_beats_of_phantoms(films: list[Film]) -> None:
    errors = np.array([film.errors(find_beats(film.frames, RATE)) for film in films])
    assert errors[:, 0].max() < 0.05
    assert np.median(errors[:, 1]) < 0.08
    assert np.median(errors[:, 2]) < 0.04


def test_fifteen_frames_a_second_are_enough() -> None:
    for index in INDICES[:2]:
        rate = draw_person(SEED, index).parameters["frame_rate_hz"]
        film = Film(index, keep_every=max(1, int(rate // 15)))
        period, _, systole = film.errors(find_beats(film.frames, RATE))
        assert period < 0.05
        assert systole < 0.1


def test_a_mirror_and_a_gain_that_drifts_change_nothing(films: list[Film]) -> None:
    for film in films[:2]:
        plain = find_beats(film.frames, RATE)
        mirrored = find_beats(film.frames[:, :, ::-1], RATE)
        assert mirrored.beats == plain.beats
        gain = np.linspace(0.8, 1.1, len(film.frames))[:, None, None]
        drifted = find_beats((film.frames * gain).clip(0, 255).astype(np.uint8), RATE)
        assert drifted.period_s == pytest.approx(plain.period_s, rel=0.03)
        assert len(drifted.beats) == len(plain.beats)


def test_a_known_heart_rate_narrows_the_search(films: list[Film]) -> None:
    film = films[0]
    found = find_beats(film.frames, RATE, heart_rate_bpm=60 / film.period_s)
    assert film.errors(found)[0] < 0.05
    half = find_beats(film.frames, RATE, heart_rate_bpm=30 / film.period_s)
    assert half.period_s != pytest.approx(film.period_s, rel=0.1)


def test_r_waves_go_before_the_picture(films: list[Film]) -> None:
    film = films[1]
    r_waves = film.diastoles - film.times[0]
    found = find_beats(film.frames, RATE, r_waves_s=r_waves.tolist())
    assert found.confidence == 1
    period, diastole, systole = film.errors(found)
    assert period < 1e-6
    assert diastole <= 0.5 / RATE + 0.01
    assert systole < 0.1
    for nonsense in ([0.1], [0.0, 0.01, 0.02], [1.0, 0.0], [0.0, float("nan")]):
        assert find_beats(film.frames, RATE, r_waves_s=nonsense) == find_beats(film.frames, RATE)


@pytest.mark.parametrize("count", [2, 5, 32, 75])
def test_without_a_rhythm_there_are_no_beats(count: int) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (count, 112, 112)).astype(np.uint8)
    for frames in (noise, np.zeros_like(noise), np.broadcast_to(noise[:1], noise.shape)):
        assert find_beats(frames, RATE).beats == ()


def test_every_beat_lies_in_its_window(films: list[Film]) -> None:
    for film in films:
        found = find_beats(film.frames, RATE)
        windows = found.windows(32)
        assert windows
        assert [window.start for window in windows] == sorted({window.start for window in windows})
        for window in windows:
            assert 0 <= window.start <= len(film.frames) - 32
            assert window.start <= window.beat.end_diastole < window.beat.end_systole < window.start + 32
        assert found.starts_s == tuple(beat.end_diastole / RATE for beat in found.beats)
