"""Sampling in seconds, framing, augmentation, standardisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mcsdr.clips import (
    ClipSettings,
    cut_windows,
    frame_indices,
    interpolate,
    random_crop,
    seen_as,
    standardise,
    store,
    to_square,
)
from mcsdr.clips.beats import MOST_BEATS, Beats, find_beats
from mcsdr.errors import ClipTooShort
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.study import CLOCK_S, Clip, even_times

SETTINGS = ClipSettings()


WHOLE = ClipSettings(sampling="whole", frames=16)


def window_times(times: np.ndarray, settings: ClipSettings = SETTINGS) -> np.ndarray:
    """When the frames of the central window were taken."""
    chosen = frame_indices(times, settings)
    length = min(settings.frames, len(chosen) // 4 * 4)
    start = (len(chosen) - length) // 2
    return times[chosen[start : start + length]]


@given(st.floats(15, 200), st.floats(0.6, 8))
def test_sampled_frames_lie_on_the_grid(rate_hz: float, seconds: float) -> None:
    """Whatever the machine's rate, the chosen frames follow each other at 25 Hz, to within half a machine frame.

    A clip shorter than a window is seen from end to end instead, at a rate near 25 Hz.
    """
    read = np.arange(int(rate_hz * seconds)) / rate_hz
    times, chosen = even_times(read), even_times(read)[frame_indices(read, SETTINGS)]
    rate_hz = (len(times) - 1) / times[-1]  # of the grid that the times are laid on
    short = times[-1] + 0.5 / rate_hz < (SETTINGS.frames - 1) / SETTINGS.rate_hz - 1e-6
    at_hz = len(chosen) / (len(times) / rate_hz) if short else SETTINGS.rate_hz
    assert abs(at_hz / SETTINGS.rate_hz - 1) <= 1 / 7
    if short:
        assert max(chosen[0], times[-1] - chosen[-1]) <= 0.5 / at_hz + 0.5 / rate_hz
    ideal = chosen[0] + np.arange(len(chosen)) / at_hz
    assert np.abs(chosen - ideal).max() <= 1 / rate_hz + 1e-9
    window = window_times(read)
    assert len(window) % 4 == 0
    assert len(window) <= SETTINGS.frames
    assert len(window) >= min(SETTINGS.frames, (times[-1] * SETTINGS.rate_hz) // 4 * 4)
    assert len(chosen) >= (times[-1] * SETTINGS.rate_hz) - 4, "all of the clip is kept, not only its middle"


@pytest.mark.parametrize("rate_hz", [25.0, 30.0, 40.0, 50.0, 60.0, 1000 / 33.333])
@pytest.mark.parametrize("count", [30, 65, 75, 90, 150, 176])
def test_where_a_clock_starts_and_how_it_counts_changes_no_frame(rate_hz: float, count: int) -> None:
    """At these rates the grid's points often lie midway between two frames, where the last bit would decide."""
    times = np.arange(count) / rate_hz
    expected = frame_indices(times, SETTINGS).tolist()
    same = {
        "later": times + 1000.1,
        "earlier": times - 0.04,
        "float32 seconds": times.astype(np.float32).astype(np.float64),
        "float32 milliseconds": (1000 * times).astype(np.float32).astype(np.float64) / 1000,
        "whole milliseconds": np.round(1000 * times) / 1000,
        "whole milliseconds, cut off": np.floor(1000 * times + 1e-6) / 1000 + 7,
        "ticks of 90 kHz": np.round(90_000 * times) / 90_000,
    }
    if count <= 90:
        same["33.33 for 33.333"] = times * 33.33 / 33.333
    for name, other in same.items():
        assert frame_indices(other, SETTINGS).tolist() == expected, name


def test_even_times_are_laid_on_a_grid_and_others_kept() -> None:
    at_30_hz = np.arange(90) / 30
    assert np.array_equal(even_times(np.round(at_30_hz, 3) + 12), at_30_hz)
    assert np.abs(even_times(np.arange(80) * 1001 / 30_000 + 1) - np.arange(80) * 1001 / 30_000).max() < CLOCK_S
    uneven = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.05, 50))
    assert np.array_equal(even_times(uneven), uneven - uneven[0])
    assert even_times(np.array([3.0, 3.5])).tolist() == [0, 0.5]
    assert Clip(np.zeros((90, 2, 2), np.uint8), np.round(at_30_hz, 3)).frame_rate_hz == pytest.approx(30, abs=0.01)
    assert np.abs(even_times(np.arange(200) / 47.3182) - np.arange(200) / 47.3182).max() < CLOCK_S


def test_a_long_clip_is_read_in_its_middle() -> None:
    times = np.arange(500) / 50
    chosen = window_times(times)
    assert (chosen[0] + chosen[-1]) / 2 == pytest.approx(times[-1] / 2, abs=0.03)


def test_windows_lie_in_the_clip_and_cover_it() -> None:
    stored = np.arange(100, dtype=np.uint8)[:, None, None]
    one, three, every = (
        [window[:, 0, 0].tolist() for window in cut_windows(stored, SETTINGS, how)] for how in ("one", "three", "all")
    )
    assert one == [list(range(34, 66))]
    assert [window[0] for window in three] == [0, 34, 68]
    assert {frame for window in every for frame in window} == set(range(100))
    assert all(window == list(range(window[0], window[0] + 32)) for window in every)
    short = np.arange(19, dtype=np.uint8)[:, None, None]
    assert [len(window) for window in cut_windows(short, SETTINGS, "three")] == [16, 16, 16]


@given(st.integers(5, 200), st.floats(0.5, 1), st.none() | st.floats(0, 1, exclude_max=True))
def test_interpolation_in_time(count: int, keep: float, place: float | None) -> None:
    """A ramp stays a ramp between the ends that are kept; in training 16 frames are kept, from any start."""
    ramp = np.arange(count, dtype=np.uint8)[:, None, None]
    seen = interpolate(ramp, 16, keep, place)[:, 0, 0].astype(float)
    kept = max(2, int(np.floor(count * keep)))
    start = min(int(count * (1 - keep) / 2), count - kept)
    if place is not None:
        kept = max(kept, min(16, count))
        start = int(place * (count - kept + 1))
    expected = torch.nn.functional.interpolate(
        torch.arange(start, start + kept).double()[None, None], 16, mode="linear", align_corners=False
    )[0, 0].numpy()
    assert np.abs(seen - expected).max() <= 0.5 + 1e-4


def test_a_whole_clip_has_one_window(studies: list) -> None:
    stored = store(studies[0].clips[0], WHOLE)
    assert len(stored) == 32
    assert [window.shape for window in cut_windows(stored, WHOLE, "all")] == [(16, 112, 112)]
    assert len(store(studies[0].clips[0], ClipSettings(sampling="whole", every=4))) == 8
    with pytest.raises(ClipTooShort):
        store(studies[0].clips[0], ClipSettings(sampling="whole", every=8))


def test_random_crops_are_the_old_picture_moved() -> None:
    frames = torch.randint(1, 255, (3, 4, 20, 20), dtype=torch.uint8)
    crops = random_crop(frames, torch.Generator().manual_seed(1), margin=2)
    assert crops.shape == frames.shape
    inner = (frames[:, :, 2:-2, 2:-2].float() / 255).unfold(2, 16, 1).unfold(3, 16, 1)[:, :, 0, 0]
    for crop, middle in zip(crops, inner, strict=True):
        places = crop.unfold(1, 16, 1).unfold(2, 16, 1)  # [T, 5, 5, 16, 16]
        assert (places == middle[:, None, None]).flatten(3).all(-1).all(0).sum() == 1


def test_thinned_phantoms_are_read_as_they_are(studies: list) -> None:
    """The frames that a phantom renders are the ones the sampler would have picked from the whole exam."""
    for index in range(4):
        thinned = PhantomCohort(4, seed=6)[index].clips[0]
        assert np.array_equal(store(thinned, SETTINGS), thinned.frames)


def test_too_short() -> None:
    clip = Clip(np.zeros((10, 112, 112), np.uint8), np.arange(10) / 25, source="short.avi")
    with pytest.raises(ClipTooShort, match=r"short\.avi"):
        store(clip, SETTINGS)


def test_wide_and_tall_pictures_become_squares_with_the_tip_at_the_top() -> None:
    for height, width in ((240, 320), (300, 200)):
        frames = np.zeros((2, height, width), np.uint8)
        frames[:, :20, width // 2 - 20 : width // 2 + 20] = 200
        square = to_square(frames, 112)
        assert square.shape == (2, 112, 112)
        rows, columns = np.nonzero(square[0] > 100)
        assert rows.min() == 0
        assert columns.mean() == pytest.approx(55.5, abs=1)


def test_gain_carries_nothing(studies: list) -> None:
    frames = torch.from_numpy(studies[0].clips[0].frames)[None].float() * 0.5
    assert torch.allclose(standardise(frames), standardise(frames * 1.7 + 5), atol=1e-3)
    assert standardise(torch.zeros(1, 4, 8, 8)).isfinite().all()


def test_windows_around_beats_hold_them() -> None:
    """A dark disc that shrinks and grows 75 times a minute, seen for four seconds."""
    y, x = np.mgrid[:112, :112]
    volume = np.cos(2 * np.pi * np.arange(100) / 20)
    stored = np.stack([np.where(np.hypot(x - 56, y - 56) < 30 + 8 * v, 10, 120) for v in volume]).astype(np.uint8)
    beats = find_beats(stored, 25.0)
    assert beats.period_s == pytest.approx(0.8, rel=0.02)
    windows = cut_windows(stored, SETTINGS, "beats")
    of_beats = beats.windows(32)
    assert len(of_beats) >= 3
    for window, place in zip(windows, of_beats, strict=False):
        assert np.array_equal(window, stored[place.start : place.start + 32])
    # The rest are those of "all" that no beat has taken.
    taken = {place.start for place in of_beats}
    others = [start for start in (0, 14, 27, 41, 54, 68) if start not in taken]
    for window, start in zip(windows[len(of_beats) :], others, strict=True):
        assert np.array_equal(window, stored[start : start + 32])
    assert len(cut_windows(stored, SETTINGS, "all")) == 6
    assert len(cut_windows(stored[:32], SETTINGS, "beats")) == 1
    still = np.broadcast_to(stored[:1], stored.shape)
    assert len(cut_windows(still, SETTINGS, "beats")) == len(cut_windows(still, SETTINGS, "all"))


def test_minutes_of_a_clip_are_not_read_whole() -> None:
    hour = np.zeros((25 * 3600, 1, 1), np.uint8)
    no_rhythm = Beats(np.nan, 0.0, (), len(hour), 25.0)
    assert len(cut_windows(hour, SETTINGS, "beats", no_rhythm)) == MOST_BEATS
    assert len(cut_windows(hour[:100], SETTINGS, "beats", no_rhythm)) == len(cut_windows(hour[:100], SETTINGS, "all"))


def test_further_looks_at_a_window() -> None:
    window = np.random.default_rng(0).integers(20, 200, (8, 32, 32), dtype=np.uint8)
    assert (seen_as(window, 0) == window).all()
    assert (seen_as(window, 1) == window[:, :, ::-1]).all()
    assert (seen_as(window, 2) == window[::-1]).all()
    assert (seen_as(window, 3) == window[::-1, :, ::-1]).all()
