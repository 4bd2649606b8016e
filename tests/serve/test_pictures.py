"""A clip that passes through leaves a still, a sheet and the answer's numbers, and of its frames nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import mcsdr
from mcsdr.clips.outline import CavityOutline
from mcsdr.model import conclude
from mcsdr.serve.pictures import Passing, Passings
from mcsdr.study import Clip, Study


def passed(study: Study) -> Passings:
    passings = Passings(mcsdr.load())
    for clip in study.clips:
        add = passings.watch(replace(clip, frames=np.broadcast_to(np.uint8(0), clip.frames.shape)))
        for index, frame in enumerate(clip.frames):
            add(index, frame)
    return passings


def test_the_answer_is_that_of_the_whole_clip_and_a_still_is_all_that_is_kept(studies: list[Study]) -> None:
    study, model = studies[0], mcsdr.load()
    encoded = passed(study).encoded(study, with_sheet=True)
    assert conclude(encoded, model).record() | {"analysed": None} == model(study).record() | {"analysed": None}
    (clip,), (still,) = study.clips, encoded.study.clips
    middle = clip.frames[len(clip.frames) // 2]
    assert still.frames.shape == clip.frames.shape
    assert np.array_equal(still.frames.max(axis=0) > 0, clip.frames.max(axis=0) > 0)
    assert np.abs(still.frames[0].astype(int) - middle).max() <= 1
    assert still.frames.strides[0] == 0  # one picture for all
    (seen,), (outline,) = encoded.outlines, model(study, anyway=True).outlines
    half = len(clip.frames) // 2
    assert np.array_equal(seen.lines(half)[0], outline.lines(half)[0])
    assert len(seen.at) == 1


def test_a_sheet_shows_frames_of_bearable_size() -> None:
    clip = Clip(np.broadcast_to(np.uint8(0), (300, 400, 1000)), np.arange(300) / 30)
    passing = Passing(clip, mcsdr.load().clip)
    for index in range(300):
        passing.add(index, np.full((400, 1000), index % 200, np.uint8))
    p = np.zeros((2, 28, 28), np.float16)
    p[0, 12:16, 12:16] = 1  # 2/14 of the side of 1,000, from 12/28 on, of which the picture is the upper 400
    outline = CavityOutline(p, np.array([0, 299]), (400, 1000))
    about = passing.sheet([{"ed": 0, "es": 299}], outline).about
    assert (about["count"], about["width"], about["height"]) == (120, 320, 128)
    assert about["beats"] == [{"ed": 0, "es": 119}]
    first, *_, last = about["outlines"]
    assert len(about["outlines"]) == 120
    assert last == []
    assert np.array(first).reshape(-1, 2).max(axis=0) == pytest.approx((320 * 16 / 28, 128), abs=0.1)
    assert passing.sheet([], None).about["outlines"] == []
