"""Do a model's answers with and without a modality belong to one joint distribution?

By the tower property of conditional expectation, with attributes a_j drawn from the cohort,

    p(y | video) = Σ_j w_j p(y | video, a_j),     w_j ∝ p(a_j | video)/p(a_j)
    p(y) = E p(y | video) = E p(y | attributes)

Attributes never touch the picture of phantoms that hide something, so w_j = 1 there. They do not show in ordinary
phantoms either, but they go with the true ejection fraction E, so that

    p(a | video)/p(a) = ∫ p(E | video) p(E | a)/p(E) dE

Both priors are known (`phantom.people`); p(E | video) is taken as normal, with the mean of the model's p(y | video) and
its variance less the reader's. Without video, p(y | attributes) of ordinary adult phantoms is known exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcsdr.evaluation.evidence.record import Cell, Table
from mcsdr.evaluation.evidence.subsets import all_but_video, ask, first, nothing, person, video_alone
from mcsdr.model import Model
from mcsdr.phantom import people
from mcsdr.posterior import Posterior
from mcsdr.study import Attributes
from mcsdr.training.tokens import EncodedCohort

Array = NDArray[np.float64]
Weigh = Callable[[Posterior, Array, Array, Sequence[str]], Array]

GRID: Array = np.linspace(0.0, 100.0, 401)  # EF in per cent, on which distribution functions are compared
LEAST_SD = 1.0  # of p(E | video), in EF points


class Gap(NamedTuple):
    """Between distribution functions on GRID: sup |F − G|, and ∫ |F − G| dy in EF points, each [S]."""

    ks: Array
    w1: Array

    @classmethod
    def between(cls, F: Array, G: Array) -> Gap:
        """Of rows [S, M], or of all rows and one [M]."""
        apart = np.abs(np.atleast_2d(F) - np.atleast_2d(G))
        return cls(apart.max(axis=1), apart.sum(axis=1) * (GRID[1] - GRID[0]))


def tower_gap(
    cohort: EncodedCohort,
    population: Array,
    model: Model,
    draws: int,
    rng: np.random.Generator,
    weigh: Weigh | None = None,
) -> tuple[Gap, Array]:
    """p(y | video) against the mixture of p(y | video, a_j) over attributes drawn from `population` [P, A].

    Arguments:
        draws: how many, at least 2.
        weigh: gives w_j [S, K] of p(y | video), the draws [K, A], the population and the attributes' names; equal
            weights where None.

    Returns:
        the gap of each study, and the KS distance [S] that the draws alone would give: half of that between the
        mixture over the even and over the odd ones.
    """
    direct = ask(cohort, model, video_alone(population.shape[1]))
    drawn = population[rng.integers(len(population), size=draws)]
    names = model.statistics.names
    w = np.ones((len(direct), draws)) if weigh is None else weigh(direct, drawn, population, names)
    halves = np.zeros((2, len(direct), len(GRID)))
    for j, attributes in enumerate(drawn):
        answer = cohort.ask(model, video=True, attributes=np.tile(attributes, (len(direct), 1)))
        halves[j % 2] += w[:, j, None] * answer.cdf(GRID)
    mixture = halves.sum(axis=0) / w.sum(axis=1)[:, None]
    even, odd = (halves[i] / w[:, i::2].sum(axis=1)[:, None] for i in range(2))
    return Gap.between(mixture, direct.cdf(GRID)), 0.5 * Gap.between(even, odd).ks


def attribute_weights(direct: Posterior, drawn: Array, population: Array, names: Sequence[str]) -> Array:
    """w_j = ∫ p(E | video) p(E | a_j)/p(E) dE of ordinary adult phantoms, [S, K].

    Arguments:
        direct: p(y | video) of S studies.
        drawn, population: attributes [K, A] and [P, A] in natural units; p(E) is the mean prior of the population.
    """
    prior = np.mean([people.prior_density(person(row, names)) for row in population], axis=0)
    ratio = np.stack([people.prior_density(person(row, names)) for row in drawn]) / np.maximum(prior, 1e-12)
    mean, sd = np.asarray(direct.mean)[:, None], np.asarray(direct.sd)[:, None]
    variance = np.maximum(sd**2 - people.READER_SD**2, LEAST_SD**2)
    believed = np.exp(-0.5 * (people.GRID - mean) ** 2 / variance) * (prior > 0)
    weights: Array = believed / believed.sum(axis=1, keepdims=True) @ ratio.T
    return weights


def tower_table(
    title: str,
    cohort: EncodedCohort,
    readings: Array,
    model: Model,
    size: tuple[int, int],
    rng: np.random.Generator,
    weigh: Weigh | None = None,
) -> Table:
    """Every identity and how far the model is from it.

    Arguments:
        title: of the cohort.
        readings: of the training cohort, in EF %.
        size: studies, and attribute draws for each, of p(y | video).
        weigh: as for `tower_gap`.
    """
    A, n = cohort.attributes.shape[1], len(cohort.attributes)
    each, by_chance = tower_gap(first(cohort, size[0]), cohort.attributes, model, size[1], rng, weigh)
    of_video: list[Cell] = ["p(y | video) and the mixture of p(y | video, a)", float(each.ks.mean())]
    rows = [[*of_video, float(np.quantile(each.ks, 0.95)), float(each.w1.mean()), float(by_chance.mean())]]
    marginals = {
        f"p(y) and {len(readings)} training readings": np.searchsorted(np.sort(readings), GRID, "right")
        / len(readings),
        f"p(y) and the mean of {n} p(y | video)": ask(cohort, model, video_alone(A)).cdf(GRID).mean(axis=0),
        f"p(y) and the mean of {n} p(y | attributes)": ask(cohort, model, all_but_video(A)).cdf(GRID).mean(axis=0),
    }
    unknown = ask(first(cohort, 1), model, nothing(A)).cdf(GRID)
    for index, (name, F) in enumerate(marginals.items()):
        gap = Gap.between(F, unknown)
        by_sample = 0.87 / len(readings) ** 0.5 if index == 0 else None
        rows.append([name, float(gap.ks[0]), None, float(gap.w1[0]), by_sample])
    how = "weighted by p(a | video)/p(a)" if weigh else "all alike, since attributes never touch these pictures"
    notes = [
        f"First row: {len(each.ks)} studies, each with the attributes of {size[1]} patients, {how}. KS by chance is "
        "what so few draws, or readings, give by themselves. W1 in EF points."
    ]
    if weigh:
        notes.append("The weights follow from the known prior, with p(E | video) taken as normal: nearly exact.")
    return Table(f"Tower test: {title}", ("", "KS mean", "KS 95th pct", "W1 mean", "KS by chance"), rows, notes)


def prior_distances(posterior: Posterior, persons: Sequence[Attributes]) -> Array:
    """KS distance [B] of p(y | attributes) from the exact distribution of a reading, for each adult."""
    exact = np.stack([people.reading_cdf(one) for one in persons])
    return np.asarray(np.abs(posterior.cdf(people.GRID) - exact).max(axis=1))


def prior_table(cohort: EncodedCohort, model: Model) -> Table:
    """Adults without video, against the known prior of a reading."""
    posterior = ask(cohort, model, all_but_video(cohort.attributes.shape[1]))
    ks = prior_distances(posterior, [person(row, model.statistics.names) for row in cohort.attributes])
    row: list[Cell] = [str(len(ks)), float(ks.mean()), float(np.median(ks)), float(np.quantile(ks, 0.95))]
    notes = ["p(y | age, sex, weight, height) against the exact one by which the phantoms are drawn."]
    return Table("Known prior: adult, no video", ("patients", "KS mean", "median", "95th pct"), [row], notes)
