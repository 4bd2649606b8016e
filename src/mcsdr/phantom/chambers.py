"""The three chambers beside the left ventricle of a varied heart, and how each of them moves by itself.

*Right ventricle*: a crescent around the septum. With e the distance from the left ventricle's outer surface, s the
level along its axis and φ the angle around it, the cavity is

    0 < e < w,    w = W (1 − (1 − τ)²)^q · √(1 − (Δφ / arc)²) · (1 − R c_rv(t)),    τ = (s − s₀) / (1 − s₀),

so that a four-chamber plane meets a triangle that ends at the tricuspid valve, a short axis a sickle, and a
two-chamber plane nothing. R and c_rv are the person's own: nothing of them follows from the left ventricle's ejection
fraction. W and the valve's descent follow it loosely in two people of three (`life`).

*Atria*: superellipses behind the valves, side by side at the atrial septum, which goes on from the middle of the
ventricular septum; so septa and rings meet in a crux. Their roofs stand still while the base descends, and their width
follows c_a(t): reservoir in systole, conduit after it, and the kick.

Shapes as in `heart`: parameters [B, 1, 1], per-frame quantities [B, T, 1], points [B, T, P]; mm.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mcsdr.phantom import heart
from mcsdr.phantom.contraction import contraction, moment, pace, valve_opening
from mcsdr.phantom.heart import Beat, Surfaces
from mcsdr.phantom.outline import Parameters, profile

MOUTH = 0.42  # of an atrium's depth: where it is widest


class Motion(NamedTuple):
    """How the neighbours stand at each instant; fields [B, T, 1]."""

    right: Tensor  # c of the right ventricle: 0 at its end-diastole, 1 at its end-systole
    atrial: Tensor  # 0 empty to 1 full
    mitral: Tensor  # opening of the valves, 0 closed to 1 wide
    tricuspid: Tensor


class Corners(NamedTuple):
    """Where things meet in the four-chamber plane; fields [B, 1 or T, 1], x and z in mm."""

    hinge_x: Tensor  # of the mitral ring, to both sides
    septum_x: Tensor  # the septum's right face at the base
    crux_x: Tensor  # the middle of the septum at the base
    right_x: Tensor  # the right ventricle's free wall at the base
    right_z: Tensor  # the tricuspid ring
    roof_z: Tensor  # of the left atrium
    right_roof_z: Tensor


class Neighbours(NamedTuple):
    """Signed distances from the neighbours' cavities, [B, T, P]; the septum is the left ventricle's own wall."""

    free_mm: Tensor  # beyond the right ventricle's free wall, and around the septum
    left_atrium_mm: Tensor
    right_atrium_mm: Tensor


def motion(p: Parameters, times_s: Tensor) -> Motion:
    """The neighbours' own motion at `times_s` [B, T, 1]."""
    cycle, share, _ = moment(p, times_s)
    right = contraction(cycle, (share * p["rv_systole"]).clamp(max=0.75), p["rapid_filling"])
    atrial = contraction(cycle, share, p["la_conduit"])
    kick = ((0.95 - p["la_conduit"]) / 0.25).clamp(0, 1)  # fibrillating atria make no second wave
    opening = valve_opening(cycle, share, pace(p))
    late = (cycle - share) / (1 - share) > 0.66
    return Motion(right, atrial, *(opening * torch.where(late, kick * p["a_wave"], 1.0) for _ in "mt"))


def corners(p: Parameters, beat: Beat, moving: Motion) -> Corners:
    """The crux, the rings and the roofs."""
    a_d, _, wall = heart.end_diastole(p)
    end = profile(torch.ones_like(a_d), p)
    hinge, septum = beat.a_mm * end, -(beat.a_mm * end + beat.wall_mm)
    width = right_width(p, torch.ones_like(a_d), p["rv_forward"], moving)
    return Corners(
        hinge_x=hinge,
        septum_x=septum,
        crux_x=-(a_d * end + 0.5 * wall),
        right_x=septum - width,
        right_z=p["length_mm"] - p["tv_offset_mm"] - p["tapse_mm"] * moving.right,
        roof_z=p["length_mm"] + p["la_depth_mm"],
        right_roof_z=p["length_mm"] + p["ra_depth_mm"],
    )


def right_width(p: Parameters, level: Tensor, aside: Tensor, moving: Motion) -> Tensor:
    """w, the right ventricle's width at a level and at an angle from its middle."""
    along = ((level - p["rv_apex"]) / (1 - p["rv_apex"])).clamp(0, 1)
    crescent = (1 - (aside / p["rv_arc"]) ** 2).clamp(min=0).sqrt()
    return p["rv_mm"] * (1 - (1 - along) ** 2) ** p["rv_shape"] * crescent * (1 - p["rv_squeeze"] * moving.right)


def around(
    p: Parameters, here: Surfaces, moving: Motion, at: Corners, x: Tensor, y: Tensor, z: Tensor, base: Tensor
) -> Neighbours:
    """Where points lie from the neighbours' cavities."""
    angle = torch.atan2(y, x) if here.around is None else here.around
    aside = torch.remainder(angle + p["rv_forward"], 2 * math.pi) - math.pi
    free = here.epi_mm - right_width(p, here.level, aside, moving)
    septum = at.crux_x + p["atria_lean"] * (z - p["length_mm"])
    breathe = 1 + p["atrial_swing"] * (moving.atrial - 0.5)
    right_breathe = 1 + p["ra_swing"] * (moving.atrial - 0.5)
    atria = []
    for side, half, roof, mouth in (
        (1.0, p["la_mm"] * breathe, at.roof_z, base),
        (-1.0, p["ra_mm"] * right_breathe, at.right_roof_z, at.right_z),
    ):
        middle = septum + side * (half + 0.5 * p["atrial_septum_mm"])
        deep = roof - mouth
        along = (z - mouth - MOUTH * deep) / ((1 - MOUTH) * deep)
        beyond = (y.abs() - 0.11 * p["length_mm"]).clamp(min=0) / (0.6 * half)
        power = p["atria_power"]
        radius = ((x - middle) / half).abs() ** power + along.abs() ** power
        atria.append((torch.sqrt(radius ** (2 / power) + beyond**2) - 1) * half)
    return Neighbours(free, *atria)
