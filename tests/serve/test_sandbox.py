"""A file read in a child is the file read here; whatever the child does, the server gets an answer or a typed error."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread

from mcsdr.errors import SingleFrame, UnreadableFile, UnsupportedFormat
from mcsdr.interop.header import dataset_of
from mcsdr.io import read_study
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.serve.sandbox import MALFORMED, Reader
from mcsdr.serve.wire import Add, line, packed, study_from
from mcsdr.study import Clip, Study


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.close()


class Shown:
    """Keeps the frames that are handed on."""

    def __init__(self) -> None:
        self.clips: list[list[NDArray[np.uint8]]] = []

    def watch(self, clip: Clip) -> Add:
        self.clips.append([])
        return lambda index, frame: self.clips[-1].append(frame)

    def whole(self, study: Study | None) -> Study:
        assert study is not None
        clips = zip(study.clips, self.clips, strict=True)
        return replace(study, clips=tuple(replace(clip, frames=np.stack(frames)) for clip, frames in clips))


def read(reader: Reader, path: Path, **given: object) -> Study:
    shown = Shown()
    found = reader.read(path, given, shown.watch)
    if found.error is not None:
        raise found.error
    return shown.whole(found.study)


def unpacked(said: bytes) -> Study:
    shown = Shown()
    return shown.whole(study_from(BytesIO(said), shown.watch))


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
    same(read(reader, real_clip, age=63.0, sex="F"), read_study(real_clip, age=63, sex="F"))
    header = reader.read(real_clip, {}, Shown().watch).header
    assert header is not None
    assert dataset_of(header).StudyInstanceUID == dcmread(real_clip).StudyInstanceUID
    assert len(json.dumps(header)) < 4000


def test_typed_errors_come_through(reader: Reader, tmp_path: Path) -> None:
    other = tmp_path / "words.txt"
    other.write_text("words, no pictures")
    with pytest.raises(UnsupportedFormat, match="text or table"):
        read(reader, other)
    from pydicom.data import get_testdata_file

    with pytest.raises((SingleFrame, UnsupportedFormat)):
        read(reader, Path(str(get_testdata_file("CT_small.dcm"))))


def test_too_little_memory_is_an_error_message(real_clip: Path) -> None:
    small = Reader(memory_bytes=150 * 2**20)
    with pytest.raises(UnreadableFile):
        read(small, real_clip)
    small.close()


def test_a_child_that_takes_too_long_is_stopped(real_clip: Path) -> None:
    hasty = Reader(wall_s=0.02)
    with pytest.raises(UnreadableFile, match="stopped"):
        read(hasty, real_clip)
    hasty.close()


def test_a_killed_child_is_an_error_and_the_next_file_is_read(reader: Reader, real_clip: Path) -> None:
    children: list[subprocess.Popen[bytes]] = []

    def kill_the_first() -> None:
        while not children:
            time.sleep(0.001)
        children[0].kill()

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    error = reader.read(real_clip, {}, Shown().watch, children).error
    killer.join()
    assert isinstance(error, UnreadableFile)
    assert "stopped" in error.cause
    assert read(reader, real_clip).clips


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\n",
        b'{"study": {}, "arrays": [["uint8", 99999999]]}\n',
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
    with pytest.raises(MALFORMED):
        unpacked(said)


def test_what_is_packed_is_unpacked_whatever_is_missing() -> None:
    study = PhantomCohort(1, 5)[0]
    sent = b"".join(packed(study))
    same(unpacked(sent), study)
    for other in (sent[:-1], sent + b"1"):
        with pytest.raises(MALFORMED):
            unpacked(other)


@pytest.mark.parametrize("end", ["sys.exit(1)", "os.kill(os.getpid(), 9)"])
def test_a_child_that_failed_after_sending_is_not_believed(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    said = tmp_path / "said"
    said.write_bytes(line({"header": None}) + b"".join(packed(PhantomCohort(1, 5)[0])))
    code = f"import os, sys; sys.stdin.readline(); sys.stdout.buffer.write(open({str(said)!r}, 'rb').read()); " + (
        f"sys.stdout.flush(); {end}"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    monkeypatch.setattr(reader, "_take", lambda: child)
    assert isinstance(reader.read(said, {}, Shown().watch).error, UnreadableFile)


def test_an_error_is_of_its_kind_and_of_bearable_length() -> None:
    said = {"code": "single-frame", "cause": "x" * 9000, "next_step": "y"}
    with pytest.raises(SingleFrame) as caught:
        unpacked(line({"error": said}))
    assert len(caught.value.cause) == 500
