"""`mcsdr benchmark missing`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from mcsdr.cli.benchmark.common import Flag, Names, folder_of, given, publish


def missing(
    *,
    out: Path | None = None,
    cohort: Names = None,
    train: int | None = None,
    val: int | None = None,
    test: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    each_attribute: bool | None = None,
    tower: Annotated[tuple[int, int] | None, Parameter(negative="")] = None,
    quick: Flag = False,
) -> None:
    """Missing modalities on SYNTHETIC phantoms: all 32 subsets, at random, shuffled, and against what is known.

    Parameters
    ----------
    out
        Folder for the tables and the trainings; out/benchmark/missing unless given. What was stopped goes on there.
    cohort
        "adult" for ordinary phantoms, or what phantoms hide; may be given several times. adult and hidden-wall unless
        given.
    train
        Phantoms of each cohort to learn from.
    val
        Phantoms to select the weights by.
    test
        Phantoms to measure on.
    epochs
        Of each training.
    seed
        Of the trainings, masks and permutations.
    each_attribute
        Also train on the video and one attribute alone, for the regret of each; yes unless --quick.
    tower
        Studies, and attribute draws for each, of the tower test.
    quick
        Tiny sizes, to see that it runs; the figures mean nothing.
    """
    from mcsdr.evaluation.evidence.missing import run

    tiny: dict[str, Any] = {}
    if quick:
        tiny = {"train": 64, "val": 8, "test": 8, "epochs": 1, "each_attribute": False, "tower": (2, 4)}
    sizes = given(
        cohorts=cohort, train=train, val=val, test=test, epochs=epochs, each_attribute=each_attribute, tower=tower
    )
    folder = folder_of(out, "missing", quick)
    publish(lambda say: run(folder, seed=seed, say=say, **tiny | sizes), folder)
