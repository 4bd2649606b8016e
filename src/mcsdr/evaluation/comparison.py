"""The measured beside the published: one table per data set, as Markdown, CSV and LaTeX.

Published rows are quoted as their authors give them, on real patients; measured rows come from `mcsdr reproduce`. Where
what was measured on is synthetic the table says so in its title, and the two kinds of rows are not to be compared.

A measured figure is the estimate with its 95 % bootstrap interval over patients for one seed, and mean ± SD over seeds
for several. Two presets are also compared study by study: the bootstrap draws patients, and both answer the same ones.
Equal terms are told from others: one view against one view, two against two, as many noise pairs. Beside each
difference stands what so many patients can tell: 2.8 standard errors, which a two-sided test at 5 % finds with a power
of 80 %; a smaller difference, found or not found, means nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mcsdr import DISCLAIMER
from mcsdr.evaluation.measures import Measure, column, measure, patients_of
from mcsdr.files import write_atomically, write_table
from mcsdr.metrics.bootstrap import Interval, cluster_bootstrap
from mcsdr.metrics.calibration import coverage_error

COLUMNS = {
    "MAE": "MAE",
    "RMSE": "RMSE",
    "R2": "R²",
    "CRPS paper": "CRPS (1/K²)",
    "CRPS": "CRPS",
    "coverage 90%": "90 % coverage",
    "coverage error": "coverage error",
    "PIT KS": "PIT KS",
    "mean 90 % width": "90 % width",
}


# (one, the other, on which terms), where both were run.
DUELS = (
    ("ours", "paper-two-views", "two views against two"),
    ("ours-one-view", "paper", "one view against one"),
    ("ours-one-view", "paper-more-pairs", "one view against one, as many noise pairs"),
    ("ours", "paper", "NOT on equal terms where ours sees two views: each as its authors train it"),
)
TOLD = 2.8 / 1.96  # half an interval of 95 % to what is told with a power of 80 %


class Published(NamedTuple):
    """One published row: MAE, RMSE and R² on real patients; None where not given."""

    method: str
    mae: float
    rmse: float | None
    r2: float | None


PUBLISHED: dict[str, tuple[Published, ...]] = {
    "echonet-dynamic": (
        Published("MCSDR (arXiv 2602.08202)", 3.76, 4.81, 0.84),
        Published("EchoNet-Dynamic, R(2+1)D, all clips", 4.05, 5.32, 0.81),
        Published("EchoCoTr, UniFormer-S", 3.95, 5.17, 0.82),
        Published("CoReEcho, UniFormer-S", 3.90, 5.13, 0.82),
        Published("Echo-E3Net", 3.93, 5.20, 0.82),
    ),
    "echonet-pediatric": (
        Published("MCSDR, video (arXiv 2602.08202)", 4.26, 5.88, 0.74),
        Published("MCSDR, with demographics (arXiv 2602.08202)", 4.22, 5.59, 0.77),
        Published("EchoNet-Peds, R(2+1)D", 3.66, None, None),
    ),
    "camus": (
        Published("MCSDR, video (arXiv 2602.08202)", 6.22, 8.31, 0.58),
        Published("MCSDR, with demographics (arXiv 2602.08202)", 5.73, 7.50, 0.66),
        Published("CoReEcho, good and medium quality", 5.29, None, None),
        Published("CoReEcho, poor quality", 6.81, None, None),
    ),
}

Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Measured:
    """What one preset answered: rows as `measures.ROW` for each seed, and which column is its point estimate."""

    preset: str
    rows: Mapping[int, Rows]
    point: str

    @cached_property
    def measures(self) -> dict[int, dict[str, Measure]]:
        """The measures of each seed, by name."""
        return {seed: {m.name: m for m in measure(rows, self.point)} for seed, rows in self.rows.items()}


@dataclass(frozen=True)
class Comparison:
    """The table of one data set.

    Arguments:
        dataset: a key of `PUBLISHED`.
        measured: what was measured, one per preset.
        about: one phrase saying on what, such as "300 synthetic studies, ten-fold".
        synthetic: whether it was phantoms.
        command: what repeats it.
    """

    dataset: str
    measured: Sequence[Measured]
    about: str
    synthetic: bool
    command: str

    def write(self, folder: Path) -> None:
        """table.md, table.csv and table.tex."""
        header, *cells = self.cells()
        write_table(folder / "table.csv", header, cells)
        write_atomically(folder / "table.md", self._markdown(header, cells).encode())
        write_atomically(folder / "table.tex", self._latex(header, cells).encode())

    def differences(self, one: str = "ours", other: str = "paper") -> dict[str, Interval]:
        """One preset less another on the studies that both answered, first seed: negative is better for the one.

        Nothing where one of them was not run, or they answered no study in common.
        """
        by_preset = {m.preset: m for m in self.measured}
        if not {one, other} <= by_preset.keys():
            return {}
        mine, theirs = (next(iter(by_preset[name].rows.values())) for name in (one, other))
        known = {row["study_id"]: row for row in theirs}
        pairs = [(row, known[row["study_id"]]) for row in mine if row["study_id"] in known]
        if not pairs:
            return {}
        a, b = [row for row, _ in pairs], [row for _, row in pairs]
        patients = patients_of(a)

        def error(rows: Rows, preset: str) -> np.ndarray:
            return np.abs(column(rows, by_preset[preset].point) - column(rows, "ef"))

        def mean_difference(x: np.ndarray, y: np.ndarray) -> float:
            return float(x.mean() - y.mean())

        def coverage_difference(x: np.ndarray, y: np.ndarray) -> float:
            return coverage_error(x) - coverage_error(y)

        return {
            "CRPS": cluster_bootstrap(mean_difference, patients, column(a, "crps"), column(b, "crps")),
            "coverage error": cluster_bootstrap(coverage_difference, patients, column(a, "pit"), column(b, "pit")),
            "MAE": cluster_bootstrap(mean_difference, patients, error(a, one), error(b, other)),
        }

    @cached_property
    def duels(self) -> list[str]:
        """Every comparison that was run, in words: its terms, the differences, and what the patients can tell."""
        said = []
        for one, other, terms in DUELS:
            differences = self.differences(one, other)
            if not differences:
                continue
            parts = [f"{name} {d.estimate:+.3f} ({d.lower:+.3f} to {d.upper:+.3f})" for name, d in differences.items()]
            told = [f"{name} {TOLD * (d.upper - d.lower) / 2:.2f}" for name, d in differences.items()]
            said.append(
                f"{one} − {other} ({terms}), paired by study: {'; '.join(parts)}. "
                f"So many patients can tell differences from {', '.join(told)}."
            )
        return said

    def cells(self) -> list[list[str]]:
        """The header and the rows, published ones first."""
        quoted = [
            [f"published: {p.method}", "", _number(p.mae), _number(p.rmse), _number(p.r2)] + ["–"] * (len(COLUMNS) - 3)
            for p in PUBLISHED[self.dataset]
        ]
        where = "phantoms" if self.synthetic else "here"
        mine = [
            [f"measured on {where}: {m.preset}", str(len(next(iter(m.rows.values())))), *_figures(m)]
            for m in self.measured
        ]
        return [["method", "studies", *COLUMNS.values()], *quoted, *mine]

    def title(self) -> str:
        """What was measured, and on whom."""
        kind = "SYNTHETIC phantoms in its layout: no patient; not comparable with the published rows. "
        return f"{self.dataset}: {self.about}. {kind if self.synthetic else ''}".strip()

    def notes(self) -> list[str]:
        """What must be known to read the table, the differences of the presets, and what repeats it."""
        seeds = {len(m.rows) for m in self.measured}
        spread = "mean ± SD over seeds" if max(seeds) > 1 else "estimate (95 % bootstrap interval over patients)"
        notes = [
            f"Measured figures: {spread}. EF points, except R², coverage, coverage error and PIT KS.",
            "CRPS (1/K²): the paper's estimator on draws (40 from a quantile table). CRPS: without bias, the integral "
            "over a quantile table, of draws the fair estimator.",
            "Coverage, its error and PIT of draws are by the rank of the reading among them.",
            "Coverage error is the mean of |coverage − level| over central levels 5 to 95 %.",
            *self.duels,
        ]
        return [*notes, f"Command: `{self.command}`", DISCLAIMER]

    def _markdown(self, header: list[str], cells: list[list[str]]) -> str:
        lines = ["| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *cells]]
        return "\n".join([f"**{self.title()}**", "", *lines, "", *(f"- {note}" for note in self.notes()), ""])

    def _latex(self, header: list[str], cells: list[list[str]]) -> str:
        body = [" & ".join(map(_tex, row)) + r" \\" for row in cells]
        columns = "l" + "r" * (len(header) - 1)
        notes = " ".join(self.notes()).replace("`", "")
        return "\n".join(
            [
                r"\begin{table}\centering\small",
                rf"\caption{{{_tex(self.title() + notes)}}}",
                rf"\begin{{tabular}}{{{columns}}}",
                r"\hline",
                " & ".join(map(_tex, header)) + r" \\ \hline",
                *body,
                r"\hline",
                r"\end{tabular}",
                r"\end{table}",
                "",
            ]
        )


def _figures(measured: Measured) -> list[str]:
    by_seed = list(measured.measures.values())
    if len(by_seed) == 1:
        return [_with_interval(by_seed[0][name]) for name in COLUMNS]
    return [_spread([of_seed[name].estimate for of_seed in by_seed]) for name in COLUMNS]


def _with_interval(m: Measure) -> str:
    return f"{_number(m.estimate)} ({_number(m.lower)}–{_number(m.upper)})"


def _spread(values: list[float]) -> str:
    return f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"


def _number(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.2f}"


def _tex(text: str) -> str:
    for plain, escaped in (("%", r"\%"), ("_", r"\_"), ("&", r"\&"), ("#", r"\#"), ("²", "$^2$"), ("±", r"$\pm$")):
        text = text.replace(plain, escaped)
    return text.replace("–", "--").replace("−", "$-$").replace("≤", r"$\le$")
