"""Missing modalities: one model asked about every subset of what may be known, against models made for one subset.

    grid        p(y | x_S) for all 32 subsets S of {video, age, sex, weight, height}
    regret(S)   CRPS of the model with modality dropout over that of a model trained on S alone, − 1
    MCAR        each modality hidden of each study by itself with one probability (missing completely at random),
                against mean imputation: a hidden attribute shown as the training mean
    shuffled    every patient given another's attributes: harm where attributes matter, none where they do not
    tower       answers with and without a modality belong to one joint distribution (see `tower`)
    prior       without video, p(y | attributes) of ordinary adult phantoms is known exactly

All models share the bundled model's video encoder, which stands still, so that each clip is encoded once.

References: Neverova et al. 2016, "ModDrop: adaptive multi-modal gesture recognition" (modality dropout); Rubin 1976,
"Inference and missing data".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcsdr.evaluation.evidence.jobs import cohort_spec, seeds_of, trained
from mcsdr.evaluation.evidence.record import Cell, Report, Say, Table, met
from mcsdr.evaluation.evidence.subsets import (
    Subset,
    all_but_video,
    ask,
    everything,
    names_of,
    nothing,
    regret,
    subsets,
    video_alone,
)
from mcsdr.evaluation.evidence.tower import attribute_weights, prior_table, tower_table
from mcsdr.files.shipped import recipe
from mcsdr.metrics.calibration import pit_ks
from mcsdr.metrics.scores import StudyScores
from mcsdr.model import Model
from mcsdr.phantom import ambiguity
from mcsdr.posterior import Posterior, quantile_nodes
from mcsdr.posterior.normal import normal_cdf
from mcsdr.training.settings import TrainSettings, read_settings
from mcsdr.training.tokens import EncodedCohort, encode_cohort

Array = NDArray[np.float64]

ORDINARY = "adult"  # the cohort whose prior is known
RATES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
BOUND_PERCENT = 3.0  # of CRPS, what a missing modality may cost against a model trained without it


def run(
    out: Path,
    *,
    cohorts: Sequence[str] = (ORDINARY, "hidden-wall"),
    train: int = 4000,
    val: int = 300,
    test: int = 2000,
    epochs: int | None = None,
    seed: int = 0,
    each_attribute: bool = True,
    tower: tuple[int, int] = (60, 200),
    overrides: Mapping[str, str] | None = None,
    say: Say = print,
) -> Report:
    """Train one model with modality dropout and one per subset, ask each cohort all 32 questions, and tabulate.

    Arguments:
        out: folder of the trainings; one that was stopped goes on, a finished one is read.
        cohorts: "adult" for ordinary phantoms, or what phantoms hide (see `phantom.ambiguity`).
        train, val, test: phantoms of each part.
        epochs: of each training; those of configs/missing.toml where None.
        seed: of the trainings and of every random mask and permutation.
        each_attribute: also train on the video and one attribute, for each attribute.
        tower: studies, and attribute draws for each, of the tower test.
        overrides: dotted settings over configs/missing.toml.
        say: told how far it is.

    Raises:
        InvalidConfig: no such cohort, an override that does not fit, or OUT holds trainings of other settings.
    """
    given = {} if epochs is None else {"optim.epochs": str(epochs)}
    base = read_settings(recipe("missing"), {**given, "run.seed": str(seed), **(overrides or {})})
    sizes = {"train": train, "val": val, "test": test}
    tables: list[Table] = []
    targets: list[list[Cell]] = []
    hashes: dict[str, str] = {}
    for cohort in cohorts:
        if cohort != ORDINARY:
            ambiguity.named(cohort.partition(":")[0])  # of other people the tower test would need another prior
        specs = {part: cohort_spec(cohort, part, n) for part, n in sizes.items()}
        chosen = base.data.model_copy(update={"train": specs["train"], "val": specs["val"]})
        model, models = trainings(base.model_copy(update={"data": chosen}), out / cohort, each_attribute, say)
        hashes |= {cohort: model.sha256}
        tests, learnt = (encode_cohort(specs[part], model, base.data.cache, say) for part in ("test", "train"))
        say(f"{cohort}: all subsets")
        alone = {
            subset: StudyScores.of(ask(tests, other, subset), tests.ef_percent) for subset, other in models.items()
        }
        alone[nothing(tests.attributes.shape[1])] = marginal(learnt.ef_percent, tests.ef_percent)
        answers = grid(tests, model)
        targets += target_rows(cohort, answers, alone)
        tables.append(grid_table(cohort, names_of(model), answers, alone))
        tables += _further(cohort, tests, learnt.ef_percent, model, tower, seed, say)
    about = {
        **sizes,
        "cohort_seeds": {cohort: seeds_of(cohort) for cohort in cohorts},
        "tower": list(tower),
        "models": hashes,
    }
    about["recipe"] = base.model_dump(mode="json", exclude={"data": {"train", "val", "cache"}})
    return Report("missing", [targets_table(targets), *tables], about)


def _further(
    cohort: str, tests: EncodedCohort, readings: Array, model: Model, tower: tuple[int, int], seed: int, say: Say
) -> Iterator[Table]:
    """The tables that need the one model alone."""
    say(f"{cohort}: missing completely at random")
    for video_too in (False, True):
        yield mcar_table(cohort, tests, model, np.random.default_rng([seed, 1]), video_too)
    yield shuffled_table(cohort, tests, model, np.random.default_rng([seed, 2]))
    say(f"{cohort}: tower test")
    weigh = attribute_weights if cohort == ORDINARY else None
    yield tower_table(cohort, tests, readings, model, tower, np.random.default_rng([seed, 3]), weigh)
    if cohort == ORDINARY:
        yield prior_table(tests, model)


# --- models ----------------------------------------------------------------------------------------------------------


def only(settings: TrainSettings, shown: Subset) -> TrainSettings:
    """The same training, shown one subset always and nothing else ever."""
    hidden = {"attribute": tuple(float(not s) for s in shown[1:]), "attributes": 0.0, "clip": 0.0, "everything": 0.0}
    dropout = settings.dropout.model_copy(update={**hidden, "video": float(not shown[0])})
    return settings.model_copy(update={"dropout": dropout})


def trainings(
    settings: TrainSettings, folder: Path, each_attribute: bool, say: Say
) -> tuple[Model, dict[Subset, Model]]:
    """The model with modality dropout, and those trained on one subset alone."""
    A = len(settings.network.attributes)
    alone = [everything(A), video_alone(A), all_but_video(A)]
    if each_attribute:
        alone += [(True, *(i == j for j in range(A))) for i in range(A)]
    model = trained(settings, folder / "dropout", say)
    return model, {s: trained(only(settings, s), folder / f"only-{mark(s)}", say) for s in dict.fromkeys(alone)}


def mark(shown: Subset) -> str:
    """A subset as a name: 10000 is the video alone."""
    return "".join("01"[s] for s in shown)


def marginal(readings: Array, ef_percent: Array) -> StudyScores:
    """Of the distribution of the training readings, as the answer to every study: what can be said knowing nothing."""
    z = quantile_nodes()
    everybody = np.tile(np.quantile(readings, normal_cdf(z)), (len(ef_percent), 1))
    return StudyScores.of(Posterior.from_nodes(z, everybody), ef_percent)


# --- the grid, and what it must hold ---------------------------------------------------------------------------------


def grid(cohort: EncodedCohort, model: Model) -> dict[Subset, StudyScores]:
    """StudyScores of every subset, the most known first."""
    asked = subsets(cohort.attributes.shape[1])
    return {subset: StudyScores.of(ask(cohort, model, subset), cohort.ef_percent) for subset in asked}


def grid_table(
    cohort: str, names: Sequence[str], answers: Mapping[Subset, StudyScores], alone: Mapping[Subset, StudyScores]
) -> Table:
    """One row per subset: what is known, how good the answer is, and what dropout costs where that is known."""
    rows: list[list[Cell]] = []
    for shown, scores in answers.items():
        known = [scores.mean_crps, scores.coverage, float(scores.width.mean()), pit_ks(scores.pit)]
        cost = regret(scores, alone[shown]) if shown in alone else (None, None, None)
        rows.append([str(sum(shown)), *("●" if s else "·" for s in shown), *known, *cost])
    measures = ("CRPS", "coverage 90 %", "90 % width", "PIT KS", "regret %", "from", "to")
    n = len(next(iter(answers.values())).crps)
    notes = [
        f"{cohort}, {n} test phantoms. ● known, · hidden; one model answers every row.",
        "Regret: CRPS over that of a model trained on this subset alone, with its 95 % paired bootstrap interval. With "
        "nothing known the other model is the distribution of the training readings.",
        f"CRPS of the quantile table and width in EF points. A calibrated model's PIT KS is near {0.87 / n**0.5:.3f}.",
    ]
    return Table(f"All subsets: {cohort}", ("known", *names, *measures), rows, notes)


def target_rows(
    cohort: str, answers: Mapping[Subset, StudyScores], alone: Mapping[Subset, StudyScores]
) -> list[list[Cell]]:
    """Whether one model serves as well as one made for what is left when a modality is missing."""
    A = len(next(iter(answers))) - 1
    asked = {"all attributes missing, against video alone": video_alone(A)}
    asked |= {"video missing, against attributes alone": all_but_video(A)}
    rows: list[list[Cell]] = []
    for name, subset in asked.items():
        cost = regret(answers[subset], alone[subset])
        rows.append([cohort, name, *cost, met(cost.estimate <= BOUND_PERCENT)])
    return rows


def targets_table(rows: Sequence[Sequence[Cell]]) -> Table:
    """What was promised, and whether it was kept."""
    title = f"Target: a missing modality costs at most {BOUND_PERCENT:g} % of CRPS"
    notes = [
        "CRPS of the one model over that of a model trained without the modality, − 1, in per cent; 95 % paired "
        "bootstrap interval over test studies, for one training of each. The estimate decides."
    ]
    return Table(title, ("cohort", "missing", "cost %", "from", "to", "target"), rows, notes)


# --- missing at random, and attributes of somebody else --------------------------------------------------------------


def mcar_table(cohort: str, tests: EncodedCohort, model: Model, rng: np.random.Generator, video_too: bool) -> Table:
    """CRPS and coverage as more is hidden at random: null tokens beside mean imputation."""
    u = rng.random((len(tests.attributes), 1 + tests.attributes.shape[1]))
    rows: list[list[Cell]] = []
    for rate in RATES:
        cells: list[Cell] = []
        for filled in (np.nan, np.array(model.statistics.mean)):
            scores = StudyScores.of(ask(tests, model, shown_at(u, rate, video_too), filled), tests.ef_percent)
            cells += [scores.mean_crps, scores.coverage]
        rows.append([f"{rate:.0%}", *cells])
    notes = [
        "Each is hidden by itself at this rate; what one rate hides a higher one hides too. Null token: the model's "
        "own. Training mean: shown as if it were known, instead of a hidden attribute."
    ]
    header = ("hidden", "CRPS, null token", "coverage 90 %", "CRPS, training mean", "coverage 90 %")
    what = "attributes and video" if video_too else "attributes, the video kept"
    return Table(f"Missing completely at random, {what}: {cohort}", header, rows, notes)


def shown_at(u: Array, rate: float, video_too: bool) -> NDArray[np.bool_]:
    """What is left when each modality is hidden with probability `rate`, from uniform draws u [N, 1 + A]."""
    shown = u >= rate
    if not video_too:
        shown[:, 0] = True
    return shown


def shuffled_table(cohort: str, tests: EncodedCohort, model: Model, rng: np.random.Generator) -> Table:
    """CRPS with everybody's own attributes and with somebody else's."""
    A = tests.attributes.shape[1]
    others = replace(tests, attributes=tests.attributes[rng.permutation(len(tests.attributes))])
    rows: list[list[Cell]] = []
    for name, shown in (("video and attributes", (True,) * (1 + A)), ("attributes", all_but_video(A))):
        own, shuffled, hidden = (
            StudyScores.of(ask(asked, model, some), tests.ef_percent)
            for asked, some in ((tests, shown), (others, shown), (tests, (shown[0], *[False] * A)))
        )
        means = [scores.mean_crps for scores in (own, shuffled, hidden)]
        rows.append([name, *means, *regret(shuffled, own), shuffled.coverage])
    header = (
        "shown",
        "CRPS own",
        "shuffled",
        "hidden",
        "shuffled/own − 1 in %",
        "from",
        "to",
        "coverage 90 % shuffled",
    )
    notes = [
        "Attributes permuted over patients. A model that uses them gets worse where they matter, worse than if they "
        "were hidden. They matter with the video in hidden-wall phantoms, and hardly in ordinary ones."
    ]
    return Table(f"Shuffled attributes: {cohort}", header, rows, notes)
