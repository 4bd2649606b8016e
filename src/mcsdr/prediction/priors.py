"""A population by its name or from a table: what `mcsdr predict --prior NAME|FILE` takes.

A table has a column `ef` (EF in %) and may have a column `share`: with it each row says how frequent an EF is, in any
unit; without it each row is one reading. Other columns are passed over.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from mcsdr.errors import InvalidConfig, UnreadableFile
from mcsdr.io.tables import described, table_lines
from mcsdr.posterior.population import NAMED, Population, named_population

if TYPE_CHECKING:
    from mcsdr.model import Model

STEP = "Give a table with a column 'ef' in %, one reading a row, or with a column 'share' beside it."


def prior_of(given: str | Path | Population | None) -> Population | None:
    """The population that was named, or that of a file of readings; None of None.

    Raises:
        InvalidConfig: there is no such population and no such file, or what it holds makes none.
        UnreadableFile: the file is no such table.
    """
    if given is None or isinstance(given, Population):
        return given
    if str(given) in NAMED or not Path(given).is_file():
        return named_population(str(given))
    return _of_table(Path(given))


def prior_for(model: Model, given: str | Path | Population | None) -> Population | None:
    """As `prior_of`, for answers of this model: refused here, before any clip is read, where it cannot be told for it.

    Raises:
        InvalidConfig, UnreadableFile: as `prior_of`.
        InvalidModel: a population is given, and that which the model learnt from is not known.
    """
    stated = prior_of(given)
    if stated is not None:
        _ = model.population
    return stated


def _of_table(path: Path) -> Population:
    lines = table_lines(path)
    header = [name.strip().lower() for name in next(lines, (0, []))[1]]
    if "ef" not in header:
        raise UnreadableFile(f"it has no column 'ef'; {described(path)}", path=path, next_step=STEP)
    try:
        rows = [
            (float(cells[header.index("ef")]), float(cells[header.index("share")]) if "share" in header else 1.0)
            for _, cells in lines
            if any(cell.strip() for cell in cells)
        ]
    except (ValueError, IndexError) as error:
        raise UnreadableFile(f"a row of it is no number ({error})", path=path, next_step=STEP) from error
    if "share" not in header:
        return Population.of_readings(path.name, [ef for ef, _ in rows])
    rows.sort()
    try:
        return Population(
            name=path.name, ef_percent=tuple(ef for ef, _ in rows), density=tuple(share for _, share in rows)
        )
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InvalidConfig(f"it is no population: {why}.", path=path, next_step=STEP) from error
