"""Styles of drawing that phantoms for training never have: one for selection and calibration, three for measuring.

A style changes what tissue looks like, what a machine makes of it and what the rules of the anatomy are, so that how
well a model bears real echo, which is another style again, can be told from phantoms. Each is a set of rows that are 0
elsewhere (`table.SHIFTED`):

    shifted-val     walls in two bright layers with a dark one between; speckle smoothed where there is no edge; an
                    S-shaped grey curve; the apex rocks
    shifted-test    tissue is bright where it faces the beam and dark along it; speckle coarser than the beam tells,
                    side lobes; the wall slides through the plane; ejection early or late
    shifted-other   speckle has the tissue's grain, not the beam's; few grey levels; echoes that stand in the cavities;
                    the long axis is bent, the right ventricle widens in systole, the left one fills late
    shifted-fourth  the mean of several looks at the speckle; edges are enhanced, scan lines stand out; the lateral wall
                    is the bright one, the ring tilts in systole, the axis leaves the plane between apex and base
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mcsdr.phantom.outline import Parameters
from mcsdr.phantom.planes import depth_mm

MESH_MM = 1.1  # of the tissue's own grain
SCAN_LINES = 24  # over the sector


def layered(p: Parameters, wall: Tensor, endo_mm: Tensor, epi_mm: Tensor) -> Tensor:
    """Echo of the wall [B, T, P], its middle layer darker by the share `layers`."""
    if not bool((p["layers"] != 0).any()):
        return wall
    deep = (endo_mm / (endo_mm - epi_mm).clamp(min=1e-3)).clamp(0, 1)
    return wall * (1 - p["layers"] * (4 * deep * (1 - deep)) ** 2)


def facing(p: Parameters, amplitude: Tensor, blood: Tensor, rows: int, beams: int) -> Tensor:
    """Echo [B, T, P] of tissue on the polar grid, brighter where it changes along the beam, as specular tissue is."""
    if not bool((p["specular"] != 0).any()):
        return amplitude
    field = amplitude.view(*amplitude.shape[:2], rows, beams)
    step = torch.zeros_like(field)
    step[:, :, 1:] = (field[:, :, 1:] - field[:, :, :-1]).abs()
    bright = (0.5 + 4.0 * step.flatten(2) / p["wall"]).clamp(max=2.5)
    return amplitude * torch.lerp(torch.ones_like(blood), bright, p["specular"] * (1 - blood))


def standing(p: Parameters, texture: Tensor, rows: int, beams: int) -> Tensor:
    """Strength [B, rows, beams] of echoes that stand over the sector in clouds; [B, 1, 1] where there are none."""
    if not bool((p["standing"] != 0).any()):
        return p["standing"]
    clouds = F.interpolate(texture[:, 1:, -9:, :8] * math.sqrt(2), (rows, beams), mode="bicubic", align_corners=False)
    return p["standing"] * p["wall"] * clouds[:, 0].clamp(0, 2)


def mesh_place(p: Parameters, beam: Tensor, depth: Tensor, side: int) -> Tensor:
    """Where matter lies in a texture of the tissue's own grain, alike along and across the beam, [B, T, H, W, 2].

    Arguments:
        beam, depth: of the matter at end-diastole, −1 to 1, [B, T, H, W].
        side: samples of the texture along one.
    """
    range_mm, angle = (depth + 1) / 2 * depth_mm(p)[..., None], beam * p["half_angle"][..., None]
    place = torch.stack([range_mm * torch.sin(angle), range_mm * torch.cos(angle) - 90.0], -1)
    return place * (2 / (MESH_MM * side))


def lined(p: Parameters, angle: Tensor) -> Tensor:
    """Gain of beams at `angle`, shares of the half angle: stripes, brighter and fainter by the share `lines`."""
    return 1 + p["lines"] * torch.cos(2 * math.pi * SCAN_LINES / 2 * angle)


def enhanced(p: Parameters, grey: Tensor) -> Tensor:
    """Grey levels [B, T, H, W], by the share `halo` further from those around them."""
    if not bool((p["halo"] != 0).any()):
        return grey
    around = F.avg_pool2d(grey, 5, 1, 2, count_include_pad=False)
    return (grey + p["halo"][..., None] * (grey - around)).clamp(0, 1)


def stepped(p: Parameters, grey: Tensor) -> Tensor:
    """Grey levels [B, T, H, W] in [0, 1], of which there are `steps` alone; 0 leaves them as they are."""
    if not bool((p["steps"] != 0).any()):
        return grey
    steps = p["steps"][..., None].clamp(min=1.0)
    return torch.where(p["steps"][..., None] > 0, (grey * steps).round() / steps, grey)
