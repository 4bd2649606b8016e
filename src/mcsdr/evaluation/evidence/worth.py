"""What is the diffusion worth? A model against itself with the flow replaced by its own location-scale head.

The same weights answer the same clips twice: once as they are, and once with the velocity set to 0, which leaves the
logit-normal of the location-scale head. Neither is recalibrated, and each clip is encoded once for both. A difference
is taken study by study, head alone less flow, so that above 0 the flow gains; its 95 % interval comes from drawing
studies. Where a posterior has one peak there is little to gain; the flow is there for posteriors with a shape, such as
those without a video.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcsdr import DEFAULT_MODEL
from mcsdr.datasets import CohortSpec, is_synthetic, open_cohort
from mcsdr.errors import InvalidCohort
from mcsdr.evaluation.calibration import marks_of
from mcsdr.evaluation.evidence.record import Cell, Report, Say, Table
from mcsdr.metrics.bootstrap import cluster_bootstrap_mean
from mcsdr.metrics.calibration import coverage_error
from mcsdr.metrics.scores import crps_of
from mcsdr.model import Model, load
from mcsdr.posterior import Posterior
from mcsdr.study import Study

Array = NDArray[np.float64]

OWN = ("phantom:500:91:varied", "phantom:500:92")  # no model has learnt from these seeds
PATTERNS = {"video and attributes": (), "video alone": ("attributes",), "attributes alone": ("video",)}
AT_ONCE = 16
LEAST_TOLD = 2.8  # standard errors: what a two-sided test at 5 % finds with a power of 80 %
HEADER = (
    *("clips", "known", "n", "CRPS, flow", "head alone", "gain", "95 % interval", "n can tell"),
    *("NLL, flow", "head alone", "gain", "95 % interval", "coverage error, flow", "head alone"),
)


class Pair(NamedTuple):
    """The answers of both to the same studies."""

    flow: Posterior
    head: Posterior


def run(*, model: str = DEFAULT_MODEL, cohorts: Sequence[str] = OWN, say: Say = print) -> Report:
    """Both answers to every cohort, under every pattern of what is known.

    Arguments:
        model: a bundled model's name or a folder.
        cohorts: as `CohortSpec.parse` reads them.
        say: told how far it is.

    Raises:
        InvalidConfig: the model has no location-scale head.
    """
    estimator, specs = load(model), [CohortSpec.parse(cohort) for cohort in cohorts]
    flow, head = estimator.uncalibrated(), estimator.without_score()
    rows: list[list[Cell]] = []
    for spec in specs:
        say(f"{spec.describe()}: asking")
        pairs, ef, patients = ask(flow, head, open_cohort(spec))
        rows += [row(spec.describe(), known, pair, ef, patients) for known, pair in pairs.items()]
    notes = [
        "Gain: head alone less flow, by study; above 0 the flow is better. Neither is recalibrated. 95 % bootstrap "
        "intervals over patients.",
        f"n can tell: {LEAST_TOLD:g} standard errors of the gain in CRPS, found by a test at 5 % with a power of 80 %.",
    ]
    table = Table("The flow against its own location-scale head, same weights", HEADER, rows, notes, digits=4)
    about = {"model": estimator.card.name, "sha256": estimator.sha256, "cohorts": list(cohorts)}
    marks = [mark for spec in specs for mark in marks_of(estimator.card, spec)]
    return Report("worth", [table], about, synthetic=all(map(is_synthetic, specs)), marks=marks)


def ask(flow: Model, head: Model, cohort: Sequence[Study]) -> tuple[dict[str, Pair], Array, NDArray[np.str_]]:
    """Both models' answers under every pattern, the labels [B] and the patients [B]; each study is encoded once."""
    parts: dict[str, list[Pair]] = {known: [] for known in PATTERNS}
    ef: list[float] = []
    patients: list[str] = []
    for start in range(0, len(cohort), AT_ONCE):
        studies = [cohort[index] for index in range(start, min(start + AT_ONCE, len(cohort)))]
        seen = {"shown": flow.encode(studies), "hidden": flow.encode([study.without("video") for study in studies])}
        for known, hidden in PATTERNS.items():
            video = seen["hidden" if "video" in hidden else "shown"]
            rows = flow.attribute_rows([study.without(*hidden) for study in studies])
            parts[known].append(Pair(flow.posterior(video, rows), head.posterior(video, rows)))
        for place, study in enumerate(studies, start):
            if study.ef_percent is None:
                raise InvalidCohort("a study has no ejection fraction.", path=study.study_id or None)
            ef.append(study.ef_percent)
            patients.append(study.patient_id or study.study_id or str(place))
    joined = {
        known: Pair(*(Posterior.joined(side) for side in zip(*some, strict=True))) for known, some in parts.items()
    }
    return joined, np.array(ef), np.array(patients)


def row(cohort: str, known: str, pair: Pair, ef: Array, patients: NDArray[np.str_]) -> list[Cell]:
    """One row of the table."""
    crps, nll = ([score(one, ef) for one in pair] for score in (crps_of, _nll))
    told = LEAST_TOLD * float((crps[1] - crps[0]).std(ddof=1)) / len(set(patients.tolist())) ** 0.5
    honesty: list[Cell] = [coverage_error(np.atleast_1d(one.pit(ef))) for one in pair]
    return [cohort, known, len(ef), *_gain(crps, patients), told, *_gain(nll, patients), *honesty]


def _gain(scores: Sequence[Array], patients: NDArray[np.str_]) -> list[Cell]:
    """Both means, their difference by study, and its interval."""
    flow, head = scores
    gain = cluster_bootstrap_mean(patients, head - flow)
    return [float(flow.mean()), float(head.mean()), gain.estimate, f"{gain.lower:+.4f} to {gain.upper:+.4f}"]


def _nll(posterior: Posterior, ef: Array) -> Array:
    return -np.atleast_1d(posterior.log_density(ef))
