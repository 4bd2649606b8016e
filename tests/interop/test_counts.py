"""Reading, `check`, the header that reports rest on, and de-identification count the same frames of one file."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEGBaseline8Bit, RLELossless
from tests.io.generated_clips import fan_loop, jpeg_frames, ultrasound
from tests.io.streams import video_stream

from mcsdr.datasets.clip_facts import read_facts
from mcsdr.datasets.entries import ClipEntry, Entry, FolderCohort
from mcsdr.interop.deidentify import deidentify
from mcsdr.io import read_clip
from mcsdr.io.dicom import open_dicom

COUNT = 18
H264 = UID("1.2.840.10008.1.2.4.102")


def of_kind(kind: str) -> Dataset:
    """A loop of COUNT frames, wrapped in one of the ways that files are."""
    grey = fan_loop(COUNT, 120, 160)
    colour = grey[..., None].repeat(3, axis=-1)
    clip = ultrasound(grey if kind == "plain" else colour, StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.4")
    match kind:
        case "rle":
            clip.compress(RLELossless)
        case "jpeg":
            clip.PixelData, clip.file_meta.TransferSyntaxUID = encapsulate(jpeg_frames(colour)), JPEGBaseline8Bit
        case "halves":
            parts = [part for data in jpeg_frames(colour) for part in (data[:400], data[400:])]
            padded = [part + b"\0" * (len(part) % 2) for part in parts]
            items = b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<L", len(part)) + part for part in (b"", *padded))
            clip.PixelData, clip.file_meta.TransferSyntaxUID = items + b"\xfe\xff\xdd\xe0" + bytes(4), JPEGBaseline8Bit
        case "h264":
            clip.PixelData, clip.file_meta.TransferSyntaxUID = encapsulate([video_stream(colour, "libx264")]), H264
    if kind != "plain":
        clip.PhotometricInterpretation = {"rle": "RGB", "h264": "YBR_PARTIAL_420"}.get(kind, "YBR_FULL_422")
        clip["PixelData"].VR = "OB"
        clip["PixelData"].is_undefined_length = True
    return clip


@pytest.mark.parametrize("said", [None, 1, 11])
@pytest.mark.parametrize("kind", ["plain", "rle", "jpeg", "halves", "h264"])
def test_all_count_what_is_there(tmp_path: Path, kind: str, said: int | None) -> None:
    clip = of_kind(kind)
    if said is None:
        del clip.NumberOfFrames
    else:
        clip.NumberOfFrames = said
    path, copy = tmp_path / "clip.dcm", tmp_path / "copy.dcm"
    clip.save_as(path, enforce_file_format=True)
    read = read_clip(path)
    assert len(read.frames) == COUNT
    assert "frame-count-untrue" in [notice.code for notice in read.notices]
    assert open_dicom(path).NumberOfFrames == COUNT
    listed = ClipEntry("clip", path)
    assert read_facts(FolderCohort(tmp_path, [Entry("a", "a", "train", (listed,), 60.0)]), listed).frames == COUNT
    deidentify(path, copy)
    assert dcmread(copy).NumberOfFrames == len(read_clip(copy).frames) == COUNT
