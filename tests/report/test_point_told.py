"""What stands for an answer: its median, and of iid draws the plain mean, as their authors answer."""

from __future__ import annotations

import pytest

from mcsdr.report import headline, reading

RECORD = {"median": 50.0, "mean": 44.6, "interval_90": [20.0, 70.0], "abstained": None, "notices": []}


@pytest.mark.parametrize(
    ("point", "number", "words"), [("median", "50", "median reading is EF 50 %"), ("mean", "45", "draws is EF 45 %")]
)
def test_the_point_is_told_by_its_name(point: str, number: str, words: str) -> None:
    record = RECORD | {"sampler": {"point": point}}
    assert reading(record) == number
    assert words in headline(record)
    assert "median reading" in headline(RECORD)  # a record of before the point was told
