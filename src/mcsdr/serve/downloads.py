"""Every form in which an answer can be taken away; all of one revision say what its record says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from mcsdr.errors import UnsupportedFormat
from mcsdr.files import csv_bytes
from mcsdr.io.sandbox import Header
from mcsdr.serve.keeping import Revision

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

OTHERS = "Take the answer as JSON, HTML, PDF or FHIR."


class Download(NamedTuple):
    """A media type, and what makes the bytes of it from a revision and the header of a DICOM clip."""

    media_type: str
    content: Callable[[Revision, Header | None], bytes]


def _json(told: Revision, header: Header | None) -> bytes:
    return json.dumps(told.record, indent=2, ensure_ascii=False).encode()


def _csv(told: Revision, header: Header | None) -> bytes:
    from mcsdr.prediction.rows import COLUMNS, cells_of

    return csv_bytes([COLUMNS, cells_of(told.record).values()])


def _html(told: Revision, header: Header | None) -> bytes:
    from mcsdr.report.html import render_report

    return render_report([told.result]).encode()


def _pdf(told: Revision, header: Header | None) -> bytes:
    from mcsdr.report.pdf import render_pdf

    return render_pdf([told.result])


def _source(header: Header | None) -> Dataset:
    """The header of the DICOM clip that was read.

    Raises:
        UnsupportedFormat: the clip was no DICOM file.
    """
    from mcsdr.io.dicom_excerpt import dataset_of

    if header is None:
        raise UnsupportedFormat("a structured report refers to a DICOM clip, and this one was none", next_step=OTHERS)
    return dataset_of(header)


def _report(told: Revision, header: Header | None) -> bytes:
    from mcsdr.interop.structured_report import structured_report, to_bytes

    return to_bytes(structured_report(told.record, _source(header)))


def _observation(told: Revision, header: Header | None) -> bytes:
    from mcsdr.interop.fhir import observation

    resource = observation(told.record, None if header is None else _source(header))
    return json.dumps(resource, indent=2, ensure_ascii=False).encode()


BY_NAME = {
    "result.json": Download("application/json", _json),
    "result.csv": Download("text/csv; charset=utf-8", _csv),
    "report.html": Download("text/html; charset=utf-8", _html),
    "report.pdf": Download("application/pdf", _pdf),
    "report.dcm": Download("application/dicom", _report),
    "observation.json": Download("application/fhir+json", _observation),
}
