"""How many frames a DICOM file holds, and what may be wrong with its wrapping."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from generated_clips import Pictures
from public_loop import COUNT, HEIGHT, WIDTH, Save, alike, changed, plain, rgb_of, same
from pydicom.encaps import encapsulate
from pydicom.uid import ImplicitVRLittleEndian

from mcsdr.errors import SingleFrame, UnreadableFile
from mcsdr.io import read_clip
from mcsdr.study import Clip

# How many frames there are


@pytest.mark.parametrize("said", [None, 1, 15, 29])
@pytest.mark.parametrize("compressed", [True, False])
def test_frames_are_counted_by_what_is_there(
    save: Save, clean: Clip, samples: Pictures, said: int | None, compressed: bool
) -> None:
    dataset = changed(NumberOfFrames=said) if compressed else plain(rgb_of(samples), "RGB", NumberOfFrames=said)
    same(read_clip(save(dataset)), clean, "frame-count-untrue")


def test_several_fragments_a_frame_and_tables_of_zeros(save: Save, clean: Clip, coded: list[bytes]) -> None:
    halves = [
        half for data in coded for half in (data[: len(data) // 2 * 2 // 4 * 2], data[len(data) // 2 * 2 // 4 * 2 :])
    ]
    items = [
        b"\xfe\xff\x00\xe0" + struct.pack("<L", len(half) + len(half) % 2) + half + b"\0" * (len(half) % 2)
        for half in halves
    ]
    table = b"\xfe\xff\x00\xe0" + struct.pack("<L", 4 * COUNT) + bytes(4 * COUNT)
    for said in (COUNT, 1):
        dataset = changed(NumberOfFrames=said)
        dataset.PixelData = table + b"".join(items) + b"\xfe\xff\xdd\xe0" + bytes(4)
        same(read_clip(save(dataset)), clean, *(["frame-count-untrue"] if said == 1 else []))


@pytest.mark.parametrize("together", [2, COUNT])
def test_several_frames_in_a_fragment(save: Save, clean: Clip, coded: list[bytes], together: int) -> None:
    even = [data + b"\0" * (len(data) % 2) for data in coded]
    dataset = changed()
    dataset.PixelData = encapsulate([b"".join(even[at : at + together]) for at in range(0, COUNT, together)])
    same(read_clip(save(dataset)), clean)


def test_an_empty_fragment_costs_one_frame(save: Save, clean: Clip, coded: list[bytes]) -> None:
    dataset = changed()
    items = [b"\xfe\xff\x00\xe0" + struct.pack("<L", len(data)) + data for data in coded]
    items[7] = b"\xfe\xff\x00\xe0" + bytes(4)
    dataset.PixelData = b"\xfe\xff\x00\xe0" + bytes(4) + b"".join(items)
    clip = read_clip(save(dataset))
    assert len(clip.frames) == COUNT - 1
    assert np.diff(clip.frame_times_s)[6] == pytest.approx(2 / 30, rel=1e-3)  # the gap is where the frame is missing
    assert [notice.code for notice in clip.notices] == ["frames-missing"]


def test_one_frame_is_one_frame_whatever_is_said(save: Save, coded: list[bytes]) -> None:
    dataset = changed(NumberOfFrames=COUNT)
    dataset.PixelData = encapsulate(coded[:1])
    with pytest.raises(SingleFrame):
        read_clip(save(dataset))


# Wrapping


def test_a_missing_delimiter_costs_nothing(save: Save, clean: Clip) -> None:
    path = save(changed())
    path.write_bytes(path.read_bytes().removesuffix(b"\xfe\xff\xdd\xe0" + bytes(4)))
    same(read_clip(path), clean)


@pytest.mark.parametrize(("share", "left"), [(0.99, 29), (0.8, 23)])
def test_a_file_that_is_cut_short_says_so(save: Save, clean: Clip, share: float, left: int) -> None:
    path = save(changed())
    content = path.read_bytes()
    start = content.index(b"\xe0\x7f\x10\x00")
    path.write_bytes(content[: start + int(share * (len(content) - start))])
    clip = read_clip(path)
    assert left - 1 <= len(clip.frames) <= left + 1
    assert "cut short" in {notice.code: notice.text for notice in clip.notices}["frames-missing"]
    alike(clip, clean, 0.0)
    path.write_bytes(content[: start + int(0.4 * (len(content) - start))])
    with pytest.raises(UnreadableFile, match="cut short"):
        read_clip(path)


def test_uncompressed_pixels_that_are_cut_short(save: Save, samples: Pictures) -> None:
    path = save(plain(samples, "YBR_FULL"))
    content = path.read_bytes()
    path.write_bytes(content[: -int(2.5 * HEIGHT * WIDTH * 3)])
    clip = read_clip(path)
    assert len(clip.frames) == COUNT - 3
    assert "cut short" in {notice.code: notice.text for notice in clip.notices}["frames-missing"]


def test_without_preamble_and_without_group_2(tmp_path: Path, save: Save, clean: Clip, samples: Pictures) -> None:
    content = save(changed()).read_bytes()
    bare = tmp_path / "bare.dcm"
    bare.write_bytes(content[132:])
    same(read_clip(bare), clean)
    group = content.index(b"\x08\x00", 140)
    bare.write_bytes(content[content.index(b"\x08\x00\x08\x00", 140) if b"\x08\x00\x08\x00" in content else group :])
    same(read_clip(bare), clean)
    dataset = plain(samples, "YBR_FULL")
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    path = save(dataset)
    content = path.read_bytes()
    bare.write_bytes(content[content.index(b"\x08\x00\x08\x00", 140) :])
    same(read_clip(bare), clean)


@pytest.mark.parametrize("keyword", ["Rows", "BitsAllocated"])
def test_what_is_missing_is_named(save: Save, samples: Pictures, keyword: str) -> None:
    with pytest.raises(UnreadableFile) as caught:
        read_clip(save(plain(samples, "YBR_FULL", **{keyword: None})))
    assert {"Rows": "Rows", "BitsAllocated": "Bits Allocated"}[keyword] in caught.value.cause


def test_a_missing_identifier_is_no_hindrance(save: Save, clean: Clip) -> None:
    path = save(changed())
    dataset = changed(SOPInstanceUID=None)
    del dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.save_as(path, enforce_file_format=False)
    same(read_clip(path), clean)
