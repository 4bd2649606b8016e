"""The records that travel through the package: Study, Clip, Attributes, View; and Cohort, many studies.

A *study* is one examination of one patient: any number of clips, whatever is known of the patient, and, where a reader
has reported it, the ejection fraction. Readers make studies, a data set makes a *cohort* of them, and the model takes
them. Records are frozen, hold plain NumPy arrays, and carry their units in their names.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fractions import Fraction
from typing import ClassVar, overload

import numpy as np
from numpy.typing import NDArray

from mcsdr.errors import InvalidAttributes

ADULT_YEARS = 18.0
CLOCK_S = 1e-3  # a clock of whole milliseconds, as containers keep it, puts a frame so far off its even place
QUALITIES = ("good", "medium", "poor")  # of a picture, best first


class View(StrEnum):
    """The echocardiographic window a clip was taken from."""

    A4C = "A4C"
    A2C = "A2C"
    PSAX = "PSAX"
    PLAX = "PLAX"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Notice:
    """Something the reader of a result must know: a stable code and a sentence."""

    code: str
    text: str


@dataclass(frozen=True)
class Attributes:
    """What is known of the patient; None means unknown.

    Raises:
        InvalidAttributes: a value is not finite or outside what a human being can have.
    """

    age_years: float | None = None
    sex: str | None = None  # "F" or "M"
    weight_kg: float | None = None
    height_cm: float | None = None

    RANGES: ClassVar[dict[str, tuple[float, float]]] = {
        "age_years": (0.0, 120.0),
        "weight_kg": (0.3, 400.0),
        "height_cm": (20.0, 250.0),
    }

    def __post_init__(self) -> None:
        for name, (low, high) in self.RANGES.items():
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                raise InvalidAttributes(f"{name} is {value}; it must lie between {low:g} and {high:g}.")
        if self.sex not in (None, "F", "M"):
            raise InvalidAttributes(f"sex is {self.sex!r}; it must be 'F', 'M' or unknown.")

    def known(self) -> dict[str, float | str]:
        """The attributes that are known, by name."""
        values = {name: getattr(self, name) for name in ("age_years", "sex", "weight_kg", "height_cm")}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Crop:
    """Where in the original picture the sector lies, in pixels, and how it was found."""

    top: int
    left: int
    height: int
    width: int
    method: str  # "regions" (DICOM says so), "picture" (found in the image) or "whole" (nothing to cut)


def even_step(times_s: NDArray[np.float64], clock_s: float = CLOCK_S) -> float | None:
    """The slope Δ of the least-squares line through times [T], where they lie on it up to a clock's rounding."""
    if len(times_s) < 3:
        return None
    since = np.asarray(times_s, dtype=np.float64) - times_s[0]
    k = np.arange(len(since)) - (len(since) - 1) / 2
    step = float(k @ since / (k @ k))
    on_it = float(np.abs(since - since.mean() - k * step).max()) <= clock_s
    return step if on_it and step * (len(since) - 1) > clock_s else None


def even_times(times_s: NDArray[np.float64], clock_s: float = CLOCK_S) -> NDArray[np.float64]:
    """Times [T] from 0 on, laid on an even grid where they are even up to the rounding of a clock to `clock_s`.

    The grid is t_k = k / f. The slope Δ (`even_step`) gives 1 / f to within clock_s / (T − 1), and f is the simplest
    fraction in that range: 30 for steps of 33, 33 and 34 ms, for 33.33 ms, and for 1/30 s. So the same times give the
    same grid to the last bit, wherever they start, whatever their unit. Times that are not even only lose their start.
    """
    step = even_step(times_s, clock_s)
    if step is None:
        since: NDArray[np.float64] = np.asarray(times_s, dtype=np.float64) - times_s[0]
        return since
    spare = clock_s / (len(times_s) - 1)
    rate_hz = float(_simplest(Fraction(1 / (step + spare)), Fraction(1 / (step - spare))))
    return np.arange(len(times_s)) / rate_hz


def _simplest(low: Fraction, high: Fraction) -> Fraction:
    """The fraction of the smallest denominator in a range of positive numbers."""
    whole = math.floor(low)
    if whole == low or whole + 1 <= high:
        return Fraction(math.ceil(low))
    return whole + 1 / _simplest(1 / (high - whole), 1 / (low - whole))


@dataclass(frozen=True)
class Clip:
    """One greyscale B-mode loop, cut to its sector.

    Arguments:
        frames: uint8 [T, H, W], one luma channel; pixels outside the sector are 0.
        frame_times_s: float [T], the time of each frame, ascending, starting anywhere.
        view: the window, where known.
        heart_rate_bpm: beats per minute as the machine recorded it, where it did.
        source: what to call the clip in messages, usually its file name.
        crop: where the sector lay in the original picture.
        quality: "good", "medium" or "poor", where somebody graded the picture.
        overview: uint8 [H0, W0], the first original picture, for showing the crop; None where nothing was cut.
        notices: what the reader of a result must know of this clip.
        r_wave_times_s: when the ECG's R waves came, on the clock of `frame_times_s`; empty where the file does not say.
    """

    frames: NDArray[np.uint8]
    frame_times_s: NDArray[np.float64]
    view: View = View.UNKNOWN
    heart_rate_bpm: float | None = None
    source: str = ""
    quality: str | None = None
    crop: Crop | None = None
    overview: NDArray[np.uint8] | None = None
    notices: tuple[Notice, ...] = ()
    r_wave_times_s: tuple[float, ...] = ()

    @property
    def duration_s(self) -> float:
        """Seconds the clip covers, the last frame's own duration included."""
        span = float(self.frame_times_s[-1] - self.frame_times_s[0])
        return span + self.frame_interval_s

    @property
    def frame_interval_s(self) -> float:
        """Time between frames: of an even clip Δ, see `even_step`, else the median."""
        return even_step(self.frame_times_s) or float(np.median(np.diff(self.frame_times_s)))

    @property
    def frame_rate_hz(self) -> float:
        """Frames per second."""
        return 1.0 / self.frame_interval_s


@dataclass(frozen=True)
class KnownPosterior:
    """p(y | what is shown) = Σ_k w_k N(e_k, σ²): exact, of phantoms that hide something from the picture on purpose.

    Arguments:
        weights: w_k [K], positive, of sum 1.
        ef_percent: e_k [K], the ejection fractions that the same picture may come from.
        reader_sd: σ in EF points.
    """

    weights: tuple[float, ...]
    ef_percent: tuple[float, ...]
    reader_sd: float


@dataclass(frozen=True)
class Study:
    """One examination: its clips, what is known of the patient, and the reported ejection fraction if any.

    Arguments:
        clips: the loops of this study; may be empty, then only the attributes speak.
        attributes: age, sex, weight, height, each possibly unknown.
        study_id, patient_id: names within a cohort; all studies of one patient share its patient_id.
        ef_percent: the ejection fraction a reader reported, in per cent.
        true_ef_percent: the exact ejection fraction, known for phantoms only.
        known_posterior: the exact posterior of `ef_percent`, where a phantom was made to have one.
        split: "train", "val" or "test" where the cohort says so.
        notices: what the reader of a result must know of this study.
    """

    clips: tuple[Clip, ...] = ()
    attributes: Attributes = field(default_factory=Attributes)
    study_id: str = ""
    patient_id: str = ""
    ef_percent: float | None = None
    true_ef_percent: float | None = None
    known_posterior: KnownPosterior | None = None
    split: str | None = None
    notices: tuple[Notice, ...] = ()

    def without(self, *modalities: str) -> Study:
        """The same study with "video" or "attributes" taken away, for asking what each contributes."""
        study = self
        for modality in modalities:
            match modality:
                case "video":
                    study = replace(study, clips=())
                case "attributes":
                    study = replace(study, attributes=Attributes())
                case _:
                    raise ValueError(f"unknown modality {modality!r}: 'video' or 'attributes'")
        return study

    @property
    def all_notices(self) -> tuple[Notice, ...]:
        """The notices of the study and of its clips."""
        return self.notices + tuple(notice for clip in self.clips for notice in clip.notices)


class Cohort(Sequence[Study]):
    """Studies that are read or rendered when they are asked for, one by one."""

    @abstractmethod
    def study(self, index: int) -> Study:
        """Study `index`, counted from 0."""

    def batch(self, indices: Sequence[int]) -> list[Study]:
        """The studies of the given indices."""
        return [self.study(index) for index in indices]

    def __iter__(self) -> Iterator[Study]:
        return (self.study(index) for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Study: ...
    @overload
    def __getitem__(self, index: slice) -> list[Study]: ...
    def __getitem__(self, index: int | slice) -> Study | list[Study]:
        places = range(len(self))[index]
        return self.batch(places) if isinstance(places, range) else self.study(places)
