"""The sector of a clip as its own picture shows it: which pixels, how deep each lies, and on which beam.

With the tip (x_0, y_0) at the middle of the sector's top row and R the farthest pixel of the sector from it,

    r = |(x, y) − (x_0, y_0)| / R          range, 0 at the probe, 1 at the sector's end
    θ = atan2(x − x_0, y − y_0)            angle of the beam, 0 straight down, positive to the picture's right

Faults of a machine follow range and beam, never rows and columns. Pictures are log-compressed: a gain in dB is a number
of grey levels to be added, GREY_PER_DB for each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from mcsdr.io.fan import sector_shape
from mcsdr.io.patches import Mask, main_patch
from mcsdr.study import Clip

Floats = NDArray[np.floating[Any]]

GREY_PER_DB = 255 / 60  # of a picture that shows 60 dB
BLANKED = 0.02  # share of the picture that is black in every frame where the outside was blanked
COMPRESSED_BLACK = 20  # a clip that was cut before it was compressed stays below this outside of its sector


@dataclass(frozen=True)
class Sector:
    """Where a clip's pixels lie.

    Attributes:
        mask: bool [H, W], the sector.
        range_share: r [H, W].
        angle_rad: θ [H, W].
        half_angle_rad: of the sector.
        tip: row and column of its tip.
    """

    mask: Mask
    range_share: Floats
    angle_rad: Floats
    half_angle_rad: float
    tip: tuple[float, float]

    @property
    def pixels(self) -> tuple[Floats, Floats]:
        """Row and column of every pixel, [H, W] each."""
        return _pixels(self.mask)


def sector_of(clip: Clip) -> Sector:
    """The sector of a clip's picture; the whole picture where nothing in it is brighter than black."""
    brightest = clip.frames.max(axis=0)
    blanked = (brightest == 0).mean() > BLANKED
    seen = brightest > 0 if blanked else main_patch(brightest > COMPRESSED_BLACK)
    mask = sector_shape(seen) if seen.any() else np.ones_like(seen)
    rows, columns = _pixels(mask)
    top = int(np.flatnonzero(mask.any(axis=1))[0])
    tip = (float(top), float(np.flatnonzero(mask[top]).mean()))
    distance, angle = np.hypot(rows - tip[0], columns - tip[1]), np.arctan2(columns - tip[1], rows - tip[0])
    share = distance / max(1.0, float(distance[mask].max()))
    deep = np.abs(angle[mask & (share > 0.3)])
    half_angle = float(np.quantile(deep, 0.98)) if deep.size else np.pi / 4
    return Sector(mask, share, angle, half_angle, tip)


def repainted(clip: Clip, values: Floats, sector: Sector) -> Clip:
    """The clip with other grey levels [T, H, W] inside its sector; outside everything stays."""
    frames = np.rint(values.clip(0, 255)).astype(np.uint8)
    return replace(clip, frames=np.where(sector.mask, frames, clip.frames))


def read_at(frames: Floats | NDArray[np.uint8], rows: Floats, columns: Floats) -> Floats:
    """Frames [T, H, W] read bilinearly at places in pixels, [H, W] for all or [T, H, W]; beyond an edge it goes on."""
    height, width = frames.shape[1:]
    places = np.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], axis=-1).astype(np.float32)
    grid = torch.from_numpy(np.broadcast_to(places, (len(frames), height, width, 2)).copy())
    x = torch.from_numpy(np.ascontiguousarray(frames, dtype=np.float32))[:, None]
    return np.asarray(F.grid_sample(x, grid, padding_mode="border", align_corners=False)[:, 0].numpy())


def _pixels(mask: Mask) -> tuple[Floats, Floats]:
    rows, columns = np.meshgrid(*(np.arange(side, dtype=np.float32) for side in mask.shape), indexing="ij")
    return rows, columns
