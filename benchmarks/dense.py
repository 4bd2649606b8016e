"""Are dense targets worth their time? The same clips from random weights, with and without, three seeds each.

    python benchmarks/dense.py --set data.train.n=5000 --set data.cache=runs/cache

Every run sees the same clips in the same order for its seed, so that the last validations compare at equal clips. At
equal time a run with dense targets has come less far, by the cost of its steps: its figure there lies on the line
between two validations. SYNTHETIC phantoms.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from mcsdr.files.workers import worker_pool
from mcsdr.training import Silence, load_caches, train
from mcsdr.training.settings import TrainSettings, read_settings
from mcsdr.training.sources import dense_targets

CONFIG = Path(__file__).parents[1] / "configs" / "phantom-varied.toml"
FIGURES = ("val_crps", "val_mae_true")


def settings_of(weight: float, seed: int, epochs: int, given: dict[str, str]) -> TrainSettings:
    own = {"dense.weight": str(weight), "run.seed": str(seed), "optim.epochs": str(epochs), "start.model": '""'}
    own |= {"data.val.n": "200", "data.workers": "0", "run.validate_every": "1", "run.checkpoint_every": "100000"}
    return read_settings(CONFIG, own | given)


class Clock(Silence):
    """Notes the processor's time after each step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def step(self, step: int, steps: int, loss: float) -> None:
        self.times.append(time.process_time())


def run(folder: Path, settings: TrainSettings) -> tuple[list[dict], float]:
    """The validations of one training, and its processor seconds a step."""
    clock = Clock()
    train(settings, folder, clock)
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    seconds = statistics.median(after - before for before, after in pairwise(clock.times))
    return [row for row in rows if "val_crps" in row], seconds


def at(looks: list[dict], step: float, name: str) -> float:
    """A figure at a step between validations."""
    return float(np.interp(step, [look["step"] for look in looks], [look[name] for look in looks]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--weight", type=float, default=0.5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any setting of the training")
    options = parser.parse_args()
    given = dict(one.split("=", 1) for one in options.set)
    torch.set_num_threads(1)
    asked = {
        (weight, seed): settings_of(weight, seed, options.epochs, given)
        for seed in range(options.seeds)
        for weight in (0.0, options.weight)
    }
    first, accelerator = asked[options.weight, 0], Accelerator(cpu=True)
    clips, _ = load_caches(first, Silence(), accelerator)  # once for all runs
    dense_targets(first, clips, Silence(), accelerator)
    with tempfile.TemporaryDirectory() as folder, worker_pool(options.workers) as pool:
        runs = {
            key: pool.submit(run, Path(folder) / str(number), own) for number, (key, own) in enumerate(asked.items())
        }
        done = {key: future.result() for key, future in runs.items()}
    for (weight, seed), (looks, seconds) in done.items():
        print(f"weight {weight:g}, seed {seed}, {seconds:.2f} processor seconds a step")
        for look in looks:
            print(f"  step {look['step']:6d}  " + "  ".join(f"{name} {look[name]:.3f}" for name in FIGURES))
    slower = statistics.median(done[options.weight, s][1] / done[0.0, s][1] for s in range(options.seeds))
    print(f"a step takes × {slower:.2f} the processor time")
    for name in FIGURES:
        pairs = [(done[0.0, s][0], done[options.weight, s][0]) for s in range(options.seeds)]
        for what, share in (("clips", 1.0), ("time", slower)):
            gains = [without[-1][name] - at(of, without[-1]["step"] / share, name) for without, of in pairs]
            told = ", ".join(f"{gain:.3f}" for gain in gains)
            print(f"{name}: dense targets lower it by {statistics.mean(gains):.3f} at equal {what} ({told})")


if __name__ == "__main__":
    main()
