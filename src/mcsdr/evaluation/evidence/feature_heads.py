"""Every head on frozen features of every encoder: a row per head, a column of figures per table of features.

On a data set with a train, a validation and a test split each head learns from the same vectors, in the same order and
with the same hidden modalities, is kept where its validation CRPS is best, and is measured once on the test split. The
features are the user's: an encoder whose weights may not be passed on is run by whoever holds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcsdr.datasets import CohortSpec, is_synthetic, open_cohort
from mcsdr.datasets.entries import FolderCohort
from mcsdr.errors import InvalidConfig
from mcsdr.evaluation.evidence import rivals
from mcsdr.evaluation.evidence.contest import HEAD_ALONE, OURS, PAPERS, PAPERS_OWN
from mcsdr.evaluation.evidence.record import Cell, Report, Say, Table
from mcsdr.files import write_table
from mcsdr.metrics.bootstrap import cluster_bootstrap_mean
from mcsdr.metrics.calibration import coverage_error
from mcsdr.metrics.scores import crps_of
from mcsdr.model import Model
from mcsdr.posterior import Posterior
from mcsdr.posterior.draws import pit_of
from mcsdr.training.features import FeatureCohort, ask, features_of, read_features, train_on
from mcsdr.training.settings import TrainSettings

HEADS = (OURS, HEAD_ALONE, PAPERS, PAPERS_OWN, "mse", "gaussian", "mdn", "quantiles", "logit-normal", "iqn")
PARTS = ("train", "val", "test")
UNLIKE = {
    HEAD_ALONE: "the same weights, the flow replaced by its own location-scale head.",
    PAPERS_OWN: "50 epochs of batch 8 with the paper's rates, nothing hidden.",
}


def run(
    out: Path,
    data: str,
    tables: Mapping[str, Path],
    *,
    heads: Sequence[str] = HEADS,
    epochs: int | None = None,
    seed: int = 0,
    overrides: dict[str, str] | None = None,
    say: Say = print,
) -> Report:
    """Train and measure every head on every table.

    Arguments:
        out: where predictions of each head are written, FileName and EF_pred as CardioBench reads them.
        data: a data set's folder with a train, a val and a test split.
        tables: encoder's name → its table of features.
        heads: names in `rivals.RIVALS`; no ensembles.
        epochs: of every training that has no number of its own; that of configs/rivals.toml where None.
        seed: of the trainings.
        overrides: dotted settings over configs/rivals.toml.
        say: told how far it is.

    Raises:
        InvalidConfig: no such head, or the data are no folder.
        InvalidCohort, MissingFile: a table that cannot be read or does not fit.
    """
    if unknown := [name for name in heads if name not in rivals.RIVALS or rivals.RIVALS[name].members > 1]:
        raise InvalidConfig(f"there is no head {unknown[0]!r} for features.", next_step=f"Take {', '.join(HEADS)}.")
    base = rivals._base({**({} if epochs is None else {"optim.epochs": str(epochs)}), **(overrides or {})})
    cohorts = {part: _folder(CohortSpec.parse(data, part)) for part in PARTS}
    rows: list[list[Cell]] = []
    for encoder, path in tables.items():
        vectors = read_features(path)
        parts = {part: features_of(cohort, vectors, base.network.attributes) for part, cohort in cohorts.items()}
        trained: dict[str, Model] = {}
        ours: NDArray[np.float64] | None = None
        for head in heads:
            say(f"{encoder}: {rivals.RIVALS[head].label}, {len(parts['train'])} studies to learn from")
            answer = answer_of(head, parts, base, seed, trained)
            crps = crps_of(answer, parts["test"].ef_percent)
            ours = crps if head == OURS else ours
            rows.append(_row(encoder, head, answer, crps, ours, parts["test"]))
            point = np.asarray(answer.median if answer.raw is None else answer.mean)
            name = out / "predictions" / f"{encoder}-{head}.csv"
            write_table(name, ("FileName", "EF_pred"), zip(parts["test"].names, point.tolist(), strict=True))
    header = (
        *("encoder", "head", "n", "MAE", "95 % interval", "CRPS", "95 % interval"),
        *("CRPS, ours less it", "95 % interval", "coverage error", "90 % width"),
    )
    notes = [
        "Frozen features, one vector a study; the same training for all heads (configs/rivals.toml), kept where the "
        "validation CRPS is best. MAE of the median, of draws and MSE of their mean. Intervals over patients. CRPS and "
        "coverage of draws by the fair estimator and by rank. Ours less it: paired by study, negative is better for "
        "ours; one training each, so that another seed may move it further than its interval.",
        *(f"{rivals.RIVALS[name].label}: {how}" for name, how in UNLIKE.items() if name in heads),
        f"{len(parts['train'])} studies to learn from, {len(parts['val'])} to choose the weights by; "
        f"{base.optim.epochs} epochs of batch {base.optim.batch} unless said otherwise.",
    ]
    about = {"tables": {name: str(path.name) for name, path in tables.items()}, "seed": seed, "heads": list(heads)}
    spec = CohortSpec.parse(data, "test")
    table = Table("Heads on frozen features", header, rows, notes)
    return Report("features", [table], about, synthetic=is_synthetic(spec))


def answer_of(
    head: str, parts: Mapping[str, FeatureCohort], base: TrainSettings, seed: int, trained: dict[str, Model]
) -> Posterior:
    """A head's answers to the test part.

    Arguments:
        trained: takes each model by the name of its training; heads that share one are trained once.
    """
    rival = rivals.RIVALS[head]
    if rival.folder not in trained:
        vectors = {"encoder": "stored", "feature_width": parts["train"].features.shape[1], "views": ()}
        settings = rivals.settings_of(rivals.RIVALS[rival.folder], base, seed, network=vectors)
        trained[rival.folder] = train_on(parts["train"], parts["val"], settings.network, settings)
    model = trained[rival.folder]
    return ask(model.without_score() if rival.without_score else model, parts["test"], rival.sampler)


def _row(
    encoder: str,
    head: str,
    answer: Posterior,
    crps: NDArray[np.float64],
    ours: NDArray[np.float64] | None,
    test: FeatureCohort,
) -> list[Cell]:
    point = np.asarray(answer.median if answer.raw is None else answer.mean)
    low, high = answer.interval(0.9)
    cells: list[Cell] = [encoder, rivals.RIVALS[head].label, len(test)]
    for values in (np.abs(point - test.ef_percent), crps):
        one = cluster_bootstrap_mean(test.patients, values)
        cells += [one.estimate, f"{one.lower:.2f} to {one.upper:.2f}"]
    if ours is None or head == OURS:
        cells += [None, None]
    else:
        paired = cluster_bootstrap_mean(test.patients, ours - crps)
        cells += [paired.estimate, f"{paired.lower:+.2f} to {paired.upper:+.2f}"]
    return [*cells, coverage_error(pit_of(answer, test.ef_percent)), float(np.mean(np.subtract(high, low)))]


def _folder(spec: CohortSpec) -> FolderCohort:
    cohort = open_cohort(spec)
    if not isinstance(cohort, FolderCohort):
        raise InvalidConfig("features are of a data set's folder.", next_step="Write phantoms with `mcsdr simulate`.")
    return cohort
