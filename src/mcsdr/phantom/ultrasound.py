"""How a phantom becomes a picture: speckle, beam, attenuation, compression, scan conversion.

Everything happens on the beam's own grid (range r, angle θ). With amplitude A(r, θ, t) of the tissue and complex
Gaussian-in-K speckle n,

    echo = PSF ∗ (A n) + haze,    n = √(1−f) n_material + √f n_free,    E = (1−d) A + d |echo|,

where n_material is read at the matter's end-diastolic place, so that speckle moves with tissue; n_free is new in each
frame (f = 1 in blood). Then attenuation and shadows, log compression, black level, gamma, and the sector is laid on
the picture, of whatever size: the beam's grid stays as it is. Frames are independent of each other and of the batch.

Randomness comes in from outside (`ranges.draw`, `ranges.draw_texture`), so a phantom is the same on every device and
in every batch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mcsdr.phantom import heart, planes
from mcsdr.phantom.outline import Parameters
from mcsdr.phantom.planes import depth_mm
from mcsdr.phantom.ranges import TEXTURE
from mcsdr.study import View

SIZE = 112
RANGE_SAMPLES, BEAMS = 120, 80
TEXTURE_PITCH_MM = 0.9
FRAMES_AT_ONCE = 8  # keeps the working set of a clip within the processor's cache


def render(
    p: Parameters,
    texture: Tensor,
    offsets: Tensor,
    times_s: Tensor,
    view: View = View.A4C,
    size: tuple[int, int] = (SIZE, SIZE),
) -> Tensor:
    """Pictures uint8 [B, T, H, W] of phantoms at the given instants.

    Arguments:
        p: parameters [B, 1, 1] by name: every row of `ranges.RANGES`, those of `ranges.VIEWS` for the view, "ef", a
            share, and "size", 1 for an adult.
        texture: complex speckle, float [B, 2, TEXTURE, TEXTURE].
        offsets: where each frame's free speckle is cut from the texture, int [B, T, 2].
        times_s: float [B, T].
        view: the plane through the heart.
        size: height and width of the picture in pixels.
    """
    p = planes.at_adult_size(p)
    chunks = []
    gain, grid = _static_gain(p), scan_grid(p, size)
    for start in range(0, times_s.shape[1], FRAMES_AT_ONCE):
        part = slice(start, start + FRAMES_AT_ONCE)
        envelope = _envelope(p, view, texture, offsets[:, part], times_s[:, part, None])
        chunks.append(_to_picture(p, envelope * gain, grid))
    return torch.cat(chunks, dim=1)


def polar_grid(p: Parameters, ranges: int = RANGE_SAMPLES, beams: int = BEAMS) -> tuple[Tensor, Tensor]:
    """Range in mm [B, ranges, 1] and beam angle [B, 1, beams]."""
    device = p["half_angle"].device
    r = depth_mm(p) * ((torch.arange(ranges, device=device) + 0.5) / ranges)[None, :, None]
    theta = p["half_angle"] * ((torch.arange(beams, device=device) + 0.5) * 2 / beams - 1)[None, None, :]
    return r, theta


def _matter(p: Parameters, view: View, times_s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Amplitude, blood [B, T, P] and place in the speckle texture, mm [B, T, P, 2], of the polar grid's points."""
    r, theta = polar_grid(p)
    right, down = ((r * side(theta)).flatten(1)[:, None, :] for side in (torch.sin, torch.cos))
    u, v = planes.to_plane(p, view, times_s, right, down)
    x, y, z = planes.to_heart(p, view, u, v)
    matter = heart.tissue(p, heart.beat(p, times_s), x, y, z, across=u)
    along = v * matter.stretch if view == View.PSAX else matter.z_material_mm - 70.0
    return matter.amplitude, matter.blood, torch.stack([u * matter.stretch, along], dim=-1)


def _envelope(p: Parameters, view: View, texture: Tensor, offsets: Tensor, times_s: Tensor) -> Tensor:
    """Detected echo amplitude on the polar grid, [B, T, RANGE_SAMPLES, BEAMS], before depth gain."""
    batch, frames = times_s.shape[:2]
    shape = (batch, frames, RANGE_SAMPLES, BEAMS)
    amplitude, blood, where = _matter(p, view, times_s)
    amplitude, blood = amplitude.view(shape), blood.view(shape)

    where = where / (TEXTURE_PITCH_MM * TEXTURE / 2)
    moving = F.grid_sample(texture, where, mode="bilinear", padding_mode="reflection", align_corners=False)
    moving = moving.view(batch, 2, *shape[1:])
    free = _free_speckle(texture, offsets)
    share = torch.lerp(p["speckle_free"][..., None], torch.ones_like(blood), blood)[:, None]
    # Bilinear reading averages neighbours and keeps 4/9 of the texture's power on average.
    echo = amplitude[:, None] * (1.5 * torch.sqrt(1 - share) * moving + torch.sqrt(share) * free)
    echo = _point_spread(p, echo)
    r, _ = polar_grid(p)
    haze = (p["haze"] * torch.exp(-r / p["haze_depth_mm"]))[:, None, None]
    still = texture[:, :, None, :RANGE_SAMPLES, -BEAMS:]
    echo = echo + haze * (0.8 * still + 0.6 * free)
    haze = haze[:, :, 0]
    detected = torch.sqrt(echo[:, 0] ** 2 + echo[:, 1] ** 2)
    return torch.lerp(amplitude + haze, detected, p["speckle_depth"][..., None])


def _free_speckle(texture: Tensor, offsets: Tensor) -> Tensor:
    """A window of the texture for each frame, [B, 2, T, RANGE_SAMPLES, BEAMS]."""
    windows = []
    for noise, places in zip(texture, offsets.tolist(), strict=True):
        windows.append(torch.stack([noise[:, i : i + RANGE_SAMPLES, j : j + BEAMS] for i, j in places], dim=1))
    return torch.stack(windows)


def _point_spread(p: Parameters, echo: Tensor) -> Tensor:
    """Blur along range and across beams with Gaussians of the beam's width; keeps the speckle's power."""
    range_step = depth_mm(p) / RANGE_SAMPLES
    beam_step = 2 * p["half_angle"] / BEAMS
    for dim, sigma in ((-2, p["sigma_axial_mm"] / range_step), (-1, p["sigma_lateral"] / beam_step)):
        weights = torch.exp(-0.5 * (torch.arange(3, device=echo.device) / sigma[..., 0].clamp(min=0.2)) ** 2)
        norm = torch.sqrt(weights[:, :1] ** 2 + 2 * (weights[:, 1:] ** 2).sum(1, keepdim=True))
        weights = (weights / norm)[:, :, None, None, None, None]
        size = echo.shape[dim]
        blurred = weights[:, 0] * echo
        for shift in (1, 2):
            low, high = echo.narrow(dim, 0, size - shift), echo.narrow(dim, shift, size - shift)
            blurred.narrow(dim, shift, size - shift).add_(weights[:, shift] * low)
            blurred.narrow(dim, 0, size - shift).add_(weights[:, shift] * high)
        echo = blurred
    return echo


def _static_gain(p: Parameters) -> Tensor:
    """Attenuation over depth times shadows over angle, [B, 1, RANGE_SAMPLES, BEAMS]."""
    return shadowed(p, *polar_grid(p))[:, None]


def shadowed(p: Parameters, r: Tensor, theta: Tensor) -> Tensor:
    """What attenuation leaves at range r [B, R, 1] and shadows at angle θ [B, 1, Q], [B, R, Q]."""
    gain = torch.exp(-p["attenuation"] * (r / depth_mm(p) - 0.35))
    for shadow in ("shadow1", "shadow2"):
        distance = (theta - p[f"{shadow}_at"] * p["half_angle"]) / p[f"{shadow}_width"]
        on = (p[f"{shadow}_on"] > 0.5).float()
        gain = gain * (1 - on * p[f"{shadow}_depth"] * torch.exp(-0.5 * distance**2))
    return gain


def scan_grid(p: Parameters, size: tuple[int, int]) -> Tensor:
    """Where each pixel of the picture lies on the polar grid, in grid_sample's units, [B, H, W, 2]."""
    right, down = planes.pixels_mm(p, size)
    r, theta = torch.sqrt(right**2 + down**2), torch.atan2(right, down)
    return torch.stack([theta / p["half_angle"], r / depth_mm(p) * 2 - 1], dim=-1)


def compressed(p: Parameters, envelope: Tensor) -> Tensor:
    """Grey levels 0 to 1 before gamma of envelopes [B, T, …, …]: log(1 + C E) / log(1 + C), less the black level."""
    compression, black = p["compression"][..., None], p["black_level"][..., None]
    grey = torch.log1p(compression * envelope) / torch.log1p(compression)
    return ((grey - black) / (1 - black)).clamp(0, 1)


def _to_picture(p: Parameters, envelope: Tensor, grid: Tensor) -> Tensor:
    """Compress, lay the sector on the picture, black outside, as uint8 [B, T, H, W]."""
    grey = compressed(p, envelope)
    picture = F.grid_sample(grey, grid, mode="bilinear", padding_mode="border", align_corners=False)
    inside = (grid.abs() <= 1).all(-1)[:, None]
    picture = picture ** p["gamma"][..., None] * inside
    return (picture * 255).round().clamp(0, 255).to(torch.uint8)
