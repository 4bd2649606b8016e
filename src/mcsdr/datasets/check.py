"""Reading every row and clip of a data set, to say what is wrong with each before anything is learnt from it.

    row   --its values-->                     findings
    clip  --decoded, hashed--> ClipFacts -->  findings: by itself, against the table, against the other clips

A finding is "bad" or in "doubt", as a fault is. What stands in two splits, be it a patient or the very same clip, is
*leakage*, listed like all else and then a hard stop (`Findings.refuse_leakage`).
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import astuple, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

import mcsdr
from mcsdr.datasets.clip_facts import ClipFacts, Journal, key_of, look_for, read_facts
from mcsdr.datasets.entries import ClipEntry, Entry, Fault, FolderCohort, patients_in_two_splits, row_faults
from mcsdr.datasets.published import Figures, Published, measured, published
from mcsdr.datasets.table import beside
from mcsdr.errors import MissingFile, PatientInTwoSplits, RefusedClip, UnsupportedFormat
from mcsdr.files import write_atomically, write_table
from mcsdr.io.formats import suffixes_of

LEAKAGE = ("patient-in-two-splits", "same-clip-in-two-splits")
NOT_A_LOOP = (UnsupportedFormat.code, *(kind.code for kind in RefusedClip.__subclasses__()))
NAMED = 3  # examples in a summary

Advance = Callable[[int, int], None]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: where in which table, of which study and clip, and what."""

    row: str
    study_id: str
    clip: str
    code: str
    severity: str
    text: str


@dataclass(frozen=True)
class Findings:
    """What a check found.

    Attributes:
        rows: the findings in the table's order.
        statistics: the cohort's figures, by the names of `published.FORMS`.
        published: the figures to hold them against, None for a data set that has none.
        leaking: patients in two splits, and which.
        about: data set, folder, whether synthetic, what was read.
    """

    rows: tuple[Finding, ...]
    statistics: Figures
    published: Published | None
    leaking: Mapping[str, set[str]]
    about: Mapping[str, Any]

    @property
    def bad(self) -> tuple[Finding, ...]:
        """The findings that forbid the use of a row."""
        return tuple(finding for finding in self.rows if finding.severity == "bad")

    @property
    def counts(self) -> dict[str, int]:
        """How many findings of each code, the most frequent first."""
        return dict(Counter(finding.code for finding in self.rows).most_common())

    def refuse_leakage(self) -> None:
        """Raise PatientInTwoSplits if a patient, or the same clip, stands in two splits."""
        leaks = [finding for finding in self.rows if finding.code in LEAKAGE]
        if leaks:
            named = "; ".join(f"{finding.study_id}: {finding.text}" for finding in leaks[:NAMED])
            more = f"; and {len(leaks) - NAMED} more findings" if len(leaks) > NAMED else ""
            raise PatientInTwoSplits(f"what is tested on would be learnt from: {named}{more}.", path=self.about["root"])

    def write(self, folder: Path) -> None:
        """findings.csv and check.json.

        Raises:
            UnwritableFile: no room or no permission.
        """
        write_table(folder / "findings.csv", (field.name for field in fields(Finding)), map(astuple, self.rows))
        document = {
            **self.about,
            "findings": len(self.rows),
            "bad": len(self.bad),
            "counts": self.counts,
            "patients_in_two_splits": {patient: sorted(splits) for patient, splits in sorted(self.leaking.items())},
            "statistics": self.statistics,
            "published": self.published and {"source": self.published.source, "figures": self.published.figures},
            "version": mcsdr.__version__,
            "disclaimer": "Research use only; not for diagnosis.",
        }
        write_atomically(folder / "check.json", json.dumps(document, indent=2, ensure_ascii=False).encode())


def check_cohort(
    cohort: FolderCohort,
    *,
    journal: Path | None = None,
    workers: int = 1,
    clips: bool = True,
    advance: Advance = lambda done, total: None,
) -> Findings:
    """Read every row and clip of a cohort, and say what is wrong.

    Arguments:
        cohort: opened with all its splits, `entries.leakage_left_to_the_caller` in force.
        journal: what was read is kept in this file, and not read again.
        workers: clips decoded at once.
        clips: False looks only whether each clip is there.
        advance: called with the clips done and the clips there are.

    Raises:
        UnwritableFile: the journal cannot be written.
    """
    once: dict[str, ClipEntry] = {}
    for clip in (clip for entry in cohort.entries for clip in entry.clips):
        once.setdefault(str(clip.path), clip)
    with Journal(journal if clips else None) as kept:
        facts = _read_all(read_facts if clips else look_for, cohort, once, kept, max(1, workers), advance)
    leaking = patients_in_two_splits(cohort.entries)
    about = published(cohort.kind, cohort.entries)
    left_out = _left_out(cohort, facts)
    found = list(_of_rows(cohort.entries, facts, leaking, left_out, about))
    found += _of_same_bytes(cohort.entries, facts)
    found.sort(key=lambda item: item[:2])
    sound = [entry for entry in cohort.entries if not any(fault.severity == "bad" for fault in _of_table(entry))]
    in_files = {name: (f.frames, f.frame_rate_hz) for name, f in facts.items() if f.frames and f.frame_rate_hz}
    return Findings(
        rows=(*_of_all(facts, cohort.root), *(finding for _, _, finding in found), *_of_folder(cohort.entries)),
        statistics=measured(cohort.entries, sound, in_files),
        published=about,
        leaking=leaking,
        about={
            "kind": cohort.kind,
            "root": str(cohort.root),
            "synthetic": beside(cohort.root, "SYNTHETIC.txt") is not None,
            "studies": len(cohort.entries),
            "clips": len(facts),
            "clips_decoded": clips,
            "studies_without_ef_left_out": getattr(cohort, "unlabelled", 0),
            "clips_left_out": dict(Counter(left_out.values())),
        },
    )


def _read_all(
    reader: Callable[[FolderCohort, ClipEntry], ClipFacts],
    cohort: FolderCohort,
    clips: Mapping[str, ClipEntry],
    journal: Journal,
    workers: int,
    advance: Advance,
) -> dict[str, ClipFacts]:
    """The facts of every clip by its path, from the journal where it has them."""
    keys = {name: key_of(clip) for name, clip in clips.items()}
    facts = {name: journal.known[key] for name, key in keys.items() if key in journal.known}
    advance(len(facts), len(clips))
    waiting = iter([name for name in clips if name not in facts])
    running: dict[Future[ClipFacts], str] = {}
    pool = ThreadPoolExecutor(workers)  # decoders let go of the interpreter while they work
    try:
        while True:
            for name in islice(waiting, 2 * workers - len(running)):
                running[pool.submit(reader, cohort, clips[name])] = name
            if not running:
                return facts
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(done)
                facts[name] = done.result()
                key = keys[name]
                if key is not None and facts[name].sha256 is not None:
                    journal.add(key, facts[name])
                advance(len(facts), len(clips))
    finally:
        pool.shutdown(cancel_futures=True)


Found = tuple[int, int, Finding]  # place of the row, place of the clip in it, what is wrong


def _left_out(cohort: FolderCohort, facts: Mapping[str, ClipFacts]) -> dict[str, str]:
    """Clips that a cohort of whole examinations passes over, and why: stills, Doppler and the like."""
    if type(cohort).read_clips is FolderCohort.read_clips:
        return {}
    codes = {name: fault.code for name, known in facts.items() for fault in known.faults}
    return {name: code for name, code in codes.items() if code in NOT_A_LOOP}


def _of_rows(
    entries: Sequence[Entry],
    facts: Mapping[str, ClipFacts],
    leaking: Mapping[str, set[str]],
    left_out: Mapping[str, str],
    about: Published | None,
) -> Iterator[Found]:
    """What is wrong with each row and its clips by themselves, and patients in two splits."""
    for at, entry in enumerate(entries):
        for fault in _of_table(entry):
            yield _found(at, entry, None, fault)
        if entry.split is not None and entry.patient_id in leaking:
            splits = " and ".join(sorted(leaking[entry.patient_id]))
            text = f"patient {entry.patient_id} stands in {splits}; this study in {entry.split}"
            yield _found(at, entry, None, Fault("patient-in-two-splits", text))
        kept = [(place, clip) for place, clip in enumerate(entry.clips) if str(clip.path) not in left_out]
        if entry.clips and not kept:
            text = f"none of its {len(entry.clips)} files is a grey-scale loop"
            yield _found(at, entry, None, Fault("no-clip", text))
        for place, clip in kept:
            for fault in _of_clip(clip, facts[str(clip.path)], about):
                yield _found(at, entry, place, fault)


def _of_table(entry: Entry) -> tuple[Fault, ...]:
    return (*entry.faults, *row_faults(entry))


def _of_clip(clip: ClipEntry, facts: ClipFacts, about: Published | None) -> Iterator[Fault]:
    """What is wrong with a clip's file, by itself and against the table."""
    yield from facts.faults
    if facts.frames is None:
        return
    cut = any(fault.code == "frames-missing" for fault in facts.faults)
    if clip.frames is not None and clip.frames != facts.frames and not cut:
        text = f"the table says {clip.frames} frames, the file holds {facts.frames}"
        yield Fault("frame-count-disagrees", text, "doubt")
    for name, frame in (("ED", clip.ed_frame), ("ES", clip.es_frame)):
        if frame is not None and not 0 <= frame < facts.frames:
            text = f"{name} is marked at frame {frame + 1} of {facts.frames}"
            yield Fault("marked-frame-outside", text, "doubt")
    if about and about.picture and about.picture != (facts.height, facts.width):
        height, width = about.picture
        text = f"the picture is {facts.width} x {facts.height} pixels, in this data set all are {width} x {height}"
        yield Fault("picture-size", text, "doubt")


def _of_same_bytes(entries: Sequence[Entry], facts: Mapping[str, ClipFacts]) -> Iterator[Found]:
    """Files of different names but the same bytes, and any clip that stands in two splits.

    The first of several is only named by the others, unless they stand in two splits.
    """
    same: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for at, entry in enumerate(entries):
        for place, clip in enumerate(entry.clips):
            name = str(clip.path)
            same[facts[name].sha256 or name].append((at, place))
    for copies in same.values():
        splits = sorted({split for at, _ in copies if (split := entries[at].split) is not None})
        first_at, first_place = copies[0]
        first = entries[first_at].clips[first_place]
        for at, place in copies if len(splits) > 1 else copies[1:]:
            entry = entries[at]
            if len(splits) > 1:
                names = {entries[i].clips[j].name for i, j in copies if (i, j) != (at, place)}
                text = f"the same clip stands in {' and '.join(splits)}; also as {_some(sorted(names))}"
                yield _found(at, entry, place, Fault("same-clip-in-two-splits", text))
            elif entry.clips[place].path != first.path:  # one file named twice is a duplicate row
                text = f"byte for byte the same file as {first.name}"
                yield _found(at, entry, place, Fault("same-bytes", text, "doubt"))


def _of_all(facts: Mapping[str, ClipFacts], root: Path) -> Iterator[Finding]:
    """That not one of the clips is there, in one sentence: the folder is not where the table was made."""
    gone = sorted(name for name, fact in facts.items() if any(f.code == MissingFile.code for f in fact.faults))
    if len(gone) < 2 or len(gone) < len(facts):
        return
    wanted = Path(gone[0])
    held = Counter(file.suffix.lower() or "no suffix" for file in root.iterdir()) if root.is_dir() else Counter[str]()
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in held.most_common(NAMED)) or "nothing"
    folder = "" if wanted.parent.is_dir() else ", and there is no such folder"
    text = f"not one of the {len(gone)} files that the table names is there, {wanted.name} say, which should lie in "
    text += f"{wanted.parent.name}/{folder}; {root.name}/ holds {kinds}"
    yield Finding("", "", "", "no-file-found", "bad", text)


def _of_folder(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Clips that lie beside those of the table but that no row names, in one finding."""
    named = {clip.path for entry in entries for clip in entry.clips}
    suffixes = {path.suffix.lower() for path in named}.intersection(suffixes_of("video", "dicom"))
    folders = sorted({path.parent for path in named if path.suffix.lower() in suffixes})
    beside = (file for folder in folders if folder.is_dir() for file in folder.iterdir())
    extra = sorted(
        file.name.encode(errors="replace").decode()  # a file system may hold what no text does
        for file in beside
        if file not in named and file.suffix.lower() in suffixes and not file.name.startswith(".")
    )
    if extra:
        text = f"{len(extra)} beside the clips that no row names: {_some(extra)}"
        yield Finding("", "", "", "files-not-in-table", "doubt", text)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _found(at: int, entry: Entry, place: int | None, fault: Fault) -> Found:
    clip = "" if place is None else entry.clips[place].name
    finding = Finding(entry.row, entry.study_id, clip, fault.code, fault.severity, fault.text)
    return at, -1 if place is None else place, finding
