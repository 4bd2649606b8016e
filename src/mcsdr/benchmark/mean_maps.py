"""Mean pictures of many clips, phantoms' beside real ones': where it is dark, what moves, and where clips differ.

With x(n, t, q) the grey level of pixel q in frame t of clip n, and the mean and SD over t or n as written,

    mean               mean_n mean_t x
    within_clip_sd     mean_n SD_t x            what moves, or is speckle that changes
    between_clips_sd   SD_n mean_t x            where clips differ

each 112 × 112 with flanks and corners: of phantoms the encoder's window, of real clips what their data set stores. The
real ones are read from an npz file of the user's with these three arrays. Two maps are compared by Pearson's r over the
whole picture, where the shape of the sector counts, and over the real clips' sector alone, where it does not.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mcsdr.benchmark.picture_measures import BLACK
from mcsdr.benchmark.record import Cell, Table, met
from mcsdr.errors import MissingFile, UnreadableFile
from mcsdr.io.fan import sector_shape
from mcsdr.io.patches import main_patch
from mcsdr.metrics.agreement import pearson_r

Array = NDArray[np.float64]
Maps = Mapping[str, Array]

TITLES = {"mean": "mean", "within_clip_sd": "SD over time", "between_clips_sd": "SD between clips"}
GOALS = {"mean": 0.9, "within_clip_sd": 0.8}


def mean_maps(clips: Iterable[NDArray[np.uint8]]) -> Maps:
    """The three maps [H, W] of clips, each [T, H, W]."""
    pairs = [(frames.mean(axis=0), frames.std(axis=0)) for frames in clips]
    means, sds = (np.stack(part) for part in zip(*pairs, strict=True))
    return dict(zip(TITLES, (means.mean(axis=0), sds.mean(axis=0), means.std(axis=0)), strict=True))


def read_maps(path: Path, shape: tuple[int, ...]) -> Maps:
    """The three maps of real clips.

    Raises:
        MissingFile: there is no such file.
        UnreadableFile: it is no npz file, or lacks a map of this shape.
    """
    wanted = f"Give an npz file with {', '.join(TITLES)}, each {' × '.join(map(str, shape))}."
    try:
        with np.load(path) as file:
            maps = {name: file[name].astype(np.float64) for name in TITLES}
    except FileNotFoundError as error:
        raise MissingFile("there is no such file of maps.", path=path) from error
    except (OSError, ValueError, KeyError, AttributeError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise UnreadableFile("it does not hold the three maps.", path=path, next_step=wanted) from error
    if any(found.shape != shape or not np.isfinite(found).all() for found in maps.values()):
        raise UnreadableFile("a map has another shape, or a pixel that is no number.", path=path, next_step=wanted)
    return maps


def correlations(phantoms: Maps, real: Maps) -> Table:
    """How alike the maps are."""
    lit = main_patch(real["mean"] > BLACK)
    sector = sector_shape(lit) if lit.any() else np.ones_like(lit)
    rows: list[list[Cell]] = []
    for name, title in TITLES.items():
        whole = pearson_r(phantoms[name].ravel(), real[name].ravel())
        within = pearson_r(phantoms[name][sector], real[name][sector])
        goal = GOALS.get(name)
        rows.append([title, whole, within, None if goal is None else f"{goal}: {met(whole >= goal)}"])
    notes = ["Pearson's r of each pixel's value in the phantoms' map and in the real clips'; target: whole picture."]
    return Table("Mean maps", ("map", "r, whole picture", "r, in the sector", "target"), rows, notes)


def side_by_side(phantoms: Maps, real: Maps, enlarged: int = 4) -> bytes:
    """The phantoms' maps over the real ones, each column on one grey scale, as PNG."""
    height, width = (enlarged * side for side in real["mean"].shape)
    strip, gap = 14, 4
    sheet = Image.new("L", (len(TITLES) * (width + gap), 2 * (height + strip + gap)), 64)
    pen = ImageDraw.Draw(sheet)
    for column, (name, title) in enumerate(TITLES.items()):
        brightest = max(float(phantoms[name].max()), float(np.percentile(real[name], 99.5)), 1e-6)
        for row, (whose, maps) in enumerate((("SYNTHETIC phantoms", phantoms), ("real clips", real))):
            left, top = column * (width + gap), row * (height + strip + gap)
            pen.text((left + 3, top + 1), f"{whose}: {title}, white = {brightest:.0f}", fill=255)
            tile = Image.fromarray((255 * maps[name] / brightest).clip(0, 255).round().astype(np.uint8))
            sheet.paste(tile.resize((width, height), Image.Resampling.NEAREST), (left, top + strip))
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    return buffer.getvalue()
