"""The FHIR Observation: R4's rules by hand, and the record's numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.interop.records import WHY, abstention, answer, clip_header, failure

from mcsdr.errors import InputError
from mcsdr.interop.fhir import bundle, observation
from mcsdr.interop.record import read_records
from mcsdr.interop.structured_report import structured_report

# Of R4's Observation, Device and Bundle: what this package writes, and no more.
OBSERVATION = {
    "resourceType", "contained", "identifier", "status", "category", "code", "subject", "valueQuantity", "note",
    "dataAbsentReason", "bodySite", "method", "device", "derivedFrom", "component",
}  # fmt: skip
DEVICE = {"resourceType", "id", "deviceName", "version", "note"}


def nested(value: Any) -> Iterator[dict[str, Any]]:
    """Every object inside."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from nested(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nested(inner)


def codings(concept: dict[str, Any]) -> set[tuple[str, str]]:
    return {(coding["system"], coding["code"]) for coding in concept.get("coding", [])}


def check(resource: dict[str, Any]) -> None:
    """The rules of R4 that an Observation can break."""
    assert resource["resourceType"] == "Observation"
    assert set(resource) <= OBSERVATION
    assert resource["status"] == "preliminary"
    assert ("valueQuantity" in resource) != ("dataAbsentReason" in resource)  # obs-6, and never neither
    own = codings(resource["code"])
    assert {("http://loinc.org", "10230-1"), ("http://snomed.info/sct", "250908004")} == own
    for component in resource.get("component", []):
        assert component["code"]["text"]
        assert not own & codings(component["code"])  # obs-7
        assert ("valueQuantity" in component) != ("dataAbsentReason" in component)
    (device,) = resource["contained"]
    assert set(device) <= DEVICE
    assert all(name["type"] in ("manufacturer-name", "model-name") and name["name"] for name in device["deviceName"])
    assert resource["device"]["reference"] == f"#{device['id']}"  # dom-3: contained resources are referred to
    for inner in nested(resource):
        assert all(value not in (None, "", [], {}) for value in inner.values())  # ele-1
        if "value" in inner and "unit" in inner:
            assert isinstance(inner["value"], int | float)
            assert inner["system"] == "http://unitsofmeasure.org"
            assert inner["code"] in ("%", "1")
    assert any("not for diagnosis" in note["text"] for note in resource["note"])
    assert json.loads(json.dumps(resource, allow_nan=False)) == resource


@pytest.mark.parametrize("seed", range(30))
def test_an_answer_keeps_every_number_and_rule(seed: int) -> None:
    record = answer(seed)
    resource = observation(record, clip_header(), subject="Patient/17")
    check(resource)
    assert resource["subject"] == {"reference": "Patient/17"}
    assert (resource["valueQuantity"]["value"], resource["valueQuantity"]["code"]) == (record["median"], "%")
    values = [component["valueQuantity"]["value"] for component in resource["component"]]
    beats = [beat["median"] for beat in record["beats"]]
    assert values == [record["mean"], record["sd"], *record["interval_90"], *record["prob"].values(), *beats]
    words = [component["code"]["text"] for component in resource["component"]]
    assert {"P(EF ≤ 30 %)", "P(EF ≤ 40 %)", "P(40 % < EF < 50 %)", "P(EF ≥ 50 %)"} <= set(words)


@pytest.mark.parametrize(
    ("record", "code", "word"), [(abstention(), "unknown", WHY["reason"]), (failure(), "error", "colour Doppler")]
)
def test_without_a_value_there_is_a_reason(record: dict[str, Any], code: str, word: str) -> None:
    resource = observation(record, clip_header())
    check(resource)
    assert "component" not in resource
    (coding,) = resource["dataAbsentReason"]["coding"]
    assert coding["system"] == "http://terminology.hl7.org/CodeSystem/data-absent-reason"
    assert coding["code"] == code
    assert any(word in note["text"] for note in resource["note"])


def test_an_answer_that_was_insisted_on_says_so() -> None:
    resource = observation(answer(abstained=WHY))
    check(resource)
    assert any("do not rely on it" in note["text"] for note in resource["note"])


def test_it_is_derived_from_the_study_and_shares_the_reports_identity() -> None:
    clip = clip_header()
    resource = observation(answer(), clip)
    (study,) = resource["derivedFrom"]
    assert study["identifier"] == {"system": "urn:dicom:uid", "value": f"urn:oid:{clip.StudyInstanceUID}"}
    report = structured_report(answer(), clip)
    assert resource["identifier"][0]["value"] == f"urn:oid:{report.SOPInstanceUID}"
    assert observation(answer(), clip) == resource


def test_nobody_is_named() -> None:
    clip = clip_header()
    clip.PatientName, clip.PatientID = "Planted^Name", "PLANTED-4711"
    for record in (answer(), abstention(), failure()):
        text = json.dumps(observation(record, clip)).upper()
        assert "PLANTED" not in text
        assert clip.StudyDate not in text.replace(str(clip.StudyInstanceUID), "")
        assert "subject" not in observation(record, clip)


def test_several_make_a_bundle() -> None:
    resource = bundle([observation(answer(seed)) for seed in range(3)])
    assert (resource["resourceType"], resource["type"], len(resource["entry"])) == ("Bundle", "collection", 3)
    for entry in resource["entry"]:
        check(entry["resource"])


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(InputError):
        observation({"median": 50.0})


def test_the_summary_of_a_folder_is_no_result(tmp_path: Path) -> None:
    """`mcsdr predict FOLDER --json` ends with what was passed over."""
    file = tmp_path / "answers.json"
    file.write_text(json.dumps([answer(0), {"summary": {"inputs": 1, "passed_over": {"text": 2}}}]))
    assert len(read_records(file)) == 1
