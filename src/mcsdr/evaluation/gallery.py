"""The studies of an evaluation to be looked at: those on which it errs most, with where the encoder sees the cavity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mcsdr.clips import store
from mcsdr.evaluation.run import Evaluation
from mcsdr.model import Model
from mcsdr.model.outline import outline_of
from mcsdr.report.gallery import Exhibit, stills
from mcsdr.study import Study


def exhibits(result: Evaluation, model: Model, cohort: Sequence[Study], most: int) -> Iterator[Exhibit]:
    """The studies with the greatest |error| of the point estimate, the worst first; each is read once more.

    Arguments:
        result: of this model on this cohort.
        most: how many; of fewer studies all.

    Raises:
        McsdrError: a study can no longer be read.
    """
    point, reported = result.column(result.provenance["point"]), result.column("ef")
    for index in np.argsort(-np.abs(point - reported), kind="stable")[:most].tolist():
        row = result.rows[index]
        study = cohort[result.positions[index]].without(*result.provenance["without"])
        yield Exhibit(
            row["study_id"],
            reported[index],
            row["true_ef"],
            point[index],
            (row["low_90"], row["high_90"]),
            tuple(
                still
                for clip in study.clips
                for still in stills(clip, outline_of(clip, store(clip, model.clip), model))
            ),
        )
