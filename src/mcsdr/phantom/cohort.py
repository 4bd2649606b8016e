"""A cohort of phantoms: person, heart, reading and clip, each a function of (seed, index) alone.

Study `index` of cohort `seed` is the same whatever the batch, the device, the number of workers or the length of
the cohort: one NumPy generator seeded with (seed, index) draws the person, the true ejection fraction, the row of
`ranges.RANGES`, the speckle texture and the reader's report, in that order.

    >>> cohort = PhantomCohort(n=100, seed=1)
    >>> cohort[3].ef_percent, cohort[3].true_ef_percent      # what a reader reported, and the truth
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray

from mcsdr.phantom import heart, people, ranges, ultrasound
from mcsdr.study import Attributes, Clip, Study, View


@dataclass(frozen=True)
class Person:
    """One phantom patient before the picture is made."""

    index: int
    attributes: Attributes
    true_ef_percent: float
    reading_percent: float
    parameters: dict[str, float]
    texture: NDArray[np.float32]
    offsets: NDArray[np.int64]


def draw_person(seed: int, index: int) -> Person:
    """Everything that is random about phantom `index` of cohort `seed`."""
    rng = np.random.default_rng([seed, index])
    attributes = people.draw_attributes(rng)
    true_ef = people.draw_true_ef(attributes, rng)
    parameters = ranges.draw(rng) | {"ef": true_ef / 100}
    reading = people.draw_reading(true_ef, rng)
    texture = ranges.draw_texture(rng, parameters["k_alpha"])
    room = (ranges.TEXTURE - ultrasound.RANGE_SAMPLES, ranges.TEXTURE - ultrasound.BEAMS)
    offsets = rng.integers(0, room, (ranges.MAX_FRAMES, 2))
    return Person(index, attributes, true_ef, reading, parameters, texture, offsets)


class PhantomCohort(Sequence[Study]):
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
    """

    def __init__(
        self,
        n: int,
        seed: int,
        *,
        frames: int = 32,
        sampling_hz: float | None = 25.0,
        seconds: float = 2.0,
        split: str | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.n, self.seed, self.frames, self.split = n, seed, frames, split
        self.sampling_hz, self.seconds = sampling_hz, seconds
        self.device = torch.device(device)

    def __len__(self) -> int:
        return self.n

    @overload
    def __getitem__(self, index: int) -> Study: ...
    @overload
    def __getitem__(self, index: slice) -> list[Study]: ...
    def __getitem__(self, index: int | slice) -> Study | list[Study]:
        indices = range(self.n)[index]
        if isinstance(indices, range):
            return self.batch(list(indices))
        return self.batch([indices])[0]

    def __iter__(self) -> Iterator[Study]:
        for start in range(0, self.n, 4):
            yield from self[start : start + 4]

    def batch(self, indices: Sequence[int]) -> list[Study]:
        """The studies of the given indices; rendered together where their clips are equally long."""
        people = [draw_person(self.seed, index) for index in indices]
        if self.sampling_hz is None:
            return [study for person in people for study in self._render([person])]
        return self._render(people)

    def frame_times(self, frame_rate_hz: float) -> NDArray[np.float64]:
        """The instants at which an exam at `frame_rate_hz` is rendered, in seconds, [frames]."""
        if self.sampling_hz is None:
            return np.arange(round(self.seconds * round(frame_rate_hz))) / round(frame_rate_hz)
        return np.round(np.arange(self.frames) / self.sampling_hz * frame_rate_hz) / frame_rate_hz

    def _render(self, people: list[Person]) -> list[Study]:
        times = np.stack([self.frame_times(person.parameters["frame_rate_hz"]) for person in people])
        parameters = ranges.stack([person.parameters for person in people], self.device)
        with torch.inference_mode():
            frames = ultrasound.render(
                parameters,
                torch.from_numpy(np.stack([person.texture for person in people])).to(self.device),
                torch.from_numpy(np.stack([person.offsets[: times.shape[1]] for person in people])),
                torch.from_numpy(times).float().to(self.device),
            ).cpu()
        return [self._study(*parts) for parts in zip(people, times, frames.numpy(), strict=True)]

    def volumes_ml(self, index: int) -> tuple[float, float]:
        """True end-diastolic and end-systolic volume of one phantom."""
        parameters = ranges.stack([draw_person(self.seed, index).parameters], torch.device("cpu"))
        edv, esv = heart.volumes_ml(parameters)
        return edv.item(), esv.item()

    def _study(self, person: Person, times: NDArray[np.float64], frames: NDArray[np.uint8]) -> Study:
        name = f"phantom-{self.seed}-{person.index:06d}"
        clip = Clip(frames, times, View.A4C, person.parameters["heart_rate_bpm"], name)
        return Study(
            clips=(clip,),
            attributes=person.attributes,
            study_id=name,
            patient_id=name,
            ef_percent=person.reading_percent,
            true_ef_percent=person.true_ef_percent,
            split=self.split,
        )
