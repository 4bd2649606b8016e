"""The crop holds the sector and nothing else, on a real clip and on generated ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from generated_clips import Pictures, fan_loop, fan_mask, screen_loop, write_video
from PIL import Image
from pydicom.data import get_testdata_file

from mcsdr.io import read_clip
from mcsdr.io.colour import flow_share, luma
from mcsdr.io.fan import Fan, convex_hull, fit_fan
from mcsdr.io.patches import Box, bounding_box, components, dilate
from mcsdr.io.sector import cut_sector, find_sector, fitting_region
from mcsdr.study import Crop


def overlap(crop: Crop, mask: np.ndarray) -> float:
    """Intersection over union of a crop's box and a mask's bounding box."""
    boxed = np.zeros_like(mask)
    boxed[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width] = True
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    truth = np.zeros_like(mask)
    truth[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return float((boxed & truth).sum() / (boxed | truth).sum())


def test_real_four_chamber_clip_is_cut_to_its_sector() -> None:
    """The region tags of this file describe a picture of twice the size, so the sector must be found in the image."""
    clip = read_clip(get_testdata_file("examples_ybr_color.dcm"))
    crop = clip.crop
    assert crop is not None
    assert crop.method == "picture"
    assert 18 <= crop.top <= 24  # the probe's face is at row 22
    assert 36 <= crop.left <= 44
    assert 200 <= crop.top + crop.height <= 206
    assert 294 <= crop.left + crop.width <= 304
    assert clip.overview is not None
    assert clip.overview.shape == (240, 320)
    corners = clip.frames[:, :40, :60], clip.frames[:, :40, -60:], clip.frames[:, -20:, :40], clip.frames[:, -20:, -40:]
    assert all(corner.max() == 0 for corner in corners)  # text, marker, ticks, buttons
    original = luma(np.repeat(clip.overview[..., None], 3, -1))[crop.top :, crop.left :]
    middle = np.s_[40:160, 90:170]
    assert np.array_equal(clip.frames[0][middle], original[: crop.height, : crop.width][middle])


@pytest.mark.parametrize("codec", ["mjpeg", "libx264"])
def test_screen_furniture_is_gone_and_the_sector_is_whole(screen: Pictures, tmp_path: Path, codec: str) -> None:
    clip = read_clip(write_video(tmp_path / f"clip.{'avi' if codec == 'mjpeg' else 'mp4'}", screen, codec=codec))
    assert clip.crop is not None
    assert overlap(clip.crop, fan_mask()) > 0.94
    kept = np.zeros(screen.shape[1:3], dtype=bool)
    box = np.s_[clip.crop.top : clip.crop.top + clip.crop.height, clip.crop.left : clip.crop.left + clip.crop.width]
    kept[box] = clip.frames.any(axis=0)
    assert (kept & fan_mask()).sum() > 0.98 * fan_mask().sum()
    assert (kept & ~fan_mask()).sum() < 0.12 * fan_mask().sum()  # blocks of the codec blur the rim
    furniture = kept[:34, :60], kept[:, 300:], kept[204:]  # text, ticks, trace and buttons
    assert not any(part.any() for part in furniture)


def test_a_near_field_that_a_codec_has_frozen_is_kept() -> None:
    frames = fan_loop()
    top = bounding_box(fan_mask()).top
    frames[:, top : top + 10] = frames[0, top : top + 10]
    frames[:, top - 6, 140:180] = 200  # a ruler above the probe, apart from it
    assert abs(find_sector(frames).crop.top - top) <= 1


def test_tissue_that_a_codec_has_frozen_is_kept() -> None:
    frames = fan_loop()
    still = np.ones(frames.shape[1:], dtype=bool)
    still[70:204, 112:208] = False  # blocks where the codec still spends bits, some of them beyond the arc
    noise = np.random.default_rng(0).integers(0, 6, frames.shape, dtype=np.uint8)
    frames = np.where(still, frames[0], np.maximum(frames, noise)).astype(np.uint8)
    assert overlap(find_sector(frames).crop, fan_mask()) > 0.95


def test_what_a_codec_smears_over_the_rim_does_not_widen_the_fan() -> None:
    frames, wide = fan_loop(24), fan_mask()
    for _ in range(5):
        wide = dilate(wide)
    noise = np.random.default_rng(0).integers(0, 4, frames.shape, dtype=np.uint8)
    frames = np.where(wide & ~fan_mask(), noise, frames)
    crop, box = find_sector(frames).crop, bounding_box(fan_mask())
    sides = crop.top, crop.left, crop.top + crop.height, crop.left + crop.width
    assert max(abs(side - true) for side, true in zip(sides, box, strict=True)) <= 2


def test_shadowed_sides_do_not_narrow_the_fan() -> None:
    frames = fan_loop()
    x = np.arange(320)
    frames[:, 110:, (x < 95) | (x > 225)] = 0
    assert overlap(find_sector(frames).crop, fan_mask()) > 0.93


def test_scrolling_white_trace_and_running_clock_are_left_out() -> None:
    frames = fan_loop()
    x = np.arange(30, 290)
    for t, frame in enumerate(frames):
        trace = (222 - 18 * np.exp(-((((x + 9 * t) % 60 - 30) / 3.0) ** 2))).astype(int)
        frame[trace, x] = frame[trace + 1, x] = 230
        frame[4:14, 250 + t % 10 : 262 + t % 7] = 200
    sector = find_sector(frames)
    assert overlap(sector.crop, fan_mask()) > 0.93
    assert not sector.mask[210:].any()


def test_noise_all_over_the_picture_does_not_hide_the_sector() -> None:
    frames = fan_loop()
    noise = np.random.default_rng(3).normal(0.0, 1.5, frames.shape)
    noisy = np.clip(frames + noise, 0, 255).astype(np.uint8)
    assert overlap(find_sector(noisy).crop, fan_mask()) > 0.93


def test_still_sector_is_found_by_its_brightness() -> None:
    frames = np.repeat(fan_loop(1), 20, axis=0)
    sector = find_sector(np.maximum(frames, 30 * fan_mask().astype(np.uint8)))
    assert sector.found
    assert overlap(sector.crop, fan_mask()) > 0.93


def test_empty_picture_is_kept_whole_and_says_so() -> None:
    sector = find_sector(np.zeros((20, 100, 150), dtype=np.uint8))
    assert not sector.found
    assert sector.crop == Crop(0, 0, 100, 150, "whole")


def test_square_clip_that_was_cut_before_comes_through_unharmed(tmp_path: Path) -> None:
    """As in EchoNet: 112 x 112, black outside the sector, but for the noise of the codec."""
    large = fan_loop(32)[:, 10:206, 62:258]
    small = np.stack([np.asarray(Image.fromarray(frame).resize((112, 112))) for frame in large])
    clip = read_clip(write_video(tmp_path / "0X1A.avi", small, rate=50))
    assert clip.crop == Crop(0, 0, 112, 112, "whole")
    assert clip.overview is None
    assert np.abs(clip.frames.astype(int) - small).mean() < 6.0
    assert abs(clip.frame_rate_hz - 50.0) < 1e-6


def test_region_of_the_file_is_used_only_where_it_fits() -> None:
    assert fitting_region([Box(31, 84, 415, 596)], 480, 640) == Box(31, 84, 415, 596)
    assert fitting_region([Box(31, 84, 415, 596)], 240, 320) is None
    assert fitting_region([Box(0, 0, 20, 20)], 240, 320) is None
    frames = fan_loop()
    sector = find_sector(frames, regions=[Box(10, 38, 204, 284)])
    assert sector.crop.method == "regions"
    assert overlap(sector.crop, fan_mask()) > 0.95


def test_cut_sector_blanks_outside_and_keeps_inside() -> None:
    frames = np.maximum(fan_loop(), 9)
    sector = find_sector(frames)
    crop = sector.crop
    cut = cut_sector(frames, sector)
    box = np.s_[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    assert cut.shape[1:] == (crop.height, crop.width)
    assert np.array_equal(cut, np.where(sector.mask[box], frames[(slice(None), *box)], 0))


def test_components_are_numbered_by_size_and_join_at_corners() -> None:
    mask = np.array([[1, 0, 0, 1, 1], [0, 1, 0, 0, 0], [1, 0, 0, 0, 1]], dtype=bool)
    expected = [[1, 0, 0, 2, 2], [0, 1, 0, 0, 0], [1, 0, 0, 0, 3]]
    assert components(mask).tolist() == expected
    assert not components(np.zeros((4, 5), dtype=bool)).any()


def test_hull_is_convex_and_holds_every_pixel() -> None:
    rng = np.random.default_rng(5)
    mask = rng.random((40, 60)) < 0.02
    hull = convex_hull(mask)
    assert hull[mask].all()
    rows, columns = np.nonzero(hull)
    pick = rng.integers(0, len(rows), (2, 500))
    middle = (rows[pick].sum(0) // 2, columns[pick].sum(0) // 2)
    grown = hull.copy()
    grown[1:] |= hull[:-1]
    grown[:-1] |= hull[1:]
    assert grown[middle].all()  # midpoints of any two pixels, up to rounding


def test_tint_trace_and_buttons_are_not_flow_but_flow_is() -> None:
    frames = screen_loop(8)
    inside = fan_mask()
    assert flow_share(frames, inside) < 0.002
    sepia = np.clip(frames * np.array([1.0, 0.75, 0.45]), 0, 255).astype(np.uint8)
    assert flow_share(sepia, inside) < 0.005
    flowing = frames.copy()
    flowing[::2, 100:130, 150:180] = (200, 30, 20)
    assert flow_share(flowing, inside) > 0.02


@pytest.mark.parametrize("half_angle", [34.7, 41.3, 45.2])
@pytest.mark.parametrize("deepest_row", [110, 175])  # below it a shadow, or blocks of a codec, hide the edges
def test_a_fan_between_the_angles_tried_is_placed_to_a_pixel(half_angle: float, deepest_row: int) -> None:
    """A half-angle a quarter of a degree off moves the corner of a fan of 200 pixels by more than one."""
    fan = Fan(float(np.tan(np.radians(half_angle))), 160.0, 7.0, 195.0, 22)
    seen = fan.mask((240, 320))
    middle = np.abs(np.arange(320) - 160) < 60
    seen[deepest_row:, ~middle] = False
    fitted = fit_fan(seen)
    assert fitted is not None
    assert np.abs(np.subtract(bounding_box(fitted.mask(seen.shape)), bounding_box(fan.mask(seen.shape)))).max() <= 1
