"""A file read in a child is the file read here; whatever the child does, who asked gets an answer or a typed error."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from public_loop import REAL
from pydicom import dcmread

from mcsdr.errors import McsdrError, SingleFrame, UnreadableFile, UnsupportedFormat
from mcsdr.io import read_study
from mcsdr.io.dicom_excerpt import dataset_of
from mcsdr.io.sandbox import Reader, Request, read_apart, shared, warm
from mcsdr.io.sandbox.reader import MALFORMED
from mcsdr.io.sandbox.wire import Add, line, packed, study_from
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.phantom.layouts import write_avi
from mcsdr.study import Clip, Notice, Study


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.close()


@pytest.fixture(scope="module")
def real_clip() -> Path:
    return Path(REAL)


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
    """To the bit."""
    for what in (Study, Clip):
        pairs = [(one, other)] if what is Study else zip(one.clips, other.clips, strict=True)
        for a, b in pairs:
            for name in {field.name for field in fields(what)} - {"clips"}:
                these, those = getattr(a, name), getattr(b, name)
                assert np.array_equal(these, those) if isinstance(these, np.ndarray) else these == those, name


def test_the_child_reads_what_we_read(reader: Reader, real_clip: Path) -> None:
    same(reader.study(real_clip, {"age": np.float32(63), "sex": "F"}), read_study(real_clip, age=63, sex="F"))
    header = reader.read(real_clip, {}, Shown().watch).header
    assert header is not None
    assert dataset_of(header).StudyInstanceUID == dcmread(real_clip).StudyInstanceUID
    assert len(json.dumps(header)) < 4000


def test_a_file_is_called_as_it_was_named(reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one below the folder that this process went to meanwhile; and so it stands in errors."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loops").mkdir()
    write_avi(Path("loops/a.b.avi"), PhantomCohort(1, 5)[0].clips[0].frames, 25)
    same(reader.study(Path("loops/a.b.avi"), {}), read_study("loops/a.b.avi"))
    Path("loops/words.avi").write_text("words")
    for path in ("loops/words.avi", "loops/none.avi", "loops"):
        with pytest.raises(McsdrError) as here:
            read_study(path)
        with pytest.raises(McsdrError) as apart:
            reader.study(Path(path), {})
        assert apart.value.record() == here.value.record()


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
    hasty = Reader(wall_s=0.01)
    with pytest.raises(UnreadableFile, match="stopped"):
        read(hasty, real_clip)
    hasty.close()


def test_a_killed_child_is_an_error_and_the_next_file_is_read(reader: Reader, real_clip: Path) -> None:
    requests: list[Request] = []

    def kill_the_first() -> None:
        while not requests:
            time.sleep(0.001)
        requests[0].kill()

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    error = reader.read(real_clip, {}, Shown().watch, requests).error
    killer.join()
    assert isinstance(error, UnreadableFile)
    assert "stopped" in error.cause
    assert read(reader, real_clip).clips
    requests[0].kill()  # too late: the process may be at work for somebody else
    assert read(reader, real_clip).clips


def test_what_is_asked_at_the_same_time_gets_its_own_answer(reader: Reader, real_clip: Path) -> None:
    """And the process that is kept is asked again, whatever became of the file before."""
    alone = read(reader, real_clip)
    with ThreadPoolExecutor(3) as pool:
        given = [{"age": float(age)} for age in (20, 30, 40)]
        found = list(pool.map(lambda one: reader.study(real_clip, one), given))
    assert [one.attributes.age_years for one in found] == [20, 30, 40]
    assert all(np.array_equal(one.clips[0].frames, alone.clips[0].frames) for one in found)
    warm = reader._idle[-1]
    with pytest.raises(McsdrError):
        reader.study(real_clip.parent / "none.dcm", {})
    assert reader._idle[-1] is warm
    assert warm.lives


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
    whole = PhantomCohort(1, 5)[0]
    study = Study((replace(whole.clips[0], source=""),), whole.attributes, notices=(Notice("doubt", "of a kind"),))
    sent = b"".join(packed(study))
    same(unpacked(sent), study)
    for other in (sent[:-1], sent + b"1"):
        with pytest.raises(MALFORMED):
            unpacked(other)


CHILD = """
import os, socket, sys
line = socket.socket(fileno=0)
answer = os.fdopen(socket.recv_fds(line, 1, 1)[1][0], "wb")
answer.write(open(sys.argv[1], "rb").read())
answer.close()
line.sendall(bytes([255])) if sys.argv[2] == "fails" else None
"""


@pytest.mark.parametrize("end", ["fails", "dies"])
def test_a_child_that_failed_after_sending_is_not_believed(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    said = tmp_path / "said"
    said.write_bytes(line({"header": None}) + b"".join(packed(PhantomCohort(1, 5)[0])))
    monkeypatch.setattr(warm, "COMMAND", (sys.executable, "-c", CHILD, str(said), end))
    monkeypatch.setattr(reader, "_take", warm.Warm)
    assert isinstance(reader.read(said, {}, Shown().watch).error, UnreadableFile)


def test_a_process_that_is_left_alone_ends() -> None:
    """So that none outlives who was killed."""
    left = warm.Warm()
    left._line.close()
    assert left._process.wait(20) == 0


def test_a_fork_of_this_process_has_readers_of_its_own() -> None:
    """Two that ask over one line would get each other's answers."""
    shared()
    if not (child := os.fork()):
        os._exit(shared.cache_info().currsize)
    assert os.waitpid(child, 0)[1] == 0
    assert shared.cache_info().currsize == 1


def test_where_nothing_can_be_forked_a_clip_is_read_here(real_clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.fork")
    monkeypatch.setattr("mcsdr.io.sandbox.reader.shared", lambda: pytest.fail("a child was asked"))
    assert read_apart(real_clip, {"age": 63}).attributes.age_years == 63


def test_an_error_is_of_its_kind_and_of_bearable_length() -> None:
    said = {"code": "single-frame", "cause": "x" * 9000, "next_step": "y"}
    with pytest.raises(SingleFrame) as caught:
        unpacked(line({"error": said}))
    assert len(caught.value.cause) == 500
