"""`mcsdr benchmark scale`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from mcsdr.cli.benchmark.common import Flag, folder_of, given, publish


def scale(
    *,
    out: Path | None = None,
    size: Annotated[list[int] | None, Parameter(negative="")] = None,
    steps: int | None = None,
    test: int | None = None,
    seed: int = 0,
    quick: Flag = False,
) -> None:
    """How many phantoms are enough: the same number of steps on cohorts of growing size, SYNTHETIC.

    Parameters
    ----------
    out
        Folder for the table and the trainings; out/benchmark/scale unless given. What was stopped goes on there.
    size
        Phantoms to learn from; may be given several times. 1,000, 4,000 and 16,000 unless given.
    steps
        Of every training; those of configs/phantom-varied.toml unless given.
    test
        Phantoms to measure on.
    seed
        Of the trainings.
    quick
        Tiny sizes, to see that it runs; the figures mean nothing.
    """
    from mcsdr.evaluation.evidence.scale import run

    tiny: dict[str, Any] = {"sizes": [32, 64], "steps": 2, "val": 8, "test": 8} if quick else {}
    folder = folder_of(out, "scale", quick)
    options = tiny | given(sizes=size, steps=steps, test=test)
    publish(lambda say: run(folder, seed=seed, say=say, **options), folder)
