"""Every form in which an answer can be taken away; all of them say what the job's record says."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from mcsdr.errors import UnsupportedFormat
from mcsdr.files import csv_bytes
from mcsdr.serve.desk import Job

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

OTHERS = "Take the answer as JSON, HTML, PDF or FHIR."


class Download(NamedTuple):
    """A media type, and what makes the bytes of it from an answered job."""

    media_type: str
    content: Callable[[Job], bytes]


def _json(job: Job) -> bytes:
    return json.dumps(job.record, indent=2, ensure_ascii=False).encode()


def _csv(job: Job) -> bytes:
    from mcsdr.prediction.rows import COLUMNS, cells_of

    assert job.record is not None
    return csv_bytes([COLUMNS, cells_of(job.record).values()])


def _html(job: Job) -> bytes:
    from mcsdr.report.html import render_report

    assert job.result is not None
    return render_report([job.result]).encode()


def _pdf(job: Job) -> bytes:
    from mcsdr.report.pdf import render_pdf

    assert job.result is not None
    return render_pdf([job.result])


def _source(job: Job) -> Dataset:
    """The header of the DICOM clip that was read.

    Raises:
        UnsupportedFormat: the clip was no DICOM file.
    """
    from pydicom import dcmread

    if not job.header:
        raise UnsupportedFormat("a structured report refers to a DICOM clip, and this one was none", next_step=OTHERS)
    return dcmread(io.BytesIO(job.header))


def _report(job: Job) -> bytes:
    from mcsdr.interop.structured_report import structured_report, to_bytes

    assert job.record is not None
    return to_bytes(structured_report(job.record, _source(job)))


def _observation(job: Job) -> bytes:
    from mcsdr.interop.fhir import observation

    assert job.record is not None
    resource = observation(job.record, _source(job) if job.header else None)
    return json.dumps(resource, indent=2, ensure_ascii=False).encode()


BY_NAME = {
    "result.json": Download("application/json", _json),
    "result.csv": Download("text/csv; charset=utf-8", _csv),
    "report.html": Download("text/html; charset=utf-8", _html),
    "report.pdf": Download("application/pdf", _pdf),
    "report.dcm": Download("application/dicom", _report),
    "observation.json": Download("application/fhir+json", _observation),
}
