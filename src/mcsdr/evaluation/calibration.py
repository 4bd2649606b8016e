"""Calibrate a model: answer studies that it never saw, fit its recalibration, and measure honestly what that changed.

    >>> from mcsdr.evaluation.calibration import calibrate
    >>> result = calibrate(mcsdr.load(), CohortSpec.parse("phantom:1000:7"))
    >>> result.model.save("phantom-a4c-calibrated")
    >>> posterior = result.model(study)                                     # recalibrated
    >>> result.model.calibration.conformal_interval(posterior, 0.9)         # with a finite-sample guarantee

Studies are asked under every pattern of what may be known (`mcsdr.evaluation.asking`). The map that is stored is fitted
on all of them; the figures after recalibration come from FOLDS maps, each fitted without the patients that it is
measured on. Studies that the model was trained or selected on are refused: there its posteriors look better than they
are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from mcsdr.datasets import CohortSpec, is_synthetic
from mcsdr.errors import InvalidConfig, InvalidModel
from mcsdr.evaluation.asking import LEAST_CALIBRATION_PATIENTS, Asked, ask_all, opened
from mcsdr.metrics import calibration
from mcsdr.metrics.scores import StudyScores
from mcsdr.metrics.subgroups import LEAST_PATIENTS
from mcsdr.model import Card, Model, load
from mcsdr.phantom.cohort import ADULTS
from mcsdr.posterior import Posterior
from mcsdr.posterior.recalibration import (
    LEVELS,
    PATTERNS,
    SEVERAL,
    Calibration,
    Recalibration,
    middle_of,
    nodes_of,
    scores_of,
    swapped,
)
from mcsdr.study import Study

Array = NDArray[np.float64]
Intervals = list[tuple[Array, Array]]  # lower and upper ends, for each of LEVELS
Figures = tuple[tuple[float, ...], float, float, float, float]  # coverage, KS, error, width, CRPS of a Row

FOLDS = 5
FEW_PATIENTS = 300  # posteriors 5 % too narrow gain nothing below them, and lose nothing above
UNDEFINED: Figures = ((np.nan,) * len(LEVELS), np.nan, np.nan, np.nan, np.nan)
BANDS = ("≤ 40 %", "41–49 %", "≥ 50 %")  # y ≤ 40, 40 < y < 50, y ≥ 50


class Row(NamedTuple):
    """How calibrated a group of studies is, before ("raw") or after ("recalibrated", "conformal").

    Attributes:
        known: pattern of what was known.
        group: all studies, or a band of reported or predicted EF.
        state: which posteriors, or intervals.
        studies, patients: how many; of fewer than LEAST_PATIENTS patients nothing is measured (NaN).
        coverage: share of labels inside the central intervals of LEVELS.
        ks, error: KS distance and coverage error (`mcsdr.metrics.calibration`); NaN of conformal intervals.
        width: mean width of the 90 % interval in EF points.
        crps: mean CRPS in EF points; NaN of conformal intervals.
    """

    known: str
    group: str
    state: str
    studies: int
    patients: int
    coverage: tuple[float, ...]
    ks: float
    error: float
    width: float
    crps: float


@dataclass(frozen=True)
class Calibrated:
    """A calibrated model and what was measured on the way.

    Attributes:
        model: the same network, with `calibration` and a card that says so.
        rows: before and after, by pattern and by band of EF.
        failures: studies that could not be answered, as (name, why).
        notes: what must be known beside the figures.
    """

    model: Model
    rows: tuple[Row, ...]
    failures: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def calibrate(
    model: Model,
    data: CohortSpec | Sequence[Study],
    *,
    long: CohortSpec | Sequence[Study] | None = None,
    keep_median: bool = False,
    cohort_name: str = "",
    synthetic: bool = False,
    seed: int = 0,
    batch: int = 16,
    max_bad: float = 0.02,
    advance: Callable[[int], None] = lambda done: None,
) -> Calibrated:
    """Fit a model's recalibration on studies that it never saw.

    Arguments:
        model: what answers, with its own sampler and protocol; a calibration that it has is replaced.
        data: a description of a cohort, which is held against what the model's card says it has seen, or studies with
            `ef_percent`, of which nobody can tell.
        long: another cohort, of clips longer than one window, for answers from several; `data` serves where None.
        keep_median: whether widths alone are mended: where the studies are of other machines or styles than those to be
            answered, by how much they lean to one side is theirs.
        cohort_name, synthetic: of studies, what to call them and whether they are phantoms; a description says both.
        seed: of the folds.
        batch: studies answered together.
        max_bad: share of the studies that may fail; they are listed and left out.
        advance: told how many studies are done.

    Raises:
        InvalidConfig: the model was trained or selected on these studies, or its sampler draws at random.
        InvalidCohort: fewer than LEAST_CALIBRATION_PATIENTS patients.
        TooManyBadRows: more than max_bad of the studies cannot be answered.
    """
    if model.sampler.draws is not None:
        raise InvalidConfig(
            "this model's own sampler draws at random; recalibration is for the exact table of quantiles.",
            next_step="Train or save the model with sampler.draws = none.",
        )
    notes: list[str] = []
    if isinstance(data, CohortSpec):
        notes += refuse_seen(model.card, data)
        cohort_name, synthetic = data.describe(), is_synthetic(data)
    if isinstance(long, CohortSpec):
        notes += refuse_seen(model.card, long)
        cohort_name, synthetic = f"{cohort_name}; {SEVERAL}: {long.describe()}", synthetic or is_synthetic(long)
    plain = copy(model)
    plain.calibration = None
    asked = ask_all(plain, opened(data), batch, max_bad, advance)
    by_pattern, failures = dict.fromkeys(PATTERNS, asked), asked.failures
    if long is not None:
        done = len(asked.ef) + len(asked.failures)
        of_long = ask_all(plain, opened(long), batch, max_bad, lambda more: advance(done + more))
        by_pattern |= {pattern: of_long for pattern in PATTERNS if SEVERAL in pattern}
        failures = [*failures, *of_long.failures]
    maps, rows = _fit_all(by_pattern, seed, keep_median, notes)
    spec = data.model_dump(mode="json") if isinstance(data, CohortSpec) else None
    about = Calibration(
        maps=maps,
        cohort=cohort_name,
        synthetic=synthetic,
        studies=len(asked.ef),
        patients=len(set(asked.patients.tolist())),
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        seed=seed,
        sampler=vars(model.sampler),
        protocol=model.protocol.model_dump(),
        keeps_median=keep_median,
    )
    return Calibrated(_with(model, about, rows, spec), tuple(rows), tuple(failures), tuple(notes))


def refuse_seen(card: Card, data: CohortSpec) -> list[str]:
    """Refuse a cohort that the model was trained or selected on; what cannot be checked is said in the notes returned.

    Raises:
        InvalidConfig: the model, or one that its weights came from, has seen such studies.
    """
    seen, notes = ancestral(card)
    for name, role, spec in seen:
        if role not in ("calibrated", "gated") and may_share(spec, data):
            raise InvalidConfig(
                f"{name} was {role} on {spec.describe()}; on {data.describe()} its posteriors look better than "
                "they are.",
                next_step="Calibrate on studies kept back for it: phantoms of another seed, another split, a table.",
            )
    return notes


def marks_of(card: Card, data: CohortSpec) -> list[str]:
    """What must stand beside figures on a cohort of which the model, or one that it came from, has seen people."""
    seen, notes = ancestral(card)
    marks = [
        f"SEEN: {name} was {role} on {spec.describe()}; these figures look better than they are."
        for name, role, spec in seen
        if may_share(spec, data)
    ]
    return [*dict.fromkeys(marks), *notes]


def ancestral(card: Card) -> tuple[list[tuple[str, str, CohortSpec]], list[str]]:
    """What a model and all that its weights came from have seen, as (name, role, cohort); and what is not known."""
    records = [*card.seen(), *card.ancestry]
    told = {record["role"] for record in card.seen()}
    notes = [
        f"{card.name} does not say what it was {use} on, so it could not be checked."
        for use in ("trained", "selected")
        if use not in told
    ]
    start = card.config.get("start") or {}
    for name in dict.fromkeys(filter(None, (start.get("model"), start.get("encoder")))):
        if card.ancestry:  # it says so itself
            break
        try:
            older, more = ancestral(load(name).card)
            records += [{"name": who, "role": role, "data": spec} for who, role, spec in older]
            notes += more
        except InvalidModel:
            notes.append(f"{name}, which the weights started from, is no model here, so it could not be checked.")
    seen = []
    for record in records:
        try:
            seen.append((record["name"], record["role"], CohortSpec.model_validate(record["data"])))
        except ValidationError:
            notes.append(f"{record['name']} does not say what it was {record['role']} on, so it could not be checked.")
    return list(dict.fromkeys(seen)), list(dict.fromkeys(notes))


def may_share(seen: CohortSpec, data: CohortSpec) -> bool:
    """Whether two cohorts may share a patient.

    Phantoms of one seed and kind are the same people whatever their number. In a folder, two splits of one fold share
    nobody; other folds do.
    """
    if seen.root is None or data.root is None:
        # Adults of one seed are the same people whatever their p(EF): only how well their hearts beat is drawn anew.
        whom = dict.fromkeys(ADULTS, "adult")
        who = [(one.kind, one.seed, whom.get(one.population, one.population), one.ambiguity) for one in (seen, data)]
        return seen.kind == "phantom" and who[0] == who[1]
    one, other = seen.root.resolve(), data.root.resolve()
    if not (one.is_relative_to(other) or other.is_relative_to(one)):
        return False
    told_apart = seen.kind == data.kind and one == other and seen.fold == data.fold
    return not (told_apart and seen.split and data.split and seen.split != data.split)


def _fit_all(
    by_pattern: dict[str, Asked], seed: int, keep_median: bool, notes: list[str]
) -> tuple[dict[str, Recalibration], list[Row]]:
    """The map of every pattern that has patients enough, and its figures."""
    maps: dict[str, Recalibration] = {}
    rows: list[Row] = []
    too_few: dict[str, str] = {}
    for pattern, asked in by_pattern.items():
        if pattern not in asked.answers:
            too_few[pattern] = "no such study"
            continue
        places, raw = asked.answers[pattern]
        patients, ef = asked.patients[places], asked.ef[places]
        count = len(np.unique(patients))
        if count < LEAST_CALIBRATION_PATIENTS:
            too_few[pattern] = f"{count} patients, too few"
            continue
        if count < FEW_PATIENTS:
            notes.append(f"{pattern}: {count} patients; below {FEW_PATIENTS} a small fault is not worth mending.")
        maps[pattern] = Recalibration.fit(scores_of(raw, ef), count, middle_of(raw), keep_median=keep_median)
        rows += measure(pattern, raw, ef, patients, seed, keep_median)
    for pattern, why in too_few.items():
        serves = (
            f"the map of {swapped(pattern)} serves" if swapped(pattern) in maps else "such posteriors stay as they are"
        )
        notes.append(f"{pattern}: {why}; {serves}.")
    return maps, rows


def folds_of(patients: NDArray[Any], seed: int) -> NDArray[np.intp]:
    """The fold 0…FOLDS − 1 of each study [B]; all studies of a patient fall into one."""
    names, index = np.unique(patients, return_inverse=True)
    fold: NDArray[np.intp] = (np.random.default_rng(seed).permutation(len(names)) % FOLDS)[index]
    return fold


def measure(
    known: str, raw: Posterior, ef: Array, patients: NDArray[Any], seed: int, keep_median: bool = False
) -> Iterator[Row]:
    """Before and after, of all studies and of bands of reported and predicted EF, cross-fitted by patient."""
    recalibrated, conformal = _cross_fit(raw, scores_of(raw, ef), patients, folds_of(patients, seed), keep_median)
    groups = {"all": np.ones(len(ef), dtype=bool)}
    for name, y in (("reported", ef), ("predicted", np.asarray(raw.median))):
        inside = (y <= 40, (y > 40) & (y < 50), y >= 50)
        groups |= {f"{name} EF {band}": mine for band, mine in zip(BANDS, inside, strict=True)}
    tables = {"raw": StudyScores.of(raw, ef), "recalibrated": StudyScores.of(recalibrated, ef)}
    for group, mine in groups.items():
        n, count = int(mine.sum()), len(np.unique(patients[mine]))
        seen = mine if count >= LEAST_PATIENTS else None
        for state, table in tables.items():
            yield Row(known, group, state, n, count, *_figures(table, seen))
        yield Row(known, group, "conformal", n, count, *_interval_figures(conformal, ef, seen))


def _figures(scores: StudyScores, seen: NDArray[np.bool_] | None) -> Figures:
    """Of the studies of one group, or of one that is too small (None)."""
    if seen is None:
        return UNDEFINED
    crps, u, width = (column[seen] for column in scores)
    covered = tuple(calibration.coverage(u, LEVELS).tolist())
    return covered, calibration.pit_ks(u), calibration.coverage_error(u), float(width.mean()), float(crps.mean())


def _interval_figures(intervals: Intervals, ef: Array, seen: NDArray[np.bool_] | None) -> Figures:
    """As above of bare intervals, which have no PIT and no CRPS."""
    if seen is None:
        return UNDEFINED
    covered = tuple(calibration.picp(low[seen], high[seen], ef[seen]) for low, high in intervals)
    low, high = intervals[LEVELS.index(0.9)]
    return covered, np.nan, np.nan, calibration.mean_width(low[seen], high[seen]), np.nan


def _cross_fit(
    raw: Posterior, scores: Array, patients: NDArray[Any], fold: NDArray[np.intp], keep_median: bool
) -> tuple[Posterior, Intervals]:
    """Each study's recalibrated posterior and conformal intervals from a map fitted without its fold."""
    z, middles = nodes_of(raw), middle_of(raw)
    intervals = [(np.empty(len(raw)), np.empty(len(raw))) for _ in LEVELS]
    for one in range(FOLDS):
        held_out, rest = np.flatnonzero(fold == one), fold != one
        count = len(np.unique(patients[rest]))
        fitted = Recalibration.fit(scores[rest], count, middles[rest], keep_median=keep_median)
        z[held_out] = fitted.inverse(z[held_out], middles[held_out])
        for (low, high), level in zip(intervals, LEVELS, strict=True):
            low[held_out], high[held_out] = fitted.conformal_interval(raw[held_out], level)
    return replace(raw, z=z), intervals


def _with(model: Model, about: Calibration, rows: Sequence[Row], seen: dict[str, Any] | None) -> Model:
    """The same network with a calibration, and a card that says so."""
    calibrated = copy(model)
    calibrated.calibration = about
    of_all = [row for row in rows if row.group == "all"]
    data = {**(model.card.config.get("data") or {}), **({"calibrated": seen} if seen else {})}
    figures = {
        "method": f"{FOLDS}-fold cross-fitting by patient",
        "levels": list(LEVELS),
        "rows": [
            {"known": r.known, "posterior": r.state, "coverage": list(r.coverage), "width": r.width} for r in of_all
        ],
    }
    said = {"calibration": about.describe(), "calibration_synthetic": about.synthetic}
    said |= {"figures": {**model.card.figures, "calibration": figures}}
    said |= {"config": {**model.card.config, "data": data}}
    calibrated.card = model.card.model_copy(update=said)
    return calibrated
