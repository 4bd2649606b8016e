"""What a varied heart is made of, point by point: four chambers, their walls, and what lies around them.

Painted from the back to the front: tissue around the heart, the atria's walls and the right ventricle's free wall, the
three cavities beside, the left ventricle's wall and its cavity, and then what `structures` adds. Walls are drawn as
they are seen: the septum sharp on both sides; the lateral wall passing into what lies beyond over `lateral_fade_mm`;
the apex as faint as `apical_gain` says.

Tissue around the heart is brightest next to it, and falls off with the distance d from the nearest chamber,

    echo = far + (near − far) exp(−d / reach),

and its matter moves with the heart only where it is near. Shapes as in `heart`.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mcsdr.phantom import chambers, heart, structures, styles
from mcsdr.phantom.heart import Beat
from mcsdr.phantom.outline import Parameters, inside, ridge
from mcsdr.phantom.structures import Place
from mcsdr.study import View

DRAGGED_MM = 45.0  # how far from the heart tissue still moves with it


class Matter(NamedTuple):
    """What lies at a point; fields [B, T, P]."""

    amplitude: Tensor  # echo amplitude before speckle
    blood: Tensor  # 1 in blood, 0 in tissue
    outside: Tensor  # 1 around the heart, 0 in it
    stretch: Tensor  # times x and y: where the point's matter lay at end-diastole
    z_material_mm: Tensor


def tissue(
    p: Parameters, beat: Beat, times_s: Tensor, view: View, x: Tensor, y: Tensor, z: Tensor, across: Tensor
) -> Matter:
    """What lies at the points (x, y, z) [B, T, P] of the heart's own frame.

    Valves hang in the picture's plane; `across` is the place along it, x in a four-chamber plane.
    """
    here = _closed_apex(p, beat, heart.surfaces(p, beat, x, y, z), z)
    moving = chambers.motion(p, times_s)
    at = chambers.corners(p, beat, moving)
    beside = chambers.around(p, here, moving, at, x, y, z, beat.base_mm)
    above, above_right = inside(here.beyond_base_mm), inside(z - at.right_z)
    rim = p["edge_mm"]
    lateral = (x / 16 + 0.5).clamp(0, 1)
    wall = _wall_echo(p, here.level, lateral)

    amplitude, outside = _around(p, beside, here, above_right, x)
    amplitude = _thin_walls(p, beside, above, above_right, amplitude)
    right = inside(beside.free_mm + 0.8, rim) * inside(-here.epi_mm, rim) * above_right
    atria = inside(beside.left_atrium_mm, rim) * (1 - above)
    atria = torch.maximum(atria, inside(beside.right_atrium_mm, rim) * (1 - above_right) * inside(x - at.crux_x))
    blood = torch.maximum(right, atria)
    amplitude = torch.lerp(amplitude, p["blood"], blood)

    in_cavity = inside(here.endo_mm, rim * (1 + p["lateral_soft"] * lateral)) * above
    ending = inside(here.beyond_base_mm, p["basal_fade_mm"])
    in_wall = inside(here.epi_mm, rim + p["lateral_fade_mm"] * lateral) * ending
    in_wall = torch.where(here.beyond_base_mm > 0, in_wall * (1 - blood), in_wall)
    wall = styles.layered(p, wall, here.endo_mm, here.epi_mm)
    amplitude = torch.lerp(amplitude, wall, in_wall)
    amplitude = amplitude + p["endocardium"] * wall * above * ridge(here.endo_mm - 1.0, 1.6)
    amplitude = amplitude + p["pericardium"] * p["wall"] * lateral * above * ridge(here.epi_mm - 1.5, 2.2)
    amplitude = torch.lerp(amplitude, p["blood"], in_cavity)
    blood = torch.lerp(blood * (1 - in_wall), torch.ones_like(blood), in_cavity)

    place = Place(x, y, z, across, here.level, here.endo_mm, here.epi_mm, beat, lateral, above, view)
    amplitude, blood = structures.draw(p, place, moving, at, amplitude, blood, wall)
    stretch, z_material = heart.material(p, beat, z, here)
    dragged = torch.exp(-here.epi_mm.clamp(min=0) / DRAGGED_MM)
    return Matter(amplitude, blood, outside, 1 + (stretch - 1) * dragged, torch.lerp(z, z_material, dragged))


def left_atrium_mm(p: Parameters, beat: Beat, times_s: Tensor, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Signed distance from the left atrium's cavity, [B, T, P]."""
    moving = chambers.motion(p, times_s)
    at = chambers.corners(p, beat, moving)
    here = heart.surfaces(p, beat, x, y, z)
    return chambers.around(p, here, moving, at, x, y, z, beat.base_mm).left_atrium_mm


def _closed_apex(p: Parameters, beat: Beat, here: heart.Surfaces, z: Tensor) -> heart.Surfaces:
    """Beyond the apex the outer surface is as far as the apex is, not as the axis."""
    beyond = (beat.apex_mm - p["apical_wall"] * beat.wall_mm - z).clamp(min=0)
    epi = torch.where(beyond > 0, torch.hypot(here.epi_mm, beyond), here.epi_mm)
    return heart.Surfaces(here.level, here.radius, here.local, here.endo_mm, epi, here.beyond_base_mm, here.around)


def _wall_echo(p: Parameters, level: Tensor, lateral: Tensor) -> Tensor:
    """Echo of the left ventricle's wall: septum against lateral wall, and fainter or brighter at the apex."""
    wall = p["wall"] * torch.lerp(p["septal_gain"], p["lateral_gain"], lateral)
    return wall * torch.lerp(p["apical_gain"], torch.ones_like(level), (level / 0.4).clamp(0, 1))


def _around(
    p: Parameters, beside: chambers.Neighbours, here: heart.Surfaces, above_right: Tensor, x: Tensor
) -> tuple[Tensor, Tensor]:
    """Echo of what lies around the heart, and 1 there."""
    ventricles = beside.free_mm.minimum(here.epi_mm) + 60 * (1 - above_right)
    distance = ventricles.minimum(beside.left_atrium_mm).minimum(beside.right_atrium_mm)
    near = torch.exp(-distance.clamp(min=0) / p["reach_mm"])
    side = (1 + p["surroundings_side"] * (x / 60)).clamp(0.15, 2.0)
    echo = p["wall"] * (p["far_echo"] + (p["near_echo"] - p["far_echo"]) * near) * side
    return echo, inside(-distance, 6.0)


def _thin_walls(
    p: Parameters, beside: chambers.Neighbours, above: Tensor, above_right: Tensor, amplitude: Tensor
) -> Tensor:
    """The atria's walls, the septum between them, and the right ventricle's free wall over what lies around."""
    thin = p["wall"] * p["atrial_wall"]
    for distance, there in ((beside.left_atrium_mm, 1 - above), (beside.right_atrium_mm, 1 - above_right)):
        shell = inside(distance - p["atrial_wall_mm"]) * there
        amplitude = torch.lerp(amplitude, thin.expand_as(amplitude), shell)
    free = inside(beside.free_mm - p["rv_wall_mm"], 2.5) * above_right
    return torch.lerp(amplitude, (p["wall"] * p["rv_wall"]).expand_as(amplitude), free)
