"""From a clip to what the encoder sees: sampling in seconds, framing, augmentation, standardisation.

Time: the frames nearest to a grid of `rate_hz`, from the middle of the clip, as many as it holds up to `frames`. A
nearest frame keeps its speckle; interpolation would blur it. Space: the sector, padded to a square with its tip at
the top, resized to `size`. Grey levels: each clip to mean 0 and SD 1, so that gain carries nothing.

Randomness is drawn in one place (`draw_augmentation`) and applied in another (`augment`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from mcsdr.errors import ClipTooShort
from mcsdr.study import Clip

SHORTEST_FRAMES = 12


class ClipSettings(BaseModel):
    """How a clip is sampled; stored with the model, since it must never change after training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate_hz: float = Field(25.0, gt=0)
    frames: int = Field(32, gt=0, multiple_of=4)
    size: int = Field(112, gt=0, multiple_of=16)


def sample(clip: Clip, settings: ClipSettings) -> NDArray[np.uint8]:
    """The clip as the encoder's frames, uint8 [T, size, size], T a multiple of 4 up to `settings.frames`.

    Raises:
        ClipTooShort: fewer than 12 sampled frames.
    """
    frames = clip.frames[frame_indices(clip.frame_times_s, settings)]
    if len(frames) < SHORTEST_FRAMES:
        raise ClipTooShort(
            f"the clip lasts {clip.duration_s:.2f} s, too short for a reading.", path=clip.source or None
        )
    return to_square(frames, settings.size)


def frame_indices(times_s: NDArray[np.float64], settings: ClipSettings) -> NDArray[np.int64]:
    """Which frames lie nearest to the sampling grid, centred in the clip; int [T]."""
    span = float(times_s[-1] - times_s[0])
    # The grid may reach half a frame beyond the last one, where that frame is still the nearest.
    reach = span + float(np.median(np.diff(times_s))) / 2 + 1e-6
    count = min(settings.frames, math.floor(reach * settings.rate_hz) + 1) // 4 * 4
    slack = span - (count - 1) / settings.rate_hz
    start = times_s[0] + (slack / 2 if slack > 1 / settings.rate_hz else 0.0)
    grid = start + np.arange(count) / settings.rate_hz
    after = np.searchsorted(times_s, grid).clip(1, len(times_s) - 1)
    nearer_before = grid - times_s[after - 1] <= times_s[after] - grid
    return np.asarray(np.where(nearer_before, after - 1, after))


def to_square(frames: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Pad [T, H, W] to a square, tip at the top and centred across, and resize with antialiasing."""
    _, height, width = frames.shape
    if height == width == size:
        return frames
    side = max(height, width)
    left = (side - width) // 2
    x = torch.from_numpy(np.ascontiguousarray(frames)).float()
    x = F.pad(x, (left, side - width - left, 0, side - height))
    x = F.interpolate(x[:, None], (size, size), mode="bilinear", antialias=True, align_corners=False)[:, 0]
    return np.asarray(x.round().clamp(0, 255).to(torch.uint8).numpy())


def standardise(frames: Tensor) -> Tensor:
    """Float [B, T, H, W], each clip to mean 0 and SD 1; a clip without contrast stays finite."""
    x = frames.float()
    x = x - x.mean((1, 2, 3), keepdim=True)
    return x / (x.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-3)


@dataclass(frozen=True)
class Augmentation:
    """What is done to each clip of a batch; fields [B]."""

    scale: Tensor
    rotation_rad: Tensor
    shift_x: Tensor  # shares of the image side
    shift_y: Tensor
    gamma: Tensor
    gain: Tensor


def draw_augmentation(batch: int, generator: torch.Generator) -> Augmentation:
    """Scale ±15 %, rotation ±0.2 rad, shift ±6 %, gamma e^(0.35 N), gain e^(0.2 N)."""
    u = torch.rand(4, batch, generator=generator) * 2 - 1
    n = torch.randn(2, batch, generator=generator)
    return Augmentation(1 + 0.15 * u[0], 0.2 * u[1], 0.06 * u[2], 0.06 * u[3], (0.35 * n[0]).exp(), (0.2 * n[1]).exp())


def augment(frames: Tensor, by: Augmentation) -> Tensor:
    """Apply to uint8 [B, T, H, W]; returns float in [0, 1]."""
    levels = torch.arange(256) / 255
    # Grey levels are 256 numbers: a table per clip is several times faster than a power per pixel.
    curves = (by.gain[:, None] * levels ** by.gamma[:, None]).clamp(max=1).numpy()
    x = torch.from_numpy(np.stack([curve[clip] for curve, clip in zip(curves, frames.numpy(), strict=True)]))
    cos, sin = by.rotation_rad.cos() / by.scale, by.rotation_rad.sin() / by.scale
    rows = torch.stack([cos, -sin, 2 * by.shift_x, sin, cos, 2 * by.shift_y], dim=-1).view(-1, 2, 3)
    grid = F.affine_grid(rows, [len(x), 1, *x.shape[2:]], align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
