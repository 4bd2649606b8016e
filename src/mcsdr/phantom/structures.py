"""What else lies in and around the ventricle of a varied phantom: drawn over the tissue, never part of its volume.

Trabeculae and papillary muscles count to the cavity, as readers count them. Points [B, T, P], parameters [B, 1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mcsdr.phantom.outline import Parameters, inside, ridge


class Place(NamedTuple):
    """Where the points lie: the heart's frame, in mm, and what `heart.surfaces` says of them."""

    x: Tensor
    y: Tensor
    z: Tensor
    level: Tensor
    endo_mm: Tensor
    epi_mm: Tensor
    base_mm: Tensor
    half_width_mm: Tensor  # of the cavity at end-diastole
    lateral: Tensor  # 0 septal to 1 lateral


def septal_bulge(p: Parameters, s: Tensor, around: Tensor) -> Tensor:
    """How much thicker the basal septum is at level s and angle φ, as a share of the wall."""
    septal = (0.5 - 0.5 * torch.cos(around)) ** 2
    return p["septal_bulge"] * septal * torch.exp(-0.5 * ((s - 0.85) / 0.15) ** 2)


def thicker(p: Parameters, s: Tensor, around: Tensor) -> Tensor:
    """How much thicker the wall is at level s and angle φ than an even one, as a share of it."""
    waves = torch.sin(2 * math.pi * p["wall_waves_count"] * s + p["wall_waves_phase"] + 1.3 * torch.cos(around))
    return septal_bulge(p, s, around) + p["wall_waves"] * waves * torch.cos(around - p["wall_waves_phase"])


def fading(p: Parameters, around: Tensor) -> Tensor:
    """Share of the echo that a neighbour's wall keeps at the angle φ around it."""
    phase = p["chamber_fade_phase"]
    waves = 0.5 + 0.3 * torch.cos(around + phase) + 0.2 * torch.cos(3 * around - 2 * phase)
    return 1 - p["chamber_fade"] * waves.clamp(0, 1)


def valve(
    x: Tensor,
    z: Tensor,
    hinge: Tensor,
    opening: Tensor,
    leaflets: Sequence[tuple[Tensor, float]],
    half_mm: Tensor | float,
) -> Tensor:
    """Mask of the two leaflets of a valve in the plane z = 0 that spans ±`hinge` around x = 0.

    Arguments:
        opening: 0 closed to 1 open; an open leaflet points towards −z.
        leaflets: of each, from −hinge and from hinge, its length in mm and the share of the span that it covers closed.
        half_mm: half their thickness.
    """
    angle = 0.25 + 1.05 * opening
    mask = torch.zeros_like(x)
    for side, (longest, share) in zip((-1.0, 1.0), leaflets, strict=True):
        length = torch.minimum(longest, hinge * 2 * share / torch.cos(angle).clamp(min=0.3))
        dx, dz = -side * torch.cos(angle), -torch.sin(angle)
        u = x - side * hinge
        along = torch.minimum((u * dx + z * dz).clamp(min=0), length)
        mask = torch.maximum(mask, inside(torch.hypot(u - along * dx, z - along * dz) - half_mm))
    return mask


def tricuspid(p: Parameters, opening: Tensor, base_mm: Tensor, half_width_mm: Tensor, x: Tensor, z: Tensor) -> Tensor:
    """Mask of the tricuspid leaflets, hinged a little nearer to the apex than the mitral ones."""
    half = 0.75 * p["rv_width"] * half_width_mm
    u, v = x + (1 + p["wall_share"]) * half_width_mm + half, z - base_mm + 5.0
    return valve(u, v, half, opening, [(0.8 * p["leaflet_mm"], 0.52)] * 2, p["leaflet_half_mm"]) * (p["tricuspid"] > 0)


def draw(
    p: Parameters, at: Place, amplitude: Tensor, blood: Tensor, wall: Tensor, above_base: Tensor
) -> tuple[Tensor, Tensor]:
    """Amplitude and blood with trabeculae, a papillary muscle, moderator band, far wall, effusion, outflow tract."""
    ragged = _trabeculae(p, at) * above_base
    muscle = _papillary(p, at) * above_base
    solid = torch.maximum(0.7 * ragged, muscle)
    amplitude = torch.maximum(amplitude, solid * wall)
    blood = blood * (1 - solid)
    band = _moderator_band(p, at)
    amplitude, blood = torch.maximum(amplitude, band * p["moderator_band"] * wall), blood * (1 - band)
    amplitude = torch.maximum(amplitude, p["far_wall"] * p["wall"] * _far_wall(p, at))
    ring = _annulus(p, at)
    amplitude, blood = torch.maximum(amplitude, ring * p["annulus"] * p["wall"]), blood * (1 - ring)
    for fluid in (_effusion(p, at), _outflow(p, at)):
        amplitude, blood = torch.lerp(amplitude, p["blood"], fluid), torch.maximum(blood, fluid)
    return amplitude, blood


def _trabeculae(p: Parameters, at: Place) -> Tensor:
    """A ragged layer inside the endocardium, thickest at the apex."""
    depth = p["trabeculae_mm"] * (1.3 - at.level.clamp(0, 1))
    waves = torch.sin(2 * math.pi * p["trabeculae_count"] * at.level + 3 * torch.sign(at.x))
    teeth = 0.5 + 0.5 * torch.sin(2.3 * waves + 2 * math.pi * 0.37 * p["trabeculae_count"] * at.level)
    return inside(-at.endo_mm - depth * (0.2 + teeth)) * inside(at.endo_mm) * (p["trabeculae_mm"] > 0)


def _papillary(p: Parameters, at: Place) -> Tensor:
    """One muscle that the plane crosses, lying along the lateral wall."""
    across = (-at.endo_mm - p["papillary_side"] * 0.25 * at.half_width_mm) / (
        p["papillary_a4c"] * at.half_width_mm + 1e-3
    )
    along = (at.level - p["papillary_level"]) / 0.13
    there = inside((across**2 + along**2 - 1) * p["papillary_a4c"] * at.half_width_mm)
    return there * (at.x > 0) * (p["papillary_a4c"] > 0)


def _moderator_band(p: Parameters, at: Place) -> Tensor:
    """A line across the right ventricle towards its apex."""
    right = at.x + 1.15 * at.half_width_mm
    line = ridge(at.z - 0.34 * at.base_mm - 0.25 * right, 1.8)
    return line * inside(right) * inside(-right - 0.9 * p["rv_width"] * at.half_width_mm) * (p["moderator_band"] > 0)


def _effusion(p: Parameters, at: Place) -> Tensor:
    """An echo-free rim outside the lateral wall and the apex."""
    rim = inside(2.5 - at.epi_mm) * inside(at.epi_mm - 2.5 - p["effusion_mm"])
    side = torch.maximum(at.lateral, (1 - at.level / 0.3).clamp(0, 1))
    return rim * side * inside(at.z - at.base_mm) * (p["effusion_mm"] > 0)


def _far_wall(p: Parameters, at: Place) -> Tensor:
    """What reflects behind the atria: a band that bends with their roof."""
    waves = p["far_wall_waves_mm"] * torch.sin(at.x / 14 + p["chamber_fade_phase"])
    bent = p["far_wall_bend"] * at.x**2 + p["far_wall_slope"] * at.x
    roof = p["length_mm"] * (1 + p["atrial_length"]) - bent + waves
    extent = torch.exp(-0.5 * ((at.x + 0.3 * p["length_mm"]) / p["far_wall_wide_mm"]) ** 2)
    return extent * ridge(at.z - roof - 0.5 * p["far_wall_mm"], 0.5 * p["far_wall_mm"] + 2.0) * (p["far_wall"] > 0)


def _annulus(p: Parameters, at: Place) -> Tensor:
    """The two ends of the mitral ring."""
    apart = torch.hypot(at.endo_mm.abs() - 0.5 * p["annulus_mm"], at.z - at.base_mm)
    return inside(apart - p["annulus_mm"]) * (p["annulus"] > 0)


def _outflow(p: Parameters, at: Place) -> Tensor:
    """The root of the aorta between septum and left atrium, as a plane tilted forward meets it."""
    half = 0.5 * p["outflow"] * at.half_width_mm
    beyond = at.z - at.base_mm
    tube = inside((at.x + 0.55 * at.half_width_mm + 0.3 * beyond).abs() - half)
    return tube * inside(-beyond - 6.0) * inside(beyond - 24.0) * (p["outflow"] > 0)
