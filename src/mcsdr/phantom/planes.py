"""Where a picture lies: the sector in front of the probe, and the plane that it cuts through the heart.

Three frames, all in mm. *Picture*: right of and down from the sector's tip. *Plane*: (u, v), the picture shifted and
turned to where the heart is held, so that in an apical view v runs along the long axis from the apex and u across it,
and in the short axis both start at the middle of the ventricle. *Heart*: (x, y, z) of `heart`,

    A4C    x = u,                          y = d
    A2C    x = u cos φ − d sin φ,          y = u sin φ + d cos φ          φ = plane_angle
           z = L + (v − L) cos f,          d = (v − L) sin f + offset     f = foreshortening, about the base
    PSAX   x = u,   y = −v,                z = level · L
    PLAX   as A2C at another angle, the long axis lying across the picture

with L the length at end-diastole. A varied heart may be curved: its cross-sections are then shifted along x by
4 b L s (1 − s), s = z / L, by a sine of s besides, and by more of the first as the ventricle contracts. The heart
sways once a beat and follows the breath; a varied one also turns about its base within the plane, and the probe slides.
In pixels, x runs to the right and y downwards and the centre of the pixel frames[i, j] is (j + ½, i + ½): a point
(x, y) lies in frames[⌊y⌋, ⌊x⌋].
A picture that is not square shows all that the square one shows, with more at its sides or below.

Shapes: parameters [B, 1, 1], times and per-frame quantities [B, T, 1], points [B, 1 or T, P].
"""

from __future__ import annotations

import torch
from torch import Tensor

from mcsdr.errors import InvalidConfig
from mcsdr.phantom import heart
from mcsdr.phantom.contraction import contraction_at
from mcsdr.phantom.outline import Parameters
from mcsdr.study import View

APICAL = (View.A4C, View.A2C)
PLAIN = (*APICAL, View.PSAX)


def check(view: View, among: tuple[View, ...] = PLAIN) -> View:
    """The view, if the phantom has it.

    Raises:
        InvalidConfig: it has not.
    """
    if view not in among:
        raise InvalidConfig(f"no such plane for the view {view}.", next_step=f"Choose of {', '.join(among)}.")
    return View(view)


def at_adult_size(p: Parameters) -> Parameters:
    """The same heart in the millimetres of an adult's, in which everything else of the table is given."""
    return p | {"length_mm": p["length_mm"] / p["size"], "size": torch.ones_like(p["size"])}


def depth_mm(p: Parameters) -> Tensor:
    """Depth of the sector, [B, 1, 1]."""
    return p["length_mm"] / p["lv_share"]


def image_side_mm(p: Parameters) -> Tensor:
    """Shorter side of the picture: between the sector's depth and its full width."""
    return depth_mm(p) * torch.lerp(torch.ones_like(p["framing"]), 2 * torch.sin(p["half_angle"]), p["framing"])


def lv_share(p: Parameters) -> Tensor:
    """The share of the depth that the LV's length has in a short axis of a given `diameter_share`."""
    a_mm, b_mm, wall_mm = heart.end_diastole(p)
    return p["diameter_share"] * p["length_mm"] / (2 * (torch.maximum(a_mm, b_mm) + wall_mm))


def pixels_mm(p: Parameters, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Pixel centres right of [B, 1, W] and down from [B, H, 1] the sector's tip."""
    (height, width), side = size, image_side_mm(p)
    square = min(size)
    column = (torch.arange(width, device=side.device) + (0.5 - (width - square) / 2)) / square
    row = (torch.arange(height, device=side.device) + 0.5) / square
    return (column[None, None, :] - 0.5 - p["probe_x"]) * side, (row[None, :, None] - p["probe_y"]) * side


def to_pixels(p: Parameters, size: tuple[int, int], right: Tensor, down: Tensor) -> Tensor:
    """Points of the picture in pixels (x, y), [..., 2]; the inverse of `pixels_mm`."""
    pitch, square = image_side_mm(p) / min(size), min(size)
    return torch.stack([right / pitch + p["probe_x"] * square + size[1] / 2, down / pitch + p["probe_y"] * square], -1)


def to_plane(p: Parameters, view: View, times_s: Tensor, right: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """Points of the picture in the plane, u and v, each [B, T, P]."""
    held_right, held_down, turn = _hold(p, view)
    sway_right, sway_down, breath = _motion(p, times_s)
    right = right - held_right - sway_right
    down = down - held_down - sway_down - breath
    u, v = torch.cos(turn) * right - torch.sin(turn) * down, torch.cos(turn) * down + torch.sin(turn) * right
    return _turned(p, u, v, swing(p, times_s)) if "swing" in p else (u, v)


def beam(p: Parameters, view: View, times_s: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """The direction along u and v, each [B, T, 1, BEAMS], of the beams at angle θ [B, 1, BEAMS]."""
    turned = (theta - _hold(p, view)[2] - swing(p, times_s))[:, :, None]
    return torch.sin(turned), torch.cos(turned)


def to_picture(p: Parameters, view: View, times_s: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Points of the plane right of and down from the sector's tip; the inverse of `to_plane`."""
    held_right, held_down, turn = _hold(p, view)
    sway_right, sway_down, breath = _motion(p, times_s)
    if "swing" in p:
        u, v = _turned(p, u, v, -swing(p, times_s))
    right = torch.cos(turn) * u + torch.sin(turn) * v + held_right + sway_right
    return right, torch.cos(turn) * v - torch.sin(turn) * u + held_down + sway_down + breath


def at_rest(p: Parameters, view: View, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Points of the plane right of and down from the sector's tip, where they would be if nothing moved."""
    held_right, held_down, turn = _hold(p, view)
    right = torch.cos(turn) * u + torch.sin(turn) * v + held_right
    return right, torch.cos(turn) * v - torch.sin(turn) * u + held_down


def roof_range_mm(p: Parameters, view: View) -> Tensor:
    """From which range on the sector shows what lies behind a varied heart, [B, 1, 1]."""
    if view not in APICAL:
        return 0.85 * depth_mm(p)
    right, down, turn = _hold(p, view)
    roof = p["length_mm"] + torch.maximum(p["la_depth_mm"], p["ra_depth_mm"])
    return torch.hypot(right + torch.sin(turn) * roof, down + torch.cos(turn) * roof) + p["far_wall_gap_mm"]


def to_heart(
    p: Parameters, view: View, u: Tensor, v: Tensor, times_s: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Points of the plane in the heart's frame: x, y, z; where its axis moves too, at `times_s` [B, T, 1]."""
    if view == View.PSAX:
        return _straight(p, u, -v, (p["level"] * p["length_mm"]).expand_as(u), times_s)
    along = v - p["length_mm"]  # from the base, towards the atria
    z = p["length_mm"] + along * torch.cos(p["foreshortening"])
    off = (along * torch.sin(p["foreshortening"]) + p["plane_offset_mm"]).expand_as(u)
    if view == View.A4C:
        return _straight(p, u, off, z, times_s)
    cos, sin = torch.cos(p["plane_angle"]), torch.sin(p["plane_angle"])
    return _straight(p, u * cos - off * sin, u * sin + off * cos, z, times_s)


def _straight(p: Parameters, x: Tensor, y: Tensor, z: Tensor, times_s: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """A heart whose axis is curved, straightened: every cross-section is shifted as a whole, so volumes are kept."""
    if "bend" not in p:
        return x, y, z
    z = z if times_s is None else z + sheared_by(p, x, times_s)
    s = (z / p["length_mm"]).clamp(0, 1)
    x = x - 4 * p["bend"] * p["length_mm"] * s * (1 - s)
    if bool((p["bend_across"] != 0).any()):
        y = y - 4 * p["bend_across"] * p["length_mm"] * s * (1 - s)
    if bool((p["bend_s"] != 0).any()):
        x = x - p["bend_s"] * p["length_mm"] * torch.sin(2 * torch.pi * s)
    return x if times_s is None else x - bent_by(p, z, times_s), y, z


def bent_by(p: Parameters, z: Tensor, times_s: Tensor) -> Tensor:
    """How far along x cross-sections at z have moved since end-diastole, mm [B, T, P]; [B, 1, 1] where none does."""
    if not bool((p["bend_moves"] != 0).any()):
        return p["bend_moves"]
    s = (z / p["length_mm"]).clamp(0, 1)
    return 4 * p["bend_moves"] * contraction_at(p, times_s) * p["length_mm"] * s * (1 - s)


def sheared_by(p: Parameters, x: Tensor, times_s: Tensor) -> Tensor:
    """How much nearer to the apex than the axis' the matter at x has come since end-diastole, mm; shapes as above."""
    if not bool((p["shear"] != 0).any()):
        return p["shear"]
    return p["shear"] * contraction_at(p, times_s) * x


def _motion(p: Parameters, times_s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How far the heart has swayed right and down, and down with the breath."""
    beats = times_s * p["heart_rate_bpm"] / 60 + p["phase"]
    pulse = torch.sin(2 * torch.pi * beats)
    if "drift" in p:  # a varied heart is jerked by its own systole and filling
        pulse = 0.5 * pulse + 1.2 * contraction_at(p, times_s) - 0.6
    sway = p["sway"] * image_side_mm(p) * pulse
    breath = p["breathing"] * image_side_mm(p) * torch.sin(2 * torch.pi * times_s * 0.25 + p["breathing_phase"])
    right, down = sway * torch.cos(p["sway_angle"]), sway * torch.sin(p["sway_angle"])
    if "drift" in p:  # to and fro within some seconds, so that a long clip does not leave the heart
        slid = p["drift"] * image_side_mm(p) * torch.sin(0.8 * times_s) / 0.8
        right, down = right + slid * torch.cos(p["drift_angle"]), down + slid * torch.sin(p["drift_angle"])
    return right, down, breath


def swing(p: Parameters, times_s: Tensor) -> Tensor:
    """How far the heart is turned about its base within the plane at each instant, rad [B, T, 1]."""
    beats = times_s * p["heart_rate_bpm"] / 60 + p["phase"]
    turn = p["swing"] * torch.sin(2 * torch.pi * beats + p["swing_phase"])
    turn = turn + p["breathing_turn"] * torch.sin(2 * torch.pi * times_s * 0.25 + p["breathing_phase"])
    turn = turn + p["drift_turn"] * torch.sin(0.8 * times_s) / 0.8
    return turn + p["rocking"] * contraction_at(p, times_s)


def _turned(p: Parameters, u: Tensor, v: Tensor, by: Tensor) -> tuple[Tensor, Tensor]:
    """Points of the plane turned about the middle of the base."""
    along = v - p["length_mm"]
    return torch.cos(by) * u - torch.sin(by) * along, p["length_mm"] + torch.sin(by) * u + torch.cos(by) * along


def _hold(p: Parameters, view: View) -> tuple[Tensor, Tensor, Tensor]:
    """The plane's origin right of and below the sector's tip, and its turn within the picture."""
    match view:
        case View.PSAX:
            return _hold_short_axis(p)
        case View.PLAX:
            right = (p["apex_x"] - 0.5) * p["length_mm"]
            return right, p["apex_y"] * depth_mm(p), 0.5 * torch.pi + p["tilt"]
        case _:
            return _hold_apical(p)


def _hold_apical(p: Parameters) -> tuple[Tensor, Tensor, Tensor]:
    """Apex and tilt of the axis: the sonographer keeps the base in the sector."""
    down = p["apex_y"] * depth_mm(p)
    right = p["apex_x"] * down * torch.tan(p["half_angle"])
    a_mm, _, _ = heart.end_diastole(p)
    reach = (down + 0.9 * p["length_mm"]) * torch.tan(p["half_angle"]) - 0.6 * a_mm
    lowest, highest = (torch.asin(((side * reach - right) / p["length_mm"]).clamp(-1, 1)) for side in (-1, 1))
    return right, down, torch.minimum(torch.maximum(p["tilt"], lowest), highest)


def _hold_short_axis(p: Parameters) -> tuple[Tensor, Tensor, Tensor]:
    """Middle of the ventricle and roll: the sonographer keeps the ring within the sector."""
    radius = p["length_mm"] * p["diameter_share"] / (2 * p["lv_share"])
    deep_enough = torch.maximum(p["centre_y"] * depth_mm(p), 0.95 * radius / torch.sin(p["half_angle"]))
    down = torch.minimum(deep_enough, depth_mm(p) - 1.05 * radius)
    room = (down * torch.sin(p["half_angle"]) - 0.9 * radius).clamp(min=0) / torch.cos(p["half_angle"])
    return p["centre_x"] * room, down, p["roll"]
