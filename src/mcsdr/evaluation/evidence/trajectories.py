"""Do a sampler's trajectories tell noisy and ambiguous cases, and do they say what the width of the answer does not?

The MCSDR paper draws trajectories and reads doubt off them. Here the claim is put as two contrasts and two measures
(`metrics.paths`): clean clips against the same clips corrupted, and phantoms with one reading against those that two
readings fit, which are known exactly; when the spread settles, and how far paths cross. The paper's network and ours
learn from the same frozen tokens of hidden-wall phantoms, and each is sampled in fine steps, the paper's by 40 random
draws and ours at its quantiles.

A measure tells a contrast by the area under its ROC curve. That alone shows little: the width of the answer tells too,
and needs no trajectory. So the AUC of the final SD stands beside it, and the claim is kept only where a measure adds to
it: the AUC of measure and SD together, by a linear discriminant fitted on one half of the studies and measured on the
other, must exceed that of the SD alone by an interval above 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcsdr.datasets import open_cohort
from mcsdr.diffusion.sampler import EXACT, PAPER, SamplerSettings
from mcsdr.evaluation.evidence import rivals
from mcsdr.evaluation.evidence.answers import with_clips
from mcsdr.evaluation.evidence.contest import OURS, PAPERS
from mcsdr.evaluation.evidence.known import exact_posteriors
from mcsdr.evaluation.evidence.record import Cell, Report, Say, Table
from mcsdr.metrics.bootstrap import cluster_bootstrap
from mcsdr.metrics.clinical import auroc
from mcsdr.metrics.known import find_gaps
from mcsdr.metrics.paths import crossed, settled
from mcsdr.model import Model
from mcsdr.phantom.corruptions import corrupt
from mcsdr.study import Study

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

COHORT = "hidden-wall"
FINE = {  # fine steps, so that it can be seen when paths settle
    OURS: replace(EXACT, steps=32, schedule="uniform"),
    PAPERS: replace(PAPER, steps=50),
}
CORRUPTION, SEVERITY = "haze", 4
AT_ONCE = 16
HEADER = (
    *("network", "contrast", "measure", "n", "first", "second", "AUC", "AUC of the SD", "both together", "added"),
    *("95 % interval", ""),
)


@dataclass(frozen=True)
class Paths:
    """The measures of each study's paths, and the SD of its answer, all [B]."""

    settled: Array
    crossed: Array
    sd: Array


class Contrast(NamedTuple):
    """Two kinds of cases."""

    name: str
    paths: Paths
    second: Flags  # which of the studies are of the second kind
    cluster: NDArray[np.int64]  # studies of one patient are drawn together


def run(
    out: Path,
    *,
    train: int = 4000,
    val: int = 300,
    test: int = 1000,
    epochs: int | None = None,
    seed: int = 0,
    overrides: dict[str, str] | None = None,
    say: Say = print,
) -> Report:
    """Train both networks where they are not yet, and measure their paths.

    Arguments:
        out: folder of the trainings; that of `mcsdr benchmark heads` serves.
        train, val, test: phantoms of each part.
        epochs: of each training; that of configs/rivals.toml where None.
        seed: of the trainings.
        overrides: dotted settings laid over configs/rivals.toml.
        say: told how far it is.
    """
    base = rivals._base({**({} if epochs is None else {"optim.epochs": str(epochs)}), **(overrides or {})})
    sizes = {"train": train, "val": val, "calibration": 0, "test": test}
    plan = rivals.Plan(out / COHORT, COHORT, base, sizes, (seed,), say)
    rows: list[list[Cell]] = []
    studies = open_cohort(plan.spec("test"))
    hashes = {}
    for name in (PAPERS, OURS):
        (model,) = plan.models(rivals.RIVALS[name], seed)
        hashes[name] = model.sha256
        say(f"{rivals.RIVALS[name].label}: asking {len(studies)} studies twice")
        rows += [row for contrast in contrasts(model, FINE[name], studies) for row in measure(name, contrast)]
    notes = [
        f"First and second: means of the measure over clean clips and clips under {CORRUPTION} of severity {SEVERITY}; "
        "over phantoms with one reading and with two far apart. Settled: share of the steps after which the SD stays "
        "within 10 % of its last value. Crossed: share of pairs of paths that change their order.",
        "Both together: AUC of measure and SD, fitted on one half of the studies, measured on the other. Added: that "
        "less the AUC of the SD on the same half.",
    ]
    table = Table("Trajectories: what they tell, and what the width does not", HEADER, rows, notes)
    about = {"sizes": sizes, "seed": seed, "models": hashes, "samplers": {n: vars(s) for n, s in FINE.items()}}
    return Report("trajectories", [verdict(rows), table], about)


def contrasts(model: Model, sampler: SamplerSettings, studies: Sequence[Study]) -> list[Contrast]:
    """Clean against corrupted, and one reading against two, of the same studies."""
    clean = paths_of(model, sampler, studies)
    worse = paths_of(model, sampler, [_corrupted(study, index) for index, study in enumerate(studies)])
    both = Paths(*(np.concatenate([getattr(one, name) for one in (clean, worse)]) for name in vars(clean)))
    places = np.arange(len(studies))
    ambiguous = find_gaps(exact_posteriors([study.known_posterior for study in studies])).ambiguous
    return [
        Contrast("clean, corrupted", both, np.repeat([False, True], len(studies)), np.tile(places, 2)),
        Contrast("one reading, two", clean, np.asarray(ambiguous), places),
    ]


def paths_of(model: Model, sampler: SamplerSettings, studies: Sequence[Study]) -> Paths:
    """The measures of each study's paths."""
    found: list[Paths] = []
    for start in range(0, len(studies), AT_ONCE):
        some = [studies[index] for index in range(start, min(start + AT_ONCE, len(studies)))]
        answer = model.posteriors(some, replace(sampler, seed=sampler.seed + start))
        states = answer.trajectories
        assert states is not None  # one look at one window: the studies of a benchmark have one short clip each
        found.append(Paths(settled(states), crossed(states), np.atleast_1d(answer.sd)))
    return Paths(*(np.concatenate([getattr(one, name) for one in found]) for name in vars(found[0])))


def measure(network: str, contrast: Contrast) -> list[list[Cell]]:
    """A row per measure."""
    rows: list[list[Cell]] = []
    sd, second = contrast.paths.sd, contrast.second
    for name in ("settled", "crossed"):
        values: Array = getattr(contrast.paths, name)
        fitted = contrast.cluster % 2 == 0
        together = discriminant(np.stack([sd, values], axis=1), second, fitted)
        asked = ~fitted

        def added(both: Array, alone: Array, event: Flags) -> float:
            return either_way(both, event) - either_way(alone, event)

        gain = cluster_bootstrap(added, contrast.cluster[asked], together[asked], sd[asked], second[asked])
        cells: list[Cell] = [network, contrast.name, name, len(values)]
        cells += [float(values[~second].mean()), float(values[second].mean()), either_way(values, second)]
        cells += [either_way(sd, second), either_way(together[asked], second[asked]), gain.estimate]
        rows.append([*cells, f"{gain.lower:+.3f} to {gain.upper:+.3f}", "adds" if gain.lower > 0 else "adds nothing"])
    return rows


def discriminant(features: Array, second: Flags, fitted: Flags) -> Array:
    """Fisher's linear score of features [B, F], fitted on some rows and given for all, [B]."""
    scale = np.maximum(features[fitted].std(axis=0), 1e-9)
    x = (features - features[fitted].mean(axis=0)) / scale
    a, b = x[fitted & ~second], x[fitted & second]
    if not len(a) or not len(b):
        return np.zeros(len(x))
    within = np.cov(np.concatenate([a - a.mean(axis=0), b - b.mean(axis=0)]).T) + 1e-6 * np.eye(x.shape[1])
    return np.asarray(x @ np.linalg.solve(within, b.mean(axis=0) - a.mean(axis=0)))


def either_way(score: Array, event: Flags) -> float:
    """The AUC of a score whichever way it points."""
    area = auroc(score, event)
    return max(area, 1 - area)


def verdict(rows: Sequence[Sequence[Cell]]) -> Table:
    """In so many words: kept or retired."""
    adding = [row for row in rows if row[-1] == "adds"]
    said = ", ".join(f"{row[0]}, {row[1]}, {row[2]} ({row[9]:+.3f})" for row in adding)
    text = f"kept for: {said}" if adding else "retired: no measure of the paths adds to the width of the answer"
    header = ("claim", "")
    return Table("The claim", header, [["trajectories tell noisy and ambiguous cases beyond the answer's width", text]])


def _corrupted(study: Study, index: int) -> Study:
    rng = np.random.default_rng([index, *b"trajectories"])
    return with_clips(study, lambda clip: corrupt(clip, CORRUPTION, SEVERITY, rng))
