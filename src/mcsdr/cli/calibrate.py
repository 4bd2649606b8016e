"""`mcsdr calibrate`: a model and studies that it never saw in, the same model recalibrated out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from mcsdr.errors import InvalidConfig

if TYPE_CHECKING:
    from rich.console import Console

    from mcsdr.evaluation.calibration import Calibrated, Row
    from mcsdr.evaluation.evidence.record import Table


def calibrate(
    model: str,
    data: str,
    /,
    *,
    out: Path | None = None,
    long: str | None = None,
    keep_median: bool = False,
    split: Literal["train", "val", "test"] | None = None,
    views: Annotated[list[Literal["A4C", "A2C", "PSAX"]] | None, Parameter(negative="")] = None,
    fold: int | None = None,
    seed: int = 0,
    max_bad: float = 0.02,
) -> None:
    """Recalibrate a model's posteriors on studies that it never saw, and write it as a new model.

    Data that the model was trained or selected on is refused. The figures after recalibration are cross-fitted: no
    patient is measured by a map that was fitted on them. Only the exact sampler is recalibrated.

    Parameters
    ----------
    model
        A bundled model's name or a folder that `mcsdr train` wrote.
    data
        A data set's folder, in its own layout, or phantom:N:SEED for phantoms rendered on the way; 100 patients at
        least, 500 or more for good figures.
    out
        Folder of the new model; MODEL-calibrated unless given, and then nothing may stand there.
    long
        Other such data, of clips longer than one window, such as phantom:N:SEED:3s, to calibrate answers from all
        their beats on; DATA's own longer clips unless given.
    keep_median
        Mend widths alone, and leave every median: where DATA is of other machines than those to be answered, by how
        much it leans to one side is its own.
    split
        Only this split of the folder.
    views
        Only clips of this view; may be given several times.
    fold
        Which fold, for data sets that come in folds.
    seed
        Of the folds of the cross-fitting.
    max_bad
        Share of the studies that may fail; beyond it the calibration stops.
    """
    from rich.console import Console

    from mcsdr.cli.progress import bar
    from mcsdr.datasets import CohortSpec, open_cohort
    from mcsdr.evaluation.calibration import calibrate as fit
    from mcsdr.evaluation.calibration import refuse_seen
    from mcsdr.model import load

    folder = out or _beside(model)
    estimator = load(model)
    spec = CohortSpec.parse(data, split, views=views, fold=fold)
    longer = None if long is None else CohortSpec.parse(long, split, views=views, fold=fold)
    both = [spec] if longer is None else [spec, longer]
    for one in both:
        refuse_seen(estimator.card, one)
    studies = sum(len(open_cohort(one)) for one in both)
    with bar(" and ".join(one.describe() for one in both), studies) as advance:
        result = fit(estimator, spec, long=longer, keep_median=keep_median, seed=seed, max_bad=max_bad, advance=advance)
    _deliver(Console(width=None if Console().is_terminal else 160), result, model, folder)


def _deliver(console: Console, result: Calibrated, model: str, folder: Path) -> None:
    """Print the tables, and write them and the model."""
    from mcsdr.evaluation.evidence.record import Report

    tables = _tables(result)
    for table in tables:
        table.show(console)
    for name, why in result.failures:
        console.print(f"not answered: {name}: {why}", markup=False)
    console.print(result.model.card.notice)
    about = result.model.calibration
    assert about is not None
    settings = {**about.model_dump(), "model": model, "model_sha256": result.model.sha256, "failed": result.failures}
    command = " ".join(["mcsdr", *sys.argv[1:]])
    Report("calibration", tables, settings, synthetic=about.synthetic).write(folder, command)
    result.model.save(folder)  # model.json last: a folder that holds it is complete
    console.print(f"Written to {folder}: the calibrated model, calibration.json and calibration.md.", markup=False)


def _beside(model: str) -> Path:
    """MODEL-calibrated, which must not be there yet.

    Raises:
        InvalidConfig: it is.
    """
    folder = Path(f"{model.rstrip('/')}-calibrated")
    if folder.exists():
        raise InvalidConfig(
            "something stands where the calibrated model would be written.",
            path=folder,
            next_step="Name a folder with --out; what is named is written over.",
        )
    return folder


def _tables(result: Calibrated) -> list[Table]:
    """By what was known; and by EF, of the pattern that knows most."""
    from mcsdr.evaluation.calibration import FOLDS
    from mcsdr.evaluation.evidence.record import Table
    from mcsdr.metrics.subgroups import LEAST_PATIENTS, NO_EVIDENCE

    first = result.rows[0].known if result.rows else ""
    everybody = [row for row in result.rows if row.group == "all"]
    bands = [row for row in result.rows if row.group != "all" and row.known == first]
    honest = (
        f"Recalibrated and conformal: {FOLDS}-fold cross-fitting by patient, never measured on what was fitted. "
        "Width: of the 90 % interval, EF points. With n studies a true coverage of 90 % is seen as 90 ± 59/√n %."
    )
    chosen = (
        "A band of the reported EF is chosen by the outcome and covers less even where all is right; one of the "
        f"predicted EF should not. Fewer than {LEAST_PATIENTS} patients: {NO_EVIDENCE}."
    )
    return [
        Table(
            "By what is known", _header("known"), [_cells(row.known, row) for row in everybody], [honest, *result.notes]
        ),
        Table(f"By ejection fraction, {first}", _header("group"), [_cells(row.group, row) for row in bands], [chosen]),
    ]


def _header(first: str) -> Sequence[str]:
    from mcsdr.posterior.recalibration import LEVELS

    coverage = (f"coverage {100 * level:g} %" for level in LEVELS)
    return (first, "posterior", "studies", "patients", *coverage, "KS", "coverage error", "width", "CRPS")


def _cells(name: str, row: Row) -> list[str | float | int | None]:
    return [name, row.state, row.studies, row.patients, *row.coverage, row.ks, row.error, row.width, row.crps]
