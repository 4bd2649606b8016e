"""NIfTI and MetaImage: axes, time, grey levels, spacing; and refusals by the header, before anything is inflated."""

from __future__ import annotations

import contextlib
import gzip
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
from generated_clips import fan_loop
from numpy.typing import NDArray

from mcsdr.errors import (
    McsdrError,
    MissingFile,
    NoFrameTime,
    NotBMode,
    SingleFrame,
    UnreadableFile,
    UnsupportedFormat,
)
from mcsdr.io import find_clips, read_clip, read_study
from mcsdr.io.metaimage import read_metaimage
from mcsdr.io.nifti import read_nifti
from mcsdr.io.square import square_pixels


def corner_loop(count: int = 12, height: int = 20, width: int = 30) -> NDArray[np.uint8]:
    """Frames [T, H, W] whose top right is bright and whose grey grows from frame to frame: no axis can be mistaken."""
    frames = np.zeros((count, height, width), dtype=np.uint8)
    frames[:, :5, 20:] = 200
    frames[:, 10:, :] = 5 * np.arange(count)[:, None, None]
    return frames


def save(
    path: Path,
    frames: NDArray[np.generic],
    zooms: tuple[float, ...] = (0.3, 0.3, 0.02),
    unit: str = "sec",
    kind: type = nibabel.Nifti1Image,
) -> Path:
    """Frames [T, H, W] with the axes X, Y, T."""
    image = kind(frames.transpose(2, 1, 0), np.diag([-0.3, -0.3, 1, 1]))
    image.header.set_zooms(zooms)
    image.header.set_xyzt_units("mm", unit)
    nibabel.save(image, path)
    return path


def changed(path: Path, at: int, layout: str, *values: float) -> Path:
    """The NIfTI file with header fields changed in place; zipped again where it was."""
    zipped = path.suffix == ".gz"
    content = bytearray(gzip.decompress(path.read_bytes()) if zipped else path.read_bytes())
    struct.pack_into(layout, content, at, *values)
    path.write_bytes(gzip.compress(bytes(content)) if zipped else bytes(content))
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_x_is_across_y_is_down_and_the_third_axis_is_time(tmp_path: Path, name: str, kind: type) -> None:
    recording = read_nifti(save(tmp_path / name, corner_loop(), kind=kind))
    np.testing.assert_array_equal(recording.frames, corner_loop())
    assert recording.frames.dtype == np.uint8
    np.testing.assert_allclose(np.diff(recording.frame_times_s), 0.02, rtol=1e-5)
    assert not recording.notices


def test_big_endian_files_are_read(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(corner_loop().transpose(2, 1, 0), np.eye(4), nibabel.Nifti1Header(endianness=">"))
    nibabel.save(image, tmp_path / "a.nii")
    assert (tmp_path / "a.nii").read_bytes()[:2] == b"\0\0"
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii", frame_rate_hz=40).frames, corner_loop())


def test_a_file_is_known_by_its_content_and_found_in_a_folder(tmp_path: Path) -> None:
    save(tmp_path / "loop.nii.gz", fan_loop(40, 120, 160)).rename(tmp_path / "whatever")
    save(tmp_path / "b.nii.gz", fan_loop(40, 120, 160))
    study = read_study(tmp_path / "whatever", view="A4C")
    assert study.clips[0].duration_s == pytest.approx(0.8)
    assert read_study(tmp_path / "b.nii.gz").study_id == "b"
    (tmp_path / "c.nii").write_text("no volume")
    with pytest.raises(UnreadableFile, match="something else"):
        read_clip(tmp_path / "c.nii")
    assert [path.name for path in find_clips(tmp_path)] == ["b.nii.gz", "c.nii", "whatever"]


def test_what_may_be_asked_of_any_clip_may_be_asked_of_a_volume(tmp_path: Path) -> None:
    with pytest.raises(McsdrError, match=r"lasts 0\.24 s"):
        read_clip(save(tmp_path / "short.nii", corner_loop()))


@pytest.mark.parametrize(("zooms", "unit", "hz"), [((1, 1, 20), "msec", 50), ((1, 1, 25000), "usec", 40)])
def test_the_time_step_has_a_unit(tmp_path: Path, zooms: tuple[float, ...], unit: str, hz: float) -> None:
    times = read_nifti(save(tmp_path / "a.nii", corner_loop(), zooms, unit)).frame_times_s
    assert 1 / (times[1] - times[0]) == pytest.approx(hz, rel=1e-5)


@pytest.mark.parametrize(("zooms", "unit"), [((1, 1, 1), "sec"), ((1, 1, 0.02), "unknown"), ((1, 1, 0), "sec")])
def test_no_plausible_time_step_is_no_time(tmp_path: Path, zooms: tuple[float, ...], unit: str) -> None:
    path = save(tmp_path / "a.nii", corner_loop(), zooms, unit)
    with pytest.raises(NoFrameTime, match="time between frames"):
        read_nifti(path)
    assert read_nifti(path, frame_rate_hz=40).frame_times_s[1] == pytest.approx(1 / 40)
    with pytest.raises(NoFrameTime, match="given frame rate"):
        read_nifti(path, frame_rate_hz=float("nan"))


def test_a_given_rate_that_contradicts_the_header_is_said(tmp_path: Path) -> None:
    (notice,) = read_nifti(save(tmp_path / "a.nii", corner_loop()), frame_rate_hz=25).notices
    assert notice.code == "frame-time-disagrees"


def test_a_singleton_axis_is_no_third_dimension(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(corner_loop().transpose(2, 1, 0)[:, :, None, :], np.eye(4))
    nibabel.save(image, tmp_path / "a.nii")
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii", frame_rate_hz=50).frames, corner_loop())


def test_float_levels_are_rescaled_and_said(tmp_path: Path) -> None:
    levels = fan_loop(40, 60, 80).astype(np.float32) * 0.01 - 0.5
    recording = read_nifti(save(tmp_path / "a.nii.gz", levels))
    assert recording.frames.min() == 0
    assert recording.frames.max() == 255
    rank = np.corrcoef(recording.frames.ravel(), levels.ravel())[0, 1]
    assert rank > 0.99
    assert [notice.code for notice in recording.notices] == ["grey-levels-rescaled"]


def test_one_wild_voxel_does_not_darken_the_rest(tmp_path: Path) -> None:
    levels = fan_loop(40, 60, 80).astype(np.float32) / 255.5
    levels[3, 5, 5], levels[4, 5, 5] = 1e30, np.nan
    frames = read_nifti(save(tmp_path / "a.nii", levels)).frames
    assert np.abs(frames.astype(float).mean() - fan_loop(40, 60, 80).mean()) < 12
    assert frames[4, 5, 5] == 0


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64])
def test_eight_bit_pictures_in_a_wider_type_stay_as_they_are(tmp_path: Path, dtype: type) -> None:
    recording = read_nifti(save(tmp_path / "a.nii", corner_loop().astype(dtype)))
    np.testing.assert_array_equal(recording.frames, corner_loop())
    assert not recording.notices


def test_the_scale_of_the_header_is_applied(tmp_path: Path) -> None:
    path = changed(save(tmp_path / "a.nii", corner_loop()), 112, "<ff", 0.5, 3.0)
    assert np.asarray(nibabel.load(path).dataobj).max() == 103  # 200 · 0.5 + 3
    frames = read_nifti(path).frames
    assert frames.max() == 255
    assert frames.min() == 0


def test_pixels_become_square(tmp_path: Path) -> None:
    circle = np.hypot(*np.mgrid[-40:40, -40:40]) < 30
    flat = np.repeat((200 * circle[::2]).astype(np.uint8)[None], 12, axis=0)  # rows twice as far apart as columns
    frames = read_nifti(save(tmp_path / "a.nii", flat, (0.15, 0.3, 0.02))).frames
    assert frames.shape == (12, 80, 80)
    seen = frames[0] > 100
    assert np.abs(int(seen.any(0).sum()) - int(seen.any(1).sum())) <= 2
    same = read_nifti(save(tmp_path / "b.nii", flat, (0.3, 0.305, 0.02))).frames
    np.testing.assert_array_equal(same, flat)


@pytest.mark.parametrize("spacing", [(0.0, 0.3), (float("nan"), 1.0), (1.0, 100.0)])
def test_senseless_spacing_changes_nothing(spacing: tuple[float, float]) -> None:
    frames, sensible = square_pixels(corner_loop(), spacing)
    assert not sensible
    np.testing.assert_array_equal(frames, corner_loop())


def test_what_is_no_moving_picture_is_refused_by_name(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.ones((8, 8), np.uint8), np.eye(4)), tmp_path / "still.nii")
    with pytest.raises(SingleFrame):
        read_nifti(tmp_path / "still.nii")
    nibabel.save(nibabel.Nifti1Image(np.ones((8, 8, 8, 4), np.uint8), np.eye(4)), tmp_path / "space.nii")
    with pytest.raises(UnsupportedFormat, match="3-D echo"):
        read_nifti(tmp_path / "space.nii", frame_rate_hz=50)
    labels = np.random.default_rng(0).integers(0, 4, (12, 20, 30)).astype(np.uint8)
    for name, volume in (("labels.nii.gz", labels), ("labels.nii", labels.astype(np.float32))):
        with pytest.raises(NotBMode, match="segmentation"):
            read_nifti(save(tmp_path / name, volume))
    colour = np.zeros((4, 4, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nibabel.save(nibabel.Nifti1Image(colour, np.eye(4)), tmp_path / "colour.nii")
    with pytest.raises(UnsupportedFormat, match="colour"):
        read_nifti(tmp_path / "colour.nii", frame_rate_hz=50)
    nibabel.save(nibabel.Nifti1Pair(corner_loop(), np.eye(4)), tmp_path / "pair.img")
    with pytest.raises(UnsupportedFormat, match="another file"):
        read_clip(tmp_path / "pair.hdr")


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    path = changed(save(tmp_path / "a.nii.gz", corner_loop()), 40, "<8h", 3, 4000, 4000, 19999, 1, 1, 1, 1)
    with pytest.raises(UnreadableFile, match="19999 frames of 4000 x 4000"):
        read_nifti(path)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_file_that_holds_more_or_less_than_it_declares(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, corner_loop())
    whole = gzip.decompress(path.read_bytes()) if name.endswith("gz") else path.read_bytes()
    pack = gzip.compress if name.endswith("gz") else bytes
    path.write_bytes(pack(whole + bytes(50 << 20 if name.endswith("gz") else 8)))
    with pytest.raises(UnreadableFile, match="more than"):
        read_nifti(path)
    path.write_bytes(pack(whole[:-100]))
    with pytest.raises(UnreadableFile, match="cut short"):
        read_nifti(path)


@pytest.mark.parametrize("keep", [1, 30, 200, 600])
def test_a_truncated_gzip_is_unreadable(tmp_path: Path, keep: int) -> None:
    path = save(tmp_path / "a.nii.gz", np.random.default_rng(0).integers(0, 255, (12, 20, 30)).astype(np.uint8))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UnreadableFile):
        read_nifti(path)
    with pytest.raises(McsdrError):
        read_clip(path)


def test_no_header_makes_another_error_than_ours(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    path = save(tmp_path / "a.nii", corner_loop(4, 6, 8))
    whole = path.read_bytes()
    for _ in range(400):
        damaged = bytearray(whole)
        for at in rng.integers(0, 352, 3):
            damaged[at] = rng.integers(0, 256)
        path.write_bytes(bytes(damaged))
        with contextlib.suppress(McsdrError):
            read_nifti(path, frame_rate_hz=50)


def header(**changes: str) -> str:
    """A MetaImage header of `corner_loop`."""
    fields = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "CompressedData": "False",
        "ElementSpacing": "0.3 0.3 1",
        "DimSize": "30 20 12",
        "ElementType": "MET_UCHAR",
        "ElementDataFile": "a.raw",
    }
    return "".join(f"{key} = {value}\n" for key, value in (fields | changes).items())


def test_metaimage_has_the_same_axes_and_no_time(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(corner_loop().tobytes())
    path = tmp_path / "a.mhd"
    path.write_text(header())
    with pytest.raises(NoFrameTime):
        read_metaimage(path)
    np.testing.assert_array_equal(read_metaimage(path, frame_rate_hz=50).frames, corner_loop())
    path.write_text(header(ElementSpacing="0.3 0.6 1"))
    assert read_metaimage(path, frame_rate_hz=50).frames.shape == (12, 40, 30)
    with pytest.raises(McsdrError, match=r"lasts 0\.24 s"):  # known by its content
        read_clip(path, frame_rate_hz=50)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"ElementType": "MET_FLOAT"}, UnreadableFile, "holds 7200 bytes, its header declares 28800"),
        ({"ElementType": "MET_LONG_LONG"}, UnsupportedFormat, "MET_LONG_LONG"),
        ({"BinaryData": "False"}, UnsupportedFormat, "BinaryData"),
        ({"NDims": "4", "DimSize": "30 20 12 2"}, UnsupportedFormat, "NDims = 4"),
        ({"CompressedData": "True"}, UnreadableFile, "compressed data"),
        ({"ElementNumberOfChannels": "3"}, UnsupportedFormat, "Channels"),
        ({"ElementDataFile": "../a.raw"}, UnsupportedFormat, "plain name"),
        ({"ElementDataFile": "/etc/hostname"}, UnsupportedFormat, "plain name"),
        ({"ElementDataFile": "LOCAL"}, UnreadableFile, "holds 0"),
        ({"ElementDataFile": "LIST"}, UnsupportedFormat, "plain name"),
        ({"ElementDataFile": "b.raw"}, MissingFile, "b.raw"),
        ({"DimSize": "30 20 13"}, UnreadableFile, "declares 7800"),
        ({"DimSize": "30 20"}, UnreadableFile, "DimSize"),
        ({"DimSize": "-30 -20 12"}, UnreadableFile, "DimSize"),
        ({"DimSize": "4000 4000 9999"}, UnreadableFile, "9999 frames"),
        ({"ElementSpacing": "wide"}, UnreadableFile, "decoded"),
    ],
)
def test_metaimage_headers_that_are_refused(
    tmp_path: Path, changes: dict[str, str], error: type[McsdrError], message: str
) -> None:
    (tmp_path / "a.raw").write_bytes(corner_loop().tobytes())
    path = tmp_path / "a.mhd"
    path.write_text(header(**changes))
    with pytest.raises(error, match=message):
        read_metaimage(path, frame_rate_hz=50)
