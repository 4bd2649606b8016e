"""Ours against every head that a reviewer will ask for, on equal terms.

On frozen tokens (`run`) all share the encoder, and with it every clip's tokens, the order of studies, what is hidden
from whom, optimiser, batch, epochs, averaging and the choice of the kept weights by validation CRPS. Only what turns
tokens into a posterior differs. End to end (`run_end_to_end`) each trains an encoder of its own from the same start.
Four cohorts of phantoms that no bundled model has seen are told apart: one is learnt from, one selects the weights, one
fits the recalibration, and on the last everybody is measured once, as is and recalibrated.

    OUT/<cohort>/<rival>/seed-S/             a training: settings, checkpoint, log, model/
    OUT/<cohort>/end-to-end/<rival>/seed-S/  the same with an encoder of its own

A training that was interrupted goes on from its checkpoint, and a finished one is not repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mcsdr.datasets import CohortSpec
from mcsdr.diffusion.closed_form import GaussianMixture
from mcsdr.diffusion.sampler import EXACT, PAPER, SamplerSettings
from mcsdr.errors import InvalidConfig
from mcsdr.evaluation.evidence.contest import (
    HEAD_ALONE,
    OURS,
    PAPERS,
    PAPERS_OWN,
    Answers,
    Contest,
    Contestant,
    targets_table,
)
from mcsdr.evaluation.evidence.jobs import cohort_spec, seeds_of, trained
from mcsdr.evaluation.evidence.record import Report, Say
from mcsdr.files.shipped import recipe
from mcsdr.metrics.known import mixture
from mcsdr.model import Model, load
from mcsdr.nn.heads import card
from mcsdr.posterior import Posterior, quantile_nodes
from mcsdr.posterior.recalibration import Recalibration, scores_of
from mcsdr.study import KnownPosterior
from mcsdr.training.settings import TrainSettings, read_settings
from mcsdr.training.tokens import EncodedCohort, encode_cohort

# Laid over configs/rivals.toml where each trains an encoder of its own: about 8,000 clips are seen.
END_TO_END = {"start.frozen": "false", "optim.encoder_lr": "1e-4", "optim.batch": "16", "dropout.masks": "4"}
DEFAULT_COHORTS = ("adult", "hidden-wall")
FINALISTS = 2  # rivals that are also trained end to end, beside ours and the paper's


@dataclass(frozen=True)
class Rival:
    """One row of the tables.

    Arguments:
        name: of its folder and on the command line.
        label: in the tables.
        network: what it sets of `NetworkSettings`.
        sampler: how it is asked; None for a head, which answers at once.
        trained_as: the rival whose trained models it uses, where they are not its own.
        without_score: those models with the flow replaced by their own location-scale head.
        members: models of consecutive seeds whose posteriors are pooled.
        steps: network evaluations inside a head.
        training: settings of its own, laid over those that all others share.
    """

    name: str
    label: str
    network: dict[str, str] = field(default_factory=dict)
    sampler: SamplerSettings | None = None
    trained_as: str = ""
    without_score: bool = False
    members: int = 1
    steps: int = 1
    training: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def evaluations(self) -> int:
        """Of the network, one after the other, for one posterior."""
        if self.without_score:
            return 1
        return self.members * (self.steps if self.sampler is None else self.sampler.evaluations)

    @property
    def trajectories(self) -> int:
        """Points carried through every evaluation."""
        nodes = len(quantile_nodes()) if (self.sampler and not self.without_score) or self.steps > 1 else 1
        return (self.sampler and self.sampler.draws) or nodes

    @property
    def folder(self) -> str:
        """Where its trainings lie."""
        return self.trained_as or self.name


def _head(name: str, label: str, steps: int = 1) -> Rival:
    return Rival(name, label, {"kind": "head", "head": name}, steps=steps)


# As configs/paper-echonet-dynamic.toml has it: so that nobody is beaten by a training that does not suit it.
PAPERS_TRAINING: dict[str, dict[str, Any]] = {
    "optim": {
        **{"epochs": 50, "batch": 8, "lr": 3e-4, "lr_end": 1e-6, "weight_decay": 1e-5, "beta2": 0.999},
        **{"warmup": 0.0, "clip_norm": 0.0, "ema": 0.0, "decay_all": True},
    },
    "dropout": {"attribute": 0.0, "attributes": 0.0, "video": 0.0, "everything": 0.0, "masks": 1, "pairs": 1},
}

NODES = replace(PAPER, draws=None)  # the paper's solver, without its Monte Carlo error

RIVALS: dict[str, Rival] = {
    rival.name: rival
    for rival in (
        Rival(OURS, "ours: diffusion", {"kind": "posterior"}, EXACT),
        Rival(
            HEAD_ALONE,
            "ours, its location-scale head alone",
            {"kind": "posterior"},
            EXACT,
            trained_as=OURS,
            without_score=True,
        ),
        Rival(PAPERS, "the paper's MCSDR", {"kind": "mcsdr"}, PAPER),
        Rival(PAPERS_OWN, "the paper's MCSDR, its own training", {"kind": "mcsdr"}, PAPER, training=PAPERS_TRAINING),
        Rival("mcsdr-nodes", "the paper's MCSDR, 23 nodes for draws", {"kind": "mcsdr"}, NODES, trained_as=PAPERS),
        _head("mse", "MSE, constant residuals"),
        _head("gaussian", "Gaussian NLL"),
        Rival("ensemble", "deep ensemble of 5", {"kind": "head", "head": "gaussian"}, trained_as="gaussian", members=5),
        _head("mdn", "MDN, 5 components"),
        _head("quantiles", "quantile regression"),
        _head("histogram", "histogram, soft labels"),
        _head("logit-normal", "logit-normal"),
        _head("beta", "Beta"),
        _head("flow", "neural spline flow"),
        _head("iqn", "implicit quantile network"),
        _head("card", "CARD", card.SAMPLER.evaluations),
    )
}
ALL = tuple(RIVALS)


@dataclass(frozen=True)
class Plan:
    """What is the same for everybody: one cohort, its four parts, the settings of every training, and the seeds."""

    out: Path
    cohort: str
    base: TrainSettings
    sizes: dict[str, int]
    seeds: tuple[int, ...]
    say: Say

    def spec(self, part: str) -> CohortSpec:
        """The phantoms of "train", "val", "calibration" or "test"."""
        return cohort_spec(self.cohort, part, self.sizes[part])

    def settings(self, rival: Rival, seed: int) -> TrainSettings:
        """The training of one rival and seed."""
        return settings_of(rival, self.base, seed, data={"train": self.spec("train"), "val": self.spec("val")})

    def models(self, rival: Rival, seed: int) -> list[Model]:
        """The trained members of one rival and seed, trained now if they are not yet."""
        of = RIVALS[rival.folder]
        models = [
            trained(self.settings(of, s), self.out / of.name / f"seed-{s}", self.say)
            for s in range(seed, seed + rival.members)
        ]
        return [model.without_score() for model in models] if rival.without_score else models

    def answers(self, rival: Rival, models: Sequence[Model], part: str) -> tuple[Posterior, EncodedCohort]:
        """A rival's posteriors of a part of the cohort, encoded by each member's encoder, and the cohort itself."""
        spec, cache = self.spec(part), self.base.data.cache
        cohorts = [encode_cohort(spec, model, cache) for model in models]
        asked = [cohort.ask(model, sampler=rival.sampler) for cohort, model in zip(cohorts, models, strict=True)]
        return pooled(asked), cohorts[-1]


def run(
    out: Path,
    *,
    cohorts: Sequence[str] = DEFAULT_COHORTS,
    rivals: Sequence[str] = ALL,
    train: int = 4000,
    val: int = 300,
    calibration: int = 600,
    test: int = 2000,
    epochs: int | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    overrides: dict[str, str] | None = None,
    resamples: int = 2000,
    say: Say = print,
) -> Report:
    """Everybody on the same frozen tokens.

    Arguments:
        out: folder of the trainings.
        cohorts: "adult", or any kind of phantom that `CohortSpec` names.
        rivals: names in `RIVALS`; ours is always among them.
        train, val, calibration, test: phantoms of each part.
        epochs: of every training that has no number of its own; that of configs/rivals.toml where None.
        seeds: of the trainings.
        overrides: dotted settings laid over configs/rivals.toml.
        resamples: of the bootstrap.
        say: told how far it is.

    Raises:
        InvalidConfig: no such rival, or OUT holds trainings of other settings.
    """
    base = _base({**({} if epochs is None else {"optim.epochs": str(epochs)}), **(overrides or {})})
    sizes = {"train": train, "val": val, "calibration": calibration, "test": test}
    plans = [Plan(out / cohort, cohort, base, sizes, tuple(seeds), say) for cohort in cohorts]
    return _report("heads", plans, {plan.cohort: _chosen(rivals) for plan in plans}, "frozen tokens", resamples)


def run_end_to_end(
    out: Path,
    *,
    cohorts: Sequence[str] = ("hidden-wall",),
    rivals: Sequence[str] | None = None,
    train: int = 4000,
    val: int = 300,
    calibration: int = 600,
    test: int = 2000,
    epochs: int = 2,
    seeds: Sequence[int] = (0, 1, 2),
    overrides: dict[str, str] | None = None,
    resamples: int = 2000,
    say: Say = print,
) -> Report:
    """Ours, the paper's and the best rivals, each with an encoder of its own that is trained too.

    Arguments:
        out: folder of the trainings of `run`.
        rivals: names in `RIVALS`; None takes the FINALISTS single networks of the lowest validation CRPS in `run`, of
            each cohort by itself. The test cohort has no say in it.

    The other arguments are those of `run`.

    Raises:
        InvalidConfig: as for `run`, or there is no finished training to choose rivals by.
    """
    base = _base({**END_TO_END, "optim.epochs": str(epochs), **(overrides or {})})
    sizes = {"train": train, "val": val, "calibration": calibration, "test": test}
    plans = [Plan(out / cohort / "end-to-end", cohort, base, sizes, tuple(seeds), say) for cohort in cohorts]
    names = {c: _chosen([PAPERS, *(finalists(out / c, seeds) if rivals is None else rivals)]) for c in cohorts}
    return _report("heads-end-to-end", plans, names, "end to end", resamples)


def finalists(folder: Path, seeds: Sequence[int], count: int = FINALISTS) -> list[str]:
    """The heads of the lowest mean validation CRPS over the seeds, among the finished trainings in a cohort's folder.

    Raises:
        InvalidConfig: there are none.
    """
    scores: dict[str, float] = {}
    for name, rival in RIVALS.items():
        folders = [folder / name / f"seed-{seed}" for seed in seeds]
        if rival.network.get("kind") == "head" and all((one / "finished").exists() for one in folders):
            scores[name] = float(np.mean([load(one / "model").card.figures["validation"]["crps"] for one in folders]))
    if not scores:
        cause = "there is no finished training to choose rivals by."
        raise InvalidConfig(cause, path=folder, next_step="Run the benchmark of rivals on frozen tokens first.")
    return sorted(scores, key=lambda name: scores[name])[:count]


def settings_of(rival: Rival, base: TrainSettings, seed: int, **tables: Mapping[str, Any]) -> TrainSettings:
    """The training of a rival: what all share, over it what `tables` of it say, and over these what is its own."""
    merged = base.model_dump()
    own = (("network", rival.network), ("run", {"seed": seed, "name": rival.folder}), *rival.training.items())
    for name, values in (*tables.items(), *own):
        merged[name] |= values
    return TrainSettings.model_validate(merged | {"sampler": rival.sampler or base.sampler})


def _base(overrides: dict[str, str]) -> TrainSettings:
    return read_settings(recipe("rivals"), overrides)


def _chosen(names: Iterable[str]) -> list[Rival]:
    """The rivals of these names in the order of the tables, ours always among them, and its head alone.

    Raises:
        InvalidConfig: one of them is none.
    """
    asked = {OURS, HEAD_ALONE, *names}
    if unknown := sorted(asked - RIVALS.keys()):
        raise InvalidConfig(
            f"there is no rival named {', '.join(unknown)}.", next_step=f"Choose among {', '.join(ALL)}."
        )
    return [rival for name, rival in RIVALS.items() if name in asked]


def _report(name: str, plans: Sequence[Plan], rivals: dict[str, list[Rival]], how: str, resamples: int) -> Report:
    """Train and measure everybody on every cohort: two contests for each, as answered and recalibrated."""
    contests: list[Contest] = []
    hashes: dict[str, str] = {}
    for plan in plans:
        raw, recalibrated = [], []
        for rival in rivals[plan.cohort]:
            one, other = compete(plan, rival, hashes)
            raw.append(one)
            recalibrated.append(other)
        contests += [
            Contest(f"{plan.cohort}, {how}, as answered", raw, resamples),
            Contest(f"{plan.cohort}, {how}, recalibrated", recalibrated, resamples),
        ]
    tables = [table for contest in contests for table in (contest.measures(), contest.differences())]
    present = {contestant.name for contest in contests for contestant in contest.contestants}
    shown = targets_table(contests, _conditions(plans[0], present))
    return Report(name, [shown, *tables], _about(plans, hashes, resamples))


def compete(plan: Plan, rival: Rival, hashes: dict[str, str]) -> tuple[Contestant, Contestant]:
    """One rival's answers to the test cohort with every seed, as they are and recalibrated.

    Arguments:
        hashes: takes the SHA-256 of every model by its folder.
    """
    raw, recalibrated = [], []
    for seed in plan.seeds:
        models = plan.models(rival, seed)
        for index, model in enumerate([] if rival.without_score else models):
            hashes[f"{plan.cohort}/{rival.folder}/seed-{seed + index}"] = model.sha256
        plan.say(f"{plan.cohort}: asking {rival.label}, seed {seed}")
        (past, readings), (answer, cohort) = (plan.answers(rival, models, part) for part in ("calibration", "test"))
        raw.append(answer)
        recalibrated.append(Recalibration.fit(scores_of(past, readings.ef_percent)).apply(answer))
    cost = len(models) * _parameters(models[0]), rival.evaluations, rival.trajectories
    exact = _exact(cohort.known)
    return (
        Contestant(rival.name, rival.label, *cost, Answers.of(raw, cohort.ef_percent, exact)),
        Contestant(rival.name, rival.label, *cost, Answers.of(recalibrated, cohort.ef_percent, exact)),
    )


def pooled(answers: Sequence[Posterior]) -> Posterior:
    """The one answer, or the equal mixture of several members'."""
    return answers[0] if len(answers) == 1 else Posterior.mixture(answers)


def _exact(known: Sequence[KnownPosterior | None]) -> GaussianMixture | None:
    """The exact posteriors of a cohort, if each is known."""
    components = max((len(one.weights) for one in known if one), default=0)
    w, m, s = np.zeros((3, len(known), components))
    for row, one in enumerate(known):
        if one is None:
            return None
        of_row = np.s_[row, : len(one.weights)]
        w[of_row], m[of_row], s[of_row] = one.weights, one.ef_percent, one.reader_sd
    return mixture(w, m, s)


def _parameters(model: Model) -> int:
    counts = model.network.parameter_counts()
    return counts["total"] - counts["video_encoder"]


def _conditions(plan: Plan, names: set[str]) -> list[str]:
    """What everybody had in common, and which of the rows of these names are not quite alike."""
    base, sizes = plan.base, plan.sizes
    encoder = "frozen, and its tokens are the same for all" if base.start.frozen else "trained further by each"
    label = {"reading": "one fixed reading of each", "redrawn": "redrawn at every visit"}[base.data.label]
    unlike = {
        HEAD_ALONE: "is ours with the same weights, the velocity set to 0; the head has learnt beside the flow.",
        PAPERS_OWN: "has the epochs, batch, rates and unhidden modalities of the paper, on the same tokens.",
        "ensemble": "the ensembles of two seeds share members, so its ± is too small.",
        "mse": "its one residual counts the studies whose modalities training hides too.",
    }
    return [
        f"In common: the encoder of {base.start.encoder}, {encoder}; {sizes['train']} phantoms to learn from, labels "
        f"{label}; {base.optim.epochs} epochs at batch {base.optim.batch}, rate {base.optim.lr:g}, the same order and "
        f"the same hidden modalities; the weights of the best CRPS on {sizes['val']} others; recalibration fitted on "
        f"{sizes['calibration']} others; {sizes['test']} to measure on.",
        *(f"Not alike: {RIVALS[name].label}: {how}" for name, how in unlike.items() if name in names),
    ]


def _about(plans: Sequence[Plan], hashes: dict[str, str], resamples: int) -> dict[str, Any]:
    """All that the figures depend on."""
    base = plans[0].base
    return {
        "sizes": plans[0].sizes,
        "cohort seeds": {plan.cohort: seeds_of(plan.cohort) for plan in plans},
        "seeds": list(plans[0].seeds),
        "bootstrap": {"resamples": resamples, "unit": "study", "seed": 0},
        "training": base.model_dump(mode="json", exclude={"data": {"cache", "train", "val"}}),
        "encoder": load(base.start.encoder).sha256,
        "models": hashes,
    }
