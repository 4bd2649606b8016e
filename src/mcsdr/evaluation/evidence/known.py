"""Is the posterior right, and not only its mean? Phantoms that hide something, so that the exact answer is known.

Every kind of `phantom.ambiguity` is learnt from one cohort, recalibrated on another and measured once on a third, each
answer against the exact posterior of its study (`metrics.known`). On clean pictures the question is the posterior
alone; on randomised ones the picture itself leaves doubt, the exact posterior given what is shown is a lower bound on
the spread, and the model's is expected to be wider: by how much is the question there.

    OUT/<kind>[-randomised]/                training: settings, checkpoint, log, model/
    OUT/<kind>[-randomised]/studies.csv     one row per study
    OUT/densities.png, weights.png          what was answered over what is exact (-randomised.png)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcsdr.datasets import CohortSpec
from mcsdr.diffusion.closed_form import GaussianMixture
from mcsdr.errors import InvalidCohort, InvalidConfig
from mcsdr.evaluation.evidence.jobs import SEEDS_OF_KNOWN, trained
from mcsdr.evaluation.evidence.record import Cell, Report, Say, Table, met
from mcsdr.files import write_table
from mcsdr.files.shipped import recipe
from mcsdr.metrics import known
from mcsdr.metrics.bootstrap import cluster_bootstrap_mean
from mcsdr.metrics.calibration import coverage, pit_ks
from mcsdr.metrics.known import KnownScores
from mcsdr.model import Model
from mcsdr.posterior import Posterior
from mcsdr.posterior.recalibration import Recalibration, scores_of
from mcsdr.report import known_figures
from mcsdr.report.drawing import save
from mcsdr.study import KnownPosterior
from mcsdr.training.settings import TrainSettings, read_settings
from mcsdr.training.tokens import EncodedCohort, encode_cohort

Array = NDArray[np.float64]

LEAST_CALIBRATION = 20  # what the conformal levels of a `Recalibration` need
BUNDLED, CONTROL = "phantom-a4c", "control"


class Plan(NamedTuple):
    """How one kind is learnt: over configs/known.toml, and how many studies it is learnt from and measured on."""

    start: str  # whose encoder: the bundled model's, or the control's of the same run
    frozen: bool
    augmentation: str
    epochs: int
    lr: str
    train: int
    test: int


#                         start    frozen  augm.   ep. rate    train test
PLANS = {
    "control":         Plan(BUNDLED, False, "crop", 8, "5e-4", 4000, 2000),
    "hidden-wall":     Plan(CONTROL, True,  "none", 30, "1e-3", 4000, 2000),
    "lateral-dropout": Plan(BUNDLED, True,  "none", 30, "1e-3", 2500, 1000),
    "arrhythmia":      Plan(BUNDLED, True,  "none", 30, "1e-3", 2500, 1000),
    "foreshortening":  Plan(BUNDLED, True,  "none", 30, "1e-3", 2500, 1000),
}  # fmt: skip
KINDS = tuple(PLANS)
# The bundled encoder was trained on pictures as varied as the randomised ones, so that it serves them as it is.
RANDOMISED = dict.fromkeys(KINDS, Plan(BUNDLED, True, "none", 30, "1e-3", 2500, 1000))


@dataclass(frozen=True)
class Found:
    """What was measured of one kind.

    Attributes:
        posterior: the test cohort's answers, as the model gives them.
        exact: the exact posteriors of the same studies.
        raw, recalibrated: scores of those answers, before and after recalibration.
        head_alone: scores of the flow's own location-scale head with the same weights, before recalibration.
        ideal: scores of the exact posteriors put on the nodes that a model answers with.
        sha256: of the model, weights and description.
    """

    posterior: Posterior
    exact: GaussianMixture
    raw: KnownScores
    recalibrated: KnownScores
    head_alone: KnownScores
    ideal: KnownScores
    sha256: str


class Figure(NamedTuple):
    """One figure to reach: what, within which ends, and what was measured."""

    what: str
    low: float
    high: float
    measured: float

    @property
    def row(self) -> list[Cell]:
        """As it stands in the table."""
        ends = f"≤ {self.high:g}" if self.low == -np.inf else f"≥ {self.low:g}"
        ends = f"{self.low:g} to {self.high:g}" if np.isfinite([self.low, self.high]).all() else ends
        if np.isnan(self.measured):
            return [self.what, ends, None, "not measured"]
        return [self.what, ends, self.measured, met(self.low <= self.measured <= self.high)]


def run(
    out: Path,
    *,
    kinds: Sequence[str] = KINDS,
    randomised: bool = False,
    train: int | None = None,
    val: int = 300,
    calibration: int = 600,
    test: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    overrides: Mapping[str, str] | None = None,
    say: Say = print,
) -> Report:
    """Train, recalibrate and measure every kind; what is finished is read, what was stopped goes on.

    Arguments:
        out: trainings, rows and figures are kept here.
        kinds: of `KINDS`.
        randomised: pictures as varied as those of ordinary phantoms, instead of clean ones.
        train, val, calibration, test: studies of each cohort; the plan's own numbers where left out.
        epochs: of each training; the plan's own where left out.
        seed: of the trainings.
        overrides: dotted settings over configs/known.toml and the plan.
        say: told how far it is.

    Raises:
        InvalidConfig: no such kind, too few studies to recalibrate on, an override that does not fit, or a folder with
            another training in it.
    """
    plans = RANDOMISED if randomised else PLANS
    if unknown := set(kinds) - set(plans):
        raise InvalidConfig(f"no kind {sorted(unknown)[0]!r}.", next_step=f"Choose of {', '.join(KINDS)}.")
    if calibration < LEAST_CALIBRATION:  # said before hours of training, not after them
        raise InvalidConfig(f"{calibration} studies to recalibrate on.", next_step=f"Give {LEAST_CALIBRATION} or more.")
    ending = "-randomised" if randomised else ""
    sizes = {"val": val, "calibration": calibration}
    given = ({"optim.epochs": str(epochs)} if epochs else {}) | {"run.seed": str(seed)} | dict(overrides or {})
    found: dict[str, Found] = {}
    for kind in (k for k in KINDS if k in kinds):
        model, settings = _trained(out, kind, randomised, {"train": train, "val": val}, given, say)
        of_kind = sizes | {"test": test or plans[kind].test}
        specs = {part: _spec(kind, n, SEEDS_OF_KNOWN[part], randomised) for part, n in of_kind.items()}
        cohorts = [encode_cohort(specs[part], model, settings.data.cache, say) for part in ("calibration", "test")]
        say(f"{kind}: measuring {len(cohorts[1])} studies")
        found[kind] = measure(model, *cohorts)
        write_rows(out / f"{kind}{ending}" / "studies.csv", cohorts[1], found[kind])
    draw(out, found, ending)
    about: dict[str, Any] = {"train": train, **sizes, "seed": seed, "cohort_seeds": SEEDS_OF_KNOWN}
    about |= {"test": {kind: len(one.raw) for kind, one in found.items()}, "epochs": epochs, "randomised": randomised}
    about |= {"models": {kind: one.sha256 for kind, one in found.items()}, "overrides": dict(overrides or {})}
    about |= {"plans": {kind: plans[kind]._asdict() for kind in found}}
    return Report(f"known{ending}", tables(found, randomised), about)


def settings_of(
    kind: str, randomised: bool, sizes: Mapping[str, int | None], given: Mapping[str, str], control: Path
) -> TrainSettings:
    """The training of one kind: configs/known.toml, its plan over it, and what is given over both.

    Arguments:
        control: the folder of the control's model, for the kinds that start from it.
    """
    plan = (RANDOMISED if randomised else PLANS)[kind]
    chosen = {
        "run.name": f'"known-{kind}{"-randomised" if randomised else ""}"',
        "run.augmentation": plan.augmentation,
        "start.encoder": f"'{control if plan.start == CONTROL else plan.start}'",
        "start.frozen": str(plan.frozen).lower(),
        "optim.epochs": str(plan.epochs),
        "optim.lr": plan.lr,
    }
    for part in ("train", "val"):
        chosen |= {f"data.{part}.n": str(sizes[part] or plan.train), f"data.{part}.seed": str(SEEDS_OF_KNOWN[part])}
        chosen |= {f"data.{part}.ambiguity": kind, f"data.{part}.clean": str(not randomised).lower()}
    return read_settings(recipe("known"), chosen | dict(given))


def _trained(
    out: Path, kind: str, randomised: bool, sizes: Mapping[str, int | None], given: Mapping[str, str], say: Say
) -> tuple[Model, TrainSettings]:
    """The model of one kind; the control first where its encoder is what this kind starts from."""
    ending, control = ("-randomised" if randomised else ""), out / CONTROL / "model"
    if (RANDOMISED if randomised else PLANS)[kind].start == CONTROL:
        _trained(out, CONTROL, False, sizes, given, say)
    settings = settings_of(kind, randomised, sizes, given, control)
    return trained(settings, out / f"{kind}{ending}", say), settings


def _spec(kind: str, n: int, seed: int, randomised: bool) -> CohortSpec:
    return CohortSpec.parse(f"phantom:{n}:{seed}:{kind}" + (":randomised" if randomised else ""))


# --- measuring -------------------------------------------------------------------------------------------------------


def exact_posteriors(of_studies: Sequence[KnownPosterior | None]) -> GaussianMixture:
    """The exact posteriors of a cohort as one padded batch.

    Raises:
        InvalidCohort: a study has none.
    """
    there = [each for each in of_studies if each is not None]
    if len(there) != len(of_studies) or not there:
        raise InvalidCohort("a study has no known posterior.", next_step="Take phantoms such as phantom:100:7:control.")
    weights = np.array(list(zip_longest(*(each.weights for each in there), fillvalue=0.0))).T
    means = np.array(list(zip_longest(*(each.ef_percent for each in there), fillvalue=0.0))).T
    sds = np.array([each.reader_sd for each in there])
    return known.mixture(weights, means, np.broadcast_to(sds[:, None], weights.shape))


def measure(model: Model, calibration: EncodedCohort, test: EncodedCohort) -> Found:
    """Fit the recalibration on one cohort, and measure the answers to another before and after it."""
    exact, posterior = exact_posteriors(test.known), test.ask(model)
    recalibrated = Recalibration.fit(scores_of(calibration.ask(model), calibration.ef_percent)).apply(posterior)
    alone = test.ask(model.without_score())
    raw, after, head, ideal = (
        known.score(each, exact, test.ef_percent) for each in (posterior, recalibrated, alone, known.exact_table(exact))
    )
    return Found(posterior, exact, raw, after, head, ideal, model.sha256)


def write_rows(path: Path, cohort: EncodedCohort, found: Found) -> None:
    """One row per study: its reading, the exact and the answered posterior in short, and every score."""
    rows = []
    for i, (name, scores, after) in enumerate(zip(cohort.names, found.raw.rows(), found.recalibrated.pit, strict=True)):
        about = {"study": name, "ef": float(cohort.ef_percent[i]), "true_ef": float(cohort.true_ef_percent[i])}
        rows.append(about | scores | {"pit_recalibrated": float(after)})
    write_table(path, rows[0], ([None if cell != cell else cell for cell in row.values()] for row in rows))


# --- tables ----------------------------------------------------------------------------------------------------------


def tables(found: Mapping[str, Found], randomised: bool) -> list[Table]:
    """What was to be reached on clean pictures, what was measured, and what the nodes of an answer cost."""
    wanted = [] if randomised else [each.row for each in figures(found)]
    first = [Table("Figures to reach", TARGETS, wanted, DEFINED)] if wanted else []
    return [*first, *measured_tables(found, randomised), worth_table(found), ideal_table(found)]


TARGETS = ("figure", "to reach", "measured", "met")
DEFINED = (
    f"An ambiguous case has components at least {known.SEPARATION:g} SDs of the reader apart, each of weight "
    f"{known.LEAST_WEIGHT:g} or more; its modes are found where the only peaks of the answer, "
    f"`modes({known.PEAK_SEPARATION:g}, {known.PEAK_MASS:g})`, lie within {known.NEAR:g} SDs of one component each. "
    "The weight is the probability below the middle of the two readings.",
)


def figures(found: Mapping[str, Found]) -> list[Figure]:
    """What was to be reached, of the kinds that were run."""
    wanted: list[Figure] = []
    if wall := found.get("hidden-wall"):
        wanted += [
            Figure("hidden-wall: both modes, share of ambiguous cases", 0.95, np.inf, wall.raw.recovered_share),
            Figure("hidden-wall: mean weight error, ambiguous cases", -np.inf, 0.08, wall.raw.weight_error),
            Figure("hidden-wall: W1 in exact SDs", -np.inf, 0.25, float(wall.raw.w1.mean())),
        ]
    if control := found.get(CONTROL):
        covered = 100 * _coverage(control.recalibrated)
        named = f"control: 90 % coverage after recalibration, {len(control.raw):,} fresh cases, %"
        wanted += [
            Figure("control: expected CRPS over the floor, %", -np.inf, 5.0, 100 * control.raw.excess),
            Figure(named, 88.5, 91.5, covered),
        ]
    return wanted


EXACTNESS = (
    "kind", "studies", "W1/SD", "95th percentile", "KS", "SD ratio", "expected CRPS", "floor", "excess %",
    "recalibrated",
)  # fmt: skip
HONESTY = (
    "kind", "CRPS at readings", "coverage 90 %", "recalibrated", "PIT KS", "ambiguous", "mode recall",
    "all modes, no other", "weight error", "of all separated",
)  # fmt: skip


def measured_tables(found: Mapping[str, Found], randomised: bool) -> list[Table]:
    """Every kind in a row, answers as they are unless the heading says otherwise."""
    pictures = "randomised pictures" if randomised else "clean pictures"
    far = [
        "W1: Wasserstein-1 to the exact posterior in its SDs, mean and 95th percentile over studies. SD ratio: the "
        "answer's SD over the exact one. Expected CRPS: over all readings that the exact posterior gives, in EF "
        "points; its floor is that of the exact posterior itself."
    ]
    if randomised:
        far.append(
            "Randomised pictures leave doubt of their own, which the exact posterior, given what is shown, does not "
            "hold: an SD ratio over 1 is then expected, and the excess is not only error."
        )
    honest = ["CRPS, coverage and PIT at one reading of each study. Weight error: of ambiguous cases."]
    return [
        Table(f"Distance to the exact posterior, {pictures}", EXACTNESS, [_far(*one) for one in found.items()], far),
        Table(f"Calibration and modes, {pictures}", HONESTY, [_honest(*one) for one in found.items()], honest),
    ]


def _far(kind: str, one: Found) -> list[Cell]:
    raw, after = one.raw, one.recalibrated
    cells: list[Cell] = [kind, len(raw), float(raw.w1.mean()), float(np.quantile(raw.w1, 0.95)), float(raw.ks.mean())]
    cells += [float(raw.sd_ratio.mean()), float(raw.expected_crps.mean()), float(raw.floor.mean())]
    return [*cells, 100 * raw.excess, 100 * after.excess]


def _honest(kind: str, one: Found) -> list[Cell]:
    raw = one.raw
    cells: list[Cell] = [kind, float(raw.crps.mean()), _coverage(raw), _coverage(one.recalibrated), pit_ks(raw.pit)]
    cells += [int(raw.ambiguous.sum()), raw.mode_recall, raw.recovered_share]
    return [*cells, raw.weight_error, raw.weight_error_separated]


def worth_table(found: Mapping[str, Found]) -> Table:
    """The flow against its own location-scale head: what the diffusion is worth where the exact answer is known."""
    rows: list[list[Cell]] = []
    for kind, one in found.items():
        flow, head = one.raw, one.head_alone
        lost = cluster_bootstrap_mean(np.arange(len(flow)), head.expected_crps - flow.expected_crps)
        crps: list[Cell] = [float(flow.expected_crps.mean()), float(head.expected_crps.mean())]
        crps += [lost.estimate, f"{lost.lower:+.3f} to {lost.upper:+.3f}"]
        modes: list[Cell] = [flow.recovered_share, head.recovered_share]
        rows.append([kind, *crps, float(flow.w1.mean()), float(head.w1.mean()), *modes])
    header = (
        *("kind", "expected CRPS, flow", "head alone", "lost without the flow", "95 % interval"),
        *("W1/SD, flow", "head alone", "all modes, flow", "head alone"),
    )
    notes = [
        "Head alone: the same weights with the velocity set to 0, a logit-normal. Neither is recalibrated. Where one "
        "reading fits, a logit-normal is enough; two peaks it cannot have."
    ]
    return Table("What the flow is worth", header, rows, notes)


def ideal_table(found: Mapping[str, Found]) -> Table:
    """The exact posteriors on the nodes of an answer: what no model that answers so can go below."""
    rows: list[list[Cell]] = []
    for kind, one in found.items():
        ideal = one.ideal
        exactness: list[Cell] = [float(ideal.w1.mean()), float(ideal.ks.mean()), 100 * ideal.excess]
        rows.append([kind, *exactness, ideal.mode_recall, ideal.recovered_share, ideal.weight_error])
    header = ("kind", "W1/SD", "KS", "excess %", "mode recall", "all modes, no other", "weight error")
    notes = ["The exact quantiles at the 23 levels that a model answers with, interpolated as its answers are."]
    return Table("The exact posterior on 23 nodes", header, rows, notes)


def _coverage(scores: KnownScores) -> float:
    return float(coverage(scores.pit, 0.9)[0])


# --- figures ---------------------------------------------------------------------------------------------------------


def draw(out: Path, found: Mapping[str, Found], ending: str = "") -> None:
    """densities.png, and weights.png where hidden walls were run."""
    examples = {kind: _examples(one) for kind, one in found.items()}
    save(out / f"densities{ending}.png", known_figures.densities(examples))
    if wall := found.get("hidden-wall"):
        save(out / f"weights{ending}.png", known_figures.weight_curve(wall.raw.weight, wall.raw.exact_weight))


def _examples(one: Found, count: int = 4) -> list[known_figures.Example]:
    """Studies at even ranks of W1, from nearly the best to nearly the worst; ambiguous ones where there are enough."""
    ambiguous = np.flatnonzero(one.raw.ambiguous)
    of = ambiguous if len(ambiguous) >= count else np.arange(len(one.raw))
    order = of[np.argsort(one.raw.w1[of], kind="stable")]
    ranks = np.unique(np.round(np.linspace(0.05, 0.95, count) * (len(order) - 1)).astype(int))
    return [
        known_figures.Example(one.posterior[int(i)], one.exact[int(i) : int(i) + 1], float(one.raw.w1[i]))
        for i in order[ranks]
    ]
