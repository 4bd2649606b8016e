"""What the figures promise: right statistics, a footer, and nothing global left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats
from tests.report.standins import posterior_of

from mcsdr import DISCLAIMER
from mcsdr.diffusion.sampler import SamplerSettings
from mcsdr.metrics.subgroups import Subgroup, subgroups
from mcsdr.model import Answer
from mcsdr.posterior import Posterior
from mcsdr.posterior.categories import CUTS, category_percents, percent
from mcsdr.posterior.dots import quantile_dots, smooth_density
from mcsdr.posterior.normal import normal_cdf
from mcsdr.report import figures
from mcsdr.report.drawing import binomial_band
from mcsdr.study import Study

POSTERIORS = {
    "one peak": posterior_of((0.75, 57, 5), (0.25, 50, 6)),
    "two peaks": posterior_of((0.6, 34, 4), (0.4, 54, 4)),
    "narrow": posterior_of((1, 61, 1)),
    "wide": posterior_of((1, 40, 18)),
    "at the edge": posterior_of((1, 6, 3)),
    "draws": posterior_of((1, 44, 8), settings=SamplerSettings("ddim", 10, "quadratic", draws=40)),
}
every_posterior = pytest.mark.parametrize("posterior", POSTERIORS.values(), ids=POSTERIORS)


def texts(figure: Figure) -> str:
    return " ".join(
        " ".join(text.get_text().split()) for text in figure.findobj(match=lambda a: hasattr(a, "get_text"))
    )


@pytest.fixture
def cohort() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    ef, sd = rng.normal(55, 10, 200).clip(12, 82), rng.uniform(3, 6, 200)
    median = ef + sd * rng.normal(size=200)
    pit = normal_cdf((ef - median) / sd)
    return {"median": median, "ef": ef, "low_90": median - 1.645 * sd, "high_90": median + 1.645 * sd, "pit": pit}


# --- dots, densities, probabilities ----------------------------------------------------------------------------------


@every_posterior
def test_dots_stand_on_their_side_of_every_cut_point(posterior: Posterior) -> None:
    dots = quantile_dots(posterior)
    assert len(dots.centre) == 50
    assert len(set(zip(dots.centre, dots.level, strict=True))) == 50
    y = posterior.quantile((np.arange(50) + 0.5) / 50)
    for cut in CUTS:
        assert (dots.centre < cut).sum() == (y <= cut).sum()
    assert (np.abs(dots.centre - y) <= dots.width / 2 + 1e-9).all()


@every_posterior
def test_the_smoothed_density_holds_all_the_belief(posterior: Posterior) -> None:
    grid = np.linspace(-20, 120, 2801)
    density = smooth_density(posterior, grid)
    assert (density >= 0).all()
    np.testing.assert_allclose(density.sum() * 0.05, 1, atol=2e-3)


def test_the_three_categories_sum_to_a_hundred() -> None:
    rng = np.random.default_rng(1)
    for p in rng.dirichlet((1, 1, 1), 200):
        shown = category_percents({"<=40": p[0], "<50": p[0] + p[1]})
        whole = [int(text.strip("<> %")) for text in shown]
        if not any(text[0] in "<>" for text in shown):
            assert sum(whole) == 100
            assert percent(p[0]) == shown[0]  # one probability is one number wherever it is written
        assert (np.abs(np.array(whole) - 100 * p) <= 1.01).all()


def test_no_probability_is_called_certain() -> None:
    assert [percent(p) for p in (0, 0.004, 0.3, 0.996, 1)] == ["<1 %", "<1 %", "30 %", ">99 %", ">99 %"]


def test_the_bands_are_binomial_quantiles() -> None:
    p = np.array([0.01, 0.05, 0.5, 0.9])
    low, high = binomial_band(137, p)
    np.testing.assert_array_equal(low, stats.binom.ppf(0.025, 137, p))
    np.testing.assert_array_equal(high, stats.binom.ppf(0.975, 137, p))


# --- figures ---------------------------------------------------------------------------------------------------------


def test_an_evaluation_writes_its_figures(tmp_path: Path, cohort: dict[str, np.ndarray]) -> None:
    paths = figures.save_all(tmp_path, **cohort, footer="synthetic phantoms")
    always = {"predicted_against_true.png", "pit_histogram.png", "reliability.png", "bland_altman.png"}
    assert {path.name for path in paths} == always
    assert set(tmp_path.iterdir()) == set(paths)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_figures_of_a_cohort_carry_measures_and_footer(cohort: dict[str, np.ndarray]) -> None:
    median, ef, low, high, pit = cohort.values()
    words = texts(figures.predicted_against_true(median, ef, low, high, footer="synthetic phantoms"))
    assert f"MAE {np.abs(median - ef).mean():.2f}" in words
    assert "synthetic phantoms" in words
    assert f"{100 * ((low <= ef) & (ef <= high)).mean():.1f} %" in words
    assert DISCLAIMER in texts(figures.pit_histogram(pit))
    assert f"90 % interval holds {100 * (np.abs(pit - 0.5) <= 0.45).mean():.1f} %" in texts(figures.reliability(pit))


def kinds(ef: np.ndarray, inside: np.ndarray, sizes: tuple[int, int]) -> list[Subgroup]:
    """Two groups by each EF, of so many patients, their MAE and coverage those of the first rows."""
    labels = ["≤30"] * sizes[0] + ["≥50"] * sizes[1]
    patients = np.arange(sum(sizes))
    values = {"MAE": ef[: sum(sizes)] / 10, "coverage 90%": inside[: sum(sizes)]}
    return [
        group
        for attribute in ("reported EF", "predicted EF")
        for group in subgroups(attribute, labels, ("≤30", "≥50"), patients, values, resamples=20)
    ]


def test_an_evaluation_draws_what_its_arrays_allow(tmp_path: Path, cohort: dict[str, np.ndarray]) -> None:
    groups = kinds(cohort["ef"], cohort["pit"] > 0.1, (19, 60))
    case = figures.Case("s$1_x$", POSTERIORS["two peaks"], 50.0, 0.0)
    paths = figures.save_all(tmp_path, **cohort, sd=cohort["high_90"], subgroups=groups, cases=[case] * 4)
    assert {path.stem for path in paths} > {"risk_coverage", "subgroups", "coverage_by_ef", "cases"}
    nobody = kinds(cohort["ef"], cohort["pit"] > 0.1, (19, 19))
    (tmp_path / "few").mkdir()
    assert "subgroups" not in {path.stem for path in figures.save_all(tmp_path / "few", **cohort, subgroups=nobody)}


def test_bland_altman_shows_bias_and_limits(cohort: dict[str, np.ndarray]) -> None:
    d = cohort["median"] - cohort["ef"]
    figure = figures.bland_altman(cohort["median"], cohort["ef"])
    words = texts(figure)
    for value in (d.mean(), d.mean() - 1.96 * d.std(ddof=1), d.mean() + 1.96 * d.std(ddof=1)):
        assert f"{value:+.1f}".replace("-", "−") in words
    assert DISCLAIMER in words
    points = figure.axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(points, np.column_stack([(cohort["median"] + cohort["ef"]) / 2, d]))


def test_risk_coverage_ends_at_the_mae_of_all(cohort: dict[str, np.ndarray]) -> None:
    error, sd = np.abs(cohort["median"] - cohort["ef"]), cohort["high_90"] - cohort["low_90"]
    figure = figures.risk_coverage(error, sd)
    for curve in figure.axes[0].lines[:2]:
        assert curve.get_xydata()[-1] == pytest.approx((1, error.mean()))
    assert DISCLAIMER in texts(figure)


def test_too_few_patients_are_words_and_not_a_mark(cohort: dict[str, np.ndarray]) -> None:
    inside = np.abs(cohort["pit"] - 0.5) < 0.45
    groups = kinds(cohort["ef"], inside, (19, 60))
    for figure in (figures.subgroup_forest(groups, overall=4.0), figures.coverage_by_ef(groups)):
        words = texts(figure)
        assert "no evidence" in words
        assert DISCLAIMER in words
        marks = [line for line in figure.axes[-1].lines if line.get_marker() in "os" and len(line.get_xdata())]
        assert len(marks) == 2  # of the groups of 60, one by each EF
        at = [float(value) for line in marks for value in (*line.get_xdata(), *line.get_ydata())]
        assert at.count(pytest.approx(inside[19:79].mean())) == 2


def test_cases_show_mean_and_truth() -> None:
    cases = [figures.Case(f"study {i}", POSTERIORS["one peak"], 40.0 + i, i / 3) for i in range(4)]
    figure = figures.case_densities(cases)
    for axes, case in zip(figure.axes, cases, strict=False):
        upright = {float(line.get_xdata()[0]) for line in axes.lines if len(line.get_xdata()) == 2}
        assert upright == {case.observed, case.posterior.mean}
    words = texts(figure)
    assert "least error" in words
    assert "greatest error" in words
    assert "error rank 33 %" in words
    assert DISCLAIMER in words


def test_trajectories_show_mean_and_spread_at_both_ends() -> None:
    posterior = POSTERIORS["one peak"]
    left, middle, right = figures.trajectories(posterior).axes
    assert posterior.trajectories is not None
    first = Posterior.from_nodes(posterior.z[0], posterior.trajectories[0, 0])
    (mean,) = [line for line in middle.lines if line.get_label() == "mean"]
    assert mean.get_ydata()[[0, -1]] == pytest.approx([first.mean, posterior.mean])
    edges = [line.get_ydata()[-1] for line in middle.lines if line is not mean]
    assert sorted(edges) == pytest.approx([posterior.mean - posterior.sd, posterior.mean + posterior.sd])
    for violin in (left, right):
        assert violin.collections  # the filled shape


def test_paths_of_raw_draws_are_not_cut_off_at_the_ends_of_the_range() -> None:
    states = np.stack([np.linspace(-2, 2, 40), np.linspace(-30, 130, 40)])
    posterior = Posterior.from_draws(states[-1], trajectories=states, angles=[1.5, 0])
    low, high = figures.trajectories(posterior).axes[1].get_ylim()
    assert low < -30
    assert high > 130


@every_posterior
def test_every_posterior_can_be_drawn(tmp_path: Path, posterior: Posterior) -> None:
    figures.posterior_density(posterior, observed=50).draw_without_rendering()
    figure = figures.trajectories(posterior, observed=50)
    figure.draw_without_rendering()
    assert "not evidence" in texts(figure)


def test_trajectories_of_a_batch_are_refused() -> None:
    with pytest.raises(ValueError, match="one study"):
        figures.trajectories(Posterior.from_nodes([-1, 0, 1], [[40, 50, 60]]))


def test_the_readme_picture_shows_words_and_footer(answer: Answer, study: Study) -> None:
    words = texts(figures.readme_picture(answer.posterior, study.clips[0]))
    low, high = answer.posterior.interval(0.9)
    assert f"Median {answer.posterior.median:.0f} %; 90 % interval of a report {low:.0f} to {high:.0f} %" in words
    assert DISCLAIMER in words


def test_figures_touch_no_global_state() -> None:
    code = "import sys, mcsdr.report.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
