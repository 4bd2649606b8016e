"""The figures of an evaluation, and the door to those of single posteriors.

`save_all` draws what its arrays allow; `cohort_figures` and `posterior_figures` hold the figures themselves, each a
function that returns a `matplotlib.figure.Figure` of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from mcsdr import DISCLAIMER
from mcsdr.metrics.point import mae
from mcsdr.metrics.subgroups import Subgroup
from mcsdr.report.cohort_figures import (
    bland_altman,
    coverage_by_ef,
    pit_histogram,
    predicted_against_true,
    reliability,
    risk_coverage,
    subgroup_forest,
)
from mcsdr.report.drawing import save
from mcsdr.report.posterior_figures import Case, case_densities, posterior_density, readme_picture, trajectories

__all__ = [
    "Case",
    "bland_altman",
    "case_densities",
    "coverage_by_ef",
    "pit_histogram",
    "posterior_density",
    "predicted_against_true",
    "readme_picture",
    "reliability",
    "risk_coverage",
    "save",
    "save_all",
    "subgroup_forest",
    "trajectories",
]


def save_all(
    folder: str | Path,
    *,
    median: ArrayLike,
    ef: ArrayLike,
    low_90: ArrayLike,
    high_90: ArrayLike,
    pit: ArrayLike,
    sd: ArrayLike | None = None,
    point: ArrayLike | None = None,
    point_name: str = "median",
    patients: ArrayLike | None = None,
    subgroups: Sequence[Subgroup] = (),
    cases: Sequence[Case] = (),
    footer: str = "",
) -> list[Path]:
    """Write the figures of an evaluation as PNG and return where they are.

    Arguments:
        folder: an existing folder.
        median, ef, low_90, high_90: medians, reported EF and 90 % intervals in EF %, [B].
        pit: F_i(y_i), [B].
        sd: of the posteriors in EF points, [B]; without it there is no risk–coverage curve.
        point, point_name: the point estimate that was measured, [B], and what it is; the median if left out.
        patients: patient of each study, [B], for the intervals; each study by itself if left out.
        subgroups: kinds of patients; where none has patients enough there are no figures of them.
        cases: single studies to draw.
        footer: what must stand under every figure; by default that this is for research only.
    """
    below = footer or DISCLAIMER
    guess, y = (np.asarray(x, dtype=np.float64) for x in (median if point is None else point, ef))
    figures: dict[str, Figure] = {
        "predicted_against_true": predicted_against_true(
            guess, y, low_90, high_90, point_name=point_name, footer=below
        ),
        "pit_histogram": pit_histogram(pit, footer=below),
        "reliability": reliability(pit, footer=below),
        "bland_altman": bland_altman(guess, y, patients, footer=below),
    }
    if sd is not None:
        figures["risk_coverage"] = risk_coverage(np.abs(guess - y), sd, patients, footer=below)
    if any(subgroup.has_evidence for subgroup in subgroups):
        figures["subgroups"] = subgroup_forest(subgroups, overall=mae(guess, y), footer=below)
        figures["coverage_by_ef"] = coverage_by_ef(subgroups, footer=below)
    if cases:
        figures["cases"] = case_densities(cases, footer=below)
    paths = [Path(folder) / f"{name}.png" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        save(path, figure)
    return paths
