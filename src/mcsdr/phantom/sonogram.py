"""How a varied phantom becomes a picture: fine speckle on the picture's own pixels, anatomy on the beam's grid.

What echoes, A(r, θ, t), is worked out on a coarse grid of ranges and beams and blurred there by the beam; the speckle n
is a texture in beam coordinates, blurred by the beam once a clip, and read at each pixel where the pixel's matter lay
at end-diastole, so that it moves with the tissue and is as fine as the picture allows:

    echo = A n + haze,    n = √(1−f) n_material + √f n_free,    E = (1−d) A + d |echo|,

f being the share that is new in every frame, in tissue and in blood. Attenuation, shadows, gain, log compression and
gamma follow, as in `ultrasound`, which draws the plain phantoms. The heart comes from `anatomy`, faults from `faults`.

Randomness comes in from outside (`variety.draw`, `ranges.draw_texture`), so a phantom is the same in every batch.
Shapes: parameters [B, 1, 1], the coarse grid [B, T, R, Q], the picture [B, T, H, W], complex speckle [B, 2, …].
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mcsdr.phantom import anatomy, faults, heart, planes, structures, styles, ultrasound
from mcsdr.phantom.contraction import contraction_at
from mcsdr.phantom.outline import Parameters
from mcsdr.phantom.planes import depth_mm
from mcsdr.phantom.ranges import TEXTURE
from mcsdr.phantom.ultrasound import FRAMES_AT_ONCE, SIZE
from mcsdr.study import View

RANGES, BEAMS = 100, 76  # of the coarse grid
FINE_RANGES, FINE_BEAMS = 150, 112  # samples of the texture over the sector
NEAR_MM = 13.0  # within which a probe sees little
MARGIN = 40  # samples of the texture before the sector begins
SPECKLED = 1.3  # gain of the speckle over the amplitude that it stands for


class Still(NamedTuple):
    """What does not change during a clip."""

    grid: Tensor  # of the picture's pixels on the coarse grid, in grid_sample's units, [B, H, W, 2]
    gain: Tensor  # [B, 1, H, W]
    haze: Tensor  # [B, 1, H, W]
    band: Tensor  # echo behind the atria, [B, 1, P]
    texture: Tensor  # blurred by the beam, [B, 2, TEXTURE, TEXTURE]
    standing: Tensor  # speckle that never moves, [B, 2, 1, H, W]


def render(
    p: Parameters,
    texture: Tensor,
    offsets: Tensor,
    times_s: Tensor,
    view: View = View.A4C,
    size: tuple[int, int] = (SIZE, SIZE),
) -> Tensor:
    """Pictures uint8 [B, T, H, W] of varied phantoms at the given instants; arguments as of `ultrasound.render`."""
    p = planes.at_adult_size(p)
    still = _still(p, view, texture, size)
    within = (still.grid.abs() <= 1).all(-1)[:, None]
    full = -p["phase"] * 60 / p["heart_rate_bpm"]  # the gain is set at end-diastole: it tells nothing of what follows
    first = _envelope(p, view, texture, still, offsets[:, :1], full)
    still = still._replace(gain=still.gain * faults.exposed(p, first * still.gain, within))
    chunks = []
    for start in range(0, times_s.shape[1], FRAMES_AT_ONCE):
        part = slice(start, start + FRAMES_AT_ONCE)
        envelope = _envelope(p, view, texture, still, offsets[:, part], times_s[:, part, None])
        grey = styles.enhanced(p, faults.processing(p, ultrasound.compressed(p, envelope * still.gain)))
        grey = styles.stepped(p, grey)
        picture = faults.shouldered(p, grey ** p["gamma"][..., None]) * within
        chunks.append((picture * 255).round().clamp(0, 255).to(torch.uint8))
    return torch.cat(chunks, dim=1)


def _still(p: Parameters, view: View, texture: Tensor, size: tuple[int, int]) -> Still:
    r, theta = ultrasound.polar_grid(p, RANGES, BEAMS)
    depth, angle = r / depth_mm(p), theta / p["half_angle"]
    grid = ultrasound.scan_grid(p, size)
    gain = ultrasound.shadowed(p, r, theta) * faults.gain(p, depth) * faults.veil(p, texture, RANGES, BEAMS)
    gain = gain * faults.seen(p, depth, angle) * styles.lined(p, angle)
    near = 1 - torch.exp(-r / NEAR_MM)
    gain = gain * (0.2 + 0.8 * near)
    haze = (p["haze"] * near * torch.exp(-r / p["haze_depth_mm"]) + faults.clutter(p, r)).expand_as(gain)
    haze = haze + styles.standing(p, texture, RANGES, BEAMS)
    gain, haze = torch.split(_scanned(torch.stack([gain, haze], 1), grid), 1, 1)
    band = structures.behind(p, r - planes.roof_range_mm(p, view)) * (1 + p["surroundings_side"] * angle).clamp(min=0.2)
    blurred = _beam(p, texture)
    standing = _read(blurred, _texture_place(grid[:, None]))
    return Still(grid, gain, haze, band.flatten(1)[:, None], blurred, standing)


def _beam(p: Parameters, texture: Tensor) -> Tensor:
    """The texture as the beam blurs it, power kept."""
    along = (p["sigma_axial_mm"] * FINE_RANGES / depth_mm(p)).flatten()
    across = (p["sigma_lateral"] * FINE_BEAMS / (2 * p["half_angle"])).flatten()
    coarser = (1 + 1.5 * p["grain"]).flatten()
    return faults.blurred(faults.blurred(texture[:, :, None], along * coarser, -2), across * coarser, -1)[:, :, 0]


def _scanned(fields: Tensor, grid: Tensor) -> Tensor:
    """Fields [B, C, RANGES, BEAMS] laid on the picture [B, C, H, W]."""
    return F.grid_sample(fields, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _texture_place(polar: Tensor) -> Tensor:
    """Where in the texture [..., 2] a place of the sector lies, both in grid_sample's units."""
    samples = torch.tensor([FINE_BEAMS, FINE_RANGES], device=polar.device)
    return (polar + 1) * samples / TEXTURE + 2 * MARGIN / TEXTURE - 1


def _read(texture: Tensor, place: Tensor) -> Tensor:
    """Speckle [B, 2, T, H, W] of a texture [B, 2, N, N] at places [B, T, H, W, 2]."""
    batch, frames, height, width, _ = place.shape
    flat = place.reshape(batch, frames * height, width, 2)
    read = F.grid_sample(texture, flat, mode="bilinear", padding_mode="reflection", align_corners=False)
    return read.view(batch, 2, frames, height, width)


def _matter(p: Parameters, view: View, texture: Tensor, still: Still, offsets: Tensor, times_s: Tensor) -> Tensor:
    """Amplitude, blood, and where the matter lay in the sector (beam, range) on the coarse grid, [B, 4, T, R, Q]."""
    r, theta = ultrasound.polar_grid(p, RANGES, BEAMS)
    right, down = ((r * side(theta)).flatten(1)[:, None, :] for side in (torch.sin, torch.cos))
    u, v = planes.to_plane(p, view, times_s, right, down)
    x, y, z = planes.to_heart(p, view, u, v, times_s)
    x, y, z = (side.expand(-1, times_s.shape[1], -1) for side in (x, y, z))
    matter = anatomy.tissue(p, heart.beat(p, times_s), times_s, view, x, y, z, across=u)
    tissue = 1 - matter.blood
    around = matter.outside * tissue
    seen = torch.cos(p["plane_angle"]) if view in (View.A2C, View.PLAX) else 1.0  # share of a way along x
    u_then = (u - seen * planes.bent_by(p, z, times_s)) * matter.stretch
    v_then = v + (matter.z_material_mm - z) + planes.sheared_by(p, seen * u, times_s)
    v_then = v * matter.stretch if view == View.PSAX else v_then
    right, down = planes.at_rest(p, view, u_then, v_then)
    beam, depth = torch.atan2(right, down.clamp(min=1.0)) / p["half_angle"], torch.hypot(right, down)
    layers = faults.streaks(p, texture, depth, beam)
    amplitude = torch.maximum(matter.amplitude, still.band * around)
    amplitude = amplitude * torch.lerp(torch.ones_like(tissue), layers, around)
    amplitude = amplitude * faults.dropout(p, matter.blood, *planes.beam(p, view, times_s, theta), u, v)
    where = torch.stack([u_then, v_then], dim=-1)
    patches = faults.patches(p, texture, where, contraction_at(p, times_s))
    amplitude = amplitude * torch.lerp(torch.ones_like(tissue), patches, tissue)
    amplitude = styles.facing(p, amplitude, matter.blood, RANGES, BEAMS)
    amplitude = faults.flickering(p, amplitude, texture, offsets, RANGES, BEAMS)
    fields = torch.stack([amplitude, matter.blood, beam, depth / depth_mm(p) * 2 - 1], 1)
    return fields.view(*fields.shape[:3], RANGES, BEAMS)


def _envelope(p: Parameters, view: View, texture: Tensor, still: Still, offsets: Tensor, times_s: Tensor) -> Tensor:
    """Detected echo amplitude on the picture, [B, T, H, W], before gain over depth."""
    fields = _matter(p, view, texture, still, offsets, times_s)
    batch, _, frames = fields.shape[:3]
    blurred = _blurred_by_beam(p, fields[:, :1])
    fields = torch.cat([blurred, fields[:, 1:]], 1).flatten(1, 2)
    scanned = _scanned(fields, still.grid)
    amplitude, blood, beam, depth = scanned.view(batch, 4, frames, *scanned.shape[2:]).unbind(1)

    moving = _read(still.texture, _texture_place(torch.stack([beam, depth], -1)))
    if bool((p["mesh"] != 0).any()):
        own = 1.5 * _read(texture, styles.mesh_place(p, beam, depth, TEXTURE))
        mesh = p["mesh"][..., None, None]
        moving = torch.sqrt(1 - mesh) * moving + torch.sqrt(mesh) * own
    moving = faults.torsion(p, moving, contraction_at(p, times_s))
    free = _read(still.texture, _texture_place(still.grid[:, None]) + _hops(offsets))
    share = torch.lerp(p["speckle_free"][..., None], p["blood_free"][..., None], blood)[:, None]
    echo = amplitude[:, None] * (torch.sqrt(1 - share) * moving + torch.sqrt(share) * free) * SPECKLED
    echo = faults.echoes(p, echo, free)
    haze = still.haze[:, None]
    echo = echo + haze * (0.8 * still.standing + 0.6 * free)
    detected = torch.sqrt(echo[:, 0] ** 2 + echo[:, 1] ** 2)
    if bool((p["compound"] != 0).any()):
        place = _texture_place(torch.stack([beam, depth], -1))
        others = [_read(still.texture.roll((85 * k, 85 * k), (-2, -1)), place).norm(dim=1) for k in (1, 2)]
        several = (detected + SPECKLED * amplitude * (others[0] + others[1])) / 3
        detected = torch.lerp(detected, several, p["compound"][..., None])
    even = amplitude + haze[:, 0]
    envelope = torch.lerp(even, detected, faults.speckled(p, even, blood))
    return faults.noise(p, envelope, free)


def _hops(offsets: Tensor) -> Tensor:
    """Each frame's own place in the texture: a shift of up to half of it, [B, T, 1, 1, 2]."""
    return (offsets.flip(-1).float() * 2 / TEXTURE)[:, :, None, None, :]


def _blurred_by_beam(p: Parameters, amplitude: Tensor) -> Tensor:
    """Amplitudes [B, 1, T, R, Q] blurred by the beam on the coarse grid."""
    across = (p["sigma_lateral"] * BEAMS / (2 * p["half_angle"])).flatten()
    along = (p["sigma_axial_mm"] * RANGES / depth_mm(p)).flatten()
    return faults.smoothed(faults.smoothed(amplitude, across, -1), along, -2)
