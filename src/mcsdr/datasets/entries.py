"""What a data set's tables say of a study, before any clip is decoded; and what is wrong with it.

A data set is one class over `FolderCohort` that turns its tables into a list of `Entry`, one per study. Everything
else stands here once: reading an entry's clips into a Study, the faults of a row, duplicates, and the hard stop where
one patient stands in two splits.

A *fault* is "bad" when the row must not be learnt from or measured on, and "doubt" when it may but somebody should
look.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from mcsdr import io
from mcsdr.errors import BadRow, InvalidCohort, PatientInTwoSplits
from mcsdr.study import Attributes, Clip, Cohort, Notice, Study, View

SPLITS = ("train", "val", "test")
EF_TOLERANCE = 1.5  # points by which EF may differ from its volumes: tables round to integers

_REFUSE: ContextVar[bool] = ContextVar("refuse", default=True)


@contextmanager
def leakage_left_to_the_caller() -> Iterator[None]:
    """Within it a cohort with a patient in two splits can be opened, so that a check can list all such patients."""
    token = _REFUSE.set(False)
    try:
        yield
    finally:
        _REFUSE.reset(token)


@dataclass(frozen=True)
class Fault:
    """Something wrong with a row: a stable code, a sentence, and how much it matters."""

    code: str
    text: str
    severity: Literal["bad", "doubt"] = "bad"


@dataclass(frozen=True)
class ClipEntry:
    """One clip as the tables name it.

    Arguments:
        name: as the table writes it.
        path: where it should lie.
        view: the window.
        frame_rate_hz, frames: what the table says of the file, None where it says nothing.
        ed_frame, es_frame: marked frames from 0, None where unknown.
        quality: "good", "medium" or "poor", where graded.
    """

    name: str
    path: Path
    view: View = View.UNKNOWN
    frame_rate_hz: float | None = None
    frames: int | None = None
    ed_frame: int | None = None
    es_frame: int | None = None
    quality: str | None = None


@dataclass(frozen=True)
class Entry:
    """One study as the tables describe it.

    Arguments:
        study_id, patient_id: names within the data set.
        split: "train", "val", "test" or None.
        clips: its clips, in the table's order.
        ef_percent, esv_ml, edv_ml, true_ef_percent: None where the table is blank.
        attributes: by the names of `Attributes`, unchecked; unknown ones are absent.
        faults: what was wrong with the text of the row, such as an EF that is no number.
        row: where in its table it stands, for messages, such as "FileList.csv line 17".
    """

    study_id: str
    patient_id: str
    split: str | None = None
    clips: tuple[ClipEntry, ...] = ()
    ef_percent: float | None = None
    esv_ml: float | None = None
    edv_ml: float | None = None
    true_ef_percent: float | None = None
    attributes: Mapping[str, float | str] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    row: str = ""


def _without_a_study(everything: Sequence[Entry], root: Path, split: str | None) -> InvalidCohort:
    """What is wrong where no study is left, and which splits have some."""
    if not everything:
        return InvalidCohort("the folder has no study.", path=root)
    there = sorted({entry.split for entry in everything if entry.split})
    step = f"Ask for a split that it has: {', '.join(there)}." if there else "It has no splits: ask for none."
    return InvalidCohort(f"the folder has no study of split {split!r}.", path=root, next_step=step)


class FolderCohort(Cohort):
    """Studies of a folder, each read from disk when it is asked for.

    A subclass passes its entries on; it overrides `read_clip` where its clips are not ordinary files.

    Attributes:
        kind: the data set's name, as in `CohortSpec`.
        root: its folder.
        entries: one per study, after the choice of split.

    Raises:
        InvalidCohort: no study in this split, or every EF is a fraction.
        PatientInTwoSplits: a patient's studies stand in two splits, whichever of them was asked for.
    """

    kind = "folder"

    def __init__(self, root: str | Path, entries: Iterable[Entry], split: str | None = None) -> None:
        self.root = Path(root)
        everything = with_duplicates(list(entries))
        refuse_fractions(everything, self.root)
        if _REFUSE.get():
            refuse_leakage(everything, self.root)
        self.entries = [entry for entry in everything if split is None or entry.split == split]
        if not self.entries:
            raise _without_a_study(everything, self.root, split)

    def __len__(self) -> int:
        return len(self.entries)

    def study(self, index: int) -> Study:
        """The study of entry `index`; faults as for `read`."""
        return self.read(self.entries[index])

    def read(self, entry: Entry) -> Study:
        """The study of an entry, its clips decoded.

        Raises:
            BadRow: the row has a fault that forbids its use.
            McsdrError: a clip cannot be read.
        """
        bad = [fault for fault in (*entry.faults, *row_faults(entry)) if fault.severity == "bad"]
        if bad:
            raise BadRow("; ".join(fault.text for fault in bad), path=f"{self.root}: {entry.row or entry.study_id}")
        clips, notices = self.read_clips(entry)
        return Study(
            clips=clips,
            attributes=Attributes(**entry.attributes),  # type: ignore[arg-type]
            study_id=entry.study_id,
            patient_id=entry.patient_id,
            ef_percent=entry.ef_percent,
            true_ef_percent=entry.true_ef_percent,
            split=entry.split,
            notices=notices,
        )

    def fingerprint(self) -> str:
        """A hash of the entries and of their files' sizes and times: another hash, another data set."""
        facts = hashlib.sha256(repr(self.entries).encode())
        for path in (clip.path for entry in self.entries for clip in entry.clips):
            status = path.stat() if path.exists() else None
            facts.update(repr(status and (status.st_size, status.st_mtime_ns)).encode())
        return facts.hexdigest()[:16]

    def read_clips(self, entry: Entry) -> tuple[tuple[Clip, ...], tuple[Notice, ...]]:
        """The clips of an entry, and what must be said of those left out; by default none is left out."""
        clips = (replace(self.read_clip(clip), view=clip.view, quality=clip.quality) for clip in entry.clips)
        return tuple(clips), ()

    def read_clip(self, clip: ClipEntry) -> Clip:
        """One clip of an entry."""
        return io.read_clip(clip.path, frame_rate_hz=clip.frame_rate_hz, view=clip.view)


def row_faults(entry: Entry) -> tuple[Fault, ...]:
    """What is wrong with a row by itself: no or impossible EF, volumes, attributes; nothing is decoded."""
    faults = [_ef_fault(entry), *_volume_faults(entry), *_attribute_faults(entry)]
    if not entry.clips:
        faults.append(Fault("no-clip", "the study has no clip"))
    return tuple(fault for fault in faults if fault is not None)


def with_duplicates(entries: list[Entry]) -> list[Entry]:
    """The same entries; those that name a study or clip that an earlier row of the same table named are faulted."""
    seen: dict[str, str] = {}
    marked = []
    for entry in entries:
        names = {entry.study_id, *(str(clip.path) for clip in entry.clips)}
        first = next((seen[name] for name in sorted(names) if name in seen), None)
        if first is not None:
            entry = replace(entry, faults=(*entry.faults, Fault("duplicate", f"it repeats {first}")))
        seen |= {name: entry.row or entry.study_id for name in names if name not in seen}
        marked.append(entry)
    return marked


def patients_in_two_splits(entries: Iterable[Entry]) -> dict[str, set[str]]:
    """Patients whose studies stand in more than one split, and which."""
    splits: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        if entry.split is not None and entry.patient_id:
            splits[entry.patient_id].add(entry.split)
    return {patient: names for patient, names in splits.items() if len(names) > 1}


def refuse_leakage(entries: Iterable[Entry], root: Path) -> None:
    """Raise PatientInTwoSplits if a patient stands in two splits."""
    leaking = patients_in_two_splits(entries)
    if leaking:
        names = ", ".join(f"{p} ({' and '.join(sorted(s))})" for p, s in sorted(leaking.items())[:5])
        more = f" and {len(leaking) - 5} more" if len(leaking) > 5 else ""
        raise PatientInTwoSplits(f"one patient stands in two splits: {names}{more}.", path=root)


def refuse_fractions(entries: Iterable[Entry], root: Path) -> None:
    """Raise InvalidCohort where all EF lie between 0 and 1: 0.55 for 55 %."""
    efs = [entry.ef_percent for entry in entries if entry.ef_percent is not None and math.isfinite(entry.ef_percent)]
    if efs and min(efs) >= 0 and 0 < max(efs) <= 1:
        cause = f"all {len(efs)} EF lie between {min(efs):g} and {max(efs):g}: they are fractions, not per cent."
        raise InvalidCohort(cause, path=root, next_step="Multiply the table's EF by 100, so that 0.55 becomes 55.")


def _ef_fault(entry: Entry) -> Fault | None:
    ef = entry.ef_percent
    if any(fault.code.startswith("ef-") for fault in entry.faults):
        return None  # the text of the table has already been found wanting
    if ef is None:
        return Fault("ef-missing", "EF is blank")
    if not math.isfinite(ef):
        return Fault("ef-not-finite", f"EF is {ef}")
    if not 0 <= ef <= 100:
        return Fault("ef-out-of-range", f"EF is {ef:g} %, outside 0 to 100")
    return None


def _volume_faults(entry: Entry) -> Iterable[Fault]:
    esv, edv, ef = entry.esv_ml, entry.edv_ml, entry.ef_percent
    for name, volume in (("ESV", esv), ("EDV", edv)):
        if volume is not None and not (math.isfinite(volume) and 0 < volume < 1000):
            yield Fault("volume-out-of-range", f"{name} is {volume:g} mL")
            return
    if esv is None or edv is None:
        return
    if esv > edv:
        yield Fault("esv-above-edv", f"ESV {esv:.4g} mL is above EDV {edv:.4g} mL")
    elif ef is not None and math.isfinite(ef) and abs(100 * (edv - esv) / edv - ef) > EF_TOLERANCE:
        text = f"EF is {ef:.4g} %, but its volumes give {100 * (edv - esv) / edv:.4g} %"
        yield Fault("ef-volumes-disagree", text, "doubt")


def _attribute_faults(entry: Entry) -> Iterable[Fault]:
    for name, (low, high) in Attributes.RANGES.items():
        value = entry.attributes.get(name)
        if isinstance(value, int | float) and not (math.isfinite(value) and low <= value <= high):
            yield Fault("implausible-attribute", f"{name} is {value:g}, outside {low:g} to {high:g}")
