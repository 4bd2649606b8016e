"""`mcsdr reproduce`: the paper's experiment, or ours, on a data set's untouched folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from rich.table import Table

    from mcsdr.evaluation.comparison import Comparison


def reproduce(
    dataset: Literal["echonet-dynamic", "echonet-pediatric", "camus"],
    /,
    *settings: Annotated[str, Parameter(allow_leading_hyphen=True, help="--table.key value, over the file's.")],
    root: Path,
    preset: Literal["paper", "paper-two-views", "paper-more-pairs", "ours", "ours-one-view"] = "ours",
    out: Path = Path("runs/reproduce"),
    folds: bool = False,
    first: int | None = None,
    seeds: int = 1,
    reduced: bool = False,
    frozen: bool = False,
    draws: int | None = None,
) -> None:
    """Train and evaluate the paper's experiment, or ours, and write the table with the published rows beside.

    Interrupt it anywhere: the same command goes on where it was. Run it once per preset; the table holds both.

    Parameters
    ----------
    dataset
        Which of the three.
    root
        Its folder, as it was unpacked.
    preset
        "paper" follows the MCSDR paper; "ours" is this project's method. The others put either on the other's terms:
        "paper-two-views", "paper-more-pairs" (as many noise pairs for each clip as ours), "ours-one-view".
    out
        Folder for checkpoints, models, evaluations and table.{md,csv,tex}.
    folds
        The data set's ten folds in place of its fixed split: ten trainings, every study tested once.
    first
        Only the first so many of the folds, whose studies are then tested once.
    seeds
        Trainings with seeds 0, 1, …; the table gives mean and spread.
    reduced
        configs/reduced.toml over the preset: the compact encoder on both, small enough for 2 cores.
    frozen
        configs/reduced-frozen.toml too: the encoder stands still, and only what is behind it is trained, in seconds.
    draws
        K of the paper's answers; its own 40, of CAMUS 10, unless given.
    """
    from rich.console import Console

    from mcsdr.cli.train import RichWatcher, overrides_of
    from mcsdr.evaluation.reproduction import compare, plan, run

    given = overrides_of(settings)
    size: dict[str, Any] = {
        "folds": folds,
        "first": first,
        "seeds": seeds,
        "reduced": reduced,
        "frozen": frozen,
        "draws": draws,
    }
    jobs = plan(dataset, preset, root, out, overrides=given, **size)
    console = Console(stderr=True)
    for number, job in enumerate(jobs, 1):
        console.print(f"{number} of {len(jobs)}: {job.folder}{' is done' if job.done else ''}", markup=False)
        with RichWatcher() as watcher:
            run(job, watcher, lambda done, w=watcher: w.evaluated(done))  # type: ignore[misc]
    flags = ["--preset PRESET", *(["--folds"] if folds else []), *([f"--seeds {seeds}"] if seeds > 1 else [])]
    flags += [f"--first {first}"] if first else []
    flags += ["--frozen"] if frozen else ["--reduced"] if reduced else []
    flags += [f"--draws {draws}"] if draws else []
    flags += [f"--{key} {value}" for key, value in given.items() if key != "data.cache"]
    command = f"mcsdr reproduce {dataset} --root DATA {' '.join(flags)}"
    comparison = compare(dataset, out, jobs, command)
    answer = Console(width=None if Console().is_terminal else 140)  # a file has room
    answer.print(_table(comparison))
    for note in comparison.notes():
        answer.print(note, markup=False, highlight=False)
    print(f"Written to {out / dataset}: table.md, table.csv, table.tex, figures/ of each preset.")


def _table(comparison: Comparison) -> Table:
    """A row per method, without the intervals, which would not fit a terminal."""
    from rich.table import Table

    header, *rows = comparison.cells()
    table = Table(title=comparison.title())
    for name in header:
        first = name == header[0]
        table.add_column(name, justify="left" if first else "right", no_wrap=first)
    for row in rows:
        table.add_row(*(cell.split(" (")[0] if column else cell for column, cell in enumerate(row)))
    return table
