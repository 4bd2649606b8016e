"""Damaged DICOM files raise errors of this package and nothing else, in bounded time, whatever was done to them."""

from __future__ import annotations

import contextlib
import io
import struct
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from generated_clips import Pictures, fan_loop, jpeg_ultrasound, region, still_coded, ultrasound
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless
from streams import video_stream

from mcsdr.errors import McsdrError
from mcsdr.interop.deidentify import deidentified
from mcsdr.io import read_clip

Content = bytearray
Mutation = Callable[[Content, np.random.Generator], None]
MOST_S = 20.0  # of processor time for one file: a guard against hanging, not a measure of speed
PIXELS = b"\xe0\x7f\x10\x00"
ITEM, DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"


def _pixels(content: Content) -> int:
    return max(0, content.find(PIXELS))


def _in_header(content: Content, rng: np.random.Generator) -> int:
    return int(rng.integers(132, max(133, _pixels(content))))


def _element(content: Content, tag: int) -> int:
    """Where an element begins, or the end of the preamble where it is not there."""
    return max(132, content.find(struct.pack("<HH", tag >> 16, tag & 0xFFFF)))


def flip_header_bytes(content: Content, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 20))):
        content[_in_header(content, rng)] = int(rng.integers(256))


def flip_pixel_bytes(content: Content, rng: np.random.Generator) -> None:
    for at in rng.integers(_pixels(content), len(content), 30):
        content[at] = int(rng.integers(256))


def flip_bits_anywhere(content: Content, rng: np.random.Generator) -> None:
    for at in rng.integers(0, len(content), 60):
        content[at] ^= 1 << int(rng.integers(8))


def cut_anywhere(content: Content, rng: np.random.Generator) -> None:
    del content[int(rng.integers(1, len(content))) :]


def cut_in_header(content: Content, rng: np.random.Generator) -> None:
    del content[_in_header(content, rng) :]


def cut_in_pixels(content: Content, rng: np.random.Generator) -> None:
    del content[int(rng.integers(_pixels(content), len(content))) :]


def drop_a_piece(content: Content, rng: np.random.Generator) -> None:
    at = int(rng.integers(0, len(content)))
    del content[at : at + int(rng.integers(1, 200))]


def repeat_a_piece(content: Content, rng: np.random.Generator) -> None:
    at = int(rng.integers(0, len(content)))
    content[at:at] = content[at : at + int(rng.integers(1, 400))]


def swap_two_pieces(content: Content, rng: np.random.Generator) -> None:
    a, b = (int(at) for at in sorted(rng.integers(0, max(1, len(content) - 64), 2)))
    content[a : a + 32], content[b : b + 32] = content[b : b + 32], content[a : a + 32]


def zero_a_piece(content: Content, rng: np.random.Generator) -> None:
    at = int(rng.integers(0, len(content)))
    content[at : at + 64] = bytes(len(content[at : at + 64]))


def fill_with_ones(content: Content, rng: np.random.Generator) -> None:
    at = int(rng.integers(0, len(content)))
    content[at : at + 64] = b"\xff" * len(content[at : at + 64])


def noise_at_the_end(content: Content, rng: np.random.Generator) -> None:
    content += rng.bytes(int(rng.integers(1, 3000)))


def noise_at_the_start(content: Content, rng: np.random.Generator) -> None:
    content[:0] = rng.bytes(int(rng.integers(1, 200)))


def no_preamble(content: Content, rng: np.random.Generator) -> None:
    del content[: 132 if rng.random() < 0.5 else _element(content, 0x00080016)]


def forged_length(content: Content, rng: np.random.Generator) -> None:
    at = _in_header(content, rng) // 2 * 2
    content[at : at + 4] = struct.pack("<L", int(rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF])))


def forged_pixel_length(content: Content, rng: np.random.Generator) -> None:
    at = _pixels(content) + 8
    content[at : at + 4] = struct.pack("<L", int(rng.choice([0, 1, 7, 0x7FFFFFFF, 0xFFFFFFFF])))


def forged_item_length(content: Content, rng: np.random.Generator) -> None:
    at = content.find(ITEM, int(rng.integers(_pixels(content), len(content))))
    if at >= 0:
        content[at + 4 : at + 8] = struct.pack("<L", int(rng.choice([0, 3, 0x7FFFFFFF, 0xFFFFFFFF])))


def empty_items(content: Content, rng: np.random.Generator) -> None:
    at = content.find(ITEM, _pixels(content))
    if at >= 0:
        content[at:at] = (ITEM + bytes(4)) * int(rng.integers(1, 5000))


def early_delimiter(content: Content, rng: np.random.Generator) -> None:
    at = content.find(ITEM, int(rng.integers(_pixels(content), len(content))))
    if at >= 0:
        content[at : at + 4] = DELIMITER


def _forged(content: Content, tag: int, value: int) -> None:
    at = _element(content, tag) + 8
    content[at : at + 2] = struct.pack("<H", value)


def forged_size(content: Content, rng: np.random.Generator) -> None:
    _forged(content, int(rng.choice([0x00280010, 0x00280011])), int(rng.choice([0, 1, 3, 4096, 65535])))


def forged_samples(content: Content, rng: np.random.Generator) -> None:
    _forged(content, 0x00280002, int(rng.integers(0, 6)))


def forged_bits(content: Content, rng: np.random.Generator) -> None:
    tag = int(rng.choice([0x00280100, 0x00280101, 0x00280102, 0x00280103]))
    _forged(content, tag, int(rng.choice([0, 1, 7, 8, 12, 16, 32, 64, 65535])))


def forged_frame_count(content: Content, rng: np.random.Generator) -> None:
    at = _element(content, 0x00280008)
    length = struct.unpack("<H", content[at + 6 : at + 8])[0]
    texts = (b"0", b"-1", b"1", b"99999999", b"1e9", b"x", b"")
    content[at + 8 : at + 8 + length] = texts[int(rng.integers(len(texts)))].ljust(length)[:length]


def forged_time(content: Content, rng: np.random.Generator) -> None:
    texts = (b"0", b"-33.3", b"1e-300", b"1e300", b"nan", b"inf", b"33,333", b"\\\\\\", b"\xff\xfe")
    at = _element(content, 0x00181063) + 8
    content[at : at + 6] = texts[int(rng.integers(len(texts)))].ljust(6)[:6]


def forged_colour(content: Content, rng: np.random.Generator) -> None:
    texts = (
        b"RGB",
        b"YBR_FULL",
        b"YBR_FULL_422",
        b"YBR_PARTIAL_420",
        b"YBR_RCT",
        b"PALETTE COLOR",
        b"MONOCHROME1",
        b"?",
    )
    at = _element(content, 0x00280004)
    length = struct.unpack("<H", content[at + 6 : at + 8])[0]
    content[at + 8 : at + 8 + length] = texts[int(rng.integers(len(texts)))].ljust(length)[:length]


def forged_syntax(content: Content, rng: np.random.Generator) -> None:
    at = content.find(b"1.2.840.10008.1.2", content.find(b"\x02\x00\x10\x00"))
    ends = (b"", b".1", b".2", b".5", b".1.99", b".4.50", b".4.70", b".4.80", b".4.90", b".4.102", b".4.999")
    content[at + 17 : at + 23] = ends[int(rng.integers(len(ends)))].ljust(6, b"\0")[:6]


def forged_picture_size(content: Content, rng: np.random.Generator) -> None:
    for marker in (b"\xff\xc0", b"\xff\xc3", b"\xff\xf7"):
        at = content.find(marker, _pixels(content))
        if at >= 0:
            content[at + 5 : at + 9] = rng.bytes(4)
            return


def nested_sequences(content: Content, rng: np.random.Generator) -> None:
    at = _element(content, 0x00280002)
    content[at:at] = (b"\x18\x00\x11\x60SQ\0\0\xff\xff\xff\xff" + ITEM + b"\xff\xff\xff\xff") * int(
        rng.integers(1, 2000)
    )


def pixels_twice(content: Content, rng: np.random.Generator) -> None:
    content += content[_pixels(content) :]


MUTATIONS: tuple[Mutation, ...] = (
    flip_header_bytes,
    flip_pixel_bytes,
    flip_bits_anywhere,
    cut_anywhere,
    cut_in_header,
    cut_in_pixels,
    drop_a_piece,
    repeat_a_piece,
    swap_two_pieces,
    zero_a_piece,
    fill_with_ones,
    noise_at_the_end,
    noise_at_the_start,
    no_preamble,
    forged_length,
    forged_pixel_length,
    forged_item_length,
    empty_items,
    early_delimiter,
    forged_size,
    forged_samples,
    forged_bits,
    forged_frame_count,
    forged_time,
    forged_colour,
    forged_syntax,
    forged_picture_size,
    nested_sequences,
    pixels_twice,
)


def _saved(dataset: Dataset) -> bytes:
    memory = io.BytesIO()
    dataset.save_as(memory, enforce_file_format=True)
    return memory.getvalue()


@cache
def originals() -> tuple[bytes, ...]:
    """Small loops in every coding."""
    grey = fan_loop(18, 48, 64)
    colour: Pictures = np.repeat(grey[..., None], 3, axis=3)
    rle, deflated = ultrasound(colour), ultrasound(grey, DeflatedExplicitVRLittleEndian)
    rle.compress(RLELossless)
    regions = jpeg_ultrasound(colour, FrameTimeVector=[0.0, *[33.3] * 17], HeartRate="60")
    regions.SequenceOfUltrasoundRegions = [region(1, 1, (0, 0, 63, 47))]
    film = jpeg_ultrasound(colour)
    film.PixelData = encapsulate([video_stream(colour, "libx264")])
    datasets = [ultrasound(grey), ultrasound(colour, ImplicitVRLittleEndian), jpeg_ultrasound(grey), regions, rle]
    datasets += [deflated, film, *(still_coded(grey, kind) for kind in ("jpeg-lossless", "jpeg-ls", "jpeg2000"))]
    return tuple(_saved(dataset) for dataset in datasets)


def _survives(mutation: Mutation, original: bytes, seed: int, path: Path) -> None:
    """Read a damaged file, and copy it without names; both work, or fail with a typed error in bounded time."""
    content = bytearray(original)
    mutation(content, np.random.default_rng(seed))
    path.write_bytes(content)
    started = time.process_time()
    with contextlib.suppress(McsdrError):
        clip = read_clip(path)
        assert np.all(np.diff(clip.frame_times_s) > 0)
        assert len(clip.frames) == len(clip.frame_times_s)
    with contextlib.suppress(McsdrError):
        deidentified(path)
    assert time.process_time() - started < MOST_S


@pytest.mark.filterwarnings("ignore")  # the libraries' own, on reading nonsense
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_damaged_files_raise_typed_errors_only(mutation: Mutation, tmp_path: Path) -> None:
    for seed in range(3):
        _survives(
            mutation, originals()[(seed * 3 + MUTATIONS.index(mutation)) % len(originals())], seed, tmp_path / "x"
        )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_many_damaged_files_raise_typed_errors_only(mutation: Mutation, tmp_path: Path) -> None:
    for original in originals():
        for seed in range(100, 125):
            _survives(mutation, original, seed, tmp_path / "x")


def test_the_undamaged_ones_are_read(tmp_path: Path) -> None:
    for original in originals():
        path = tmp_path / "x"
        path.write_bytes(original)
        assert len(read_clip(path).frames) == 18
