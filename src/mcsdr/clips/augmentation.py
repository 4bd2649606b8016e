"""What training does to clips, so that a model bears more machines than were drawn.

Randomness is drawn in one place (`draw_augmentation`) and applied in another (`augment`), where the clips lie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """What is done to each clip of a batch; fields [B] but the field of gains and the grain."""

    scale: Tensor
    stretch: Tensor  # wider by it and flatter
    rotation_rad: Tensor
    shift_x: Tensor  # shares of the image side
    shift_y: Tensor
    gamma: Tensor
    gain: Tensor
    black: Tensor  # the share of full grey that black is raised to (haze), or that falls to black (reject)
    blur: Tensor  # share of the picture blurred over 3 × 3 pixels; below 0 sharpens
    grain: Tensor  # SD of noise in shares of a pixel's grey
    field: Tensor  # log gain on a coarse grid over the picture, the same at all times, [B, FIELD, FIELD]
    noise: Tensor  # from which each clip takes its grain, [GRAIN, GRAIN, GRAIN]
    place: Tensor  # where in it, [B, 3], shares of the room there is
    coarse: Tensor  # whether the grain is of two pixels, bool
    shadows: Tensor  # [B, SHADOWS, 4]: where a shadow lies and how far it reaches to both sides, rad; from which depth
    #                  on, share of the side; and the log gain in it, 0 where there is none
    veil: Tensor  # [B, 2]: haze laid over the picture, share of white at the tip; the depth at which it is 1/e of that
    bend: Tensor  # by how much rows lie aside and columns lower, at BENDS places along the other side, [B, 2, BENDS]

    def to(self, device: torch.device) -> Augmentation:
        """The same on another device."""
        return Augmentation(*(value.to(device) for value in vars(self).values()))


FIELD, GRAIN = 5, 144  # cells of the field of gains along a side; pixels and frames of the noise along one
SHADOWS = 2  # at most, in one clip
BENDS = 5  # places along a side
COARSE = 8 / 3  # brings noise blurred along both sides back to its SD
EDGE_RAD, EDGE_DEPTH = 0.03, 0.03  # over which a shadow sets in


def draw_augmentation(batch: int, generator: torch.Generator) -> Augmentation:
    """Other scales, tones, shadows, sharpness and grain than were drawn, since real machines have others still.

    Scale ±15 %, stretch e^(0.07 N), rotation ±0.2 rad, shift ±6 %, gamma e^(0.35 N), gain e^(0.2 N), black ±8 % in half
    of the clips, blur −0.6 to 1 in half, grain to 0.3 in half, in half of these of two pixels, and gains that vary over
    the picture by e^(0.25 N). Each of two shadows lies over a fifth of the clips: within ±0.65 rad of the picture's
    middle, 0.04 to 0.3 rad to both sides, from anywhere in the upper half on, e^−0.5 to e^−4 as bright. Over a fifth
    lies a veil of up to 0.45 of white that falls to 1/e over 0.15 to 0.5 of the side. Seven in ten
    are bent: rows by 0.045 N of the side, columns by 0.02 N, at each of five places. A row moved aside and a column
    moved down leave areas as they are, so that an ejection fraction is what it was.
    """
    u = torch.rand(7, batch, generator=generator) * 2 - 1
    n = torch.randn(3, batch, generator=generator)
    some = torch.rand(3, batch, generator=generator) < 0.5
    field = 0.25 * torch.randn(batch, FIELD, FIELD, generator=generator)
    noise = torch.randn(GRAIN, GRAIN, GRAIN, generator=generator)
    place = torch.rand(batch, 3, generator=generator)
    more = torch.rand(3, batch, generator=generator)
    shadow = torch.rand(5, batch, SHADOWS, generator=generator)
    deep = -(0.5 + 3.5 * shadow[3]) * (shadow[4] < 0.2)
    shadows = torch.stack([1.3 * shadow[0] - 0.65, 0.04 + 0.26 * shadow[1], 0.5 * shadow[2], deep], dim=-1)
    veiled = torch.rand(batch, generator=generator) < 0.2
    bend = torch.tensor([0.045, 0.02])[:, None] * torch.randn(batch, 2, BENDS, generator=generator)
    bend *= (torch.rand(batch, generator=generator) < 0.7)[:, None, None]
    return Augmentation(
        scale=1 + 0.15 * u[0],
        stretch=(0.07 * n[2]).exp(),
        rotation_rad=0.2 * u[1],
        shift_x=0.06 * u[2],
        shift_y=0.06 * u[3],
        gamma=(0.35 * n[0]).exp(),
        gain=(0.2 * n[1]).exp(),
        black=0.08 * u[4] * some[0],
        blur=(0.2 + 0.8 * u[5]) * some[1],
        grain=(0.15 + 0.15 * u[6]) * some[2],
        field=field,
        noise=noise,
        place=place,
        coarse=more[0] < 0.5,
        shadows=shadows,
        veil=torch.stack([0.45 * more[1] * veiled, 0.15 + 0.35 * more[2]], dim=-1),
        bend=bend,
    )


def augment(frames: Tensor, by: Augmentation) -> Tensor:
    """Apply to uint8 [B, T, H, W], where they lie; returns float in [0, 1]. Black stays black, but under a veil."""
    x = moved(_toned(frames, by), by)
    depth, angle = _polar(x)
    gains = F.interpolate(by.field[:, None], x.shape[2:], mode="bicubic", align_corners=True)
    gains += _shadows(by.shadows, depth, angle)[:, None]
    x *= gains.exp_()
    rest = (by.blur, by.grain, by.place, by.coarse, by.veil)
    for clip, blur, grain, place, coarse, veil in zip(x, *(values.tolist() for values in rest), strict=True):
        if veil[0]:
            _veil(clip, veil[0] * (-depth / veil[1]).exp())
        if blur:
            clip += blur * (_blurred(clip) - clip)
        if grain:
            noise = _noise(by.noise, place, clip.shape)
            clip *= 1 + grain * (COARSE * _blurred(noise) if coarse else noise)
    return x.clamp_(0, 1)


def _polar(x: Tensor) -> tuple[Tensor, Tensor]:
    """Distance of every pixel from the middle of the upper edge, in sides, and its angle from straight down, [H, W]."""
    height, width = x.shape[2:]
    down = (torch.arange(height, device=x.device) + 0.5)[:, None] / height
    right = (torch.arange(width, device=x.device) + 0.5)[None] / width - 0.5
    return torch.hypot(down, right), torch.atan2(right, down)


def _shadows(shadows: Tensor, depth: Tensor, angle: Tensor) -> Tensor:
    """The log gain of shadows [B, SHADOWS, 4] at every pixel, [B, H, W]."""
    total = shadows.new_zeros(len(shadows), *depth.shape)
    for clip, place in (shadows[..., 3] < 0).nonzero().tolist():
        at, half, start, log_gain = shadows[clip, place].tolist()
        within = ((half - (angle - at).abs()) / EDGE_RAD).sigmoid() * ((depth - start) / EDGE_DEPTH).sigmoid()
        total[clip] += log_gain * within
    return total


def _veil(clip: Tensor, share: Tensor) -> None:
    """Lay a veil, the same at all times, over a clip [T, H, W] where its sector is, as light is: x + h(1 − x)."""
    lit = (clip.amax(0) > 0).float()
    closed = -_greatest_near(-_greatest_near(lit))  # dark cavities are in it,
    between = lit.cummax(1).values * lit.flip(1).cummax(1).values.flip(1)  # and nothing beside the sector's flanks
    sector = closed * between
    clip += share * sector * (1 - clip)


def _greatest_near(x: Tensor) -> Tensor:
    """The greatest of [H, W] within 7 pixels up, down and across; along one side after the other, which is quicker."""
    along = F.max_pool2d(x[None, None], (15, 1), 1, (7, 0))
    return F.max_pool2d(along, (1, 15), 1, (0, 7))[0, 0]


def _blurred(x: Tensor) -> Tensor:
    """[T, H, W], each pixel with a quarter of both neighbours, down, then across; those at the border as they are."""
    for axis in (1, 2):
        inner, out = x.shape[axis] - 2, x.clone()
        out.narrow(axis, 1, inner).mul_(2).add_(x.narrow(axis, 0, inner)).add_(x.narrow(axis, 2, inner)).div_(4)
        x = out
    return x


def _toned(frames: Tensor, by: Augmentation) -> Tensor:
    """Other curves of grey: float of the shape of `frames`."""
    levels = torch.arange(256, device=frames.device) / 255
    black = by.black[:, None]
    curves = by.gain[:, None] * levels ** by.gamma[:, None] * (1 - black.abs()) + black
    curves = curves.clamp(0, 1)
    curves[:, 0] = 0  # beside the sector
    # Grey levels are 256 numbers: a table per clip is several times faster than a power per pixel.
    if frames.device.type == "cpu":  # and NumPy reads a table several times faster than torch
        tables = zip(curves.numpy(), frames.numpy(), strict=True)
        return torch.from_numpy(np.stack([curve[clip] for curve, clip in tables]))
    return curves.gather(1, frames.flatten(1).long()).view(frames.shape)


def moved(x: Tensor, by: Augmentation, size: int | None = None, mode: str = "bilinear") -> Tensor:
    """Pictures [B, T, H, W] turned, scaled, shifted, bent; read at `size` × `size` places where given; 0 beyond."""
    cos, sin = by.rotation_rad.cos() / by.scale, by.rotation_rad.sin() / by.scale
    x_by, y_by = 1 / by.stretch, by.stretch
    rows = torch.stack([cos * x_by, -sin * y_by, 2 * by.shift_x, sin * x_by, cos * y_by, 2 * by.shift_y], dim=-1)
    rows = rows.view(-1, 2, 3)
    high, wide = x.shape[2:] if size is None else (size, size)
    grid = F.affine_grid(rows, [len(x), 1, high, wide], align_corners=False)
    if bool((by.bend != 0).any()):
        aside = F.interpolate(by.bend[:, :1, :, None], (high, 1), mode="bicubic", align_corners=True)[:, 0]
        down = F.interpolate(by.bend[:, 1:, None], (1, wide), mode="bicubic", align_corners=True)[:, 0]
        grid += 2 * torch.stack([aside.expand(-1, -1, wide), down.expand(-1, high, -1)], -1)
    return F.grid_sample(x, grid, mode=mode, padding_mode="zeros", align_corners=False)


def _noise(noise: Tensor, place: list[float], shape: torch.Size) -> Tensor:
    """A piece of the noise that begins at a place, a view [T, H, W] of at most GRAIN each."""
    for axis, (share, length) in enumerate(zip(place, shape, strict=True)):
        noise = noise.narrow(axis, int(share * (GRAIN - length + 1)), length)
    return noise


def random_crop(frames: Tensor, generator: torch.Generator, margin: int = 6) -> Tensor:
    """The paper's augmentation: pad by `margin` black pixels on each side, and cut the old size out anywhere.

    uint8 [B, T, H, W] to float in [0, 1].
    """
    height, width = frames.shape[-2:]
    padded = F.pad(frames, (margin,) * 4)
    corners = torch.randint(0, 2 * margin + 1, (len(frames), 2), generator=generator).tolist()
    cut = [clip[:, top : top + height, left : left + width] for clip, (top, left) in zip(padded, corners, strict=True)]
    return torch.stack(cut).float() / 255
