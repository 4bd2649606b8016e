"""What every written data set has beside its own files, and when a folder must not be written to.

    OUT/SYNTHETIC.txt   says that no patient is in here, and which quirks were planted
    OUT/Truth.csv       one row per clip: what the phantom truly did, for checking readers and models

Both are there whatever the layout, and no part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import mcsdr
from mcsdr.errors import InvalidCohort, InvalidConfig
from mcsdr.files import write_atomically, write_table
from mcsdr.phantom.cohort import Person, PhantomCohort
from mcsdr.phantom.layouts.quirks import QUIRKS
from mcsdr.study import View

Advance = Callable[[int], None]
Row = tuple[object, ...]

SYNTHETIC = """SYNTHETIC DATA. These clips were computed from a geometric phantom of the heart; no patient was examined.
mcsdr {version}, {n} phantoms, seed {seed}, in the layout {layout}. Research use only; not for diagnosis.
Truth.csv holds what is true of each clip; it is no part of the layout.
"""
TRUTH = ("Name", "View", "TrueEF", "TrueEDV", "TrueESV", "HeartRate", "TrueFPS", "EDFrame", "ESFrame", "Quirks")
# Any of these and the folder holds a data set, or what a run that did not finish has left.
MARKS = (
    *("FileList.csv", "Videos", "pediatric_echo_avi", "database_nifti", "database_split"),
    *("training", "testing", "files", "echo-record-list.csv", "Truth.csv"),
)
SECONDS = (0.2, 60.0)


def silent(done: int) -> None:
    """The progress of nobody who wants to know."""


def begin(out: Path, layout: str, n: int, seed: int, quirks: bool) -> None:
    """Refuse an occupied folder, then say in it that what follows is synthetic.

    Raises:
        InvalidCohort: the folder already holds a data set.
        InvalidConfig: nobody to simulate, or a negative seed.
    """
    if n < 1 or seed < 0:
        cause = f"{n} phantoms of seed {seed}: n must be at least 1 and the seed at least 0."
        raise InvalidConfig(cause, next_step="Choose numbers such as 100 and 0.")
    found = [name for name in MARKS if (out / name).exists()]
    if found:
        cause = f"this folder already holds a data set ({', '.join(found)}), whole or begun."
        raise InvalidCohort(cause, path=out, next_step="Choose another folder.")
    text = SYNTHETIC.format(version=mcsdr.__version__, n=n, seed=seed, layout=layout)
    if quirks:
        listed = "".join(f"  {quirk.share:4.0%}  {quirk.name}: {quirk.text}\n" for quirk in QUIRKS[layout])
        text += f"Quirks of the published data set were planted, with these probabilities:\n{listed}"
    write_atomically(out / "SYNTHETIC.txt", text.encode())


def check_seconds(seconds: float) -> None:
    """Raise InvalidConfig unless clips of this length can be written."""
    low, high = SECONDS
    if not low <= seconds <= high:
        cause = f"seconds is {seconds:g}; it must lie between {low:g} and {high:g}."
        raise InvalidConfig(cause, next_step="Choose a length such as 2.")


def truth(
    person: Person,
    seed: int,
    name: str,
    view: View,
    frame_rate_hz: float,
    key_frames: tuple[int, int],
    quirks: Iterable[str],
) -> Row:
    """The row of Truth.csv of one clip; frames count from 0 in the file's own order."""
    volumes = PhantomCohort(1, seed, population=person.population).volumes_ml(person.index)
    values = (person.true_ef_percent, *volumes)
    rhythm = (person.recording(view).parameters["heart_rate_bpm"], frame_rate_hz)
    numbers = (*(f"{value:.6f}" for value in values), *(f"{value:.4f}" for value in rhythm))
    return (name, view, *numbers, *key_frames, " ".join(sorted(quirks)))


def reported_volumes_ml(person: Person, seed: int) -> tuple[float, float]:
    """EDV and ESV as a report has them: the true EDV, and the ESV that goes with the EF that was read."""
    edv, _ = PhantomCohort(1, seed, population=person.population).volumes_ml(person.index)
    return edv, edv * (1 - person.reading_percent / 100)


def write_truth(out: Path, rows: Iterable[Row]) -> None:
    """Truth.csv."""
    write_table(out / "Truth.csv", TRUTH, rows)
