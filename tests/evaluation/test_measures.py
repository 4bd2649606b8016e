"""The table of measures: what each figure is, by another road, and rows that say what is known of a study."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mcsdr.evaluation import measures
from mcsdr.evaluation.measures import PAPER_DRAWS, ROW, column, measure, measure_subgroups, rows_of
from mcsdr.metrics.calibration import inside
from mcsdr.metrics.scores import crps_draws
from mcsdr.posterior import Posterior, quantile_nodes
from mcsdr.study import Attributes, Clip, Study, View

Z = quantile_nodes()


@pytest.fixture(autouse=True, scope="module")
def few_resamples() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measures, "RESAMPLES", 100)
        yield


def clip(view: View, quality: str | None) -> Clip:
    return Clip(np.zeros((2, 4, 4), np.uint8), np.array([0.0, 0.04]), view, quality=quality)


def cohort(n: int, seed: int = 0) -> tuple[Posterior, list[Study]]:
    """Readings drawn from their own posteriors, N(m, s) with m the predicted EF: calibrated by construction."""
    rng = np.random.default_rng(seed)
    m, s = rng.uniform(20, 75, n), rng.uniform(2, 6, n)
    ef = m + s * rng.standard_normal(n)
    sexes, ages = rng.choice(["F", "M"], n), rng.integers(0, 95, n)
    studies = [
        Study((clip(View.A4C, "good"),), Attributes(float(ages[i]), str(sexes[i])), f"s{i}", f"p{i}", float(ef[i]))
        for i in range(n)
    ]
    return Posterior.from_nodes(Z, m[:, None] + s[:, None] * Z), studies


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return list(rows_of(*cohort(400), range(400)))


@pytest.fixture(scope="module")
def table(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {m.name: m for m in measure(rows)}


def test_the_measures_by_another_road(rows: list[dict[str, Any]], table: dict[str, Any]) -> None:
    ef, guess = column(rows, "ef"), column(rows, "median")
    d = guess - ef
    expected = {
        "MAE": np.abs(d).mean(),
        "MAE of mean": np.abs(column(rows, "mean") - ef).mean(),
        "RMSE": np.sqrt((d**2).mean()),
        "r": stats.pearsonr(guess, ef).statistic,
        "bias": d.mean(),
        "lower limit of agreement": d.mean() - 1.96 * d.std(ddof=1),
        "coverage 80%": ((column(rows, "pit") >= 0.1) & (column(rows, "pit") <= 0.9)).mean(),
        "PIT KS": stats.kstest(column(rows, "pit"), "uniform").statistic,
        "AURC": np.mean([np.abs(d)[np.argsort(column(rows, "sd"))[:k]].mean() for k in range(1, 401)]),
    }
    for name, value in expected.items():
        assert table[name].estimate == pytest.approx(value), name
        assert table[name].lower < table[name].upper, name
    for name, cut in (("EF ≤ 35", 35), ("EF ≤ 40", 40), ("EF < 50", 50)):
        p, event = column(rows, f"below_{cut}"), ef < cut
        U = stats.mannwhitneyu(p[event], p[~event]).statistic
        assert table[f"AUROC {name}"].estimate == pytest.approx(U / event.sum() / (~event).sum())
        assert table[f"Brier {name}"].estimate == pytest.approx(((p - event) ** 2).mean())
    assert {m.group for m in table.values()} == {"accuracy", "posterior", "decision"}


def test_a_reading_on_the_cut_point_counts_as_its_inequality_says() -> None:
    posterior = Posterior.from_nodes(Z, np.array([[35.0], [60.0], [50.0]]) + 3 * Z)
    studies = [Study(study_id=str(ef), ef_percent=ef) for ef in (35.0, 60.0, 50.0)]
    table = {m.name: m.estimate for m in measure(list(rows_of(posterior, studies, range(3))))}
    p = posterior.prob_below([35, 50])
    assert table["Brier EF ≤ 35"] == pytest.approx(((p[:, 0] - [1, 0, 0]) ** 2).mean())
    assert table["Brier EF < 50"] == pytest.approx(((p[:, 1] - [1, 0, 0]) ** 2).mean())


def test_the_papers_crps_is_that_of_forty_draws_whatever_the_batch() -> None:
    posterior, studies = cohort(300)
    whole = column(list(rows_of(posterior, studies, range(300))), "crps_paper")
    part = column(list(rows_of(posterior[100:103], studies[100:103], range(100, 103))), "crps_paper")
    np.testing.assert_array_equal(part, whole[100:103])
    # E[CRPS paper] = CRPS + ½ E|Y − Y'|/40, and the draws of different studies are independent.
    excess = whole - column(list(rows_of(posterior, studies, range(300))), "crps")
    error = excess.std() / np.sqrt(300)
    assert excess.mean() == pytest.approx(posterior.half_mean_difference.mean() / PAPER_DRAWS, abs=3.5 * error)


def test_draws_are_scored_as_they_are() -> None:
    rng = np.random.default_rng(1)
    draws = rng.normal(50, 6, (20, 40))
    studies = [Study(study_id=str(i), ef_percent=48.0) for i in range(20)]
    rows = list(rows_of(Posterior.from_draws(draws), studies, range(20)))
    for name, estimator in (("crps", "fair"), ("crps_paper", "paper")):
        expected = crps_draws(draws, np.full(20, 48.0), estimator)
        np.testing.assert_allclose(column(rows, name), expected, rtol=1e-9)
    np.testing.assert_allclose(column(rows, "mean"), draws.mean(axis=1), rtol=1e-12)
    assert (column(rows, "outside") == 0).all()
    assert np.isnan(column(list(rows_of(*cohort(3), range(3))), "outside")).all()


def test_ten_draws_of_a_perfect_posterior_cover_what_they_say() -> None:
    """Their range covers 9/11 of labels; by rank coverage is the posterior's own, and the same in every batch."""
    rng = np.random.default_rng(8)
    draws, labels = rng.normal(50, 6, (4000, 10)), rng.normal(50, 6, 4000)
    posterior = Posterior.from_draws(draws)
    studies = [Study(study_id=str(i), ef_percent=float(y)) for i, y in enumerate(labels)]
    pit = column(list(rows_of(posterior, studies, range(4000))), "pit")
    for level in (0.5, 0.9):
        error = 3.5 * np.sqrt(level * (1 - level) / 4000)
        assert inside(pit, level).mean() == pytest.approx(level, abs=error)
    assert inside(posterior.pit(labels), 0.9).mean() < 0.83
    part = column(list(rows_of(posterior[7:9], studies[7:9], range(7, 9))), "pit")
    np.testing.assert_array_equal(part, pit[7:9])


def test_a_row_says_what_is_known_of_the_study() -> None:
    posterior, _ = cohort(2)
    known = Study(
        (clip(View.PSAX, "good"), clip(View.A4C, "poor"), clip(View.A4C, None)), Attributes(0.5, "F"), "s", "p", 60, 61
    )
    first, second = rows_of(posterior, [known, Study(ef_percent=55)], [7, 8])
    assert tuple(first) == ROW
    facts = ("study_id", "patient_id", "true_ef", "sex", "age_years", "quality", "views")
    assert [first[name] for name in facts] == ["s", "p", 61, "F", 0.5, "poor", "A4C+PSAX"]
    assert [second[name] for name in facts] == ["8", "8", None, None, None, None, None]


def test_subgroups_of_what_the_cohort_tells_apart(rows: list[dict[str, Any]]) -> None:
    groups = {(s.attribute, s.group): s for s in measure_subgroups(rows)}
    assert {attribute for attribute, _ in groups} == {"sex", "age", "quality", "views", "reported EF", "predicted EF"}
    ef, guess, pit = (column(rows, name) for name in ("ef", "median", "pit"))
    low = guess <= 30
    found = groups["predicted EF", "≤30"]
    assert found.studies == low.sum()
    assert found.measures["MAE"].estimate == pytest.approx(np.abs(guess - ef)[low].mean())
    assert found.measures["coverage 90%"].estimate == pytest.approx((np.abs(pit - 0.5) <= 0.45)[low].mean())
    assert not groups["age", "<1"].has_evidence
    bare = [row | dict.fromkeys(("sex", "age_years", "quality", "views")) for row in rows]
    assert {s.attribute for s in measure_subgroups(bare)} == {"reported EF", "predicted EF"}


def test_bands_of_true_ef_measure_the_distance_to_the_truth(rows: list[dict[str, Any]]) -> None:
    """With truths 2 points below what is predicted, whatever the readings say."""
    known = [row | {"true_ef": row["median"] - 2} for row in rows]
    groups = {(s.attribute, s.group): s for s in measure_subgroups(known)}
    bands = {group: found for (attribute, group), found in groups.items() if attribute == "true EF"}
    assert list(bands) == ["<30", "30–40", "40–50", "50–60", "≥60"]
    assert all(found.measures["bias"].estimate == pytest.approx(2) for found in bands.values())
    lowest = column(known, "true_ef") < 30
    covered = np.abs(column(known, "pit") - 0.5) <= 0.45
    assert bands["<30"].measures["coverage 90%"].estimate == pytest.approx(covered[lowest].mean())


def test_bands_of_reported_ef_judge_a_calibrated_posterior_unfairly() -> None:
    """EF from N(45, 12²) seen through N(EF, 6²), exact posteriors: the lowest reported band is under-covered."""
    rng = np.random.default_rng(2)
    truth = rng.normal(45, 12, 3000)
    seen = truth + 6 * rng.standard_normal(3000)
    share = 144 / 180
    mean, sd = 45 + share * (seen - 45), np.sqrt(36 * share)
    posterior = Posterior.from_nodes(Z, mean[:, None] + sd * Z)
    studies = [Study(study_id=str(i), ef_percent=float(y)) for i, y in enumerate(truth)]
    groups = {(s.attribute, s.group): s for s in measure_subgroups(list(rows_of(posterior, studies, range(3000))))}
    reported, predicted = (groups[name, "≤30"].measures["coverage 90%"] for name in ("reported EF", "predicted EF"))
    t = np.linspace(-20, 30, 5001)  # error of the mean given the truth t: N((1 − share)(45 − t), (6·share)²)
    edge, off = 1.645 * sd, (1 - share) * (45 - t)
    inside = stats.norm.cdf((edge - off) / (6 * share)) - stats.norm.cdf((-edge - off) / (6 * share))
    exact = np.average(inside, weights=stats.norm.pdf(t, 45, 12))
    error = np.sqrt(exact * (1 - exact) / (truth <= 30).sum())
    assert reported.estimate == pytest.approx(exact, abs=3 * error)
    assert reported.upper < 0.88
    assert predicted.lower < 0.9 < predicted.upper
