"""An answer as one row of a table, the same for `mcsdr predict --csv` and `mcsdr batch`.

The columns are fixed, so that rows can be appended: what an answer lacks is an empty cell. `error` and `abstained` hold
codes, one of them at most; `reason` and `next_step` belong to either. Ejection fractions are in per cent.

A spreadsheet takes a cell that begins with = + - or @ for a formula, and a file name may begin so: text that does gets
an apostrophe before it. What cannot be printed becomes "\ufffd", so that a row is always one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcsdr import DISCLAIMER
from mcsdr.prediction.answers import LEVELS, LOWER_LIMIT
from mcsdr.report import printable

FORMULA = ("=", "+", "-", "@")
CUTS = ("<=30", "<=35", "<=40", "<50", "40-50", ">=50", *(f"<{limit:g}" for limit in sorted(LOWER_LIMIT.values())))
COLUMNS = (
    "file",
    "median",
    "mean",
    "sd",
    "low_90",
    "high_90",
    *(f"q{level:g}" for level in LEVELS),
    *(f"P(EF{cut})" for cut in CUTS),
    "beats",
    "beat_spread",
    "abstained",
    "error",
    "reason",
    "next_step",
    "notices",
    "input_sha256",
    "model",
    "model_sha256",
    "version",
    "seed",
    "disclaimer",
)
AS_THEY_ARE = (
    "file",
    "median",
    "mean",
    "sd",
    "beat_spread",
    "input_sha256",
    "model",
    "model_sha256",
    "version",
    "seed",
)


def row_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The cells of a record (`Prediction.record`, `Failure.record`) by column; None is an empty cell."""
    row = dict.fromkeys(COLUMNS) | {name: record.get(name) for name in AS_THEY_ARE}
    row["low_90"], row["high_90"] = record["interval_90"] or (None, None)
    row |= {f"q{level}": ef for level, ef in (record["quantiles"] or {}).items()}
    row |= {f"P(EF{cut})": p for cut, p in (record["prob"] or {}).items()}
    row["beats"] = len(record["beats"] or ()) or None
    why, error = record["abstained"] or {}, record["error"] or {}
    row["abstained"], row["error"] = why.get("code"), error.get("code")
    row["reason"] = error.get("cause") or why.get("reason")
    row["next_step"] = error.get("next_step") or why.get("next_step")
    row["notices"] = " ".join(dict.fromkeys(notice["code"] for notice in record.get("notices", ()))) or None
    row["disclaimer"] = record.get("disclaimer") or DISCLAIMER
    return {name: safe(cell) for name, cell in row.items()}


def safe(cell: Any) -> Any:
    """A cell that a spreadsheet shows as it is; numbers and None are left alone."""
    if not isinstance(cell, str):
        return cell
    text = printable(cell)
    return f"'{text}" if text.startswith(FORMULA) else text
