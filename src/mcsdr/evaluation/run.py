"""A cohort goes in, a table comes out: accuracy, sharpness and calibration, each with a patient-level interval.

Every study gives one row; one that cannot be answered is listed with its error and left out of the figures, never
silently, and too many of them stop the evaluation: a measure of the readable studies alone speaks of another cohort.
Where one number stands for a posterior it is the median of a table of quantiles, and the mean of iid draws, as in the
MCSDR paper; which of them is told with the figures. `mcsdr.evaluation.measures` says what is measured and how.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcsdr.clips.protocol import ProtocolSettings
from mcsdr.diffusion.sampler import SamplerSettings
from mcsdr.errors import InvalidCohort, InvalidConfig, McsdrError, TooManyBadRows
from mcsdr.evaluation.measures import (
    PAPER_DRAWS,
    RESAMPLES,
    ROW,
    Measure,
    column,
    measure,
    measure_subgroups,
    patients_of,
    rows_of,
)
from mcsdr.files import write_atomically, write_table
from mcsdr.metrics.bootstrap import Interval
from mcsdr.metrics.subgroups import LEAST_PATIENTS, NO_EVIDENCE, Subgroup
from mcsdr.model import Model
from mcsdr.model.record import provenance
from mcsdr.posterior import Posterior
from mcsdr.report import figures
from mcsdr.study import Study
from mcsdr.training.cache import allowed_bad

Array = NDArray[np.float64]

MAX_BAD = 0.02
CASES = 6  # studies whose densities are drawn


@dataclass(frozen=True)
class Evaluation:
    """What was measured on a cohort.

    Attributes:
        measures: the table.
        subgroups: the table by kind of patient.
        rows: one dictionary per answered study, keys as `ROW`.
        positions: of each row's study in the cohort.
        failures: studies that could not be answered, with their errors.
        provenance: model, hash, version, sampler, cohort, and which point estimate was measured.
        example: the posterior of the first study's first window and its reported EF, for the figure of trajectories.
        cases: the studies whose densities are drawn, at even ranks of |error| from the least to the greatest.
    """

    measures: tuple[Measure, ...]
    subgroups: tuple[Subgroup, ...]
    rows: list[dict[str, Any]]
    positions: list[int]
    failures: list[dict[str, Any]]
    provenance: dict[str, Any]
    example: tuple[Posterior, float]
    cases: tuple[figures.Case, ...] = ()

    def __getitem__(self, name: str) -> Measure:
        return next(measure for measure in self.measures if measure.name == name)

    def column(self, name: str) -> Array:
        """One column of the rows as floats, NaN where empty."""
        return column(self.rows, name)

    def write(self, folder: Path, footer: str = "") -> None:
        """studies.csv, subgroups.csv, metrics.json and the figures."""
        header = (*ROW, "error")
        rows = ([row.get(name) for name in header] for row in [*self.rows, *self.failures])
        write_table(folder / "studies.csv", header, rows)
        _write_subgroups(folder / "subgroups.csv", self.subgroups)
        figures.save_all(
            folder,
            **{name: self.column(name) for name in ("median", "ef", "low_90", "high_90", "pit", "sd")},
            point=self.column(self.provenance["point"]),
            point_name=self.provenance["point"],
            patients=patients_of(self.rows),
            subgroups=self.subgroups,
            cases=self.cases,
            footer=footer,
        )
        posterior, observed = self.example
        if posterior.trajectories is not None:  # a rival head has none
            figures.save(folder / "trajectories.png", figures.trajectories(posterior, observed=observed, footer=footer))
        # Last: a folder that holds it is complete.
        write_atomically(folder / "metrics.json", json.dumps(self.record(), indent=2, allow_nan=False).encode())

    def record(self) -> dict[str, Any]:
        """The evaluation as plain data; what is not defined, such as an AUROC without events, is None."""
        measures = {m.name: {**_interval(m), "unit": m.unit, "group": m.group} for m in self.measures}
        return {
            "metrics": measures,
            "subgroups": [_subgroup_record(subgroup) for subgroup in self.subgroups],
            "studies": len(self.rows),
            "patients": len(set(patients_of(self.rows))),
            "failed": self.failures,
            **self.provenance,
        }


class Answered(NamedTuple):
    """One batch of studies with its posterior, and each study's place in the cohort."""

    posterior: Posterior
    studies: list[Study]
    positions: list[int]


def evaluate(
    model: Model,
    cohort: Sequence[Study],
    *,
    cohort_name: str = "",
    without: Sequence[str] = (),
    sampler: SamplerSettings | None = None,
    protocol: ProtocolSettings | None = None,
    one_beat: bool = False,
    batch: int = 16,
    advance: Callable[[int], None] = lambda done: None,
    max_bad: float = MAX_BAD,
    marks: Sequence[str] = (),
) -> Evaluation:
    """Answer every study of a cohort and measure the answers against its readings.

    Arguments:
        model: what answers.
        cohort: studies with `ef_percent`.
        cohort_name: what to call it in the output.
        without: modalities to take away, "video" and "attributes".
        sampler: another way of sampling than the model's own.
        protocol: other windows, or another way of pooling clips, than the model's own.
        one_beat: whether the readings are of one beat each, whichever: windows are then mixed, not averaged.
        batch: studies answered together.
        advance: told how many studies are done.
        max_bad: share of the cohort's studies that may fail; they are listed and left out.
        marks: what must stand beside the figures, such as that the model has seen these people
            (`mcsdr.evaluation.calibration.marks_of`).

    Raises:
        InvalidConfig: max_bad is no share.
        TooManyBadRows: more studies failed; raised as soon as that is certain.
        InvalidCohort: the cohort is empty, or no study could be answered.
    """
    failures = _Failures(cohort, max_bad)
    run = _Run(model, cohort, without, sampler or model.sampler, protocol or model.protocol, one_beat, failures)
    rows: list[dict[str, Any]] = []
    places: list[int] = []
    kept: list[Posterior] = []
    example: tuple[Posterior, float] | None = None
    for posterior, studies, positions in run.answers(batch):
        example = example or (run.one_window(studies[0]), float(studies[0].ef_percent or 0.0))
        rows.extend(rows_of(posterior, studies, positions, model.card.readers_sd))
        places.extend(positions)
        # The states of all samplers' steps, of every study, would fill the memory.
        kept.extend(replace(posterior[index], trajectories=None) for index in range(len(studies)))
        advance(len(rows) + len(run.failures.found))
    if example is None:
        raise InvalidCohort("no study of the cohort could be answered.", next_step="See that it holds any.")
    point = run.point
    return Evaluation(
        tuple(measure(rows, point)),
        measure_subgroups(rows, point),
        rows,
        places,
        run.failures.found,
        {"cohort": cohort_name, "marks": list(marks), **run.about()},
        example,
        tuple(_cases(rows, kept, point)),
    )


class _Failures:
    """Studies that could not be answered, in the cohort's order of discovery, and the limit on them."""

    def __init__(self, cohort: Sequence[Study], max_bad: float) -> None:
        if not 0 <= max_bad <= 1:
            raise InvalidConfig(f"max_bad is {max_bad}; it is a share from 0 to 1.", next_step="Write 0.02 for 2 %.")
        self.cohort, self.max_bad = cohort, max_bad
        self.allowed = allowed_bad(max_bad, len(cohort))
        self.found: list[dict[str, Any]] = []

    def add(self, position: int, error: McsdrError, study_id: str = "") -> None:
        """List a failure, or raise TooManyBadRows if it is one too many."""
        entries = getattr(self.cohort, "entries", None)
        name = study_id or (entries[position].study_id if entries else "") or position
        self.found.append({"study_id": name, "error": str(error), **error.record()})
        if len(self.found) > self.allowed:
            raise TooManyBadRows(self._summary(), next_step="Run `mcsdr check` on the folder, or raise max_bad.")

    def _summary(self) -> str:
        n, total = len(self.found), len(self.cohort)
        first = "; ".join(f"{row['study_id']}: {row['cause'].rstrip('.')}" for row in self.found[:5])
        more = f"; and {n - 5} more" if n > 5 else ""
        limit = f"{self.allowed} may fail ({100 * self.max_bad:g} %)"
        if n == total:
            return f"no study of the cohort could be answered ({n} of {total} failed, {limit}): {first}{more}."
        return f"{n} of {total} studies have failed so far, {limit}: {first}{more}."


@dataclass(frozen=True)
class _Run:
    """One pass over a cohort."""

    model: Model
    cohort: Sequence[Study]
    without: Sequence[str]
    sampler: SamplerSettings
    protocol: ProtocolSettings
    one_beat: bool
    failures: _Failures

    @property
    def point(self) -> str:
        """What stands for a posterior where one number is asked for."""
        return self.sampler.point

    def about(self) -> dict[str, Any]:
        """What makes the figures repeatable, and what must be known before they are set beside others."""
        draws, table = self.sampler.draws, f"{PAPER_DRAWS} iid draws from the quantile table"
        return {
            **provenance(self.model, self.sampler),
            "protocol": self.protocol.model_dump(),
            "windows_pooled_by": "mixture" if self.one_beat else "mean",
            "without": list(self.without),
            "point": self.point,
            "crps_estimator": "fair, of the draws as drawn" if draws else "quantile-table",
            "crps_paper": f"the sampler's {draws} draws of each clip" if draws else table,
            "coverage": "by the rank of the reading among the draws" if draws else "by the quantile table",
            "bootstrap": {"resamples": RESAMPLES, "unit": "patient", "seed": 0},
            "max_bad": self.failures.max_bad,
            "disclaimer": self.model.card.notice,
        }

    def one_window(self, study: Study) -> Posterior:
        """The posterior of a study's first clip, one look at one window: not pooled, so with trajectories."""
        seen = replace(study, clips=study.clips[:1]).without(*self.without)
        protocol = self.protocol.model_copy(update={"windows": "one", "looks": 1})
        return self.model.posteriors([seen], self.sampler, protocol)[0]

    def answers(self, size: int) -> Iterator[Answered]:
        """The cohort's studies in batches, with their posteriors."""
        ready: list[tuple[int, Study]] = []
        for position in range(len(self.cohort)):
            study = self._read(position)
            if study is not None:
                ready.append((position, study))
            if len(ready) == size:
                yield from self._answer(ready)
                ready = []
        yield from self._answer(ready)

    def _read(self, position: int) -> Study | None:
        try:
            study = self.cohort[position]
            if study.ef_percent is None:
                raise InvalidCohort("the study has no ejection fraction.", path=study.study_id)
            return study
        except McsdrError as error:
            self.failures.add(position, error)
            return None

    def _answer(self, batch: list[tuple[int, Study]]) -> Iterator[Answered]:
        """The batch's posterior; if a study spoils it, each study by itself."""
        if not batch:
            return
        positions, studies = [position for position, _ in batch], [study for _, study in batch]
        try:
            seen = [study.without(*self.without) for study in studies]
            # No two batches start from the same noise; the quantile nodes need none.
            sampler = (
                replace(self.sampler, seed=self.sampler.seed + positions[0]) if self.sampler.draws else self.sampler
            )
            posterior = self.model.posteriors(seen, sampler, self.protocol, one_beat=self.one_beat)
        except McsdrError as error:
            if len(batch) == 1:
                self.failures.add(positions[0], error, studies[0].study_id)
                return
            for one in batch:
                yield from self._answer([one])
            return
        yield Answered(posterior, studies, positions)


def _cases(rows: list[dict[str, Any]], posteriors: list[Posterior], point: str) -> Iterator[figures.Case]:
    """CASES studies at even ranks of |error|, the best and the worst among them; ties keep the cohort's order."""
    ef, guess = column(rows, "ef"), column(rows, point)
    order = np.argsort(np.abs(guess - ef), kind="stable")
    ranks = np.unique(np.round(np.linspace(0, len(rows) - 1, CASES)).astype(int))
    for rank in ranks:
        index = int(order[rank])
        share = rank / max(1, len(rows) - 1)
        yield figures.Case(str(rows[index]["study_id"]), posteriors[index], float(ef[index]), float(share))


def _interval(value: Measure | Interval) -> dict[str, Any]:
    estimate, *ends = (x if math.isfinite(x) else None for x in (value.estimate, value.lower, value.upper))
    return {"estimate": estimate, "interval_95": ends}


def _subgroup_record(subgroup: Subgroup) -> dict[str, Any]:
    measures = {name: _interval(interval) for name, interval in subgroup.measures.items()}
    counts = {"studies": subgroup.studies, "patients": subgroup.patients}
    evidence = {} if subgroup.has_evidence else {"note": f"{NO_EVIDENCE}: fewer than {LEAST_PATIENTS} patients"}
    return {"attribute": subgroup.attribute, "group": subgroup.group, **counts, "metrics": measures, **evidence}


def _write_subgroups(path: Path, subgroups: Sequence[Subgroup]) -> None:
    """One line per group; estimate, lower and upper end of every measure, or "no evidence"."""
    names = list(next((subgroup.measures for subgroup in subgroups if subgroup.has_evidence), {}))
    header = ["attribute", "group", "studies", "patients", "note"]
    header += [f"{name}{end}" for name in names for end in ("", " lower", " upper")]
    rows = [
        [s.attribute, s.group, s.studies, s.patients, "" if s.has_evidence else NO_EVIDENCE]
        + [value for name in names for value in (s.measures[name] if s.has_evidence else (None,) * 3)]
        for s in subgroups
    ]
    write_table(path, header, rows)
