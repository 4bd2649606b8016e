"""EchoNet-Pediatric's folder: A4C and PSAX clips of children, several to a study, at times two studies to a child.

    OUT/pediatric_echo_avi/pediatric_echo_avi/{A4C,PSAX}/
        FileList.csv           FileName, EF, Sex, Age, Weight, Height, Split
        VolumeTracings.csv     FileName, X, Y, Frame
        Videos/CR…-CR…-….avi   MJPG, 112 × 112

FileName is patient-accession-instance with .avi, and Split a fold from 0 to 9 that belongs to the patient. EF is the
reader's report, one per study. Every file says 50 frames per second, as the published ones do; the phantoms are
filmed at 48 to 52, so the motion is nearly right unless the quirk "wrong-frame-rate" is asked for. The true rate
stands in OUT/Truth.csv.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcsdr.files import write_table
from mcsdr.phantom import people, ranges, truth
from mcsdr.phantom.cohort import Person, draw_person
from mcsdr.phantom.layouts import folder
from mcsdr.phantom.layouts.chance import digest, generator
from mcsdr.phantom.layouts.echonet_dynamic import read_contours
from mcsdr.phantom.layouts.quirks import planted
from mcsdr.phantom.layouts.tracings import polygon
from mcsdr.phantom.layouts.video import frame_times, key_frames, write_avi
from mcsdr.study import View

LAYOUT = "echonet-pediatric"
ROOT = Path("pediatric_echo_avi") / "pediatric_echo_avi"
FILE_LIST = ("FileName", "EF", "Sex", "Age", "Weight", "Height", "Split")
TRACINGS = ("FileName", "X", "Y", "Frame")
FOLDS = 10
FILE_RATE_HZ = 50
TRUE_RATE_HZ = (48.0, 52.0)
WRONG_RATES_HZ = (25.0, 30.0, 66.0)
SECOND_STUDY = 0.15  # shares of the patients, of the studies, and of the studies with an A4C clip
ONE_VIEW = {View.A4C: 0.12, View.PSAX: 0.20}
SECOND_A4C = 0.20
OF_THE_STUDY = frozenset({"blank-attributes", "nan-attributes", "unknown-sex"})


@dataclass(frozen=True)
class _Exam:
    """One clip to be written: whom it shows and how it was recorded."""

    name: str
    view: View
    person: Person
    frame_rate_hz: float
    quirks: frozenset[str]


def write_echonet_pediatric(
    out: Path,
    n: int,
    seed: int,
    seconds: float = 2.0,
    advance: folder.Advance = folder.silent,
    *,
    quirks: bool = False,
) -> None:
    """Write `n` children of cohort `seed`, patient i in fold i mod 10.

    Arguments:
        out: the folder, made if need be.
        seconds: length of each clip.
        advance: called with the number of patients done.
        quirks: plant those of `quirks.QUIRKS`.

    Raises:
        InvalidCohort: the folder already holds a data set.
        InvalidConfig: a number is out of its range.
    """
    folder.check_seconds(seconds)
    folder.begin(out, LAYOUT, n, seed, quirks)
    listed: dict[View, list[folder.Row]] = {View.A4C: [], View.PSAX: []}
    traced: dict[View, list[folder.Row]] = {View.A4C: [], View.PSAX: []}
    truths = []
    for index in range(n):
        for exam in _exams(seed, index, quirks):
            key, rows = _write_clip(out / ROOT / exam.view / "Videos" / exam.name, exam, seconds)
            listed[exam.view].append((exam.name, *_report(exam), index % FOLDS))
            traced[exam.view] += rows
            rate = exam.frame_rate_hz
            truths.append(folder.truth(exam.person, seed, exam.name, exam.view, rate, key, exam.quirks))
        advance(index + 1)
    folder.write_truth(out, truths)
    for view in listed:
        write_table(out / ROOT / view / "VolumeTracings.csv", TRACINGS, traced[view])
        write_table(out / ROOT / view / "FileList.csv", FILE_LIST, listed[view])


def _exams(seed: int, index: int, quirks: bool) -> Iterator[_Exam]:
    """The clips of one patient, study after study."""
    rng = generator(LAYOUT, seed, index)
    person = draw_person(seed, index, "child")
    patient = f"CR{digest(LAYOUT, 'patient', seed, index)[:7]}"
    studies = [person]
    if rng.random() < SECOND_STUDY:
        reading = people.draw_reading(person.true_ef_percent, rng)
        studies.append(replace(_recorded_again(person, rng), reading_percent=reading))
    for number, study in enumerate(studies):
        accession = f"CR{digest(LAYOUT, 'accession', seed, index, number)[:7]}"
        of_study = planted(LAYOUT, seed, accession, quirks) & OF_THE_STUDY
        clips = _clips(study, rng)
        instances = np.sort(rng.choice(np.arange(1, 100), len(clips), replace=False))
        for instance, (view, shown) in zip(instances, clips, strict=True):
            name = f"{patient}-{accession}-{instance:06d}.avi"
            odd = of_study | (planted(LAYOUT, seed, name, quirks) - OF_THE_STUDY)
            wrong = "wrong-frame-rate" in odd
            rate = float(rng.choice(WRONG_RATES_HZ)) if wrong else float(rng.uniform(*TRUE_RATE_HZ))
            yield _Exam(name, view, shown, rate, odd)


def _clips(study: Person, rng: np.random.Generator) -> list[tuple[View, Person]]:
    """Which views a study has, and a second A4C clip at times."""
    u, second = rng.random(2)
    if u < ONE_VIEW[View.PSAX]:
        return [(View.PSAX, study)]
    clips = [(View.A4C, study)]
    if second < SECOND_A4C:
        clips.append((View.A4C, _recorded_again(study, rng)))
    if u < 1 - ONE_VIEW[View.A4C]:
        clips.append((View.PSAX, study))
    return clips


def _recorded_again(person: Person, rng: np.random.Generator) -> Person:
    """The same heart with the probe put on anew."""
    pictures = {
        view: replace(picture, parameters=ranges.draw_picture(rng, view)) for view, picture in person.pictures.items()
    }
    return replace(person, parameters=person.parameters | ranges.draw_picture(rng, View.A4C), pictures=pictures)


def _report(exam: _Exam) -> folder.Row:
    """EF, Sex, Age, Weight and Height as the table has them."""
    who = exam.person.attributes
    age, weight, height = f"{who.age_years or 0:.0f}", f"{who.weight_kg}", f"{who.height_cm}"
    if "nan-attributes" in exam.quirks:
        weight = height = "nan"
    if "blank-attributes" in exam.quirks:
        age = weight = height = ""
    sex = "U" if "unknown-sex" in exam.quirks else who.sex
    return (f"{exam.person.reading_percent:.10g}", sex, age, weight, height)


def _write_clip(path: Path, exam: _Exam, seconds: float) -> tuple[tuple[int, int], list[folder.Row]]:
    """Write the video; give back its ED and ES frame and its tracings."""
    times = frame_times(seconds, exam.frame_rate_hz)
    write_avi(path, truth.film(exam.person, exam.view, times), FILE_RATE_HZ)
    ed, es = key_frames(exam.person, exam.view, times)
    drawn = _drawn(exam, float(times[ed]), float(times[es]))
    rows: list[folder.Row] = []
    if "no-diastolic" in exam.quirks:
        rows.append((exam.name, "", "", "No Diastolic"))
    else:
        rows += _polygon(exam, drawn[0], ed)
    if "no-systolic" in exam.quirks:
        rows.append((exam.name, "", "", "No Systolic"))
    elif es != ed:
        rows += _polygon(exam, drawn[1], es + len(times) * ("frame-past-end" in exam.quirks))
    return (ed, es), rows


def _drawn(exam: _Exam, ed_s: float, es_s: float) -> list[NDArray[np.float64]]:
    """The contours of ED and ES: apical ones as the reader drew them, of a short axis, which gives no EF, the true."""
    if exam.view == View.A4C and es_s != ed_s:
        return read_contours(exam.person, exam.view, (ed_s, es_s))
    return [truth.contour(exam.person, exam.view, instant) for instant in (ed_s, es_s)]


def _polygon(exam: _Exam, contour: NDArray[np.float64], frame: int) -> list[folder.Row]:
    points = polygon(contour)
    return [(exam.name, f"{x:.4f}", f"{y:.4f}", frame) for x, y in points]
