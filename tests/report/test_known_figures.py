"""Figures of known posteriors say that they are SYNTHETIC, and leave nobody out without a word."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from mcsdr import DISCLAIMER
from mcsdr.diffusion.closed_form import GaussianMixture
from mcsdr.metrics.known import exact_table
from mcsdr.report import known_figures
from mcsdr.report.known_figures import Example


def texts(figure: Figure) -> str:
    return " ".join(
        " ".join(text.get_text().split()) for text in figure.findobj(match=lambda a: hasattr(a, "get_text"))
    )


def example(*components: tuple[float, float, float]) -> Example:
    exact = GaussianMixture.of(*components)
    return Example(exact_table(exact)[0], exact, 0.01)


@pytest.fixture
def rows() -> dict[str, list[Example]]:
    return {"control": [example((1, 50, 4))], "hidden-wall": [example((0.4, 40, 2.5), (0.6, 60, 2.5))] * 3}


def test_both_figures_say_synthetic_and_carry_the_disclaimer(rows: dict[str, list[Example]]) -> None:
    for figure in (known_figures.densities(rows), known_figures.weight_curve([0.2, 0.8], [0.3, 0.7])):
        assert known_figures.ON_ITS_FACE == "SYNTHETIC"
        assert "SYNTHETIC" in texts(figure)
        assert DISCLAIMER in texts(figure)


def test_every_kind_has_its_row_and_an_exact_answer_covers_the_exact_density(rows: dict[str, list[Example]]) -> None:
    figure = known_figures.densities(rows)
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")] == list(rows)
    for axes in (axes for axes in figure.axes if axes.lines):
        model = axes.lines[0].get_ydata()
        exact = axes.collections[0].get_paths()[0].vertices[:, 1].max()
        assert np.max(model) == pytest.approx(exact, rel=0.03)


def test_studies_whose_readings_cannot_be_told_apart_are_counted() -> None:
    figure = known_figures.weight_curve([0.2, np.nan, 0.8, 0.5], [0.3, np.nan, 0.8, 0.5])
    assert "3 studies (1 not told apart); mean error 0.033" in texts(figure)


def test_no_study_at_all_still_draws() -> None:
    assert "0 studies" in texts(known_figures.weight_curve([np.nan], [np.nan]))
