"""`mcsdr train`: one experiment from its TOML file."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from mcsdr.errors import InvalidConfig, did_you_mean

SHOWN = 10  # studies that were left out, by name


def train(
    config: Annotated[
        str | None, Parameter(help="The name of an experiment that ships with the package, or a TOML file.")
    ] = None,
    /,
    *settings: Annotated[str, Parameter(allow_leading_hyphen=True, help="--table.key value, over the file's.")],
    out: Path = Path("runs/model"),
    list_: Annotated[bool, Parameter(name="--list", negative="")] = False,
    continue_with_changes: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Train a model, or go on with a training that was stopped.

    Any setting of the file can be given anew: mcsdr train phantom --optim.lr 1e-3 --optim.epochs 4. For several
    processes: torchrun --nproc-per-node 2 -m mcsdr train phantom.

    Parameters
    ----------
    out
        Folder for the checkpoint, the log and the model.
    list_
        Print the experiments that ship with the package, and train nothing.
    continue_with_changes
        Go on from a checkpoint of other settings, more epochs for one; the model's card tells both.
    """
    if list_:
        print("\n\n".join(_listed()))
        return
    if config is None:
        raise InvalidConfig(
            "no experiment is named.", next_step="`mcsdr train --list` prints those that ship with the package."
        )
    import os

    from mcsdr.training import Silence
    from mcsdr.training import train as run
    from mcsdr.training.settings import read_settings

    chosen = read_settings(file_of(config), overrides_of(settings))
    if int(os.environ.get("RANK", "0")) > 0:
        run(chosen, out, Silence(), continue_with_changes=continue_with_changes)
        return
    with RichWatcher() as watcher:
        model = run(chosen, out, watcher, continue_with_changes=continue_with_changes)
    figures = ", ".join(f"{name} {value:.3f}" for name, value in model.card.figures["validation"].items())
    print(f"Best model in {out / 'model'} ({figures}). {model.card.notice}")


def _listed() -> Iterator[str]:
    """The name of each experiment, and under it what its header says first."""
    from mcsdr.files.shipped import experiments, summary

    for name, path in experiments().items():
        yield f"{name}\n{textwrap.fill(summary(path), 78, initial_indent='  ', subsequent_indent='  ')}"


def file_of(config: str) -> Path:
    """The TOML file of this path, or the experiment of this name that ships with the package.

    Raises:
        MissingFile: there is neither.
    """
    from mcsdr.files.shipped import recipe

    return Path(config) if Path(config).is_file() else recipe(config)


def overrides_of(tokens: tuple[str, ...]) -> dict[str, str]:
    """("--optim.lr", "1e-3", "--run.seed=4") -> {"optim.lr": "1e-3", "run.seed": "4"}."""
    overrides, rest = {}, list(tokens)
    while rest:
        name, joined, value = rest.pop(0).partition("=")
        if not name.startswith("--") or "." not in name or not (joined or rest):
            raise _no_setting(name)
        overrides[name[2:]] = value if joined else rest.pop(0)
    return overrides


def _no_setting(word: str) -> InvalidConfig:
    """What is said of a word that is neither a setting with its value nor an option."""
    from mcsdr.training.settings import nearest_setting

    near = nearest_setting(word.lstrip("-")) or did_you_mean(word, ("--out", "--list"))
    return InvalidConfig(f"{word!r} is not --table.key followed by a value.{near}", next_step="Write --optim.lr 1e-3.")


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
        return self  # the bars appear with the first step: what is refused before it is refused without them

    def __exit__(self, *error: object) -> None:
        if self.progress.live.is_started:
            self.progress.stop()

    def cache(self, cohort: str, done: int, total: int) -> None:
        """A clip was rendered or decoded."""
        self._advance(f"clips ready ({cohort})", done, total)

    def skipped(self, cohort: str, bad: Sequence[tuple[str, str]]) -> None:
        """Say which studies are left out; all of them stand in the cache's bad_rows.csv."""
        for name, why in bad[:SHOWN]:
            self.progress.console.print(f"left out of {cohort}: {name}: {why}", markup=False, highlight=False)
        if len(bad) > SHOWN:
            self.progress.console.print(f"… and {len(bad) - SHOWN} more, listed in the cache's bad_rows.csv")

    def notice(self, text: str) -> None:
        """Say one sentence."""
        self.progress.console.print(text, markup=False, highlight=False)

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
        self.progress.start()
        if name not in self.tasks:
            self.tasks[name] = self.progress.add_task(name, total=total, note=note)
        self.progress.update(self.tasks[name], completed=done, note=note)  # type: ignore[arg-type]
