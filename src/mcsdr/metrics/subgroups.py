"""The same measures for each kind of patient, each with its interval, and silence where there are too few.

Every measure of a subgroup is a mean over its rows, so its interval comes from the bootstrap over its patients.
Groups of fewer than LEAST_PATIENTS patients get no figures at all: with n of them a coverage of 90 % is known to
±1.96·sqrt(0.09/n), ±13 points at n = 20, and a mean error to ±0.44 SD; below that any difference between groups is as
likely chance as not, and a figure would be read as evidence of fairness.

A group chosen by the *reported* EF is chosen by the outcome: even a perfect posterior errs upwards at low readings and
covers less at both ends (regression to the mean). A group chosen by what was known beforehand, the *predicted* EF
included, should be covered as often as its level says.

Reference: Lerch et al. 2017, "Forecaster's dilemma: extreme events and forecast evaluation", Statist. Sci. 32:106.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcsdr.metrics.bootstrap import Interval, cluster_bootstrap_mean

Array = NDArray[np.float64]

LEAST_PATIENTS = 20
NO_EVIDENCE = "no evidence"
UNKNOWN = "unknown"

AGE_BANDS = ("<1", "1–12", "13–17", "18–44", "45–64", "≥65")  # completed years
EF_BANDS = ("≤30", "31–40", "41–49", "≥50")  # y ≤ 30, 30 < y ≤ 40, 40 < y < 50, y ≥ 50
TRUE_EF_BANDS = ("<30", "30–40", "40–50", "50–60", "≥60")  # the upper end excluded; of phantoms, whose truth is known


class Subgroup(NamedTuple):
    """One group of one attribute.

    Attributes:
        attribute, group: such as "sex" and "F".
        studies, patients: how many.
        measures: name → interval; empty where there are fewer than LEAST_PATIENTS patients.
    """

    attribute: str
    group: str
    studies: int
    patients: int
    measures: Mapping[str, Interval]

    @property
    def has_evidence(self) -> bool:
        """Whether there are patients enough for figures."""
        return self.patients >= LEAST_PATIENTS


def age_band(age_years: float) -> str:
    """The band of `AGE_BANDS` an age falls in; "unknown" for NaN."""
    return _band(age_years, np.searchsorted((1, 13, 18, 45, 65), age_years, side="right"), AGE_BANDS)


def ef_band(ef_percent: float) -> str:
    """The band of `EF_BANDS` an ejection fraction falls in; "unknown" for NaN."""
    return _band(ef_percent, int(ef_percent > 30) + int(ef_percent > 40) + int(ef_percent >= 50), EF_BANDS)


def true_ef_band(ef_percent: float) -> str:
    """The band of `TRUE_EF_BANDS` a true ejection fraction falls in; "unknown" for NaN."""
    return _band(ef_percent, np.searchsorted((30, 40, 50, 60), ef_percent, side="right"), TRUE_EF_BANDS)


def subgroups(
    attribute: str,
    labels: Sequence[str],
    order: Sequence[str],
    patients: ArrayLike,
    values: Mapping[str, ArrayLike],
    *,
    resamples: int = 1000,
) -> Iterator[Subgroup]:
    """The groups of one attribute, in a stated order.

    Arguments:
        attribute: what the rows are grouped by.
        labels: each row's group, [B].
        order: groups in the order to give them; others follow by name, "unknown" last. Groups without rows are left
            out.
        patients: each row's patient, [B].
        values: name → value per row whose mean is the measure, [B].
        resamples: of the bootstrap.
    """
    label, patient = np.asarray(labels), np.asarray(patients)
    columns = {name: np.asarray(value, dtype=np.float64) for name, value in values.items()}
    present = set(label.tolist())
    others = sorted(present - set(order) - {UNKNOWN})
    for group in (*order, *others, UNKNOWN):
        if group not in present:
            continue
        mine = label == group
        n_patients = len(np.unique(patient[mine]))
        measured = columns if n_patients >= LEAST_PATIENTS else {}
        means = {
            name: cluster_bootstrap_mean(patient[mine], value[mine], resamples=resamples)
            for name, value in measured.items()
        }
        yield Subgroup(attribute, group, int(mine.sum()), n_patients, means)


def _band(value: float, index: int | np.integer, bands: tuple[str, ...]) -> str:
    return UNKNOWN if np.isnan(value) else bands[int(index)]
