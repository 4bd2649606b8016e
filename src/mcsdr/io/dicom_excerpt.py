"""What a report needs of the header of the clip that it is on, and nothing else of it.

A header may hold megabytes of anything; this is what is taken over or referred to. What is taken from a stranger's file
is made plain: each element is kept only if it is short and can be written again.
"""

from __future__ import annotations

import io
import json
import re
from contextlib import suppress
from typing import Any

from pydicom import dcmwrite
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

from mcsdr.errors import UnreadableFile

# What makes the report file under the clip's patient and study (Patient, General Study and Patient Study modules).
PATIENT = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "PatientBirthDate",
    "PatientBirthTime",
    "PatientSex",
    "OtherPatientIDsSequence",
)
STUDY = (
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "StudyDescription",
    "ProcedureCodeSequence",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "TimezoneOffsetFromUTC",
)
REFERENCED = (
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "InstanceNumber",
    "NumberOfFrames",
    "ViewCodeSequence",
)
MOMENTS = ("AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime")  # which of two exams is the earlier
NEEDED = ("SpecificCharacterSet", *PATIENT, *STUDY, *REFERENCED, *MOMENTS)
LONGEST = 4096  # characters of one element as JSON
UID_FORM = re.compile(r"[0-9.]{1,64}")

Plain = dict[str, Any]


def plain_header(dataset: Dataset) -> Plain:
    """The elements that a report needs as DICOM JSON (PS3.18 F); left out is what is long or cannot be written."""
    kept: Plain = {}
    for keyword in NEEDED:
        with suppress(Exception):  # of many kinds: pydicom decodes an element when it is asked for
            said = dataset[keyword].to_json_dict(None, LONGEST)
            tag = f"{tag_for_keyword(keyword):08X}"
            if len(json.dumps(said)) <= LONGEST and _can_be_written(keyword, {tag: said}):
                kept[tag] = said
    return kept


def dataset_of(plain: Plain) -> Dataset:
    """A header of `plain_header`.

    Raises:
        UnreadableFile: it is none.
    """
    try:
        return Dataset.from_json(plain)
    except Exception as error:
        raise UnreadableFile(f"its header cannot be understood ({type(error).__name__})") from None


def is_uid(text: str) -> bool:
    """Whether it has the form of a unique identifier, whoever gave it."""
    return UID_FORM.fullmatch(text) is not None


def _can_be_written(keyword: str, said: Plain) -> bool:
    dataset = Dataset.from_json(said)
    value = dataset[keyword].value
    if dictionary_VR(keyword) == "UI" and not (isinstance(value, str) and is_uid(value)):
        return False
    if keyword in ("InstanceNumber", "NumberOfFrames"):
        int(value)
    dcmwrite(io.BytesIO(), dataset, implicit_vr=False, little_endian=True)
    return True
