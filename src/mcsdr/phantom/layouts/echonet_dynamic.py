"""EchoNet-Dynamic's folder: one A4C clip for each adult.

    OUT/FileList.csv         FileName, EF, ESV, EDV, FrameHeight, FrameWidth, FPS, NumberOfFrames, Split
    OUT/VolumeTracings.csv   FileName, X1, Y1, X2, Y2, Frame
    OUT/Videos/0X….avi       MJPG, 112 × 112
    OUT/Attributes.csv       FileName, Age, Sex, Weight, Height, TrueEF, HeartRate; not part of the original

EF is the reader's report and TrueEF the truth; EDV is true and ESV follows from EF, as it would in a report. FileName
carries .avi in the tracings and not in the list. Of each clip the ED and the ES frame are traced, by the reader of the
report (`tracings`): first the long axis, then 20 chords, so that the polygon is x1[1:] and the reverse of x2[1:].

ED, the larger frame, is listed first, as in the rows of the published table that are seen in public. The publishers'
own loader takes the *last* frame of a clip for the large one, and so reads ES for ED from either table; areas tell,
the order does not, and the quirk "tracings-out-of-order" turns it round.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcsdr.files import write_table
from mcsdr.phantom import truth
from mcsdr.phantom.cohort import Person, draw_person
from mcsdr.phantom.layouts import folder
from mcsdr.phantom.layouts.chance import digest
from mcsdr.phantom.layouts.quirks import planted
from mcsdr.phantom.layouts.tracings import as_read, chords
from mcsdr.phantom.layouts.video import frame_times, key_frames, write_avi
from mcsdr.study import View

LAYOUT = "echonet-dynamic"
FILE_LIST = ("FileName", "EF", "ESV", "EDV", "FrameHeight", "FrameWidth", "FPS", "NumberOfFrames", "Split")
TRACINGS = ("FileName", "X1", "Y1", "X2", "Y2", "Frame")
ATTRIBUTES = ("FileName", "Age", "Sex", "Weight", "Height", "TrueEF", "HeartRate")
SPLITS = ("TRAIN",) * 6 + ("VAL", "TEST")


def write_echonet_dynamic(
    out: Path,
    n: int,
    seed: int,
    seconds: float = 2.0,
    advance: folder.Advance = folder.silent,
    *,
    quirks: bool = False,
) -> None:
    """Write `n` phantoms of cohort `seed`; of each eight, six train, one validates, one tests.

    Arguments:
        out: the folder, made if need be.
        seconds: length of each clip.
        advance: called with the number of phantoms done.
        quirks: plant those of `quirks.QUIRKS`.

    Raises:
        InvalidCohort: the folder already holds a data set.
        InvalidConfig: a number is out of its range.
    """
    folder.check_seconds(seconds)
    folder.begin(out, LAYOUT, n, seed, quirks)
    listed, traced, attributes, truths = [], [], [], []
    for index in range(n):
        person, name = draw_person(seed, index), file_name(seed, index)
        odd = planted(LAYOUT, seed, name, quirks)
        fps = round(person.parameters["frame_rate_hz"])
        times = frame_times(seconds, fps)
        frames = truth.film(person, View.A4C, times)
        write_avi(out / "Videos" / f"{name}.avi", frames, fps)
        listed_name = f"{name}.avi" if "name-with-extension" in odd else name
        shape = (*frames.shape[1:], fps, len(frames))
        listed.append((listed_name, *_report(person, seed), *shape, SPLITS[index % len(SPLITS)]))
        key = key_frames(person, View.A4C, times)
        traced += [(f"{name}.avi", *row) for row in _tracings(person, times, key, odd)]
        attributes.append((name, *_attributes(person)))
        truths.append(folder.truth(person, seed, name, View.A4C, fps, key, odd))
        advance(index + 1)
    folder.write_truth(out, truths)
    write_table(out / "Attributes.csv", ATTRIBUTES, attributes)
    write_table(out / "VolumeTracings.csv", TRACINGS, traced)
    write_table(out / "FileList.csv", FILE_LIST, listed)


def read_contours(person: Person, view: View, instants_s: Sequence[float]) -> list[NDArray[np.float64]]:
    """The apical contours at ED and ES as the person's reader drew them; a single one, of which no EF follows, is true.

    Arguments:
        instants_s: ED and ES, or ED alone, in seconds of the recording.
    """
    traced = [(truth.contour(person, view, t), truth.apex_and_base(person, view, t)) for t in instants_s]
    return list(as_read(traced[0], traced[1], person.reading_percent)) if len(traced) == 2 else [traced[0][0]]


def file_name(seed: int, index: int) -> str:
    """A name such as the data set's own: 0X and up to 16 hexadecimal digits."""
    return f"0X{int(digest('phantom', seed, index)[:16], 16):X}"


def _report(person: Person, seed: int) -> tuple[str, ...]:
    """EF, ESV and EDV with the data set's ten digits."""
    edv, esv = folder.reported_volumes_ml(person, seed)
    return tuple(f"{value:.10g}" for value in (person.reading_percent, esv, edv))


def _attributes(person: Person) -> tuple[object, ...]:
    who, truths = person.attributes, (f"{person.true_ef_percent:.6f}", f"{person.parameters['heart_rate_bpm']:.1f}")
    return (who.age_years, who.sex, who.weight_kg, who.height_cm, *truths)


def _tracings(
    person: Person, times_s: NDArray[np.float64], key: tuple[int, int], odd: frozenset[str]
) -> list[tuple[object, ...]]:
    """Rows X1, Y1, X2, Y2, Frame of one clip."""
    frames = list(dict.fromkeys(key))  # one frame only, where a short clip shows no more of the beat
    contours = read_contours(person, View.A4C, [float(times_s[frame]) for frame in frames])
    drawn = dict(zip(frames, contours, strict=True))
    if "no-traced-frame" in odd:
        frames = []
    elif "one-traced-frame" in odd:
        frames = frames[:1]
    if "tracings-out-of-order" in odd:
        frames.reverse()
    rows: list[tuple[object, ...]] = []
    for frame in frames:
        axis = truth.apex_and_base(person, View.A4C, float(times_s[frame]))
        lines = chords(drawn[frame], axis)
        rows += [(*(f"{value:.8f}" for value in line), frame) for line in lines]
    return rows
