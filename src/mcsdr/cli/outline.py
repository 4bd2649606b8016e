"""`mcsdr outline`: a model in, the same model out that tells where it sees the cavity."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcsdr.evaluation.evidence.record import Table
    from mcsdr.evaluation.outlining import Outlined


def outline(model: str, data: str, /, *measured: str, out: Path) -> None:
    """Fit what reads the cavity's outline from a model's maps, and write it as a new model with the same answers.

    The page and the reports then draw where the model sees the left ventricle's cavity. No answer is worked out from
    it: it is there to be looked at. Only phantoms are known at every pixel, so it is fitted on these.

    Parameters
    ----------
    model
        A bundled model's name or a folder that `mcsdr train` wrote, with a compact encoder.
    data
        Phantoms that the model has not learnt from, as phantom:N:SEED; 400 are a good number.
    measured
        Others, to measure on; one or several cohorts.
    out
        Folder of the new model.
    """
    from rich.console import Console

    from mcsdr.datasets import CohortSpec
    from mcsdr.evaluation.evidence.record import Report
    from mcsdr.evaluation.outlining import fit
    from mcsdr.model import load

    errors = Console(stderr=True)
    specs = [CohortSpec.parse(name) for name in (data, *measured)]
    result = fit(
        load(model),
        specs[0],
        specs[1:],
        advance=lambda what, done: errors.print(f"{what}: {done}", markup=False) if done % 100 == 0 else None,
    )
    console = Console(width=None if Console().is_terminal else 120)
    table = _table(result)
    table.show(console)
    settings = {"model": model, "model_sha256": result.model.sha256, "data": specs[0].describe()}
    Report("outline", [table], settings, synthetic=True).write(out, " ".join(["mcsdr", *sys.argv[1:]]))
    result.model.save(out)  # model.json last: a folder that holds it is complete
    console.print(f"Written to {out}: the model with its outline, outline.json and outline.md.", markup=False)


def _table(result: Outlined) -> Table:
    from mcsdr.evaluation.evidence.record import Table
    from mcsdr.model.outline import SIDE

    reading = result.model.outline
    assert reading is not None
    rows: list[list[str | float | int | None]] = [[one.cohort, *one.figures.values()] for one in result.overlaps]
    notes = [
        f"Dice: 2 |A ∩ B| / (|A| + |B|) of the cavity as it is seen and as it is, at {SIDE} × {SIDE} places in all "
        "frames of a clip's central window; the mean over phantoms, and what nineteen of twenty exceed.",
        f"The reading holds {reading.numbers:,} numbers; the network and its answers are as they were.",
        *result.notes,
    ]
    return Table("The cavity's outline", ["phantoms", "n", "Dice", "lowest twentieth"], rows, notes)
