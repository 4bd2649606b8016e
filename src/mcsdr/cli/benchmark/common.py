"""What every benchmark's command shares: options, its folder, and how its report is shown and written."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from mcsdr.evaluation.evidence.record import Report, Say

OUT = Path("out/benchmark")
Names = Annotated[list[str] | None, Parameter(negative="")]
Paths = Annotated[list[Path] | None, Parameter(negative="")]
Flag = Annotated[bool, Parameter(negative="")]


def given(**options: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def folder_of(out: Path | None, name: str, quick: bool) -> Path:
    """Where a benchmark writes; tiny trainings never stand where those of full size go on."""
    return out or OUT / (f"{name}-quick" if quick else name)


def publish(measure: Callable[[Say], Report], out: Path, private: Sequence[Path] = ()) -> None:
    """Run a benchmark with its progress on standard error, print its tables, and write them.

    Arguments:
        private: folders and files of the user's own, written as FOLDER and FILE in the command.
    """
    from rich.console import Console

    import mcsdr
    from mcsdr.evaluation.evidence.record import SYNTHETIC

    progress = Console(stderr=True)
    report = measure(lambda line: progress.print(line, markup=False, highlight=False))
    answer = Console(width=None if Console().is_terminal else 200)  # a file has room
    for table in report.tables:
        table.show(answer)
    hidden = {str(path): "FOLDER" if path.is_dir() else "FILE" for path in private}
    words = [hidden.get(word, word) for argument in sys.argv[1:] for word in _words(argument)]
    report.write(out, shlex.join(["mcsdr", *words]))
    answer.print(f"{SYNTHETIC} {mcsdr.DISCLAIMER}" if report.synthetic else mcsdr.DISCLAIMER, markup=False)
    print(f"Written to {out}: {report.name}.md and {report.name}.json.")


def _words(argument: str) -> list[str]:
    """The two words of --option=value, any other argument as it is."""
    option, equals, value = argument.partition("=")
    return [option, value] if equals and option.startswith("--") else [argument]
