"""Phantoms held against real pictures: where a real clip's measures fall among those of a cohort of phantoms.

A model that learnt from phantoms alone can be trusted with real clips only where these lie within what it saw. For each
measure of `picture_measures` and `anatomy_measures` the phantoms give a distribution, and a real clip a place in it:

    place = 100 · (share below + ½ · share equal)        inside = 2nd percentile ≤ real value ≤ 98th

Against a table of many real clips' measures the two-sample test says how surely phantoms are told from them
(`two_samples`), and against their mean pictures how alike the two are (`mean_maps`).

Real clips are read from files and are never kept; the contact sheet shows them, so it stays where the user puts it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mcsdr.benchmark import mean_maps, two_samples
from mcsdr.benchmark.measure_table import GROUPS, NAMES, Columns, columns, measure, read_measures
from mcsdr.benchmark.picture_measures import FRAMING, SETTINGS, window
from mcsdr.benchmark.record import Cell, Report, Say, Table, met
from mcsdr.datasets import CohortSpec, fingerprint, open_cohort
from mcsdr.errors import InvalidCohort, MissingFile
from mcsdr.files import write_atomically
from mcsdr.io import read_clip
from mcsdr.study import Clip

Array = NDArray[np.float64]

COHORT = "phantom:200:61"
EXAMPLE = "examples_ybr_color.dcm"  # an apical four-chamber clip that comes with pydicom
LEVELS = (2, 25, 50, 75, 98)  # percentiles of the phantoms that are shown; the first and the last are the bar
TITLES = {"picture": "Real pictures", "anatomy": "Anatomy"}
SHEET_SEED = 5  # of the choice of phantoms to look at


@dataclass(frozen=True)
class Picture:
    """What the encoder sees of one clip, its caption, and its measures by name."""

    caption: str
    frames: NDArray[np.uint8]
    measures: Mapping[str, float]


def run(
    out: Path,
    *,
    say: Say,
    cohort: str = COHORT,
    clips: Sequence[Path] = (),
    real: Path | None = None,
    maps: Path | None = None,
    shown: int = 20,
    first: int | None = None,
) -> Report:
    """Measure a cohort and real clips, and write the contact sheet.

    Arguments:
        out: the folder of "contact-sheet.png", and of "mean-maps.png" where maps are given.
        cohort: as in `CohortSpec.parse`; the first clip of each study is measured.
        clips: files of real clips; the one that comes with pydicom where none is given.
        real: a table of real clips' measures for the two-sample test; only AUCs of it are reported.
        maps: an npz file of real clips' mean pictures.
        shown: phantoms on the contact sheet, chosen at random.
        first: only so many of the cohort.

    Raises:
        InvalidConfig, InvalidCohort, InputError, RefusedClip: the cohort, a clip, the table or maps cannot be read.
    """
    sample = None if real is None else read_measures(real)
    pictured = None if maps is None else mean_maps.read_maps(maps, (SETTINGS.size, SETTINGS.size))
    spec = CohortSpec.parse(cohort)
    studies = open_cohort(spec)
    files = list(clips) or [example()]
    shots = [_picture(f"real {number}", read_clip(file)) for number, file in enumerate(files, 1)]
    count = min(len(studies), first or len(studies))
    phantoms = _measured(studies, count, say)
    names = {number: "pydicom's " + EXAMPLE for number in [1] if not clips}
    settings: dict[str, Any] = {"cohort": spec.describe(), "studies": count, "fingerprint": fingerprint(spec, studies)}
    settings |= {"clips": settings_of(shots, names), "model input": SETTINGS.model_dump()}
    rng = np.random.default_rng(SHEET_SEED)
    chosen = sorted(rng.choice(count, min(shown, count), replace=False).tolist())
    write_atomically(out / "contact-sheet.png", contact_sheet([*shots, *(phantoms[i] for i in chosen)]))
    whom = spec.describe().replace("synthetic", "SYNTHETIC")
    found = tables(shots, phantoms, whom, names)
    if sample is not None:
        found = [*told_apart(phantoms, sample, whom), *found]
    if pictured is not None:
        found = [compare_maps(phantoms, pictured, out), *found]
    # Real clips are patients', so the report as a whole is not synthetic.
    return Report("realism", found, settings, synthetic=False)


def told_apart(phantoms: Sequence[Picture], real: Columns, cohort: str) -> list[Table]:
    """The two-sample test by all measures that the table has, by each group, and by pictures without their framing.

    Raises:
        InvalidCohort: the table has no measure that is known here, or too few clips.
    """
    mine = columns(picture.measures for picture in phantoms)
    sets = {group: [name for name in measures if name in real] for group, measures in GROUPS.items()}
    every = [name for names in sets.values() for name in names]
    sets["picture, no framing"] = [name for name in sets["picture"] if name not in FRAMING]
    if all(sets.values()) or not every:
        sets["all"] = every
    found = {title: two_samples.separate(mine, real, names) for title, names in sets.items() if names or not every}
    return two_samples.tables(found, cohort)


def compare_maps(phantoms: Sequence[Picture], real: mean_maps.Maps, out: Path) -> Table:
    """Mean pictures of both: how alike they are, and "mean-maps.png"."""
    mine = mean_maps.mean_maps(picture.frames for picture in phantoms)
    write_atomically(out / "mean-maps.png", mean_maps.side_by_side(mine, real))
    return mean_maps.correlations(mine, real)


def example() -> Path:
    """The real clip that pydicom brings along.

    Raises:
        MissingFile: this pydicom has none.
    """
    from pydicom.data import get_testdata_file

    path = get_testdata_file(EXAMPLE, download=False)
    if path is None:
        raise MissingFile(f"pydicom is installed without its {EXAMPLE}.", next_step="Give a real clip with --clip.")
    return Path(str(path))


def settings_of(real: Sequence[Picture], names: Mapping[int, str]) -> list[dict[str, Any]]:
    """What may be said of real clips: never a file's name, which may be a patient's."""
    return [
        {"clip": names.get(number, picture.caption), "frames": len(picture.frames), "measures": _finite(picture)}
        for number, picture in enumerate(real, 1)
    ]


def _finite(picture: Picture) -> dict[str, float | None]:
    return {name: value if np.isfinite(value) else None for name, value in picture.measures.items()}


def _measured(studies: Sequence[Any], count: int, say: Say) -> list[Picture]:
    pictures: list[Picture] = []
    for index in range(count):
        study = studies[index]
        if not study.clips:
            raise InvalidCohort(f"study {study.study_id} has no clip to measure.")
        pictures.append(_picture(study.study_id, study.clips[0]))
        if len(pictures) % 50 == 0 or len(pictures) == count:
            say(f"{len(pictures)} of {count} clips measured")
    return pictures


def _picture(caption: str, clip: Clip) -> Picture:
    return Picture(caption, window(clip), measure(clip))


# --- tables ----------------------------------------------------------------------------------------------------------


def place(value: float, among: Array) -> float:
    """The percentile of a value among others, those equal to it counted half; NaN among none."""
    among = among[np.isfinite(among)]
    if not len(among) or not np.isfinite(value):
        return float("nan")
    return float(100 * ((among < value).mean() + (among == value).mean() / 2))


def is_inside(value: float, among: Array) -> bool | None:
    """Whether a value lies between the outermost of `LEVELS`; None where it, or they, could not be measured."""
    among = among[np.isfinite(among)]
    if not len(among) or not np.isfinite(value):
        return None
    low, high = np.percentile(among, (LEVELS[0], LEVELS[-1]))
    return bool(low <= value <= high)


def tables(
    real: Sequence[Picture], phantoms: Sequence[Picture], cohort: str, names: Mapping[int, str] | None = None
) -> list[Table]:
    """Every measure in a row, a table for each group of them, and how many lie inside."""
    about = [
        f"Among {len(phantoms)} of {cohort}. Place: percentile of the real clip among them. Inside: from "
        f"their {LEVELS[0]}nd to their {LEVELS[-1]}th percentile.",
        *(f"Real {number}: {name}." for number, name in (names or {}).items()),
    ]
    inside = {name: [is_inside(p.measures[name], among(phantoms, name)) for p in real] for name in NAMES}
    places = [
        Table(f"{TITLES[group]} among phantoms", _headings(len(real)), _rows(measures, real, phantoms, inside), about)
        for group, measures in GROUPS.items()
    ]
    return [summary(inside, len(real)), *places, definitions()]


def among(pictures: Sequence[Picture], name: str) -> Array:
    """One measure of each picture."""
    return np.array([picture.measures[name] for picture in pictures])


def _headings(count: int) -> list[str]:
    numbers = range(1, count + 1)
    levels = [f"{q} %" for q in LEVELS]
    return ["measure", *(f"real {n}" for n in numbers), *levels, *(f"place {n}" for n in numbers), "inside"]


def _rows(
    measures: Iterable[str],
    real: Sequence[Picture],
    phantoms: Sequence[Picture],
    inside: Mapping[str, Sequence[bool | None]],
) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for name in measures:
        theirs, values = among(phantoms, name), among(real, name).tolist()
        finite = theirs[np.isfinite(theirs)]
        spread = np.percentile(finite, LEVELS).tolist() if len(finite) else [None] * len(LEVELS)
        places = [f"{place(value, theirs):.0f}" if np.isfinite(value) else "–" for value in values]
        rows.append([name, *values, *spread, *places, _verdict(inside[name])])
    return rows


def _verdict(inside: Sequence[bool | None]) -> str:
    words = {True: "yes", False: "NO", None: "–"}
    return ", ".join(words[one] for one in inside)


def summary(inside: Mapping[str, Sequence[bool | None]], count: int) -> Table:
    """For each real clip, and each group of measures, how many of these lie inside, and which do not."""
    rows: list[list[Cell]] = []
    for group, measures in GROUPS.items():
        for number in range(count):
            judged = [name for name in measures if inside[name][number] is not None]
            outside = [name for name in judged if not inside[name][number]]
            share = f"{len(judged) - len(outside)} of {len(judged)}"
            rows.append([f"real {number + 1}, {group}", share, met(not outside), "; ".join(outside) or "none"])
    return Table("Figures to reach: every measure inside", ("clip", "inside", "target", "outside"), rows)


def definitions() -> Table:
    """What each measure is."""
    notes = ["Of the window that the encoder sees: 112 × 112 pixels at 25 Hz; grey levels 0–255 before standardising."]
    rows = [[name, unit] for measures in GROUPS.values() for name, unit in measures.items()]
    return Table("What is measured", ("measure", "unit"), rows, notes)


# --- pictures --------------------------------------------------------------------------------------------------------


def contact_sheet(pictures: Sequence[Picture], columns: int = 4, enlarged: int = 2) -> bytes:
    """First and middle frame of each clip side by side with its caption, enlarged pixel by pixel, as PNG."""
    tiles = [np.concatenate([p.frames[0], p.frames[len(p.frames) // 2]], axis=1) for p in pictures]
    height, width = (enlarged * side for side in tiles[0].shape)
    strip, gap = 14, 4
    rows = -(-len(tiles) // columns)
    sheet = Image.new("L", (columns * (width + gap), rows * (height + strip + gap)), 64)
    pen = ImageDraw.Draw(sheet)
    for index, (tile, picture) in enumerate(zip(tiles, pictures, strict=True)):
        row, column = divmod(index, columns)
        left, top = column * (width + gap), row * (height + strip + gap)
        pen.text((left + 3, top + 1), f"{picture.caption}: first, middle frame", fill=255)
        sheet.paste(Image.fromarray(tile).resize((width, height), Image.Resampling.NEAREST), (left, top + strip))
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    return buffer.getvalue()
