"""Of a video whose pictures are too many to be kept whole only the sector is kept, and it is the same clip."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from generated_clips import fan_loop, screen_loop, write_video

from mcsdr.io import read_clip, streaming
from mcsdr.io.recording import FrameStack
from mcsdr.io.video import Video


@pytest.mark.parametrize("name", ["clip.avi", "clip.mp4", "clip.mkv"])
def test_keeping_the_sector_alone_gives_the_same_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = write_video(tmp_path / name, screen_loop(80), codec="mjpeg" if name.endswith("avi") else "libx264")
    whole = read_clip(path)
    monkeypatch.setattr(streaming, "WHOLE_BYTES", 1)
    cut = read_clip(path)
    assert np.array_equal(cut.frames, whole.frames)
    assert np.array_equal(cut.frame_times_s, whole.frame_times_s)
    assert cut.crop == whole.crop
    assert cut.notices == whole.notices


def test_a_sector_that_grows_after_the_first_second_is_read_in_a_second_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picture stands further to the left for the first 60 frames."""
    loop = fan_loop(120)
    loop[:60] = np.roll(loop[:60], -50, axis=2)
    path = write_video(tmp_path / "clip.avi", loop)
    whole = read_clip(path)
    passes: list[str] = []
    decode = Video.decode

    def told(video: Video, stack: FrameStack) -> None:
        passes.append(type(stack).__name__)
        decode(video, stack)

    monkeypatch.setattr(Video, "decode", told)
    monkeypatch.setattr(streaming, "WHOLE_BYTES", 1)
    cut = read_clip(path)
    assert passes == ["StreamingStack", "SectorStack"]
    assert np.array_equal(cut.frames, whole.frames)
    assert cut.crop == whole.crop


def test_the_memory_is_a_few_times_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = screen_loop(20).repeat(2, axis=1).repeat(2, axis=2)
    path = write_video(tmp_path / "clip.avi", np.tile(large, (8, 1, 1, 1)))
    monkeypatch.setattr(streaming, "WHOLE_BYTES", 1)
    tracemalloc.start()
    try:
        clip = read_clip(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(clip.frames) == 160
    assert peak < 3 * clip.frames.nbytes
