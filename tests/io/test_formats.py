"""The registry of readers: the documented table is made from it, and every kind is told by its content."""

from __future__ import annotations

import gzip
import importlib.util
import inspect
from pathlib import Path

import numpy as np
import pytest
from generated_clips import fan_loop, ultrasound, write_video

from mcsdr.errors import MissingFile, UnreadableFile, UnsupportedFormat
from mcsdr.io import find_clips, in_words, read_clip, survey
from mcsdr.io.formats import FORMATS, WAYS, format_of, import_readers, named_as

DOCS = Path(__file__).parents[2] / "docs"
BEGINNINGS = {
    "dicomdir": bytes(128) + b"DICM" + b"1.2.840.10008.1.3.10\0",
    "dicom": bytes(128) + b"DICM",
    "avi": b"RIFF\0\0\0\0AVI LIST",
    "mov": b"\0\0\0\x18ftypmp42",
    "matroska": b"\x1aE\xdf\xa3\x93B\x82\x88matroska",
    "asf": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
    "mpeg": b"\0\0\1\xba\x44\0\4",
    "mpegvideo": b"\0\0\1\xb3\x16\0",
    "mpegts": (b"G" + bytes(187)) * 6,
    "flv": b"FLV\1\1",
    "gif": b"GIF89a",
    "webp": b"RIFF\0\0\0\0WEBPVP8X",
    "tiff": b"II*\0\x08\0\0\0",
    "nifti": bytes(344) + b"n+1\0",
    "mhd": b"ObjectType = Image\nNDims = 3\nDimSize = 1 1 9\nElementDataFile = LOCAL\n\0\1",
    "nrrd": b"NRRD0005\ntype: uint8\n",
    "npy": b"\x93NUMPY\1\0v\0{'descr': '|u1', 'fortran_order': False, 'shape': (9, 4, 4), }",
    "npz": b"PK\3\4" + bytes(22) + b"\x0a\0\0\0frames.npy",
    "picture": b"\x89PNG\r\n\x1a\n",
    "stream": b"\0\0\0\1\x67\x64\0\x1f",
    "ogg": b"OggS\0",
    "pdf": b"%PDF-1.7",
    "hdf5": b"\x89HDF\r\n\x1a\n",
    "mat": b"MATLAB 5.0 MAT-file",
    "zip": b"PK\3\4" + bytes(22) + b"\x0a\0\0\0IM0001.dcm",
    "archive": b"7z\xbc\xaf\x27\x1c",
    "text": b"FileName,EF\n",
}


def test_every_kind_is_told_by_how_it_begins() -> None:
    assert list(BEGINNINGS) == [kind.name for kind in FORMATS]
    for name, head in BEGINNINGS.items():
        kind = format_of(head)
        assert kind is not None
        assert kind.name == name
    assert format_of(gzip.compress(BEGINNINGS["nifti"] + bytes(20))).name == "nifti"  # type: ignore[union-attr]
    assert format_of(b"\x93NUMPY\1\0v\0{'descr': '<f8', 'fortran_order': False, 'shape': (9, 4), }\1") is None
    assert format_of(b"BMI,EF\n24,55\n").name == "text"  # type: ignore[union-attr]
    assert format_of(b"") is None


def test_the_page_of_formats_is_what_the_registry_says() -> None:
    spec = importlib.util.spec_from_file_location("make_formats", DOCS / "make_formats.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "formats.md").read_text(encoding="utf-8") == module.page(), "run python docs/make_formats.py"
    for kind in FORMATS:
        assert kind.title in module.page()


def test_readers_are_called_alike_and_the_others_say_what_to_do() -> None:
    import_readers()
    for kind in FORMATS:
        assert bool(kind.reader) != bool(kind.next_step), kind.name
        assert set(kind.ways) <= set(WAYS)
        if kind.reader:
            assert "frame_rate_hz" in inspect.signature(kind.load()).parameters
            assert named_as(f"CLIP{kind.suffixes[0].upper()}") is kind


def test_a_refused_kind_is_named_with_its_next_step(tmp_path: Path) -> None:
    for kind in FORMATS:
        if kind.reader:
            continue
        path = tmp_path / "thing"
        path.write_bytes(BEGINNINGS[kind.name] + bytes(64) * (kind.name != "text"))
        with pytest.raises(UnsupportedFormat, match=kind.title) as caught:
            read_clip(path)
        assert caught.value.next_step == kind.next_step
    path = tmp_path / "report.avi"
    path.write_bytes(b"%PDF-1.7" + bytes(64))
    with pytest.raises(UnreadableFile, match=r"ends in \.avi, but it holds something else: PDF document"):
        read_clip(path)


def test_a_folder_is_searched_by_content_and_the_rest_counted(tmp_path: Path) -> None:
    loop = fan_loop(20, 64, 64)
    for name in ("US.ima", "scan.dcm.1", "IM0001"):
        ultrasound(loop).save_as(tmp_path / name, enforce_file_format=True)
    (tmp_path / "b").mkdir()
    write_video(tmp_path / "b" / "clip.mp4", loop, codec="libx264").rename(tmp_path / "b" / "video")
    write_video(tmp_path / "b" / "phone.mp4", loop, codec="libx264").rename(tmp_path / "b" / "phone.3gp")
    np.save(tmp_path / "features.npy", np.zeros((3, 4)))
    (tmp_path / "features.npy").rename(tmp_path / "features.bin")
    for name, kind in (("report.pdf", "pdf"), ("FileList.csv", "text"), ("a.zip", "zip"), ("DICOMDIR", "dicomdir")):
        (tmp_path / name).write_bytes(BEGINNINGS[kind])
    for name in ("empty", ".hidden.avi", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"" if name == "empty" else b"\0\1\2")
    (tmp_path / "cut.avi").write_bytes(b"")
    found = survey(tmp_path)
    names = [path.relative_to(tmp_path).as_posix() for path in found.clips]
    assert names == ["IM0001", "US.ima", "b/phone.3gp", "b/video", "cut.avi", "scan.dcm.1"]
    assert found.passed_over == {
        "PDF document": 1,
        "text or table": 1,
        "ZIP archive": 1,
        "DICOMDIR": 1,
        "hidden file": 1,
        "empty file": 1,
        "unknown kind": 2,
    }
    assert in_words(found.passed_over).startswith("unknown kind 2, DICOMDIR 1, ")
    assert find_clips(tmp_path) == found.clips
    assert all(len(read_clip(path).frames) == 20 for path in found.clips if path.name != "cut.avi")
    with pytest.raises(UnreadableFile, match="empty"):
        read_clip(tmp_path / "cut.avi")
    with pytest.raises(MissingFile):
        survey(tmp_path / "gone")
