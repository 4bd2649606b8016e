"""The table says what was measured, on what, and how the two presets differ on the same studies."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mcsdr.evaluation.comparison import COLUMNS, PUBLISHED, Comparison, Measured
from mcsdr.evaluation.measures import ROW, rows_of
from mcsdr.evaluation.reproduction import read_rows
from mcsdr.files import write_table
from mcsdr.posterior import Posterior, quantile_nodes
from mcsdr.study import Study


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """The intervals are tested with the bootstrap itself."""
    monkeypatch.setattr("mcsdr.evaluation.measures.RESAMPLES", 50)


def answered(n: int, sd: float, claimed: float, seed: int) -> list[dict]:
    """Rows of n studies whose median errs by `sd` and whose posterior claims `claimed`."""
    ef = np.random.default_rng(1).uniform(30, 65, n)
    centre = ef + sd * np.random.default_rng(seed).standard_normal(n)
    z = quantile_nodes()
    posterior = Posterior.from_nodes(z, centre[:, None] + claimed * z)
    studies = [Study(study_id=f"s{i}", patient_id=f"p{i}", ef_percent=float(y)) for i, y in enumerate(ef)]
    return list(rows_of(posterior, studies, list(range(n))))


def comparison(**measured: dict[int, list[dict]]) -> Comparison:
    found = [Measured(preset, rows, "median") for preset, rows in measured.items()]
    return Comparison("camus", found, "150 studies", True, "mcsdr reproduce camus --root DATA")


def test_differences_are_paired_and_signed() -> None:
    both = comparison(ours={0: answered(150, 4, 4, 2)}, paper={0: answered(160, 8, 2, 3)})
    differences = both.differences()
    for name in ("CRPS", "coverage error", "MAE"):
        assert differences[name].upper < 0, name
    same = comparison(ours={0: answered(150, 4, 4, 2)}, paper={0: answered(150, 4, 4, 2)}).differences()
    assert all(d == (0, 0, 0) for d in same.values())
    assert comparison(ours={0: answered(30, 4, 4, 2)}).differences() == {}


def test_equal_terms_are_told_from_others_and_what_n_can_tell() -> None:
    """Twice the patients tell a difference 1/√2 of the size."""
    rows = {"ours": (4, 2), "ours_one_view": (5, 3), "paper": (8, 4)}
    sizes = {}
    for n in (150, 600):
        found = comparison(**{name: {0: answered(n, sd, 4, seed)} for name, (sd, seed) in rows.items()})
        for measured in found.measured:
            object.__setattr__(measured, "preset", measured.preset.replace("_", "-"))
        assert [line.split(" (")[0] for line in found.duels] == ["ours-one-view − paper", "ours − paper"]
        assert "NOT on equal terms" in found.duels[1]
        sizes[n] = float(found.duels[0].split("from CRPS ")[1].split(",")[0])
    assert sizes[600] == pytest.approx(sizes[150] / 2, rel=0.3)


def test_files(tmp_path: Path) -> None:
    table = comparison(ours={0: answered(60, 4, 4, 2)}, paper={0: answered(60, 8, 2, 3)})
    table.write(tmp_path)
    markdown, tex = (tmp_path / "table.md").read_text(), (tmp_path / "table.tex").read_text()
    rows = list(csv.DictReader((tmp_path / "table.csv").open(encoding="utf-8")))
    assert len(rows) == len(PUBLISHED["camus"]) + 2
    assert rows[1]["MAE"] == "5.73"
    assert rows[-1]["method"] == "measured on phantoms: paper"
    assert float(rows[-2]["CRPS"].split()[0]) < float(rows[-1]["CRPS"].split()[0])
    for text in (markdown, tex):
        assert "SYNTHETIC" in text
        assert "Research use only" in text
        assert "mcsdr reproduce camus" in text
    lines = [line for line in tex.splitlines() if line.endswith(r"\\")]
    assert {line.count(" & ") for line in lines} == {len(COLUMNS) + 1}
    assert not any(sign in tex for sign in "²±−≤")


def test_seeds_give_mean_and_spread(tmp_path: Path) -> None:
    by_seed = {seed: answered(60, 4, 4, seed) for seed in range(3)}
    measured = Measured("ours", by_seed, "median")
    Comparison("camus", [measured], "60 studies", True, "x").write(tmp_path)
    row = list(csv.DictReader((tmp_path / "table.csv").open(encoding="utf-8")))[-1]
    maes = [measured.measures[seed]["MAE"].estimate for seed in range(3)]
    assert row["MAE"] == f"{np.mean(maes):.2f} ± {np.std(maes, ddof=1):.2f}"


def test_rows_survive_the_disk(tmp_path: Path) -> None:
    rows = answered(12, 4, 4, 2)
    header = (*ROW, "error")
    failed = {"study_id": "s99", "error": "unreadable"}
    write_table(tmp_path / "studies.csv", header, ([row.get(name) for name in header] for row in [*rows, failed]))
    found = read_rows(tmp_path / "studies.csv")
    assert len(found) == 12
    assert json.dumps(found[3]["crps"]) == json.dumps(pytest.approx(rows[3]["crps"]).expected)
    assert found[3]["sex"] is None
    assert found[3]["study_id"] == "s3"
