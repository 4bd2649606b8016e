"""A cohort goes in, a table comes out: accuracy, sharpness and calibration, each with a patient-level interval.

Every study gives one row; one that cannot be read is listed with its error and left out of the figures, never
silently. Point accuracy is that of the median. The estimator of every CRPS is named beside it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcsdr.diffusion.sampler import SamplerSettings
from mcsdr.errors import InvalidCohort, McsdrError
from mcsdr.files import write_atomically, write_table
from mcsdr.metrics import calibration, point
from mcsdr.metrics.bootstrap import cluster_bootstrap
from mcsdr.metrics.scores import crps_of
from mcsdr.model import Model
from mcsdr.posterior import Posterior
from mcsdr.prediction import provenance
from mcsdr.report import figures
from mcsdr.study import Study

Array = NDArray[np.float64]

CRPS_ESTIMATOR = "quantile-table"
RESAMPLES = 1000
ROW = ("study_id", "patient_id", "ef", "true_ef", "median", "mean", "sd", "low_90", "high_90", "pit", "crps", "nll")


@dataclass(frozen=True)
class Measure:
    """One figure of the table: an estimate and its 95 % bootstrap interval over patients."""

    name: str
    estimate: float
    lower: float
    upper: float
    unit: str = ""


@dataclass(frozen=True)
class Evaluation:
    """What was measured on a cohort.

    Attributes:
        measures: the table.
        rows: one dictionary per answered study, keys as `ROW`.
        failures: studies that could not be answered, with their errors.
        provenance: model, hash, version, sampler, cohort.
        example: the posterior of the first study and its reported EF, for the figure of trajectories.
    """

    measures: tuple[Measure, ...]
    rows: list[dict[str, Any]]
    failures: list[dict[str, Any]]
    provenance: dict[str, Any]
    example: tuple[Posterior, float]

    def __getitem__(self, name: str) -> Measure:
        return next(measure for measure in self.measures if measure.name == name)

    def column(self, name: str) -> Array:
        """One column of the rows as floats, NaN where empty."""
        return np.array([math.nan if row[name] is None else row[name] for row in self.rows], dtype=np.float64)

    def write(self, folder: Path, footer: str = "") -> None:
        """studies.csv, metrics.json and the figures."""
        folder.mkdir(parents=True, exist_ok=True)
        header = (*ROW, "error")
        rows = ([row.get(name) for name in header] for row in [*self.rows, *self.failures])
        write_table(folder / "studies.csv", header, rows)
        metrics = {m.name: {"estimate": m.estimate, "interval_95": [m.lower, m.upper]} for m in self.measures}
        document = {"metrics": metrics, "studies": len(self.rows), "failed": self.failures, **self.provenance}
        write_atomically(folder / "metrics.json", json.dumps(document, indent=2).encode())
        columns = {name: self.column(name) for name in ("median", "ef", "low_90", "high_90", "pit")}
        figures.save_all(folder, **columns, footer=footer)
        posterior, observed = self.example
        figures.save(folder / "trajectories.png", figures.trajectories(posterior, observed=observed, footer=footer))


def evaluate(
    model: Model,
    cohort: Sequence[Study],
    *,
    cohort_name: str = "",
    without: Sequence[str] = (),
    sampler: SamplerSettings | None = None,
    batch: int = 16,
    advance: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Answer every study of a cohort and measure the answers against its readings.

    Arguments:
        model: what answers.
        cohort: studies with `ef_percent`.
        cohort_name: what to call it in the output.
        without: modalities to take away, "video" and "attributes".
        sampler: another way of sampling than the model's own.
        batch: studies answered together.
        advance: told how many studies are done.

    Raises:
        InvalidCohort: no study could be answered.
    """
    rows: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    example: tuple[Posterior, float] | None = None
    for studies in _batches(cohort, batch, failures):
        seen = [study.without(*without) for study in studies]
        posterior = model(seen, sampler)
        example = example or (posterior[0], float(studies[0].ef_percent or 0.0))
        rows.extend(_rows(posterior, studies))
        advance(len(rows) + len(failures))
    if example is None:
        raise InvalidCohort("no study of the cohort could be answered.", next_step="See the errors listed above.")
    about = {
        **provenance(model, sampler or model.sampler),
        "cohort": cohort_name,
        "without": list(without),
        "crps_estimator": CRPS_ESTIMATOR,
        "bootstrap": {"resamples": RESAMPLES, "unit": "patient", "seed": 0},
        "disclaimer": model.card.notice,
    }
    return Evaluation(tuple(measure(rows)), rows, failures, about, example)


def measure(rows: list[dict[str, Any]]) -> Iterator[Measure]:
    """The table of figures from rows, each with its bootstrap interval."""
    column = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in ROW[2:]}
    patients = np.array([row["patient_id"] for row in rows])

    def one(name: str, unit: str, statistic: Callable[..., float], *arrays: Array) -> Measure:
        interval = cluster_bootstrap(statistic, patients, *arrays, resamples=RESAMPLES)
        return Measure(name, interval.estimate, interval.lower, interval.upper, unit)

    median, ef, pit = column["median"], column["ef"], column["pit"]
    if not np.isnan(column["true_ef"]).any():
        yield one("MAE to true EF", "points", point.mae, median, column["true_ef"])
    yield one("MAE", "points", point.mae, median, ef)
    yield one("RMSE", "points", point.rmse, median, ef)
    yield one("R2", "", point.r2, median, ef)
    yield one("bias", "points", point.bias, median, ef)
    yield one("CRPS", "points", _mean, column["crps"])
    yield one("NLL", "nats", _mean, column["nll"])
    for level in (0.5, 0.8, 0.9, 0.95):
        yield one(f"coverage {level:.0%}", "", lambda u, level=level: calibration.coverage(u, level).item(), pit)
    yield one("PIT KS", "", calibration.pit_ks, pit)
    yield one("QICE", "", calibration.qice, pit)
    yield one("mean 90 % width", "points", _mean, column["high_90"] - column["low_90"])


def _batches(cohort: Sequence[Study], size: int, failures: list[dict[str, Any]]) -> Iterator[list[Study]]:
    """Readable studies in batches; the others go to `failures`."""
    ready: list[Study] = []
    for index in range(len(cohort)):
        try:
            study = cohort[index]
            if study.ef_percent is None:
                raise InvalidCohort("the study has no ejection fraction.", path=study.study_id)
            ready.append(study)
        except McsdrError as error:
            failures.append({"study_id": index, "error": str(error)})
        if len(ready) == size:
            yield ready
            ready = []
    if ready:
        yield ready


def _rows(posterior: Posterior, studies: list[Study]) -> Iterator[dict[str, Any]]:
    ef = np.array([study.ef_percent for study in studies], dtype=np.float64)
    low, high = posterior.interval(0.9)
    values = {
        "ef": ef,
        "median": posterior.median,
        "mean": posterior.mean,
        "sd": posterior.sd,
        "low_90": low,
        "high_90": high,
        "pit": posterior.pit(ef),
        "crps": crps_of(posterior, ef),
        "nll": -posterior.log_density(ef),
    }
    for index, study in enumerate(studies):
        names = {"study_id": study.study_id, "patient_id": study.patient_id or study.study_id}
        yield {**names, "true_ef": study.true_ef_percent, **{name: float(v[index]) for name, v in values.items()}}


def _mean(values: Array) -> float:
    return float(values.mean())
