"""`mcsdr evaluate`: a cohort in, a table and figures out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from rich.table import Table

    from mcsdr.evaluation import Evaluation


def evaluate(
    model: str,
    data: str,
    /,
    *,
    out: Path = Path("out/evaluation"),
    split: Literal["train", "val", "test"] | None = None,
    without: Annotated[list[Literal["video", "attributes"]] | None, Parameter(negative="")] = None,
    sampler: Literal["exact", "paper", "ddpm"] | None = None,
    seed: int = 0,
) -> None:
    """Measure a model on a cohort: accuracy, CRPS, calibration, with patient-level bootstrap intervals.

    Parameters
    ----------
    model
        A bundled model's name or a folder that `mcsdr train` wrote.
    data
        A folder in EchoNet-Dynamic's layout, or phantom:N:SEED for phantoms rendered on the way.
    out
        Folder for studies.csv, metrics.json and figures.
    split
        Only this split of the folder.
    without
        Take a modality away: what is then known is the rest.
    sampler
        As for predict; the model's own unless given.
    seed
        Of the random trajectories of `paper` and `ddpm`.
    """
    from rich.console import Console
    from rich.progress import Progress

    from mcsdr.datasets import CohortSpec, open_cohort
    from mcsdr.diffusion.sampler import preset
    from mcsdr.evaluation import evaluate as measure
    from mcsdr.model import load

    console = Console()
    estimator = load(model)
    spec = CohortSpec.parse(data, split)
    cohort = open_cohort(spec)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(spec.describe(), total=len(cohort))
        result = measure(
            estimator,
            cohort,
            cohort_name=spec.describe(),
            without=without or (),
            sampler=preset(sampler, seed) if sampler else None,
            advance=lambda done: progress.update(task, completed=done),
        )
    missing = f", without {' and '.join(without)}" if without else ""
    console.print(_table(f"{estimator.card.name} on {spec.describe()}{missing}, {len(result.rows)} studies", result))
    for failure in result.failures:
        console.print(f"not answered: {failure['study_id']}: {failure['error']}", markup=False)
    console.print(estimator.card.notice)
    result.write(out, footer=estimator.card.notice)
    console.print(f"Written to {out}: studies.csv, metrics.json and figures.", markup=False)


def _table(title: str, result: Evaluation) -> Table:
    from rich.table import Table

    table = Table(title=title)
    for heading in ("measure", "estimate", "95 % interval", "unit"):
        table.add_column(heading, justify="left" if heading in ("measure", "unit") else "right")
    for m in result.measures:
        name = f"{m.name} ({result.provenance['crps_estimator']})" if m.name == "CRPS" else m.name
        table.add_row(name, f"{m.estimate:.3f}", f"{m.lower:.3f} to {m.upper:.3f}", m.unit)
    return table
