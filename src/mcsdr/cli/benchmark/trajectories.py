"""`mcsdr benchmark trajectories`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mcsdr.cli.benchmark.common import Flag, folder_of, given, publish


def trajectories(
    *,
    out: Path | None = None,
    train: int | None = None,
    val: int | None = None,
    test: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    quick: Flag = False,
) -> None:
    """Do the sampler's paths tell noisy and ambiguous cases, beyond what the width tells? On SYNTHETIC phantoms.

    Parameters
    ----------
    out
        Folder for the table and the trainings; that of `mcsdr benchmark heads` unless given, whose trainings serve.
    train
        Phantoms to learn from.
    val
        Phantoms to select the weights by.
    test
        Phantoms to measure on.
    epochs
        Of each training.
    seed
        Of the trainings.
    quick
        Tiny sizes, to see that it runs; the figures mean nothing.
    """
    from mcsdr.evaluation.evidence.trajectories import run

    tiny: dict[str, Any] = {"train": 64, "val": 8, "test": 24, "epochs": 1} if quick else {}
    sizes = given(train=train, val=val, test=test, epochs=epochs)
    folder = folder_of(out, "heads", quick)
    publish(lambda say: run(folder, seed=seed, say=say, **tiny | sizes), folder)
