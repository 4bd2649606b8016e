"""NumPy arrays, NRRD, and MetaImage in one file or compressed: axes, rates, refusals."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generated_clips import Pictures, fan_loop

from mcsdr.errors import McsdrError, NoFrameTime, UnreadableFile, UnsupportedFormat
from mcsdr.io import read_clip, survey
from mcsdr.io.arrays import read_npy, read_npz
from mcsdr.io.metaimage import read_metaimage
from mcsdr.io.nrrd import read_nrrd


@pytest.fixture(scope="module")
def loop() -> Pictures:
    return fan_loop(30, 120, 160)


@pytest.mark.parametrize("layout", ["thw", "thwc", "tchw", "th1w", "fortran", "float", "shares", "16 bit"])
def test_an_array_of_frames_is_read_at_a_given_rate(tmp_path: Path, loop: Pictures, layout: str) -> None:
    arrays: dict[str, Any] = {
        "thw": loop,
        "thwc": np.repeat(loop[..., None], 3, axis=3),
        "tchw": np.repeat(loop[:, None], 3, axis=1),
        "th1w": loop[:, None],
        "fortran": np.asfortranarray(loop),
        "float": loop.astype(np.float64),
        "shares": loop / np.float32(255),
        "16 bit": loop.astype(np.uint16),
    }
    np.save(tmp_path / "a.npy", arrays[layout])
    path = (tmp_path / "a.npy").rename(tmp_path / "array")
    with pytest.raises(NoFrameTime):
        read_clip(path)
    recording = read_npy(path, frame_rate_hz=40)
    assert np.array_equal(recording.frames, loop)
    assert recording.frame_times_s[1] == pytest.approx(1 / 40)
    assert bool(len(recording.colour)) == (layout in ("thwc", "tchw"))
    clip = read_clip(path, frame_rate_hz=40)
    assert clip.crop is not None
    assert clip.crop.height < 110


def test_time_behind_the_picture_is_no_picture(tmp_path: Path, loop: Pictures) -> None:
    np.save(tmp_path / "a.npy", np.moveaxis(loop, 0, -1))
    with pytest.raises(UnsupportedFormat, match="120 x 160 x 30"):
        read_clip(tmp_path / "a.npy", frame_rate_hz=40)


def test_an_archive_states_its_rate_or_its_times(tmp_path: Path, loop: Pictures) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, frames=loop, frame_rate_hz=48.0, note=np.zeros(3))
    assert read_clip(path).frame_rate_hz == pytest.approx(48)
    assert [n.code for n in read_clip(path, frame_rate_hz=30).notices] == ["frame-time-disagrees"]
    np.savez(path, video=loop, fps=np.array([25]))
    assert read_clip(path).frame_rate_hz == pytest.approx(25)
    times = 3 + np.cumsum(np.random.default_rng(0).uniform(0.03, 0.05, 30))
    np.savez(path, loop, frame_times_s=times)
    assert read_clip(path).frame_times_s == pytest.approx(times - times[0])
    np.savez(path, frames=loop)
    with pytest.raises(NoFrameTime):
        read_clip(path)
    np.savez(path, frames=loop, fps=5e6)
    with pytest.raises(NoFrameTime):
        read_clip(path)
    np.savez(path, frames=loop, times=times[:7])
    with pytest.raises(UnreadableFile, match="30 frames and 7 times"):
        read_clip(path)
    np.savez(path, a=loop, b=loop)
    with pytest.raises(UnsupportedFormat, match="none of them called frames"):
        read_clip(path)


def test_arrays_that_are_no_clip_are_refused_before_they_are_read(tmp_path: Path, loop: Pictures) -> None:
    path = tmp_path / "a.npy"
    for array, error in (
        (np.zeros((4, 5)), UnreadableFile),  # a table: its suffix claims a clip
        (np.zeros((4, 5, 6, 7)), UnsupportedFormat),
        (np.array([[["a"]]]), UnsupportedFormat),
    ):
        np.save(path, array)
        with pytest.raises(error):
            read_clip(path, frame_rate_hz=30)
    np.save(path, np.array([[[{}]]], dtype=object), allow_pickle=True)
    with pytest.raises(UnsupportedFormat, match="object"):
        read_clip(path, frame_rate_hz=30)
    np.save(path, loop)
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(UnreadableFile, match="cut short"):
        read_clip(path, frame_rate_hz=30)
    path.write_bytes(content.replace(b"(30, 120, 160)", b"(30, 120, 99160)"[:14]).replace(b"(30,", b"(9930,"[:4]))
    with pytest.raises(McsdrError):
        read_clip(path, frame_rate_hz=30)
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        header = (
            b"\x93NUMPY\1\0v\0"
            + b"{'descr': '|u1', 'fortran_order': False, 'shape': (9999, 4000, 4000), }".ljust(117)
            + b"\n"
        )
        archive.writestr("frames.npy", header + bytes(4 << 20))
    with pytest.raises(UnreadableFile, match="9999 frames"):
        read_clip(tmp_path / "bomb.npz", frame_rate_hz=30)


def nrrd(
    loop: Pictures, *lines: str, encoding: str = "raw", sizes: str = "160 120 30", data: bytes | None = None
) -> bytes:
    """A loop as NRRD."""
    content = loop.tobytes() if data is None else data
    content = gzip.compress(content) if encoding == "gzip" else content
    header = ["NRRD0004", "# made by a test", "type: uint8", f"dimension: {len(sizes.split())}", f"sizes: {sizes}"]
    return "\n".join([*header, f"encoding: {encoding}", *lines, "", ""]).encode() + content


def test_an_nrrd_is_read_raw_and_zipped(tmp_path: Path, loop: Pictures) -> None:
    path = tmp_path / "whatever"
    for encoding in ("raw", "gzip"):
        path.write_bytes(nrrd(loop, encoding=encoding))
        with pytest.raises(NoFrameTime):
            read_clip(path)
        assert np.array_equal(read_nrrd(path, frame_rate_hz=30).frames, loop)
    path.write_bytes(nrrd(loop, 'units: "mm" "mm" "ms"', "spacings: 0.5 0.5 20"))
    recording = read_nrrd(path)
    assert np.array_equal(recording.frames, loop)
    assert recording.frame_times_s[1] == pytest.approx(0.02)
    path.write_bytes(nrrd(loop[:, ::2], "space directions: (0.5,0,0) (0,1,0) none", sizes="160 60 30"))
    assert read_nrrd(path, frame_rate_hz=30).frames.shape == (30, 120, 160)


def test_a_sequence_of_slicer_has_its_time_first(tmp_path: Path, loop: Pictures) -> None:
    path = tmp_path / "a.nrrd"
    first = np.ascontiguousarray(loop.transpose(1, 2, 0))  # in memory y, x, t: t varies fastest
    path.write_bytes(nrrd(loop, "kinds: list domain domain domain", sizes="30 160 120 1", data=first.tobytes()))
    assert np.array_equal(read_nrrd(path, frame_rate_hz=30).frames, loop)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (("encoding", "bzip2"), UnsupportedFormat, "bzip2"),
        (("data file: a.raw",), UnsupportedFormat, "another file"),
        (("kinds: RGB-color domain domain",), UnsupportedFormat, "colour"),
        (("sizes", "160 120 31"), UnreadableFile, "cut short"),
        (("sizes", "160 120 29"), UnreadableFile, "more than"),
        (("sizes", "160 3600"), UnsupportedFormat, "no 2-D sequence"),
        (("sizes", "4000 4000 9999"), UnreadableFile, "9999 frames"),
        (("sizes", "-1 2 3"), UnreadableFile, "usable sizes"),
    ],
)
def test_an_nrrd_that_is_refused(
    tmp_path: Path, loop: Pictures, content: tuple[str, ...], error: type[McsdrError], message: str
) -> None:
    path = tmp_path / "a.nrrd"
    path.write_bytes(nrrd(loop, *content) if len(content) == 1 else nrrd(loop, **{content[0]: content[1]}))  # type: ignore[arg-type]
    with pytest.raises(error, match=message):
        read_nrrd(path, frame_rate_hz=30)


def metaimage(data_file: str, *lines: str, kind: str = "MET_UCHAR") -> bytes:
    header = ["ObjectType = Image", "NDims = 3", "DimSize = 160 120 30", f"ElementType = {kind}", *lines]
    return "\n".join([*header, f"ElementDataFile = {data_file}", ""]).encode()


def test_metaimage_in_one_file_and_compressed(tmp_path: Path, loop: Pictures) -> None:
    path, packed = tmp_path / "a.mha", zlib.compress(loop.tobytes())
    path.write_bytes(metaimage("LOCAL") + loop.tobytes())
    assert np.array_equal(read_metaimage(path, frame_rate_hz=30).frames, loop)
    path.write_bytes(metaimage("LOCAL", "CompressedData = True") + packed)
    assert np.array_equal(read_metaimage(path, frame_rate_hz=30).frames, loop)
    path.write_bytes(metaimage("LOCAL", "CompressedData = True") + packed[:-500])
    with pytest.raises(UnreadableFile):
        read_metaimage(path, frame_rate_hz=30)
    bomb = zlib.compress(bytes(64 << 20))
    path.write_bytes(metaimage("LOCAL", "CompressedData = True") + bomb)
    with pytest.raises(UnreadableFile, match="more than"):
        read_metaimage(path, frame_rate_hz=30)
    header = tmp_path / "b.mhd"
    header.write_bytes(metaimage("b.zraw", "CompressedData = True", f"CompressedDataSize = {len(packed)}"))
    (tmp_path / "b.zraw").write_bytes(packed)
    assert np.array_equal(read_metaimage(header, frame_rate_hz=30).frames, loop)
    found = survey(tmp_path)
    assert found.clips == [path, header]
    assert found.passed_over == {"raw data": 1}


def test_metaimage_of_wider_numbers_in_either_order(tmp_path: Path, loop: Pictures) -> None:
    path = tmp_path / "a.mha"
    for big in ("True", "False"):
        content = loop.astype(">u2" if big == "True" else "<u2").tobytes()
        path.write_bytes(metaimage("LOCAL", f"BinaryDataByteOrderMSB = {big}", kind="MET_USHORT") + content)
        assert np.array_equal(read_metaimage(path, frame_rate_hz=30).frames, loop)


def test_npz_of_one_array_and_a_plain_zip_are_told_apart(tmp_path: Path, loop: Pictures) -> None:
    np.savez(tmp_path / "a.npz", loop)
    assert len(read_npz(tmp_path / "a.npz", frame_rate_hz=30).frames) == 30
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        archive.writestr("IM0001.dcm", bytes(128) + b"DICM")
    with pytest.raises(UnsupportedFormat, match="ZIP archive") as caught:
        read_clip(tmp_path / "study.zip")
    assert "Unpack" in caught.value.next_step
    assert survey(tmp_path).passed_over == {"ZIP archive": 1}
