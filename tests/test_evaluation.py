"""The table of figures: right on posteriors that are right, and nothing dropped in silence."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mcsdr.datasets import EchoNetDynamic
from mcsdr.errors import InvalidCohort
from mcsdr.evaluation import ROW, evaluate, measure
from mcsdr.model import Model
from mcsdr.phantom.layouts import write_echonet_dynamic
from mcsdr.study import Study


def calibrated_rows(n: int, sd: float) -> list[dict]:
    """Rows of an observer who is right about a normal spread of 4, or claims `sd` instead."""
    rng = np.random.default_rng(0)
    from scipy.stats import norm

    rows = []
    for index in range(n):
        truth = rng.uniform(20, 70)
        ef = truth + 4 * rng.standard_normal()
        row = {"study_id": index, "patient_id": index // 2, "ef": ef, "true_ef": truth, "median": truth, "mean": truth}
        z = (ef - truth) / sd
        crps = sd * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
        row |= {"sd": sd, "low_90": truth - 1.645 * sd, "high_90": truth + 1.645 * sd}
        rows.append(row | {"pit": float(norm.cdf(z)), "crps": crps, "nll": -float(norm.logpdf(ef, truth, sd))})
    return rows


def test_a_calibrated_observer_measures_as_one() -> None:
    table = {m.name: m for m in measure(calibrated_rows(2000, sd=4.0))}
    assert table["CRPS"].lower < 4 / np.sqrt(np.pi) < table["CRPS"].upper
    assert table["MAE"].lower < 4 * np.sqrt(2 / np.pi) < table["MAE"].upper
    assert table["MAE to true EF"].estimate == 0
    for level in (50, 80, 90, 95):
        assert table[f"coverage {level}%"].lower <= level / 100 <= table[f"coverage {level}%"].upper
    assert table["PIT KS"].estimate < 0.04


def test_an_overconfident_observer_is_found_out() -> None:
    table = {m.name: m for m in measure(calibrated_rows(1000, sd=2.0))}
    assert table["coverage 90%"].upper < 0.7
    assert table["PIT KS"].lower > 0.1


def test_a_folder_with_a_bad_clip(model: Model, tmp_path: Path) -> None:
    write_echonet_dynamic(tmp_path / "data", 6, seed=8, seconds=0.8)
    videos = sorted((tmp_path / "data" / "Videos").iterdir())
    videos[2].write_bytes(b"RIFF")
    result = evaluate(model, EchoNetDynamic(tmp_path / "data"), cohort_name="six phantoms")
    assert len(result.rows) == 5
    assert len(result.failures) == 1
    assert "unreadable" in result.failures[0]["error"]
    result.write(tmp_path / "out", footer="synthetic")
    with (tmp_path / "out" / "studies.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == (*ROW, "error")
    assert len(rows) == 6
    document = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert document["model_sha256"] == model.sha256
    assert document["crps_estimator"] == "quantile-table"
    assert document["metrics"]["MAE"]["estimate"] == pytest.approx(
        np.mean([abs(row["median"] - row["ef"]) for row in result.rows])
    )
    assert len(list((tmp_path / "out").glob("*.png"))) >= 3


def test_nobody_to_measure(model: Model) -> None:
    with pytest.raises(InvalidCohort, match="no study"):
        evaluate(model, [Study()])
