"""`mcsdr simulate`: a cohort of phantoms in a data set's own layout."""

from __future__ import annotations

from pathlib import Path


def simulate(out: Path, /, *, n: int = 100, seed: int = 0, seconds: float = 2.0) -> None:
    """Write synthetic echocardiograms with known ejection fraction, in EchoNet-Dynamic's layout.

    Parameters
    ----------
    out
        Folder to write; it must not hold a data set yet.
    n
        Number of patients, one clip each.
    seed
        Cohorts of different seeds share nobody.
    seconds
        Length of each clip.
    """
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from mcsdr.phantom.layouts import write_echonet_dynamic

    columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("phantoms", total=n)
        write_echonet_dynamic(out, n, seed, seconds, lambda done: progress.update(task, completed=done))
    print(f"{n} synthetic patients in {out} (FileList.csv, Attributes.csv, Videos/). No patient was examined.")
