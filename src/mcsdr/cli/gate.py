"""`mcsdr gate`: a model and studies that it never saw in, the same model with a gate out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from mcsdr.evaluation.evidence.record import Table
    from mcsdr.evaluation.gating import Gated


def gate(
    model: str,
    data: str,
    validation: str,
    /,
    *,
    out: Path,
    families: Annotated[list[str] | None, Parameter(negative="")] = None,
    hold_out: Annotated[list[str] | None, Parameter(negative="")] = None,
    impostors: int = 40,
    share: float = 0.02,
    seed: int = 0,
) -> None:
    """Teach a model which clips it must refuse, and write it as a new model with the same network and answers.

    Data that the model was trained or selected on is refused. Impostors (other views, no echo, no heartbeat) are
    rendered on the way; what is measured of them is measured on others than were fitted, and once more by a gate that
    was never shown their family.

    Parameters
    ----------
    model
        A bundled model's name or a folder that `mcsdr train` wrote.
    data
        Clips of the kind that the model is to answer: a data set's folder or phantom:N:SEED; 600 are a good number.
    validation
        Other such clips, on which the thresholds are set.
    out
        Folder of the new model.
    families
        Kinds of impostors, or views such as PSAX; may be given several times. All but those that are always held out,
        PSAX and PLAX unless given.
    hold_out
        Kinds to leave out of those, so that `mcsdr benchmark refusals` can ask about what was never shown; may be given
        several times.
    impostors
        How many of each kind to fit on, and as many more to measure on.
    share
        Of the validation clips that may be refused.
    seed
        Of the impostors.
    """
    from rich.console import Console

    from mcsdr.datasets import CohortSpec, is_synthetic
    from mcsdr.evaluation.evidence.record import Report
    from mcsdr.evaluation.gating import fit
    from mcsdr.model import load
    from mcsdr.phantom.impostors import ImpostorCohort

    console = Console(width=None if Console().is_terminal else 120)
    estimator = load(model)
    own, held = CohortSpec.parse(data), CohortSpec.parse(validation)
    errors = Console(stderr=True)
    taught = [name for name in ImpostorCohort(0, seed, families).families if name not in (hold_out or ())]
    result = fit(
        estimator,
        own,
        held,
        families=taught,
        impostors=impostors,
        measured=impostors,
        seed=seed,
        share=share,
        advance=lambda what, done: errors.print(f"{what}: {done} clips", markup=False) if done % 160 == 0 else None,
    )
    table = _table(result)
    table.show(console)
    for name, why in result.failures:
        console.print(f"not encoded: {name}: {why}", markup=False)
    settings = {
        "model": model,
        "model_sha256": result.model.sha256,
        "own": own.describe(),
        "validation": held.describe(),
        "seed": seed,
        "share": share,
        "failed": result.failures,
    }
    Report("gate", [table], settings, synthetic=is_synthetic(own)).write(out, " ".join(["mcsdr", *sys.argv[1:]]))
    result.model.save(out)  # model.json last: a folder that holds it is complete
    console.print(f"Written to {out}: the model with its gate, gate.json and gate.md.", markup=False)


def _table(result: Gated) -> Table:
    from mcsdr.evaluation.evidence.record import Table

    familiarity = result.model.familiarity
    assert familiarity is not None
    rows: list[list[str | float | int | None]] = [list(rate) for rate in result.rates]
    notes = [
        "Refused: by the pictures' checks or the encoder's. By pictures: the pixels alone. Never shown: by a gate that "
        "was fitted without this family and half of the others; impostors measured on were never fitted.",
        f"The gate holds {familiarity.numbers:,} numbers; the network and its answers are as they were.",
        *result.notes,
    ]
    return Table("Refused", ("clips", "asked", "refused", "by pictures", "never shown"), rows, notes)
