"""Measures of many clips as a table: a row a clip, a column a measure, an empty cell where a clip did not allow it.

Whoever holds real clips makes such a table and hands it on in their place: no picture, no name, and the rows in an
order that tells nothing. Measures come in groups, so that a table made before a group was added is read by the others.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcsdr.benchmark import anatomy_measures, picture_measures
from mcsdr.benchmark.record import Say
from mcsdr.errors import InputError, InvalidCohort, MissingFile, RefusedClip, UnreadableFile
from mcsdr.files import write_table
from mcsdr.io import read_clip
from mcsdr.study import Clip

Array = NDArray[np.float64]
Columns = Mapping[str, Array]  # the values of each measure [n], NaN where there is none

# Name and unit of every measure, in the order of the columns; a new group goes to the end.
GROUPS = {"picture": picture_measures.MEASURES, "anatomy": anatomy_measures.MEASURES}
NAMES = tuple(name for group in GROUPS.values() for name in group)
NEXT = "Give a table as --write-measures makes it: a row a clip, a column a measure, empty where there is none."


def measure(clip: Clip) -> dict[str, float]:
    """Every measure of every group of one clip.

    Raises:
        ClipTooShort: it holds no window.
    """
    return picture_measures.measure(clip) | anatomy_measures.measure(picture_measures.window(clip))


def columns(rows: Iterable[Mapping[str, float]]) -> Columns:
    """Measures of clips, one dictionary a clip, as columns."""
    held = list(rows)
    return {name: np.array([row[name] for row in held], dtype=np.float64) for name in NAMES}


def read_measures(path: Path) -> dict[str, Array]:
    """A table of measures: the values of each column, [n].

    Raises:
        MissingFile: there is no such file.
        UnreadableFile: it is no table, or a cell is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header, *rows = [row for row in csv.reader(file) if row]
        if any(len(row) != len(header) for row in rows):
            raise UnreadableFile("its rows differ in length.", path=path, next_step=NEXT)
        cells = [[float(cell) if cell.strip() else math.nan for cell in row] for row in rows]
    except FileNotFoundError as error:
        raise MissingFile("there is no such table.", path=path) from error
    except (OSError, ValueError, csv.Error) as error:  # never the cell itself, which may be a patient's
        raise UnreadableFile("it is no table of numbers under a line of names.", path=path, next_step=NEXT) from error
    values = np.array(cells, dtype=np.float64).reshape(len(rows), len(header))
    return dict(zip(header, np.where(np.isfinite(values), values, np.nan).T, strict=True))


def write_measures(path: Path, clips: Sequence[Path], say: Say) -> int:
    """Measure clips and write the table, rows in random order; a folder stands for all files in it.

    Returns:
        how many were measured. What is no clip, or one too short, is left out, and it is said how many.

    Raises:
        InvalidCohort: there is no clip to measure.
        UnwritableFile: the table cannot be written.
    """
    rows, left_out = [], Counter[str]()
    files = [file for one in clips for file in (sorted(one.iterdir()) if one.is_dir() else [one])]
    for number, file in enumerate(files, 1):
        try:
            found = measure(read_clip(file))
            rows.append([f"{found[name]:.4g}" if math.isfinite(found[name]) else None for name in NAMES])
        except (InputError, RefusedClip) as error:
            left_out[error.code] += 1
        if number % 50 == 0 or number == len(files):
            say(f"{number} of {len(files)} files measured")
    if left_out:
        say("Left out: " + ", ".join(f"{count} ({code})" for code, count in left_out.items()))
    if not rows:
        raise InvalidCohort("no clip could be measured.", next_step="Give clips, or a folder of them, with --clip.")
    order = np.random.default_rng().permutation(len(rows))  # of no seed, so that nobody can undo it
    write_table(path, NAMES, [rows[i] for i in order])
    return len(rows)
