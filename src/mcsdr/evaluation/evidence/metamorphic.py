"""Metamorphic tests: what leaves the ejection fraction as it is must leave the answer nearly as it is.

    |shift| = max over versions |median of the version − median of the original|, EF points

    gain ± 10 %              every grey level × 0.9 and × 1.1, cut at white
    another starting phase   pieces as long as a window of the model, of a longer clip, that start 1/8, …, 7/8 of a beat
                             after the first one
    another starting frame   the clip from 1/8, …, 7/8 of a beat after its first frame to its end
    one more beat            a piece as long as a window, and one that goes on for a beat more
    time reversal            the last frame first
    left–right mirrored      as machines of the other convention show it

A model that averages looks at a clip answers its own looks alike: what it shows itself mirrored or last frame first
cannot shift it, and such a test is left out for it. What stands in its place is the spread of its looks, as answers
tell it (`mcsdr.model.beliefs`).

No label is needed, so any clip can be tested. A clip that is too short gives starting phases of pieces of four fifths
of it, and starting frames, spread over the last fifth, and no further beat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcsdr.clips import ClipSettings
from mcsdr.datasets import CohortSpec, open_cohort
from mcsdr.errors import McsdrError
from mcsdr.evaluation.evidence.answers import ask, with_clips
from mcsdr.evaluation.evidence.record import Cell, Say, Table
from mcsdr.model import Model
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.study import Clip, Study, View

Array = NDArray[np.float64]

SECONDS = 2.8  # of a phantom: a window and the longest beat
USUAL_BPM = 70.0  # where a clip does not say
PHASES = 8
SPREAD = "spread of the looks (SD)"


class Relation(NamedTuple):
    """A test and the largest shift that it allows, EF points, on phantoms and on real clips."""

    name: str
    bar: float
    real_bar: float


RELATIONS = (
    Relation("gain ± 10 %", 1.0, 1.0),
    Relation("another starting phase", 2.0, 3.0),
    Relation("another starting frame", 2.0, 3.0),
    Relation("one more beat", 2.0, 2.0),
    Relation("time reversal", 2.0, 2.0),
    Relation("left–right mirrored", 3.0, 3.0),
)


AVERAGED = {2: ("left–right mirrored",), 4: ("left–right mirrored", "time reversal")}  # by a model of so many looks


class Shifts(NamedTuple):
    """Of one study: the median as it is, EF %; whether it is refused; |shift| of each relation, NaN if untestable.

    `spread` is that of the model's looks at the study as it is, EF points; NaN of one look.
    """

    median: float
    refused: bool
    of: Array
    spread: float


def relations_of(model: Model) -> list[int]:
    """The places in `RELATIONS` of the tests that a model can fail."""
    averaged = AVERAGED.get(model.protocol.looks, ())
    return [place for place, relation in enumerate(RELATIONS) if relation.name not in averaged]


def shifts(model: Model, study: Study) -> Shifts:
    """All relations of one study.

    Raises:
        ClipTooShort: it holds no window.
    """
    every = versions(study, model.clip)
    groups = [every[place] for place in relations_of(model)]
    posteriors, refused = ask(model, [version for group in groups for version in group])
    middle = np.asarray(posteriors.median)
    medians = iter(np.split(middle, np.cumsum([len(group) for group in groups])[:-1]))
    found = [np.abs(these[1:] - these[0]).max() if len(these) > 1 else np.nan for these in medians]
    return Shifts(float(middle[0]), bool(refused[0]), np.array(found), model(study, anyway=True).look_spread)


def versions(study: Study, settings: ClipSettings) -> list[list[Study]]:
    """For each of `RELATIONS` the original and its versions; the original alone where the clip is too short for any."""
    window_s = settings.frames / settings.rate_hz
    longest_s = min((clip.duration_s for clip in study.clips), default=0.0)
    beat_s = 60 / next((clip.heart_rate_bpm for clip in study.clips if clip.heart_rate_bpm), USUAL_BPM)

    def piece(start_s: float, length_s: float) -> Study:
        return with_clips(study, lambda clip: cut(clip, start_s, length_s))

    length_s, spare_s = window_s, min(beat_s, longest_s - window_s)
    if spare_s < beat_s / PHASES:
        length_s, spare_s = 0.8 * longest_s, 0.2 * longest_s
    first, longer = piece(0, window_s), piece(0, window_s + beat_s)
    enough = longest_s >= window_s + beat_s
    return [
        [study, *(with_clips(study, partial(with_gain, by=by)) for by in (0.9, 1.1))],
        [piece(k / PHASES * spare_s, length_s) for k in range(PHASES)],
        [piece(k / PHASES * spare_s, longest_s + 1) for k in range(PHASES)],
        [first, longer] if enough else [first],
        [study, with_clips(study, reversed_in_time)],
        [study, with_clips(study, mirrored)],
    ]


def cut(clip: Clip, start_s: float, length_s: float) -> Clip:
    """The frames from the first one that is `start_s` or more after the clip's first, for `length_s`."""
    since = clip.frame_times_s - clip.frame_times_s[0]
    first_s = since[min(int(np.searchsorted(since, start_s - 1e-6)), len(since) - 1)]
    kept = (since >= first_s) & (since < first_s + length_s - 1e-6)
    return replace(clip, frames=clip.frames[kept], frame_times_s=clip.frame_times_s[kept])


def with_gain(clip: Clip, by: float) -> Clip:
    """Every grey level multiplied."""
    return replace(clip, frames=np.rint((clip.frames * by).clip(0, 255)).astype(np.uint8))


def reversed_in_time(clip: Clip) -> Clip:
    """The last frame first, at the intervals that it had."""
    times = clip.frame_times_s
    return replace(clip, frames=clip.frames[::-1], frame_times_s=times[0] + times[-1] - times[::-1])


def mirrored(clip: Clip) -> Clip:
    """Left and right exchanged."""
    return replace(clip, frames=clip.frames[:, :, ::-1])


def long_cohort(spec: CohortSpec) -> Sequence[Study]:
    """The studies of a cohort; phantoms last `SECONDS` at the machine's own frame rate."""
    if spec.n is None or spec.seed is None:
        return open_cohort(spec)
    return PhantomCohort(
        spec.n,
        spec.seed,
        sampling_hz=None,
        seconds=SECONDS,
        population=spec.population,
        views=spec.views or (View.A4C,),
        ambiguity=spec.ambiguity,
        clean=spec.clean,
        appearance=spec.appearance or "plain",
    )


def of_cohort(model: Model, spec: CohortSpec, n: int, say: Say) -> Table:
    """The first n studies of a cohort: how far each relation shifts their medians."""
    cohort, found = long_cohort(spec), list[Shifts]()
    for index in range(min(n, len(cohort))):
        try:
            found.append(shifts(model, cohort[index]))
        except McsdrError as error:
            say(f"metamorphic tests: study {index} left out: {error}")
        if (index + 1) % 20 == 0:
            say(f"metamorphic tests: {index + 1} of {min(n, len(cohort))} studies")
    asked = [RELATIONS[place] for place in relations_of(model)]
    away = np.array([one.of for one in found]).reshape(-1, len(asked))
    rows: list[list[Cell]] = []
    for relation, column in zip(asked, away.T, strict=True):
        bar, tested = relation.bar if spec.kind == "phantom" else relation.real_bar, column[np.isfinite(column)]
        quantiles = [float(q) for q in np.quantile(tested, (0.5, 0.9, 1))] if len(tested) else [None] * 3
        within = 100 * float((tested <= bar).mean()) if len(tested) else None
        rows.append([relation.name, len(tested), *quantiles, f"≤ {bar:g}", within])
    spread = np.array([one.spread for one in found])
    if len(spread) and np.isfinite(spread).all():
        rows.append([SPREAD, len(spread), *(float(q) for q in np.quantile(spread, (0.5, 0.9, 1))), None, None])
    header = ("test", "studies", "median shift", "90th percentile", "max", "bar", "within %")
    notes = [
        "Size of the shift of the posterior's median in EF points; of a study the largest over the versions of a test."
    ]
    return Table(f"Metamorphic tests: {spec.describe()}", header, rows, notes, digits=2)


def of_clips(model: Model, studies: Sequence[tuple[str, Study]]) -> Table:
    """Clips by name, each through every relation, against the bars of real clips."""
    rows: list[list[Cell]] = []
    for name, study in studies:
        found = shifts(model, study)
        asked: list[Cell] = [name, found.median, "yes" if found.refused else "no"]
        for place, away in zip(relations_of(model), found.of, strict=True):
            relation = RELATIONS[place]
            verdict = None if np.isnan(away) else "yes" if away <= relation.real_bar else "no"
            rows.append([*asked, relation.name, float(away), f"≤ {relation.real_bar:g}", verdict])
        if np.isfinite(found.spread):
            rows.append([*asked, SPREAD, found.spread, None, None])
    header = ("clip", "median EF %", "refused", "test", "shift", "bar", "within")
    notes = ["Clips from files, no phantoms; no test needs their ejection fraction. –: the clip is too short."]
    return Table("Metamorphic tests: clips", header, rows, notes, digits=2)
