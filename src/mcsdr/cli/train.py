"""`mcsdr train`: one experiment from its TOML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from mcsdr.errors import InvalidConfig

SHOWN = 10  # studies that were left out, by name


def train(
    config: Path,
    /,
    *settings: Annotated[str, Parameter(allow_leading_hyphen=True, help="--table.key value, over the file's.")],
    out: Path = Path("runs/model"),
) -> None:
    """Train a model, or go on with a training that was stopped.

    Any setting of the file can be given anew: mcsdr train configs/phantom.toml --optim.lr 1e-3 --optim.epochs 4.
    For several processes: torchrun --nproc-per-node 2 -m mcsdr train configs/phantom.toml.

    Parameters
    ----------
    config
        The experiment; configs/phantom.toml names every setting.
    out
        Folder for the checkpoint, the log and the model.
    """
    import os

    from mcsdr.training import Silence
    from mcsdr.training import train as run
    from mcsdr.training.settings import read_settings

    chosen = read_settings(config, overrides_of(settings))
    if int(os.environ.get("RANK", "0")) > 0:
        run(chosen, out, Silence())
        return
    with RichWatcher() as watcher:
        model = run(chosen, out, watcher)
    figures = ", ".join(f"{name} {value:.3f}" for name, value in model.card.figures["validation"].items())
    print(f"Best model in {out / 'model'} ({figures}). {model.card.notice}")


def overrides_of(tokens: tuple[str, ...]) -> dict[str, str]:
    """("--optim.lr", "1e-3", "--run.seed=4") -> {"optim.lr": "1e-3", "run.seed": "4"}."""
    overrides, rest = {}, list(tokens)
    while rest:
        name, joined, value = rest.pop(0).partition("=")
        if not name.startswith("--") or "." not in name or not (joined or rest):
            raise InvalidConfig(f"{name!r} is not --table.key followed by a value.")
        overrides[name[2:]] = value if joined else rest.pop(0)
    return overrides


class RichWatcher:
    """Progress with the time left, and a line per validation."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (
            *Progress.get_default_columns()[:2],
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self.progress = Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True))
        self.tasks: dict[str, int] = {}

    def __enter__(self) -> RichWatcher:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def cache(self, cohort: str, done: int, total: int) -> None:
        """A clip was rendered or decoded."""
        self._advance(f"clips to {cohort} on", done, total)

    def skipped(self, cohort: str, bad: Sequence[tuple[str, str]]) -> None:
        """Say which studies are left out; all of them stand in the cache's bad_rows.csv."""
        for name, why in bad[:SHOWN]:
            self.progress.console.print(f"left out of {cohort}: {name}: {why}", markup=False, highlight=False)
        if len(bad) > SHOWN:
            self.progress.console.print(f"… and {len(bad) - SHOWN} more, listed in the cache's bad_rows.csv")

    def evaluated(self, done: int) -> None:
        """So many studies of the test split were answered."""
        self._advance("evaluating", done, None)

    def step(self, step: int, steps: int, loss: float) -> None:
        """A step was made."""
        self._advance("training", step, steps, f"loss {loss:.3f}")

    def validated(self, step: int, figures: dict[str, float], best: bool) -> None:
        """The validation cohort was answered."""
        text = "  ".join(f"{name} {value:.3f}" for name, value in figures.items())
        self.progress.console.print(f"step {step:6d}  {text}{'  best' if best else ''}", highlight=False)

    def _advance(self, name: str, done: int, total: int | None, note: str = "") -> None:
        if name not in self.tasks:
            self.tasks[name] = self.progress.add_task(name, total=total, note=note)
        self.progress.update(self.tasks[name], completed=done, note=note)  # type: ignore[arg-type]
