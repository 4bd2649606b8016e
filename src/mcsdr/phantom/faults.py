"""What the sound and the machine do wrong, on the beam's own grid: a varied phantom's faults.

Shapes as in `ultrasound`: parameters [B, 1, 1], the grid [B, T, R, BEAMS], complex echoes [B, 2, T, R, BEAMS]. What is
absent has strength 0 and changes nothing.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mcsdr.phantom.outline import Parameters

PATCHES = 32  # a side, before a field of patches repeats
FLICKER = (14, 11)  # independent places along and across the sector in the field of a frame
ARC_MM = 7.0  # between one near-field arc and the next


def dropout(p: Parameters, blood: Tensor, beam_u: Tensor, beam_v: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Share of the echo that is left where a wall runs along the beam, [B, T, P]; blood loses nothing.

    The wall's normal is that of an ellipse about the ventricle's middle, half its length deep.
    """
    if not bool((p["dropout"] != 0).any()):
        return torch.ones_like(blood)
    across = u / (0.3 * p["length_mm"]) ** 2
    along = (v - 0.55 * p["length_mm"]) / (0.6 * p["length_mm"]) ** 2
    beams = beam_u.shape[-1]
    rows = u.shape[-1] // beams
    direction_u, direction_v = (side.expand(-1, -1, rows, -1).flatten(2) for side in (beam_u, beam_v))
    facing = (across * direction_u + along * direction_v).abs() / torch.sqrt(across * across + along * along).clamp(
        min=1e-6
    )
    return 1 - p["dropout"] * (1 - facing) ** 2 * (1 - blood)


def patches(p: Parameters, texture: Tensor, where_mm: Tensor, contraction: Tensor) -> Tensor:
    """How much brighter or darker tissue is from place to place, moving with it: a log-normal field, mean 1.

    As tissue slides through the plane, the field turns into another one.

    Arguments:
        texture: [B, 2, N, N], a corner of which is read, one sample for every `patch_mm`.
        where_mm: the matter's place, [B, T, P, 2].
        contraction: [B, T, 1].
    """
    field = texture[:, :, :PATCHES, :PATCHES] * (1.5 * math.sqrt(2))  # SD 1 after bilinear reading
    grid = where_mm / p["patch_mm"][..., None] * (2 / PATCHES)
    one, other = F.grid_sample(field, grid, mode="bilinear", padding_mode="reflection", align_corners=False).unbind(1)
    turn = p["patch_turn"] * contraction
    return _log_normal(torch.cos(turn) * one + torch.sin(turn) * other, p["patchiness"])


def veil(p: Parameters, texture: Tensor, rows: int, beams: int) -> Tensor:
    """The same, fixed to the probe: [B, rows, beams]."""
    coarse = texture[:, 1:, :7, :6] * math.sqrt(2)
    field = F.interpolate(coarse, (rows, beams), mode="bicubic", align_corners=False)[:, 0]
    return _log_normal(field, p["veil"])


def streaks(p: Parameters, texture: Tensor, depth_mm: Tensor, angle: Tensor) -> Tensor:
    """The same of tissue that lies in layers across the beams, moving with it: [B, T, P].

    Arguments:
        depth_mm: range at which the matter lay at end-diastole, [B, T, P].
        angle: at which beam, −1 to 1 [B, T, P].
    """
    field = texture[:, 1:, -PATCHES:, -PATCHES:] * (1.5 * math.sqrt(2))
    down, across = depth_mm / p["streaks_mm"], angle / (2 * p["streaks_arc"])
    # Layers lean a little, as no two run parallel to the probe.
    grid = torch.stack([across, down + 1.5 * across], -1) * (2 / PATCHES)
    read = F.grid_sample(field, grid, mode="bilinear", padding_mode="reflection", align_corners=False)[:, 0]
    return _log_normal(read, p["streaks"])


def flickering(p: Parameters, amplitude: Tensor, texture: Tensor, offsets: Tensor, rows: int, beams: int) -> Tensor:
    """Echo [B, T, P] brighter here and darker there in every frame anew: scatterers enter and leave the plane.

    Arguments:
        offsets: where in the texture a frame's field lies, int [B, T, 2].
    """
    if not bool((p["flicker"] != 0).any()):
        return amplitude
    down, across = (torch.arange(n, device=texture.device) for n in FLICKER)
    row, column = (offsets[..., k, None, None].to(texture.device) for k in (0, 1))
    which = torch.arange(len(texture), device=texture.device)[:, None, None, None]
    coarse = texture[which, 0, row + down[:, None], column + across] * math.sqrt(2)
    field = F.interpolate(coarse, (rows, beams), mode="bicubic", align_corners=False).flatten(2)
    return amplitude * _log_normal(field, p["flicker"])


def _log_normal(field: Tensor, sd: Tensor) -> Tensor:
    """A normal field of SD 1 as factors of mean 1, whose logarithms have SD `sd`."""
    return torch.exp(sd * field.clamp(-2.5, 2.5) - 0.5 * sd**2)


def blurred(echo: Tensor, sigma: Tensor, dim: int) -> Tensor:
    """Echoes [B, 2, T, R, BEAMS] blurred along `dim`, −1 or −2, by a Gaussian of SD `sigma` [B] samples, power kept."""
    n = echo.shape[dim]
    apart = torch.arange(n, device=echo.device)
    weights = torch.exp(-0.5 * ((apart[:, None] - apart) / sigma.clamp(min=0.2)[:, None, None]) ** 2)
    weights = (weights / weights.square().sum(1, keepdim=True).sqrt())[:, None, None]
    return echo @ weights if dim == -1 else weights.transpose(-1, -2) @ echo


def smoothed(field: Tensor, sigma: Tensor, dim: int) -> Tensor:
    """Fields [B, 1, T, R, Q] blurred along `dim`, −1 or −2, by a Gaussian of SD `sigma` [B] samples, mean kept."""
    apart = torch.arange(field.shape[dim], device=field.device)
    weights = torch.exp(-0.5 * ((apart[:, None] - apart) / sigma.clamp(min=0.2)[:, None, None]) ** 2)
    weights = (weights / weights.sum(1, keepdim=True))[:, None, None]
    return field @ weights if dim == -1 else weights.transpose(-1, -2) @ field


def torsion(p: Parameters, moving: Tensor, contraction: Tensor) -> Tensor:
    """Speckle [B, 2, T, R, BEAMS] of a wall that slides through the plane: it fades into other speckle within 4 mm."""
    if not bool((p["torsion"] != 0).any()):
        return moving
    angle = (p["torsion"] * contraction / 4).clamp(max=0.5 * math.pi)[:, None, :, :, None]
    return torch.cos(angle) * moving + torch.sin(angle) * moving.roll((37, 23), dims=(-2, -1))


def echoes(p: Parameters, echo: Tensor, free: Tensor) -> Tensor:
    """Reverberation: the near field again at twice its depth. Side lobes: bright echoes smeared across beams."""
    if not bool(((p["reverberation"] != 0) | (p["side_lobes"] != 0)).any()):
        return echo
    depth = torch.arange(echo.shape[-2], device=echo.device)
    again = echo[..., depth // 2, :] * torch.exp(-depth / 40.0)[:, None]
    loud = torch.sqrt(echo[:, 0] ** 2 + echo[:, 1] ** 2).mean(-1, keepdim=True)[:, None]
    strength = p["reverberation"][..., None, None]
    return echo + strength * again + p["side_lobes"][..., None, None] * loud * free


def speckled(p: Parameters, even: Tensor, blood: Tensor) -> Tensor:
    """How much of its speckle an envelope shows, of one without any [B, T, H, W]: less where tissue echoes weakly.

    Machines average more where there is little to see, and what is seen there is the sum of many beams' flanks.
    """
    weak = (p["weak"] * p["wall"])[..., None] ** 2
    calm = p["calm"][..., None] * (1 - blood) + p["blood_calm"][..., None] * blood
    return p["speckle_depth"][..., None] * (1 - calm * weak / (weak + even * even))


def clutter(p: Parameters, r_mm: Tensor) -> Tensor:
    """Strength of near-field arcs at range r [B, R, 1], fixed to the probe."""
    arcs = 0.5 + 0.5 * torch.cos(2 * math.pi * r_mm / ARC_MM)
    return p["clutter"] * arcs * torch.exp(-((r_mm / p["clutter_depth_mm"]) ** 2))


def noise(p: Parameters, envelope: Tensor, free: Tensor) -> Tensor:
    """The envelope with electronic noise, which grows with depth as the gain does."""
    if not bool((p["noise"] != 0).any()):
        return envelope
    depth = torch.linspace(0, 1, envelope.shape[-2], device=envelope.device)[:, None]
    hiss = (free[:, 0] ** 2 + free[:, 1] ** 2).flip(-1)
    return torch.sqrt(envelope**2 + (p["noise"][..., None] * depth) ** 2 * hiss)


def gain(p: Parameters, depth: Tensor) -> Tensor:
    """Time-gain compensation set in waves, over the depth 0 to 1 [B, R, 1]."""
    return torch.exp(p["tgc"] * torch.sin(2 * math.pi * p["tgc_waves"] * depth + p["tgc_phase"]))


def seen(p: Parameters, depth: Tensor, angle: Tensor) -> Tensor:
    """Share of the echo left near the sector's ends: depth 0 to 1 [B, R, 1], angle −1 to 1 [B, 1, BEAMS]."""
    side = torch.where(p["lung_side"] < 0, -1.0, 1.0)
    behind = torch.sigmoid((side * angle - p["lung_at"]) / (0.25 * p["lung_edge"]))
    flank = 1 - p["flank"] * angle.abs() ** 3 * (1.3 * depth).clamp(max=1)
    return flank * (1 - p["lung"] * behind) * (depth > p["near_field"])


def exposed(p: Parameters, envelope: Tensor, within: Tensor) -> Tensor:
    """The gain [B, 1, 1, 1] that brings the envelope's 95th percentile within the sector to the grey `exposure`.

    Inverts the grey curve of `ultrasound`, and the shoulder g (1 + s)/(1 + s g) of grey levels g:
    ((log(1 + C k E)/log(1 + C) − b)/(1 − b))^γ = exposure / (1 + s (1 − exposure)), solved for k.
    """
    seen = [one[where] for one, where in zip(envelope, within, strict=True)]
    bright = torch.stack([torch.quantile(one, 0.95) for one in seen]).clamp(min=1e-4)[:, None, None]
    before_shoulder = p["exposure"] / (1 + p["shoulder"] * (1 - p["exposure"]))
    before_gamma = before_shoulder ** (1 / p["gamma"])
    level = before_gamma * (1 - p["black_level"]) + p["black_level"]
    return (torch.expm1(level * torch.log1p(p["compression"])) / (p["compression"] * bright))[..., None]


def shouldered(p: Parameters, grey: Tensor) -> Tensor:
    """Grey levels [B, T, H, W] whose brightest part is compressed: g (1 + s)/(1 + s g)."""
    shoulder = p["shoulder"][..., None]
    return grey * (1 + shoulder) / (1 + shoulder * grey)


def processing(p: Parameters, grey: Tensor) -> Tensor:
    """Grey levels [B, T, R, BEAMS] in [0, 1] with speckle smoothed where there is no edge, and an S-shaped curve."""
    if bool((p["speckle_filter"] > 0).any()):
        near = F.avg_pool2d(grey, 3, 1, 1, count_include_pad=False)
        wide = F.avg_pool2d(grey, 7, 1, 3, count_include_pad=False)
        edge = ((near - wide).abs() / 0.10).clamp(0, 1)
        grey = torch.lerp(grey, near, p["speckle_filter"][..., None] * (1 - edge))
    if bool((p["s_curve"] > 0).any()):
        grey = torch.lerp(grey, grey**2 * (3 - 2 * grey), p["s_curve"][..., None])
    return grey
