"""When the frames of a DICOM file were taken, how many loops its screen shows, and how large a pixel is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from generated_clips import Pictures, region, ultrasound
from PIL import Image
from public_loop import HEIGHT, WIDTH, Save, alike, changed, same
from pydicom.dataset import Dataset

from mcsdr.errors import NoFrameTime, SeveralLoops
from mcsdr.io import read_clip
from mcsdr.study import Clip

# When they were taken

VECTOR = [0.0, *[33.333] * 29]
ZERO = [0.0, *[33.333] * 9, 0.0, *[33.333] * 19]
TO_VECTOR, TO_TIME = 0x00181065, 0x00181063
DISAGREES = "frame-time-disagrees"


@pytest.mark.parametrize(
    ("tags", "codes"),
    [
        ({"FrameTime": "40", "FrameTimeVector": VECTOR, "FrameIncrementPointer": TO_VECTOR}, [DISAGREES]),
        ({"FrameTimeVector": [0.0, *[40.0] * 29], "FrameIncrementPointer": TO_TIME}, ["frame-time-disagrees"]),
        (
            {"FrameTime": None, "FrameTimeVector": VECTOR[1:], "FrameIncrementPointer": TO_VECTOR},
            ["frame-times-mended"],
        ),
        (
            {"FrameTime": None, "FrameTimeVector": VECTOR[:-1], "FrameIncrementPointer": TO_VECTOR},
            ["frame-times-mended"],
        ),
        (
            {"FrameTime": "40", "FrameTimeVector": VECTOR[:-2], "FrameIncrementPointer": TO_VECTOR},
            [DISAGREES, "frame-times-mended"],
        ),
        ({"FrameTime": None, "FrameTimeVector": ZERO, "FrameIncrementPointer": TO_VECTOR}, ["frame-times-mended"]),
        ({"FrameTime": None, "FrameTimeVector": [*VECTOR, 33.333]}, []),
        ({"FrameTime": None, "ActualFrameDuration": "33.333"}, []),
        ({"FrameTime": None, "EffectiveDuration": "1.0"}, []),
        ({"FrameTime": "0", "CineRate": "30"}, []),
        ({"FrameTime": None, "AcquisitionDuration": 1.0}, []),
        ({"FrameTime": "33.333", "CineRate": "60"}, [DISAGREES]),
        ({"FrameTime": "33.333", "RecommendedDisplayFrameRate": "15"}, [DISAGREES]),
        ({"FrameTime": "33.333", "EffectiveDuration": "2.0"}, [DISAGREES]),
        ({"FrameTime": "33.333", "ActualFrameDuration": "17"}, [DISAGREES]),
        ({"FrameTime": "33.333", "AcquisitionDuration": 0.5}, [DISAGREES]),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_time_comes_from_the_tag_that_is_meant(save: Save, clean: Clip, tags: dict[str, Any], codes: list[str]) -> None:
    same(read_clip(save(changed(**tags))), clean, *codes)


def test_a_pointer_that_leads_nowhere_leaves_the_order_of_trust(save: Save) -> None:
    clip = read_clip(save(changed(FrameTime="40", CineRate="30", FrameIncrementPointer=TO_VECTOR)))
    assert clip.frame_rate_hz == pytest.approx(25)
    assert [notice.code for notice in clip.notices] == ["frame-time-disagrees"]


def test_a_decimal_comma_is_a_number(save: Save, clean: Clip) -> None:
    path = save(changed())
    path.write_bytes(path.read_bytes().replace(b"33.333", b"33,333"))
    same(read_clip(path), clean)


def test_no_time_at_all_is_refused(save: Save) -> None:
    with pytest.raises(NoFrameTime):
        read_clip(save(changed(FrameTime=None)))


# What is on the screen


def screens(samples: Pictures, rows: int, columns: int) -> Pictures:
    """The loop several times on one screen, each with its own frames first."""
    grey = samples[..., 0]
    return np.concatenate(
        [
            np.concatenate([np.roll(grey, 7 * (row * columns + column), axis=0) for column in range(columns)], axis=2)
            for row in range(rows)
        ],
        axis=1,
    )


@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (2, 2)])
@pytest.mark.parametrize("with_regions", [True, False])
def test_several_loops_are_refused_and_counted(
    save: Save, samples: Pictures, rows: int, columns: int, with_regions: bool
) -> None:
    dataset = ultrasound(screens(samples, rows, columns), FrameTime="33.333")
    if with_regions:
        dataset.SequenceOfUltrasoundRegions = [
            region(1, 1, (column * WIDTH, row * HEIGHT, (column + 1) * WIDTH - 1, (row + 1) * HEIGHT - 1))
            for row in range(rows)
            for column in range(columns)
        ]
    with pytest.raises(SeveralLoops, match=f"{rows * columns} moving pictures"):
        read_clip(save(dataset))


def test_a_frozen_picture_beside_a_loop_does_not_count(save: Save, clean: Clip, samples: Pictures) -> None:
    both = screens(samples, 1, 2)
    both[:, :, WIDTH:] = both[0, :, WIDTH:]
    clip = read_clip(save(ultrasound(both)))
    alike(clip, clean, 0.02)


def sized(aspect: tuple[float, float]) -> Dataset:
    item = region(1, 1, (0, 0, WIDTH // 2 - 1, HEIGHT - 1))
    item.PhysicalDeltaX, item.PhysicalDeltaY = aspect
    return item


@pytest.mark.parametrize(
    "tags",
    [
        {"PixelAspectRatio": [1, 2]},
        {"PixelSpacing": [0.2, 0.4]},
        {"SequenceOfUltrasoundRegions": [sized((0.1, 0.05))]},
        {"SequenceOfUltrasoundRegions": [sized((0.1, -0.05))]},
    ],
)
def test_pixels_become_square(save: Save, clean: Clip, samples: Pictures, tags: dict[str, Any]) -> None:
    narrow = np.stack(
        [
            np.asarray(Image.fromarray(grey).resize((WIDTH // 2, HEIGHT), Image.Resampling.BOX))
            for grey in samples[..., 0]
        ]
    )
    dataset = ultrasound(narrow, **tags)
    clip = read_clip(save(dataset))
    alike(clip, clean, 4.0)
    assert clip.notices == ()


def test_a_senseless_pixel_shape_is_passed_over_with_a_notice(save: Save, clean: Clip) -> None:
    same(
        read_clip(save(changed(SequenceOfUltrasoundRegions=[], PixelAspectRatio=[0, 1]))), clean, "spacing-implausible"
    )


def test_a_grey_loop_that_claims_colour_is_read(save: Save, clean: Clip) -> None:
    same(read_clip(save(changed(UltrasoundColorDataPresent=1))), clean)
