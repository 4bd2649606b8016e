"""How many phantoms are enough? The same training on cohorts of growing size, measured where it learnt and where not.

Every size takes the same number of steps, so that only variety differs: a small cohort is seen more often. Each model
is kept by its validation CRPS on phantoms with families of appearance and motion that it never learns from, and is
measured once on fresh phantoms of the kind it learnt from, and on phantoms with other families again.

    OUT/<size>/     a training: settings, checkpoint, log, model/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mcsdr.datasets import CohortSpec
from mcsdr.evaluation.evidence.jobs import trained
from mcsdr.evaluation.evidence.record import Cell, Report, Say, Table
from mcsdr.files.shipped import recipe
from mcsdr.metrics.bootstrap import cluster_bootstrap_mean
from mcsdr.metrics.calibration import pit_ks
from mcsdr.metrics.scores import StudyScores
from mcsdr.model import Model
from mcsdr.training.settings import TrainSettings, read_settings
from mcsdr.training.tokens import EncodedCohort, encode_cohort

SIZES = (1000, 4000, 16_000)
TEST_SEED = 9
START = "phantom-a4c"  # the bundled model of configs/phantom.toml, whose weights every size goes on from
TESTS = ("varied", "shifted-test")  # of which the second holds families that neither training nor selection has seen
HEADER = (
    "phantoms", "measured on", "MAE to the true EF", "95 % interval", "bias", "CRPS", "90 % coverage", "90 % width",
    "PIT KS",
)  # fmt: skip


def run(
    out: Path,
    *,
    sizes: Sequence[int] = SIZES,
    steps: int | None = None,
    val: int | None = None,
    test: int = 1000,
    seed: int = 0,
    overrides: Mapping[str, str] | None = None,
    say: Say = print,
) -> Report:
    """Train on cohorts of each size, and measure every model on the same fresh phantoms.

    Arguments:
        out: trainings are kept here; finished ones are read, stopped ones go on.
        sizes: phantoms to learn from.
        steps: of every training, to the nearest epoch; those of configs/phantom-varied.toml unless given.
        val, test: phantoms to select the weights by, and to measure on.
        seed: of the trainings.
        overrides: dotted settings laid over configs/phantom-varied.toml.
        say: told how far it is.

    Raises:
        InvalidConfig: an override that does not fit, or a folder with another training in it.
    """
    base = {
        "run.seed": str(seed),
        "start.model": START,
        **({} if val is None else {"data.val.n": str(val)}),
        **(overrides or {}),
    }
    rows: list[list[Cell]] = []
    hashes: dict[str, str] = {}
    for size in sizes:
        settings = settings_of(size, steps, base)
        model = trained(settings, out / str(size), say)
        hashes[str(size)] = model.sha256
        for appearance in TESTS:
            spec = CohortSpec.parse(f"phantom:{test}:{TEST_SEED}:{appearance}")
            cohort = encode_cohort(spec, model, settings.data.cache, say)
            rows.append([f"{size:,}, {settings.optim.epochs} epochs", appearance, *measured(model, cohort)])
    shared = settings_of(sizes[-1], steps, base)
    notes = [
        f"Selected on {shared.data.val.describe()}. 95 % bootstrap intervals over phantoms. MAE of the median to the "
        "true EF, the rest to a reader of SD 4.",
    ]
    settled = shared.model_dump(mode="json", exclude={"data": {"cache", "train"}, "optim": {"epochs"}})
    about = {"sizes": list(sizes), "test": {"n": test, "seed": TEST_SEED}, "training": settled, "models": hashes}
    return Report("scale", [Table("Accuracy against the size of the cohort", HEADER, rows, notes)], about)


def settings_of(size: int, steps: int | None, base: Mapping[str, str]) -> TrainSettings:
    """The training on `size` phantoms, of as many epochs as come nearest to the given number of steps."""
    recipe_settings = read_settings(recipe("phantom-varied"), dict(base))
    optim, train = recipe_settings.optim, recipe_settings.data.train
    wanted = steps or optim.epochs * ((train.n or 0) // optim.batch)
    epochs = max(1, round(wanted / max(1, size // optim.batch)))
    return read_settings(recipe("phantom-varied"), {**base, "data.train.n": str(size), "optim.epochs": str(epochs)})


def measured(model: Model, cohort: EncodedCohort) -> list[Cell]:
    """The figures of one model on one cohort, in the order of HEADER."""
    posterior = cohort.ask(model)
    error = np.asarray(posterior.median) - cohort.true_ef_percent
    scores = StudyScores.of(posterior, cohort.ef_percent)
    mae, low, high = cluster_bootstrap_mean(cohort.names, np.abs(error))
    cells: list[Cell] = [mae, f"{low:.2f} to {high:.2f}", float(error.mean())]
    return [*cells, scores.mean_crps, scores.coverage, float(scores.width.mean()), pit_ks(scores.pit)]
