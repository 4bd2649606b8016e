"""A table of measures: written from clips without names, read back, and refused where it is none."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from mcsdr.benchmark import measure_table
from mcsdr.benchmark.measure_table import NAMES, measure, read_measures, write_measures
from mcsdr.benchmark.picture_measures import MEASURES
from mcsdr.benchmark.realism import example
from mcsdr.errors import InvalidCohort, MissingFile, UnreadableFile
from mcsdr.io import read_clip


def test_a_clip_is_measured_into_a_table_without_its_name(tmp_path: Path) -> None:
    folder, table, said = tmp_path / "SMITH^JOHN", tmp_path / "measures.csv", list[str]()
    folder.mkdir()
    (folder / "b.dcm").write_bytes(example().read_bytes())
    (folder / "a.txt").write_text("not a clip")
    assert write_measures(table, [folder], said.append) == 1
    found, direct = read_measures(table), measure(read_clip(example()))
    assert tuple(found) == NAMES
    for name in NAMES:
        want = direct[name]
        assert found[name] == pytest.approx([want], rel=1e-3, nan_ok=True)
    assert "SMITH" not in table.read_text() + "".join(said)
    assert "Left out: 1 (" in said[-1]


def test_new_groups_of_measures_come_after_the_old() -> None:
    assert NAMES[: len(MEASURES)] == tuple(MEASURES)
    assert len(set(NAMES)) == len(NAMES)


def test_rows_are_in_random_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [tmp_path / str(number) for number in range(40)]
    monkeypatch.setattr(measure_table, "read_clip", lambda file: int(file.name))
    monkeypatch.setattr(measure_table, "measure", lambda number: dict.fromkeys(NAMES, float(number)))
    write_measures(tmp_path / "measures.csv", clips, lambda line: None)
    order = read_measures(tmp_path / "measures.csv")[NAMES[0]]
    assert sorted(order) == list(range(40))
    assert list(order) != list(range(40))  # once in 40! ≈ 10⁴⁸ runs


def test_an_empty_cell_is_missing(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('"a","cavity / tissue"\n1,\n,nan\n2.5,3\n')
    found = read_measures(tmp_path / "t.csv")
    np.testing.assert_array_equal(found["a"], [1, math.nan, 2.5])
    np.testing.assert_array_equal(found["cavity / tissue"], [math.nan, math.nan, 3])


@pytest.mark.parametrize("text", ["", "a,b\n1\n", "a,b\n1,SMITH\n", b"\xff\xfe\x00"])
def test_what_is_no_table_of_numbers_is_refused(text: str | bytes, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UnreadableFile) as refused:
        read_measures(tmp_path / "t.csv")
    assert "SMITH" not in str(refused.value)
    with pytest.raises(MissingFile):
        read_measures(tmp_path / "none.csv")


def test_nothing_to_measure_is_refused(tmp_path: Path) -> None:
    for clips in ([], [tmp_path / "none.avi"]):
        with pytest.raises(InvalidCohort, match="no clip"):
            write_measures(tmp_path / "t.csv", clips, lambda line: None)
    assert not (tmp_path / "t.csv").exists()
