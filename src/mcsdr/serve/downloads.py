"""Every form in which an answer can be taken away; all of them say what the job's record says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from mcsdr.serve.desk import Job


class Download(NamedTuple):
    """A media type, and what makes the bytes of it from an answered job."""

    media_type: str
    content: Callable[[Job], bytes]


def _json(job: Job) -> bytes:
    assert job.result is not None
    return json.dumps(job.result.record(), indent=2, ensure_ascii=False).encode()


def _html(job: Job) -> bytes:
    from mcsdr.report.html import render_report

    assert job.result is not None
    return render_report([job.result]).encode()


BY_NAME = {
    "result.json": Download("application/json", _json),
    "report.html": Download("text/html; charset=utf-8", _html),
}
