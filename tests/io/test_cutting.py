"""Frames that are cut as they come are those that are cut at the end; long clips of large pictures fit."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from generated_clips import Pictures, fan_loop, jpeg_ultrasound, screen_loop, ultrasound
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from streams import video_stream

from mcsdr.errors import UnreadableFile
from mcsdr.io import cutting, read_clip, recording
from mcsdr.io.cutting import SectorStack
from mcsdr.io.recording import Recording, to_clip
from mcsdr.io.sector import SAMPLE

Save = Callable[[Dataset], Path]


def filled(frames: Pictures, order: list[int], count: int) -> SectorStack:
    stack = SectorStack(Path("x"), count, *frames.shape[1:])
    for index in order:
        stack.add(frames[index], None, index)
    return stack


def whole(frames: Pictures) -> Recording:
    times = np.arange(len(frames)) / 30.0
    return Recording(Path("x"), frames, times, np.zeros((0, 1, 1, 3), dtype=np.uint8))


@pytest.mark.parametrize("way", ["sample first", "in order", "count unknown", "count too high"])
def test_the_way_does_not_matter(way: str) -> None:
    frames = fan_loop(70)
    wanted = to_clip(whole(frames))
    count = {"count unknown": 0, "count too high": 75}.get(way, 70)
    order = SectorStack(Path("x"), 70, 240, 320).order() if way == "sample first" else list(range(70))
    stack = filled(frames, order, count)
    cut, look = stack.cut()
    assert stack.indices == list(range(70))
    assert look.sector.crop == wanted.crop
    assert np.array_equal(cut, wanted.frames)
    assert np.array_equal(look.overview, frames[0])


def test_the_sample_comes_first_and_everything_once() -> None:
    stack = SectorStack(Path("x"), 200, 240, 320)
    order = stack.order()
    assert sorted(order) == list(range(200))
    assert order[:SAMPLE] == sorted(order[:SAMPLE])
    assert all(stack.samples(index) for index in order[:SAMPLE])
    assert not any(stack.samples(index) for index in order[SAMPLE:])


def test_missing_frames_leave_no_hole() -> None:
    frames = fan_loop(50)
    order = [index for index in SectorStack(Path("x"), 50, 240, 320).order() if index not in (7, 30)]
    stack = filled(frames, order, 50)
    cut, look = stack.cut()
    assert stack.indices == [index for index in range(50) if index not in (7, 30)]
    crop = look.sector.crop
    middle = np.s_[:, 60 - crop.top : 120 - crop.top, 130 - crop.left : 190 - crop.left]
    assert np.array_equal(cut[middle], frames[stack.indices, 60:120, 130:190])


def test_only_what_is_kept_counts_against_the_limit(save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = screen_loop(64)
    film = jpeg_ultrasound(frames)
    film.PixelData = encapsulate([video_stream(frames, "libx264")])
    datasets = [jpeg_ultrasound(frames), ultrasound(frames), film]
    wanted = [read_clip(save(dataset)) for dataset in datasets]
    for module in (cutting, recording):
        monkeypatch.setattr(module, "MAX_BYTES", int(0.7 * frames[..., 0].size))
    for dataset, clip in zip(datasets, wanted, strict=True):
        assert np.array_equal(read_clip(save(dataset)).frames, clip.frames)
    monkeypatch.setattr(cutting, "MAX_BYTES", int(0.4 * frames[..., 0].size))
    for dataset in datasets:
        with pytest.raises(UnreadableFile, match="would have to be kept"):
            read_clip(save(dataset))


@pytest.mark.slow
def test_nine_seconds_of_1080p_at_60_hz_are_read(save: Save) -> None:
    grey = fan_loop(8, 1080, 1920)
    coded = []
    for picture in grey:
        memory = io.BytesIO()
        Image.fromarray(picture).save(memory, "JPEG", quality=80)
        coded.append(memory.getvalue())
    dataset = jpeg_ultrasound(grey, FrameTime="16.667")
    dataset.NumberOfFrames = 540
    dataset.PixelData = encapsulate([coded[index % 8] for index in range(540)])
    clip = read_clip(save(dataset))
    assert len(clip.frames) == 540
    assert clip.duration_s == pytest.approx(9.0, rel=1e-3)
    assert clip.frames.nbytes < 2**30 < 540 * 1080 * 1920
