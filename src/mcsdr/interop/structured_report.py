"""An answer as a DICOM structured report that files beside its clip: Comprehensive 3D SR, TID 1500 Measurement Report.

    126000 Imaging Measurement Report
    ├── language · device observer (TID 1004) · procedure reported
    ├── 111028 Image Library ── the clip
    └── 126010 Imaging Measurements
        ├── 125007 Measurement Group (TID 1501)     the clip as a whole: site, algorithm (TID 4019), source,
        │                                           LVEF × {median, mean, SD, 5th, 95th percentile}, P, words
        └── 125007 Measurement Group                one per beat of a longer clip: median and 90 % interval

Where the model abstained, or the clip could not be read, LVEF has no value but a coded reason, and the words say which.
The report is unverified and preliminary; its numbers are the record's, and read back as the same floats. The same
record on the same clip makes the same SOP Instance UID, so that a retry files nothing twice.

References: DICOM PS3.3 A.35.13, C.17; PS3.16 TID 300, 1001, 1004, 1204, 1500, 1501, 1600, 4019.
"""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import Comprehensive3DSRStorage, ExplicitVRLittleEndian

from mcsdr.interop import codes
from mcsdr.interop.content_tree import (
    CONTAINS,
    HAS_ACQ_CONTEXT,
    HAS_CONCEPT_MOD,
    HAS_OBS_CONTEXT,
    below,
    code,
    concept,
    container,
    image,
    key_of,
    no_number,
    number,
    reference,
    text,
    uid_reference,
    value_of,
)
from mcsdr.interop.record import (
    Record,
    Statistic,
    check_source,
    checked,
    interval,
    parameters,
    remarks,
    statistics,
    version_of,
)
from mcsdr.interop.uids import derived_uid, report_uid
from mcsdr.io.dicom_excerpt import PATIENT, STUDY
from mcsdr.study import View

MAKER = "mcsdr"
SERIES_NUMBER = 9001  # far from those that machines give
SERIES_DESCRIPTION = "LVEF posterior, research use only"
WHOLE_CLIP = "LVEF"
TYPE_2 = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID")
ALSO_TYPE_2 = ("ReferringPhysicianName", "AccessionNumber")


def structured_report(
    record: Record,
    source: Dataset,
    *,
    sop_instance_uid: str | None = None,
    now: datetime | None = None,
    view: View = View.UNKNOWN,
    previous: Sequence[Dataset] = (),
) -> Dataset:
    """The report of one record.

    Arguments:
        record: of `Answer.record()` or `Failure.record()`.
        source: the header of the DICOM clip that it was made from.
        sop_instance_uid: of the report; derived from the record and the clip unless given.
        now: when the report was made; the clock unless given.
        view: of the clip; what its header says unless given.
        previous: headers of earlier reports on the same clip that this one replaces.

    Returns:
        a data set with its file meta information; `to_bytes` makes a file of it.

    Raises:
        InputError: the record is not one.
        UnreadableFile: the header lacks a UID.
        MismatchedSource: the clip has another number of frames than the record's.
    """
    checked(record)
    check_source(record, source)
    report = Dataset()
    _copy_patient_and_study(report, source)
    _describe_series(report, record, source)
    _describe_document(report, source, now or datetime.now(), previous)
    report.SOPClassUID = Comprehensive3DSRStorage
    report.SOPInstanceUID = sop_instance_uid or report_uid(record, source.SOPInstanceUID)
    view = view if view is not View.UNKNOWN else view_in(source)
    report.update(_tree(record, source, view))
    report.file_meta = FileMetaDataset()
    report.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    report.file_meta.MediaStorageSOPClassUID = report.SOPClassUID
    report.file_meta.MediaStorageSOPInstanceUID = report.SOPInstanceUID
    return report


def to_bytes(report: Dataset) -> bytes:
    """The report as a DICOM file."""
    file = io.BytesIO()
    dcmwrite(file, report, enforce_file_format=True)
    return file.getvalue()


def view_in(source: Dataset) -> View:
    """The view that a header names by its code (0054,0220)."""
    named = concept(source.get("ViewCodeSequence"))
    return View.UNKNOWN if named is None else codes.view_of(named[0])


def read_back(report: Dataset) -> dict[str, Any]:
    """What a report of this package says, found by its codes.

    Returns:
        median, mean, sd, interval_90 and prob as in the record (prob by its inequality in words), beats (their
        medians), abstained and failed (a code or None), qualifier (why there is no number, or None), model,
        model_sha256, version, source (the clip's SOP Instance UID), remarks.
    """
    measured = next(below(report, codes.IMAGING_MEASUREMENTS))
    group, *beats = below(measured, codes.MEASUREMENT_GROUP)
    lvef = list(below(group, codes.LVEF_BY_ULTRASOUND, "NUM"))
    spread = _by_derivation(lvef)
    said = [str(item.TextValue) for item in below(group, codes.COMMENT)]
    named = dict(str(item.TextValue).split(" = ", 1) for item in below(group, codes.ALGORITHM_PARAMETERS))
    ends = (spread.get(key_of(codes.FIFTH_PERCENTILE)), spread.get(key_of(codes.NINETY_FIFTH_PERCENTILE)))
    return {
        "median": spread.get(key_of(codes.MEDIAN)),
        "mean": spread.get(key_of(codes.MEAN)),
        "sd": spread.get(key_of(codes.STANDARD_DEVIATION)),
        "interval_90": None if None in ends else list(ends),
        "prob": {_meaning(item): value_of(item) for item in below(group, codes.PROBABILITY)},
        "beats": [_by_derivation(below(beat, codes.LVEF_BY_ULTRASOUND))[key_of(codes.MEDIAN)] for beat in beats],
        "abstained": _bracketed(said, "Abstained"),
        "failed": _bracketed(said, "Failed"),
        "qualifier": next((concept(item.get("NumericValueQualifierCodeSequence")) for item in lvef), None),
        "model": named.get("model"),
        "model_sha256": named.get("model_sha256"),
        "version": next(str(item.TextValue) for item in below(group, codes.ALGORITHM_VERSION)),
        "source": str(next(below(group, codes.SOURCE)).ReferencedSOPSequence[0].ReferencedSOPInstanceUID),
        "remarks": said,
    }


# --- the header ------------------------------------------------------------------------------------------------------


def _copy_patient_and_study(report: Dataset, source: Dataset) -> None:
    if "SpecificCharacterSet" in source:
        report.SpecificCharacterSet = source.SpecificCharacterSet
    for keyword in (*PATIENT, *STUDY):
        if keyword in source:
            report[keyword] = copy.deepcopy(source[keyword])
    for keyword in (*TYPE_2, *ALSO_TYPE_2):
        if keyword not in report:
            setattr(report, keyword, "")


def _describe_series(report: Dataset, record: Record, source: Dataset) -> None:
    """One series for all reports of one model on one study, and the software that made them."""
    digest, version = str(record.get("model_sha256") or "none"), version_of(record)
    report.Modality = "SR"
    report.SeriesInstanceUID = derived_uid("series", source.StudyInstanceUID, digest, version)
    report.SeriesNumber = SERIES_NUMBER
    report.SeriesDescription = SERIES_DESCRIPTION
    report.ReferencedPerformedProcedureStepSequence = []
    report.Manufacturer = report.ManufacturerModelName = MAKER
    report.DeviceSerialNumber = digest
    report.SoftwareVersions = version


def _describe_document(report: Dataset, source: Dataset, now: datetime, previous: Sequence[Dataset]) -> None:
    report.InstanceNumber = int(source.get("InstanceNumber") or 1)
    report.ContentDate = report.InstanceCreationDate = now.strftime("%Y%m%d")
    report.ContentTime = report.InstanceCreationTime = now.strftime("%H%M%S")
    report.CompletionFlag = "COMPLETE"  # all that it is ever going to say
    report.PreliminaryFlag = "PRELIMINARY"
    report.VerificationFlag = "UNVERIFIED"
    report.PerformedProcedureCodeSequence = []
    report.CurrentRequestedProcedureEvidenceSequence = [_in_study(source)]
    if previous:
        report.PredecessorDocumentsSequence = [_in_study(earlier) for earlier in previous]


def _in_study(instance: Dataset) -> Dataset:
    """A reference by study, series and instance."""
    series = Dataset()
    series.SeriesInstanceUID = instance.SeriesInstanceUID
    series.ReferencedSOPSequence = [reference(instance)]
    study = Dataset()
    study.StudyInstanceUID = instance.StudyInstanceUID
    study.ReferencedSeriesSequence = [series]
    return study


# --- the content tree ------------------------------------------------------------------------------------------------


def _tree(record: Record, source: Dataset, view: View) -> Dataset:
    shown = [] if view not in codes.VIEWS else [code(HAS_ACQ_CONTEXT, codes.IMAGE_VIEW, codes.VIEWS[view])]
    modality = code(HAS_ACQ_CONTEXT, codes.MODALITY, codes.ULTRASOUND)
    library = container(codes.IMAGE_LIBRARY_GROUP, [modality, image(CONTAINS, None, source, children=shown)])
    groups = [_whole_clip(record, source, shown), *_beats(record, source)]
    return container(
        codes.MEASUREMENT_REPORT,
        [
            code(HAS_CONCEPT_MOD, codes.LANGUAGE, codes.ENGLISH),
            *_observer(record),
            code(HAS_CONCEPT_MOD, codes.PROCEDURE_REPORTED, codes.ECHOCARDIOGRAPHY),
            container(codes.IMAGE_LIBRARY, [library]),
            container(codes.IMAGING_MEASUREMENTS, groups),
        ],
        template="1500",
        relation="",
    )


def _observer(record: Record) -> list[Dataset]:
    """The device that observed (TID 1004): this software with this model."""
    digest, version = record.get("model_sha256"), version_of(record)
    items = [
        code(HAS_OBS_CONTEXT, codes.OBSERVER_TYPE, codes.DEVICE),
        uid_reference(HAS_OBS_CONTEXT, codes.DEVICE_UID, derived_uid("device", str(digest), version)),
        text(HAS_OBS_CONTEXT, codes.DEVICE_NAME, f"{MAKER} {version}"),
        text(HAS_OBS_CONTEXT, codes.DEVICE_MANUFACTURER, MAKER),
        text(HAS_OBS_CONTEXT, codes.DEVICE_MODEL, record.get("model") or MAKER),
    ]
    return items if digest is None else [*items, text(HAS_OBS_CONTEXT, codes.DEVICE_SERIAL, digest)]


def _whole_clip(record: Record, source: Dataset, shown: Sequence[Dataset]) -> Dataset:
    return container(
        codes.MEASUREMENT_GROUP,
        [
            *_tracking(WHOLE_CLIP, source),
            code(HAS_CONCEPT_MOD, codes.FINDING_SITE, codes.LEFT_VENTRICLE),
            *copy.deepcopy(list(shown)),
            *_algorithm(record),
            *(_numbers(statistics(record)) or [_no_number(record)]),
            *(text(CONTAINS, codes.COMMENT, remark) for remark in remarks(record)),
            image(CONTAINS, codes.SOURCE, source),
        ],
        template="1501",
    )


def _beats(record: Record, source: Dataset) -> list[Dataset]:
    """One group for each beat that was read by itself: its median and interval, and the frames it lasts."""
    beats = record.get("beats") or []
    groups = []
    for place, beat in enumerate(beats):
        until = beats[place + 1]["start_s"] if place + 1 < len(beats) else None
        median = statistics({**beat, "mean": beat["median"], "sd": 0.0, "prob": {}})[:1]
        items = [
            *_tracking(f"{WHOLE_CLIP}, beat {place + 1}", source),
            code(HAS_CONCEPT_MOD, codes.FINDING_SITE, codes.LEFT_VENTRICLE),
            *_algorithm(record),
            *_numbers([*median, *interval(*beat["interval_90"])]),
            image(CONTAINS, codes.SOURCE, source, _frames(record, beat["start_s"], until)),
        ]
        groups.append(container(codes.MEASUREMENT_GROUP, items, template="1501"))
    return groups


def _frames(record: Record, start_s: float, until_s: float | None) -> list[int]:
    """The frames, counted from 1, from the start of a beat to the next one's, or to the clip's end; none means all."""
    clip = record["clips"][0]
    first = min(round(start_s * clip["frame_rate_hz"]) + 1, clip["frames"])
    last = clip["frames"] if until_s is None else round(until_s * clip["frame_rate_hz"])
    frames = list(range(first, max(first, min(last, clip["frames"])) + 1))
    return frames if len(frames) < clip["frames"] else []


def _tracking(name: str, source: Dataset) -> list[Dataset]:
    return [
        text(HAS_OBS_CONTEXT, codes.TRACKING_IDENTIFIER, name),
        uid_reference(HAS_OBS_CONTEXT, codes.TRACKING_UID, derived_uid("tracking", source.SOPInstanceUID, name)),
    ]


def _algorithm(record: Record) -> list[Dataset]:
    """What computed it, and what repeats it (TID 4019)."""
    return [
        text(HAS_CONCEPT_MOD, codes.ALGORITHM_NAME, MAKER),
        text(HAS_CONCEPT_MOD, codes.ALGORITHM_VERSION, version_of(record)),
        *(text(HAS_CONCEPT_MOD, codes.ALGORITHM_PARAMETERS, parameter) for parameter in parameters(record)),
    ]


def _numbers(said: Sequence[Statistic]) -> list[Dataset]:
    """LVEF with its derivation for each statistic in EF %, and the probabilities, each saying its inequality."""
    items = []
    for statistic in said:
        words = text(HAS_CONCEPT_MOD, codes.EQUIVALENT_MEANING, statistic.meaning)
        if statistic.code == codes.PROBABILITY:
            items.append(number(codes.PROBABILITY, statistic.value, statistic.unit, [words]))
        else:
            kind = code(HAS_CONCEPT_MOD, codes.DERIVATION, statistic.code)
            items.append(number(codes.LVEF_BY_ULTRASOUND, statistic.value, statistic.unit, [kind, words]))
    return items


def _no_number(record: Record) -> Dataset:
    why = codes.FAILURE if record["error"] is not None else codes.INDETERMINATE
    return no_number(codes.LVEF_BY_ULTRASOUND, why)


# --- reading ---------------------------------------------------------------------------------------------------------


def _by_derivation(items: Iterable[Dataset]) -> dict[tuple[str, str], float | None]:
    """Values by the code of their derivation."""
    found = {}
    for item in items:
        for kind in below(item, codes.DERIVATION):
            found[concept(kind.ConceptCodeSequence) or ("", "")] = value_of(item)
    return found


def _meaning(item: Dataset) -> str:
    return next((str(child.TextValue) for child in below(item, codes.EQUIVALENT_MEANING)), "")


def _bracketed(said: Sequence[str], word: str) -> str | None:
    matches = (re.match(rf"{word} \[([^\]]+)\]", remark) for remark in said)
    return next((match[1] for match in matches if match), None)
