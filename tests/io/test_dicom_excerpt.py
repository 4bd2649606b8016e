"""Of a stranger's header a report takes over what is short and can be written again."""

from __future__ import annotations

import json
import warnings

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from mcsdr.errors import UnreadableFile
from mcsdr.io.dicom_excerpt import LONGEST, dataset_of, plain_header


@pytest.fixture
def header() -> Dataset:
    return dcmread(str(get_testdata_file("examples_ybr_color.dcm")), stop_before_pixels=True)


def test_what_a_report_needs_survives_and_what_it_does_not_is_left(header: Dataset) -> None:
    header.add_new(0x00420011, "OB", b"x" * 1_000_000)
    header.StudyDescription = "x" * LONGEST
    plain = plain_header(header)
    kept = dataset_of(json.loads(json.dumps(plain)))
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "SOPInstanceUID", "NumberOfFrames", "StudyDate"):
        assert kept[keyword].value == header[keyword].value
    assert "StudyDescription" not in kept
    assert len(json.dumps(plain)) < 2000


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("StudyInstanceUID", "1.2.3\\4.5"),
        ("SOPInstanceUID", "1.2.x"),
        ("NumberOfFrames", b"xx"),
        ("PatientWeight", b"x"),
    ],
)
def test_what_cannot_be_written_again_is_left_out(header: Dataset, keyword: str, value: str | bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if keyword not in header:
            setattr(header, keyword, 1)
        element = header[keyword]
        element._value = value if isinstance(value, bytes) else value.split("\\")
        assert keyword not in dataset_of(plain_header(header))


def test_what_is_no_header_is_said_to_be_none() -> None:
    with pytest.raises(UnreadableFile):
        dataset_of({"00100010": {"vr": "SQ", "Value": [3]}, "x": []})
