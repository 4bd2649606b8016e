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
from mcsdr.normal import normal_cdf
from mcsdr.posterior import Posterior
from mcsdr.prediction import Prediction
from mcsdr.report import CUTS, category_percents, figures, percent, quantile_dots, smooth_density
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
        shown = category_percents(dict(zip(("<=40", "40-50", ">=50"), p, strict=True)))
        whole = [int(text.strip("<> %")) for text in shown]
        if not any(text[0] in "<>" for text in shown):
            assert sum(whole) == 100
        assert (np.abs(np.array(whole) - 100 * p) <= 1).all()


def test_no_probability_is_called_certain() -> None:
    assert [percent(p) for p in (0, 0.004, 0.3, 0.996, 1)] == ["<1 %", "<1 %", "30 %", ">99 %", ">99 %"]


def test_the_bands_are_binomial_quantiles() -> None:
    p = np.array([0.01, 0.05, 0.5, 0.9])
    low, high = figures._binomial_band(137, p)
    np.testing.assert_array_equal(low, stats.binom.ppf(0.025, 137, p))
    np.testing.assert_array_equal(high, stats.binom.ppf(0.975, 137, p))


# --- figures ---------------------------------------------------------------------------------------------------------


def test_an_evaluation_writes_its_figures(tmp_path: Path, cohort: dict[str, np.ndarray]) -> None:
    paths = figures.save_all(tmp_path, **cohort, footer="synthetic phantoms")
    assert {path.name for path in paths} == {"predicted_against_true.png", "pit_histogram.png", "reliability.png"}
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


@every_posterior
def test_every_posterior_can_be_drawn(tmp_path: Path, posterior: Posterior) -> None:
    figures.posterior_density(posterior, observed=50).draw_without_rendering()
    figure = figures.trajectories(posterior, observed=50)
    figure.draw_without_rendering()
    assert "not evidence" in texts(figure)


def test_trajectories_of_a_batch_are_refused() -> None:
    with pytest.raises(ValueError, match="one study"):
        figures.trajectories(Posterior.from_nodes([-1, 0, 1], [[40, 50, 60]]))


def test_the_readme_picture_shows_words_and_footer(answer: Prediction, study: Study) -> None:
    words = texts(figures.readme_picture(answer.posterior, study.clips[0]))
    low, high = answer.posterior.interval(0.9)
    assert f"Median {answer.posterior.median:.0f} %; 90 % interval {low:.0f} to {high:.0f} %" in words
    assert DISCLAIMER in words


def test_figures_touch_no_global_state() -> None:
    code = "import sys, mcsdr.report.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
