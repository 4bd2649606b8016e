"""A benchmark's tables on disk and on the screen, with what makes them repeatable.

OUT/<name>.md     every table with its notes, then model, date, version, commit, machine and command
OUT/<name>.json   the same as data
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import mcsdr
from mcsdr.files import write_atomically

if TYPE_CHECKING:
    from rich.console import Console

Cell = str | float | int | None
Say = Callable[[str], None]  # told, in one line, how far a benchmark is
SYNTHETIC = "SYNTHETIC phantoms, no patient."


@dataclass(frozen=True)
class Table:
    """One table: a title, headings, rows (the first cell names the row), and notes.

    Numbers are shown with `digits` decimals, None and NaN as a dash; data files keep them whole.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    digits: int = 3

    def markdown(self) -> str:
        """The table and its notes."""
        lines = [self.header, ["---"] * len(self.header), *(map(self.shown, row) for row in self.rows)]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return "\n\n".join([f"## {self.title}", table, *self.notes])

    def record(self) -> dict[str, Any]:
        """The table as plain data; what is not a number is None."""
        rows = [[None if isinstance(c, float) and not math.isfinite(c) else c for c in row] for row in self.rows]
        return {"title": self.title, "header": list(self.header), "rows": rows, "notes": list(self.notes)}

    def shown(self, cell: Cell) -> str:
        """A cell as it is read."""
        if cell is None or (isinstance(cell, float) and math.isnan(cell)):
            return "–"
        return f"{cell:.{self.digits}f}" if isinstance(cell, float) else str(cell)

    def show(self, console: Console) -> None:
        """Print it."""
        from rich.table import Table as RichTable

        table = RichTable(title=self.title, caption="\n".join(self.notes) or None)
        for index, heading in enumerate(self.header):
            table.add_column(heading, justify="right" if index else "left")
        for row in self.rows:
            table.add_row(*map(self.shown, row))
        console.print(table)


def met(reached: bool) -> str:
    """How every table says whether a figure was reached."""
    return "met" if reached else "not met"


@dataclass(frozen=True)
class Report:
    """What one benchmark found.

    Arguments:
        name: of the files, such as "posterior-exactness".
        tables: in the order in which they are read.
        settings: everything that the figures depend on: sizes, seeds, model hashes, sampler settings.
        synthetic: whether it was measured on phantoms; said on its face.
        marks: what must stand above the figures, such as that the model has seen these people.
    """

    name: str
    tables: Sequence[Table]
    settings: dict[str, Any] = field(default_factory=dict)
    synthetic: bool = True
    marks: Sequence[str] = ()

    def write(self, folder: Path, command: str) -> None:
        """NAME.md and NAME.json, each in one piece or not at all."""
        about = circumstances(command)
        head = [f"# {self.name}", *([f"**{SYNTHETIC}**"] if self.synthetic else []), *(f"**{m}**" for m in self.marks)]
        foot = ["---", *(f"{key}: {value}" for key, value in (self._model() | about).items()), mcsdr.DISCLAIMER]
        text = "\n\n".join([*head, *(table.markdown() for table in self.tables), *foot])
        write_atomically(folder / f"{self.name}.md", f"{text}\n".encode())
        tables = [table.record() for table in self.tables]
        data = {
            **about,
            "synthetic": self.synthetic,
            "marks": list(self.marks),
            "settings": self.settings,
            "tables": tables,
        }
        write_atomically(folder / f"{self.name}.json", json.dumps(data, indent=1, allow_nan=False).encode())

    def _model(self) -> dict[str, str]:
        """The model that was asked, where it is one, and by which weights it is known again."""
        name, sha256 = self.settings.get("model"), self.settings.get("sha256")
        return {"model": f"{name}, SHA-256 {sha256[:16]}…"} if name and sha256 else {}


def circumstances(command: str) -> dict[str, str]:
    """When, from what and on what kind of machine a benchmark was run."""
    cores = f"{os.cpu_count()} cores, {platform.machine()}"
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return {
        "command": command,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "mcsdr": mcsdr.__version__,
        "commit": _commit(),
        "machine": f"{cores}, {device}",
        "software": f"Python {sys.version.split()[0]}, torch {torch.__version__}",
    }


def _commit() -> str:
    """The commit of the source tree that runs, marked where it was changed since."""
    folder = Path(__file__).parent
    try:
        run = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude", "*"]
        return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "not run from a source tree"
