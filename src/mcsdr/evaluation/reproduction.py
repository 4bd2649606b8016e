"""One command from an untouched folder to the paper's table: train, evaluate, compare.

    OUT/<dataset>/<preset>/seed-0[-fold-3]/   settings.json, checkpoint, log, model/, evaluation/
    OUT/<dataset>/<preset>/figures/           of all its folds together
    OUT/<dataset>/table.{md,csv,tex}          every preset that has been run so far, beside the published rows

The presets are the paper's experiment and ours, and each once more on the other's terms: the paper's with both views or
with as many noise pairs as ours, ours with one view.

A job is one training and its evaluation on the test split; it is done when its evaluation is on disk, and a job that
was interrupted goes on from its checkpoint. With folds, every study is tested once, and all are measured together.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import mcsdr
from mcsdr.datasets import CohortSpec, is_synthetic, open_cohort
from mcsdr.errors import InvalidConfig
from mcsdr.evaluation.comparison import Comparison, Measured
from mcsdr.evaluation.measures import column, measure_subgroups, patients_of
from mcsdr.evaluation.run import evaluate
from mcsdr.files import write_atomically
from mcsdr.files.shipped import recipe
from mcsdr.report import figures
from mcsdr.training import Watcher, train
from mcsdr.training.settings import TrainSettings, read_settings

Dataset = Literal["echonet-dynamic", "echonet-pediatric", "camus"]
Preset = Literal["paper", "paper-two-views", "paper-more-pairs", "ours", "ours-one-view"]
TWO_VIEWS = {"camus": ["A2C", "A4C"], "echonet-pediatric": ["A4C", "PSAX"]}
MORE_PAIRS = 64  # (t, ε) for each clip: as many as ours has, 4 masks of 16
FOLDS: dict[str, range] = {"echonet-pediatric": range(10), "camus": range(1, 11)}
WORDS = ("study_id", "patient_id", "sex", "quality", "views", "error")


@dataclass(frozen=True)
class Job:
    """One training and its evaluation."""

    settings: TrainSettings
    folder: Path
    seed: int
    test: CohortSpec

    @property
    def done(self) -> bool:
        """Whether its evaluation is on disk."""
        return (self.folder / "evaluation" / "metrics.json").exists()


def base_of(preset: Preset) -> str:
    """The experiment that a preset varies, "paper" or "ours"."""
    return preset.split("-")[0]


def variation(dataset: Dataset, preset: Preset) -> dict[str, str]:
    """What a preset changes of its experiment, so that a comparison is on equal terms.

    Raises:
        InvalidConfig: the data set has one view alone.
    """
    if preset == "paper-more-pairs":
        return {"dropout.pairs": str(MORE_PAIRS)}
    if preset not in ("paper-two-views", "ours-one-view"):
        return {}
    if dataset not in TWO_VIEWS:
        raise InvalidConfig(f"{dataset} has one view alone.", next_step=f"Take --preset {base_of(preset)}.")
    two = preset == "paper-two-views"
    views = json.dumps(TWO_VIEWS[dataset] if two else ["A4C"])
    pool = {"protocol.pool": "tokens", "protocol.views_together": "2"}
    one = {"protocol.pool": "mixture", "protocol.views_together": "1", "network.views": "[]"}
    return {"data.train.views": views, "data.val.views": views, **(pool if two else one)}


def reductions(preset: Preset, frozen: bool = False) -> list[Path]:
    """What --reduced lays over an experiment: what both presets share, and what is the preset's own.

    Arguments:
        frozen: the encoder stands still, and each preset trains what is behind it.
    """
    shared = [recipe("reduced"), *([recipe("reduced-frozen")] if frozen else [])]
    own = shared[-1].with_name(f"{shared[-1].stem}-{base_of(preset)}.toml")
    return [*shared, *([own] if own.is_file() else [])]


def plan(
    dataset: Dataset,
    preset: Preset,
    root: Path,
    out: Path,
    *,
    folds: bool = False,
    first: int | None = None,
    seeds: int = 1,
    reduced: bool = False,
    frozen: bool = False,
    draws: int | None = None,
    overrides: dict[str, str] | None = None,
) -> list[Job]:
    """The jobs of an experiment, in the order they are run.

    Arguments:
        first: only so many of the folds.
        reduced, frozen: lay what `reductions` names over the experiment.
        draws: K of the paper's answers in place of its own, 40 and for CAMUS 10; ours draws nothing.

    Raises:
        InvalidConfig: folds of a data set that has none, a second view of one that has none, or an override that does
            not fit.
    """
    if folds and dataset not in FOLDS:
        raise InvalidConfig(f"{dataset} has one fixed split.", next_step="Leave --folds out.")
    jobs = []
    for seed in range(seeds):
        for fold in FOLDS[dataset][:first] if folds else (None,):
            name = f"seed-{seed}" + ("" if fold is None else f"-fold-{fold}")
            given = {"data.train.root": json.dumps(str(root)), "data.val.root": json.dumps(str(root))}
            if fold is not None:
                given |= {"data.train.fold": str(fold), "data.val.fold": str(fold)}
            given |= {"run.name": json.dumps(f"{preset}-{dataset}")} | variation(dataset, preset)
            if draws is not None and base_of(preset) == "paper":
                given["sampler.draws"] = str(draws)
            chosen = {**given, **(overrides or {})}
            over = reductions(preset, frozen) if reduced or frozen else []
            settings = read_settings(recipe(f"{base_of(preset)}-{dataset}"), chosen, *over)
            settings = settings.model_copy(
                update={"run": settings.run.model_copy(update={"seed": settings.run.seed + seed})}
            )
            test = settings.data.train.model_copy(update={"split": "test"})
            jobs.append(Job(settings, out / dataset / preset / name, seed, test))
    return jobs


def run(job: Job, watcher: Watcher, advance: Callable[[int], None] = lambda done: None) -> None:
    """Train and evaluate one job, going on where it was left; nothing is done where it is done.

    Raises:
        InvalidConfig: the folder holds a job of other settings.
    """
    settings, described = job.settings.model_dump(mode="json"), job.folder / "settings.json"
    settings["data"].pop("cache")  # where clips are kept changes no answer
    if described.exists() and json.loads(described.read_bytes()) != settings:
        cause = "this folder holds the same experiment with other settings."
        raise InvalidConfig(cause, path=job.folder, next_step="Choose another --out, or remove the folder.")
    write_atomically(described, json.dumps(settings, indent=2).encode())
    if job.done:
        return
    model = train(job.settings, job.folder, watcher)
    cohort, limit = open_cohort(job.test), job.settings.data.max_bad
    result = evaluate(model, cohort, cohort_name=job.test.describe(), advance=advance, max_bad=limit)
    footer = "Measured on synthetic phantoms. " if is_synthetic(job.test) else ""
    result.write(job.folder / "evaluation", footer + model.card.notice)


def compare(dataset: Dataset, out: Path, jobs: Iterable[Job], command: str) -> Comparison:
    """The table of everything that has been run for a data set, written beside its jobs."""
    jobs = list(jobs)
    measured = [m for preset in get_args(Preset) if (m := _measured(out / dataset / preset, preset))]
    spec = jobs[0].test
    folds = len({job.test.fold for job in jobs})
    every = "ten folds, every study tested once" if folds == len(FOLDS.get(dataset, ())) else f"{folds} of ten folds"
    about = every if spec.fold is not None else "the test split"
    comparison = Comparison(dataset, measured, about, is_synthetic(spec), command)
    comparison.write(out / dataset)
    for each in measured:
        _draw(each, out / dataset / each.preset / "figures", comparison.synthetic)
    return comparison


def _draw(measured: Measured, folder: Path, synthetic: bool) -> None:
    """The figures of the first seed, all its folds together; those of one study stand with its job."""
    rows = next(iter(measured.rows.values()))
    figures.save_all(
        folder,
        median=column(rows, "median"),
        ef=column(rows, "ef"),
        low_90=column(rows, "low_90"),
        high_90=column(rows, "high_90"),
        pit=column(rows, "pit"),
        sd=column(rows, "sd"),
        point=column(rows, measured.point),
        point_name=measured.point,
        patients=patients_of(rows),
        subgroups=measure_subgroups(rows, measured.point),
        footer=("Measured on synthetic phantoms. " if synthetic else "") + mcsdr.DISCLAIMER,
    )


def _measured(folder: Path, preset: str) -> Measured | None:
    """What a preset's finished jobs answered, all folds of a seed together; None where none is finished."""
    by_seed: dict[int, list[dict[str, Any]]] = {}
    point = "median"
    for metrics in sorted(folder.glob("seed-*/evaluation/metrics.json")):
        seed = int(metrics.parts[-3].split("-")[1])
        point = json.loads(metrics.read_text())["point"]
        by_seed.setdefault(seed, []).extend(read_rows(metrics.parent / "studies.csv"))
    return Measured(preset, by_seed, point) if by_seed else None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The answered rows of a studies.csv, numbers as floats, empty cells as None."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if not row["error"]]
    return [{k: (v or None) if k in WORDS else (float(v) if v else None) for k, v in row.items()} for row in rows]
