"""Ask a model every study of a cohort, under every pattern of what may be known as `recalibration.PATTERNS` has them.

Each study is encoded once; its video, its attributes, or both are then hidden. Where its clips hold more than the
model's one window, it is asked by all its beats too, which is how `mcsdr predict` reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcsdr.datasets import CohortSpec, open_cohort
from mcsdr.errors import InvalidCohort, McsdrError
from mcsdr.model import Model, VideoTokens
from mcsdr.posterior import Posterior
from mcsdr.posterior.recalibration import ONE, PATTERNS, SEVERAL
from mcsdr.study import Study
from mcsdr.training.cache import check_limit, name_of, readers

LEAST_CALIBRATION_PATIENTS = 100  # below them a calibrated model may lose more than a miscalibrated one gains


@dataclass(frozen=True)
class Asked:
    """What was answered of a cohort: under each pattern the studies that have as much, and their posteriors."""

    ef: NDArray[np.float64]  # of the studies that could be answered, [B]
    patients: NDArray[Any]  # [B]
    answers: dict[str, tuple[NDArray[np.intp], Posterior]]  # pattern → places of the studies [n], posteriors [n]
    failures: list[tuple[str, str]]  # the others, as (name, why)


def opened(data: CohortSpec | Sequence[Study]) -> Sequence[Study]:
    """The studies that a description stands for, or those given."""
    return open_cohort(data) if isinstance(data, CohortSpec) else data


def ask_all(model: Model, cohort: Sequence[Study], batch: int, max_bad: float, advance: Callable[[int], None]) -> Asked:
    """Every study of the cohort under every pattern.

    Arguments:
        model: without a calibration.
        batch: studies answered together.
        max_bad: share of the studies that may fail.
        advance: told how many studies are done.

    Raises:
        InvalidCohort: fewer than LEAST_CALIBRATION_PATIENTS patients.
        TooManyBadRows: more than max_bad of the studies cannot be answered.
    """
    _refuse_few(len(cohort))
    failures: list[tuple[str, str]] = []
    ef: list[float] = []
    patients: list[str] = []
    parts: dict[str, list[tuple[NDArray[np.intp], Posterior]]] = {pattern: [] for pattern in PATTERNS}
    for studies, videos in encoded(model, cohort, batch, failures, max_bad):
        attributes = model.attribute_rows(studies)
        for pattern, rows, answer in _under_each_pattern(model, videos, attributes):
            parts[pattern].append((len(ef) + rows, answer))
        ef += [float(study.ef_percent or 0.0) for study in studies]
        patients += [study.patient_id or study.study_id or f"study {len(ef)}-{i}" for i, study in enumerate(studies)]
        advance(len(ef) + len(failures))
    _refuse_few(len(set(patients)))
    answers = {
        pattern: (np.concatenate([rows for rows, _ in some]), Posterior.joined([answer for _, answer in some]))
        for pattern, some in parts.items()
        if some
    }
    return Asked(np.array(ef), np.array(patients), answers, failures)


def _refuse_few(patients: int) -> None:
    if patients < LEAST_CALIBRATION_PATIENTS:
        raise InvalidCohort(
            f"{patients} patients are too few to calibrate on: the noise may outweigh the gain.",
            next_step=f"Give {LEAST_CALIBRATION_PATIENTS} patients or more; 500 are a good number.",
        )


def encoded(
    model: Model, cohort: Sequence[Study], batch: int, failures: list[tuple[str, str]], max_bad: float
) -> Iterator[tuple[list[Study], list[VideoTokens]]]:
    """The cohort in batches with their video tokens, see `_encodings`; what cannot be read or encoded is listed."""

    def encode(ready: list[tuple[str, Study]]) -> Iterator[tuple[list[Study], list[VideoTokens]]]:
        studies = [study for _, study in ready]
        try:
            videos = _encodings(model, studies)
        except McsdrError as error:
            if len(ready) == 1:
                _fail(failures, ready[0][0], error, len(cohort), max_bad)
                return
            for one in ready:  # one of them spoils the batch
                yield from encode([one])
            return
        yield studies, videos

    ready: list[tuple[str, Study]] = []
    for index, read in enumerate(readers(cohort)):
        name = name_of(cohort, index)
        try:
            study = read()
            if study.ef_percent is None:
                raise InvalidCohort("the study has no ejection fraction.", path=study.study_id)
            ready.append((name, study))
        except McsdrError as error:
            _fail(failures, name, error, len(cohort), max_bad)
        if len(ready) == batch:
            yield from encode(ready)
            ready = []
    if ready:
        yield from encode(ready)


def _fail(failures: list[tuple[str, str]], name: str, error: McsdrError, total: int, max_bad: float) -> None:
    failures.append((name, str(error)))
    check_limit(failures, total, max_bad)


def _encodings(model: Model, studies: Sequence[Study]) -> list[VideoTokens]:
    """The tokens by the model's own protocol, and those of all beats where clips are longer than its one window."""
    videos = [model.encode(studies)]
    if model.reads_beats(clip for study in studies for clip in study.clips):
        videos.append(model.encode(studies, model.protocol.changed(windows="beats")))
    return videos


def _under_each_pattern(
    model: Model, videos: Sequence[VideoTokens], attributes: NDArray[np.float32]
) -> Iterator[tuple[str, NDArray[np.intp], Posterior]]:
    """For each pattern the studies of the batch that have as much, and their posteriors when the rest is hidden.

    Of a study of several clips each clip by itself: it is clips that are recalibrated, before they are pooled.

    Arguments:
        videos: tokens of the same studies; whose windows are as many as a pattern says are taken from the last such.
    """
    unknown, known = np.full_like(attributes, np.nan), np.asarray(~np.isnan(attributes).all(axis=1))
    unseen = replace(videos[0], mask=videos[0].mask & False)
    seen = {ONE: videos[0], SEVERAL: videos[-1]}
    for pattern in PATTERNS:
        told = "attributes" in pattern
        much = next((much for much in seen if much in pattern), None)
        found = model.beliefs(unseen if much is None else seen[much], attributes if told else unknown)
        answer, owner = (found.studies, np.arange(len(known))) if much is None else (found.clips, found.owner)
        have = {None: True, ONE: found.clip_windows == 1, SEVERAL: found.clip_windows > 1}[much]
        rows = np.flatnonzero(have & (known[owner] | (not told)))
        if len(rows):
            yield pattern, owner[rows], replace(answer[rows], trajectories=None)  # all states would fill the memory
