"""The table of figures: right on posteriors that are right, and nothing dropped in silence."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mcsdr.datasets import EchoNetDynamic
from mcsdr.diffusion.sampler import SamplerSettings
from mcsdr.errors import BadRow, ClipTooShort, InvalidCohort, InvalidConfig, TooManyBadRows
from mcsdr.evaluation import evaluate, measures
from mcsdr.evaluation.measures import ROW, measure, rows_of
from mcsdr.model import Model
from mcsdr.phantom.layouts import write_echonet_dynamic
from mcsdr.posterior import Posterior, quantile_nodes
from mcsdr.study import Attributes, Study


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """The intervals are tested with the bootstrap itself."""
    monkeypatch.setattr(measures, "RESAMPLES", 200)


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


def test_a_reports_interval_holds_the_truth_too_often_and_the_hearts_as_often_as_it_says() -> None:
    """Reports of SD 5 about hearts of SD 3 and readers of SD 4: 1.645 · 5/3 SDs of the heart hold 99.4 % of hearts."""
    rng = np.random.default_rng(2)
    middle, z = rng.uniform(30, 65, 1500), quantile_nodes()
    truth = middle + 3 * rng.standard_normal(1500)
    ef = truth + 4 * rng.standard_normal(1500)
    studies = [
        Study(clips=(), patient_id=str(i), ef_percent=y, true_ef_percent=e, attributes=Attributes(age_years=60))
        for i, (y, e) in enumerate(zip(ef, truth, strict=True))
    ]
    posterior = Posterior.from_nodes(z, middle[:, None] + 5 * z)
    rows = list(rows_of(posterior, studies, range(1500), reader_sd=4.0))
    table = {m.name: m.estimate for m in measure(rows)}
    assert table["coverage 90%"] == pytest.approx(0.9, abs=0.02)
    assert table["report's 90 % interval holds the true EF"] > 0.98
    assert table["heart's 90 % interval holds the true EF"] == pytest.approx(0.9, abs=0.025)
    assert table["heart's mean 90 % width"] == pytest.approx(2 * 1.645 * 3, abs=0.3)
    unknown = {m.name for m in measure(list(rows_of(posterior, studies, range(1500))))}
    assert "heart's mean 90 % width" not in unknown


def test_an_overconfident_observer_is_found_out() -> None:
    table = {m.name: m for m in measure(calibrated_rows(1000, sd=2.0))}
    assert table["coverage 90%"].upper < 0.7
    assert table["PIT KS"].lower > 0.1


def test_a_folder_with_a_bad_clip(model: Model, tmp_path: Path) -> None:
    write_echonet_dynamic(tmp_path / "data", 6, seed=8, seconds=0.8)
    videos = sorted((tmp_path / "data" / "Videos").iterdir())
    videos[2].write_bytes(b"RIFF")
    cohort = EchoNetDynamic(tmp_path / "data")
    with pytest.raises(TooManyBadRows, match="1 of 6"):
        evaluate(model, cohort)
    result = evaluate(model, cohort, cohort_name="six phantoms", max_bad=1 / 6)
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
    assert document["point"] == "median"
    assert document["metrics"]["AUROC EF ≤ 35"]["interval_95"] is not None
    assert [failure["study_id"] for failure in document["failed"]] == [result.failures[0]["study_id"]]
    with (tmp_path / "out" / "subgroups.csv").open(newline="") as file:
        groups = list(csv.DictReader(file))
    assert {row["note"] for row in groups} == {"no evidence"}
    assert sum(int(row["studies"]) for row in groups if row["attribute"] == "sex") == 5


def test_nobody_to_measure(model: Model) -> None:
    with pytest.raises(InvalidCohort, match="no study"):
        evaluate(model, [Study()])


# --- studies that cannot be answered ---------------------------------------------------------------------------------


class Ledger(Sequence[Study]):
    """A cohort of studies without clips, of which those in `bad` cannot be read; it notes what was asked for."""

    def __init__(self, n: int, bad: Sequence[int]) -> None:
        self.entries = [SimpleNamespace(study_id=f"study-{i}") for i in range(n)]
        self.bad, self.asked = set(bad), []

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Study:
        self.asked.append(index)
        if index in self.bad:
            raise BadRow(f"cause {index}", path="FileList.csv")
        return Study(study_id=f"study-{index}", patient_id=f"p{index}", ef_percent=50.0 + index % 7)


@pytest.mark.parametrize(
    ("n", "max_bad", "allowed"), [(100, 0.29, 29), (50, 0.02, 1), (49, 0.02, 0), (6, 1 / 6, 1), (9, 0.0, 0)]
)
def test_the_limit_is_exact(model: Model, n: int, max_bad: float, allowed: int) -> None:
    """In binary 0.29·100 lies under 29."""
    result = evaluate(model, Ledger(n, range(allowed)), max_bad=max_bad)
    assert len(result.rows) == n - allowed
    assert [failure["study_id"] for failure in result.failures] == [f"study-{i}" for i in range(allowed)]
    cohort = Ledger(n, range(allowed + 1))
    with pytest.raises(TooManyBadRows):
        evaluate(model, cohort, max_bad=max_bad)
    assert max(cohort.asked) == allowed  # stopped as soon as it was certain


def test_the_message_names_five_and_counts_the_rest(model: Model) -> None:
    with pytest.raises(TooManyBadRows) as raised:
        evaluate(model, Ledger(40, range(3, 40)), max_bad=0.15)
    text = str(raised.value)
    assert "7 of 40 studies have failed so far, 6 may fail (15 %)" in text
    assert "study-3: cause 3" in text
    assert "study-7: cause 7; and 2 more" in text
    assert "study-8" not in text


def test_a_study_that_spoils_its_batch_fails_alone(model: Model) -> None:
    """The clip of one study is refused by the model: the others of its batch are answered as they would be."""
    cohort = Ledger(5, ())
    studies = [cohort[i] for i in range(5)]

    class Refusing:
        sampler, protocol, card = model.sampler, model.protocol, model.card
        sha256, precision = model.sha256, model.precision

        def posteriors(self, seen: Sequence[Study], *args: Any, **how: Any) -> Posterior:
            if any(study.study_id == "study-2" for study in seen):
                raise ClipTooShort("too few frames")
            return model.posteriors(seen, *args, **how)

    result = evaluate(Refusing(), studies, max_bad=0.2)  # type: ignore[arg-type]
    assert [row["study_id"] for row in result.rows] == ["study-0", "study-1", "study-3", "study-4"]
    assert [(f["study_id"], f["code"]) for f in result.failures] == [("study-2", "clip-too-short")]
    np.testing.assert_allclose(result.column("median"), evaluate(model, studies[:1]).column("median")[0], rtol=1e-5)


def test_a_limit_that_is_no_share(model: Model) -> None:
    for wrong in (-0.1, 2.0):
        with pytest.raises(InvalidConfig, match="share"):
            evaluate(model, [Study(ef_percent=50)], max_bad=wrong)


# --- conventions -----------------------------------------------------------------------------------------------------


def test_the_point_of_draws_is_their_mean(model: Model) -> None:
    result = evaluate(model, Ledger(6, ()), sampler=SamplerSettings("ddim", 4, "linear-beta", draws=40))
    error = np.abs(result.column("mean") - result.column("ef"))
    assert result.provenance["point"] == "mean"
    assert result["MAE"].estimate == pytest.approx(error.mean())
    assert result["MAE of median"].estimate == pytest.approx(
        np.abs(result.column("median") - result.column("ef")).mean()
    )
    assert result["CRPS paper"].estimate > result["CRPS"].estimate
    assert "NLL" not in {measure.name for measure in result.measures}  # draws have no density
    assert result.provenance["crps_estimator"].startswith("fair")


def test_the_cases_run_from_the_least_to_the_greatest_error(model: Model) -> None:
    result = evaluate(model, Ledger(30, ()))
    error = np.abs(result.column("median") - result.column("ef"))
    drawn = [abs(case.posterior.median - case.observed) for case in result.cases]
    assert len(drawn) == 6
    assert drawn == sorted(drawn)
    assert (drawn[0], drawn[-1]) == (pytest.approx(error.min()), pytest.approx(error.max()))
    assert [case.rank for case in result.cases] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1], abs=0.02)


def test_the_record_is_strict_json(model: Model) -> None:
    """All readings lie above 50 %: no AUROC exists, and NaN is no JSON."""
    record = evaluate(model, Ledger(4, ())).record()
    assert record["metrics"]["AUROC EF < 50"] == {
        "estimate": None,
        "interval_95": [None, None],
        "unit": "",
        "group": "decision",
    }
    assert json.loads(json.dumps(record, allow_nan=False)) == record
