"""Videos: levels, times, counts, refusals; and no error but one of this package's, whatever the bytes."""

from __future__ import annotations

import contextlib
import struct
import time
from fractions import Fraction
from pathlib import Path

import av
import av.filter
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from generated_clips import Pictures, decoded_video, doppler_loop, fan_loop, write_video

from mcsdr.errors import (
    ClipTooShort,
    InvalidAttributes,
    InvalidConfig,
    McsdrError,
    MissingFile,
    NoFrameTime,
    NotBMode,
    SingleFrame,
    UnreadableFile,
    UnsupportedFormat,
)
from mcsdr.io import find_clips, read_clip, read_study
from mcsdr.io.planes import converted, full_range_luma
from mcsdr.io.video import frame_times
from mcsdr.study import View


@pytest.fixture(scope="module")
def avi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small MJPG clip of 60 frames at 30 Hz."""
    return write_video(tmp_path_factory.mktemp("avi") / "clip.avi", fan_loop(60, 120, 160))


def avi_field(content: bytes, chunk: bytes, offset: int, value: int) -> bytes:
    """The bytes of an AVI with one 32-bit header field changed, counted from the chunk's data."""
    at = content.index(chunk) + 8 + offset
    return content[:at] + struct.pack("<I", value) + content[at + 4 :]


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mjpeg"), ("a.mp4", "libx264"), ("a.mov", "libx264")])
def test_black_is_0_and_white_is_255_whatever_the_range(tmp_path: Path, name: str, codec: str) -> None:
    steps = np.repeat(np.array([0, 64, 128, 192, 255], dtype=np.uint8), 32)
    frames = np.broadcast_to(steps, (20, 96, 160))
    path = write_video(tmp_path / name, frames, codec=codec)
    seen = decoded_video(path)[:, :, 16::32].mean(axis=(0, 1))
    assert np.abs(seen - [0, 64, 128, 192, 255]).max() < 2.5


def test_a_study_carries_frames_times_and_what_the_caller_said(avi: Path) -> None:
    study = read_study(avi, age=63, sex="female", weight=70, height=172, view="A4C")
    clip = study.clips[0]
    assert clip.frames.dtype == np.uint8
    assert len(clip.frames) == len(clip.frame_times_s) == 60
    assert clip.frame_rate_hz == pytest.approx(30.0)
    assert clip.duration_s == pytest.approx(2.0)
    assert (clip.view, clip.source, study.study_id) == (View.A4C, "clip.avi", "clip")
    assert study.attributes.known() == {"age_years": 63, "sex": "F", "weight_kg": 70, "height_cm": 172}
    assert study.all_notices == ()


def test_attributes_and_view_of_the_caller_are_checked(avi: Path) -> None:
    with pytest.raises(InvalidAttributes):
        read_study(avi, age=630)
    with pytest.raises(InvalidAttributes):
        read_study(avi, sex="unknown thing")
    with pytest.raises(InvalidConfig):
        read_study(avi, view="A9C")


def test_avi_cut_in_half_is_an_error_with_both_counts_and_a_next_step(avi: Path, tmp_path: Path) -> None:
    content = avi.read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableFile, match=r"declares 60 frames and holds \d\d that can be decoded") as caught:
        read_study(cut)
    assert "again" in caught.value.next_step


def test_the_loss_of_a_frame_or_two_is_a_notice(avi: Path, tmp_path: Path) -> None:
    path = tmp_path / "declares-62.avi"
    path.write_bytes(avi_field(avi.read_bytes(), b"strh", 32, 62))
    (notice,) = read_clip(path).notices
    assert notice.code == "frames-missing"
    assert "62" in notice.text
    assert "60" in notice.text


def test_mp4_cut_in_half_is_an_error(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", fan_loop(40, 120, 160), codec="libx264")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableFile):
        read_study(path)


@pytest.mark.parametrize(("rate", "scale"), [(10**9, 1), (1, 1), (1, 10**6)])
def test_absurd_frame_rates_are_refused_until_one_is_given(avi: Path, tmp_path: Path, rate: int, scale: int) -> None:
    content = avi_field(avi.read_bytes(), b"strh", 20, scale)
    path = tmp_path / "rate.avi"
    path.write_bytes(avi_field(content, b"strh", 24, rate))
    with pytest.raises(NoFrameTime, match="frame"):
        read_clip(path)
    assert read_clip(path, frame_rate_hz=25).duration_s == pytest.approx(60 / 25)


def given_other_times(path: Path, times: int) -> Path:
    """The same coded frames in a container that shows each so many times as long."""
    copy = path.with_name(f"slow{path.suffix}")
    with av.open(str(path)) as container, av.open(str(copy), "w") as slow:
        stream = container.streams.video[0]
        shown = slow.add_stream_from_template(stream)
        for packet in container.demux(stream):
            if packet.dts is not None and packet.pts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts * times, packet.dts * times, shown
                slow.mux(packet)
    return copy


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_a_stream_that_was_given_half_its_rate_says_so(tmp_path: Path, codec: str) -> None:
    path = write_video(tmp_path / "a.mp4", fan_loop(66, 96, 128), codec=codec, rate=60)
    assert read_clip(path).notices == ()
    clip = read_clip(given_other_times(path, 2))
    assert clip.frame_rate_hz == pytest.approx(30, rel=0.02)
    (notice,) = clip.notices
    assert notice.code == "frame-time-disagrees"
    assert "its coded stream 60 Hz" in notice.text


def test_times_come_from_stamps_then_from_the_average_rate() -> None:
    path = Path("clip.mp4")
    stamps: list[float | None] = [0.0, 0.03, 0.07, 0.10]
    times, notices = frame_times(stamps, 30.0, None, path)
    assert times.tolist() == stamps
    assert notices == ()
    times, notices = frame_times([0.0, 0.0, None, 0.10], 25.0, None, path)
    assert times.tolist() == pytest.approx([0.0, 0.04, 0.08, 0.12])
    assert [notice.code for notice in notices] == ["frame-times-uneven"]
    times, notices = frame_times(stamps, 30.0, 50.0, path)
    assert times[1] == pytest.approx(0.02)
    assert [notice.code for notice in notices] == ["frame-time-disagrees"]
    for rate in (None, float("nan"), 0.0, 1e9):
        with pytest.raises(NoFrameTime):
            frame_times([None] * 4, rate, None, path)
    for given in (0.0, float("nan"), -30.0, 1e9):
        with pytest.raises(NoFrameTime):
            frame_times(stamps, 30.0, given, path)


def test_short_clips_and_stills_are_refused_and_doubtful_ones_noted(tmp_path: Path) -> None:
    frames = fan_loop(24, 120, 160)
    with pytest.raises(SingleFrame):
        read_clip(write_video(tmp_path / "one.avi", frames[:1]))
    with pytest.raises(ClipTooShort):
        read_clip(write_video(tmp_path / "short.avi", frames[:10]))
    clip = read_clip(write_video(tmp_path / "beat.avi", frames))
    assert [notice.code for notice in clip.notices] == ["may-hold-less-than-one-beat"]


@pytest.mark.parametrize(("name", "codec"), [("flow.avi", "mjpeg"), ("flow.mp4", "libx264")])
def test_colour_doppler_is_refused_from_its_pixels(tmp_path: Path, name: str, codec: str) -> None:
    with pytest.raises(NotBMode, match="Doppler"):
        read_study(write_video(tmp_path / name, doppler_loop(24), codec=codec))


def test_trace_and_buttons_in_colour_are_not_refused(screen: Pictures, tmp_path: Path) -> None:
    assert len(read_clip(write_video(tmp_path / "screen.avi", screen)).frames) == 40


def test_what_is_no_clip_is_named_for_what_it_is(tmp_path: Path) -> None:
    cases: list[tuple[str, bytes, type[McsdrError]]] = [
        ("notes.avi", b"FileName,EF\n0X1,55\n", UnreadableFile),
        ("empty.avi", b"", UnreadableFile),
        ("program.mp4", b"MZ" + bytes(400), UnreadableFile),
        ("wave.avi", b"RIFF\0\0\0\0WAVEfmt " + bytes(300), UnreadableFile),
        ("head.avi", b"RIFF\0\0\0\0AVI LIST", UnreadableFile),
        ("letter.txt", b"Dear doctor", UnsupportedFormat),
    ]
    for name, content, kind in cases:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(kind):
            read_study(tmp_path / name)
    for missing in ("gone.avi", "nul\0.avi"):
        with pytest.raises(MissingFile):
            read_study(tmp_path / missing)
    with pytest.raises(UnsupportedFormat):
        read_study(tmp_path)


def test_a_playlist_in_disguise_reads_no_other_file(avi: Path, tmp_path: Path) -> None:
    path = tmp_path / "list.avi"
    path.write_text(f"ffconcat version 1.0\nfile '{avi}'\n")
    with pytest.raises(UnreadableFile):
        read_study(path)


def test_forged_sizes_are_refused_quickly(avi: Path, tmp_path: Path) -> None:
    content = avi.read_bytes()
    wide = avi_field(avi_field(content, b"strf", 4, 65_000), b"strf", 8, 65_000)
    at = content.index(b"\xff\xc0") + 5  # the size inside the first JPEG image
    for name, forged in (
        ("many", avi_field(content, b"strh", 32, 0xFFFFFFFF)),
        ("wide", wide),
        ("jpeg", content[:at] + b"\xfd\xe8\xfd\xe8" + content[at + 4 :]),
    ):
        path = tmp_path / f"{name}.avi"
        path.write_bytes(forged)
        start = time.monotonic()
        with contextlib.suppress(UnreadableFile):
            assert read_clip(path).frames[0].size <= 120 * 160
        assert time.monotonic() - start < 5.0  # a guard against hanging, not a measure of speed


def test_mutated_videos_raise_only_errors_of_this_package(avi: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    mp4 = write_video(tmp_path / "clip.mp4", fan_loop(24, 64, 64), codec="libx264")
    path = tmp_path / "mutant.bin"
    for seed in range(60):
        content = bytearray((avi if seed % 2 else mp4).read_bytes())
        reach = len(content) if seed % 3 else min(len(content), 600)  # every third time, the header only
        for at in rng.integers(12, reach, 1 + seed % 20):
            content[at] = rng.integers(256)
        if seed % 5 == 0:
            del content[int(rng.integers(20, len(content))) :]
        path.write_bytes(content)
        with contextlib.suppress(McsdrError):
            assert np.all(np.diff(read_clip(path).frame_times_s) > 0)


def test_find_clips_lists_candidates_in_order(avi: Path, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    magic = bytes(128) + b"DICM"
    for name in ("b/x.AVI", "a.mp4", "IM0001", "1.2.840.113.77", "DICOMDIR", ".hidden.avi", "c.dcm"):
        (tmp_path / name).write_bytes(magic)
    for name in ("FileList.csv", "README", "1.2.3"):
        (tmp_path / name).write_bytes(b"no clip")
    found = [path.relative_to(tmp_path).as_posix() for path in find_clips(tmp_path)]
    assert found == ["1.2.840.113.77", "IM0001", "a.mp4", "b/x.AVI", "c.dcm"]
    assert find_clips(str(avi)) == [avi]
    with pytest.raises(MissingFile):
        find_clips(tmp_path / "gone")


def upside_down(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame with its rows stored from the bottom up, as some raw AVIs hold them."""
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 30)),
        graph.add("vflip"),
        graph.add("buffersink"),
    ).configure()
    graph.push(frame)
    return graph.pull()


@pytest.mark.parametrize(
    ("layout", "full"), [("gray", True), ("yuvj420p", True), ("yuvj444p", True), ("yuv420p", False)]
)
def test_luma_that_is_taken_as_it_stands_is_what_the_converter_makes(layout: str, full: bool) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (48, 70, 3), dtype=np.uint8)
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=layout)
    taken = full_range_luma(frame, layout)
    assert (taken is not None) == full
    if taken is not None:
        assert np.array_equal(taken, converted(VideoReformatter(), frame, "gray"))
        assert full_range_luma(upside_down(frame), layout) is None  # no buffer says where its rows begin
