"""An answer as a FHIR R4 Observation: preliminary, with its spread as components.

    Observation.value        median of LVEF, %; instead of it a dataAbsentReason: unknown (abstained), error (failed)
    Observation.component    mean, SD, ends of the 90 % interval (%), probabilities (1), each stating its inequality
    Observation.device       contained: this software, its version and its model's hash
    Observation.derivedFrom  the study, by its UID

No patient is named: the subject is whatever reference the caller gives, and no date is copied from the clip.

References: HL7 FHIR R4 Observation (invariants obs-3, obs-6, obs-7), Device, data-absent-reason; DICOM PS3.20.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset

from mcsdr.interop import codes
from mcsdr.interop.codes import Code
from mcsdr.interop.record import Record, Statistic, check_source, checked, parameters, remarks, statistics, version_of
from mcsdr.interop.uids import report_uid

SYSTEMS = {
    "LN": "http://loinc.org",
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "UCUM": "http://unitsofmeasure.org",
}
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
UNITS = {codes.PERCENT: "%", codes.NO_UNITS: "1"}

Resource = dict[str, Any]


def observation(record: Record, source: Dataset | None = None, *, subject: str | None = None) -> Resource:
    """The Observation of one record.

    Arguments:
        record: of `Answer.record()` or `Failure.record()`.
        source: the header of the DICOM clip that it was made from, for its UIDs alone.
        subject: a reference to the patient, such as "Patient/17"; left out unless given.

    Raises:
        InputError: the record is not one.
        UnreadableFile, MismatchedSource: the header lacks a UID, or is of another clip.
    """
    said = statistics(checked(record))
    if source is not None:
        check_source(record, source)
    resource: Resource = {
        "resourceType": "Observation",
        "contained": [_device(record)],
        "identifier": [] if source is None else [_uid(report_uid(record, source.SOPInstanceUID))],
        "status": "preliminary",
        "category": [{"coding": [{"system": CATEGORY, "code": "imaging", "display": "Imaging"}]}],
        "code": {
            "coding": [_coding(codes.LVEF_LOINC), _coding(codes.LVEF_SNOMED)],
            "text": "Left ventricular ejection fraction, median of the posterior",
        },
        "subject": None if subject is None else {"reference": subject},
        **(_absence(record) if not said else {"valueQuantity": _quantity(said[0])}),
        "note": [{"text": remark} for remark in remarks(record)],
        "bodySite": {"coding": [_coding(codes.LEFT_VENTRICLE)]},
        "method": {"text": "Estimated from an echocardiogram by conditional score-based diffusion (mcsdr); no tracing"},
        "device": {"reference": "#device"},
        "derivedFrom": [] if source is None else [_study(source)],
        "component": [_component(statistic) for statistic in said[1:]] + _beats(record),
    }
    return {key: value for key, value in resource.items() if value not in (None, [])}


def bundle(observations: Sequence[Resource]) -> Resource:
    """Several Observations in one collection."""
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in observations]}


def _absence(record: Record) -> Resource:
    """Why there is no value: it exists and is not known, or something went wrong; the note says what."""
    code, display = ("error", "Error") if record["error"] is not None else ("unknown", "Unknown")
    why = record["error"] or record["abstained"]
    text = why.get("reason") or why.get("cause") or display
    return {"dataAbsentReason": {"coding": [{"system": ABSENT, "code": code, "display": display}], "text": text}}


def _component(statistic: Statistic) -> Resource:
    code = {"coding": [_coding(statistic.code)], "text": statistic.meaning}
    return {"code": code, "valueQuantity": _quantity(statistic)}


def _beats(record: Record) -> list[Resource]:
    """The median of each beat that was read by itself."""
    medians = []
    for place, beat in enumerate(record.get("beats") or (), start=1):
        meaning = f"Median of the posterior of EF, beat {place}, from {beat['start_s']:g} s"
        medians.append(_component(Statistic(codes.MEDIAN, meaning, beat["median"], codes.PERCENT)))
    return medians


def _device(record: Record) -> Resource:
    """The software as a Device, with what repeats its answer."""
    versions = [{"type": {"text": "software"}, "value": version_of(record)}]
    if record.get("model_sha256"):
        versions.append({"type": {"text": "model sha256"}, "value": record["model_sha256"]})
    names = [{"name": "mcsdr", "type": "manufacturer-name"}]
    if record.get("model"):
        names.append({"name": record["model"], "type": "model-name"})
    device: Resource = {"resourceType": "Device", "id": "device", "deviceName": names, "version": versions}
    settings = parameters(record)
    return device if not settings else {**device, "note": [{"text": "; ".join(settings)}]}


def _study(source: Dataset) -> Resource:
    return {
        "type": "ImagingStudy",
        "identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{source.StudyInstanceUID}"},
    }


def _uid(uid: str) -> Resource:
    return {"system": "urn:ietf:rfc:3986", "value": f"urn:oid:{uid}"}


def _coding(code: Code) -> Resource:
    return {"system": SYSTEMS[code.scheme], "code": code.value, "display": code.meaning}


def _quantity(statistic: Statistic) -> Resource:
    unit = UNITS[statistic.unit]
    return {"value": statistic.value, "unit": unit, "system": SYSTEMS["UCUM"], "code": statistic.unit.value}
