"""Sampling in seconds, framing, augmentation, standardisation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mcsdr.clips import ClipSettings, augment, draw_augmentation, frame_indices, sample, standardise, to_square
from mcsdr.errors import ClipTooShort
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.study import Clip

SETTINGS = ClipSettings()


@given(st.floats(15, 200), st.floats(0.6, 8))
def test_sampled_frames_lie_on_the_grid(rate_hz: float, seconds: float) -> None:
    """Whatever the machine's rate, the chosen frames follow each other at 25 Hz, to within half a machine frame."""
    times = np.arange(int(rate_hz * seconds)) / rate_hz
    chosen = times[frame_indices(times, SETTINGS)]
    assert len(chosen) % 4 == 0
    assert len(chosen) <= SETTINGS.frames
    assert len(chosen) >= min(SETTINGS.frames, (times[-1] * SETTINGS.rate_hz) // 4 * 4)
    ideal = chosen[0] + np.arange(len(chosen)) / SETTINGS.rate_hz
    assert np.abs(chosen - ideal).max() <= 1 / rate_hz + 1e-9


def test_a_long_clip_is_read_in_its_middle() -> None:
    times = np.arange(500) / 50
    chosen = times[frame_indices(times, SETTINGS)]
    assert (chosen[0] + chosen[-1]) / 2 == pytest.approx(times[-1] / 2, abs=0.03)


def test_thinned_phantoms_are_read_as_they_are(studies: list) -> None:
    """The frames that a phantom renders are the ones the sampler would have picked from the whole exam."""
    for index in range(4):
        thinned = PhantomCohort(4, seed=6)[index].clips[0]
        assert np.array_equal(sample(thinned, SETTINGS), thinned.frames)


def test_too_short() -> None:
    clip = Clip(np.zeros((10, 112, 112), np.uint8), np.arange(10) / 25, source="short.avi")
    with pytest.raises(ClipTooShort, match=r"short\.avi"):
        sample(clip, SETTINGS)


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


def test_augmentation_replays(studies: list) -> None:
    frames = torch.from_numpy(np.stack([study.clips[0].frames for study in studies[:2]]))
    draws = [draw_augmentation(2, torch.Generator().manual_seed(3)) for _ in range(2)]
    first, second = (augment(frames, by) for by in draws)
    assert torch.equal(first, second)
    assert first.min() >= 0
    assert first.max() <= 1
    still = replace(
        draws[0],
        scale=torch.ones(2),
        rotation_rad=torch.zeros(2),
        shift_x=torch.zeros(2),
        shift_y=torch.zeros(2),
        gamma=torch.ones(2),
        gain=torch.ones(2),
    )
    assert torch.allclose(augment(frames, still) * 255, frames.float(), atol=0.2)
