"""What a clip looks like in figures, of the clip alone: the same measures for phantoms and for patients.

A clip is measured as the encoder meets it: its central window x(t, q), frames t at the model's rate, pixels q of the
model's picture. Nothing is known of the heart but what the picture shows. With B_σ a Gaussian blur within the sector M,

    M       shape of the pixels that are ever lit               m       √ of the mean over time: noise nearly even
    seed    the dark patch about the sector's centre,           N       the seed and what lies within RING pixels
            dark: B_SMOOTH m < B_WIDE m
    cavity  such a patch again, about the seed, parted          tissue  the bright pixels of N
            by Otsu's threshold of B_SMOOTH m in N
    h       x − local mean of the tissue, or of the blood,      l       B_FINE x: what moves is the heart
            of that frame: speckle

Measures that the picture does not allow are NaN: a cavity that is black throughout has no speckle to follow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mcsdr.clips import ClipSettings, cut_windows, store
from mcsdr.io.fan import fit_fan, sector_shape
from mcsdr.io.patches import Mask, bounding_box, components, dilate, erode, main_patch
from mcsdr.study import Clip

Floats = NDArray[np.float32]

SETTINGS = ClipSettings.model_validate({})  # the encoder's own: 32 frames at 25 Hz, 112 × 112
CORE = 0.7  # of the sector's size: beyond are flanks, near field and far edge
SMOOTH, FINE, WIDE = 1.5, 3.0, 12.0  # σ of blurs in pixels: a wall's sides, speckle against anatomy, chamber and walls
RING = 8  # pixels about the seed that are looked at
CENTRE = 0.2  # σ of the weight that a patch has for lying near the sector's centre, share of the sector's height
BLACK, SATURATED = 2, 250  # grey levels
LAGS = (1, 2, 5)  # frames: 40, 80 and 200 ms at 25 Hz
BEAT_HZ = (0.6, 3.0)  # 36 to 180 beats a minute
REACH = 6  # pixels on either side of the cavity's border that its profile covers
LEAST = 20  # pixels without which a region is not measured

# What is measured, in the order of the tables: name and unit, and what it is.
MEASURES = {
    "tissue": "grey levels, median",
    "cavity": "grey levels, median",
    "cavity / tissue": "ratio of the two",
    "tissue − cavity": "grey levels",
    "dark share": "of the core, under the threshold",
    "tissue unevenness": "SD of the tissue's local mean / its mean",
    "flanks / core": "ratio of mean grey levels",
    "speckle SD / mean": "in tissue, robust, of h over the local mean",
    "speckle width across": "pixels, half width of the autocorrelation of h in tissue",
    "speckle width along": "pixels, as across",
    **{f"tissue decorrelation, {lag}": f"1 − correlation of h over {lag} frames at 25 Hz" for lag in LAGS},
    **{f"blood decorrelation, {lag}": "the same in the cavity" for lag in LAGS},
    "gradient 50 %": "grey levels / pixel, within the sector",
    "gradient 90 %": "the same",
    "gradient 99 %": "the same",
    "border width": "pixels from a quarter to three quarters of the rise from cavity to tissue",
    "border seen": "share of the cavity's border where that rise reaches half of tissue − cavity",
    "black share": f"of the sector, grey levels up to {BLACK}",
    "saturated share": f"of the sector, grey levels from {SATURATED}",
    **{f"grey {q} %": "quantile of grey levels in the sector" for q in (5, 25, 50, 75, 95)},
    "gradient 99 % / SD": "per pixel, over the SD of the whole picture, as the encoder sees it",
    "grey 99 %, standardised": "SDs of the whole picture above its mean, as the encoder sees it",
    "motion": "RMS change of l from frame to frame / SD of l over the sector",
    "motion at heart beat": f"share of l's power over time at {BEAT_HZ[0]}–{BEAT_HZ[1]} Hz",
    "half angle": "degrees",
    "tip across": "share of the picture's side, from the left",
    "tip down": "share of the picture's side, from the top",
    "covered": "share of the picture that is sector",
    "aspect": "width / height of the sector",
}

FRAMING = ("half angle", "tip across", "tip down", "covered", "aspect")  # how a machine cuts its pictures, not what of


@dataclass(frozen=True)
class Regions:
    """Where things are in a clip [T, H, W]: the sector and its core; N about the cavity, and in it cavity and tissue.

    All are of one picture [H, W] but the last two: where tissue and blood of each frame lie, of `tissue` and `cavity`.
    """

    sector: Mask
    core: Mask
    near: Mask
    cavity: Mask
    tissue: Mask
    threshold: float  # grey level that parts cavity from tissue in a smoothed picture
    beating_tissue: Mask
    beating_blood: Mask


def measure(clip: Clip, settings: ClipSettings = SETTINGS) -> dict[str, float]:
    """Every measure of `MEASURES` of one clip.

    Raises:
        ClipTooShort: it holds no window.
    """
    frames = window(clip, settings)
    where = regions(frames)
    found = {
        **greys(frames, where),
        **speckle(frames, where.beating_tissue),
        **decorrelations("tissue", frames, where.beating_tissue),
        **decorrelations("blood", frames, where.beating_blood),
        **edges(frames, where),
        **histogram(frames[:, where.sector]),
        "grey 99 %, standardised": _ratio(np.percentile(frames[:, where.sector], 99) - frames.mean(), frames.std()),
        **motion(blurred(frames, where.sector, FINE)[:, where.sector], settings.rate_hz),
        **geometry(where.sector),
    }
    return {name: found[name] for name in MEASURES}


def window(clip: Clip, settings: ClipSettings = SETTINGS) -> NDArray[np.uint8]:
    """The window of a clip that the encoder meets first, uint8 [T, size, size]."""
    return cut_windows(store(clip, settings), settings)[0]


# --- regions ---------------------------------------------------------------------------------------------------------


def regions(frames: NDArray[np.uint8]) -> Regions:
    """Where sector, cavity and tissue are in a clip [T, H, W]; what is not there is empty."""
    lit = main_patch(frames.max(axis=0) > BLACK)
    sector = sector_shape(lit) if lit.any() else np.ones_like(lit)
    root = np.sqrt(frames.mean(axis=0, dtype=np.float32))
    smooth = blurred(root, sector, SMOOTH)
    core = shrunk(sector, CORE)
    seed = central(core & (smooth < blurred(root, sector, WIDE)), sector)
    near = grown(seed, RING) & sector
    threshold = otsu(smooth[near]) if near.any() else 0.0
    dark = near & (smooth <= threshold)
    cavity = central(dark & grown(seed, 2), sector)
    tissue, bright = near & ~dark, blurred(frames, sector, SMOOTH) > threshold**2
    return Regions(sector, core, near, cavity, tissue, threshold**2, tissue & bright, cavity & ~bright)


def largest(mask: Mask) -> Mask:
    """The largest patch of a mask [H, W]."""
    patch: Mask = components(mask) == 1
    return patch


def central(dark: Mask, sector: Mask) -> Mask:
    """The patch of dark pixels [H, W] that lies best about the middle of the sector, freed of thin bridges.

    Of a patch of A pixels with weights w about the middle, (Σ w)² / A is largest: much there, and little elsewhere.
    """
    box = bounding_box(sector)
    y, x = np.ogrid[: dark.shape[0], : dark.shape[1]]
    height = box.bottom - box.top
    square = (y - (box.top + box.bottom - 1) / 2) ** 2 + (x - (box.left + box.right - 1) / 2) ** 2
    weight = np.exp(-0.5 * square / (CENTRE * height) ** 2)
    labels = components(erode(erode(dark), cross=True)).ravel()
    if not labels.any():
        return np.zeros_like(dark)
    score = np.bincount(labels, weights=weight.ravel())[1:] ** 2 / np.bincount(labels)[1:]
    return grown((labels == 1 + score.argmax()).reshape(dark.shape), 2) & dark


def grown(mask: Mask, steps: int) -> Mask:
    """A mask grown by some pixels, squares and crosses in turn: nearly by a disc."""
    for step in range(steps):
        mask = dilate(mask, cross=step % 2 == 1)
    return mask


def shrunk(mask: Mask, by: float) -> Mask:
    """A convex mask, smaller by a factor about its centroid."""
    y, x = np.nonzero(mask)
    rows, columns = np.indices(mask.shape)
    row, column = y.mean() + (rows - y.mean()) / by, x.mean() + (columns - x.mean()) / by
    row, column = np.rint(row).astype(int), np.rint(column).astype(int)
    within = (row >= 0) & (row < mask.shape[0]) & (column >= 0) & (column < mask.shape[1])
    inner: Mask = within & mask[row.clip(0, mask.shape[0] - 1), column.clip(0, mask.shape[1] - 1)]
    return inner


def otsu(values: Floats, bins: int = 256) -> float:
    """The threshold that parts values into two classes of least variance within (Otsu 1979)."""
    counts, ends = np.histogram(values, bins)
    middles = (ends[:-1] + ends[1:]) / 2
    below, first = np.cumsum(counts), np.cumsum(counts * middles)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (first / below - (first[-1] - first) / above) ** 2
    between = np.nan_to_num(between[:-1])
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))  # a gap between the classes gives a plateau
    return float(ends[1 + (best[0] + best[-1]) // 2])


def blurred(x: NDArray[np.generic], mask: Mask, sigma: float) -> Floats:
    """Gaussian blur of [T, H, W] or [H, W] within a mask of either shape: what lies outside does not count."""
    down, across = _gaussian(mask.shape[-2], sigma), _gaussian(mask.shape[-1], sigma)
    weight = down @ mask.astype(np.float32) @ across
    total = down @ (x * mask).astype(np.float32) @ across
    return np.asarray(total / np.maximum(weight, 1e-6), dtype=np.float32)


@lru_cache
def _gaussian(size: int, sigma: float) -> Floats:
    """exp(−(i − j)² / 2σ²) as a symmetric matrix [size, size], cut off at 4 σ."""
    apart = np.subtract.outer(np.arange(size), np.arange(size))
    return np.where(np.abs(apart) <= 4 * sigma, np.exp(-0.5 * (apart / sigma) ** 2), 0).astype(np.float32)


# --- measures --------------------------------------------------------------------------------------------------------


def greys(frames: NDArray[np.uint8], where: Regions) -> dict[str, float]:
    """Tissue against cavity, how even the tissue is, and the flanks against the core."""
    tissue, cavity = _median(frames[:, where.tissue]), _median(frames[:, where.cavity])
    mean = frames.mean(axis=0, dtype=np.float32)
    local = blurred(mean, where.tissue, FINE)[where.tissue]
    return {
        "tissue": tissue,
        "cavity": cavity,
        "cavity / tissue": _ratio(cavity, tissue),
        "tissue − cavity": tissue - cavity,
        "dark share": float((blurred(mean, where.sector, SMOOTH)[where.core] <= where.threshold).mean()),
        "tissue unevenness": _ratio(local.std(), local.mean()) if len(local) else math.nan,
        "flanks / core": _ratio(mean[where.sector & ~where.core].mean(), mean[where.core].mean()),
    }


def residual(frames: NDArray[np.uint8], mask: Mask) -> tuple[Floats, Floats]:
    """h and the local mean that was taken off, within a mask that moves; all [T, H, W], h 0 outside."""
    local = blurred(frames, mask, FINE)
    return np.where(mask, frames - local, 0).astype(np.float32), local


def speckle(frames: NDArray[np.uint8], tissue: Mask) -> dict[str, float]:
    """How strong and how wide speckle is in tissue; both [T, H, W]."""
    if tissue.sum() < LEAST * len(tissue):
        return dict.fromkeys(("speckle SD / mean", "speckle width across", "speckle width along"), math.nan)
    fine, local = residual(frames, tissue)
    relative = fine[tissue] / np.maximum(local[tissue], 1)
    return {
        "speckle SD / mean": 1.4826 * float(np.median(np.abs(relative))),
        "speckle width across": half_width(fine, tissue),
        "speckle width along": half_width(fine.swapaxes(1, 2), tissue.swapaxes(1, 2)),
    }


def half_width(fine: Floats, mask: Mask, furthest: int = 10) -> float:
    """The lag in pixels along the last axis at which the autocorrelation of h within a mask, [T, H, W], falls to ½."""
    power = float((fine[mask] ** 2).mean())
    if power == 0:
        return math.nan
    before = 1.0
    for lag in range(1, furthest + 1):
        both = mask[..., lag:] & mask[..., :-lag]
        if both.sum() < LEAST:
            return math.nan
        after = float((fine[..., lag:] * fine[..., :-lag])[both].mean()) / power
        if after <= 0.5:
            return lag - 1 + (before - 0.5) / (before - after)
        before = after
    return float(furthest)


def decorrelations(name: str, frames: NDArray[np.uint8], mask: Mask) -> dict[str, float]:
    """1 − the correlation of h with itself some frames later, where the mask [T, H, W] holds both."""
    fine, _ = residual(frames, mask)
    found = {}
    for lag in LAGS:
        both = mask[:-lag] & mask[lag:]
        early, late = fine[:-lag][both], fine[lag:][both]
        size = math.sqrt(float((early**2).sum()) * float((late**2).sum()))
        found[f"{name} decorrelation, {lag}"] = 1 - _ratio(float((early * late).sum()), size)
    return found


def edges(frames: NDArray[np.uint8], where: Regions) -> dict[str, float]:
    """How steep grey levels are, and how the cavity's border rises, frame by frame."""
    smooth = blurred(frames, where.sector, 1.0)
    down, across = np.gradient(smooth, axis=(1, 2))
    inner = shrunk(where.sector, 0.9)
    steep = np.percentile(np.hypot(down, across)[:, inner], (50, 90, 99)).tolist()
    profile, seen = border(frames, where)
    slopes = dict(zip(("gradient 50 %", "gradient 90 %", "gradient 99 %"), steep, strict=True))
    slopes["gradient 99 % / SD"] = _ratio(steep[-1], frames.std())
    return slopes | {"border width": rise_width(profile), "border seen": seen}


def border(frames: NDArray[np.uint8], where: Regions) -> tuple[Floats, float]:
    """Mean grey level from REACH pixels inside the cavity to REACH outside, float [2 REACH], and "border seen".

    The cavity of each frame is the largest dark patch of that frame about it, smoothed, under the clip's threshold.
    """
    if min(where.cavity.sum(), where.tissue.sum()) < LEAST:
        return np.full(2 * REACH, np.nan, dtype=np.float32), math.nan
    contrast = _median(frames[:, where.tissue]) - _median(frames[:, where.cavity])
    smooth = blurred(frames, where.sector, SMOOTH)
    dark = where.near & grown(where.cavity, REACH) & (smooth <= where.threshold)
    inside = np.stack([largest(frame) for frame in dark])
    shells = _shells(inside, where.sector)
    if any(not shell.any() for shell in shells):
        return np.full(2 * REACH, np.nan, dtype=np.float32), math.nan
    rise = smooth[shells[REACH + 1]] - np.median(smooth[inside])
    profile = np.array([frames[shell].mean() for shell in shells], dtype=np.float32)
    return profile, float((rise > contrast / 2).mean())


def _shells(inside: Mask, sector: Mask) -> list[Mask]:
    """Rings of one pixel within the sector, from REACH deep inside regions [T, H, W] to REACH outside them."""
    deeper = [~grown(~inside, step) for step in range(REACH, 0, -1)]
    further = [grown(inside, step) for step in range(1, REACH + 1)]
    return [wider & ~narrower & sector for narrower, wider in pairwise([*deeper, inside, *further])]


def rise_width(profile: Floats) -> float:
    """Pixels from ¼ to ¾ of a profile's rise, from its least value in the first half to its largest in the second."""
    half = len(profile) // 2
    if not np.isfinite(profile).all():
        return math.nan
    low, high = int(profile[:half].argmin()), half + int(profile[half:].argmax())
    part = np.maximum.accumulate(profile[low : high + 1])
    if part[-1] <= part[0]:
        return math.nan
    share = (part - part[0]) / (part[-1] - part[0])
    quarters = np.interp((0.25, 0.75), share, np.arange(len(share)))
    return float(quarters[1] - quarters[0])


def histogram(greys: NDArray[np.uint8]) -> dict[str, float]:
    """Shares at the ends, and quantiles, of all grey levels in the sector."""
    at = (5, 25, 50, 75, 95)
    quantiles = dict(zip((f"grey {q} %" for q in at), np.percentile(greys, at).tolist(), strict=True))
    return {
        "black share": float((greys <= BLACK).mean()),
        "saturated share": float((greys >= SATURATED).mean()),
        **quantiles,
    }


def motion(coarse: Floats, rate_hz: float) -> dict[str, float]:
    """How much of the low-pass picture [T, P] moves, and how much of that at heart beat."""
    change = float(np.sqrt(np.mean(np.diff(coarse, axis=0) ** 2)))
    moving = coarse - coarse.mean(axis=0)
    power = (np.abs(np.fft.rfft(moving, axis=0)) ** 2).sum(axis=1)
    at = np.fft.rfftfreq(len(coarse), 1 / rate_hz)
    beat = (at >= BEAT_HZ[0]) & (at <= BEAT_HZ[1])
    return {
        "motion": _ratio(change, float(coarse.mean(axis=0).std())),
        "motion at heart beat": _ratio(float(power[beat].sum()), float(power[1:].sum())),
    }


def geometry(sector: Mask) -> dict[str, float]:
    """The shape of the sector in its picture [H, W]; a shape that is no fan has no angle and no tip."""
    height, width = sector.shape
    box, fan = bounding_box(sector), fit_fan(sector)
    nothing = math.nan
    return {
        "half angle": nothing if fan is None else math.degrees(math.atan(fan.slope)),
        "tip across": nothing if fan is None else (fan.apex_x + 0.5) / width,
        "tip down": nothing if fan is None else (fan.apex_y + 0.5) / height,
        "covered": float(sector.mean()),
        "aspect": (box.right - box.left) / (box.bottom - box.top),
    }


def _median(values: NDArray[np.uint8]) -> float:
    return float(np.median(values)) if values.size else math.nan


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else math.nan
