"""A file read in a child is the file read here; whatever the child does, the server gets an answer or a typed error."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mcsdr.errors import SingleFrame, UnreadableFile, UnsupportedFormat
from mcsdr.io import read_study
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.serve.sandbox import Reader, _unpack, pack
from mcsdr.study import Study


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.close()


def same(one: Study, other: Study) -> None:
    assert one.attributes == other.attributes
    assert one.all_notices == other.all_notices
    for a, b in zip(one.clips, other.clips, strict=True):
        assert np.array_equal(a.frames, b.frames)
        assert np.array_equal(a.frame_times_s, b.frame_times_s)
        assert (a.view, a.heart_rate_bpm, a.crop, a.r_wave_times_s) == (
            b.view,
            b.heart_rate_bpm,
            b.crop,
            b.r_wave_times_s,
        )
        assert (a.overview is None) == (b.overview is None)


def test_the_child_reads_what_we_read(reader: Reader, real_clip: Path) -> None:
    read = reader.read(real_clip, {"age": 63.0, "sex": "F"})
    same(read.study, read_study(real_clip, age=63, sex="F"))
    assert b"US" in read.header
    assert len(read.header) < 100_000


def test_typed_errors_come_through(reader: Reader, tmp_path: Path) -> None:
    other = tmp_path / "words.txt"
    other.write_text("words, no pictures")
    with pytest.raises(UnsupportedFormat, match="text or table"):
        reader.read(other, {})
    from pydicom.data import get_testdata_file

    with pytest.raises((SingleFrame, UnsupportedFormat)):
        reader.read(Path(str(get_testdata_file("CT_small.dcm"))), {})


def test_too_little_memory_is_an_error_message(real_clip: Path) -> None:
    small = Reader(memory_bytes=150 * 2**20)
    with pytest.raises(UnreadableFile):
        small.read(real_clip, {})
    small.close()


def test_a_child_that_takes_too_long_is_stopped(real_clip: Path) -> None:
    hasty = Reader(wall_s=0.02)
    with pytest.raises(UnreadableFile, match="stopped"):
        hasty.read(real_clip, {})
    hasty.close()


def test_a_killed_child_is_an_error_and_the_next_file_is_read(reader: Reader, real_clip: Path) -> None:
    children: list[subprocess.Popen[bytes]] = []

    def kill_the_first() -> None:
        while not children:
            time.sleep(0.001)
        children[0].kill()

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    with pytest.raises(UnreadableFile, match="stopped"):
        reader.read(real_clip, {}, children)
    killer.join()
    assert reader.read(real_clip, {}).study.clips


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\n",
        b"[]\n",
        b"{}\n",
        b'{"study": 1, "arrays": []}\n',
        b'{"study": {}, "arrays": [["object", 3]]}\n123',
        b'{"study": {}, "arrays": [["uint8", 1e99]]}\n123',
        b'{"study": {}, "arrays": [["uint8", 99999999999]]}\n123',
        b'{"study": {}, "arrays": [["uint8", -1]]}\n',
        b'{"study": {"clips": [{}], "attributes": {}, "notices": []}, "arrays": [["uint8", 0]]}\n',
        b"\x80\x04\x95\n",
        b"[" * 5000 + b"\n",
    ],
)
def test_nonsense_from_a_child_is_no_study(said: bytes) -> None:
    with pytest.raises(UnreadableFile):
        _unpack(said, 0)


def test_what_is_packed_is_unpacked_whatever_is_missing() -> None:
    study = PhantomCohort(1, 5)[0]
    read = _unpack(b"".join(pack(study, b"header")), 0)
    same(read.study, study)
    assert read.header == b"header"


def test_a_child_that_failed_after_sending_is_not_believed() -> None:
    with pytest.raises(UnreadableFile):
        _unpack(b"".join(pack(PhantomCohort(1, 5)[0], b"")), 1)


def test_an_error_is_of_its_kind_and_of_bearable_length() -> None:
    said = {"code": "single-frame", "cause": "x" * 9000, "next_step": "y"}
    with pytest.raises(SingleFrame) as caught:
        _unpack(json.dumps({"error": said}).encode() + b"\n", 0)
    assert len(caught.value.cause) == 500
