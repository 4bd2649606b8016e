"""echo-C: what happens to a posterior when its clip gets worse, and when nothing that matters changes.

Every study of a cohort is asked as it is and under 14 corruptions × 5 severities (`mcsdr.phantom.corruptions`), each
corruption with one generator for all severities of a study. A model that knows what it does not see gives wider
posteriors as a picture gets worse, and refuses before its intervals stop telling the truth:

    ρ           Spearman's rank correlation of severity 0…5 and posterior SD, of one study and corruption; a corruption
                that leaves the SD as it was has ρ = 0. It says nothing of how much: an SD that grows by 1 % at each
                severity has ρ = 1, so the ratios of SD and of error at the greatest severity stand beside it
    coverage    share of reader's EF inside the 90 % interval
    answered    studies that no gate refuses (`mcsdr.abstention.gates`)
    shift       median under the corruption − median of the clip as it is

The bars: median ρ ≥ 0.8, and coverage of answered studies ≥ 85 % at every severity. See `metamorphic` for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcsdr import DEFAULT_MODEL
from mcsdr.datasets import CohortSpec, is_synthetic, open_cohort
from mcsdr.errors import InvalidCohort, McsdrError
from mcsdr.evaluation.calibration import marks_of
from mcsdr.evaluation.evidence import metamorphic
from mcsdr.evaluation.evidence.answers import ask, with_clips
from mcsdr.evaluation.evidence.known import TARGETS, Figure
from mcsdr.evaluation.evidence.record import Cell, Report, Say, Table
from mcsdr.files import write_table
from mcsdr.io import read_study
from mcsdr.metrics.bootstrap import cluster_bootstrap_mean
from mcsdr.metrics.calibration import inside
from mcsdr.metrics.rank import spearman
from mcsdr.metrics.scores import StudyScores
from mcsdr.model import Model, load
from mcsdr.phantom.corruptions import NAMES, SEVERITIES, TABLE, corrupt
from mcsdr.report import robustness_figures
from mcsdr.report.drawing import save
from mcsdr.study import Clip, Study

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

COHORT = "phantom:200:51"
LEVEL = 0.9
LEAST_COVERAGE = 85.0  # per cent of answered studies
LEAST_RHO = 0.8
LEVELS = (0, *SEVERITIES)


class Answers(NamedTuple):
    """One study under every corruption and severity, the first severity being the clip as it is; each [C, 6]."""

    median: Array
    sd: Array
    crps: Array
    pit: Array
    refused: Bools


@dataclass(frozen=True)
class Found:
    """What was answered.

    Attributes:
        names: of the studies.
        ef, truth: what a reader reported, and what is true where it is known, else the same, [N].
        median, sd, crps: [N, C, 6] in EF points.
        covered: whether the reader's EF lies in the 90 % interval, [N, C, 6].
        refused: [N, C, 6].
    """

    names: list[str]
    ef: Array
    truth: Array
    median: Array
    sd: Array
    crps: Array
    covered: Bools
    refused: Bools

    @property
    def shift(self) -> Array:
        """Of the medians against the clip as it is, [N, C, 6]."""
        return np.asarray(self.median - self.median[..., :1])

    @property
    def error(self) -> Array:
        """|median − truth|, [N, C, 6]."""
        return np.asarray(np.abs(self.median - self.truth[:, None, None]))

    @property
    def rho(self) -> Array:
        """Rank correlation of severity and SD, [N, C]."""
        return np.nan_to_num(spearman(LEVELS, self.sd), nan=0.0)


def run(
    out: Path,
    *,
    model: str = DEFAULT_MODEL,
    cohort: str = COHORT,
    n: int | None = None,
    clips: Sequence[Path] = (),
    seed: int = 0,
    say: Say = print,
) -> Report:
    """Corrupt every study of a cohort, ask the model, and tabulate; then the metamorphic tests.

    Arguments:
        out: figures and answers.csv go here.
        model: a bundled model's name or a folder.
        cohort: whose studies, as `CohortSpec.parse` reads it.
        n: only the first so many, or so many phantoms.
        clips: files for the metamorphic tests, besides the cohort.
        seed: of the corruptions.
        say: told how far it is.

    Raises:
        InvalidCohort: no study could be asked.
        McsdrError: a file of `clips` cannot be read.
    """
    estimator, spec = load(model), CohortSpec.parse(cohort)
    if n is not None and spec.kind == "phantom":
        spec = spec.model_copy(update={"n": n})
    files = [(path.name, read_study(path)) for path in clips]
    of_clips = [metamorphic.of_clips(estimator, files)] if files else []  # a bad file is said before the long part
    studies = open_cohort(spec)
    count = min(len(studies), n or len(studies))
    found = measure(estimator, studies, count, seed, say)
    of_cohort = metamorphic.of_cohort(estimator, spec, count, say)
    synthetic = is_synthetic(spec)
    write_rows(out / "answers.csv", found)
    draw(out, found, studies[0], seed, synthetic)
    about: dict[str, Any] = {"model": estimator.card.name, "sha256": estimator.sha256, "seed": seed}
    about |= {"calibration": estimator.card.calibration, "protocol": estimator.protocol.model_dump()}
    about |= {"sampler": vars(estimator.sampler), "cohort": spec.describe(), "studies": len(found.names)}
    about |= {"corruptions": {name: [one.unit, *one.amounts] for name, one in TABLE.items()}}
    measured = [*tables(found, spec.describe()), of_cohort, *of_clips]
    return Report("robustness", measured, about, synthetic, marks_of(estimator.card, spec))


# --- measuring -------------------------------------------------------------------------------------------------------


def measure(model: Model, cohort: Sequence[Study], count: int, seed: int, say: Say) -> Found:
    """The first `count` studies under everything; those that cannot be asked are said and left out.

    Raises:
        InvalidCohort: none could be asked.
    """
    kept: list[Study] = []
    answers: list[Answers] = []
    for index in range(count):
        try:
            study = cohort[index]
            if study.ef_percent is None:
                raise InvalidCohort("no ejection fraction is reported.")
            answers.append(answer(model, study, seed, index))
            kept.append(study)
        except McsdrError as error:
            say(f"corruptions: study {index} left out: {error}")
        if (index + 1) % 10 == 0:
            say(f"corruptions: {index + 1} of {count} studies")
    if not kept:
        raise InvalidCohort("no study of this cohort could be asked.", next_step="Give clips of a second or more.")
    ef = np.array([study.ef_percent for study in kept], dtype=np.float64)
    true = np.array([study.true_ef_percent for study in kept], dtype=np.float64)  # NaN for None
    median, sd, crps, pit, gone = (np.stack(field) for field in zip(*answers, strict=True))
    covered = inside(pit.ravel(), LEVEL).reshape(pit.shape)
    names = [study.study_id for study in kept]
    return Found(names, ef, np.where(np.isnan(true), ef, true), median, sd, crps, covered, gone)


def answer(model: Model, study: Study, seed: int, index: int) -> Answers:
    """One study as it is and under everything."""
    versions = [study, *(worse(study, name, severity, seed, index) for name in NAMES for severity in SEVERITIES)]
    posteriors, gone = ask(model, versions)
    scores = StudyScores.of(posteriors, np.full(len(versions), study.ef_percent))
    grid = np.zeros((len(NAMES), len(LEVELS)), dtype=np.int64)
    grid[:, 1:] = 1 + np.arange(len(versions) - 1).reshape(len(NAMES), -1)
    median, sd = np.asarray(posteriors.median), np.asarray(posteriors.sd)
    return Answers(median[grid], sd[grid], scores.crps[grid], scores.pit[grid], gone[grid])


def worse(study: Study, name: str, severity: int, seed: int, index: int) -> Study:
    """A study whose clips are corrupted; all severities share their randomness."""

    def change(clip: Clip) -> Clip:
        return corrupt(clip, name, severity, np.random.default_rng([seed, index, *name.encode()]))

    return with_clips(study, change)


def write_rows(path: Path, found: Found) -> None:
    """One row per study, corruption and severity."""
    header = ("study", "ef", "truth", "corruption", "severity", "median", "sd", "crps", "covered", "refused")
    rows = (
        [study, found.ef[i], found.truth[i], name, s]
        + [float(field[i, c, s]) for field in (found.median, found.sd, found.crps)]
        + [int(field[i, c, s]) for field in (found.covered, found.refused)]
        for i, study in enumerate(found.names)
        for c, name in enumerate(NAMES)
        for s in LEVELS
    )
    write_table(path, header, rows)


# --- tables ----------------------------------------------------------------------------------------------------------

MEASURES = ("shift", "size of shift", "MAE", "SD", "CRPS", "coverage %", "refused %", "coverage % of answered")


def tables(found: Found, cohort: str) -> list[Table]:
    """What was to be reached; every severity; ρ; every corruption at every severity."""
    return [targets_table(found), severity_table(found, cohort), rank_table(found), corruption_table(found)]


def figures(found: Found) -> list[Figure]:
    """What was to be reached."""
    wanted = [
        Figure(
            f"coverage of answered clips, severity {s}, %", LEAST_COVERAGE, np.inf, _measures(found, slice(None), s)[-1]
        )
        for s in SEVERITIES
    ]
    return [
        *wanted,
        Figure("median rank correlation of severity and SD", LEAST_RHO, np.inf, float(np.median(found.rho))),
    ]


def targets_table(found: Found) -> Table:
    """The bars, and whether they were met."""
    notes = ["Over all corruptions. Coverage: share of reader's EF inside the 90 % interval."]
    return Table("Figures to reach", TARGETS, [figure.row for figure in figures(found)], notes, digits=2)


def severity_table(found: Found, cohort: str) -> Table:
    """All corruptions together at every severity."""
    rows: list[list[Cell]] = []
    for s in LEVELS:
        answered = ~found.refused[:, :, s]
        interval: list[Cell] = [None, None]
        if answered.any():
            patients = np.broadcast_to(np.arange(len(found.ef))[:, None], answered.shape)[answered]
            _, low, high = cluster_bootstrap_mean(patients, found.covered[:, :, s][answered])
            interval = [100 * low, 100 * high]
        rows.append([str(s) if s else "none", *_measures(found, slice(None), s), *interval])
    notes = [
        f"{len(found.ef)} studies ({cohort}), each under {len(NAMES)} corruptions. Shift of the median, mean and mean "
        "size; MAE of the median to the true EF where it is known, else to the reader's; SD and CRPS of the posterior; "
        "all in EF points. Coverage of the reader's EF by the 90 % interval. Refused: by any gate.",
        "From, to: 95 % bootstrap interval over studies of the coverage of answered clips.",
    ]
    return Table("All corruptions by severity", ("severity", *MEASURES, "from", "to"), rows, notes, digits=2)


def rank_table(found: Found) -> Table:
    """ρ of every corruption and of all."""
    columns = {name: found.rho[:, c] for c, name in enumerate(NAMES)} | {"all": found.rho.ravel()}
    rows: list[list[Cell]] = []
    for name, rho in columns.items():
        low, middle, high = (float(q) for q in np.quantile(rho, (0.25, 0.5, 0.75)))
        of = slice(None) if name == "all" else slice(NAMES.index(name), NAMES.index(name) + 1)
        share = 100 * float((rho >= LEAST_RHO).mean())
        rows.append([name, middle, low, high, share, _growth(found.sd, of), _growth(found.error, of)])
    header = ("corruption", "median ρ", "25 %", "75 %", f"ρ ≥ {LEAST_RHO:g}, % of studies", "SD ratio", "error ratio")
    notes = [
        "ρ: Spearman's rank correlation of severity 0…5 and posterior SD, study by study. Ratios: mean SD, and mean "
        "size of the error, at severity 5 over those of the clip as it is; where a model knows what it does not see, "
        "the first keeps pace with the second."
    ]
    return Table("Does the SD grow with severity?", header, rows, notes, digits=2)


def _growth(field: Array, of: slice) -> float:
    """The mean of [N, C, 6] at the greatest severity of some corruptions, over that of the clips as they are."""
    plain = float(field[:, of, 0].mean())
    return float(field[:, of, -1].mean()) / plain if plain else float("nan")


def corruption_table(found: Found) -> Table:
    """Every corruption at every severity."""
    rows: list[list[Cell]] = [["none", "0", "", *_measures(found, slice(0, 1), 0)]]
    for c, name in enumerate(NAMES):
        for s, amount in zip(SEVERITIES, TABLE[name].amounts, strict=True):
            rows.append([name, str(s), f"{amount:g} {TABLE[name].unit}", *_measures(found, slice(c, c + 1), s)])
    header = ("corruption", "severity", "amount", *MEASURES)
    return Table("Every corruption at every severity", header, rows, ["Measures as above."], digits=2)


def _measures(found: Found, of: slice, severity: int) -> list[float]:
    """`MEASURES` of some corruptions at one severity."""
    shift, error, sd, crps = (field[:, of, severity] for field in (found.shift, found.error, found.sd, found.crps))
    covered, answered = found.covered[:, of, severity], ~found.refused[:, of, severity]
    kept = 100 * float(covered[answered].mean()) if answered.any() else float("nan")
    means = [float(each.mean()) for each in (shift, np.abs(shift), error, sd, crps)]
    return [*means, 100 * float(covered.mean()), 100 * float((~answered).mean()), kept]


# --- figures ---------------------------------------------------------------------------------------------------------


def draw(out: Path, found: Found, study: Study, seed: int, synthetic: bool) -> None:
    """robustness.png, and corruptions.png of the first clip of a study."""
    mae, coverage = found.error.mean(axis=0), found.covered.mean(axis=0)
    save(out / "robustness.png", robustness_figures.severity_curves(NAMES, mae, coverage, synthetic))
    if study.clips:
        save(out / "corruptions.png", robustness_figures.contact_sheet(NAMES, stills(study, seed), synthetic))


def stills(study: Study, seed: int) -> list[list[NDArray[np.uint8]]]:
    """The middle of a study's first clip at every severity of every corruption, each uint8 [H, W]."""
    times = study.clips[0].frame_times_s
    middle = times[len(times) // 2]

    def still(clip: Clip) -> NDArray[np.uint8]:
        return np.asarray(clip.frames[np.abs(clip.frame_times_s - middle).argmin()])

    return [[still(worse(study, name, s, seed, 0).clips[0]) for s in LEVELS] for name in NAMES]
