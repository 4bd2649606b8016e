"""Values of a DICOM header as they are meant: tolerant of what files hold, silent about what they say.

A decimal string with a comma is a number; a value that is none is NaN, never an error, and no text of the file enters a
message.
"""

from __future__ import annotations

import math
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

NUMBERS_AS_TEXT = ("DS", "IS")


def text(dataset: Dataset, keyword: str) -> str:
    """A value as text without spaces around it; empty where the tag is absent, or cannot be decoded."""
    value = _value(dataset, keyword)
    return "" if value is None else str(value).strip()


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """All numbers of a tag, NaN for each that is something else; none where the tag is absent or empty."""
    return [_float(value) for value in _values(dataset, keyword)]


def number(dataset: Dataset, keyword: str) -> float | None:
    """A number, None where the tag is absent or empty, NaN where it holds something else."""
    found = numbers(dataset, keyword)
    return None if not found else found[0] if len(found) == 1 else math.nan


def integer(dataset: Dataset, keyword: str, default: int = 0) -> int:
    """A whole number, `default` where the tag holds none."""
    found = number(dataset, keyword)
    return default if found is None or math.isnan(found) else int(found)


def _values(dataset: Dataset, keyword: str) -> list[Any]:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    item = dataset.get_item(tag)
    by_text = dictionary_VR(tag) in NUMBERS_AS_TEXT
    if by_text and isinstance(item, RawDataElement) and item.VR in (*NUMBERS_AS_TEXT, "UN", None):
        stored = (item.value or b"").decode("latin-1").strip(" \0")
        return stored.split("\\") if stored else []
    value = _value(dataset, keyword)
    if value is None or value == "":
        return []
    return list(value) if hasattr(value, "append") or isinstance(value, tuple) else [value]


def _value(dataset: Dataset, keyword: str) -> Any:
    try:
        return dataset.get(keyword)
    except Exception:  # the parser's own, of many kinds, when it decodes a value that is damaged
        return math.nan


def _float(value: Any) -> float:
    try:
        found = float(value.strip().replace(",", ".") if isinstance(value, str) else value)
    except (TypeError, ValueError):
        return math.nan
    return found if math.isfinite(found) else math.nan
