"""A row of `mcsdr.model.record` as cells that a spreadsheet shows as they are.

A spreadsheet takes a cell that begins with = + - or @ for a formula, and a file name may begin so: text that does gets
an apostrophe before it. What cannot be printed becomes "\ufffd", so that a row is always one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcsdr.model.record import COLUMNS, row_of
from mcsdr.report import printable

__all__ = ["COLUMNS", "cells_of", "safe"]

FORMULA = ("=", "+", "-", "@")


def cells_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The cells of a record by column; None is an empty cell."""
    return {name: safe(cell) for name, cell in row_of(record).items()}


def safe(cell: Any) -> Any:
    """A cell that a spreadsheet shows as it is; numbers and None are left alone."""
    if not isinstance(cell, str):
        return cell
    text = printable(cell)
    return f"'{text}" if text.startswith(FORMULA) else text
