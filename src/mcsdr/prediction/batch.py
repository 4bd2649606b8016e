"""Many clips to one table, a row at a time: a run that was killed goes on where it stopped.

    SOURCE --inputs_of--> inputs --answer_file, in order--> rows --each appended and flushed--> OUT.csv

OUT.csv.run.json holds what the rows depend on: model, sampling, threshold, version, and a fingerprint of the inputs. A
run goes on only where all of it is unchanged. A last line without its line feed was torn by the kill and is taken away;
of the others each says the input's place, which is checked. Nothing of an answer is kept but its row, so that ten
thousand inputs take the memory of one.

Behind the last input's row stands one for each kind of file that was passed over as no clip (rows.py). It depends on
no input: these rows are taken away and written anew whenever the command is repeated.

Folders may name people: a row names its file without them unless they are asked for, and says the input's place, its
id where the source gives one, and the SHA-256 of its bytes.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from io import RawIOBase
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from mcsdr.abstention.gates import checked_threshold
from mcsdr.datasets.table import Shelf
from mcsdr.diffusion.sampler import SamplerSettings
from mcsdr.errors import (
    ChangedRun,
    InvalidAttributes,
    InvalidConfig,
    LostWorker,
    McsdrError,
    MissingFile,
    UnreadableFile,
    UnsupportedFormat,
    UnwritableFile,
)
from mcsdr.files import csv_bytes, locked_table, write_atomically
from mcsdr.files.workers import worker_pool
from mcsdr.io import no_clip, survey
from mcsdr.io.tables import described, table_lines
from mcsdr.model import Answer, Model, load
from mcsdr.model.record import provenance
from mcsdr.posterior import Population
from mcsdr.prediction.answers import Failure, answer_file
from mcsdr.prediction.priors import prior_for
from mcsdr.prediction.rows import COLUMNS, PASSED_OVER, cells_of, cells_passed_over, safe

HEADER = ("row", "id", *COLUMNS)
KNOWN = {"age": "age", "sex": "sex", "weight": "weight", "height": "height", "frame_rate": "frame_rate_hz"}
NO_CLIPS = "passed_over"  # in OUT.csv.run.json; what is no clip changes no input's row
TABLES = (".csv", ".tsv", ".txt")
AHEAD = 2  # inputs that wait for each worker


class Input(NamedTuple):
    """One input: where it lies, what the source calls it, its id, and what is known of the patient, as written."""

    path: Path
    file: str
    id: str = ""
    known: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Asked:
    """How the inputs are answered.

    Attributes:
        model: a bundled model's name or a folder.
        sampler: another way of sampling than the model's own.
        threshold, anyway: as for `prediction.answer`.
        folders: whether a row names its file as the source does, folders and all.
        prior: the population that the clips come from, in place of that which the model learnt from.
    """

    model: str
    sampler: SamplerSettings | None = None
    threshold: float | None = None
    anyway: bool = False
    folders: bool = False
    prior: Population | None = None


@dataclass
class Tally:
    """What became of the inputs so far; of all but the answered the codes are counted."""

    answered: int = 0
    insisted: Counter[str] = field(default_factory=Counter)
    abstained: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    def add(self, row: Mapping[str, Any]) -> None:
        """Count one row, as it was made or as it was read."""
        if row["error"]:
            self.failed[row["error"]] += 1
        elif not row["abstained"]:
            self.answered += 1
        else:
            shown = row["median"] not in (None, "")
            (self.insisted if shown else self.abstained)[row["abstained"]] += 1

    @property
    def rows(self) -> int:
        """How many inputs were counted."""
        return self.answered + sum(counts.total() for counts in (self.insisted, self.abstained, self.failed))


def run(
    inputs: Sequence[Input],
    out: str | Path,
    asked: Asked,
    *,
    workers: int = 1,
    restart: bool = False,
    said: Callable[[int], None] | None = None,
    passed_over: Mapping[str, int] | None = None,
) -> Tally:
    """Answer every input and append its row, from the first that has none.

    Arguments:
        inputs: of `inputs_of`.
        out: the table; OUT.csv.run.json stands beside it.
        workers: processes that answer; the rows are the same and in the same order.
        restart: begin anew, over what an earlier run wrote.
        said: told how many rows there are, once at the start and after each.
        passed_over: what else lay in the folder, by kind: the table's last rows, and in OUT.csv.run.json.

    Raises:
        ChangedRun: the table is of other inputs, another model or other settings, or of no batch.
        OutputInUse: another batch writes this table.
        InvalidConfig, InvalidModel, UnwritableFile, LostWorker.
    """
    checked_threshold(asked.threshold)
    if workers < 1:
        raise InvalidConfig(f"the number of workers is {workers}.", next_step="Give at least one: --workers 1.")
    with locked_table(Path(out), "mcsdr batch"):
        return _run(inputs, Path(out), asked, workers, restart, said, dict(passed_over or {}))


def _run(
    inputs: Sequence[Input],
    out: Path,
    asked: Asked,
    workers: int,
    restart: bool,
    said: Callable[[int], None] | None,
    passed_over: dict[str, int],
) -> Tally:
    model = load(asked.model)
    prior_for(model, asked.prior)
    settings = _settings(model, inputs, asked) | {NO_CLIPS: passed_over}
    tally = _begun(out, inputs, asked, settings, restart)
    told = said or (lambda rows: None)
    told(tally.rows)
    places = range(tally.rows, len(inputs))
    one = (_row(place, inputs[place], asked, model) for place in places)
    with _typed(out):
        table = out.open("ab", buffering=0)  # whole rows reach the file, and nothing is left to fail at the close
    with table:
        for row in one if workers == 1 else _pooled(places, inputs, asked, workers):
            _append(table, out, [row])
            tally.add(row)
            told(tally.rows)
        _append(table, out, list(cells_passed_over(passed_over)))
    return tally


def _append(table: RawIOBase, out: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows to the end of a table, all of them or, where there is no room, with an error."""
    lines = csv_bytes([[row.get(name) for name in HEADER] for row in rows])
    with _typed(out):
        if (table.write(lines) or 0) < len(lines):
            raise OSError(errno.ENOSPC, "no room for another row")


@contextmanager
def _typed(out: Path) -> Iterator[None]:
    """What fails inside is the table's fault."""
    try:
        yield
    except OSError as error:
        raise UnwritableFile(f"it cannot be written: {error.strerror}.", path=out) from error


# --- where the inputs come from --------------------------------------------------------------------------------------


def inputs_of(source: str | Path) -> list[Input]:
    """The inputs of a source, see `listed`."""
    return listed(source)[0]


def listed(source: str | Path) -> tuple[list[Input], Counter[str]]:
    """The inputs of a folder, in `find_clips`'s order, and what was passed over; or a table's, a row each.

    A table has a column `file`; its paths are relative to its folder, or absolute. Its optional columns are id, age,
    sex, weight, height and frame_rate, any others are passed over. `io.tables` says what tables are read.

    Raises:
        MissingFile, UnreadableFile, UnsupportedFormat: the source cannot be used; a missing clip is no such error.
    """
    source = Path(source)
    if source.is_dir():
        found = survey(source)
        if not found.clips:
            raise no_clip(source, found)
        named = {path: path.relative_to(source).as_posix() for path in found.clips}
        if source in named:  # a folder of numbered pictures
            named[source] = source.resolve().name
        return [Input(path, name) for path, name in named.items()], found.passed_over
    if not source.exists():
        raise MissingFile("there is no such file or folder", path=source)
    if source.suffix.lower() not in TABLES:
        step = "Give a folder of clips or a .csv file; `mcsdr predict` answers single clips."
        raise UnsupportedFormat("it is neither a folder nor a table", path=source, next_step=step)
    return _inputs_of_rows(source), Counter()


def _inputs_of_rows(source: Path) -> list[Input]:
    lines = table_lines(source, strict=True)
    header = [name.strip().lower() for name in next(lines, (0, []))[1]]
    if "file" not in header:
        step = "Give it a header with a column 'file', and one row for each clip."
        raise UnreadableFile(f"it has no column 'file'; {described(source)}", path=source, next_step=step)
    inputs = []
    shelf = Shelf(source.parent)
    for _, cells in lines:
        if not cells:
            continue
        row = {name: cell.strip() for name, cell in zip(header, cells, strict=False)}
        file = row.get("file", "")
        known = tuple((name, row[name]) for name in KNOWN if row.get(name))
        inputs.append(Input(shelf.find(source.parent / file), file, row.get("id", ""), known))
    if not inputs:
        raise MissingFile("the table has no row", path=source, next_step="Give one row for each clip.")
    return inputs


# --- rows ------------------------------------------------------------------------------------------------------------


def answer_input(wanted: Input, asked: Asked, model: Model) -> Answer | Failure:
    """The answer to one input, or why there is none; what is known stands above what the file says."""
    try:
        if not wanted.file:
            raise MissingFile("the row names no file", next_step="Fill the cell of the column 'file'.")
        known: dict[str, Any] = {KNOWN[name]: text for name, text in wanted.known}
        if "frame_rate_hz" in known:
            known["frame_rate_hz"] = _number("frame_rate", known["frame_rate_hz"])
    except McsdrError as error:
        return Failure(wanted.file, error)
    how: dict[str, Any] = {"threshold": asked.threshold, "anyway": asked.anyway, "prior": asked.prior}
    return answer_file(wanted.path, model, sampler=asked.sampler, **how, **known)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidAttributes(f"{name} is {text!r}; it must be a number.") from None


def _row(place: int, wanted: Input, asked: Asked, model: Model) -> dict[str, Any]:
    record = answer_input(wanted, asked, model).record() | {"file": _called(wanted, asked)}
    return {"row": place + 1, "id": safe(wanted.id) or None, **cells_of(record)}


def _called(wanted: Input, asked: Asked) -> str:
    return wanted.file if asked.folders else PurePath(wanted.file).name


# --- several processes -----------------------------------------------------------------------------------------------


def _pooled(places: range, inputs: Sequence[Input], asked: Asked, workers: int) -> Iterator[dict[str, Any]]:
    """The rows in order; few inputs are ahead of the row that is waited for."""
    waiting: deque[Future[dict[str, Any]]] = deque()
    pool = worker_pool(workers, _leave_interrupts_to_the_parent)
    try:
        for place in places:
            waiting.append(pool.submit(_row_of_worker, place, inputs[place], asked))
            if len(waiting) == AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise LostWorker("a worker died, of a lack of memory or of a clip that no reader survives.") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _row_of_worker(place: int, wanted: Input, asked: Asked) -> dict[str, Any]:
    return _row(place, wanted, asked, _loaded(asked.model))


@cache
def _loaded(name: str) -> Model:
    """The model of a worker, which answers with one all its life."""
    return load(name)


# --- going on --------------------------------------------------------------------------------------------------------


def _settings(model: Model, inputs: Sequence[Input], asked: Asked) -> dict[str, Any]:
    """What the rows depend on, as it stands in OUT.csv.run.json."""
    digest = hashlib.sha256()
    for wanted in inputs:
        digest.update(json.dumps([wanted.file, wanted.id, wanted.known]).encode() + b"\n")
    settings = {
        **provenance(model, asked.sampler or model.sampler),
        "threshold": asked.threshold,
        "answer_anyway": asked.anyway,
        "folders": asked.folders,
        "prior": None if asked.prior is None else asked.prior.model_dump(),
        "columns": list(HEADER),
        "inputs": len(inputs),
        "inputs_sha256": digest.hexdigest(),
    }
    plain: dict[str, Any] = json.loads(json.dumps(settings))  # as it reads back
    return plain


def _begun(out: Path, inputs: Sequence[Input], asked: Asked, settings: dict[str, Any], restart: bool) -> Tally:
    """The rows that stand already, counted, after what a kill tore is taken away; a new table has none."""
    beside = out.with_name(f"{out.name}.run.json")
    if out.exists() and not beside.exists():
        step = "Name another table, or move this one away."
        raise ChangedRun(f"it stands there, and {beside.name} does not: no batch wrote it.", path=out, next_step=step)
    if restart or not out.exists():
        with _typed(out):
            out.unlink(missing_ok=True)  # first, so that no table ever stands beside the settings of another
        write_atomically(beside, json.dumps(settings, indent=2).encode())
        write_atomically(out, csv_bytes([HEADER]))
        return Tally()
    changed = _changes(beside, settings)
    if changed:
        raise ChangedRun(f"it was begun with other settings: {changed}.", path=out)
    write_atomically(beside, json.dumps(settings, indent=2).encode())  # what is passed over may be other files by now
    with _typed(out):
        return _repaired(out, inputs, asked)


def _changes(beside: Path, settings: dict[str, Any]) -> str:
    """What differs from the run that began the table, in words; empty where nothing does."""
    try:
        before = json.loads(beside.read_text())
    except (OSError, ValueError):
        before = None
    if not isinstance(before, dict):
        return f"{beside.name} cannot be read"
    compared = [name for name in {**before, **settings} if name != NO_CLIPS]
    names = [name for name in compared if before.get(name) != settings.get(name)]
    return ", ".join("the list of inputs" if name == "inputs_sha256" else name for name in names)


def _repaired(out: Path, inputs: Sequence[Input], asked: Asked) -> Tally:
    """Cut the table after the last whole row of an input, and count what stands before the cut."""
    tally, end = Tally(), 0
    with out.open("r+b") as table:
        for place, line in enumerate(table, -1):
            if not line.endswith(b"\n"):
                break
            cells = next(csv.reader([line.decode(errors="replace")]), [])
            row = dict(zip(HEADER, cells, strict=False))
            if place >= len(inputs) and len(cells) == len(HEADER) and row["error"] == PASSED_OVER and not row["row"]:
                continue  # it is written anew
            if place >= 0:
                expected = None if place >= len(inputs) else (str(place + 1), safe(_called(inputs[place], asked)))
                if len(cells) != len(HEADER) or (row["row"], row["file"]) != expected:
                    raise ChangedRun(f"line {place + 2} is not the row of input {place + 1}: it was edited.", path=out)
                tally.add(row)
            elif tuple(cells) != HEADER:
                raise ChangedRun("its first line is not the header that a batch writes.", path=out)
            end += len(line)
        table.truncate(end)
        table.seek(end)
        if not end:
            table.write(csv_bytes([HEADER]))
    return tally
