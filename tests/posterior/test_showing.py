"""How a posterior shows itself: in a line, as plain data, in a notebook, on matplotlib's axes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.figure import Figure

from mcsdr import DISCLAIMER
from mcsdr.errors import InvalidConfig
from mcsdr.posterior import Posterior, quantile_nodes
from mcsdr.posterior.dots import quantile_dots

Z = quantile_nodes()


def one_peak(median: float = 59.0) -> Posterior:
    return Posterior.from_nodes(Z, median + 7 * Z)


def two_peaks() -> Posterior:
    return Posterior.mixture([Posterior.from_nodes(Z, m + 3 * Z) for m in (34.0, 56.0)])


BATCH = Posterior.joined([one_peak(45), one_peak(61), two_peaks()])


# --- one line --------------------------------------------------------------------------------------------------------


def test_one_study_in_one_line() -> None:
    assert repr(one_peak()) == "Posterior(EF 59 %, 90 % 47–71)"


def test_two_peaks_are_told_in_the_place_of_a_median() -> None:
    assert repr(two_peaks()) == "Posterior(EF 34 or 56 %, 90 % 30–60)"


def test_a_batch_in_one_line() -> None:
    assert repr(BATCH[:2]) == "Posterior(2 studies, medians 45–61 %)"
    assert repr(BATCH[:1]) == "Posterior(1 study, median 45 %)"
    assert repr(BATCH[:0]) == "Posterior(0 studies)"


# --- plain data ------------------------------------------------------------------------------------------------------


def test_plain_data_is_what_the_questions_answer() -> None:
    posterior = two_peaks()
    record = json.loads(json.dumps(posterior.to_dict()))
    assert (record["median"], record["mean"], record["sd"]) == (posterior.median, posterior.mean, posterior.sd)
    assert record["interval_90"] == list(posterior.interval(0.9))
    assert record["quantiles"]["0.025"] == posterior.quantile(0.025)
    assert list(record["quantiles"]) == ["0.025", "0.05", "0.1", "0.25", "0.5", "0.75", "0.9", "0.95", "0.975"]
    assert [(mode["ef"], mode["mass"]) for mode in record["modes"]] == [tuple(mode) for mode in posterior.modes()]
    assert record["disclaimer"] == DISCLAIMER


def test_plain_data_of_a_batch_is_a_list_of_each() -> None:
    record, alone = json.loads(json.dumps(BATCH.to_dict())), BATCH[2].to_dict()
    assert len(record["median"]) == 3
    for key in ("median", "interval_90", "modes"):
        assert record[key][2] == alone[key]
    assert record["quantiles"]["0.5"] == BATCH.quantile(0.5).tolist()


# --- a notebook ------------------------------------------------------------------------------------------------------


def test_a_notebook_shows_fifty_dots_and_the_interval() -> None:
    page = one_peak()._repr_html_()
    ElementTree.fromstring(page)  # well formed: every element is closed
    assert page.count("<circle") == 50
    assert "Median 59 %; 90 % interval of a report 47 to 71 %" in page
    assert [re.findall(rf'class="{bar}"', page) != [] for bar in ("ninety", "fifty", "middle")] == [True] * 3
    assert DISCLAIMER in page


def test_a_notebook_shows_no_median_between_two_peaks() -> None:
    page = two_peaks()._repr_html_()
    assert "Two readings fit, 34 or 56 %" in page
    assert 'class="middle"' not in page


def test_a_notebook_shows_a_row_for_each_of_the_first_studies() -> None:
    many = Posterior.joined([one_peak(m) for m in np.linspace(40, 64, 25)])
    page = many._repr_html_()
    ElementTree.fromstring(page)
    assert page.count("<tr>") == 1 + 10
    assert "<tr><th>0</th><td>40</td><td>28–52</td></tr>" in page
    assert "… and 15 more" in page
    assert DISCLAIMER in page


def test_a_notebook_and_the_line_need_no_matplotlib() -> None:
    code = (
        "import sys; from mcsdr.posterior import Posterior;"
        "p = Posterior.from_nodes([-1, 0, 1], [40, 50, 60]); repr(p), p._repr_html_(), p.to_dict();"
        "sys.exit(any(name in sys.modules for name in ('matplotlib', 'torch', 'mcsdr.report')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- matplotlib ------------------------------------------------------------------------------------------------------


def test_a_plot_draws_the_dots_and_the_interval_on_the_axes_given() -> None:
    axes, posterior = Figure(figsize=(6, 4)).add_subplot(), one_peak()
    assert posterior.plot(axes) is axes
    (dots,) = axes.collections[:1]
    np.testing.assert_allclose(dots.get_offsets()[:, 0], quantile_dots(posterior).centre)
    ends = [tuple(line.get_xdata()) for line in axes.lines]
    assert posterior.interval(0.9) in ends
    assert posterior.interval(0.5) in ends
    assert axes.get_title(loc="left") == "Median 59 %; 90 % interval of a report 47 to 71 %"
    assert DISCLAIMER in [text.get_text() for text in axes.texts]


def test_a_plot_marks_the_threshold_asked_for() -> None:
    axes, posterior = Figure().add_subplot(), one_peak(50)
    posterior.plot(axes, threshold=50)
    assert "P(EF ≤ 50 %): 50 %" in [text.get_text() for text in axes.texts]
    assert posterior.plot(Figure().add_subplot(), threshold=12).get_xlim()[0] == 10
    with pytest.raises(InvalidConfig, match="Did you mean 40"):
        posterior.plot(threshold=0.4)
    assert not pyplot.get_fignums()


def test_a_plot_makes_a_figure_of_its_own_that_a_notebook_shows() -> None:
    pyplot.switch_backend("agg")
    axes = one_peak().plot()
    try:
        assert pyplot.get_fignums() == [axes.figure.number]
    finally:
        pyplot.close(axes.figure)


def test_a_plot_of_a_batch_is_refused() -> None:
    with pytest.raises(InvalidConfig, match=r"one study, not 3.*posterior\[0\]"):
        BATCH.plot()
