"""Reading the tables of data sets, cell by cell.

A cell whose text is not a number costs its own row and never the table: it becomes a Fault of that row. Only what
makes the whole table unreadable (no file, no such column, bytes that are not text) is an error. A name in a table is
text that somebody else wrote, so it never leads out of the data set's folder.
"""

from __future__ import annotations

import os
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from mcsdr.datasets.entries import SPLITS, ClipEntry, Entry, Fault
from mcsdr.errors import InputError, InvalidCohort, InvalidConfig, MissingFile, UnreadableFile
from mcsdr.io.tables import described, table_lines
from mcsdr.study import SEXES, View

BLANK = ("", "nan", "na", "n/a", "none", "null")
VIEWS = {"a4c": View.A4C, "4ch": View.A4C, "ap4": View.A4C, "a2c": View.A2C, "2ch": View.A2C, "ap2": View.A2C}
VIEWS["psax"] = View.PSAX
ATTRIBUTES = {"age_years": "Age", "weight_kg": "Weight", "height_cm": "Height"}
EF_SPREAD = 0.5  # points that the EF repeated over the clips of one study may differ by


class Row:
    """One row of a table, and the faults found while its cells were read.

    Arguments:
        cells: text by column.
        where: where it stands, for messages, such as "FileList.csv line 17".
    """

    def __init__(self, cells: Mapping[str, str], where: str) -> None:
        self.cells, self.where = cells, where
        self.faults: list[Fault] = []

    def text(self, column: str) -> str:
        """The cell's text, "" where there is none."""
        return self.cells.get(column, "").strip()

    def number(self, column: str, what: str, severity: Literal["bad", "doubt"] = "bad") -> float | None:
        """The cell as a number; None where it is blank, or is no number: then with a fault "`what`-not-a-number"."""
        text = self.text(column)
        if text.lower() in BLANK:
            return None
        try:
            if "_" in text:  # which Python would read as 1_000
                raise ValueError
            return float(text)
        except ValueError:
            self.fault(f"{what}-not-a-number", f"{column} is {text[:40]!r}, not a number", severity)
            return None

    def integer(self, column: str, what: str) -> int | None:
        """The cell as a whole number; anything else is a doubt, since only EF and attributes are learnt from."""
        value = self.number(column, what, "doubt")
        if value is None:
            return None
        if value.is_integer() and abs(value) < 1e9:
            return int(value)
        self.fault(f"{what}-not-a-number", f"{column} is {self.text(column)[:40]!r}, not a whole number", "doubt")
        return None

    def attributes(self, columns: Mapping[str, str] = ATTRIBUTES, sex: str = "Sex") -> dict[str, float | str]:
        """What the row says of the patient, by the names of `Attributes`; a sex other than F or M is unknown."""
        read = {name: self.number(column, "attribute") for name, column in columns.items()}
        known: dict[str, float | str] = {name: value for name, value in read.items() if value is not None}
        letter = SEXES.get(self.text(sex).lower())
        return known | ({"sex": letter} if letter else {})

    def split(self, column: str = "Split") -> str | None:
        """The split's name in lower case; a name that is none of the three is a fault."""
        text = self.text(column).lower()
        if text in SPLITS:
            return text
        if text not in BLANK:
            self.fault("unknown-split", f"{column} is {self.text(column)[:40]!r}, none of {', '.join(SPLITS)}")
        return None

    def path(self, folder: Path, column: str, suffix: str = "", *, nested: bool = False) -> Path | None:
        """The file that the cell names within a folder, `suffix` added where the name lacks it.

        Arguments:
            nested: whether it may lie in a folder below; otherwise the name is a plain one.

        Returns:
            None, with a fault "bad-path", where the name is blank or leads out of the folder.
        """
        name = self.text(column)
        parts = name.replace("\\", "/").removeprefix("./").split("/")
        if (not nested and len(parts) > 1) or "\0" in name or ":" in name or not {"", ".", ".."}.isdisjoint(parts):
            self.fault("bad-path", f"{column} is {name[:80]!r}, not the name of a file in the data set")
            return None
        return folder.joinpath(*parts[:-1], parts[-1] if name.lower().endswith(suffix) else parts[-1] + suffix)

    def fault(self, code: str, text: str, severity: Literal["bad", "doubt"] = "bad") -> None:
        """Note a fault."""
        self.faults.append(Fault(code, text, severity))


def stem(name: str) -> str:
    """A clip's name without ".avi"."""
    return name[:-4] if name.lower().endswith(".avi") else name


def view_of(text: str) -> View:
    """The view that a text names; UNKNOWN where it names none."""
    return VIEWS.get(text.strip().lower(), View.UNKNOWN)


def picked(path: Path, names: Sequence[str], *, holding: str = "") -> Iterator[tuple[int, tuple[str, ...]]]:
    """Line number and the cells of some columns, for long tables; rows cut short are left out.

    Arguments:
        names: the columns, in the order of the cells.
        holding: lines without this text are passed over before they are parsed.

    Raises:
        InvalidCohort: there is no such table, it lacks a column, or it is not text.
    """
    rows = _lines(path, holding)
    header = _header(rows, names, path)
    at = [header.index(name) for name in names]
    for line, cells in rows:
        if len(cells) > max(at):
            yield line, tuple([cells[i] for i in at])


def wanted_views(views: Iterable[View | str]) -> tuple[View, ...]:
    """Views by name.

    Raises:
        InvalidConfig: there is no such view.
    """
    try:
        return tuple(View(view) for view in views)
    except ValueError as error:
        raise InvalidConfig(f"{error}.", next_step=f"Choose among {', '.join(View)}.") from None


def records(
    path: Path, required: Sequence[str] = (), *, any_case: bool = False
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column of each row that is not blank, see `io.tables`.

    Arguments:
        required: columns that must be there.
        any_case: whether columns are known by their lower-case names.

    Raises:
        InvalidCohort: there is no such table, it lacks a column, or it is not text.
    """
    rows = _lines(path)
    header = _header(rows, required, path, any_case)
    return ((line, dict(zip(header, cells, strict=False))) for line, cells in rows if cells)


def _header(
    rows: Iterator[tuple[int, list[str]]], required: Sequence[str], path: Path, any_case: bool = False
) -> list[str]:
    _, cells = next(rows, (0, []))
    names = [name.strip().lower() if any_case else name.strip() for name in cells]
    missing = [name for name in required if name not in names]
    if missing:
        cause = f"the table lacks the column {', '.join(missing)}; {described(path)}."
        raise InvalidCohort(cause, path=path, next_step="Name the column so, or point at the table that holds it.")
    return names


def _lines(path: Path, holding: str = "") -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of the header and of every row that holds a text."""
    try:
        yield from table_lines(path, holding)
    except MissingFile:
        raise InvalidCohort("no such table.", path=path) from None
    except UnreadableFile as error:
        raise InvalidCohort(f"the table cannot be read: {error.cause}.", path=path, next_step=error.next_step) from None


def read_table(path: Path, required: Sequence[str] = (), *, name: str = "", any_case: bool = False) -> list[Row]:
    """The rows of a table; `name` is what messages call it. Errors as for `records`."""
    name = name or path.name
    return [Row(cells, f"{name} line {line}") for line, cells in records(path, required, any_case=any_case)]


def by_clip(path: Path) -> dict[str, Row]:
    """The rows of a table that may lie beside a data set's own, by the clip's name without ".avi"."""
    return {stem(row.text("FileName")): row for row in read_table(path, ("FileName",))} if path.exists() else {}


def columns(path: Path) -> tuple[str, ...]:
    """The lower-case names of a table's columns; none where it cannot be read."""
    try:
        return tuple(name.strip().lower() for name in next(table_lines(path), (0, []))[1])
    except InputError:
        return ()


class Shelf:
    """Finds the files that a table names: in the folder where they should lie, else in others, whatever their case.

    Each folder is listed once, since a data set has thousands of files.
    """

    def __init__(self, *folders: Path) -> None:
        self._folders = folders
        self._listed: dict[Path, dict[str, str]] = {}

    def find(self, path: Path) -> Path:
        """The file of this name, or the same path where there is none."""
        wanted = path.name.lower()
        for folder in (path.parent, *self._folders):
            names = self._names(folder)
            if path.name in names.values():
                return folder / path.name
            if wanted in names:
                return folder / names[wanted]
        return path

    def _names(self, folder: Path) -> dict[str, str]:
        """The names of a folder's files by their lower case."""
        if folder not in self._listed:
            try:
                self._listed[folder] = {name.lower(): name for name in sorted(os.listdir(folder))}
            except (OSError, ValueError):
                self._listed[folder] = {}
        return self._listed[folder]


def first_folder(root: Path, below: Iterable[str], holds: str) -> Path:
    """The first of root and the folders `below` it that holds a file or folder of the name `holds`, else root."""
    return next((root / name for name in ("", *below) if (root / name / holds).exists()), root)


def beside(root: Path, name: str) -> Path | None:
    """A file that lies in a data set's folder, or in one of the two above where a part of the data set was named."""
    return next((at / name for at in (root, *root.absolute().parents[:2]) if (at / name).is_file()), None)


def with_truth(entries: Iterable[Entry], root: Path) -> list[Entry]:
    """The entries of phantoms with the true EF, from the table Truth.csv that this package writes beside them."""
    path = beside(root, "Truth.csv")
    rows = read_table(path, ("Name", "TrueEF")) if path else []
    truth = {stem(row.text("Name")).removeprefix("training/"): row.number("TrueEF", "true-ef") for row in rows}

    def true_ef(entry: Entry) -> float | None:
        names = (entry.study_id, *(stem(clip.name) for clip in entry.clips))
        return next((truth[name] for name in names if name in truth), entry.true_ef_percent)

    return [replace(entry, true_ef_percent=true_ef(entry)) for entry in entries] if truth else list(entries)


def studies(entries: Iterable[Entry]) -> list[Entry]:
    """Entries of single clips joined into one per study, in the order of their first clips.

    A study whose rows disagree in patient or split stays in parts, so that it is found as a duplicate or a leak. The
    EF is the median of its rows', each attribute the first that is known.
    """
    groups: dict[tuple[str, str, str | None], list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.study_id, entry.patient_id, entry.split].append(entry)
    return [group[0] if len(group) == 1 else _joined(group) for group in groups.values()]


def _joined(group: Sequence[Entry]) -> Entry:
    faults = list(group[0].faults)
    faults += [replace(fault, text=f"{e.row}: {fault.text}") for e in group[1:] for fault in e.faults]
    clips: dict[Path, ClipEntry] = {}
    for entry in group:
        for clip in entry.clips:
            if clip.path in clips:
                faults.append(Fault("duplicate", f"{entry.row} names {clip.name[:80]!r} again", "doubt"))
            clips.setdefault(clip.path, clip)
    efs = [entry.ef_percent for entry in group if entry.ef_percent is not None]
    if efs and max(efs) - min(efs) > EF_SPREAD:
        text = f"its clips carry EF from {min(efs):g} to {max(efs):g} %; the median was taken"
        faults.append(Fault("ef-disagrees", text, "doubt"))
    return replace(
        group[0],
        clips=tuple(clips.values()),
        ef_percent=statistics.median(efs) if efs else None,
        esv_ml=next((entry.esv_ml for entry in group if entry.esv_ml is not None), None),
        edv_ml=next((entry.edv_ml for entry in group if entry.edv_ml is not None), None),
        true_ef_percent=next((e.true_ef_percent for e in group if e.true_ef_percent is not None), None),
        attributes={name: value for entry in reversed(group) for name, value in entry.attributes.items()},
        faults=tuple(faults),
    )
