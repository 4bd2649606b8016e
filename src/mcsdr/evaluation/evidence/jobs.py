"""What the benchmarks that train share: their cohorts, and trainings that are done once.

Four parts of every cohort share nobody: one is learnt from, one selects the weights, one fits a recalibration, and on
the last everybody is measured once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

from mcsdr.datasets import CohortSpec, Population
from mcsdr.errors import InvalidConfig
from mcsdr.evaluation.evidence.record import Say
from mcsdr.files import write_atomically
from mcsdr.model import Model, load
from mcsdr.training import Silence, train
from mcsdr.training.settings import TrainSettings

PARTS = ("train", "val", "calibration", "test")
SEEDS = dict(zip(PARTS, (31, 32, 33, 34), strict=True))  # the bundled model knows 1, 2 and 3
SEEDS_OF_KNOWN = dict(zip(PARTS, (101, 102, 103, 104), strict=True))


def seeds_of(cohort: str) -> dict[str, int]:
    """The seed of each part of a cohort: "adult" or another population, or a kind of phantoms that hide something."""
    return SEEDS if cohort in get_args(Population) else SEEDS_OF_KNOWN


def cohort_spec(cohort: str, part: str, n: int) -> CohortSpec:
    """The first n phantoms of a part of a cohort."""
    return CohortSpec.parse(f"phantom:{n}:{seeds_of(cohort)[part]}:{cohort}")


def trained(settings: TrainSettings, folder: Path, say: Say) -> Model:
    """The model of a training, gone on with from where it stood; a finished one is read.

    Raises:
        InvalidConfig: the folder holds a training of other settings.
    """
    described, finished = folder / "settings.json", folder / "finished"
    asked = settings.model_dump(mode="json")
    asked["data"].pop("cache")  # where clips are kept changes no answer
    if described.exists() and json.loads(described.read_bytes()) != asked:
        cause = "this folder holds a training of other settings."
        raise InvalidConfig(cause, path=folder, next_step="Choose another --out, or remove the folder.")
    if not finished.exists():
        write_atomically(described, json.dumps(asked, indent=2).encode())
        train(settings, folder, _Teller(say, str(folder)))
        write_atomically(finished, b"")
    return load(folder / "model")


class _Teller(Silence):
    """Says where a training stands at each validation, and now and then how many clips are ready."""

    def __init__(self, say: Say, name: str) -> None:
        self.say, self.name = say, name

    def cache(self, cohort: str, done: int, total: int) -> None:
        if done % 500 == 0 or done == total:
            self.say(f"{self.name}: {done} of {total} clips ready ({cohort})")

    def validated(self, step: int, figures: dict[str, float], best: bool) -> None:
        text = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        self.say(f"{self.name}: step {step}, {text}{', best' if best else ''}")
