"""`mcsdr benchmark heads`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mcsdr.cli.benchmark.common import Flag, Names, folder_of, given, publish
from mcsdr.cli.extras import need

if TYPE_CHECKING:
    from mcsdr.evaluation.evidence.record import Report


def heads(
    *,
    out: Path | None = None,
    end_to_end: Flag = False,
    cohort: Names = None,
    rival: Names = None,
    train: int | None = None,
    val: int | None = None,
    calibration: int | None = None,
    test: int | None = None,
    epochs: int | None = None,
    redrawn: Flag = False,
    seeds: int = 3,
    quick: Flag = False,
) -> None:
    """Ours against every head that a reviewer will ask for, on the same tokens of SYNTHETIC phantoms.

    Parameters
    ----------
    out
        Folder for the tables and the trainings; out/benchmark/heads unless given.
    end_to_end
        Each trains an encoder of its own too: ours, the paper's and the best of those that a first run found.
    cohort
        "adult" for ordinary phantoms, or what phantoms hide; may be given several times. adult and hidden-wall unless
        given.
    rival
        Only these heads beside ours; may be given several times.
    train
        Phantoms of each cohort to learn from.
    val
        Phantoms to select the weights by.
    calibration
        Phantoms to fit the recalibration on.
    test
        Phantoms to measure on.
    epochs
        Of each training.
    redrawn
        A new label from the known posterior at every visit, as if there were no end of readers; one fixed reading of
        each phantom otherwise.
    seeds
        Trainings of each head, with seeds 0, 1, …
    quick
        Tiny sizes, to see that it runs; the figures mean nothing.
    """
    if "flow" in (rival or ["flow"]):
        need("bench")
    from mcsdr.evaluation.evidence import rivals

    tiny = {"train": 64, "val": 8, "calibration": 40, "test": 16, "epochs": 1} if quick else {}
    sizes = given(cohorts=cohort, rivals=rival, train=train, val=val, calibration=calibration, test=test, epochs=epochs)
    folder = folder_of(out, "heads", quick)
    if redrawn:
        sizes["overrides"] = {"data.label": "redrawn"}
    run: Callable[..., Report] = rivals.run_end_to_end if end_to_end else rivals.run
    numbers = tuple(range(1 if quick else seeds))
    publish(lambda say: run(folder, seeds=numbers, say=say, **tiny | sizes), folder)
