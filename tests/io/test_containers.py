"""Video of every container gives the same clip; what is meant to be skipped is not missing, what is cut is."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from generated_clips import Pictures, decoded_video, fan_loop, write_video
from PIL import Image

from mcsdr.errors import ClipTooShort, UnreadableFile, UnsupportedFormat
from mcsdr.io import read_clip
from mcsdr.io.finding import kind_of
from mcsdr.io.formats import named_as
from mcsdr.study import Clip

CONTAINERS = {
    "clip.avi": "mjpeg",
    "clip.mp4": "libx264",
    "clip.mov": "libx264",
    "clip.3gp": "libx264",
    "clip.mkv": "libx264",
    "clip.webm": "libvpx-vp9",
    "clip.wmv": "wmv2",
    "clip.mpg": "mpeg2video",
    "clip.ts": "libx264",
    "clip.flv": "flv",
}
SHARP = {
    "mjpeg": {"qmin": "2", "qmax": "3"},
    "flv": {"qmin": "1", "qmax": "2"},
    "libx264": {"crf": "12"},
    "libvpx-vp9": {"crf": "10", "b": "4M"},
}


@pytest.fixture(scope="module")
def loop() -> Pictures:
    return fan_loop(48, 120, 160)


@pytest.fixture(scope="module")
def clean(loop: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """The loop as an MJPG AVI, read."""
    return read_clip(write_video(tmp_path_factory.mktemp("clean") / "clip.avi", loop))


def written(path: Path, loop: Pictures, codec: str, *, aspect: tuple[int, int] | None = None) -> Path:
    """A video of the loop at 30 Hz."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=30, options=SHARP.get(codec, {"qmin": "2", "qmax": "4"}))
        stream.codec_context.thread_count = 3  # on one core encoders would write other bits than on two
        stream.height, stream.width = loop.shape[1:3]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = Fraction(*aspect)
        for picture in loop:
            frame = av.VideoFrame.from_ndarray(np.repeat(picture[..., None], 3, axis=2), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def same_place(clip: Clip, clean: Clip) -> bool:
    """Whether the edges of two crops lie within two pixels of each other."""
    assert clip.crop is not None
    assert clean.crop is not None
    one, other = (np.array([c.top, c.left, c.top + c.height, c.left + c.width]) for c in (clip.crop, clean.crop))
    return bool(np.abs(one - other).max() <= 2)


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_gives_the_same_clip(tmp_path: Path, loop: Pictures, clean: Clip, name: str) -> None:
    path = written(tmp_path / name, loop, CONTAINERS[name]).rename(tmp_path / "IM0001")
    kind = kind_of(path)
    assert kind is not None
    assert named_as(name) is kind
    clip = read_clip(path)
    assert len(clip.frames) == 48
    assert clip.frame_rate_hz == pytest.approx(30, rel=1e-3)
    assert not clip.notices
    assert np.abs(decoded_video(path).astype(int) - loop).mean() < 8
    assert same_place(clip, clean)


@pytest.mark.parametrize("name", ["clip.avi", "clip.mkv", "clip.webm", "clip.wmv", "clip.flv", "clip.mp4"])
def test_a_video_that_was_cut_short_is_refused(tmp_path: Path, loop: Pictures, name: str) -> None:
    path = written(tmp_path / name, loop, CONTAINERS[name])
    path.write_bytes(path.read_bytes()[: int(0.8 * path.stat().st_size)])
    with pytest.raises(UnreadableFile, match="cut short"):
        read_clip(path)


def test_an_mp4_with_its_table_in_front_that_was_cut_is_refused(tmp_path: Path, loop: Pictures) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream: Any = container.add_stream("libx264", rate=30)
        stream.height, stream.width, stream.pix_fmt = 120, 160, "yuv420p"
        for picture in loop:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="gray")))
        container.mux(stream.encode(None))
    assert len(read_clip(path).frames) == 48
    path.write_bytes(path.read_bytes()[: int(0.8 * path.stat().st_size)])
    with pytest.raises(
        UnreadableFile, match=r"declares 48 frames and holds [34]\d that can be decoded; it was cut short"
    ):
        read_clip(path)


def with_edit(content: bytes, start: int, length: int, movie_length: int) -> bytes:
    """An MP4 whose edit list shows only a part, in ticks of its media and of its movie."""
    at = content.index(b"elst") + 4
    version = content[at]
    assert content[at + 4 : at + 8] == b"\0\0\0\1"
    entry = struct.pack(">qq", movie_length, start) if version else struct.pack(">Ii", movie_length, start)
    assert length > 0
    return content[: at + 8] + entry + content[at + 8 + len(entry) :]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov"])
def test_what_an_edit_list_leaves_out_is_not_missing(tmp_path: Path, loop: Pictures, name: str) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=30, options={"bf": "2", "g": "100"})
        stream.height, stream.width, stream.pix_fmt = 120, 160, "yuv420p"
        for picture in loop:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="gray")))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    with av.open(str(path)) as container:
        tick = container.streams.video[0].time_base
    begin = int(12 / 30 / tick) + int(2 / 30 / tick)  # after the delay of two frames that are told ahead
    path.write_bytes(with_edit(content, begin, 1, 1000 * 36 // 30))
    clip = read_clip(path)
    assert len(clip.frames) == 36
    assert clip.frame_rate_hz == pytest.approx(30)
    assert not clip.notices


def empty_chunks(path: Path, loop: Pictures, kept: list[int], rate: int = 30) -> Path:
    """An AVI of some frames of a loop; where one is left out its chunk is empty, and holds the frame before it."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=rate, options=SHARP["mjpeg"])
        stream.height, stream.width, stream.pix_fmt = (*loop.shape[1:], "yuvj420p")
        for at, picture in zip(kept, loop, strict=False):
            frame = av.VideoFrame.from_ndarray(picture, format="gray").reformat(format="yuvj420p")
            frame.pts, frame.time_base = at, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_empty_chunks_of_an_avi_are_not_missing(tmp_path: Path, loop: Pictures) -> None:
    kept = [*[at for at in range(57) if at % 6 != 5][:47], 59]
    path = empty_chunks(tmp_path / "drops.avi", loop, kept)
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 60
    clip = read_clip(path)
    assert len(clip.frames) == 48
    assert clip.frame_rate_hz == pytest.approx(30)
    assert clip.frame_times_s == pytest.approx(np.array(kept) / 30)
    assert not clip.notices


def test_a_video_made_from_a_gif_has_the_rate_of_the_gif(tmp_path: Path, loop: Pictures) -> None:
    """Thirtieths on a clock of hundredths: 3, 3, 4; in an AVI all other hundredths are empty chunks."""
    kept = [round(100 * k / 30) for k in range(48)]
    clip = read_clip(empty_chunks(tmp_path / "gif.avi", loop, kept, rate=100))
    assert len(clip.frames) == 48
    assert clip.frame_rate_hz == pytest.approx(30, rel=2e-3)
    assert not clip.notices


def test_a_chunk_that_cannot_be_decoded_is_missing(tmp_path: Path, loop: Pictures) -> None:
    path = written(tmp_path / "clip.avi", loop, "mjpeg")
    content = bytearray(path.read_bytes())
    starts = [
        at
        for at in range(len(content) - 4)
        if content[at : at + 4] == b"00dc" and content[at + 8 : at + 10] == b"\xff\xd8"
    ]
    assert len(starts) == 48
    for lost, code in ((1, "frames-missing"), (8, None)):
        damaged = bytearray(content)
        for at in starts[10 : 10 + lost]:
            length = struct.unpack("<I", content[at + 4 : at + 8])[0]
            damaged[at + 8 : at + 8 + length] = bytes(length)
        path.write_bytes(damaged)
        if code:
            assert [notice.code for notice in read_clip(path).notices] == [code]
        else:
            with pytest.raises(UnreadableFile, match="declares 48 frames and holds 40"):
                read_clip(path)


@pytest.fixture(scope="module")
def wide() -> Pictures:
    """A loop large enough that a codec's blocks do not reach over the rim of the fan."""
    return fan_loop(20, 240, 320)


@pytest.fixture(scope="module")
def wide_clean(wide: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Clip:
    return read_clip(write_video(tmp_path_factory.mktemp("wide") / "clip.avi", wide))


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.mp4", "mpeg4"),
        ("a.mov", "libx264"),
        ("a.mov", "mpeg4"),
        ("a.mkv", "libx264"),
        ("a.avi", "mpeg4"),
        ("a.avi", "mjpeg"),
        ("a.ts", "libx264"),
    ],
)
@pytest.mark.parametrize("aspect", [(2, 1), (1, 2), (4, 3)])
def test_pixels_become_square(
    tmp_path: Path, wide: Pictures, wide_clean: Clip, name: str, codec: str, aspect: tuple[int, int]
) -> None:
    """The loop squeezed as the aspect says comes out as it was, its crop within two pixels."""
    across, down = aspect
    size = (320 * down // across, 240) if across > down else (320, 240 * across // down)
    squeezed = [np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX)) for picture in wide]
    clip = read_clip(written(tmp_path / name, np.stack(squeezed), codec, aspect=aspect))
    assert len(clip.frames) == 20
    assert clip.frame_rate_hz == pytest.approx(30, rel=1e-3)
    assert clip.overview is not None
    assert clip.overview.shape == (240, 320)
    assert same_place(clip, wide_clean)


MATRICES = {
    "upright": ((1, 0, 0, 1), lambda p: p),
    "quarter turn left": ((0, -1, 1, 0), lambda p: np.rot90(p, 1, (1, 2))),
    "half turn": ((-1, 0, 0, -1), lambda p: np.rot90(p, 2, (1, 2))),
    "quarter turn right": ((0, 1, -1, 0), lambda p: np.rot90(p, 3, (1, 2))),
    "mirrored": ((-1, 0, 0, 1), lambda p: p[:, :, ::-1]),
}


@pytest.mark.parametrize("name", MATRICES)
def test_the_display_matrix_is_applied(tmp_path: Path, loop: Pictures, name: str) -> None:
    (a, b, c, d), shown = MATRICES[name]
    path = written(tmp_path / "phone.mp4", loop, "libx264")
    upright = decoded_video(path)
    content = path.read_bytes()
    at = content.index(b"tkhd") + 4 + 40  # version 0: the matrix begins 40 bytes after the flags
    assert content[at : at + 4] == struct.pack(">i", 1 << 16)
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(content[:at] + matrix + content[at + 36 :])
    assert np.array_equal(decoded_video(path), shown(upright))


def test_sound_alone_and_short_films_are_named(tmp_path: Path, loop: Pictures) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), dtype=np.float32), format="fltp", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(UnsupportedFormat, match="no video"):
        read_clip(path)
    with pytest.raises(ClipTooShort):
        read_clip(written(tmp_path / "short.mkv", loop[:10], "libx264"))
