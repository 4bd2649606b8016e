"""What lies in and on the chambers of a varied phantom: drawn over the tissue, never part of a volume.

Valves, rings, chords, papillary muscles, trabeculae, bands and wires are lines between two points or dots in the
picture's plane; vessels are holes. Trabeculae and papillary muscles count to the cavity, as readers count them. A row
that is 0 in a whole batch costs nothing. Points [B, T, P], parameters [B, 1, 1], ends of lines [B, T, 1]; mm.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from mcsdr.phantom import heart
from mcsdr.phantom.chambers import Corners, Motion
from mcsdr.phantom.heart import Beat
from mcsdr.phantom.outline import Parameters, inside, profile
from mcsdr.study import View

THIN = 0.7  # echo of a leaflet's free half, which is thinner, / its other half's

Point = tuple[Tensor, Tensor]  # across and along, in the picture's plane


class Place(NamedTuple):
    """Where the points lie: the heart's frame, in mm, and what `heart.surfaces` says of them."""

    x: Tensor
    y: Tensor
    z: Tensor
    across: Tensor
    level: Tensor
    endo_mm: Tensor
    epi_mm: Tensor
    beat: Beat
    lateral: Tensor  # 0 septal to 1 lateral
    above: Tensor  # 1 on the ventricle's side of the mitral plane
    view: View


def draw(
    p: Parameters, at: Place, moving: Motion, corners: Corners, amplitude: Tensor, blood: Tensor, wall: Tensor
) -> tuple[Tensor, Tensor]:
    """Amplitude and blood with everything that the rows of the table say is there."""
    for fluid in _holes(p, at, corners):
        amplitude, blood = torch.lerp(amplitude, p["blood"], fluid), torch.maximum(blood, fluid)
    for mask in _muscles(p, at):
        amplitude, blood = torch.maximum(amplitude, mask * wall), blood * (1 - mask)
    if at.view == View.PSAX:  # which meets no valve
        return amplitude, blood
    lines = [*_valves(p, at, moving, corners), *_lines(p, at, moving, corners)]
    if at.view == View.A4C:  # the only plane in which the right heart's are drawn
        lines += _right_lines(p, at, moving, corners)
    for mask, echo in lines:
        amplitude, blood = torch.maximum(amplitude, mask * echo), blood * (1 - mask)
    return amplitude, blood


def line(at: Place, start: Point, end: Point, half_mm: Tensor | float) -> Tensor:
    """Mask of a line of half thickness `half_mm` between two points of the plane."""
    (x0, z0), (x1, z1) = start, end
    dx, dz = x1 - x0, z1 - z0
    u, v = at.across - x0, at.z - z0
    along = ((u * dx + v * dz) / (dx**2 + dz**2).clamp(min=1e-3)).clamp(0, 1)
    aside, beside = u - along * dx, v - along * dz
    return inside(torch.sqrt(aside * aside + beside * beside) - half_mm, 1.8)


def dot(at: Place, middle: Point, radius_mm: Tensor | float, rim_mm: float = 1.8) -> Tensor:
    """Mask of a dot."""
    aside, beside = at.across - middle[0], at.z - middle[1]
    return inside(torch.sqrt(aside * aside + beside * beside) - radius_mm, rim_mm)


def _bent(at: Place, start: Point, end: Point, bow: Tensor, half_mm: Tensor) -> Tensor:
    """Mask of a line whose middle lies aside by the share `bow` of its length."""
    (x0, z0), (x1, z1) = start, end
    middle = ((x0 + x1) / 2 - bow * (z1 - z0), (z0 + z1) / 2 + bow * (x1 - x0))
    return torch.maximum(line(at, start, middle, half_mm), THIN * line(at, middle, end, 0.6 * half_mm))


def _there(*rows: Tensor) -> bool:
    return all(bool((row != 0).any()) for row in rows)


# --- valves and rings ------------------------------------------------------------------------------------------------


def tips(p: Parameters, base: Tensor, hinge: Tensor, opening: Tensor) -> tuple[Point, Point]:
    """The free ends of the mitral leaflets: closed they meet, tethered nearer to the apex; open they point at it.

    How wide they swing is the person's own and tells nothing of how much the ventricle ejects.
    """
    angle = p["tethering"] + (p["leaflet_open"] - p["tethering"]) * opening
    ends = []
    for side, share in ((-1.0, p["anterior_share"]), (1.0, 1.06 - p["anterior_share"])):
        length = 2 * hinge * share / torch.cos(p["tethering"])
        ends.append((side * (hinge - torch.cos(angle) * length), base - torch.sin(angle) * length))
    return ends[0], ends[1]


def _valves(p: Parameters, at: Place, moving: Motion, corners: Corners) -> list[tuple[Tensor, Tensor]]:
    base, hinge, half = at.beat.base_mm, corners.hinge_x, p["leaflet_half_mm"]
    anterior, posterior = tips(p, base, hinge, moving.mitral)
    leaflets = torch.maximum(
        _bent(at, (-hinge, base), anterior, p["leaflet_bow"], half),
        _bent(at, (hinge, base), posterior, -p["leaflet_bow"], half),
    )
    drawn = [(leaflets, p["leaflets"])]
    if _there(p["groove"]):
        lateral = dot(at, (hinge + 0.9 * p["groove_mm"], base + 2.0), p["groove_mm"], 6.0)
        crux = dot(at, (corners.crux_x, base), 0.7 * p["groove_mm"], 4.0)
        drawn.append((torch.maximum(lateral, crux), p["groove"] * p["wall"]))
    if _there(p["annulus"]):
        lateral = dot(at, (hinge + 1.5, base + 0.5), p["annulus_mm"])
        crux = dot(at, (corners.crux_x, base - 1.0), p["annulus_mm"] * 1.3)
        drawn.append((torch.maximum(lateral, crux), p["annulus"] * p["wall"]))
    if _there(p["prosthesis"]):
        ring = torch.maximum(dot(at, (hinge, base), 2.6), dot(at, (-hinge, base), 2.6))
        drawn.append((ring, p["prosthesis"]))
    if _there(p["clip"]):
        between = ((anterior[0] + posterior[0]) / 2, (anterior[1] + posterior[1]) / 2)
        drawn.append((dot(at, between, 3.0), p["clip"]))
    return drawn


# --- lines and dots --------------------------------------------------------------------------------------------------


def _lines(p: Parameters, at: Place, moving: Motion, corners: Corners) -> list[tuple[Tensor, Tensor]]:
    drawn = []
    beat, base = at.beat, at.beat.base_mm
    if _there(p["chords"], p["papillary_a4c"]):
        muscle = _head(p, beat)
        for tip in tips(p, base, corners.hinge_x, moving.mitral):
            drawn.append((line(at, muscle, tip, 0.5), p["chords"] * p["wall"] * (p["papillary_a4c"] > 0)))
    if _there(p["tendon"]):
        ends = []
        for side, level in ((-1.0, p["tendon_level"]), (1.0, p["tendon_level"] + p["tendon_slope"])):
            ends.append((side * 0.95 * beat.a_mm * profile(level, p), beat.apex_mm + level * beat.length_mm))
        drawn.append((line(at, ends[0], ends[1], 0.7), p["tendon"] * p["wall"]))
    if _there(p["calcium"]):
        level = p["calcium_level"]
        spot = (p["calcium_side"] * 0.97 * beat.a_mm * profile(level, p), beat.apex_mm + level * beat.length_mm)
        drawn.append((dot(at, spot, p["calcium_mm"]), p["calcium"]))
    return drawn


def _right_lines(p: Parameters, at: Place, moving: Motion, corners: Corners) -> list[tuple[Tensor, Tensor]]:
    drawn = []
    base, right = at.beat.base_mm, corners.right_z
    middle, span = (corners.septum_x + corners.right_x) / 2, (corners.septum_x - corners.right_x) / 2
    if _there(p["tricuspid"]):
        angle = 0.12 + (p["leaflet_open"] - 0.12) * moving.tricuspid
        for side in (-1.0, 1.0):
            tip = (middle + side * span * (1 - 1.05 * torch.cos(angle)), right - 1.05 * span * torch.sin(angle))
            bow = -side * p["leaflet_bow"]
            leaflet = _bent(at, (middle + side * span, right), tip, bow, p["leaflet_half_mm"])
            drawn.append((leaflet, p["tricuspid"] * p["leaflets"]))
    if _there(p["annulus"]):
        drawn.append((dot(at, (corners.right_x - 1.0, right), p["annulus_mm"]), p["annulus"] * p["wall"]))
    if _there(p["groove"]):
        groove = dot(at, (corners.right_x - 0.9 * p["groove_mm"], right + 2.0), p["groove_mm"], 6.0)
        drawn.append((groove, p["groove"] * p["wall"]))
    if _there(p["moderator_band"]):
        level = torch.full_like(base, 0.42)
        septum = corners.septum_x * profile(level, p)
        end = (septum - 0.62 * p["rv_mm"], level * p["length_mm"] + 9.0)
        drawn.append((line(at, (septum, level * p["length_mm"]), end, 1.4), p["moderator_band"] * p["wall"]))
    if _there(p["lead"]):
        tip = (corners.septum_x * 0.85 - 3.0, (0.36 * p["length_mm"]).expand_as(base))
        wire = torch.maximum(
            line(at, (corners.right_x, corners.right_roof_z), (middle, right), 0.8),
            line(at, (middle, right), tip, 0.8),
        )
        drawn.append((wire, p["lead"]))
    return drawn


def _head(p: Parameters, beat: Beat) -> Point:
    """Where a papillary muscle's chords begin."""
    level = p["papillary_level"] + 0.10
    inner = profile(level, p) - p["papillary_side"] * 0.25 - 0.5 * p["papillary_a4c"]
    return inner * beat.a_mm, beat.apex_mm + level * beat.length_mm


# --- muscles ---------------------------------------------------------------------------------------------------------


def _muscles(p: Parameters, at: Place) -> list[Tensor]:
    drawn = []
    if _there(p["trabeculae_mm"]):
        depth = p["trabeculae_mm"] * (1.3 - at.level.clamp(0, 1))
        waves = torch.sin(2 * math.pi * p["trabeculae_count"] * at.level + 3 * torch.sign(at.x))
        teeth = 0.5 + 0.5 * torch.sin(2.3 * waves + 2 * math.pi * 0.37 * p["trabeculae_count"] * at.level)
        ragged = inside(-at.endo_mm - depth * (0.2 + teeth)) * inside(at.endo_mm) * at.above
        drawn.append(0.7 * ragged * (p["trabeculae_mm"] > 0))
    if at.view == View.PSAX:
        return [*drawn, heart.papillary_muscles(p, at.beat, at.x, at.y, at.z) * at.above]
    if _there(p["papillary_a4c"]):  # one muscle that the plane crosses, lying along the lateral wall
        half = heart.end_diastole(p)[0]
        width = p["papillary_a4c"] * half + 1e-3
        across = (-at.endo_mm - p["papillary_side"] * 0.25 * half) / width
        along = (at.level - p["papillary_level"]) / 0.13
        there = inside((across**2 + along**2 - 1) * width) * at.above
        drawn.append(there * (at.x > 0) * (p["papillary_a4c"] > 0))
    return drawn


# --- vessels and fluid -----------------------------------------------------------------------------------------------


def _holes(p: Parameters, at: Place, corners: Corners) -> list[Tensor]:
    drawn = []
    base = at.beat.base_mm
    if _there(p["effusion_mm"]):  # an echo-free rim outside the lateral wall and the apex
        rim = inside(2.5 - at.epi_mm) * inside(at.epi_mm - 2.5 - p["effusion_mm"])
        side = torch.maximum(at.lateral, (1 - at.level / 0.3).clamp(0, 1))
        drawn.append(rim * side * inside(at.z - base) * (p["effusion_mm"] > 0))
    if _there(p["outflow"]):  # the root of the aorta between septum and left atrium, as a plane tilted forward meets it
        beyond = at.z - base
        half = 0.5 * p["outflow"] * corners.hinge_x
        tube = inside((at.x + 0.55 * corners.hinge_x + 0.3 * beyond).abs() - half)
        drawn.append(tube * inside(-beyond - 6.0) * inside(beyond - 24.0) * (p["outflow"] > 0))
    if at.view != View.A4C:
        return drawn
    if _there(p["coronary_sinus"]):  # along the groove behind the septum, as a plane tilted backwards meets it
        end = (corners.crux_x - p["ra_mm"], base + 6.0)
        drawn.append(
            line(at, (corners.hinge_x * 0.3, base + 3.0), end, p["coronary_sinus"]) * (p["coronary_sinus"] > 0)
        )
    if _there(p["aorta_mm"]):  # the descending aorta behind the left atrium
        middle = (p["aorta_x"] * p["la_mm"], corners.roof_z + p["aorta_mm"] + 6.0)
        drawn.append(dot(at, middle, p["aorta_mm"]) * (p["aorta_mm"] > 0))
    return drawn


def behind(p: Parameters, beyond_mm: Tensor) -> Tensor:
    """Echo of the band of tissue behind the atria that follows the sector's far arc, by how far beyond their roof."""
    band = torch.sigmoid(beyond_mm / 1.5) * torch.exp(-((beyond_mm.clamp(min=0) / p["far_wall_mm"]) ** 2))
    return p["far_wall"] * p["wall"] * band
