"""Phantoms among whom some clips tell nothing: a way to teach a model to fall back on what it knows without a clip.

A *stranger* is a person of the cohort whose clip shows no four-chamber view of their heart: no echo, no living one, or
another person's heart in another view (`impostors`). Such a clip leaves of the ejection fraction what the attributes
say alone, and that is known,

    p(y | stranger's clip, A) = ∫ p(E | A) N(y; E, σ²) dE ≈ (1/K) Σ_k N(y; e_k, σ²),    e_k the (k − ½)/K quantiles,

so that a model that learns from redrawn labels (`data.label = "redrawn"`) learns to answer a stranger with the prior.
Its interval is then too wide for an answer, and its tokens lie apart from those of hearts.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mcsdr.phantom import people
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.phantom.impostors import TAUGHT, ImpostorCohort
from mcsdr.study import Attributes, Cohort, KnownPosterior, Study, View

LEVELS = 25  # K
# Turns that each of these has for one of any other family: another view of a heart is the hardest to tell.
TURNS = {View.PSAX.value: 5, View.PLAX.value: 5, "upside-down": 4}


class WithStrangers(Cohort):
    """A cohort of phantoms, a share of them strangers; which, is a function of (seed, index).

    Arguments:
        cohort: the phantoms; a stranger keeps its person, attributes and reading.
        share: of the studies.
    """

    def __init__(self, cohort: PhantomCohort, share: float) -> None:
        self.cohort, self.share = cohort, share
        families = [name for name in (*TAUGHT, View.PSAX.value, View.PLAX.value) for _ in range(TURNS.get(name, 1))]
        self.impostors = ImpostorCohort(cohort.n, cohort.seed, families, cohort.frames)

    def __len__(self) -> int:
        return len(self.cohort)

    def is_stranger(self, index: int) -> bool:
        """Whether study `index` shows nothing of its person's heart."""
        rng = np.random.default_rng([self.cohort.seed, index, *b"stranger"])
        return bool(rng.random() < self.share)

    def study(self, index: int) -> Study:
        """Study `index`, a stranger or not."""
        if not self.is_stranger(index):
            return self.cohort[index]
        person, shown = self.cohort.person(index), self.impostors[index]
        return replace(
            shown,
            attributes=person.attributes,
            ef_percent=person.reading_percent,
            true_ef_percent=person.true_ef_percent,
            known_posterior=prior(person.attributes, self.cohort.population),
            split=self.cohort.split,
        )


def prior(attributes: Attributes, population: str = "adult") -> KnownPosterior:
    """p(reading | attributes) of a phantom as a mixture of equal weights at the quantiles of the true EF."""
    density = people.prior_density(attributes, population)
    cumulative = np.cumsum(density) / density.sum()
    levels = (np.arange(LEVELS) + 0.5) / LEVELS
    efs = np.interp(levels, cumulative, people.GRID)
    return KnownPosterior((1 / LEVELS,) * LEVELS, tuple(efs.tolist()), people.READER_SD)
