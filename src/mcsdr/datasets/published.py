"""A cohort's figures beside the published ones: how many, how they are split, EF, volumes, frames, age, sex, quality.

A figure is a name and one to three numbers; `FORMS` says how each is written. `measured` takes them from entries,
`PUBLISHED` holds what papers and release notes say of the untouched data set. A folder that is far from its published
figures is not the data set it is taken for, or not all of it.

Means and SDs (divided by n) of EF, volumes and age are over studies, of frames and quality over clips.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mcsdr.datasets.entries import SPLITS, ClipEntry, Entry
from mcsdr.study import QUALITIES, View

Figures = Mapping[str, tuple[float, ...]]

COUNT, SPLIT = "{:,.0f}", "{:,.0f} / {:,.0f} / {:,.0f}"
MEAN, RANGE = "{:.1f} ({:.1f})", "{:.0f} to {:.0f}"
FORMS = {
    "studies": COUNT,
    "clips": COUNT,
    "patients": COUNT,
    "studies in train / val / test": SPLIT,
    "clips in train / val / test": SPLIT,
    "patients in train / val / test": SPLIT,
    "EF, mean (SD), %": MEAN,
    "EF, range, %": RANGE,
    "EF <40 / 40–54 / ≥55, % of studies": SPLIT,
    "EF ≤45 / ≥55, % of studies": "{:.0f} / {:.0f}",
    "ESV, mean (SD), mL": MEAN,
    "EDV, mean (SD), mL": MEAN,
    "frames per second, mean (SD)": MEAN,
    "frames, mean (SD)": "{:.0f} ({:.0f})",
    "frames, range": RANGE,
    "age, mean (SD), years": MEAN,
    "age, range, years": RANGE,
    "female, % of known": "{:.0f}",
    "quality good / medium / poor, % of clips": SPLIT,
}


@dataclass(frozen=True)
class Published:
    """What is published of a data set.

    Arguments:
        source: where the figures stand, in words.
        figures: by the names of `FORMS`; those that nobody has published are absent.
        picture: height and width of every clip in pixels, where all are of one size.
    """

    source: str
    figures: Figures
    picture: tuple[int, int] | None = None


PEDIATRIC = (
    "Reddy et al. 2023, and the release's own tables; folds 0–7 train, 8 validate, 9 test. EF, age and sex as a "
    "third party gives them."
)
PUBLISHED: dict[tuple[str, View | None], Published] = {
    ("echonet-dynamic", None): Published(
        "Ouyang et al. 2020 and the release's FileList.csv; age and sex as in the paper, not released per video.",
        {
            "studies": (10030,),
            "clips": (10030,),
            "patients": (10030,),
            **{f"{what} in train / val / test": (7465, 1288, 1277) for what in ("studies", "clips", "patients")},
            "EF, mean (SD), %": (55.7, 12.5),
            "ESV, mean (SD), mL": (43.3, 34.5),
            "EDV, mean (SD), mL": (91.0, 45.7),
            "frames per second, mean (SD)": (50.9, 6.8),
            "frames, mean (SD)": (175, 57),
            "frames, range": (24, 1002),
            "age, mean (SD), years": (68, 21),
            "female, % of known": (48,),
        },
        (112, 112),
    ),
    ("echonet-pediatric", View.A4C): Published(
        PEDIATRIC,
        {
            "clips": (3284,),
            "clips in train / val / test": (2580, 336, 368),
            "EF, mean (SD), %": (60.9, 10.5),
            "EF <40 / 40–54 / ≥55, % of studies": (6, 9, 85),
            "age, range, years": (0, 18),
            "female, % of known": (43,),
        },
        (112, 112),
    ),
    ("echonet-pediatric", View.PSAX): Published(
        PEDIATRIC,
        {"clips": (4526,), "clips in train / val / test": (3559, 448, 519), "age, range, years": (0, 18)},
        (112, 112),
    ),
    ("echonet-pediatric", None): Published(
        PEDIATRIC,
        {"clips": (7810,), "clips in train / val / test": (6139, 784, 887), "age, range, years": (0, 18)},
        (112, 112),
    ),
    ("camus", None): Published(
        "Leclerc et al. 2019 and the release's cfg files and subgroup lists.",
        {
            "patients": (500,),
            "patients in train / val / test": (400, 50, 50),
            "EF, mean (SD), %": (44.4, 11.8),
            "EF, range, %": (5, 81),
            "EF ≤45 / ≥55, % of studies": (49, 20),
            "quality good / medium / poor, % of clips": (35, 46, 19),
        },
    ),
}


def published(kind: str, entries: Iterable[Entry]) -> Published | None:
    """What is published of a data set; where the views differ, of the one view that the entries hold."""
    views = {clip.view for entry in entries for clip in entry.clips}
    view = views.pop() if len(views) == 1 else None
    return PUBLISHED.get((kind, view)) or PUBLISHED.get((kind, None))


def measured(entries: Sequence[Entry], sound: Sequence[Entry], read: Mapping[str, tuple[int, float]]) -> Figures:
    """The same figures of a cohort.

    Arguments:
        entries: all rows, for the counts.
        sound: the rows whose values can be trusted, for the rest.
        read: frames and frames per second by a clip's path, for clips of which the table says neither.

    Returns:
        by the names of `FORMS`, in their order; those that nothing is known of are absent.
    """
    figures: dict[str, tuple[float, ...]] = {}
    for what, of in (("studies", _studies), ("clips", _clips), ("patients", _patients)):
        figures[what] = (of(entries),)
        split = [[entry for entry in entries if entry.split == name] for name in SPLITS]
        if any(split):
            figures[f"{what} in train / val / test"] = tuple(of(part) for part in split)
    clips = [clip for entry in sound for clip in entry.clips]
    figures |= _of_ef([entry.ef_percent for entry in sound if entry.ef_percent is not None])
    figures |= _spread("ESV", "mL", [entry.esv_ml for entry in sound])
    figures |= _spread("EDV", "mL", [entry.edv_ml for entry in sound])
    figures |= _of_frames(clips, read)
    figures |= _spread("age", "years", [_number(entry.attributes.get("age_years")) for entry in sound])
    figures |= _share("female, % of known", ("F",), [entry.attributes.get("sex") for entry in sound])
    figures |= _share("quality good / medium / poor, % of clips", QUALITIES, [clip.quality for clip in clips])
    return {name: figures[name] for name in FORMS if name in figures}


def written(name: str, figures: Figures) -> str:
    """A figure as a table shows it; a dash where it is not known."""
    return FORMS[name].format(*figures[name]) if name in figures else "–"


def _studies(entries: Sequence[Entry]) -> float:
    return len(entries)


def _clips(entries: Sequence[Entry]) -> float:
    return sum(len(entry.clips) for entry in entries)


def _patients(entries: Sequence[Entry]) -> float:
    return len({entry.patient_id or entry.study_id for entry in entries})


def _of_ef(ef: list[float]) -> Figures:
    if not ef:
        return {}
    y = np.array(ef)
    bands = (y < 40, (y >= 40) & (y < 55), y >= 55)
    return {
        **_spread("EF", "%", ef),
        "EF <40 / 40–54 / ≥55, % of studies": tuple(100 * float(band.mean()) for band in bands),
        "EF ≤45 / ≥55, % of studies": (100 * float((y <= 45).mean()), 100 * float((y >= 55).mean())),
    }


def _of_frames(clips: Iterable[ClipEntry], read: Mapping[str, tuple[int, float]]) -> Figures:
    """The table's word goes before the file's: what is published was taken from tables."""
    frames, rates = [], []
    for clip in clips:
        in_file = read.get(str(clip.path), (None, None))
        frames.append(in_file[0] if clip.frames is None else clip.frames)
        rates.append(in_file[1] if clip.frame_rate_hz is None else clip.frame_rate_hz)
    return {**_spread("frames", "", frames), **_spread("frames per second", "", rates)}


def _spread(what: str, unit: str, values: Iterable[float | None]) -> Figures:
    """Mean with SD, and range, of the values that are known and finite."""
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return {}
    end = f", {unit}" if unit else ""
    return {
        f"{what}, mean (SD){end}": (float(known.mean()), float(known.std())),
        f"{what}, range{end}": (float(known.min()), float(known.max())),
    }


def _share(name: str, groups: tuple[str, ...], values: Iterable[object]) -> Figures:
    counts = Counter(value for value in values if value is not None)
    total = sum(counts.values())
    return {name: tuple(100 * counts[group] / total for group in groups)} if total else {}


def _number(value: float | str | None) -> float | None:
    return value if isinstance(value, int | float) else None
