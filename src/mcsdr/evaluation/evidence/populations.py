"""Is P(EF ≤ 40 %) right where it is rare, and where it is frequent?

One cohort of phantoms is asked once. A population S is made of it by weights w(E) = p_S(E)/p(E) of the true EF, p that
of the cohort itself, so that the same hearts are seen in it with other frequencies; S is a tilt of the cohort in which
the prevalence of a reported EF ≤ 40 % is as wanted. In each population the mean of P(EF ≤ 40 %) is held against the
share of reports that are so, once as the model believes and once with the population stated,

    observed    Σ w_i 1{y_i ≤ 40} / Σ w_i           expected    Σ w_i P_i(EF ≤ 40) / Σ w_i

beside the weighted Brier score and CRPS. Intervals: 95 % bootstrap over phantoms of expected − observed.

A second table asks which p(EF) answers should rest on where nobody states one: that of the training, mixed with a
laboratory's adults in several shares, each held against three populations that an answer may be asked in. Its regret is
the CRPS that the best of the mixtures would have spared there; what is safest has the smallest of largest regrets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mcsdr import DEFAULT_MODEL
from mcsdr.datasets import CohortSpec, open_cohort
from mcsdr.evaluation.calibration import marks_of
from mcsdr.evaluation.evidence.record import Cell, Report, Say, Table
from mcsdr.metrics.bootstrap import cluster_bootstrap
from mcsdr.metrics.scores import crps_of
from mcsdr.model import load
from mcsdr.posterior import Population, Posterior, reweighted
from mcsdr.posterior.deconvolution import CENTRES
from mcsdr.posterior.population import named_population

Array = NDArray[np.float64]

COHORT = "phantom:300:81:varied"  # no model has learnt from this seed
PREVALENCES = (0.12, 0.32, 0.6)
CUT = 40.0
ADULTS = "echonet-dynamic"
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
HEADER = ("population", "belief", "observed %", "expected %", "difference", "from", "to", "Brier", "CRPS", "studies")


def run(*, model: str = DEFAULT_MODEL, cohort: str = COHORT, say: Say = print) -> Report:
    """Ask a cohort, tilt it to each prevalence, and tabulate.

    Arguments:
        model: a bundled model's name or a folder.
        cohort: phantoms, whose true EF is known.
        say: told how far it is.
    """
    estimator, spec = load(model), CohortSpec.parse(cohort)
    studies = open_cohort(spec)
    beliefs, ef, truth = [], [], []
    for index in range(len(studies)):
        study = studies[index]
        beliefs.append(estimator.posteriors([study]))
        ef.append(float(study.ef_percent or 0.0))
        truth.append(float(study.true_ef_percent or 0.0))
        if (index + 1) % 50 == 0:
            say(f"asked {index + 1} of {len(studies)}")
    believed, y, E = Posterior.joined(beliefs), np.array(ef), np.array(truth)
    trained, sd = estimator.population, estimator.card.readers_sd or 0.0
    rows: list[list[Cell]] = []
    for prevalence in (None, *PREVALENCES):
        w = np.ones(len(y)) if prevalence is None else tilt(E, y, prevalence)
        stated = smoothed(y, w)
        name = "the cohort as it is" if prevalence is None else f"{100 * prevalence:.0f} % at most 40 %"
        for belief, p in (("as trained", believed), ("stated", reweighted(believed, stated, trained, sd))):
            rows.append([name, belief, *_figures(p, y, w)])
    notes = [
        f"{len(y)} studies ({spec.describe()}); trained on {trained.name}, {100 * trained.prob_at_most(CUT):.0f} % of "
        "whose reports are at most 40 %. Stated: the population's own reports, weighted and smoothed. These very "
        "phantoms make it, which favours it: a clinic states what it knows of others.",
        "Studies: (Σ w)²/Σ w², how many equally weighted ones say as much.",
    ]
    tables = [
        Table("P(EF ≤ 40 %) by population", HEADER, rows, notes, digits=2),
        choice(believed, y, E, trained, sd),
    ]
    about = {"model": estimator.card.name, "sha256": estimator.sha256, "cohort": spec.describe()}
    return Report("population", tables, about, marks=marks_of(estimator.card, spec))


def choice(believed: Posterior, y: Array, true_ef: Array, trained: Population, sd: float) -> Table:
    """What answers would be if they rested on the training's p(EF), or on a mixture of it and of a laboratory's adults.

    Arguments:
        believed: as trained, [N]; y, true_ef: what readers reported and the truth, [N].
        trained: the training population; sd: of its readers.
    """
    adults = named_population(ADULTS)
    of_cohort = np.interp(true_ef, CENTRES, smoothed(true_ef, np.ones(len(y))).shares())
    asked_in = {"training": trained, "adults": adults, "heart failure": named_population("heart-failure")}
    weights = {name: np.interp(true_ef, CENTRES, of.shares()) / of_cohort for name, of in asked_in.items()}
    found = [reweighted(believed, _mixture(trained, adults, share), trained, sd) for share in SHARES]
    crps = {name: [float(np.average(crps_of(p, y), weights=w)) for p in found] for name, w in weights.items()}
    regrets = np.max([np.array(spent) - min(spent) for spent in crps.values()], axis=0)
    rows: list[list[Cell]] = []
    for i, (share, p) in enumerate(zip(SHARES, found, strict=True)):
        error = np.asarray(p.median) - true_ef
        slope = float(np.polyfit(true_ef, true_ef + error, 1)[0])
        low = true_ef < 30
        bias = float(error[low].mean()) if low.any() else float("nan")
        rows.append([f"{100 * share:.0f} %", *(spent[i] for spent in crps.values()), float(regrets[i]), slope, bias])
    header = ("adults among them", *(f"CRPS, {name}" for name in crps), "largest regret", "slope", "bias below 30")
    notes = [
        f"The rest is of {trained.name}. Adults are {ADULTS}. Slope of medians on the true EF and bias are of the "
        "cohort as it is.",
        "Studies that tell as much, by population: "
        + ", ".join(f"{name} {w.sum() ** 2 / (w**2).sum():.0f}" for name, w in weights.items())
        + ".",
    ]
    return Table("Which p(EF) answers rest on", header, rows, notes, digits=2)


def _mixture(first: Population, second: Population, share: float) -> Population:
    density = (1 - share) * first.shares() + share * second.shares()
    return Population(name=f"{100 * share:.0f} % {second.name}", ef_percent=tuple(CENTRES), density=tuple(density))


def tilt(true_ef: Array, ef: Array, prevalence: float) -> Array:
    """w(E) = exp(−k E/10), with k such that the weighted share of reports at most 40 % is as wanted, by bisection."""

    def weights(k: float) -> Array:
        return np.asarray(np.exp(-k * (true_ef - true_ef.mean()) / 10))

    low, high = -4.0, 4.0
    for _ in range(60):
        k = 0.5 * (low + high)
        share = np.average(ef <= CUT, weights=weights(k))
        low, high = (k, high) if share < prevalence else (low, k)
    return weights(0.5 * (low + high))


def smoothed(ef: Array, w: Array) -> Population:
    """The weighted reports as a population."""
    counts, _ = np.histogram(ef, np.arange(101.0), weights=w)
    grid = np.arange(0.5, 100)
    kernel = np.exp(-0.5 * ((grid[:, None] - grid) / 3.0) ** 2)
    return Population(name="weighted", ef_percent=tuple(grid), density=tuple(kernel / kernel.sum(axis=0) @ counts))


def _figures(posterior: Posterior, y: Array, w: Array) -> list[Cell]:
    below = np.asarray(posterior.prob_below(CUT))
    event = (y <= CUT).astype(float)

    def difference(p: Array, e: Array, weight: Array) -> float:
        return float(100 * np.average(p - e, weights=weight))

    interval = cluster_bootstrap(difference, np.arange(len(y)), below, event, w, resamples=500)
    brier = float(np.average((below - event) ** 2, weights=w))
    crps = float(np.average(crps_of(posterior, y), weights=w))
    means = [100 * float(np.average(column, weights=w)) for column in (event, below)]
    return [*means, *interval, brier, crps, float(w.sum() ** 2 / (w**2).sum())]
