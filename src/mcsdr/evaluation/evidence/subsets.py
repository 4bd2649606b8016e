"""Questions to one model: what is shown of a study, and how good the answer is.

What is shown is a subset S of {video, age, sex, weight, height}; the rest is hidden behind null tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcsdr.clips.attributes import SEX
from mcsdr.metrics.bootstrap import Interval, cluster_bootstrap
from mcsdr.metrics.scores import StudyScores
from mcsdr.model import Model
from mcsdr.posterior import Posterior
from mcsdr.study import Attributes
from mcsdr.training.tokens import EncodedCohort

Array = NDArray[np.float64]
Subset = tuple[bool, ...]  # which are shown: the video, then each attribute in the order of the network's

RESAMPLES = 1000


def names_of(model: Model) -> tuple[str, ...]:
    """The modalities in the order of a subset: video, age, sex, weight, height."""
    return ("video", *(name.split("_")[0] for name in model.statistics.names))


def subsets(attributes: int) -> list[Subset]:
    """All 2^(A + 1) subsets of the video and A attributes, the most known first, with video before without."""
    return sorted(
        product((True, False), repeat=1 + attributes), key=lambda shown: (-sum(shown), [not s for s in shown])
    )


def everything(attributes: int) -> Subset:
    """Video and A attributes."""
    return (True,) * (1 + attributes)


def nothing(attributes: int) -> Subset:
    """Neither video nor attribute."""
    return (False,) * (1 + attributes)


def video_alone(attributes: int) -> Subset:
    """The video and none of A attributes."""
    return (True, *nothing(attributes)[1:])


def all_but_video(attributes: int) -> Subset:
    """A attributes and no video."""
    return (False, *everything(attributes)[1:])


def ask(cohort: EncodedCohort, model: Model, shown: ArrayLike, filled: ArrayLike = np.nan) -> Posterior:
    """The posterior of every study from what is shown of it.

    Arguments:
        shown: bool [1 + A] for all N studies, or [N, 1 + A]; the video first.
        filled: what stands for an attribute that is hidden, in natural units [A]; the null token where left out.
    """
    some = np.broadcast_to(np.asarray(shown, dtype=bool), (len(cohort.attributes), 1 + cohort.attributes.shape[1]))
    rows = np.where(some[:, 1:], cohort.attributes, filled)
    return cohort.ask(model, video=some[:, 0], attributes=rows)


def first(cohort: EncodedCohort, n: int) -> EncodedCohort:
    """Its first n studies."""
    parts = {name: values[:n] for name, values in vars(cohort).items()}
    return replace(cohort, **parts)


def person(row: Array, names: Sequence[str]) -> Attributes:
    """The record of a row in natural units; the inverse of `attribute_row`."""
    known = {name: float(value) for name, value in zip(names, row, strict=True) if not np.isnan(value)}
    sexes = {code: sex for sex, code in SEX.items()}
    sex = sexes[known.pop("sex")] if "sex" in known else None
    return Attributes(sex=sex, **known)


def regret(scores: StudyScores, other: StudyScores) -> Interval:
    """100·(mean CRPS / other mean CRPS − 1) over the same studies, with its paired 95 % bootstrap interval."""

    def percent(mine: Array, others: Array) -> float:
        return float(100 * (mine.mean() / others.mean() - 1))

    return cluster_bootstrap(percent, np.arange(len(scores.crps)), scores.crps, other.crps, resamples=RESAMPLES)
