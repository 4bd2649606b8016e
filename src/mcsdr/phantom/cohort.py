"""A cohort of phantoms: person, heart, reading and clips, each a function of (seed, index) alone.

Study `index` of cohort `seed` is the same whatever the batch, the device, the number of workers or the length of
the cohort: one NumPy generator seeded with (seed, index) draws the person, the true ejection fraction, the row of
`ranges.RANGES`, the reader's report and the speckle texture, in that order. Further views are recordings of the same
heart; what each has of its own comes from a generator seeded with (seed, index, number of the view), so it does not
depend on which other views are asked for.

    >>> cohort = PhantomCohort(n=100, seed=1)
    >>> cohort[3].ef_percent, cohort[3].true_ef_percent      # what a reader reported, and the truth
    >>> PhantomCohort(100, seed=1, population="child", views=(View.A4C, View.PSAX))[3].clips
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from mcsdr.errors import InvalidConfig
from mcsdr.phantom import ambiguity as hiding
from mcsdr.phantom import archive, heart, people, planes, ranges, sonogram, ultrasound, variety
from mcsdr.phantom.machines import SHIFTED, among
from mcsdr.phantom.table import Appearance
from mcsdr.study import Attributes, Clip, Cohort, KnownPosterior, Study, View

VIEW_NUMBER = {View.A2C: 1, View.PSAX: 2}  # zero would repeat the person's own draw
SAMPLING_HZ = 25.0  # of what is rendered, unless asked otherwise
VARIED = (View.A4C, View.A2C, View.PSAX, View.PLAX)
ADULTS = ("adult", "laboratory", "flat")  # populations that varied phantoms are drawn of
Family = Literal["plain"] | Appearance
MIXED: Mapping[Family, float] = {"varied": 0.50, "varied-shaped": 0.38, "plain": 0.12}  # shares of a mixed cohort


@dataclass(frozen=True)
class Recording:
    """One view of a phantom: all that `ultrasound.render`, or `sonogram.render` of a varied one, needs."""

    parameters: dict[str, ranges.Value]
    texture: NDArray[np.float32]
    offsets: NDArray[np.int64]

    @property
    def clock(self) -> float:
        """True time over the time that the file states; some machines state a wrong rate."""
        return float(self.parameters.get("clock", 1.0))


@dataclass(frozen=True)
class Picture:
    """What a further view has of its own: rows of the picture, a shift of the texture, its own free speckle."""

    parameters: dict[str, ranges.Value]
    shift: tuple[int, int]
    offsets: NDArray[np.int64]


@dataclass(frozen=True)
class Person:
    """One phantom patient before the pictures are made; `parameters` and `offsets` are those of the A4C recording."""

    index: int
    attributes: Attributes
    true_ef_percent: float
    reading_percent: float
    parameters: dict[str, ranges.Value]
    texture: NDArray[np.float32]
    offsets: NDArray[np.int64]
    population: str = "adult"
    pictures: Mapping[View, Picture] = field(default_factory=dict)
    known_posterior: KnownPosterior | None = None

    def recording(self, view: View) -> Recording:
        """The exam of one view; the heart is that of `parameters` in all of them.

        Raises:
            InvalidConfig: the phantom has no such view.
        """
        if view == View.A4C:
            return Recording(self.parameters, self.texture, self.offsets)
        picture = self.pictures[planes.check(view, tuple(self.pictures))]
        parameters = self.parameters | picture.parameters
        if view == View.PSAX:
            parameters["lv_share"] = planes.lv_share(ranges.stack([parameters], torch.device("cpu"))).item()
        return Recording(parameters, np.roll(self.texture, picture.shift, axis=(1, 2)), picture.offsets)


def rendered(
    recordings: Sequence[Recording],
    times_s: NDArray[np.float64],
    view: View,
    size: tuple[int, int] = (ultrasound.SIZE, ultrasound.SIZE),
    device: torch.device | None = None,
) -> NDArray[np.uint8]:
    """Pictures [B, T, H, W] of recordings of one appearance at true instants [B, T], before an archive has them."""
    device = device or torch.device("cpu")
    render = sonogram.render if "drawn" in recordings[0].parameters else ultrasound.render
    offsets = [one.offsets[np.arange(times_s.shape[1]) % len(one.offsets)] for one in recordings]
    with torch.inference_mode():
        frames = render(
            ranges.stack([one.parameters for one in recordings], device),
            torch.from_numpy(np.stack([one.texture for one in recordings])).to(device),
            torch.from_numpy(np.stack(offsets)),
            torch.from_numpy(np.asarray(times_s, dtype=np.float32)).to(device),
            View(view),
            size,
        )
    return np.asarray(frames.cpu().numpy(), dtype=np.uint8)


def draw_person(seed: int, index: int, population: str = "adult") -> Person:
    """Everything that is random about phantom `index` of cohort `seed`.

    Raises:
        InvalidConfig: no such population.
    """
    rng = np.random.default_rng([seed, index])
    attributes = people.draw_attributes(rng, population)
    true_ef = people.draw_true_ef(attributes, rng, population)
    size = people.heart_size(attributes, population)
    parameters = ranges.draw(rng, people.heart_ranges(attributes, population))
    parameters |= {"ef": true_ef / 100, "size": size, "length_mm": parameters["length_mm"] * size}
    reading = people.draw_reading(true_ef, rng)
    texture = ranges.draw_texture(rng, parameters["k_alpha"])
    offsets = _draw_offsets(rng)
    pictures = {view: _draw_picture(seed, index, view) for view in VIEW_NUMBER}
    return Person(index, attributes, true_ef, reading, parameters, texture, offsets, population, pictures)


def draw_ambiguous_person(seed: int, index: int, ambiguity: str, clean: bool = True) -> Person:
    """Phantom `index` of cohort `seed` among those that hide something, see `ambiguity`; an adult, A4C alone.

    Raises:
        InvalidConfig: no such ambiguity.
    """
    rng = np.random.default_rng([seed, index, *ambiguity.encode()])
    attributes = people.draw_attributes(rng)
    shown = hiding.draw_shown(rng, ambiguity, attributes, clean)
    true_ef, reading = hiding.draw_reading(rng, shown.posterior)
    parameters = shown.parameters | {"size": 1.0}
    texture = ranges.draw_texture(rng, parameters["k_alpha"])
    known = shown.posterior
    return Person(index, attributes, true_ef, reading, parameters, texture, _draw_offsets(rng), known_posterior=known)


def draw_varied_person(
    seed: int,
    index: int,
    appearance: Appearance,
    population: str = "adult",
    ef_percent: float | None = None,
    attributes: Attributes | None = None,
) -> Person:
    """Phantom `index` of cohort `seed` among the varied ones, see `variety`; an adult.

    Arguments:
        population: of whose p(EF | attributes) the true ejection fraction is drawn.
        ef_percent, attributes: the true ejection fraction and the person, in place of a draw.
    """
    rng = np.random.default_rng([seed, index, *appearance.encode()])
    drawn_attributes = people.draw_attributes(rng, population)
    attributes = attributes or drawn_attributes
    true_ef = people.draw_true_ef(attributes, rng, population)
    true_ef = true_ef if ef_percent is None else ef_percent
    reading = people.draw_reading(true_ef, rng)
    shared = variety.heart(seed, index, appearance, true_ef / 100, attributes, population)
    drawn = {view: shared | variety.clip(seed, index, appearance, view, shared) for view in VARIED}
    texture = ranges.draw_texture(rng, float(drawn[View.A4C]["k_alpha"]))
    offsets = {view: _draw_offsets(rng) for view in VARIED}
    pictures = {
        view: Picture(drawn[view], (int(offsets[view][0, 0]), int(offsets[view][0, 1])), offsets[view])
        for view in VARIED[1:]
    }
    first = drawn[View.A4C]
    return Person(index, attributes, true_ef, reading, first, texture, offsets[View.A4C], population, pictures)


def _family(seed: int, index: int) -> Family:
    """Of which of MIXED phantom `index` of a mixed cohort is."""
    return among(MIXED, np.random.default_rng([seed, index, *b"mixed"]).random())


def _draw_picture(seed: int, index: int, view: View) -> Picture:
    rng = np.random.default_rng([seed, index, VIEW_NUMBER[view]])
    parameters = ranges.draw_picture(rng, view)
    down, right = rng.integers(0, ranges.TEXTURE, 2)
    return Picture(parameters, (int(down), int(right)), _draw_offsets(rng))


def _draw_offsets(rng: np.random.Generator) -> NDArray[np.int64]:
    room = (ranges.TEXTURE - ultrasound.RANGE_SAMPLES, ranges.TEXTURE - ultrasound.BEAMS)
    return rng.integers(0, room, (ranges.MAX_FRAMES, 2))


class PhantomCohort(Cohort):
    """A sequence of synthetic studies, rendered when read.

    Arguments:
        n: number of studies.
        seed: the cohort; two cohorts of different seeds share nobody.
        frames: frames per clip.
        sampling_hz: render each exam only at the frames nearest to this rate, the ones that `clips.sample` reads. None
            renders `seconds` of the exam at the machine's own rate, rounded to whole frames per second.
        seconds: length of a clip at the machine's own rate.
        split: the name every study carries as its split.
        device: where to render.
        population: "adult", "child" or "camus", of varied phantoms "adult", "laboratory" or "flat", see `people`.
        views: the planes through each heart, one clip for each, in this order.
        ambiguity: what is hidden, so that the posterior is known exactly, see `ambiguity`; None for ordinary phantoms.
        clean: whether the pictures of ambiguous phantoms have little speckle and no faults.
        appearance: "plain" for the table of `ranges`; "varied", "varied-framed", "varied-following", "varied-shaped",
            "shifted-val", "shifted-test", "shifted-other" or "shifted-fourth", see `variety`; "mixed" for those of
            MIXED, each phantom the one that it is in the cohort of its family.

    Raises:
        InvalidConfig: no such population, view, ambiguity or appearance, or one together with another.
    """

    def __init__(
        self,
        n: int,
        seed: int,
        *,
        frames: int = 32,
        sampling_hz: float | None = SAMPLING_HZ,
        seconds: float = 2.0,
        split: str | None = None,
        device: str | torch.device = "cpu",
        population: str = "adult",
        views: Sequence[View] = (View.A4C,),
        ambiguity: str | None = None,
        clean: bool = True,
        appearance: Literal["mixed"] | Family = "plain",
    ) -> None:
        people.named(population)
        several = ("mixed", *SHIFTED)
        if appearance != "plain" and (appearance not in several or population not in ADULTS or ambiguity):
            known = ", ".join(("plain", *several))
            raise InvalidConfig(
                f"no phantoms of appearance {appearance!r}, population {population!r} and ambiguity {ambiguity!r}.",
                next_step=f"Choose of {known}; all but plain are adults that hide nothing.",
            )
        if ambiguity is not None:
            hiding.named(ambiguity)
            if population != "adult" or tuple(views) != (View.A4C,):
                raise InvalidConfig("phantoms that hide something are adults, seen in A4C alone.")
        self.ambiguity, self.clean, self.appearance = ambiguity, clean, appearance
        self.n, self.seed, self.frames, self.split = n, seed, frames, split
        self.sampling_hz, self.seconds = sampling_hz, seconds
        self.device = torch.device(device)
        among = planes.PLAIN if appearance in ("plain", "mixed") else VARIED
        self.population, self.views = population, tuple(planes.check(view, among) for view in views)

    def __len__(self) -> int:
        return self.n

    def study(self, index: int) -> Study:
        """The study of one index."""
        return self.batch([index])[0]

    def __iter__(self) -> Iterator[Study]:
        for start in range(0, self.n, 4):
            yield from self[start : start + 4]

    def batch(self, indices: Sequence[int]) -> list[Study]:
        """The studies of the given indices."""
        return self.studies([self.person(index) for index in indices])

    def studies(self, people: list[Person]) -> list[Study]:
        """The studies of phantoms of this cohort's appearance, its own or their twins.

        On a CPU each by itself: sums round otherwise in a batch, codecs make more of that, and it takes as long.
        """
        if self.sampling_hz is None or self.device.type == "cpu" or self.appearance == "mixed":
            return [study for person in people for study in self._render([person])]
        return self._render(people)

    def person(self, index: int) -> Person:
        """Everything that is random about one phantom, without its pictures."""
        family = _family(self.seed, index) if self.appearance == "mixed" else self.appearance
        if family != "plain":
            return draw_varied_person(self.seed, index, family, self.population)
        if self.ambiguity is None:
            return draw_person(self.seed, index, self.population)
        return draw_ambiguous_person(self.seed, index, self.ambiguity, self.clean)

    def frame_times(self, frame_rate_hz: float) -> NDArray[np.float64]:
        """The instants at which an exam at `frame_rate_hz` is rendered, in seconds, [frames]."""
        if self.sampling_hz is None:
            return np.arange(round(self.seconds * round(frame_rate_hz))) / round(frame_rate_hz)
        return np.round(np.arange(self.frames) / self.sampling_hz * frame_rate_hz) / frame_rate_hz

    def _render(self, people: list[Person]) -> list[Study]:
        if not people:
            return []
        times = np.stack([self.frame_times(person.parameters["frame_rate_hz"]) for person in people])
        films = [self._film(people, times, view) for view in self.views]
        return [self._study(person, times[i], [film[i] for film in films]) for i, person in enumerate(people)]

    def _film(self, people: list[Person], times: NDArray[np.float64], view: View) -> NDArray[np.uint8]:
        """One view of several people, [B, T, H, W]; times as the files state them."""
        recordings = [person.recording(view) for person in people]
        true = np.stack([at * recording.clock for at, recording in zip(times, recordings, strict=True)])
        pictures = rendered(recordings, true, view, device=self.device)
        if "drawn" not in recordings[0].parameters:
            return pictures
        each = zip(pictures, recordings, true, strict=True)
        return np.stack([archive.finished(clip, recording.parameters, at) for clip, recording, at in each])

    def volumes_ml(self, index: int) -> tuple[float, float]:
        """True end-diastolic and end-systolic volume of one phantom."""
        person = self.person(index)
        edv, esv = heart.volumes_ml(ranges.stack([person.parameters], torch.device("cpu")))
        return edv.item(), esv.item()

    def _study(self, person: Person, times: NDArray[np.float64], films: list[NDArray[np.uint8]]) -> Study:
        kind = "".join(f"-{word}" for word in (self.ambiguity, self.appearance) if word not in (None, "plain"))
        name = f"phantom{kind}-{self.seed}-{person.index:06d}"
        rate = person.parameters["heart_rate_bpm"] * person.recording(View.A4C).clock
        clips = [
            Clip(film, times, view, rate, name if view == View.A4C else f"{name}-{view}")
            for view, film in zip(self.views, films, strict=True)
        ]
        return Study(
            clips=tuple(clips),
            attributes=person.attributes,
            study_id=name,
            patient_id=name,
            ef_percent=person.reading_percent,
            true_ef_percent=person.true_ef_percent,
            known_posterior=person.known_posterior,
            split=self.split,
        )
