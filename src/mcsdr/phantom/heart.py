"""One beating heart: a left ventricle whose ejection fraction is exact by construction, and what surrounds it.

The cavity is a solid of elliptic cross-sections along the long axis, s = 0 at the apex and 1 at the mitral plane:

    semi-axes a·p(s), b·p(s);   p(s) = (1 − |1 − (1+h)s|^α)^β;   V = π a b L ∫p² ds.

α = 2, β = ½ is the truncated ellipsoid. With the contraction c(t) running from 0 (end-diastole, ED) to 1 (end-systole,
ES), volume and length are linear in c and the short axes follow, so at every instant the volume is what it should be:

    V = V_d (1 − EF·c),   L = L_d (1 − κ·EF·c),   a/a_d = k^(½+δ),   b/b_d = k^(½−δ),   k = V L_d / (V_d L).

The wall keeps its volume (up to `wall_thickening`), the epicardial apex stays, the base descends. Right ventricle and
atria are ellipses across x and z that move in step or in counter-phase and close beyond a flat middle across y, so
that a four-chamber plane meets all of them and a two-chamber plane only the left atrium; leaflets are two segments.

The heart's frame: x from septum to lateral wall in the four-chamber plane, y across that plane towards the anterior
wall, z from apex to base. Pictures (`tissue`) and truth (`truth.labels`) read the same surfaces, signed distances
that are negative inside.

Varied hearts (`variety`) also contract unevenly, in irregular beats (`contraction`), and have walls of uneven
thickness; their volumes follow the same law, and `anatomy` draws them.

Shapes: parameters [B, 1, 1], per-frame quantities [B, T, 1], points [B, T, P]. Units: mm and seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mcsdr.phantom.contraction import Unevenness, moment, of_left, pace, uneven, valve_opening
from mcsdr.phantom.outline import Parameters, inside, profile, profile_integral, ridge


@dataclass(frozen=True)
class Beat:
    """The state of the heart at each frame; every field is [B, T, 1]."""

    contraction: Tensor
    a_mm: Tensor
    b_mm: Tensor
    length_mm: Tensor
    wall_mm: Tensor
    apex_mm: Tensor  # of the endocardium, along the long axis; the epicardial apex stays at −apical wall (ED)
    opening: Tensor  # of the mitral valve, 0 closed to 1 open
    unevenness: Unevenness | None = None  # None where the whole ventricle contracts alike

    @property
    def base_mm(self) -> Tensor:
        """Position of the mitral plane along the long axis."""
        return self.apex_mm + self.length_mm


@dataclass(frozen=True)
class Surfaces:
    """Where points lie in the left ventricle; fields [B, T, P]."""

    level: Tensor  # along the axis, 0 at the apex and 1 at the mitral plane
    radius: Tensor  # of the ellipse through the point, 1 = the widest cavity
    local: Tensor | float  # the cavity's radius here over that of an even contraction
    endo_mm: Tensor
    epi_mm: Tensor
    beyond_base_mm: Tensor  # the ventricle ends at the mitral plane
    around: Tensor | None = None  # φ, where the ventricle contracts unevenly


@dataclass(frozen=True)
class Chamber:
    """A neighbour of the left ventricle: an ellipse across x and z, on one side of the mitral plane."""

    x_mm: Tensor
    z_mm: Tensor
    half_width_mm: Tensor
    half_length_mm: Tensor
    side: float  # 1 on the apex's side of the mitral plane, −1 beyond it
    wall_mm: float
    y_mm: Tensor  # middle of the flat stretch across y
    flat_mm: Tensor  # its half length
    closing_mm: Tensor  # within which the chamber closes beyond it

    def distance_mm(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Signed distance from the cavity's outline."""
        beyond = ((y - self.y_mm).abs() - self.flat_mm).clamp(min=0) / self.closing_mm
        across, along = (x - self.x_mm) / self.half_width_mm, (z - self.z_mm) / self.half_length_mm
        return (torch.sqrt(across**2 + along**2 + beyond**2) - 1) * self.half_width_mm


@dataclass(frozen=True)
class Tissue:
    """What a point is made of; fields [B, T, P]."""

    amplitude: Tensor  # echo amplitude before speckle
    blood: Tensor  # 1 in blood, 0 in tissue
    stretch: Tensor  # times x and y: where the point's matter lay at end-diastole
    z_material_mm: Tensor


def end_diastole(p: Parameters) -> tuple[Tensor, Tensor, Tensor]:
    """Half width in the plane, half width across it, and wall thickness at end-diastole, in mm, each [B, 1, 1]."""
    below_normal = (0.60 - p["ef"]).clamp(min=0) / 0.52
    a_mm = p["length_mm"] * p["slenderness"] * (1 + p["dilation"] * below_normal)
    return a_mm, a_mm * (1 + p["roundness"]), a_mm * p["wall_share"]


def volumes_ml(p: Parameters) -> tuple[Tensor, Tensor]:
    """End-diastolic and end-systolic cavity volume in mL, each [B]."""
    a_mm, b_mm, _ = end_diastole(p)
    edv = math.pi * a_mm * b_mm * p["length_mm"] * profile_integral(p) / 1000
    return edv.flatten(), (edv * (1 - p["ef"])).flatten()


def beat(p: Parameters, times_s: Tensor) -> Beat:
    """The heart's state at `times_s` [B, T, 1]; `p["ef"]` is the ejection fraction as a share."""
    cycle, systolic_share, ef = moment(p, times_s)
    c = of_left(p, cycle, systolic_share)
    a_d, b_d, wall_d = end_diastole(p)
    length = p["length_mm"] * (1 - p["shortening"] * ef / 0.6 * c)
    k = (1 - ef * c) * p["length_mm"] / length
    a, b = a_d * k ** (0.5 + p["plane_share"]), b_d * k ** (0.5 - p["plane_share"])
    wall = wall_thickness(p, a, b, length)
    return Beat(
        contraction=c,
        a_mm=a,
        b_mm=b,
        length_mm=length,
        wall_mm=wall,
        apex_mm=p["apical_wall"] * (wall - wall_d),
        opening=valve_opening(cycle, systolic_share, pace(p)),
        unevenness=uneven(p, c, k) if "akinesia" in p else None,
    )


def wall_thickness(p: Parameters, a: Tensor, b: Tensor, length: Tensor) -> Tensor:
    """Thickness w with (a+w)(b+w)(L+κw) − abL as at end-diastole, by Newton's method; then softened."""
    a_d, b_d, wall_d = end_diastole(p)
    kappa = p["apical_wall"]

    def shell(a: Tensor, b: Tensor, length: Tensor, w: Tensor) -> Tensor:
        return (a + w) * (b + w) * (length + kappa * w) - a * b * length

    muscle = shell(a_d, b_d, p["length_mm"], wall_d)
    w = wall_d.expand_as(a)
    for _ in range(5):
        slope = (a + b + 2 * w) * (length + kappa * w) + (a + w) * (b + w) * kappa
        w = w - (shell(a, b, length, w) - muscle) / slope
    return wall_d * (w / wall_d) ** p["wall_thickening"]


def surfaces(p: Parameters, beat: Beat, x: Tensor, y: Tensor, z: Tensor) -> Surfaces:
    """The left ventricle's surfaces as seen from the points (x, y, z) [B, T, P]."""
    a, b, w = beat.a_mm, beat.b_mm, beat.wall_mm
    s = (z - beat.apex_mm) / beat.length_mm
    radius = torch.sqrt((x / a) ** 2 + (y / b) ** 2)
    outline = profile(s, p)
    local: Tensor | float = 1.0
    outer_local: Tensor | float = 1.0
    around: Tensor | None = None
    if beat.unevenness is not None:
        around = torch.atan2(y / b, x / a)
        local = beat.unevenness.local(p, s, around)
        # The outside moves half as much as the inside, so a wall that does not move in does not thicken either.
        outer_local = 1 + 0.5 * (local - 1) * a / (a + w) + thicker(p, s, around) * w / (a + w)
        outline = outline * local
    endo_mm = torch.hypot((radius - outline) * a, s.clamp(max=0) * beat.length_mm)
    endo_mm = torch.where(radius < outline, -endo_mm, endo_mm)
    s_outer = (s * beat.length_mm + p["apical_wall"] * w) / (beat.length_mm + p["apical_wall"] * w)
    outer = torch.sqrt((x / (a + w)) ** 2 + (y / (b + w)) ** 2)
    epi_mm = (outer - profile(s_outer, p) * outer_local) * (a + w)
    return Surfaces(s, radius, local, endo_mm, epi_mm, z - beat.base_mm, around)


def thicker(p: Parameters, s: Tensor, around: Tensor) -> Tensor:
    """How much thicker the wall is at level s and angle φ than an even one, as a share of it."""
    waves = torch.sin(2 * math.pi * p["wall_waves_count"] * s + p["wall_waves_phase"] + 1.3 * torch.cos(around))
    septal = (0.5 - 0.5 * torch.cos(around)) ** 2 * torch.exp(-0.5 * ((s - 0.85) / 0.15) ** 2)
    return p["septal_bulge"] * septal + p["wall_waves"] * waves * torch.cos(around - p["wall_waves_phase"])


def chambers(p: Parameters, beat: Beat) -> dict[str, Chamber]:
    """Right ventricle, left and right atrium, in the order in which they are laid over each other.

    Within 0.14 (ventricle) or 0.11 (atria) of the LV's length from the axis the outlines do not depend on y.
    """
    a_d, _, wall_d = end_diastole(p)
    base, length = beat.base_mm, p["length_mm"]
    rv_half = p["rv_width"] * a_d * (1 - 0.2 * beat.contraction)
    half_atrium = (length * (1 + p["atrial_length"]) - base) / 2
    septum = -(a_d + wall_d)
    la_half, ra_half = p["la_radius"] * a_d, p["ra_radius"] * a_d
    forward = 0.09 * length  # the right ventricle reaches further towards the anterior wall than away from it
    middle, beyond = torch.zeros_like(length), base + half_atrium
    flat = 0.11 * length
    return {
        "rv": Chamber(
            *(septum - 0.1 * rv_half, 0.72 * base, rv_half, 0.62 * base, 1.0, 4.0),
            *(forward, 0.14 * length + forward, 0.5 * rv_half),
        ),
        "la": Chamber(*(0.1 * a_d, beyond, la_half, half_atrium, -1.0, 2.5, middle, flat, 0.6 * la_half)),
        "ra": Chamber(*(septum - 0.3 * rv_half, beyond, ra_half, half_atrium, -1.0, 2.5, middle, flat, 0.6 * ra_half)),
    }


def tissue(p: Parameters, beat: Beat, x: Tensor, y: Tensor, z: Tensor, across: Tensor | None = None) -> Tissue:
    """What lies at the points (x, y, z) [B, T, P] of the heart's own frame.

    The leaflets hang in the picture's plane; `across` is the place along it, x in a four-chamber plane.
    """
    here = surfaces(p, beat, x, y, z)
    amplitude, blood = _neighbours(p, beat, x, y, z)
    above_base = inside(here.beyond_base_mm)
    lateral = (x / 16 + 0.5).clamp(0, 1)
    wall = p["wall"] * torch.lerp(p["septal_gain"], p["lateral_gain"], lateral)
    in_wall, in_cavity = inside(here.epi_mm) * above_base, inside(here.endo_mm) * above_base
    amplitude = torch.lerp(amplitude, wall, in_wall)
    amplitude = amplitude + p["endocardium"] * wall * above_base * ridge(here.endo_mm - 1.0, 1.6)
    amplitude = amplitude + p["pericardium"] * lateral * above_base * ridge(here.epi_mm - 1.5, 1.8)
    if "papillary" in p:
        in_cavity = in_cavity * (1 - papillary_muscles(p, beat, x, y, z))
    amplitude = torch.lerp(amplitude, p["blood"], in_cavity)
    blood = torch.lerp(blood * (1 - in_wall), torch.ones_like(blood), in_cavity)
    leaflets = _leaflets(p, beat, x if across is None else across, z)
    amplitude = torch.maximum(amplitude, p["leaflets"] * leaflets)
    if "blank_beyond" in p:  # share of the half width at end-diastole: nothing lateral of it is seen, whatever moves
        amplitude = amplitude * inside(x - p["blank_beyond"] * end_diastole(p)[0])
    stretch, z_material = material(p, beat, z, here)
    return Tissue(amplitude, blood * (1 - leaflets), stretch, z_material)


def _neighbours(p: Parameters, beat: Beat, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Amplitude and blood of right ventricle and atria over the surroundings."""
    fade = (0.5 + 0.5 * p["surroundings_side"] * (x / 60)).clamp(0, 1)
    amplitude, blood = p["surroundings"] * fade, torch.zeros_like(x)
    for chamber in chambers(p, beat).values():
        distance = chamber.distance_mm(x, y, z)
        this_side = inside(chamber.side * (z - beat.base_mm))
        in_wall, in_cavity = inside(distance - chamber.wall_mm) * this_side, inside(distance) * this_side
        amplitude = torch.lerp(amplitude, 0.75 * p["wall"], in_wall)
        amplitude = torch.lerp(amplitude, p["blood"], in_cavity)
        blood = torch.lerp(blood * (1 - in_wall), torch.ones_like(x), in_cavity)
    return amplitude, blood


def papillary_muscles(p: Parameters, beat: Beat, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Mask of two round muscles at the wall, away from the septum; readers count them to the cavity."""
    outline = profile((z - beat.apex_mm) / beat.length_mm, p)
    a_d, _, _ = end_diastole(p)
    mask = torch.zeros_like(x)
    for angle in (-0.6, -2.45):  # anterolateral and posteromedial, about 4 and 8 o'clock
        dx = x - 0.80 * math.cos(angle) * outline * beat.a_mm
        dy = y - 0.80 * math.sin(angle) * outline * beat.b_mm
        mask = torch.maximum(mask, inside(torch.hypot(dx, dy) - p["papillary"] * a_d))
    return mask


def _leaflets(p: Parameters, beat: Beat, x: Tensor, z: Tensor) -> Tensor:
    """Mask of the two mitral leaflets, hinged at the annulus; open, they point towards the apex."""
    hinge = beat.a_mm * profile(torch.ones_like(beat.a_mm), p)
    # The anterior leaflet, at the septum, is the longer one.
    pair = [(p["leaflet_mm"] * share / 0.62, share) for share in (0.62, 0.45)]
    return _valve(x, z - beat.base_mm, hinge, beat.opening, pair)


def _valve(
    x: Tensor,
    z: Tensor,
    hinge: Tensor,
    opening: Tensor,
    leaflets: Sequence[tuple[Tensor, float]],
) -> Tensor:
    """Mask of the two leaflets of a valve in the plane z = 0 that spans ±`hinge` around x = 0.

    Arguments:
        opening: 0 closed to 1 open; an open leaflet points towards −z.
        leaflets: of each, from −hinge and from hinge, its length in mm and the share of the span that it covers closed.
    """
    angle = 0.25 + 1.05 * opening
    mask = torch.zeros_like(x)
    for side, (longest, share) in zip((-1.0, 1.0), leaflets, strict=True):
        length = torch.minimum(longest, hinge * 2 * share / torch.cos(angle).clamp(min=0.3))
        dx, dz = -side * torch.cos(angle), -torch.sin(angle)
        u = x - side * hinge
        along = torch.minimum((u * dx + z * dz).clamp(min=0), length)
        mask = torch.maximum(mask, inside(torch.hypot(u - along * dx, z - along * dz) - 0.9))
    return mask


def material(p: Parameters, beat: Beat, z: Tensor, lies: Surfaces) -> tuple[Tensor, Tensor]:
    """Where the matter at a point lay at end-diastole: wall layers keep their order, the base is pulled along."""
    a_d, _, wall_d = end_diastole(p)
    layer = (lies.endo_mm / (lies.endo_mm - lies.epi_mm).clamp(min=1e-3)).clamp(0, 1)
    here = lies.radius * beat.a_mm
    at_end_diastole = (
        here - lies.endo_mm.clamp(min=0) + (a_d - beat.a_mm * lies.local) + layer * wall_d + lies.epi_mm.clamp(min=0)
    )
    stretch = torch.where(here > 1.0, at_end_diastole / here.clamp(min=1.0), torch.ones_like(here))
    descent = p["length_mm"] - beat.base_mm
    fixed_below = 1 - ((z - beat.base_mm) / 45).clamp(0, 1)
    return stretch, z + descent * (z / beat.base_mm).clamp(0, 1) * fixed_below
