"""`mcsdr simulate` writes what EchoNet-Dynamic's own readers expect, and this package reads it back."""

from __future__ import annotations

import csv
from pathlib import Path

import av
import numpy as np
import pytest

from mcsdr.datasets import EchoNetDynamic
from mcsdr.errors import InvalidCohort
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.phantom.layouts import FILE_LIST, write_echonet_dynamic


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated")
    write_echonet_dynamic(out, 8, seed=4, seconds=0.8)
    return out


def test_file_list_is_as_the_data_set_has_it(folder: Path) -> None:
    with (folder / "FileList.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == FILE_LIST
    assert [row["Split"] for row in rows] == ["TRAIN"] * 6 + ["VAL", "TEST"]
    for row in rows:
        assert row["FileName"].startswith("0X")
        assert "." not in row["FileName"]
        ef, esv, edv = (float(row[name]) for name in ("EF", "ESV", "EDV"))
        assert ef == pytest.approx(100 * (edv - esv) / edv, abs=1e-3)
        with av.open(str(folder / "Videos" / f"{row['FileName']}.avi")) as video:
            stream = video.streams.video[0]
            assert stream.codec_context.name == "mjpeg"
            assert (stream.height, stream.width) == (int(row["FrameHeight"]), int(row["FrameWidth"])) == (112, 112)
            assert stream.average_rate == int(row["FPS"])
            assert sum(1 for _ in video.decode(video=0)) == int(row["NumberOfFrames"])
    assert "SYNTHETIC" in (folder / "SYNTHETIC.txt").read_text()


def test_what_is_read_back_is_what_was_rendered(folder: Path) -> None:
    written, rendered = EchoNetDynamic(folder)[2], PhantomCohort(8, seed=4, sampling_hz=None, seconds=0.8)[2]
    assert written.attributes == rendered.attributes
    assert written.ef_percent == pytest.approx(rendered.ef_percent, abs=1e-5)
    assert written.true_ef_percent == pytest.approx(rendered.true_ef_percent, abs=1e-5)
    read, drawn = written.clips[0], rendered.clips[0]
    assert read.frame_rate_hz == pytest.approx(drawn.frame_rate_hz, rel=1e-3)
    assert len(read.frames) == len(drawn.frames)


def test_splits(folder: Path) -> None:
    assert [len(EchoNetDynamic(folder, split)) for split in (None, "train", "val", "test")] == [8, 6, 1, 1]


def test_a_full_folder_is_not_overwritten(folder: Path) -> None:
    with pytest.raises(InvalidCohort, match="already holds"):
        write_echonet_dynamic(folder, 1, seed=0)


@pytest.mark.parametrize(
    ("text", "message"), [(None, "no such table"), ("FileName,EF\n0XA,50\n", "lacks the column Split, FPS")]
)
def test_folders_that_are_no_data_set(tmp_path: Path, text: str | None, message: str) -> None:
    if text:
        (tmp_path / "FileList.csv").write_text(text)
    with pytest.raises(InvalidCohort, match=message):
        EchoNetDynamic(tmp_path)


def test_names_that_carry_their_extension_are_read(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "FileList.csv").read_text().splitlines()
    first = lines[1].split(",")
    (tmp_path / "FileList.csv").write_text(f"{lines[0]}\n{','.join([first[0] + '.avi', *first[1:]])}\n")
    (tmp_path / "Videos").symlink_to(folder / "Videos")
    study = EchoNetDynamic(tmp_path)[0]
    assert study.study_id == first[0]
    assert study.clips[0].frames.dtype == np.uint8
