"""One public loop, changed in every way that laboratories' files are, and what says that it was read all the same.

Read right it has 30 frames at 30 Hz and a crop of 180 × 260.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generated_clips import Pictures
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import ExplicitVRLittleEndian

from mcsdr.study import Clip

Save = Callable[[Dataset], Path]
REAL = Path(str(get_testdata_file("examples_ybr_color.dcm")))
COUNT, HEIGHT, WIDTH = 30, 240, 320


def coded_loop() -> list[bytes]:
    """Its frames, each a JPEG."""
    return list(generate_frames(dcmread(REAL).PixelData, number_of_frames=COUNT))


def samples_of(coded: list[bytes]) -> Pictures:
    """JPEGs as YCbCr samples, uint8 [T, H, W, 3]."""
    pictures = []
    for data in coded:
        image = Image.open(io.BytesIO(data))
        image.draft("YCbCr", image.size)
        pictures.append(np.asarray(image))
    return np.stack(pictures)


def changed(**tags: Any) -> Dataset:
    """The loop with other tags; None takes one away."""
    dataset = dcmread(REAL)
    for keyword, value in tags.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def plain(pictures: Pictures, model: str, **tags: Any) -> Dataset:
    """The loop uncompressed."""
    dataset = changed(PhotometricInterpretation=model, **tags)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PixelData = pictures.tobytes()
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = False
    return dataset


def rgb_of(samples: Pictures) -> Pictures:
    return np.stack([np.asarray(Image.fromarray(picture, "YCbCr").convert("RGB")) for picture in samples])


def same(clip: Clip, clean: Clip, *codes: str, count: int = COUNT, tolerance: float = 0.02) -> None:
    """Assert that a clip is the clean one, and that just these notices say what was done to it."""
    assert len(clip.frames) == count
    assert clip.frame_rate_hz == pytest.approx(30.0, rel=1e-3)
    assert [notice.code for notice in clip.notices] == list(codes)
    alike(clip, clean, tolerance)


def alike(clip: Clip, clean: Clip, tolerance: float, slack: int = 2) -> None:
    """Assert that a crop is the clean one's within some pixels, and that its middle shows the same."""
    assert clip.crop is not None
    assert clean.crop is not None
    top, left = clip.crop.top - clean.crop.top, clip.crop.left - clean.crop.left
    assert max(abs(top), abs(clip.crop.height - clean.crop.height)) <= slack
    assert max(abs(left), abs(clip.crop.width - clean.crop.width)) <= slack
    count = min(len(clip.frames), len(clean.frames))
    middle = clip.frames[:count, 40 - top : 150 - top, 80 - left : 180 - left].astype(int)
    assert np.abs(middle - clean.frames[:count, 40:150, 80:180]).mean() <= tolerance
