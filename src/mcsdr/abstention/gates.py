"""Knowing when not to answer: the checks that an answer must pass, in their order, and what to do where one fails.

    file ──reader──> study ──pictures──> encoder ──familiarity──> posterior ──width, threshold, peaks──> answer
      typed errors          empty, still,         not echo, a child,       looks-disagree, wide-interval,
      (mcsdr.errors)        lost frames,          unfamiliar               at-threshold, two-peaked
                            no sector,
                            under one beat

What cannot be read at all, colour Doppler, a single frame or no frame time are errors of the reader. Everything later
is an *abstention*: the clip was read, but its posterior should not be relied on. The first check that fails is the one
reported; the others are silent, since the remedy for the first usually changes them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mcsdr.abstention.familiarity import Familiarity
from mcsdr.errors import InvalidConfig
from mcsdr.posterior import Posterior
from mcsdr.posterior.categories import percent
from mcsdr.posterior.modes import Mode
from mcsdr.study import ADULT_YEARS, Attributes, Clip, Study

LEAST_CONTRAST = 16.0  # grey levels between the darkest and the brightest hundredth; phantoms have 80 or more
HELD = 0.1  # of the larger changes from frame to frame: less is the same frame again; living pictures have 0.18 or more
LEAST_RATE_HZ = 12.0  # different frames a second; models learn from machines of 15 and more
LEAST_MOTION = 1.5  # grey levels: what `_motion` of a clip that moves has at least; phantoms have 6 or more
WHOLE_BEAT = 0.9  # of one beat must be there
QUARTILES = 1.349  # between the quartiles of a normal distribution of SD 1
SAMPLE = 32  # frames looked at
SIDE = 160  # pixels a side looked at, about
WIDE_INTERVAL = 25.0  # EF points, of the interval of a reader's report
CHILD_CM, CHILD_KG = 115.0, 25.0  # under these only children are, but for rare adults whom no model has learnt from
UNDECIDED = (0.1, 0.9)  # P(EF ≤ t) between these says neither below nor above t

ANOTHER_VIEW = "wrong-view-or-not-echo"  # the code of the first gate that asks what the encoder saw
# The codes of what says that no heart is seen that the model knows: what it then sees of one is not worth showing.
NO_HEART = frozenset({ANOTHER_VIEW, "outside-training", "empty-picture", "still-picture", "sector-not-found"})

ANOTHER_CLIP = "Choose a moving grey-scale (B-mode) apical four-chamber clip of the same study."
A_READER = "Ask for another clip of the study, or have a reader measure the ejection fraction."


@dataclass(frozen=True)
class Abstention:
    """Why a clip that was read is not answered: a stable code, a sentence, and what to do next."""

    code: str
    reason: str
    next_step: str

    def record(self) -> dict[str, str]:
        """The same as plain data."""
        return {"code": self.code, "reason": self.reason, "next_step": self.next_step}


def checked_threshold(percent: float | None) -> float | None:
    """A threshold of EF that the user named.

    Raises:
        InvalidConfig: it is not inside (0, 100).
    """
    if percent is not None and not 0 < percent < 100:
        raise InvalidConfig(f"the threshold is {percent:g} %.", next_step="Name an EF between 0 and 100, such as 40.")
    return percent


def fired(
    study: Study,
    posterior: Posterior,
    *,
    features: NDArray[np.float64] | None = None,
    familiarity: Familiarity | None = None,
    adults_only: bool = False,
    threshold: float | None = None,
    pictures: Iterable[Abstention] | None = None,
    spread: float = math.nan,
    spread_limit: float | None = None,
) -> Iterator[Abstention]:
    """Every check that fails, in order.

    Arguments:
        study: what was read.
        posterior: of this study alone.
        features: of its windows (`familiarity.token_features`), [G, 2W].
        familiarity: of the model; without one nothing is asked of the encoder.
        adults_only: whether the model has learnt from adults alone.
        threshold: an EF in per cent, where the user named one.
        pictures: what its pictures say against it, where that was found before; else they are looked at.
        spread, spread_limit: by how much the looks at the clips disagree, in EF points, and by how much they may.
    """
    if pictures is None:
        pictures = itertools.chain.from_iterable(of_pictures(clip) for clip in study.clips)
    yield from pictures
    strange = None
    if study.clips and familiarity is not None and features is not None:
        strange = familiarity.strangeness(features)
    if strange is not None and np.median(strange.impostor) > 0:
        text = "The clip looks less like what this model reads than like what it must refuse: other views, no echo."
        yield Abstention(ANOTHER_VIEW, text, ANOTHER_CLIP)
    if adults_only:
        yield from of_a_child(study.attributes)
    if strange is not None and np.median(strange.distance) > 0:
        text = "The clip is unlike all that this model has learnt from."
        yield Abstention("outside-training", text, f"{ANOTHER_CLIP} If it is one, this model does not know its like.")
    if spread_limit is not None and spread > spread_limit:
        text = (
            f"Shown in a mirror or with the last frame first, the same clip is read {spread:.1f} points apart (SD); "
            f"99 % of the clips that this model reads well stay under {spread_limit:.1f}."
        )
        yield Abstention("looks-disagree", text, A_READER)
    yield from of_posterior(posterior, threshold)


def of_a_child(attributes: Attributes) -> Iterator[Abstention]:
    """What speaks for a child, where the model has learnt from adults alone: the age, or a size that no adult has."""
    age, height, weight = attributes.age_years, attributes.height_cm, attributes.weight_kg
    step = "Use a model that has learnt from children."
    if age is not None and age < ADULT_YEARS:
        text = f"The patient is {age:g} years old; this model has learnt from adults only."
        yield Abstention("adult-model-for-a-child", text, step)
    small = [f"{height:g} cm"] if height is not None and height < CHILD_CM else []
    small += [f"{weight:g} kg"] if weight is not None and weight < CHILD_KG else []
    if small:
        text = f"A patient of {' and '.join(small)} is a child; this model has learnt from adults only."
        yield Abstention("size-of-a-child", text, f"Correct the value and its unit if it is a slip. {step}")


class Glances:
    """What the checks look at in a clip's pictures, gathered as these come, one by one.

    Arguments:
        count: how many frames there are.
    """

    def __init__(self, count: int) -> None:
        self._sampled = set(np.linspace(0, count - 1, SAMPLE).round().astype(int).tolist())
        self._sample: list[NDArray[np.uint8]] = []
        self._last: NDArray[np.uint8] | None = None
        self._seen = 0
        self._changes: list[float] = []

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Look at the next frame, uint8 [H, W]."""
        step = max(1, max(frame.shape) // SIDE)
        coarse = np.array(frame[::step, ::step])
        if self._last is not None:
            self._changes.append(float(np.abs(coarse.astype(np.int16) - self._last).mean()))
        if self._seen in self._sampled:
            self._sample.append(coarse)
        self._last = coarse
        self._seen += 1

    @property
    def sample(self) -> NDArray[np.uint8]:
        """At most SAMPLE frames, evenly taken, of about SIDE pixels a side."""
        return np.stack(self._sample)

    @property
    def different_frames(self) -> int:
        """How many frames are not the one before them again, as where a recorder lost some and held the last."""
        change = np.array(self._changes)
        return 1 + int((change > HELD * np.quantile(change, 0.9)).sum())


def of_pictures(clip: Clip, glances: Glances | None = None) -> Iterator[Abstention]:
    """What the pixels, and the reader's notices, say against one clip; its frames are looked at unless they were."""
    if glances is None:
        glances = Glances(len(clip.frames))
        for frame in clip.frames:
            glances.add(frame)
    frames = glances.sample
    dark, bright = np.percentile(frames, (1, 99))
    if bright - dark < LEAST_CONTRAST:
        yield Abstention("empty-picture", "The picture is black, or of one grey.", ANOTHER_CLIP)
    elif _motion(frames) < LEAST_MOTION:
        yield Abstention("still-picture", "Nothing moves in the clip: it shows a still.", ANOTHER_CLIP)
    elif (rate := glances.different_frames / clip.duration_s) < LEAST_RATE_HZ:
        text = f"The clip shows {rate:.0f} different frames a second: others are lost, or the same again."
        yield Abstention("few-frames-a-second", text, "Export the whole clip again, or choose one of 15 Hz or more.")
    if any(notice.code == "sector-not-found" for notice in clip.notices):
        yield Abstention("sector-not-found", "No ultrasound sector was found in the picture.", ANOTHER_CLIP)
    beat_s = _beat_s(clip)
    if clip.duration_s < WHOLE_BEAT * beat_s:
        text = f"The clip lasts {clip.duration_s:.2f} s, and one heartbeat takes {beat_s:.2f} s."
        yield Abstention("under-one-beat", text, "Choose a clip that holds at least one heartbeat.")


def of_posterior(posterior: Posterior, threshold: float | None = None) -> Iterator[Abstention]:
    """What the posterior of one study says against itself."""
    low, high = posterior.interval(0.9)
    if high - low > WIDE_INTERVAL:
        wide = f"The 90 % interval of a report is {high - low:.0f} points wide"
        text = f"{wide}: this clip says little of the ejection fraction."
        yield Abstention("wide-interval", text, A_READER)
    if threshold is not None:
        below = posterior.prob_below(threshold)
        if UNDECIDED[0] < below < UNDECIDED[1]:
            share = percent(float(below))
            text = f"P(EF ≤ {threshold:g} %) is {share}: on which side of {threshold:g} % it lies is not known."
            yield Abstention("at-threshold", text, A_READER)
    modes = cast("list[Mode]", posterior.modes())
    if len(modes) > 1:
        readings = " or ".join(f"about {mode.location:.0f} ({100 * mode.mass:.0f} %)" for mode in modes)
        text = f"Two readings fit: {readings}; do not average."
        yield Abstention("two-peaked", text, f"Look at the clip for mixed beats or foreshortening. {A_READER}")


def _motion(frames: NDArray[np.uint8]) -> float:
    """How much pixels change, in grey levels: quartile range over time as an SD, 95th percentile over the picture.

    Compression changes the first frames of a still while it settles; half of the frames may not count for that.
    """
    low, high = np.percentile(frames, (25, 75), axis=0)
    return float(np.percentile(high - low, 95)) / QUARTILES


def _beat_s(clip: Clip) -> float:
    """How long one beat takes, by the file's R waves or heart rate; 0 where it says neither."""
    if len(clip.r_wave_times_s) > 1:
        return float(np.median(np.diff(clip.r_wave_times_s)))
    rate = clip.heart_rate_bpm
    return 60 / rate if rate and math.isfinite(rate) else 0.0
