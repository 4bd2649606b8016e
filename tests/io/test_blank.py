"""Large clips that show nothing are refused before all of them is decoded; what shows something later is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from generated_clips import fan_loop, jpeg_ultrasound, ultrasound, write_video
from PIL import Image
from pydicom.encaps import encapsulate
from streams import video_stream

from mcsdr.errors import EmptyPicture
from mcsdr.io import blank, read_clip, streaming
from mcsdr.io.video import GreyConverter

COUNT, SHAPE = 64, (96, 128)
Pictures = np.ndarray
Write = Callable[[Path, Pictures], Path]


def _film(path: Path, grey: Pictures) -> Path:
    colour = grey[..., None].repeat(3, axis=-1)
    dataset = jpeg_ultrasound(colour)
    dataset.PixelData = encapsulate([video_stream(colour, "libx264")])
    dataset.save_as(path, enforce_file_format=True)
    return path


def _stored(path: Path, grey: Pictures) -> Path:
    ultrasound(grey).save_as(path, enforce_file_format=True)
    return path


def _pages(path: Path, grey: Pictures) -> Path:
    path = path.with_suffix(".tif")
    first, *others = map(Image.fromarray, grey)
    first.save(path, save_all=True, append_images=others)
    return path


def _video(path: Path, grey: Pictures) -> Path:
    return write_video(path.with_suffix(".avi"), grey)


@pytest.mark.parametrize("write", [_stored, _film, _pages, _video])
def test_one_grey_is_refused_from_a_size_on_and_what_shows_something_is_read(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = write(tmp_path / "empty", np.full((COUNT, *SHAPE), 90, dtype=np.uint8))
    late = np.concatenate([np.zeros((20, *SHAPE), dtype=np.uint8), fan_loop(COUNT - 20, *SHAPE)])
    shows = write(tmp_path / "late", late)
    assert len(read_clip(empty, frame_rate_hz=25).frames) == COUNT  # a small one is for the model to abstain from
    monkeypatch.setattr(blank, "MOST_PIXELS", 30 * SHAPE[0] * SHAPE[1])
    with pytest.raises(EmptyPicture, match=r"its first \d+ pictures are black, or of one grey") as refused:
        read_clip(empty, frame_rate_hz=25)
    assert (refused.value.code, refused.value.path) == ("empty-picture", str(empty))
    assert len(read_clip(shows, frame_rate_hz=25).frames) == COUNT


def test_no_more_of_a_video_is_looked_at_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = _video(tmp_path / "empty", np.zeros((COUNT, *SHAPE), dtype=np.uint8))
    monkeypatch.setattr(streaming, "WHOLE_BYTES", 1)
    monkeypatch.setattr(blank, "MOST_PIXELS", 20 * SHAPE[0] * SHAPE[1])
    taken: list[int | None] = []
    add = GreyConverter.add

    def told(self: GreyConverter, frame: object, stack: object, index: int | None = None) -> None:
        taken.append(index)
        add(self, frame, stack, index)  # type: ignore[arg-type]

    monkeypatch.setattr(GreyConverter, "add", told)
    with pytest.raises(EmptyPicture, match="its first 21 pictures"):
        read_clip(empty)
    assert taken == list(range(21))
