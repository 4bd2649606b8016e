"""Videos changed in every way that is known: a clip or an error of this package, soon, and nothing missing unsaid.

A few seeds of every kind of mutation are tried by default, many under the marker `slow`.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from generated_clips import fan_loop, write_video

from mcsdr.errors import McsdrError
from mcsdr.io import read_clip

FRAMES = 24
LONGEST_S = 30.0  # a guard against hanging, not a measure of speed
CODECS = {
    "clip.avi": "mjpeg",
    "clip.mp4": "libx264",
    "clip.mkv": "libx264",
    "clip.webm": "libvpx",
    "clip.wmv": "wmv2",
    "clip.mpg": "mpeg2video",
    "clip.ts": "mpeg2video",
    "clip.flv": "flv",
}
STATING = ("clip.avi", "clip.mp4", "clip.mkv", "clip.webm", "clip.wmv", "clip.flv")  # frames, or how long they last
FIELDS = (
    b"strh",
    b"strf",
    b"avih",
    b"idx1",
    b"stsz",
    b"stts",
    b"stsc",
    b"stco",
    b"mdhd",
    b"mvhd",
    b"elst",
    b"tkhd",
    b"avc1",
)

Mutation = Callable[[bytes, np.random.Generator], bytes]


def _place(content: bytes, rng: np.random.Generator, length: int = 1) -> int:
    return int(rng.integers(0, max(1, len(content) - length)))


def _over(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


def _run(content: bytes, rng: np.random.Generator) -> tuple[int, int]:
    at = _place(content, rng)
    return at, at + int(rng.integers(1, 1 + len(content) // 6))


def cut_short(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: _place(content, rng)]


def head_lost(content: bytes, rng: np.random.Generator) -> bytes:
    return content[_place(content, rng) :]


def bits_flipped(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for at in rng.integers(0, len(content), int(rng.integers(1, 40))):
        changed[at] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def bytes_changed(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for at in rng.integers(12, len(content), int(rng.integers(1, 400))):
        changed[at] = int(rng.integers(256))
    return bytes(changed)


def header_changed(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for at in rng.integers(12, min(len(content), 700), 12):
        changed[at] = int(rng.integers(256))
    return bytes(changed)


def tail_changed(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for at in rng.integers(max(12, len(content) - 1200), len(content), 12):
        changed[at] = int(rng.integers(256))
    return bytes(changed)


def run_of_zeros(content: bytes, rng: np.random.Generator) -> bytes:
    start, stop = _run(content, rng)
    return content[:start] + bytes(stop - start) + content[stop:]


def run_of_ones(content: bytes, rng: np.random.Generator) -> bytes:
    start, stop = _run(content, rng)
    return content[:start] + b"\xff" * (stop - start) + content[stop:]


def run_of_noise(content: bytes, rng: np.random.Generator) -> bytes:
    start, stop = _run(content, rng)
    return content[:start] + rng.bytes(stop - start) + content[stop:]


def run_deleted(content: bytes, rng: np.random.Generator) -> bytes:
    start, stop = _run(content, rng)
    return content[:start] + content[stop:]


def run_inserted(content: bytes, rng: np.random.Generator) -> bytes:
    at = _place(content, rng)
    return content[:at] + rng.bytes(int(rng.integers(1, 500))) + content[at:]


def run_doubled(content: bytes, rng: np.random.Generator) -> bytes:
    start, stop = _run(content, rng)
    return content[:stop] + content[start:stop] + content[stop:]


def runs_exchanged(content: bytes, rng: np.random.Generator) -> bytes:
    a, b = sorted(rng.integers(12, len(content), 2).tolist())
    length = min(200, b - a, len(content) - b)
    one, other = content[a : a + length], content[b : b + length]
    return _over(_over(content, a, other), b, one)


def emptied(content: bytes, rng: np.random.Generator) -> bytes:
    return b""


def noise_alone(content: bytes, rng: np.random.Generator) -> bytes:
    return rng.bytes(len(content))


def noise_behind_the_signature(content: bytes, rng: np.random.Generator) -> bytes:
    keep = int(rng.integers(12, 200))
    return content[:keep] + rng.bytes(len(content) - keep)


def numbers_of_a_field_forged(content: bytes, rng: np.random.Generator) -> bytes:
    """A count, a size, a rate or a time of a known field becomes an extreme one."""
    known = [field for field in FIELDS if field in content]
    if not known:
        return header_changed(content, rng)
    at = content.index(known[int(rng.integers(len(known)))]) + 8 + 4 * int(rng.integers(0, 12))
    value = (0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 65_000)[int(rng.integers(6))]
    return _over(content, at, struct.pack("<I" if content[:4] == b"RIFF" else ">I", value))[: len(content)]


def every_number_of_a_field_forged(content: bytes, rng: np.random.Generator) -> bytes:
    known = [field for field in FIELDS if field in content]
    at = content.index(known[int(rng.integers(len(known)))]) + 8 if known else 64
    return _over(content, at, rng.bytes(40))[: len(content)]


def size_of_the_picture_forged(content: bytes, rng: np.random.Generator) -> bytes:
    """64 x 64 becomes 65,000 x 65,000 wherever it stands."""
    for one, other in (
        (struct.pack("<II", 64, 64), b"\xe8\xfd\0\0" * 2),
        (struct.pack(">HH", 64, 64), b"\xfd\xe8" * 2),
    ):
        content = content.replace(one, other)
    return content


def twice(content: bytes, rng: np.random.Generator) -> bytes:
    return content + content


def text_behind(content: bytes, rng: np.random.Generator) -> bytes:
    return content + b"<html>Not found</html>" * 40


def backwards(content: bytes, rng: np.random.Generator) -> bytes:
    return content[:16] + content[:15:-1]


def sector_of_a_disk_lost(content: bytes, rng: np.random.Generator) -> bytes:
    at = _place(content, rng) // 512 * 512
    return content[:at] + bytes(512) + content[at + 512 :]


MUTATIONS: tuple[Mutation, ...] = (
    cut_short,
    head_lost,
    bits_flipped,
    bytes_changed,
    header_changed,
    tail_changed,
    run_of_zeros,
    run_of_ones,
    run_of_noise,
    run_deleted,
    run_inserted,
    run_doubled,
    runs_exchanged,
    emptied,
    noise_alone,
    noise_behind_the_signature,
    numbers_of_a_field_forged,
    every_number_of_a_field_forged,
    size_of_the_picture_forged,
    twice,
    text_behind,
    backwards,
    sector_of_a_disk_lost,
)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder, loop = tmp_path_factory.mktemp("originals"), fan_loop(FRAMES, 64, 64)
    options = {"clip.mpg": {"b": "2M"}, "clip.ts": {"b": "2M"}, "clip.webm": {"b": "2M"}}
    return {
        name: write_video(folder / name, loop, codec=codec, options=options.get(name)).read_bytes()
        for name, codec in CODECS.items()
    }


def outcome(path: Path, content: bytes) -> int | None:
    """How many frames are read without a word of any being missing; None where something is said."""
    path.write_bytes(content)
    start = time.monotonic()
    try:
        clip = read_clip(path)
    except McsdrError:
        return None
    finally:
        assert time.monotonic() - start < LONGEST_S
    assert np.all(np.diff(clip.frame_times_s) > 0)
    assert len(clip.frames) == len(clip.frame_times_s)
    assert clip.frames.dtype == np.uint8
    said = any(notice.code == "frames-missing" for notice in clip.notices)
    return None if said else len(clip.frames)


def _try(path: Path, name: str, original: bytes, mutation: Mutation, seeds: range) -> None:
    for seed in seeds:
        outcome(path, mutation(original, np.random.default_rng([seed, len(name)])))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_changed_video_is_a_clip_or_an_error_of_this_package(
    tmp_path: Path, originals: dict[str, bytes], mutation: Mutation
) -> None:
    for name, original in originals.items():
        _try(tmp_path / "mutant", name, original, mutation, range(1))


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
@pytest.mark.parametrize("name", CODECS)
def test_many_changed_videos(tmp_path: Path, originals: dict[str, bytes], mutation: Mutation, name: str) -> None:
    _try(tmp_path / "mutant", name, originals[name], mutation, range(1, 40))


@pytest.mark.parametrize("name", STATING)
def test_a_twentieth_cut_off_is_never_passed_over(tmp_path: Path, originals: dict[str, bytes], name: str) -> None:
    original = originals[name]
    assert outcome(tmp_path / "whole", original) == FRAMES
    for share in (0.2, 0.5, 0.7, 0.8, 0.9, 0.95):
        read = outcome(tmp_path / "cut", original[: int(share * len(original))])
        assert read is None or read > 0.95 * FRAMES, share
