"""The table of measures of an evaluation: rows of studies go in, estimates with intervals come out.

One row per answered study (`ROW`), one measure per question that a reader of the field asks, in three groups: how near
the point estimate is (accuracy), whether the distribution is sharp and honest (posterior), and whether it serves a
decision (decision). Every interval is a 95 % percentile interval of the bootstrap over patients. Distances from
calibration (KS, QICE, coverage error) cannot be negative and each resample adds noise of its own to them; where that
leaves the estimate outside, the interval is corrected for the bias (`mcsdr.metrics.bootstrap`).

Two conventions of the CRPS are told apart by name and never mixed:

    CRPS        without bias: of a quantile table the integral over it, of a sampler's iid draws by the K(K − 1) pairs
                of the draws as drawn ("fair")
    CRPS paper  of iid draws by 1/K², as the MCSDR paper does: too high by ½ E|Y − Y'|/K. Of a posterior that is a
                table of quantiles, PAPER_DRAWS iid draws are taken from it first, seeded by the study's place in the
                cohort, so that the figure can stand beside the paper's

The PIT of draws, and with it coverage, KS and QICE, goes by the label's rank among them (`mcsdr.posterior.draws`): the
intervals of a table of K draws are too narrow by a share 2/(K + 1) of its levels whatever the posterior. Width is that
of the table's interval. Draws have no density, and that of their table would give even perfect ones a huge NLL, so
none is told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcsdr.abstention.gates import WIDE_INTERVAL
from mcsdr.metrics import agreement, calibration, clinical, point, selective
from mcsdr.metrics.bootstrap import Interval, cluster_bootstrap, cluster_bootstrap_mean
from mcsdr.metrics.scores import crps_draws, crps_of
from mcsdr.metrics.subgroups import (
    AGE_BANDS,
    EF_BANDS,
    TRUE_EF_BANDS,
    UNKNOWN,
    Subgroup,
    age_band,
    ef_band,
    subgroups,
    true_ef_band,
)
from mcsdr.posterior import Posterior, heart_of
from mcsdr.posterior.draws import pit_of
from mcsdr.study import QUALITIES, Study, View

Array = NDArray[np.float64]
Rows = Sequence[dict[str, Any]]

RESAMPLES = 1000
PAPER_DRAWS = 40
COVERAGE_LEVELS = (0.5, 0.8, 0.9, 0.95)
KEPT = (0.8, 0.9)  # shares of studies kept, the surest first
# Device therapy, and the two bounds of the heart-failure categories. A reading may be a whole number, so ≤ matters.
EVENTS = {"EF ≤ 35": ("below_35", 35.0), "EF ≤ 40": ("below_40", 40.0), "EF < 50": ("below_50", 50.0)}

ROW = (
    *("study_id", "patient_id", "ef", "true_ef", "median", "mean", "sd", "low_90", "high_90", "pit"),
    *("heart_low_90", "heart_high_90", "crps", "crps_paper", "outside", "nll", "below_35", "below_40", "below_50"),
    *("sex", "age_years", "quality", "views"),
)


@dataclass(frozen=True)
class Measure:
    """One figure of the table: an estimate and its 95 % bootstrap interval over patients."""

    name: str
    estimate: float
    lower: float
    upper: float
    unit: str = ""
    group: str = ""


def rows_of(
    posterior: Posterior, studies: Sequence[Study], positions: Sequence[int], reader_sd: float | None = None
) -> Iterator[dict[str, Any]]:
    """One row per study, keys as `ROW`, EF in per cent.

    Arguments:
        posterior: of the batch.
        studies: the batch, with `ef_percent`, everything known of each.
        positions: each study's place in the cohort.
        reader_sd: of the readers whose reports the posterior is of; the heart's own interval is told where it is known.
    """
    ef = np.array([study.ef_percent for study in studies], dtype=np.float64)
    low, high = posterior.interval(0.9)
    values = {
        "ef": ef,
        "median": posterior.median,
        "mean": posterior.mean,
        "sd": posterior.sd,
        "low_90": low,
        "high_90": high,
        "pit": pit_of(posterior, ef, positions),
        "crps": crps_of(posterior, ef),
        "crps_paper": crps_draws(_draws(posterior, positions), ef, "paper"),
        **{name: posterior.prob_below(cut) for name, cut in EVENTS.values()},
    }
    if posterior.outside is None:
        values["nll"] = -posterior.log_density(ef)
        if reader_sd is not None:
            values["heart_low_90"], values["heart_high_90"] = heart_of(posterior, reader_sd).interval(0.9)
    else:  # draws have no density
        values["outside"] = posterior.outside
    for index, study in enumerate(studies):
        numbers = {name: float(np.asarray(value)[index]) for name, value in values.items()}
        yield dict.fromkeys(ROW) | _facts(study, positions[index]) | numbers


def column(rows: Rows, name: str) -> Array:
    """One column of the rows as floats [B], NaN where it is empty or absent."""
    values = (row.get(name) for row in rows)
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def patients_of(rows: Rows) -> NDArray[Any]:
    """The patient of each row, [B]."""
    return np.array([row["patient_id"] for row in rows])


def measure(rows: Rows, point_estimate: str = "median") -> Iterator[Measure]:
    """The table of figures from rows, each with its bootstrap interval.

    Arguments:
        rows: keys as `ROW`; measures of columns that are absent are left out.
        point_estimate: "median" or "mean", the column that stands for the posterior where one number is asked for.
    """
    table = _Table(rows, point_estimate)
    yield from _accuracy(table)
    yield from _posterior(table)
    yield from _decision(table)


def measure_subgroups(rows: Rows, point_estimate: str = "median") -> tuple[Subgroup, ...]:
    """MAE, bias, CRPS, coverage, width and referral of each kind of patient that the cohort tells apart.

    By sex, age, quality (the worst of a study's clips), views, reported EF, predicted EF (the point estimate), and true
    EF, where MAE and bias are those to the truth. An attribute known of nobody is left out. Referral is the share of
    90 % intervals wider than WIDE_INTERVAL points.
    """
    ef, guess, width, true_ef = column(rows, "ef"), column(rows, point_estimate), _width(rows), column(rows, "true_ef")
    values = {
        "MAE": np.abs(guess - ef),
        "bias": guess - ef,
        "CRPS": column(rows, "crps"),
        "coverage 90%": calibration.inside(column(rows, "pit"), 0.9),
        "mean 90 % width": width,
        "referral": width > WIDE_INTERVAL,
    }
    groups: dict[str, tuple[list[str], tuple[str, ...]]] = {
        "sex": (_words(rows, "sex"), ("F", "M")),
        "age": ([age_band(age) for age in column(rows, "age_years")], AGE_BANDS),
        "quality": (_words(rows, "quality"), QUALITIES),
        "views": (_words(rows, "views"), ()),
        "reported EF": ([ef_band(y) for y in ef], EF_BANDS),
        "predicted EF": ([ef_band(y) for y in guess], EF_BANDS),
        "true EF": ([true_ef_band(y) for y in true_ef], TRUE_EF_BANDS),
    }
    to_truth = {"MAE": np.abs(guess - true_ef), "bias": guess - true_ef}
    patients = patients_of(rows)
    return tuple(
        subgroup
        for attribute, (labels, order) in groups.items()
        if set(labels) != {UNKNOWN}
        for subgroup in subgroups(
            attribute,
            labels,
            order,
            patients,
            values | (to_truth if attribute == "true EF" else {}),
            resamples=RESAMPLES,
        )
    )


class _Table:
    """The columns of the rows, and a measure of any of them."""

    def __init__(self, rows: Rows, point_estimate: str) -> None:
        self.rows, self.patients, self.point = rows, patients_of(rows), point_estimate
        self.guess, self.ef = self[point_estimate], self["ef"]

    def __getitem__(self, name: str) -> Array:
        return column(self.rows, name)

    def knows(self, name: str) -> bool:
        return not np.isnan(self[name]).any()

    def measure(
        self, group: str, name: str, unit: str, statistic: Callable[..., float], *arrays: NDArray[Any]
    ) -> Measure:
        return _named(name, unit, group, cluster_bootstrap(statistic, self.patients, *arrays, resamples=RESAMPLES))

    def mean(self, group: str, name: str, unit: str, values: NDArray[Any]) -> Measure:
        return _named(name, unit, group, cluster_bootstrap_mean(self.patients, values, resamples=RESAMPLES))


def _accuracy(table: _Table) -> Iterator[Measure]:
    group, guess, ef = "accuracy", table.guess, table.ef
    if table.knows("true_ef"):
        yield table.mean(group, "MAE to true EF", "points", np.abs(guess - table["true_ef"]))
        yield table.measure(group, "slope on true EF", "", agreement.slope, guess, table["true_ef"])
    yield table.mean(group, "MAE", "points", np.abs(guess - ef))
    for other in ("mean", "median"):
        if other == "mean" or table.point != other:
            yield table.mean(group, f"MAE of {other}", "points", np.abs(table[other] - ef))
    yield table.measure(group, "RMSE", "points", point.rmse, guess, ef)
    yield table.measure(group, "MAPE", "%", point.mape, guess, ef)
    yield table.measure(group, "R2", "", point.r2, guess, ef)
    yield table.measure(group, "r", "", agreement.pearson_r, guess, ef)
    yield table.measure(group, "slope", "", agreement.slope, guess, ef)
    yield table.measure(group, "CCC", "", agreement.concordance, guess, ef)
    yield table.mean(group, "bias", "points", guess - ef)
    yield table.measure(group, "lower limit of agreement", "points", agreement.lower_limit, guess, ef)
    yield table.measure(group, "upper limit of agreement", "points", agreement.upper_limit, guess, ef)


def _posterior(table: _Table) -> Iterator[Measure]:
    group, pit = "posterior", table["pit"]
    yield table.mean(group, "CRPS", "points", table["crps"])
    if table.knows("crps_paper"):
        yield table.mean(group, "CRPS paper", "points", table["crps_paper"])
    if table.knows("nll"):
        yield table.mean(group, "NLL", "nats", table["nll"])
    for level in COVERAGE_LEVELS:
        yield table.mean(group, f"coverage {level:.0%}", "", calibration.inside(pit, level))
    yield table.measure(group, "coverage error", "", calibration.coverage_error, pit)
    yield table.measure(group, "PIT KS", "", calibration.pit_ks, pit)
    yield table.measure(group, "QICE", "", calibration.qice, pit)
    yield table.mean(group, "mean 90 % width", "points", _width(table.rows))
    yield from _heart(table)
    if table.knows("outside"):
        yield table.mean(group, "draws outside 0–100 %", "", table["outside"])


def _heart(table: _Table) -> Iterator[Measure]:
    """Two intervals at the true EF: a report's, which covers it too often, and the heart's, where both are known."""
    group, truth = "posterior", table["true_ef"]
    if not table.knows("true_ef"):
        return
    for name, prefix in (("report's", ""), ("heart's", "heart_")):
        if table.knows(f"{prefix}low_90"):
            low, high = table[f"{prefix}low_90"], table[f"{prefix}high_90"]
            yield table.mean(group, f"{name} 90 % interval holds the true EF", "", (low <= truth) & (truth <= high))
    if table.knows("heart_low_90"):
        yield table.mean(group, "heart's mean 90 % width", "points", table["heart_high_90"] - table["heart_low_90"])


def _decision(table: _Table) -> Iterator[Measure]:
    group, ef, sd, error = "decision", table.ef, table["sd"], np.abs(table.guess - table.ef)
    for name, (below, cut) in EVENTS.items():
        if table.knows(below):
            event = ef <= cut if "≤" in name else ef < cut
            yield table.measure(group, f"AUROC {name}", "", clinical.auroc, table[below], event)
            yield table.measure(group, f"Brier {name}", "", clinical.brier, table[below], event)
    yield table.measure(group, "AURC", "points", selective.aurc, error, sd)
    yield table.measure(group, "excess AURC", "points", selective.excess_aurc, error, sd)
    for kept in KEPT:
        name = f"MAE of the surest {kept:.0%}"
        yield table.measure(group, name, "points", lambda e, s, kept=kept: selective.risk_at(e, s, kept), error, sd)
    yield table.mean(group, f"90 % wider than {WIDE_INTERVAL:g}", "", _width(table.rows) > WIDE_INTERVAL)


def _named(name: str, unit: str, group: str, interval: Interval) -> Measure:
    return Measure(name, interval.estimate, interval.lower, interval.upper, unit, group)


def _width(rows: Rows) -> Array:
    return column(rows, "high_90") - column(rows, "low_90")


def _words(rows: Rows, name: str) -> list[str]:
    return [row.get(name) or UNKNOWN for row in rows]


def _draws(posterior: Posterior, positions: Sequence[int]) -> Array:
    """iid draws [B, K]: the posterior's own, or PAPER_DRAWS from its table, the same whatever the batch."""
    if posterior.raw is not None:
        return posterior.raw
    return np.stack([posterior[index].sample(PAPER_DRAWS, seed=place) for index, place in enumerate(positions)])


def _facts(study: Study, position: int) -> dict[str, Any]:
    """What a row says of the study itself."""
    qualities = [clip.quality for clip in study.clips if clip.quality in QUALITIES]
    views = sorted({str(clip.view) for clip in study.clips if clip.view is not View.UNKNOWN})
    return {
        "study_id": study.study_id or str(position),
        "patient_id": study.patient_id or study.study_id or str(position),
        "true_ef": study.true_ef_percent,
        "sex": study.attributes.sex,
        "age_years": study.attributes.age_years,
        "quality": max(qualities, key=QUALITIES.index) if qualities else None,
        "views": "+".join(views) or None,
    }
