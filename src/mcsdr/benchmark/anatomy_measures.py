"""What of a heart can be seen in a clip, in figures: chambers and where they lie, walls, what is around them, the apex.

Measured on the window of `picture_measures`, within its sector M. All but motion is read from

    s = B_SMOOTH √(mean over time of x)        dark: s(q) < DARK · min(highest s to the left of q, to the right of q)

each within ABREAST pixels in q's row: a chamber is dark between brighter walls, a black flank is not. The cavity is the
dark patch about the sector's middle, in an apical view the left ventricle, with its atrium where no valve parts them.
Walls are read along lines that leave the cavity: g_k is the grey level k pixels beyond its border, the median over the
lines,

    to the left    from the rows at UPPER of the cavity's height: the septum in an apical four-chamber view
    to the right   from the same rows: the lateral wall
    upward         from the middle half of the columns in the cavity's upper third: the apex

    wall   g* = max g_k, k < NEAR             beyond   mean of g_k over the FAR pixels after WIDEST past the wall / g*
    width  pixels about the wall with g_k > (g* + cavity) / 2, as far as lines reach: broad where there is no edge

Measures that the picture does not allow are NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcsdr.benchmark.picture_measures import LEAST, RING, SMOOTH, blurred, central, grown, regions, shrunk
from mcsdr.io.patches import Mask, bounding_box, components, erode

Floats = NDArray[np.float64]

DARK = 0.8  # of the walls' s: under two thirds of their grey level
ABREAST = 30  # pixels to either side in which a chamber has its walls
SMALLEST = 0.01  # share of the sector that a chamber fills at least
LONG = 20  # pixels that lines reach beyond the cavity
NEAR, WIDEST, FAR = 10, 4, 6  # pixels: where a wall begins, what is still wall past its brightest, what is beyond
UPPER = (0.15, 0.5)  # of the cavity's height, from its top: ventricle, whether or not the atrium belongs to the patch
VENTRICLES, ATRIA = (0.25, 0.5), (0.6, 0.85)  # rows, of the sector's height from its top
EDGE = 0.85  # of the sector's size: beyond is its edge

MEASURES = {
    "chambers": f"dark patches between walls, from {SMALLEST:.0%} of the sector",
    "chambers, share": "of the sector, dark between walls",
    "abreast, ventricles": f"dark runs a row, {VENTRICLES[0]:.0%} to {VENTRICLES[1]:.0%} down the sector",
    "abreast, atria": f"the same, {ATRIA[0]:.0%} to {ATRIA[1]:.0%} down",
    "cavity, share": "of the sector",
    "cavity across": "its middle, share of the sector's width from the left",
    "cavity down": "its middle, share of the sector's height from the top",
    "left chamber, share": "largest chamber whose middle lies left of the cavity, of the sector; 0 for none",
    "left chamber across": "as for the cavity",
    "left chamber down": "as for the cavity",
    "septum / lateral wall": "ratio of grey levels, left wall to right wall",
    "septum width": f"pixels over half its rise from the cavity, at most {LONG}",
    "lateral wall width": "the same on the right",
    "beyond septum": "grey level left of it / its own",
    "beyond lateral wall": "grey level right of it / its own",
    "septum motion": "SD over time about its border / its grey level",
    "septum / lateral motion": "ratio of that SD on the left and on the right",
    "outside / walls": f"grey level further than {RING} pixels from chambers and walls / that of both walls",
    "far edge / walls": f"grey level of the lower edge, beyond {EDGE:.0%} of the sector's size / the same",
    "apex / walls": "grey level over the cavity's top / that of both walls: large for an arch",
    "beyond apex": "grey level above it / its own: near or over 1 for haze, small for an arch in the dark",
}


@dataclass(frozen=True)
class Heart:
    """Where things are in a picture [H, W]: the sector, what is dark between walls, and of it the cavity."""

    sector: Mask
    dark: Mask
    cavity: Mask


@dataclass(frozen=True)
class Wall:
    """What lines that leave the cavity meet: grey level of the wall, its width in pixels, and beyond over wall."""

    grey: float
    width: float
    beyond: float


NO_WALL = Wall(math.nan, math.nan, math.nan)


def measure(frames: NDArray[np.uint8]) -> dict[str, float]:
    """Every measure of `MEASURES` of the window of one clip [T, H, W]."""
    sector = regions(frames).sector
    mean = np.asarray(frames.mean(axis=0, dtype=np.float64))
    smooth = np.asarray(blurred(np.sqrt(mean), sector, SMOOTH), dtype=np.float64)
    dark = between_walls(smooth, sector)
    cavity = central(dark, sector)
    found = {**chambers(dark, cavity, sector), **abreast(dark, sector), **place("cavity", cavity, sector)}
    found |= {"cavity, share": float(cavity.sum() / sector.sum())}
    found |= walls(smooth**2, frames, Heart(sector, dark, cavity))
    return {name: found[name] for name in MEASURES}


# --- chambers --------------------------------------------------------------------------------------------------------


def between_walls(smooth: Floats, sector: Mask) -> Mask:
    """Where a picture [H, W] is dark between brighter walls to the left and to the right."""
    lit = np.where(sector, smooth, 0)
    padded = np.pad(lit, ((0, 0), (ABREAST, ABREAST)))
    lines = np.lib.stride_tricks.sliding_window_view(padded, ABREAST, axis=1).max(axis=-1)
    left, right = lines[:, : lit.shape[1]], lines[:, ABREAST + 1 :]
    dark: Mask = sector & (lit < DARK * np.minimum(left, right))
    return dark


def chambers(dark: Mask, cavity: Mask, sector: Mask) -> dict[str, float]:
    """How many chambers there are, what they fill, and the largest to the left of the cavity."""
    labels = components(erode(erode(dark), cross=True))
    area = float(sector.sum())
    patches = [labels == label for label in range(1, int(labels.max()) + 1)]
    patches = [grown(patch, 2) & dark for patch in patches]
    patches = [patch for patch in patches if patch.sum() >= SMALLEST * area]
    columns = np.flatnonzero(cavity.any(axis=0))
    edge = float(np.nonzero(cavity)[1].mean()) - len(columns) / 4 if len(columns) else -math.inf
    left = [patch for patch in patches if np.nonzero(patch)[1].mean() < edge]
    first = max(left, key=np.count_nonzero, default=np.zeros_like(dark))
    return {
        "chambers": float(len(patches)),
        "chambers, share": float(dark.sum() / area),
        "left chamber, share": float(first.sum() / area),
        **place("left chamber", first, sector),
    }


def abreast(dark: Mask, sector: Mask) -> dict[str, float]:
    """How many dark runs of three pixels and more a row holds, in the mean over the rows of ventricles and of atria."""
    box = bounding_box(sector)
    wide = dark[:, 2:] & dark[:, 1:-1] & dark[:, :-2]
    runs = (wide & ~np.pad(wide, ((0, 0), (1, 0)))[:, :-1]).sum(axis=1)
    height = box.bottom - box.top
    found = {}
    for name, (start, stop) in (("ventricles", VENTRICLES), ("atria", ATRIA)):
        rows = slice(box.top + round(start * height), box.top + round(stop * height))
        found[f"abreast, {name}"] = float(runs[rows].mean())
    return found


def place(name: str, patch: Mask, sector: Mask) -> dict[str, float]:
    """The middle of a patch [H, W] in the sector's box."""
    box = bounding_box(sector)
    if not patch.any():
        return {f"{name} across": math.nan, f"{name} down": math.nan}
    y, x = (float(at.mean()) + 0.5 for at in np.nonzero(patch))
    return {
        f"{name} across": (x - box.left) / (box.right - box.left),
        f"{name} down": (y - box.top) / (box.bottom - box.top),
    }


# --- walls -----------------------------------------------------------------------------------------------------------


def walls(grey: Floats, frames: NDArray[np.uint8], where: Heart) -> dict[str, float]:
    """Septum against lateral wall, both against what is around them, and the apex; all NaN without a cavity."""
    if where.cavity.sum() < LEAST:
        return dict.fromkeys(list(MEASURES)[list(MEASURES).index("septum / lateral wall") :], math.nan)
    blood = float(np.median(grey[where.cavity]))
    septum, lateral = (across(flip(grey), flip(where.cavity), flip(where.sector), blood) for flip in (_mirror, _same))
    apex = upward(grey, where.cavity, where.sector, blood)
    both = (septum.grey + lateral.grey) / 2
    around = where.sector & ~grown(where.dark, RING)
    edge = where.sector & ~shrunk(where.sector, EDGE)
    edge[: round(np.nonzero(where.sector)[0].mean())] = False
    moving = np.asarray(blurred(frames, where.sector, SMOOTH).std(axis=0), dtype=np.float64)
    left, right = (border_motion(flip(moving), flip(where.cavity), flip(where.sector)) for flip in (_mirror, _same))
    return {
        "septum / lateral wall": _ratio(septum.grey, lateral.grey),
        "septum width": septum.width,
        "lateral wall width": lateral.width,
        "beyond septum": septum.beyond,
        "beyond lateral wall": lateral.beyond,
        "septum motion": _ratio(left, septum.grey),
        "septum / lateral motion": _ratio(left, right),
        "outside / walls": _ratio(_mean(grey[around]), both),
        "far edge / walls": _ratio(_mean(grey[edge]), both),
        "apex / walls": _ratio(apex.grey, both),
        "beyond apex": apex.beyond,
    }


def across(grey: Floats, cavity: Mask, sector: Mask, blood: float) -> Wall:
    """The wall to the right of a cavity [H, W], from its upper rows."""
    rows = upper_rows(cavity)
    last = cavity.shape[1] - 1 - cavity[rows, ::-1].argmax(axis=1)
    return wall_of(lines(np.where(sector, grey, np.nan), rows, last), blood)


def upward(grey: Floats, cavity: Mask, sector: Mask, blood: float) -> Wall:
    """What lies over the top of a cavity [H, W]."""
    box = bounding_box(cavity)
    cap = cavity[: box.top + max(1, (box.bottom - box.top) // 3)]
    columns = np.flatnonzero(cap.any(axis=0))
    quarter = len(columns) // 4
    columns = columns[quarter : len(columns) - quarter]
    turned = np.where(sector, grey, np.nan)[::-1].T  # upward is to the right
    return wall_of(lines(turned, columns, len(grey) - 1 - cap[:, columns].argmax(axis=0)), blood)


def upper_rows(cavity: Mask) -> NDArray[np.intp]:
    """The rows of a cavity that are surely ventricle."""
    box = bounding_box(cavity)
    start, stop = (box.top + round(share * (box.bottom - box.top)) for share in UPPER)
    rows = np.arange(start, max(stop, start + 1))
    return rows[cavity[rows].any(axis=1)]


def lines(picture: Floats, rows: NDArray[np.intp], last: NDArray[np.intp]) -> Floats:
    """The LONG pixels to the right of the last one in each row: [R, LONG], NaN beyond the picture."""
    padded = np.pad(picture, ((0, 0), (0, LONG + 1)), constant_values=np.nan)
    return np.asarray(padded[rows[:, None], last[:, None] + 1 + np.arange(LONG)])


def wall_of(met: Floats, blood: float) -> Wall:
    """The wall that lines [R, LONG] meet; only pixels count that half of the lines reach."""
    enough = np.isfinite(met).sum(axis=0) * 2 >= max(1, len(met))
    reach = LONG if enough.all() else int(enough.argmin())
    if reach == 0:
        return NO_WALL
    g = np.nanmedian(met[:, :reach], axis=0)
    at = int(g[:NEAR].argmax())
    bright = g > (g[at] + blood) / 2
    start = at - int(np.append(~bright[at::-1], True).argmax()) + 1
    stop = at + int(np.append(~bright[at:], True).argmax())
    after = g[at + WIDEST : at + WIDEST + FAR]
    return Wall(float(g[at]), float(max(0, stop - start)), _ratio(_mean(after), float(g[at])))


def border_motion(moving: Floats, cavity: Mask, sector: Mask, reach: int = 6) -> float:
    """Mean SD over time within so many pixels of the cavity's right border, in its upper rows."""
    rows = upper_rows(cavity)
    last = cavity.shape[1] - 1 - cavity[rows, ::-1].argmax(axis=1)
    padded = np.pad(np.where(sector, moving, np.nan), ((0, 0), (reach, reach)), constant_values=np.nan)
    near = padded[rows[:, None], last[:, None] + np.arange(1, 2 * reach + 1)]
    return _mean(near[np.isfinite(near)])


def _mirror(picture: NDArray[Any]) -> NDArray[Any]:
    return picture[:, ::-1]


def _same(picture: NDArray[Any]) -> NDArray[Any]:
    return picture


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else math.nan


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else math.nan
