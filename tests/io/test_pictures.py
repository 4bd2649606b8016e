"""Animated GIF and WebP, multi-page TIFF, folders of numbered pictures."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from generated_clips import Pictures, fan_loop, screen_loop
from PIL import Image

from mcsdr.errors import McsdrError, NoFrameTime, SingleFrame, UnreadableFile, UnsupportedFormat
from mcsdr.io import find_clips, read_clip, survey
from mcsdr.io.pictures import read_folder, read_gif, read_tiff, read_webp


@pytest.fixture(scope="module")
def loop() -> Pictures:
    return fan_loop(30, 120, 160)


def animated(path: Path, loop: Pictures, duration: int | list[int] | None, **options: object) -> Path:
    """The loop as pictures in one file, each staying for so many milliseconds."""
    first, *rest = (Image.fromarray(picture) for picture in loop)
    stay = {} if duration is None else {"duration": duration}
    first.save(path, save_all=True, append_images=rest, **stay, **options)  # type: ignore[arg-type]
    return path


def test_a_gif_has_the_frames_and_the_rate_that_it_says(tmp_path: Path, loop: Pictures) -> None:
    path = animated(tmp_path / "loop.gif", loop, 40).rename(tmp_path / "loop")
    recording = read_gif(path)
    assert np.array_equal(recording.frames, loop)
    assert recording.frame_times_s == pytest.approx(np.arange(30) / 25)
    clip = read_clip(path)
    assert clip.frame_rate_hz == pytest.approx(25)
    assert clip.crop is not None
    for side, axis in ((clip.crop.height, 2), (clip.crop.width, 1)):
        assert abs(side - np.flatnonzero(loop.any(axis=(0, axis))).size) <= 2
    assert [notice.code for notice in read_clip(path, frame_rate_hz=50).notices] == [
        "frame-time-disagrees",
        "may-hold-less-than-one-beat",
    ]


def test_hundredths_of_a_second_that_stand_for_thirtieths(tmp_path: Path, loop: Pictures) -> None:
    at = np.round(100 * np.arange(31) / 30)
    recording = read_gif(animated(tmp_path / "loop.gif", loop, (10 * np.diff(at)).astype(int).tolist()))
    assert recording.frame_times_s == pytest.approx(np.arange(30) / 30)


def test_equal_neighbours_that_a_gif_keeps_once_are_counted_at_a_given_rate(tmp_path: Path, loop: Pictures) -> None:
    film = loop.copy()
    film[12:14] = film[11]
    path = animated(tmp_path / "loop.gif", film, 40)
    recording = read_gif(path, frame_rate_hz=30)
    assert np.array_equal(recording.frames, np.delete(film, [12, 13], axis=0))
    assert recording.frame_times_s == pytest.approx(np.delete(np.arange(30), [12, 13]) / 30)


def test_a_gif_without_delays_has_no_time(tmp_path: Path, loop: Pictures) -> None:
    path = animated(tmp_path / "loop.gif", loop, 0)
    with pytest.raises(NoFrameTime, match="how long each picture stays"):
        read_gif(path)
    assert read_gif(path, frame_rate_hz=50).frame_times_s[-1] == pytest.approx(29 / 50)


def test_a_webp_is_read(tmp_path: Path, loop: Pictures) -> None:
    path = animated(tmp_path / "loop.webp", loop, 33, lossless=True)
    recording = read_webp(path)
    assert np.abs(recording.frames.astype(int) - loop).max() <= 1
    assert read_clip(path).frame_rate_hz == pytest.approx(1000 / 33, rel=1e-3)


@pytest.mark.parametrize("kind", ["grey", "colour", "16 bit"])
def test_a_tiff_is_read_at_a_given_rate(tmp_path: Path, loop: Pictures, kind: str) -> None:
    pages = {"grey": loop, "colour": np.repeat(loop[..., None], 3, axis=3), "16 bit": loop.astype(np.uint16) * 257}
    path = animated(tmp_path / "loop.tif", pages[kind], None)
    with pytest.raises(NoFrameTime):
        read_clip(path)
    recording = read_tiff(path, frame_rate_hz=40)
    assert np.array_equal(recording.frames, loop)
    assert len(recording.colour) == (0 if kind != "colour" else len(recording.colour))
    assert bool(len(recording.colour)) == (kind == "colour")


def test_pixels_of_a_tiff_become_square(tmp_path: Path, loop: Pictures) -> None:
    path = animated(tmp_path / "loop.tif", loop[:, ::2], None, dpi=(200, 100))
    assert read_tiff(path, frame_rate_hz=40).frames.shape == (30, 120, 160)


def test_single_pictures_are_no_loop(tmp_path: Path, loop: Pictures) -> None:
    for name in ("one.gif", "one.webp", "one.tif"):
        Image.fromarray(loop[0]).save(tmp_path / name)
        with pytest.raises(SingleFrame):
            read_clip(tmp_path / name, frame_rate_hz=30)
    Image.fromarray(loop[0]).save(tmp_path / "one.png")
    with pytest.raises(UnsupportedFormat, match="single picture") as caught:
        read_clip(tmp_path / "one.png", frame_rate_hz=30)
    assert "folder of their own" in caught.value.next_step


@pytest.mark.parametrize("suffix", ["png", "bmp", "jpg", "tif"])
def test_numbered_pictures_of_a_folder_are_a_clip(tmp_path: Path, suffix: str) -> None:
    loop = screen_loop(24)
    folder = tmp_path / "study" / "loop"
    folder.mkdir(parents=True)
    for number, picture in enumerate(loop, start=1):  # 10 after 9, not after 1
        Image.fromarray(picture).save(folder / f"frame {number}.{suffix}")
    (folder / "notes.txt").write_text("apical")
    (tmp_path / "study" / "readme.txt").write_text("study")
    found = survey(tmp_path)
    assert found.clips == [folder]
    assert found.passed_over == {"text or table": 2}
    with pytest.raises(NoFrameTime):
        read_clip(folder)
    clip = read_clip(folder, frame_rate_hz=30)
    assert len(clip.frames) == 24
    assert clip.source == "loop"
    frames = read_folder(folder, frame_rate_hz=30).frames
    grey = loop.astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(frames - grey).mean() < (1 if suffix != "jpg" else 6)


def test_other_pictures_are_passed_over_and_counted(tmp_path: Path, loop: Pictures) -> None:
    names = ["a1.png", "a2.png", "b1.png", *(f"c{n}.png" for n in range(1, 12) if n != 5)]
    for name in names:
        Image.fromarray(loop[0]).save(tmp_path / name)
    assert survey(tmp_path).passed_over == {"single picture": 13}
    assert find_clips(tmp_path) == []
    with pytest.raises(UnsupportedFormat, match="its pictures are of 3 series"):
        read_clip(tmp_path, frame_rate_hz=30)
    for name in names[:3]:
        (tmp_path / name).unlink()
    with pytest.raises(UnsupportedFormat, match="numbered 1 to 11, but 5 is missing"):
        read_clip(tmp_path, frame_rate_hz=30)


def test_a_folder_whose_pictures_differ_in_size_is_refused(tmp_path: Path, loop: Pictures) -> None:
    for number in range(10):
        Image.fromarray(loop[number][: 120 - (number == 7)]).save(tmp_path / f"{number}.png")
    with pytest.raises(UnreadableFile, match="changes from frame to frame"):
        read_folder(tmp_path, frame_rate_hz=30)


def animated_as(path: Path, loop: Pictures) -> bytes:
    return animated(path, loop, None if path.suffix == ".tif" else 40).read_bytes()


@pytest.mark.parametrize("name", ["loop.gif", "loop.webp", "loop.tif"])
def test_files_that_are_changed_give_errors_of_this_package(tmp_path: Path, loop: Pictures, name: str) -> None:
    content = animated_as(tmp_path / name, loop)
    rng = np.random.default_rng(3)
    for seed in range(24):
        changed = bytearray(content)
        for at in rng.integers(6, len(content), 1 + seed):
            changed[at] = rng.integers(256)
        (tmp_path / "mutant").write_bytes(changed)
        with contextlib.suppress(McsdrError):
            assert len(read_clip(tmp_path / "mutant", frame_rate_hz=25).frames) <= 31


@pytest.mark.parametrize("name", ["loop.gif", "loop.webp", "loop.tif"])
@pytest.mark.parametrize("share", [0.2, 0.6, 0.9, 0.96])
def test_a_file_that_was_cut_short_is_never_passed_over(
    tmp_path: Path, loop: Pictures, name: str, share: float
) -> None:
    content = animated_as(tmp_path / name, loop)
    (tmp_path / "cut").write_bytes(content[: int(share * len(content))])
    with pytest.raises(UnreadableFile):
        read_clip(tmp_path / "cut", frame_rate_hz=25)
