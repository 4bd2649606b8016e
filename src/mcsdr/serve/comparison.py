"""Two exams of one patient, compared where that was asked for: P(EF after − EF before ≤ a fall), and what speaks
against comparing them at all.

The earlier exam is the one of the earlier date where both files say one, whichever of them was named first. A file is
not compared with itself. Two files that name different patients, or attributes that one patient cannot have both of,
are compared with a warning; what the files say is never repeated.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mcsdr.errors import McsdrError
from mcsdr.model import Answer
from mcsdr.posterior import prob_change
from mcsdr.serve.desk import Job
from mcsdr.serve.keeping import Kept
from mcsdr.study import Attributes

DATED = ("Acquisition", "Content", "Study")  # the first that a header has a date of
OTHER_HEIGHT_CM = 5.0  # two measurements of one adult rarely lie further apart
OTHER_AGE_YEARS = 1.5  # and the ages in two exams no further from the years between them


class NoComparison(McsdrError):
    """These two are not compared."""

    code = "no-comparison"


@dataclass(frozen=True)
class Header:
    """What of a DICOM header decides whether two exams are of one patient, and which is the earlier."""

    patient_id: str = ""
    taken: datetime | None = None


@dataclass(frozen=True)
class Comparison:
    """The answer to a comparison.

    Attributes:
        before, after: the jobs in the order in which they were compared.
        by_date: whether that order is the files' own.
        probability: P(EF after − EF before ≤ at_most).
        warnings: what speaks against it.
    """

    before: Job
    after: Job
    by_date: bool
    probability: float
    warnings: tuple[str, ...]


def compare(before: Job, after: Job, at_most: float) -> Comparison:
    """Compare two answered jobs.

    Raises:
        NoComparison: one has no answer, or both are of one file.
    """
    held = before.kept, after.kept
    one, other = (None if kept is None else kept.revision.result for kept in held)
    if not (isinstance(one, Answer) and isinstance(other, Answer)) or one.withheld or other.withheld:
        raise NoComparison("One of the two has no answer to compare.", next_step="Compare two answered exams.")
    if before.id == after.id or (one.input_sha256 and one.input_sha256 == other.input_sha256):
        raise NoComparison("The two are one file.", next_step="Compare two exams of different dates.")
    headers = [_header(kept) for kept in held]
    dates = [header.taken for header in headers]
    by_date = None not in dates and dates[0] != dates[1]
    if by_date and dates[0] > dates[1]:  # type: ignore[operator]
        before, after, one, other = after, before, other, one
        headers.reverse()
    p = prob_change(one.posterior, other.posterior, at_most)
    warnings = (*_of_headers(*headers), *_of_attributes(one, other, headers))
    return Comparison(before, after, by_date, p, warnings)


def _of_headers(one: Header, other: Header) -> tuple[str, ...]:
    if one.patient_id and other.patient_id and one.patient_id != other.patient_id:
        return ("The two files name different patients.",)
    if not (one.patient_id and other.patient_id):
        return ("The files do not both say whose they are: that both are of one patient is for you to know.",)
    return ()


def _of_attributes(one: Answer, other: Answer, headers: list[Header]) -> tuple[str, ...]:
    a, b = one.study.attributes, other.study.attributes
    said = []
    if a.sex and b.sex and a.sex != b.sex:
        said.append("sexes")
    if a.height_cm and b.height_cm and abs(a.height_cm - b.height_cm) > OTHER_HEIGHT_CM:
        said.append("heights")
    if _other_age(a, b, headers):
        said.append("ages")
    return (f"The two exams state {' and '.join(said)} that one patient does not have both of.",) if said else ()


def _other_age(a: Attributes, b: Attributes, headers: list[Header]) -> bool:
    if a.age_years is None or b.age_years is None:
        return False
    grown = b.age_years - a.age_years
    earlier, later = (header.taken for header in headers)
    if earlier is None or later is None:
        return abs(grown) > 40  # no dates: only what no two exams can be apart
    return abs(grown - (later - earlier).days / 365.25) > OTHER_AGE_YEARS


def _header(kept: Kept | None) -> Header:
    """Of a DICOM clip's header; empty of other files."""
    from mcsdr.io.dicom_excerpt import dataset_of

    if kept is None or not kept.header:
        return Header()
    source = dataset_of(kept.header)
    moments = (f"{source.get(f'{of}Date') or ''}{source.get(f'{of}Time') or ''}" for of in DATED)
    taken = next((found for found in map(_moment, moments) if found), None)
    return Header(str(source.get("PatientID") or "").strip(), taken)


def _moment(written: str) -> datetime | None:
    for shape, length in (("%Y%m%d%H%M%S", 14), ("%Y%m%d", 8)):
        try:
            return datetime.strptime(written[:length], shape)
        except ValueError:
            continue
    return None
