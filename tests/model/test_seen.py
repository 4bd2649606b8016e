"""What is gathered of pictures that pass by is what is found in pictures that are at hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mcsdr.abstention.gates import of_pictures
from mcsdr.clips import ClipSettings, store
from mcsdr.errors import ClipTooShort
from mcsdr.io.pace import ENOUGH_HZ, looked_at, pace_of
from mcsdr.model.seen import see
from mcsdr.study import Clip, Study

SETTINGS = (ClipSettings(), ClipSettings(sampling="whole", every=2), ClipSettings(rate_hz=60.0))


@pytest.mark.parametrize("settings", SETTINGS)
def test_one_pass_sees_what_several_looks_see(studies: list[Study], settings: ClipSettings) -> None:
    clip = studies[0].clips[0]
    held = replace(clip, frames=np.repeat(clip.frames[:1], len(clip.frames), axis=0))
    for shown in (clip, held, replace(clip, frame_times_s=clip.frame_times_s / 4)):
        try:
            stored = store(shown, settings)
        except ClipTooShort:
            with pytest.raises(ClipTooShort):
                see(shown, settings)
            continue
        seen = see(shown, settings)
        assert np.array_equal(seen.stored, stored)
        assert seen.against == tuple(of_pictures(shown))
        assert seen.pace == pace_of(shown)
    assert see(held, ClipSettings()).against[0].code == "still-picture"


def test_of_a_long_or_fast_clip_the_pace_looks_at_no_more_than_it_needs() -> None:
    frames = np.zeros((1, 8, 8), dtype=np.uint8)
    for count, rate_hz, looked in ((60, 30.0, 60), (6000, 50.0, 1500), (20_000, 400.0, 1500)):
        clip = Clip(np.broadcast_to(frames, (count, 8, 8)), np.arange(count) / rate_hz)
        which = looked_at(clip.frame_times_s)
        assert len(range(which.start, which.stop, which.step)) == pytest.approx(looked, abs=1)
        assert rate_hz / which.step < 2 * ENOUGH_HZ
