"""Predictions in the form that CardioBench evaluates (arXiv 2510.00520): one CSV of point estimates per data set.

    EchoNet-Dynamic      FileName, EF_pred    as FileList.csv names the clip
    EchoNet-Pediatric    FileName, EF_pred    one row for each clip of a study, each the study's answer
    CAMUS                patient_id, EF_pred

EF_pred is the point estimate of the evaluation: the median, of iid draws their mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from mcsdr.datasets.entries import FolderCohort
from mcsdr.evaluation.run import Evaluation
from mcsdr.files import write_table


def write_predictions(path: Path, result: Evaluation, cohort: FolderCohort) -> int:
    """Write the table; how many rows it has. Studies that were not answered are left out, as CardioBench does."""
    point = result.provenance["point"]
    answers = {str(row["study_id"]): float(row[point]) for row in result.rows}
    key = "patient_id" if cohort.kind == "camus" else "FileName"
    rows = list(_rows(cohort, answers, key))
    write_table(path, (key, "EF_pred"), rows)
    return len(rows)


def _rows(cohort: FolderCohort, answers: Mapping[str, float], key: str) -> Iterator[tuple[str, float]]:
    for entry in cohort.entries:
        if entry.study_id in answers:
            names = [entry.patient_id] if key == "patient_id" else [clip.name for clip in entry.clips]
            yield from ((name, answers[entry.study_id]) for name in names)
