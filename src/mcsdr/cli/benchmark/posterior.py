"""`mcsdr benchmark posterior`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mcsdr.cli.benchmark.common import Flag, Names, folder_of, given, publish
from mcsdr.errors import InvalidConfig


def posterior(
    *,
    out: Path | None = None,
    part: Literal["exactness", "known"] | None = None,
    randomised: Flag = False,
    kind: Names = None,
    train: int | None = None,
    val: int | None = None,
    calibration: int | None = None,
    test: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    quick: Flag = False,
) -> None:
    """Posteriors that are known: closed-form ones through every sampler, and phantoms that hide something.

    Parameters
    ----------
    out
        Folder for tables, figures and trainings; out/benchmark/posterior unless given.
    part
        "exactness" puts exact scores through the samplers and trains nothing. "known" trains on SYNTHETIC phantoms
        whose exact posterior is known. Both, in this order, unless given.
    randomised
        The pictures of "known" as varied as those of ordinary phantoms, instead of clean ones.
    kind
        What the phantoms of "known" hide, such as hidden-wall; may be given several times. All unless given.
    train
        Phantoms of each kind to learn from.
    val
        Phantoms to select the weights by.
    calibration
        Phantoms to fit the recalibration on.
    test
        Phantoms to measure on.
    epochs
        Of each training.
    seed
        Of the trainings, and of random draws.
    quick
        Tiny sizes, to see that it runs; the figures mean nothing.
    """
    sizes = given(kinds=kind, train=train, val=val, calibration=calibration, test=test, epochs=epochs)
    if part == "exactness" and (sizes or randomised):
        cause = "--part exactness learns nothing: it takes no cohorts, sizes, epochs or --randomised."
        raise InvalidConfig(cause, next_step="Leave them out, or choose --part known.")
    folder = folder_of(out, "posterior", quick)
    if part != "known":
        from mcsdr.evaluation.evidence import exactness

        few = {"points": 200, "repeats": 8} if quick else {}
        publish(lambda say: exactness.run(say, seed=seed, **few), folder)
    if part != "exactness":
        from mcsdr.evaluation.evidence import known

        tiny = {"train": 32, "val": 8, "calibration": 40, "test": 16, "epochs": 1} if quick else {}
        publish(lambda say: known.run(folder, randomised=randomised, seed=seed, say=say, **tiny | sizes), folder)
