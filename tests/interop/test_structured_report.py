"""The structured report: every number is the record's, every code the standard's, and other readers read it."""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import highdicom
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr._concepts_dict import concepts
from pydicom.sr.codedict import codes as dictionary
from pydicom.uid import UID
from tests.interop.records import WHY, abstention, answer, clip_header, failure

from mcsdr.errors import InputError, MismatchedSource, UnreadableFile
from mcsdr.interop import codes
from mcsdr.interop.content_tree import ascii_of
from mcsdr.interop.record import inequality, parameters, remarks
from mcsdr.interop.structured_report import read_back, structured_report, to_bytes
from mcsdr.study import View

NOW = datetime(2026, 1, 2, 3, 4, 5)
# Not in pydicom's dictionary: a language tag (highdicom's own), and "Source" as TID 1501 words it.
ELSEWHERE = {codes.ENGLISH, codes.SOURCE}
# PS3.3 A.35.13.3.1.2, as far as this package goes: what may stand below what.
ALLOWED = {
    ("CONTAINER", "CONTAINS"): {"TEXT", "CODE", "NUM", "UIDREF", "IMAGE", "CONTAINER"},
    ("CONTAINER", "HAS CONCEPT MOD"): {"TEXT", "CODE"},
    ("CONTAINER", "HAS OBS CONTEXT"): {"TEXT", "CODE", "NUM", "UIDREF"},
    ("CONTAINER", "HAS ACQ CONTEXT"): {"TEXT", "CODE", "NUM", "UIDREF"},
    ("IMAGE", "HAS ACQ CONTEXT"): {"TEXT", "CODE", "NUM", "UIDREF"},
    ("NUM", "HAS CONCEPT MOD"): {"TEXT", "CODE"},
}


def reread(record: dict[str, Any], **options: Any) -> Dataset:
    """The report after a way through bytes."""
    return dcmread(io.BytesIO(to_bytes(structured_report(record, clip_header(), now=NOW, **options))))


def items(dataset: Dataset) -> Iterator[tuple[Dataset, Dataset]]:
    """Every content item below, with its parent."""
    for child in dataset.get("ContentSequence") or ():
        yield dataset, child
        yield from items(child)


def code_items(dataset: Dataset) -> Iterator[codes.Code]:
    """Every coded concept anywhere in a data set."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                if "CodeValue" in item:
                    yield codes.Code(item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning)
                yield from code_items(item)


@pytest.mark.parametrize("seed", range(200))
def test_every_number_is_the_records_after_a_way_through_bytes(seed: int) -> None:
    record = answer(seed)
    said = read_back(reread(record))
    for key in ("median", "mean", "sd", "interval_90"):
        assert said[key] == record[key]
    assert said["prob"] == {ascii_of(f"P({inequality(key)})"): p for key, p in record["prob"].items()}
    assert said["beats"] == [beat["median"] for beat in record["beats"]]
    assert (said["abstained"], said["failed"], said["qualifier"]) == (None, None, None)
    assert (said["model"], said["model_sha256"], said["version"]) == ("phantom-a4c", record["model_sha256"], "0.1.0")
    assert said["remarks"] == [ascii_of(remark) for remark in remarks(record)]
    assert said["source"] == clip_header().SOPInstanceUID


def test_a_number_with_more_digits_than_a_decimal_string_holds_comes_back_whole() -> None:
    record = answer(median=100 / 3, sd=1e-7 / 3)
    report = reread(record)
    assert (read_back(report)["median"], read_back(report)["sd"]) == (100 / 3, 1e-7 / 3)
    texts = [str(i.MeasuredValueSequence[0].NumericValue) for _, i in items(report) if i.ValueType == "NUM"]
    assert max(map(len, texts)) <= 16


def test_every_code_is_in_the_standards_dictionary_with_its_meaning() -> None:
    reports = [reread(answer(3), view=View.A4C), reread(abstention()), reread(failure())]
    found = {code for report in reports for code in code_items(report)}
    assert codes.MEDIAN in found
    assert codes.VIEWS[View.A4C] in found
    written = {code for code in vars(codes).values() if isinstance(code, codes.Code)} | set(codes.VIEWS.values())
    for code in (found | written) - ELSEWHERE - {codes.LVEF_LOINC, codes.LVEF_SNOMED}:  # those two are FHIR's
        names = [name for name, entries in concepts[code.scheme].items() if code.value in entries]
        assert code.meaning in {concepts[code.scheme][name][code.value][0] for name in names}, code
    assert dictionary.LN.LeftVentricularEjectionFractionByUS.value == codes.LVEF_BY_ULTRASOUND.value
    language = highdicom.sr.templates.DEFAULT_LANGUAGE
    assert (language.value, language.scheme_designator, language.meaning) == codes.ENGLISH


def test_the_tree_holds_only_relations_that_the_object_allows() -> None:
    for report in (reread(answer(3), view=View.A4C), reread(abstention()), reread(failure())):
        for parent, child in items(report):
            assert child.ValueType in ALLOWED[parent.ValueType, child.RelationshipType]
            assert child.ValueType == "IMAGE" or child.ConceptNameCodeSequence


def test_highdicom_reads_the_report() -> None:
    record = answer(3)
    report = highdicom.sr.srread(io.BytesIO(to_bytes(structured_report(record, clip_header()))))
    assert isinstance(report, highdicom.sr.Comprehensive3DSR)
    group, *beats = report.content.get_image_measurement_groups()
    assert len(beats) == 3
    assert group.tracking_identifier == "LVEF"
    assert group.finding_sites[0].value == dictionary.SCT.LeftVentricle
    measured = group.get_measurements()
    assert measured[0].value == record["median"]
    assert measured[0].derivation == dictionary.SCT.Median
    assert measured[0].unit == dictionary.UCUM.Percent
    assert [m.value for m in measured[5:]] == list(record["prob"].values())
    observer = report.content.get_observer_contexts()[0].observer_identifying_attributes
    assert (observer.name, observer.model_name) == ("mcsdr 0.1.0", "phantom-a4c")


def test_the_report_files_under_its_clip_and_says_that_nobody_verified_it() -> None:
    header, report = clip_header(), reread(answer())
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "AccessionNumber"):
        assert report[keyword].value == header[keyword].value
    assert report.SeriesInstanceUID != header.SeriesInstanceUID
    assert (report.Modality, report.SOPClassUID.name) == ("SR", "Comprehensive 3D SR Storage")
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    assert evidence.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == header.SOPInstanceUID
    assert (report.ContentDate, report.ContentTime) == ("20260102", "030405")
    assert report.file_meta.MediaStorageSOPInstanceUID == report.SOPInstanceUID
    uids = [str(element.value) for element in report.iterall() if element.VR == "UI"]
    assert all(UID(uid).is_valid for uid in uids)
    assert any("not for diagnosis" in remark for remark in read_back(report)["remarks"])


def test_an_abstention_has_no_number_but_a_reason() -> None:
    report = reread(abstention())
    said = read_back(report)
    assert (said["median"], said["interval_90"], said["prob"]) == (None, None, {})
    assert (said["abstained"], said["failed"]) == ("wide-interval", None)
    assert said["qualifier"] == ("114011", "DCM")
    assert f"Next step: {WHY['next_step']}" in said["remarks"]
    assert [len(i.MeasuredValueSequence) for _, i in items(report) if i.ValueType == "NUM"] == [0]


def test_an_answer_that_was_insisted_on_says_so() -> None:
    said = read_back(reread(answer(abstained=WHY)))
    assert said["median"] == answer()["median"]
    assert said["abstained"] == "wide-interval"
    assert any("do not rely on it" in remark for remark in said["remarks"])


def test_a_failure_has_no_number_and_names_nobody() -> None:
    report = reread(failure())
    said = read_back(report)
    assert (said["failed"], said["abstained"], said["qualifier"]) == ("not-b-mode", None, ("114006", "DCM"))
    assert (said["model"], said["model_sha256"]) == (None, None)
    for record in (failure(), answer(), abstention()):
        assert b"PLANTED" not in to_bytes(structured_report(record, clip_header()))


def test_a_retry_makes_the_same_report_and_another_answer_another() -> None:
    first, header = answer(3), clip_header()
    uid = structured_report(first, header).SOPInstanceUID
    assert to_bytes(structured_report(first, header, now=NOW)) == to_bytes(structured_report(first, header, now=NOW))
    moved = {**copy.deepcopy(first), "file": "elsewhere.dcm"}
    assert structured_report(moved, header).SOPInstanceUID == uid
    assert re.fullmatch(r"2\.25\.[1-9]\d{0,38}", uid)
    others = [answer(3, median=1.0), answer(3, model_sha256="f" * 64), answer(3, version="9"), answer(3, attributes={})]
    other_clip = clip_header()
    other_clip.SOPInstanceUID += ".1"
    uids = {structured_report(other, header).SOPInstanceUID for other in [*others, abstention(), failure()]}
    uids.add(structured_report(first, other_clip).SOPInstanceUID)
    assert len(uids | {uid}) == 8
    assert structured_report(first, header, sop_instance_uid="1.2.3").SOPInstanceUID == "1.2.3"


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 192", "Łukasz^Żółć=王^小東"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
        ("ISO_IR 144", "Люкceмбypг"),
    ],
)
def test_names_of_every_alphabet_survive(charset: Any, name: str) -> None:
    clip = clip_header()
    clip.SpecificCharacterSet = charset
    clip.PatientName = name
    file = io.BytesIO()
    clip.save_as(file, enforce_file_format=True)
    file.seek(0)
    report = structured_report(answer(), dcmread(file, stop_before_pixels=True, force=True))
    assert str(dcmread(io.BytesIO(to_bytes(report))).PatientName) == name


def test_a_beat_names_its_frames_and_the_clip_none() -> None:
    beats = [{"start_s": start, "median": 50.0, "interval_90": [40.0, 60.0]} for start in (0.1, 0.5)]
    report = reread(answer(beats=beats))
    references = [i.ReferencedSOPSequence[0] for _, i in items(report) if i.ValueType == "IMAGE"]
    frames = [list(r.get("ReferencedFrameNumber") or []) for r in references]
    assert frames == [[], [], list(range(4, 16)), list(range(16, 31))]


@pytest.mark.parametrize("value", ["399214001", "G-A19C"])
def test_the_view_of_the_header_is_carried_over(value: str) -> None:
    clip = clip_header()
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", "as the machine worded it"
    clip.ViewCodeSequence = [item]
    assert codes.VIEWS[View.A4C] in set(code_items(structured_report(answer(), clip)))
    assert codes.VIEWS[View.A4C] not in set(code_items(structured_report(answer(), clip_header())))


def test_an_earlier_report_is_named_as_predecessor() -> None:
    first = structured_report(answer(0), clip_header())
    second = structured_report(answer(1), clip_header(), previous=[first])
    named = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == first.SOPInstanceUID


def test_what_repeats_the_answer_stands_in_the_algorithms_parameters() -> None:
    record = answer(1)
    words = [item for _, item in items(reread(record)) if item.ValueType == "TEXT"]
    said = {str(item.TextValue) for item in words if item.ConceptNameCodeSequence[0].CodeValue == "111002"}
    assert said == set(parameters(record))
    assert {"model = phantom-a4c", "seed = 0", "sampler.steps = 4", "calibration = no", "attributes.sex = F"} <= said


def test_a_result_of_another_clip_is_refused() -> None:
    clip = clip_header()
    clip.NumberOfFrames = 60
    with pytest.raises(MismatchedSource):
        structured_report(answer(), clip)
    del clip.StudyInstanceUID
    with pytest.raises(UnreadableFile, match="StudyInstanceUID"):
        structured_report(answer(), clip)


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(InputError):
        structured_report({"median": 50.0}, clip_header())
    with pytest.raises(InputError):
        structured_report(answer(median=float("nan")), clip_header())
