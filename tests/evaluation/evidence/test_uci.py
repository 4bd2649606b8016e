"""The suite on a small made-up table whose noise is known: y = 3 sin x₀ + x₁ + (0.2 + 0.3 |x₁|) ε."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcsdr.errors import InvalidCohort, InvalidConfig, MissingFile
from mcsdr.evaluation.evidence import uci
from mcsdr.evaluation.evidence.table_network import TableSettings
from mcsdr.evaluation.evidence.tabular import (
    NODES,
    TabularPosterior,
    averaged,
    disagreement,
    recalibrated,
    recalibration,
)
from mcsdr.evaluation.evidence.tabular import scores_of as scores_in
from mcsdr.posterior import Posterior, quantile_nodes
from mcsdr.posterior.normal import normal_cdf, normal_quantile

SMALL = TableSettings(
    folds=3,
    spreads=(0.0,),
    point_width=32,
    point_depth=1,
    point_lr=1e-2,
    point_steps=(0.0, 150, 150),
    density_width=16,
    token_width=8,
    heads=2,
    density_lr=1e-2,
    density_steps=(0.0, 60, 60),
    checks=3,
)


def made_up(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.uniform(-2, 2, (rows, 2)), np.full(rows, 7.0)])  # the last column says nothing
    sd = 0.2 + 0.3 * np.abs(x[:, 1])
    return x, 3 * np.sin(x[:, 0]) + x[:, 1] + sd * rng.standard_normal(rows), sd


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    folder = tmp_path / "suite" / "yacht"
    folder.mkdir(parents=True)
    x, y, _ = made_up(200)
    np.savetxt(folder / "data.txt", np.column_stack([x, y]))
    np.savetxt(folder / "index_features.txt", [0, 1, 2], fmt="%d")
    np.savetxt(folder / "index_target.txt", [3], fmt="%d")
    np.savetxt(folder / "n_splits.txt", [2], fmt="%d")
    for split in range(2):
        np.savetxt(folder / f"index_test_{split}.txt", np.arange(split, 200, 10), fmt="%d")
    return folder.parent


@pytest.fixture(scope="module")
def fitted() -> TabularPosterior:
    x, y, _ = made_up(400, seed=1)
    return TabularPosterior(1000 * x, 5 + 0.01 * y, SMALL)


def test_a_split_shares_the_rows_without_overlap(suite: Path) -> None:
    split = uci.read_split(suite, "yacht", 1)
    assert split.x_train.shape == (180, 3)
    assert split.x_test.shape == (20, 3)
    together = np.sort(np.concatenate([split.y_train, split.y_test]))
    np.testing.assert_array_equal(together, np.sort(np.loadtxt(suite / "yacht" / "data.txt")[:, 3]))


@pytest.mark.parametrize(
    ("file", "content", "error"),
    [
        ("data.txt", "1 2 3\n4 five 6\n", InvalidCohort),
        ("data.txt", "", InvalidCohort),
        ("data.txt", "1 2 3 nan\n" * 200, InvalidCohort),
        ("data.txt", "1 2 3 4\n" * 200, InvalidCohort),
        ("index_features.txt", "0 1 9\n", InvalidCohort),
        ("index_features.txt", "0 1 3\n", InvalidCohort),
        ("index_test_0.txt", "5 200\n", InvalidCohort),
        ("index_test_0.txt", None, MissingFile),
    ],
)
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_a_malformed_set_is_refused(suite: Path, file: str, content: str | None, error: type[Exception]) -> None:
    path = suite / "yacht" / file
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(error):
        uci.read_split(suite, "yacht", 0)


def test_unknown_and_absent_sets_are_named(suite: Path) -> None:
    with pytest.raises(InvalidConfig, match="sail"):
        uci.run(suite, sets=["sail"])
    with pytest.raises(MissingFile, match="wine-quality-red"):
        uci.run(suite, sets=["wine"])


def test_cards_kernel_adds_the_posteriors_own_variance() -> None:
    rng = np.random.default_rng(0)
    draws, y = rng.normal(3, 2, (3, 40_000)), np.array([3.0, 5.0, -1.0])
    expected = 0.5 * np.log(2 * np.pi * 8) + (y - 3) ** 2 / 16  # N(3, 2² + 2²)
    for i in range(3):
        assert uci.nll_of_draws(draws[i : i + 1], y[i : i + 1]) == pytest.approx(expected[i], abs=0.03)


def test_densities_hold_in_the_unit_of_the_labels(fitted: TabularPosterior) -> None:
    x, y, _ = made_up(4, seed=2)
    posterior = fitted(1000 * x)
    grid = np.linspace(5 - 0.15, 5 + 0.15, 6001)
    density = posterior.density(fitted.percent(grid)) / fitted.unit
    np.testing.assert_allclose(density.sum(axis=1) * (grid[1] - grid[0]), 1, atol=2e-3)
    np.testing.assert_allclose(fitted.original(fitted.percent(y)), y, rtol=1e-12)


def test_the_posterior_finds_centre_and_width(fitted: TabularPosterior) -> None:
    x, y, sd = made_up(300, seed=3)
    posterior, label = fitted(1000 * x), 5 + 0.01 * y
    error = fitted.original(posterior.mean) - label
    assert np.sqrt((error**2).mean()) < 1.35 * 0.01 * np.sqrt((sd**2).mean())
    width = np.log(posterior.sd)
    assert np.corrcoef(width, np.log(sd))[0, 1] > 0.4
    assert abs(np.mean(np.abs(posterior.pit(fitted.percent(label)) - 0.5) < 0.4) - 0.8) < 0.1


def test_the_same_seed_gives_the_same_posterior() -> None:
    x, y, _ = made_up(80)
    quick = replace(SMALL, point_steps=(0.0, 5, 5), density_steps=(0.0, 3, 3))
    first, second = (TabularPosterior(x, y, quick, seed=4)(x[:3]).y_percent for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_recalibration_makes_the_levels_true() -> None:
    """Labels spread 1.5 times as wide as said, and shifted: after h, a tenth of them falls into each tenth."""
    scores = 0.3 + 1.5 * np.random.default_rng(0).standard_normal(20_000)
    mapped = recalibration(scores, prior_rows=0).inverse(scores[None])[0]
    share = np.histogram(normal_cdf(mapped), 10, (0, 1))[0] / len(scores)
    np.testing.assert_allclose(share, 0.1, atol=0.006)
    np.testing.assert_allclose(mapped[np.abs(mapped) < 2].std(), 0.8796, atol=0.01)  # of a normal within ±2
    still = recalibration(scores[:50], prior_rows=10**9)
    np.testing.assert_allclose(still(np.array([[-1.0, 0.0, 1.0]]))[0][0], [-1, 0, 1], atol=0.02)


def cost(scores: np.ndarray, fresh: np.ndarray) -> np.ndarray:
    """−log density of fresh scores after recalibration on others, by change of variables."""
    h = recalibration(scores, prior_rows=200)
    z = h.inverse(fresh[None])
    return (0.5 * z**2 + 0.5 * np.log(2 * np.pi) + np.log(h(z)[1]))[0]


def test_heavy_tails_are_told_from_scores_and_normal_ones_left_alone() -> None:
    rng = np.random.default_rng(0)
    normal, heavy = rng.standard_normal((2, 5000)), rng.standard_t(4, (2, 5000)) / np.sqrt(2)
    far = np.array([15.0])
    assert cost(heavy[0], far)[0] < 20 < 60 < 0.5 * far[0] ** 2
    ideal = np.mean(0.5 * normal[1] ** 2 + 0.5 * np.log(2 * np.pi))
    assert cost(normal[0], normal[1]).mean() < ideal + 0.01
    gaussian = np.mean(0.5 * (heavy[1] / heavy[0].std()) ** 2 + np.log(heavy[0].std()) + 0.5 * np.log(2 * np.pi))
    assert cost(heavy[0], heavy[1]).mean() < gaussian - 0.03


def test_few_rows_do_not_promise_light_tails() -> None:
    """60 normal scores cannot tell what a label at 8 costs: much less than the 33 nats of a normal tail."""
    scores = normal_quantile((np.arange(60) + 0.5) / 60)
    assert cost(scores, np.array([8.0]))[0] < 15


def gaussian_members(centres: np.ndarray, sd: float) -> list[Posterior]:
    z = quantile_nodes()
    return [Posterior.from_nodes(z, 100 / (1 + np.exp(-(c[:, None] + sd * z)))) for c in centres]


def test_averaging_narrows_by_the_variance_it_removes() -> None:
    """y = μ + σ ε, five members with independent errors δ: each is as wide as σ² + δ², their mean errs by σ² + δ²/5."""
    rng, B, K, sigma, delta = np.random.default_rng(0), 4000, 5, 0.3, 0.2
    y, own = sigma * rng.standard_normal(B), np.hypot(sigma, delta)
    members = gaussian_members(delta * rng.standard_normal((K, B)), own)
    identity = recalibration(normal_quantile((np.arange(500) + 0.5) / 500), prior_rows=10**12)
    tables = recalibrated(members, identity)
    spread = [np.std(scores_in(averaged(tables, rho), y)) for rho in (0.0, delta**2 / own**2)]
    assert spread[1] == pytest.approx(1, abs=0.04)
    assert spread[0] == pytest.approx(np.hypot(sigma, delta / K**0.5) / own, abs=0.03)


def test_disagreement_on_unseen_rows_is_told_from_seen_ones() -> None:
    """Least squares with 20 columns on 100 rows in five folds, against 2000 rows that no member saw."""
    rng, K, n, d, found, true = np.random.default_rng(0), 5, 100, 20, [], []
    for _ in range(20):
        x, new = rng.standard_normal((n, d)), rng.standard_normal((2000, d))
        y, fold = x.sum(axis=1) + 2 * rng.standard_normal(n), rng.permutation(n) % K
        slopes = [np.linalg.lstsq(x[fold != k], y[fold != k], rcond=None)[0] for k in range(K)]
        seen = np.stack([x @ b for b in slopes])[..., None] + 2.5 * NODES
        found.append(disagreement(seen, y, fold))
        true.append(np.mean((new @ np.stack(slopes).T).var(axis=1, ddof=1)) / 2.5**2)
    assert np.mean(found) == pytest.approx(np.mean(true), rel=0.25)


def test_the_report_compares_and_a_killed_run_goes_on(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, said = replace(SMALL, point_steps=(0.0, 20, 20), density_steps=(0.0, 5, 5)), []
    arguments = {"sets": ["yacht"], "workers": 1, "settings": quick, "out": tmp_path / "out"}
    report = uci.run(suite, say=said.append, **arguments)
    ours, one, card = report.tables[0].rows
    assert ours[0] == "yacht"
    assert ours[1] == one[1] == 2
    assert "±" in str(ours[2])
    assert "met" in str(one[2])
    assert one[2] != ours[2]
    assert card[2] == "0.65"
    assert len(said) == 2
    assert not report.synthetic
    assert "**SYNTHETIC" not in report.tables[0].markdown()

    (tmp_path / "out" / "yacht-1.json").write_text("{half")
    fits: list[int] = []
    measured = uci.measure
    monkeypatch.setattr(uci, "measure", lambda *a: fits.append(1) or measured(*a))
    again = uci.run(suite, **arguments)
    assert len(fits) == 1
    figures = [dict(zip(again.tables[0].header, row, strict=True)) for row in again.tables[0].rows]
    assert figures[0] == dict(zip(report.tables[0].header, ours, strict=True))
    uci.run(suite, **{**arguments, "seed": 1}, splits=1)
    assert len(fits) == 2
    assert json.loads((tmp_path / "out" / "yacht-0.json").read_text())["seed"] == 1
