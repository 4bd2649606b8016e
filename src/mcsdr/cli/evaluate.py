"""`mcsdr evaluate`: a cohort in, tables and figures out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mcsdr.evaluation import Evaluation
    from mcsdr.metrics.subgroups import Subgroup

GROUPS = {"accuracy": "accuracy of the {point}", "posterior": "posterior", "decision": "decision"}


def evaluate(
    model: str,
    data: str,
    /,
    *,
    out: Path = Path("out/evaluation"),
    split: Literal["train", "val", "test"] | None = None,
    views: Annotated[list[Literal["A4C", "A2C", "PSAX"]] | None, Parameter(negative="")] = None,
    fold: int | None = None,
    without: Annotated[list[Literal["video", "attributes"]] | None, Parameter(negative="")] = None,
    sampler: Literal["exact", "paper", "paper-clipped", "ddpm"] | None = None,
    seed: int = 0,
    windows: Literal["one", "three", "all", "beats"] | None = None,
    looks: Literal[1, 2, 4] | None = None,
    pool: Literal["mixture", "tokens"] | None = None,
    label_of: Literal["one-beat", "mean"] | None = None,
    max_bad: float = 0.02,
    cardiobench: Path | None = None,
    gallery: int = 0,
) -> None:
    """Measure a model on a cohort: accuracy, CRPS, calibration, with patient-level bootstrap intervals.

    Parameters
    ----------
    model
        A bundled model's name or a folder that `mcsdr train` wrote.
    data
        A data set's folder, in its own layout, or phantom:N:SEED for phantoms rendered on the way.
    out
        Folder for studies.csv, subgroups.csv, metrics.json and figures.
    split
        Only this split of the folder.
    views
        Only clips of this view; may be given several times.
    fold
        Which fold is tested on, for data sets that come in folds.
    without
        Take a modality away: what is then known is the rest.
    sampler
        As for predict; the model's own unless given.
    seed
        Of the random trajectories of `paper` and `ddpm`.
    windows
        Which windows of each clip are read: the central one, three, all, or one around each heartbeat; the model's own
        rule unless given.
    looks
        At each window, their quantiles averaged: 1 as it is, 2 mirrored too, 4 both of them the last frame first too.
    pool
        How a study's clips are joined: a mixture of their posteriors, or their tokens side by side.
    label_of
        Whether a reading is of one beat, whichever (the windows of a clip are then mixed), or of the beats on average
        (their quantiles are then averaged); as docs/data-sets.md has it of each data set unless given.
    max_bad
        Share of the studies that may fail; beyond it the evaluation stops.
    cardiobench
        Also write the point estimates here as CardioBench reads them, of a data set's folder: FileName or patient_id,
        EF_pred.
    gallery
        Also write gallery.html with so many studies, the greatest errors first: the answer beside the report, and the
        frames in which the cavity is seen largest and smallest. It holds pictures of patients where the cohort does.
    """
    from rich.console import Console

    from mcsdr.cli.progress import bar
    from mcsdr.datasets import CohortSpec, open_cohort
    from mcsdr.datasets.entries import FolderCohort
    from mcsdr.diffusion.sampler import preset
    from mcsdr.errors import InvalidConfig
    from mcsdr.evaluation import evaluate as measure
    from mcsdr.evaluation.calibration import marks_of
    from mcsdr.evaluation.cardiobench import write_predictions
    from mcsdr.evaluation.gallery import exhibits
    from mcsdr.files import write_atomically
    from mcsdr.model import load
    from mcsdr.report.gallery import render_gallery

    if gallery < 0:
        raise InvalidConfig(f"the gallery is to show {gallery} studies.", next_step="Say how many: --gallery 24.")
    console = Console(width=None if Console().is_terminal else 120)  # a file has room
    estimator = load(model)
    spec = CohortSpec.parse(data, split, views=views, fold=fold)
    cohort = open_cohort(spec)
    with bar(spec.describe(), len(cohort)) as advance:
        result = measure(
            estimator,
            cohort,
            cohort_name=spec.describe(),
            without=without or (),
            sampler=preset(sampler, seed) if sampler else None,
            protocol=estimator.protocol.changed(windows, pool, looks),
            one_beat=spec.label_of_one_beat if label_of is None else label_of == "one-beat",
            advance=advance,
            max_bad=max_bad,
            marks=marks_of(estimator.card, spec),
        )
    for mark in result.provenance["marks"]:
        console.print(mark, markup=False)
    _show(console, result)
    console.print(estimator.card.notice)
    result.write(out, footer=estimator.card.notice)
    if gallery:
        shown = list(exhibits(result, estimator, cohort, gallery))
        write_atomically(out / "gallery.html", render_gallery(shown, result.provenance).encode())
        console.print(f"Written to {out / 'gallery.html'}: {len(shown)} studies.", markup=False)
    if cardiobench is not None:
        if not isinstance(cohort, FolderCohort):
            raise InvalidConfig("CardioBench has no phantoms.", next_step="Name a data set's folder.")
        rows = write_predictions(cardiobench, result, cohort)
        console.print(f"Written to {cardiobench}: {rows} rows.", markup=False)
    console.print(f"Written to {out}: studies.csv, subgroups.csv, metrics.json and figures.", markup=False)


def _show(console: Console, result: Evaluation) -> None:
    """The two tables, and the studies that are in neither."""
    about = result.provenance
    missing = f", without {' and '.join(about['without'])}" if about["without"] else ""
    console.print(_measures(f"{about['model']} on {about['cohort']}{missing}, {len(result.rows)} studies", result))
    if result.subgroups:
        console.print(_subgroups("By kind of patient, 95 % intervals over patients", result.subgroups))
    for failure in result.failures:
        console.print(f"not answered: {failure['study_id']}: {failure['error']}", markup=False)


def _measures(title: str, result: Evaluation) -> Table:
    from rich.table import Table

    table = Table(title=title)
    for heading in ("measure", "estimate", "95 % interval", "unit"):
        table.add_column(heading, justify="left" if heading in ("measure", "unit") else "right")
    names = {"CRPS": f"CRPS ({result.provenance['crps_estimator']})"}
    for group, heading in GROUPS.items():
        table.add_section()
        table.add_row(f"[bold]{heading.format(point=result.provenance['point'])}[/]")
        for m in result.measures:
            if m.group == group:
                name, interval = names.get(m.name, m.name), f"{m.lower:.3f} to {m.upper:.3f}"
                undefined = m.estimate != m.estimate
                table.add_row(name, *(("—", "not defined") if undefined else (f"{m.estimate:.3f}", interval)), m.unit)
    return table


def _subgroups(title: str, subgroups: tuple[Subgroup, ...]) -> Table:
    from rich.table import Table

    from mcsdr.metrics.subgroups import LEAST_PATIENTS, NO_EVIDENCE

    caption = f"{NO_EVIDENCE}: fewer than {LEAST_PATIENTS} patients, too few for figures; true EF: errors to the truth"
    table = Table(title=title, caption=caption)
    columns = {"MAE": "{:.2f}", "bias": "{:+.2f}", "CRPS": "{:.2f}", "coverage 90%": "{:.0%}"}
    for heading in ("", "patients", *columns):
        table.add_column(heading, justify="right" if heading else "left")
    attribute = None
    for subgroup in subgroups:
        if subgroup.attribute != attribute:
            attribute = subgroup.attribute
            table.add_section()
            table.add_row(f"[bold]{attribute}[/]")
        cells = [NO_EVIDENCE] * len(columns)
        if subgroup.has_evidence:
            cells = [
                "{} ({} to {})".format(*(form.format(value) for value in subgroup.measures[name]))
                for name, form in columns.items()
            ]
        table.add_row(f" {subgroup.group}", f"{subgroup.patients:,}", *cells)
    return table
