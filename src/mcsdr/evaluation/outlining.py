"""Fit what reads the cavity's outline from a model's maps, and measure it on phantoms that it never saw.

    >>> from mcsdr.evaluation.outlining import fit
    >>> result = fit(mcsdr.load(), CohortSpec.parse("phantom:400:14:varied:flat"))
    >>> result.model.save("phantom-a4c-outlined")

A logistic regression (`mcsdr.model.outline`) of which share of each place is cavity, on the central window of every
clip; phantoms alone are known at every pixel. The network, and so every posterior, stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mcsdr.clips import cut_windows, store, window_length
from mcsdr.datasets import CohortSpec, open_cohort
from mcsdr.errors import InvalidCohort, InvalidConfig
from mcsdr.evaluation.calibration import may_share, refuse_seen
from mcsdr.model import Model
from mcsdr.model.outline import CELLS, READ, SIDE, OutlineReading, maps_of
from mcsdr.nn.video_encoder import FRAMES_PER_TOKEN, MAP_SIDE
from mcsdr.phantom import truth
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.training.dense import STORED, Truths

Array = NDArray[np.float64]

LEAST_PHANTOMS = 50
RIDGE = 1e-4
ITERATIONS = 100


@dataclass(frozen=True)
class Overlap:
    """How well the outline fits the truth of a cohort.

    Attributes:
        cohort: its name.
        dice: of each phantom, over all frames of its central window, at SIDE × SIDE places.
    """

    cohort: str
    dice: Array

    @property
    def phantoms(self) -> int:
        """How many."""
        return len(self.dice)

    @property
    def figures(self) -> dict[str, Any]:
        """Mean and lowest twentieth."""
        return {
            "phantoms": self.phantoms,
            "dice": round(float(self.dice.mean()), 4),
            "dice of the lowest twentieth": round(float(np.quantile(self.dice, 0.05)), 4),
        }


@dataclass(frozen=True)
class Outlined:
    """A model that tells where it sees the cavity, and how well it does."""

    model: Model
    overlaps: tuple[Overlap, ...]
    notes: tuple[str, ...]


def fit(
    model: Model,
    data: CohortSpec,
    measured: Sequence[CohortSpec] = (),
    advance: Callable[[str, int], None] = lambda what, done: None,
) -> Outlined:
    """Fit the reading of the outline.

    Arguments:
        model: what encodes; a reading that it has is replaced.
        data: phantoms to fit on, 400 are a good number.
        measured: others, to measure on.
        advance: told of which cohort how many are encoded.

    Raises:
        InvalidConfig: a cohort is not of phantoms, was trained or selected on, or is measured on and fitted.
        InvalidCohort: fewer than LEAST_PHANTOMS to fit on.
        InvalidModel: the model's encoder has no maps.
    """
    notes: list[str] = []
    for cohort in (data, *measured):
        notes += refuse_seen(model.card, cohort)
        _phantoms(cohort)
        if cohort is not data and may_share(data, cohort):
            raise InvalidConfig(
                "the outline would be measured on the people that it is fitted on.",
                next_step="Give phantoms of another seed.",
            )
    if len(_phantoms(data)) < LEAST_PHANTOMS:
        raise InvalidCohort(f"{data.describe()}: fewer than {LEAST_PHANTOMS} to fit an outline on.")
    maps, shares = _seen(model, data, advance)
    outlined = copy(model)
    outlined.outline = _fitted(maps, shares)
    overlaps = []
    for cohort in measured:
        maps, shares = _seen(model, cohort, advance)
        overlaps.append(Overlap(cohort.describe(), _dice(outlined.outline.probability(maps), shares)))
    figures = {"fitted on": data.describe(), **{one.cohort: one.figures for one in overlaps}}
    outlined.card = model.card.model_copy(update={"figures": {**model.card.figures, "outline": figures}})
    return Outlined(outlined, tuple(overlaps), tuple(dict.fromkeys(notes)))


def _phantoms(spec: CohortSpec) -> PhantomCohort:
    """The cohort; nothing of it is rendered yet.

    Raises:
        InvalidConfig: its truth is not known.
    """
    cohort = open_cohort(spec)
    if not isinstance(cohort, PhantomCohort):
        raise InvalidConfig(f"the cavity is known of phantoms alone, and not in {spec.describe()}.")
    return cohort


def _seen(model: Model, spec: CohortSpec, advance: Callable[[str, int], None]) -> tuple[Tensor, Tensor]:
    """The maps of each clip's central window, [N, C, T/4, 7, 7], and which share is cavity, [N, T, SIDE, SIDE]."""
    cohort = _phantoms(spec)
    truths = Truths(cohort, model.clip)
    maps, shares = [], []
    for index, study in enumerate(cohort):
        for clip in study.clips:
            stored = store(clip, model.clip)
            window = cut_windows(stored, model.clip, "one")[0]
            start = (len(stored) - window_length(len(stored), model.clip)) // 2
            labels, _ = truths[index][clip.view]
            cavity = torch.from_numpy(labels[start : start + len(window)] == truth.CAVITY).float()
            shares.append(F.avg_pool2d(cavity, STORED // SIDE))
            maps.append(maps_of(model, np.ascontiguousarray(window)[None]).float().cpu()[0])
        advance(spec.describe(), index + 1)
    return torch.stack(maps), torch.stack(shares)


def _fitted(maps: Tensor, shares: Tensor) -> OutlineReading:
    """W and b under which the cross-entropy to the shares is least."""
    x = maps.permute(0, 2, 3, 4, 1).flatten(0, 3)
    y = _gathered(shares)
    weight = torch.zeros(READ, x.shape[1], requires_grad=True)
    bias = y.mean(0).clamp(1e-3, 1 - 1e-3).logit().requires_grad_()
    descent = torch.optim.LBFGS([weight, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        descent.zero_grad()
        wrong = F.binary_cross_entropy_with_logits(x @ weight.T + bias, y) + RIDGE * weight.square().mean()
        wrong.backward()  # type: ignore[no-untyped-call]
        return wrong

    descent.step(loss)  # type: ignore[no-untyped-call]
    return OutlineReading(weight.detach().numpy(), bias.detach().numpy())


def _gathered(shares: Tensor) -> Tensor:
    """Shares [N, T, SIDE, SIDE] by places of the maps, [N·T/4·7·7, READ]: what `laid_out` lays out."""
    count, frames = shares.shape[:2]
    parts = shares.view(count, frames // FRAMES_PER_TOKEN, FRAMES_PER_TOKEN, MAP_SIDE, CELLS, MAP_SIDE, CELLS)
    return parts.permute(0, 1, 3, 5, 2, 4, 6).reshape(-1, READ)


def _dice(probability: Tensor, shares: Tensor) -> Array:
    """2 |A ∩ B| / (|A| + |B|) of each phantom, over its frames."""
    found, true = (part.flatten(1) > 0.5 for part in (probability, shares))
    return np.asarray(2 * (found & true).sum(1) / (found.sum(1) + true.sum(1)).clamp(min=1), dtype=np.float64)
