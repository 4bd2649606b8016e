"""The sampler's own error is measured as its definition says, and the table tells the truth about solvers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from mcsdr.diffusion.closed_form import FIVE, GaussianMixture
from mcsdr.diffusion.sampler import EXACT, PAPER
from mcsdr.evaluation.evidence.exactness import (
    CROSSED,
    EVALUATIONS,
    SOLVERS,
    TABULATED,
    TARGETS,
    image,
    levels,
    quality,
    run,
    setting,
    table_quality,
    tabulated,
    worst,
)
from mcsdr.evaluation.evidence.record import Report
from mcsdr.posterior import Posterior, quantile_nodes

NORMAL = GaussianMixture.of((1, 55, 4.8))


@pytest.fixture(scope="module")
def report() -> Report:
    return run(lambda line: None, points=1000, repeats=4)


def test_the_exact_quantiles_have_no_error() -> None:
    for p in FIVE.values():
        found = quality(p, p.quantile(torch.from_numpy(levels(20_000)))[0].numpy())
        assert found == pytest.approx((1, 0.9, 0, 0), abs=1e-3)


def test_a_shifted_and_shrunk_normal_has_the_known_errors() -> None:
    """y = μ + SD(c + k z): SD ratio k, W1 = E|c + (k − 1)z|, cover and KS from Φ."""
    c, k, n = 0.3, 0.7, 20_000
    z = stats.norm.ppf(levels(n))
    found = quality(NORMAL, 55 + 4.8 * (c + k * z))
    assert found.sd_ratio == pytest.approx(k, rel=1e-3)
    edge = k * stats.norm.ppf(0.95)
    assert found.cover == pytest.approx(stats.norm.cdf(c + edge) - stats.norm.cdf(c - edge), abs=1e-3)
    assert found.ks == pytest.approx(np.abs(stats.norm.cdf(c + k * z) - stats.norm.cdf(z)).max(), abs=1e-6)
    assert found.w1 == pytest.approx(stats.foldnorm.mean(c / 0.3, scale=0.3), rel=1e-3)


def test_ten_ddim_steps_on_the_marginal_target_make_a_posterior_two_thirds_as_wide() -> None:
    y = image(NORMAL, setting("ddim", "linear-beta", 10), "marginal", 2000)
    assert quality(NORMAL, y).sd_ratio == pytest.approx(0.684, abs=2e-3)


@pytest.mark.parametrize("evaluations", EVALUATIONS)
@pytest.mark.parametrize(
    "solver", [one for one in SOLVERS if one[2] != "log-SNR"], ids=lambda solver: "-".join(solver[1:])
)
def test_solvers_are_compared_at_equal_evaluations(solver: tuple[str, str, str], evaluations: int) -> None:
    assert setting(*solver[1:], evaluations).evaluations == evaluations


def test_targets_are_locations_and_positive_scales() -> None:
    assert [float(a) for a, _ in (target(NORMAL) for target in TARGETS.values())] == pytest.approx([55, 56.92, 55, 0])
    assert [float(b) for _, b in (target(NORMAL) for target in TARGETS.values())] == pytest.approx([4.8, 6.72, 12.4, 1])


def test_forty_draws_carry_the_known_monte_carlo_error() -> None:
    """SD/√40 = 0.158 SD, where 23 nodes have less than a hundredth."""
    draws = dict(label_of(target="exact"))["40 draws of p (Monte Carlo alone)"]
    found = table_quality(NORMAL, tabulated(NORMAL, draws, "exact", 600))
    assert found.mean_error == pytest.approx(40**-0.5, rel=0.1)
    nodes = table_quality(NORMAL, tabulated(NORMAL, EXACT, "residual", 1))
    assert nodes.mean_error < 0.01
    assert nodes.ks < 0.01


def label_of(target: str) -> list[tuple[str, object]]:
    return [(label, settings) for label, settings, of in TABULATED if of == target]


def test_a_table_is_measured_against_the_posterior() -> None:
    z = quantile_nodes()
    found = table_quality(NORMAL, Posterior.from_nodes(z, np.stack([57.4 + 4.8 * z, 52.6 + 4.8 * z])))
    assert found.mean_error == pytest.approx(0.5, abs=2e-3)
    assert found.sd_ratio == pytest.approx(1, abs=2e-3)


def test_the_worst_is_the_farthest_from_the_ideal() -> None:
    assert worst([0.9, 1.05, 1.0], 1) == 0.9
    assert worst([0.02, 0.1], 0) == 0.1


def test_the_report_has_all_its_tables(report: Report) -> None:
    alone, crossed, tables, steps = report.tables
    assert len(alone.rows) == len(SOLVERS) * len(EVALUATIONS) <= 25
    assert len(crossed.rows) == len(CROSSED)
    assert len(tables.rows) == len(TABULATED)
    assert len(steps.rows) == 8
    for table in report.tables:
        assert all(len(row) == len(table.header) for row in table.rows)
        assert any("no patient" in note for note in table.notes)
    assert not report.synthetic


def test_order_and_grid_pay_and_evaluations_help_every_solver(report: Report) -> None:
    """Worst KS by solver and evaluations: it falls with every row, and order 2 beats order 1 at equal cost."""
    alone = report.tables[0]
    ks = {tuple(row[:3]): row[alone.header.index("KS: worst")] for row in alone.rows}
    for name, _, grid in SOLVERS:
        by_cost = [ks[name, grid, evaluations] for evaluations in EVALUATIONS]
        assert by_cost == sorted(by_cost, reverse=True)
    for evaluations in EVALUATIONS:
        ours, theirs = (
            ks["midpoint (ours)", "quadratic", evaluations],
            ks["DDIM (the paper's)", "linear-beta", evaluations],
        )
        for grid in ("quadratic", "log-SNR"):
            assert ours < ks["DPM-Solver++(2M)", grid, evaluations] < theirs


def test_it_is_repeatable_from_its_seed() -> None:
    first, again, other = (image(NORMAL, setting("ddpm", "linear-beta", 4, seed), "raw", 50) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    settings = (replace(PAPER, seed=seed) for seed in (0, 0, 1))
    first, again, other = (tabulated(NORMAL, one, "raw", 3).y_percent for one in settings)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
