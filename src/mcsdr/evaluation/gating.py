"""Teach a model what it knows: fit its familiarity on studies that it never saw, and measure what is then refused.

    >>> from mcsdr.evaluation.gating import fit
    >>> result = fit(mcsdr.load(), CohortSpec.parse("phantom:600:21"), CohortSpec.parse("phantom:400:22"))
    >>> result.model.save("phantom-a4c-gated")

The theory stands in `mcsdr.abstention.familiarity`. Three kinds of clips are encoded, the central window of each: of
the first cohort, once as they are and once altered as in training, since the model has seen both; of the second cohort,
on which the thresholds are set and nothing else; and of impostors. What is measured of impostors is measured on others
than were fitted, and once more by a gate that was not shown their family at all: the families are dealt into HALVES,
and each half is refused by a gate fitted on the other. The network, and so every posterior, stays as it is. Of a model
that looks at a clip more than once, the spread of its looks is measured on the validation clips
(`mcsdr.abstention.looks`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mcsdr.abstention.familiarity import LEAST_CLIPS, Familiarity, fit_familiarity
from mcsdr.abstention.gates import of_pictures
from mcsdr.abstention.looks import LookSpread
from mcsdr.clips import Frames, augment, cut_windows, draw_augmentation, store
from mcsdr.clips.protocol import ViewedFrames
from mcsdr.datasets import CohortSpec
from mcsdr.errors import InvalidCohort, InvalidConfig, McsdrError
from mcsdr.evaluation.asking import opened
from mcsdr.evaluation.calibration import may_share, refuse_seen
from mcsdr.model import Model
from mcsdr.model.card import Card
from mcsdr.phantom.impostors import FAMILIES, ImpostorCohort
from mcsdr.study import Study

Array = NDArray[np.float64]

HALVES = 2
AT_ONCE = 16  # clips
OF_A_VIEW = 6  # times as many clips of another view are fitted as of other impostors: it is the hardest to tell
FRESH = 1_000_003  # added to the seed for impostors that are measured on


class Rate(NamedTuple):
    """How many clips of one kind are refused.

    Attributes:
        kind: a family of impostors, or the validation clips.
        clips: how many were asked.
        refused: share that the pictures' checks or the encoder's refuse.
        by_pictures: share that the pixels alone give away.
        unseen: share refused by a gate that was never shown this family; NaN where that has no meaning.
    """

    kind: str
    clips: int
    refused: float
    by_pictures: float
    unseen: float


@dataclass(frozen=True)
class Gated:
    """A model that knows what is familiar, what was measured on the way, and what must be said beside it."""

    model: Model
    rates: tuple[Rate, ...]
    failures: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Seen:
    """Clips as the encoder sees them: features [N, 2W], altered ones too, and whether pixels give a clip away [M]."""

    features: Array
    odd: NDArray[np.bool_]


def fit(
    model: Model,
    own: CohortSpec | Sequence[Study],
    validation: CohortSpec | Sequence[Study],
    *,
    families: Sequence[str] | None = None,
    impostors: int = 40,
    measured: int = 40,
    seed: int = 0,
    share: float = 0.02,
    advance: Callable[[str, int], None] = lambda what, done: None,
) -> Gated:
    """Fit the familiarity of a model.

    Arguments:
        model: what encodes; a familiarity that it has is replaced.
        own: clips of the kind that it is to answer.
        validation: others of that kind, of which `share` may be refused.
        families: of impostors, `ImpostorCohort`'s own unless given.
        impostors, measured: clips of each family to fit on (OF_A_VIEW times as many of a view), and to measure on.
        seed: of the impostors and of the alterations.
        share: of the validation clips that may be refused.
        advance: told what is being encoded, and how many are done.

    Raises:
        InvalidConfig: a cohort was trained or selected on, or the two share people.
        InvalidCohort: too few clips.
    """
    notes = _refuse_shared(model, own, validation)
    failures: list[tuple[str, str]] = []

    def seen(what: str, cohort: Sequence[Study], altered: bool = False) -> Seen:
        generator = torch.Generator().manual_seed(seed) if altered else None
        return _see(model, cohort, generator, failures, lambda done: advance(what, done))

    own_clips, held_clips = opened(own), opened(validation)
    names = ImpostorCohort(0, seed, families).families
    _refuse_few(impostors * (len(names) // HALVES if len(names) >= HALVES else 1), len(own_clips), len(held_clips))
    ours = seen("own clips", own_clips, altered=True)
    held = seen("validation", held_clips)
    more = tuple(name for name in names if name not in FAMILIES) * (OF_A_VIEW - 1)
    to_teach = ImpostorCohort(impostors * len(names + more), seed, names + more)
    to_ask = ImpostorCohort(measured * len(names), seed + FRESH, names)
    taught, asked = seen("impostors", to_teach), seen("impostors to measure on", to_ask)

    def taught_by(shown: Sequence[str]) -> Familiarity:
        mine = _of(shown, to_teach)
        return fit_familiarity(ours.features, taught.features[mine], held.features, share, width=model.network.width)

    familiarity = taught_by(names)
    unseen = _refused_unseen(names, to_ask, asked, taught_by)
    rates = [_rate("validation", held, familiarity, np.full(len(held.features), np.nan))]
    for name in names:
        mine = _of([name], to_ask)
        rates.append(_rate(name, Seen(asked.features[mine], asked.odd[mine]), familiarity, unseen[mine]))
    gated = copy(model)
    gated.familiarity = familiarity
    gated.look_spread = _look_spread(model, held_clips, validation, lambda done: advance("looks", done))
    gated.card = _card(model.card, [own, validation], _figures(rates, share))
    return Gated(gated, tuple(rates), tuple(failures), tuple(notes))


def _card(card: Card, cohorts: Sequence[CohortSpec | Sequence[Study]], figures: dict[str, Any]) -> Card:
    """The card with what the gate was fitted on and its figures, in place of those of a gate before."""
    seen = [data.model_dump(mode="json") for data in cohorts if isinstance(data, CohortSpec)]
    data = {**(card.config.get("data") or {}), "gated": seen}
    return card.model_copy(
        update={"config": {**card.config, "data": data}, "figures": {**card.figures, "gate": figures}}
    )


def _look_spread(
    model: Model, cohort: Sequence[Study], described: CohortSpec | Sequence[Study], advance: Callable[[int], None]
) -> LookSpread | None:
    """By how much the looks at the validation clips disagree; None of a model that looks once."""
    if model.protocol.looks == 1:
        return None
    spread: list[float] = []
    for start in range(0, len(cohort), AT_ONCE):
        studies = []
        for index in range(start, min(start + AT_ONCE, len(cohort))):
            try:
                study = cohort[index]
                store(study.clips[0], model.clip)
                studies.append(study)
            except (McsdrError, IndexError):  # listed already
                continue
        if studies:
            spread += model.beliefs(model.encode(studies), model.attribute_rows(studies)).spread.tolist()
        advance(min(len(cohort), start + AT_ONCE))
    name = described.describe() if isinstance(described, CohortSpec) else "studies that were given"
    return LookSpread.fit(spread, name)


def _refused_unseen(
    names: Sequence[str], cohort: ImpostorCohort, asked: Seen, taught_by: Callable[[Sequence[str]], Familiarity]
) -> NDArray[np.float64]:
    """Whether each impostor is refused by what was taught by the families of the other half alone; NaN of too few."""
    refused = np.full(len(asked.features), np.nan)
    for half in range(HALVES if len(names) >= HALVES else 0):
        mine = _of(names[half::HALVES], cohort)
        rest = taught_by([name for name in names if name not in names[half::HALVES]])
        refused[mine] = rest.refuses(asked.features[mine]) | asked.odd[mine]
    return refused


def _refuse_shared(model: Model, own: CohortSpec | Sequence[Study], other: CohortSpec | Sequence[Study]) -> list[str]:
    """Refuse cohorts that the model was trained or selected on, and two that are the same people."""
    notes: list[str] = []
    for data in (own, other):
        if isinstance(data, CohortSpec):
            notes += refuse_seen(model.card, data)
    if isinstance(own, CohortSpec) and isinstance(other, CohortSpec) and may_share(own, other):
        raise InvalidConfig(
            "the thresholds would be set on the clips that were fitted.",
            next_step="Give a second cohort of other people: phantoms of another seed, another split.",
        )
    return list(dict.fromkeys(notes))


def _refuse_few(*counts: int) -> None:
    """Before anything is rendered, what `fit_familiarity` would refuse after it."""
    if min(counts) < LEAST_CLIPS:
        raise InvalidCohort(
            f"{counts[0]} impostors in the smaller half of their families, {counts[1]} own and {counts[2]} validation "
            f"clips: {LEAST_CLIPS} of each are the least.",
            next_step="Give more phantoms, or more --impostors of each family; 600, 400 and 40 are good numbers.",
        )


def _see(
    model: Model,
    cohort: Sequence[Study],
    alter: torch.Generator | None,
    failures: list[tuple[str, str]],
    advance: Callable[[int], None],
) -> Seen:
    """The central window of every clip; with a generator, each once more as training would show it."""
    features: list[Array] = []
    odd: list[bool] = []
    for start in range(0, len(cohort), AT_ONCE):
        windows: list[ViewedFrames] = []
        for index in range(start, min(start + AT_ONCE, len(cohort))):
            try:
                for clip in cohort[index].clips:
                    windows.append((cut_windows(store(clip, model.clip), model.clip, "one")[0], clip.view))
                    odd.append(any(of_pictures(clip)))
            except McsdrError as error:
                failures.append((f"study {index}", str(error)))
        altered = [(_altered(frames, alter), view) for frames, view in windows] if alter is not None else []
        if windows:
            video = model.encode_stored([[window] for window in windows + altered], model.protocol.changed(looks=1))
            features.append(model.features(video))
        advance(min(len(cohort), start + AT_ONCE))
    return Seen(np.concatenate(features) if features else np.empty((0, 0)), np.array(odd, dtype=bool))


def _altered(frames: Frames, generator: torch.Generator) -> Frames:
    """A window as the strong augmentation of training shows it."""
    shown = augment(torch.from_numpy(frames[None].copy()), draw_augmentation(1, generator))[0]
    return np.asarray((255 * shown).round().clamp(0, 255).to(torch.uint8))


def _of(families: Sequence[str], cohort: ImpostorCohort) -> NDArray[np.bool_]:
    """Which studies of a cohort are of these families, [N]."""
    return np.array([cohort.family(index) in families for index in range(len(cohort))])


def _rate(kind: str, seen: Seen, familiarity: Familiarity, unseen: Array) -> Rate:
    refused = familiarity.refuses(seen.features) | seen.odd
    return Rate(kind, len(refused), float(refused.mean()), float(seen.odd.mean()), float(unseen.mean()))


def _figures(rates: Sequence[Rate], share: float) -> dict[str, object]:
    """What the card keeps."""
    families = {
        r.kind: {"clips": r.clips, "refused": r.refused, "unseen": None if np.isnan(r.unseen) else r.unseen}
        for r in rates[1:]
    }
    validation = {"clips": rates[0].clips, "refused": rates[0].refused}
    return {"refused at most": share, "validation": validation, "impostors": families}
