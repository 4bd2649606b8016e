"""A row of `mcsdr.model.record` as cells that a spreadsheet shows as they are.

A table of a folder ends with a row for each kind of file that was passed over as no clip. It is no input's: it names no
file and has no `row`; `error` is "passed-over", and `reason` says how many there were, and what.

A spreadsheet takes a cell that begins with = + - or @ for a formula, and a file name may begin so: text that does gets
an apostrophe before it. What cannot be printed becomes "\ufffd", so that a row is always one line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import mcsdr
from mcsdr.model.record import COLUMNS, row_of
from mcsdr.report import printable

__all__ = ["COLUMNS", "PASSED_OVER", "cells_of", "cells_passed_over", "safe"]

FORMULA = ("=", "+", "-", "@")
PASSED_OVER = "passed-over"


def cells_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The cells of a record by column; None is an empty cell."""
    return {name: safe(cell) for name, cell in row_of(record).items()}


def cells_passed_over(kinds: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """The cells of the last rows: of each kind of file in a folder that is no clip, by how many there are."""
    for kind, count in sorted(kinds.items(), key=lambda item: (-item[1], item[0])):
        yield dict.fromkeys(COLUMNS) | {
            "error": PASSED_OVER,
            "reason": f"{count} {'file' if count == 1 else 'files'} passed over as no clip: {kind}",
            "next_step": "Nothing to do, unless one should have been read: docs/formats.md lists what is.",
            "version": mcsdr.__version__,
            "disclaimer": mcsdr.DISCLAIMER,
        }


def safe(cell: Any) -> Any:
    """A cell that a spreadsheet shows as it is; numbers and None are left alone."""
    if not isinstance(cell, str):
        return cell
    text = printable(cell)
    return f"'{text}" if text.startswith(FORMULA) else text
