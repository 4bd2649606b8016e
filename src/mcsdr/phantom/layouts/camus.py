"""CAMUS' folder: 4CH and 2CH half sequences with masks, one patient each, in NIfTI.

    OUT/database_nifti/patient0001/patient0001_{2CH,4CH}_{ED,ES,half_sequence}[_gt].nii.gz
                                  /Info_{2CH,4CH}.cfg
    OUT/database_split/subgroup_{training,validation,testing}.txt            8 : 1 : 1
                      /subGroup{1..10}_{training,validation,testing}.txt     ten folds

A half sequence runs from ED to ES in 18 to 21 frames; ED and ES are its ends, counted from 1 in the cfg. Arrays are
(X, Y) or (X, Y, T), that is pictures transposed, uint8, with about 0.308 mm to the pixel and the affine of a program
that counts patients' left and back as positive, hence its minus signs. Masks are true: 0 background, 1 LV,
2 myocardium, 3 LA. EF is the reader's report, an integer. The published labels follow from a volume rule that reads low
against Stanford's: a true 65, 55, 35, 20 as 58, 49, 29, 16. On request (`labels = "published"`) EF is what that rule
makes of the report; the masks stay true either way, and TrueEF of Truth.csv too.

`HalfSequence` serves the older release too, see `camus_mhd`.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import nibabel
import numpy as np
from numpy.typing import NDArray

from mcsdr.errors import InvalidConfig
from mcsdr.files import write_atomically
from mcsdr.phantom import truth
from mcsdr.phantom.cohort import Person, draw_person
from mcsdr.phantom.layouts import folder
from mcsdr.phantom.layouts.chance import generator
from mcsdr.phantom.layouts.quirks import planted
from mcsdr.phantom.ranges import Range
from mcsdr.study import View

LAYOUT = "camus"
VIEWS = {"2CH": View.A2C, "4CH": View.A4C}
PIXEL_MM = 0.308
FRAMES = (18, 21)
DEEPER = (1.0, 1.1, 1.22)  # how much higher than wide the pictures are
SMALLEST_SCALE = 0.05
FOLDS = 10
Labels = Literal["reader", "published"]
PUBLISHED_RULE = ((0, 20, 35, 55, 65, 100), (0, 16, 29, 49, 58, 89.5))  # a true EF, and what the rule makes of it
SHARES = {"Good": 0.35, "Medium": 0.46, "Poor": 0.19}  # of the published views
# A grade draws these rows of `ranges.RANGES` from a part of their range, so that it can be seen.
GRADES: dict[str, dict[str, Range]] = {
    "Good": {"haze": (0.0, 0.12), "attenuation": (-0.3, 0.6), "lateral_gain": (0.7, 1.1), "shadow1_on": (0.0, 0.5)},
    "Medium": {},
    "Poor": {"haze": (0.22, 0.35), "attenuation": (0.7, 1.6), "lateral_gain": (0.25, 0.5), "shadow1_on": (0.5, 1.0)},
}


@dataclass(frozen=True)
class HalfSequence:
    """One view of one patient as the data set stores it.

    Arguments:
        view: "2CH" or "4CH".
        person: whose heart it is, graded.
        frames, masks: uint8 [T, H, W], from ED to ES, or from ES to ED if the quirk "reversed" is planted.
        pixel_mm: side of a pixel.
        frame_rate_hz: frames per second.
        quality: "Good", "Medium" or "Poor".
        quirks: what is planted.
    """

    view: str
    person: Person
    frames: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    pixel_mm: float
    frame_rate_hz: float
    quality: str
    quirks: frozenset[str]

    @property
    def key_frames(self) -> tuple[int, int]:
        """ED and ES, counted from 0."""
        last = len(self.frames) - 1
        return (last, 0) if "reversed" in self.quirks else (0, last)

    def stills(self) -> dict[str, slice]:
        """Where the ED and the ES picture lie in the sequence."""
        ed, es = self.key_frames
        return {"ED": slice(ed, ed + 1), "ES": slice(es, es + 1)}

    def info(self) -> dict[str, object]:
        """The lines that the cfg files of both releases have."""
        who, (ed, es) = self.person.attributes, self.key_frames
        age = f"{who.age_years or 0:.0f}"
        frames = {"ED": ed + 1, "ES": es + 1, "NbFrame": len(self.frames)}
        return {**frames, "Sex": who.sex, "Age": age, "ImageQuality": self.quality}

    def truth(self, seed: int, name: str) -> folder.Row:
        """Its row of Truth.csv."""
        view, key = VIEWS[self.view], self.key_frames
        return folder.truth(self.person, seed, name, view, self.frame_rate_hz, key, self.quirks)


def write_camus(
    out: Path,
    n: int,
    seed: int,
    advance: folder.Advance = folder.silent,
    *,
    quirks: bool = False,
    scale: float = 1.0,
    labels: Labels = "reader",
) -> None:
    """Write `n` patients of cohort `seed`; the last tenth tests, the tenth before it validates.

    Arguments:
        out: the folder, made if need be.
        advance: called with the number of patients done.
        quirks: plant those of `quirks.QUIRKS`.
        scale: side of the pictures against the published ones; the pixels grow as it shrinks.
        labels: EF as the reader reports it, or as the published volume rule has it.

    Raises:
        InvalidCohort: the folder already holds a data set.
        InvalidConfig: a number is out of its range.
    """
    check_scale(scale)
    folder.begin(out, LAYOUT, n, seed, quirks)
    truths = []
    for index in range(n):
        name = patient_name(index)
        place = out / "database_nifti" / name
        for view in VIEWS:
            sequence = film_half_sequence(LAYOUT, seed, index, view, quirks, scale)
            _write_view(place, name, sequence, label(sequence.person.reading_percent, labels))
            truths.append(sequence.truth(seed, name))
        advance(index + 1)
    folder.write_truth(out, truths)
    for file, names in _splits([patient_name(index) for index in range(n)]).items():
        write_atomically(out / "database_split" / file, "".join(f"{name}\n" for name in names).encode())


def patient_name(index: int) -> str:
    """The folder of the patient with this number from 0."""
    return f"patient{index + 1:04d}"


def check_scale(scale: float) -> None:
    """Raise InvalidConfig unless pictures of this scale can be written."""
    if not SMALLEST_SCALE <= scale <= 1:
        cause = f"scale is {scale:g}; it must lie between {SMALLEST_SCALE:g} and 1."
        raise InvalidConfig(cause, next_step="Choose 1 for the published size.")


def film_half_sequence(layout: str, seed: int, index: int, view: str, quirks: bool, scale: float) -> HalfSequence:
    """One view of patient `index` from ED to ES, with its masks."""
    rng = generator(LAYOUT, seed, index, view)
    odd = planted(layout, seed, f"{index} {view}", quirks)
    grade, count, deeper = _grade(rng.random()), int(rng.integers(FRAMES[0], FRAMES[1] + 1)), float(rng.choice(DEEPER))
    quality = "Poor" if "poor-quality" in odd else grade
    person = _graded(draw_person(seed, index, "camus"), quality, rng)
    ed_s, es_s = truth.key_times(person, VIEWS[view])
    times = np.linspace(ed_s, es_s, count)
    width = round(truth.pixel_mm(person, VIEWS[view], (1, 1)) / PIXEL_MM * scale)
    size = (round(width * deeper), width)
    frames, masks = truth.film(person, VIEWS[view], times, size), truth.labels(person, VIEWS[view], times, size)
    if "reversed" in odd:
        frames, masks = frames[::-1], masks[::-1]
    pixel_mm, rate = truth.pixel_mm(person, VIEWS[view], size), (len(times) - 1) / (es_s - ed_s)
    return HalfSequence(view, person, frames, masks, pixel_mm, rate, quality, odd)


def cfg(info: Mapping[str, object]) -> bytes:
    """Lines `Key: value`."""
    return "".join(f"{key}: {value}\n" for key, value in info.items()).encode()


def _grade(u: float) -> str:
    """Good or Medium, in the published proportion; Poor is a quirk."""
    return "Good" if u < SHARES["Good"] / (SHARES["Good"] + SHARES["Medium"]) else "Medium"


def _graded(person: Person, quality: str, rng: np.random.Generator) -> Person:
    """The same heart in a picture of this grade."""
    rows = {name: float(rng.uniform(*ends)) for name, ends in GRADES[quality].items()}
    pictures = {
        view: replace(picture, parameters=picture.parameters | rows) for view, picture in person.pictures.items()
    }
    return replace(person, parameters=person.parameters | rows, pictures=pictures)


def label(reading_percent: float, labels: Labels) -> float:
    """EF in per cent as a label of this kind; by the published rule lines between PUBLISHED_RULE's points."""
    return float(np.interp(reading_percent, *PUBLISHED_RULE)) if labels == "published" else reading_percent


def _write_view(place: Path, name: str, sequence: HalfSequence, ef_percent: float) -> None:
    stem = f"{name}_{sequence.view}"
    for suffix, film in (("", sequence.frames), ("_gt", sequence.masks)):
        _write_nifti(place / f"{stem}_half_sequence{suffix}.nii.gz", film.transpose(2, 1, 0), sequence)
        for phase, where in sequence.stills().items():
            _write_nifti(place / f"{stem}_{phase}{suffix}.nii.gz", film[where][0].T, sequence)
    more = {"EF": round(ef_percent), "FrameRate": f"{sequence.frame_rate_hz:.1f}"}
    write_atomically(place / f"Info_{sequence.view}.cfg", cfg(sequence.info() | more))


def _write_nifti(path: Path, array: NDArray[np.uint8], sequence: HalfSequence) -> None:
    """An array (X, Y) or (X, Y, T), compressed to the same bytes every time."""
    sign = 1 if "positive-affine" in sequence.quirks else -1
    affine = np.diag([sign * sequence.pixel_mm, sign * sequence.pixel_mm, 1.0, 1.0])
    image = nibabel.Nifti1Image(np.ascontiguousarray(array), affine)  # type: ignore[no-untyped-call]
    image.header["descrip"] = b"SYNTHETIC phantom, no patient"
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    write_atomically(path, gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))


def _splits(names: list[str]) -> dict[str, Iterable[str]]:
    """The lists by their file name."""
    tenth = max(1, round(len(names) / 10)) if len(names) > 2 else 0
    end, start = len(names) - tenth, len(names) - 2 * tenth
    lists: dict[str, Iterable[str]] = {
        "subgroup_training.txt": names[:start],
        "subgroup_validation.txt": names[start:end],
        "subgroup_testing.txt": names[end:],
    }
    for fold in range(FOLDS):
        testing, validation = names[fold::FOLDS], names[(fold + 1) % FOLDS :: FOLDS]
        training = [name for name in names if name not in testing and name not in validation]
        parts = {"training": training, "validation": validation, "testing": testing}
        lists |= {f"subGroup{fold + 1}_{part}.txt": who for part, who in parts.items()}
    return lists
