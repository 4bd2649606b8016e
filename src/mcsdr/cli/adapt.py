"""`mcsdr adapt`: a model and a site's labelled studies in, the same model with another read-out out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from mcsdr.evaluation.adaptation import Adapted
    from mcsdr.evaluation.evidence.record import Table


def adapt(
    model: str,
    data: str,
    /,
    *,
    out: Path,
    split: Literal["train", "val", "test"] | None = None,
    views: Annotated[list[Literal["A4C", "A2C", "PSAX"]] | None, Parameter(negative="")] = None,
    fold: int | None = None,
    seed: int = 0,
    max_bad: float = 0.02,
) -> None:
    """Adapt a model to a site: refit its read-out on 20 to 500 labelled studies, and write it as a new model.

    Encoder, score network and gates stay as they are. What the studies gain is told by nested cross-validation over
    patients, and where it is not above its own standard error nothing is written. Data that the model has seen is
    refused. The adapted model has seen DATA: measure and calibrate it on other patients.

    Parameters
    ----------
    model
        A bundled model's name or a folder that `mcsdr train` wrote.
    data
        A data set's folder, in its own layout, or phantom:N:SEED; 20 patients at least.
    out
        Folder of the new model.
    split
        Only this split of the folder.
    views
        Only clips of this view; may be given several times.
    fold
        Which fold, for data sets that come in folds.
    seed
        Of the folds of the cross-validation.
    max_bad
        Share of the studies that may fail; beyond it the command stops.
    """
    from rich.console import Console

    from mcsdr.cli.progress import bar
    from mcsdr.datasets import CohortSpec, is_synthetic, open_cohort
    from mcsdr.evaluation.adaptation import adapt as fit
    from mcsdr.evaluation.evidence.record import Report
    from mcsdr.model import load

    console = Console(width=None if Console().is_terminal else 120)
    estimator, spec = load(model), CohortSpec.parse(data, split, views=views, fold=fold)
    with bar(spec.describe(), len(open_cohort(spec))) as advance:
        result = fit(estimator, spec, seed=seed, max_bad=max_bad, advance=advance)
    table = _table(result)
    table.show(console)
    for name, why in result.failures:
        console.print(f"not answered: {name}: {why}", markup=False)
    settings = {"model": model, "model_sha256": result.model.sha256, "seed": seed, "ridge": result.correction.ridge}
    settings |= {"offset": result.correction.offset, "width": result.correction.width, "failed": result.failures}
    Report("adaptation", [table], settings, synthetic=is_synthetic(spec)).write(out, " ".join(["mcsdr", *sys.argv[1:]]))
    result.model.save(out)  # model.json last: a folder that holds it is complete
    console.print(result.model.card.notice)
    console.print(f"Written to {out}: the adapted model, adaptation.json and adaptation.md.", markup=False)


def _table(result: Adapted) -> Table:
    from mcsdr.evaluation.adaptation import FOLDS
    from mcsdr.evaluation.evidence.record import Cell, Table

    c = result.correction
    notes = [
        f"{result.studies} studies of {result.patients} patients, nested {FOLDS}-fold cross-validation by patient: no "
        f"study is measured by what was fitted on its patient. Gain in CRPS {result.gain:.2f} ± "
        f"{result.gain_error:.2f}.",
        f"Fitted on all: ridge {c.ridge:g}, offset {c.offset:+.3f} on the logit scale, width × {c.width:.2f}.",
        *result.notes,
    ]
    rows: list[list[Cell]] = [["as shipped", *result.before], ["adapted", *result.after]]
    return Table("Adaptation", ("model", "MAE", "CRPS", "coverage 90 %", "width"), rows, notes, digits=2)
