"""The records that travel through the package: Study, Clip, Attributes, View; and Cohort, many studies.

A *study* is one examination of one patient: any number of clips, whatever is known of the patient, and, where a reader
has reported it, the ejection fraction. Readers make studies, a data set makes a *cohort* of them, and the model takes
them. Records are frozen, hold plain NumPy arrays, and carry their units in their names.

`repr(Attributes(…))` stays exact, every digit of it: what was made from a cohort is known again by its hash.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar, overload

import numpy as np
from numpy.typing import NDArray

from mcsdr import DISCLAIMER
from mcsdr.errors import InvalidAttributes, InvalidConfig
from mcsdr.study.clock import even_step
from mcsdr.study.inline import thumbnail

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ADULT_YEARS = 18.0
# How a patient's sex is written; what is neither, such as "other", is unknown to every model.
SEXES: dict[str, str | None] = {
    **dict.fromkeys(("f", "female", "woman", "girl", "w"), "F"),
    **dict.fromkeys(("m", "male", "man", "boy"), "M"),
    **dict.fromkeys(("", "o", "other", "u", "unknown", "n/a", "nan", "none"), None),
}
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
            if value is not None and not isinstance(value, int | float | np.number):
                raise InvalidAttributes(f"{name} is {value!r}; it must be a number.")
            if value is not None and not (math.isfinite(value) and low <= value <= high):
                raise InvalidAttributes(f"{name} is {value}; it must lie between {low:g} and {high:g}.")
        if self.sex not in (None, "F", "M"):
            raise InvalidAttributes(f"sex is {self.sex!r}; it must be 'F', 'M' or unknown.")

    @classmethod
    def of(
        cls,
        age: float | str | None = None,
        sex: str | None = None,
        weight: float | str | None = None,
        height: float | str | None = None,
    ) -> Attributes:
        """From what a person writes: years, a sex in any usual spelling, kg, cm; numbers may be text.

        Raises:
            InvalidAttributes: what is written is no number or no sex, or out of range.

        >>> Attributes.of(age="63", sex="female").known()
        {'age_years': 63.0, 'sex': 'F'}
        """
        return cls(_number("age", age), sex_letter(sex), _number("weight", weight), _number("height", height))

    def known(self) -> dict[str, float | str]:
        """The attributes that are known, by name."""
        values = {name: getattr(self, name) for name in ("age_years", "sex", "weight_kg", "height_cm")}
        return {name: value for name, value in values.items() if value is not None}

    def __str__(self) -> str:
        """What is known, in a few words: 63 y, F, 70 kg, 170 cm.

        >>> print(Attributes(age_years=63, sex="F"))
        63 y, F
        """
        units = {"age_years": " y", "weight_kg": " kg", "height_cm": " cm"}
        known = self.known().items()
        said = (f"{value:.3g}{units[name]}" if isinstance(value, int | float) else value for name, value in known)
        return ", ".join(said) or "nothing known of the patient"


def sex_letter(written: str | None) -> str | None:
    """ "F", "M" or None of a sex in any usual spelling.

    Raises:
        InvalidAttributes: it is none.
    """
    spelling = str(written or "").strip().lower()
    if spelling not in SEXES:
        raise InvalidAttributes(f"sex is {written!r}; it must be 'F', 'M' or unknown.")
    return SEXES[spelling]


def _number(name: str, value: float | str | None) -> float | None:
    if not isinstance(value, str):
        return value
    try:
        return float(value) if value.strip() else None
    except ValueError:
        raise InvalidAttributes(f"{name} is {value!r}; it must be a number.") from None


@dataclass(frozen=True)
class Crop:
    """Where in the original picture the sector lies, in pixels, and how it was found."""

    top: int
    left: int
    height: int
    width: int
    method: str  # "regions" (DICOM says so), "picture" (found in the image) or "whole" (nothing to cut)


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

    def __repr__(self) -> str:
        return f"Clip({self.in_words})"

    @property
    def in_words(self) -> str:
        """View, frames, seconds, frames per second, height × width."""
        frames, height, width = self.frames.shape
        view = "view unknown" if self.view == View.UNKNOWN else str(self.view)
        pace = f"{self.duration_s:.1f} s, {self.frame_rate_hz:.0f} Hz, " if frames > 1 else ""
        return f"{view}, {frames} frame{'s' * (frames != 1)}, {pace}{height}×{width}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data without the pictures themselves."""
        frames, height, width = self.frames.shape
        return {
            "view": str(self.view),
            "frames": frames,
            "height": height,
            "width": width,
            "duration_s": self.duration_s if frames > 1 else None,
            "frame_rate_hz": self.frame_rate_hz if frames > 1 else None,
            "heart_rate_bpm": self.heart_rate_bpm,
            "quality": self.quality,
            "source": self.source,
            "crop": None if self.crop is None else asdict(self.crop),
            "notices": [asdict(notice) for notice in self.notices],
        }

    def plot(self, ax: Axes | None = None, *, frame: int = 0) -> Axes:
        """Show one frame, counted from 0 or, if negative, from the end.

        Arguments:
            ax: matplotlib's axes to draw on; a figure of its own if left out.
            frame: which of the T frames.

        Returns:
            the axes.

        Raises:
            InvalidConfig: the clip has no such frame.
        """
        T = len(self.frames)
        if not -T <= frame < T:
            raise InvalidConfig(f"Frame {frame} of a clip of {T}.", next_step=f"Choose one from 0 to {T - 1}.")
        if ax is None:
            from matplotlib import pyplot

            ax = pyplot.subplots()[1]
        ax.imshow(self.frames[frame], cmap="gray", vmin=0, vmax=255)
        ax.set_axis_off()
        ax.set_title(f"{self.in_words}\nframe {frame % T + 1} of {T}", fontsize=9, loc="left")
        return ax

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

    >>> clip = Clip(np.zeros((120, 480, 640), np.uint8), np.arange(120) / 30, View.A4C)
    >>> Study((clip,), Attributes(age_years=63, sex="F"))
    Study(1 clip A4C, 63 y, F)
    >>> clip
    Clip(A4C, 120 frames, 4.0 s, 30 Hz, 480×640)
    >>> Study(ef_percent=58.0).to_dict()["ef_percent"]
    58.0

    Arguments:
        clips: the loops of this study; may be empty, then only the attributes speak.
        attributes: age, sex, weight, height, each possibly unknown.
        study_id, patient_id: names within a cohort; all studies of one patient share its patient_id.
        ef_percent: the ejection fraction a reader reported, in per cent.
        true_ef_percent: the exact ejection fraction, known for phantoms only.
        known_posterior: the exact posterior of `ef_percent`, where a phantom was made to have one.
        split: "train", "val" or "test" where the cohort says so.
        notices: what the reader of a result must know of this study.
        file: the file that it was read from, as it was named; of several all of them.
        input_sha256: of that file's bytes; of several, of their hashes one after the other; None where none was read.
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
    file: str = ""
    input_sha256: str | None = None

    def __repr__(self) -> str:
        return f"Study({self.in_words})"

    @property
    def in_words(self) -> str:
        """Clips and their views, what is known of the patient, the reported ejection fraction."""
        views = " + ".join(dict.fromkeys(str(clip.view) for clip in self.clips if clip.view != View.UNKNOWN))
        count = len(self.clips)
        clips = f"{count or 'no'} clip{'s' * (count > 1)}{f' {views}' if views else ''}"
        reported = [] if self.ef_percent is None else [f"reported EF {self.ef_percent:.0f} %"]
        return ", ".join([clips, str(self.attributes), *reported])

    def _repr_html_(self) -> str:
        """The first frame of each clip, small, with what is known."""
        pictures = "".join(
            f'<figure style="margin:0"><img src="{thumbnail(clip.frames[0])}" alt="{escape(clip.in_words)}">'
            f"<figcaption>{escape(clip.in_words)}</figcaption></figure>"
            for clip in self.clips
        )
        notices = "".join(f"<li>{escape(notice.text)}</li>" for notice in self.all_notices)
        return (
            f'<div class="mcsdr-study"><p><strong>{escape(self.in_words)}</strong></p>'
            f'<div style="display:flex;flex-wrap:wrap;gap:1em;font-size:.85em">{pictures}</div>'
            f'{f"<ul>{notices}</ul>" if notices else ""}<p style="font-size:.8em;opacity:.8">{DISCLAIMER}</p></div>'
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data without the pictures themselves."""
        known = self.known_posterior
        return {
            "study_id": self.study_id,
            "patient_id": self.patient_id,
            "clips": [clip.to_dict() for clip in self.clips],
            "attributes": self.attributes.known(),
            "ef_percent": self.ef_percent,
            "true_ef_percent": self.true_ef_percent,
            "known_posterior": None if known is None else asdict(known),
            "split": self.split,
            "notices": [asdict(notice) for notice in self.notices],
        }

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
