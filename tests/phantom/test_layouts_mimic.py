"""MIMIC-IV-ECHO's folder as published: read by this package's own reader, and by the rules of its tables."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pydicom
import pytest
from tests.phantom.public_readers import table

from mcsdr.datasets import MimicIvEcho
from mcsdr.phantom.cohort import draw_person
from mcsdr.phantom.layouts import write_layout
from mcsdr.phantom.layouts.mimic_iv_echo import write_mimic_iv_echo


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mimic")
    write_mimic_iv_echo(out, 2, seed=4, seconds=0.8)
    return out


def test_it_is_read_back_as_labelled_examinations(folder: Path) -> None:
    cohort = MimicIvEcho(folder)
    assert (len(cohort), cohort.unlabelled) == (2, 0)
    for index, study in enumerate(cohort):
        person = draw_person(4, index)
        assert study.ef_percent == round(person.reading_percent)
        assert len(study.clips) == 3
        assert "1 single-frame" in study.notices[0].text
        assert study.clips[0].frame_rate_hz == pytest.approx(round(person.parameters["frame_rate_hz"]), rel=1e-3)


def test_tables_and_files_agree(folder: Path) -> None:
    records = table(folder / "echo-record-list.csv")
    assert {row["dicom_filepath"] for row in records} == {
        str(path.relative_to(folder)) for path in folder.rglob("*.dcm")
    }
    assert "SYNTHETIC" in pydicom.dcmread(folder / records[0]["dicom_filepath"]).ImageComments
    with gzip.open(folder / "structured-measurement.csv.gz", "rt") as file:
        assert {row["measurement"] for row in csv.DictReader(file)} == {"lvef"}


def test_quirks(tmp_path: Path) -> None:
    write_layout("mimic-iv-echo", tmp_path, 12, 3, seconds=0.2, quirks=True)
    odd = {row["Name"].split("/")[3][1:]: row["Quirks"] for row in table(tmp_path / "Truth.csv")}
    cohort = MimicIvEcho(tmp_path)
    assert cohort.unlabelled == sum("no-report" in quirks for quirks in odd.values()) > 0
    for entry in cohort.entries:
        if "ef-as-range" in odd[entry.study_id]:
            assert entry.ef_percent % 5 == 2.5
