"""What varies from phantom to phantom: one table of ranges, and how a row of it is drawn.

Every quantity is drawn uniformly and independently between its two ends, so that nothing in the picture but
the motion of the ventricle tells the ejection fraction. Lengths are in mm, angles in radians, times in seconds;
"share" means a fraction of the image side or of the quantity named. The anatomy follows adult echocardiograms; the
image is an engineering choice, deliberately wider than life.

The table describes an adult's four-chamber exam. Other views of the same heart draw the rows of the picture anew and
those of `VIEWS` besides; other populations replace the ranges named in `people`. A child's heart is an adult's at
`size` times the scale, its picture with it: every length here but `length_mm` itself is at the adult's size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mcsdr.study import View

Range = tuple[float, float]
Value = Any  # a float, or an array [K] where a quantity has one value for each beat

RANGES: dict[str, Range] = {
    # --- left ventricle -------------------------------------------------------------------------------------
    "length_mm": (66.0, 108.0),  # apex to mitral plane at end-diastole
    "slenderness": (0.24, 0.38),  # half width / length at end-diastole
    "dilation": (0.0, 0.17),  # extra half width, times how far EF lies below 60 %
    "roundness": (-0.06, 0.06),  # half width across the plane, relative to that in the plane
    "profile_alpha": (1.8, 3.2),  # cavity outline p(s) = (1 - |1 - (1 + h) s|^alpha)^beta
    "profile_beta": (0.45, 0.75),
    "profile_h": (0.0, 0.6),  # how far the base lies beyond the widest level
    "shortening": (0.10, 0.22),  # long-axis shortening at EF 60 %, proportional to EF
    "plane_share": (-0.02, 0.02),  # how unevenly the two short axes contract
    "wall_share": (0.22, 0.42),  # wall thickness / half width at end-diastole
    "wall_thickening": (0.6, 1.0),  # 1 = the wall is incompressible
    "apical_wall": (0.6, 1.0),  # apical / lateral wall thickness
    # --- neighbours -----------------------------------------------------------------------------------------
    "rv_width": (0.55, 1.1),  # right ventricle / LV half width
    "la_radius": (0.6, 1.0),  # left atrium / LV half width
    "ra_radius": (0.6, 1.0),
    "atrial_length": (0.35, 0.6),  # depth of the atria / LV length
    "leaflet_mm": (16.0, 26.0),
    # --- rhythm ---------------------------------------------------------------------------------------------
    "heart_rate_bpm": (45.0, 120.0),
    "systolic_share": (0.33, 0.45),
    "rapid_filling": (0.55, 0.80),  # share of the stroke volume; the atrial kick brings the rest
    "phase": (0.0, 1.0),
    # --- where the plane lies -------------------------------------------------------------------------------
    "tilt": (-0.35, 0.25),  # of the long axis within the picture
    "foreshortening": (-0.09, 0.09),  # tilt of the picture's plane about the base
    "plane_offset_mm": (-3.0, 3.0),
    "apex_x": (-0.35, 0.75),  # share of the sector's half width at the apex, positive to the right
    "apex_y": (0.10, 0.26),  # share of the depth
    "sway": (0.0, 0.012),  # the whole heart rocks by this share, once a beat
    "sway_angle": (0.0, 6.283),
    "breathing": (0.0, 0.012),
    "breathing_phase": (0.0, 6.283),
    # --- echogenicity (amplitude, before compression) -------------------------------------------------------
    "blood": (0.0, 0.10),
    "wall": (0.22, 0.60),
    "septal_gain": (0.8, 1.5),
    "lateral_gain": (0.25, 1.1),
    "surroundings": (0.0, 0.45),
    "surroundings_side": (-1.0, 1.0),
    "endocardium": (0.0, 0.5),
    "pericardium": (0.0, 0.8),
    "leaflets": (0.0, 0.7),
    # --- ultrasound -----------------------------------------------------------------------------------------
    "k_alpha": (1.0, 10.0),  # K-distribution: small = spiky speckle
    "speckle_free": (0.15, 0.70),  # share of tissue speckle that does not move with the tissue
    "speckle_depth": (0.35, 1.0),
    "sigma_axial_mm": (0.3, 1.6),
    "sigma_lateral": (0.010, 0.040),  # beam width, rad
    "haze": (0.0, 0.35),
    "haze_depth_mm": (25.0, 55.0),
    "attenuation": (-0.3, 1.6),  # exponent over the whole depth
    "shadow1_on": (0.0, 1.0),  # a shadow is there when this exceeds one half
    "shadow1_at": (-0.9, 0.9),  # share of the half angle
    "shadow1_width": (0.04, 0.16),
    "shadow1_depth": (0.2, 0.85),
    "shadow2_on": (0.0, 1.0),
    "shadow2_at": (-0.9, 0.9),
    "shadow2_width": (0.04, 0.16),
    "shadow2_depth": (0.2, 0.85),
    # --- the machine ----------------------------------------------------------------------------------------
    "lv_share": (0.38, 0.64),  # LV length / depth
    "half_angle": (0.62, 0.85),
    "framing": (0.0, 1.0),  # 0: the picture is as wide as the sector is deep, its flanks cut; 1: the sector fits
    "probe_x": (-0.04, 0.04),  # of the sector's tip, share of the image side from the top centre
    "probe_y": (-0.03, 0.06),
    "compression": (8.0, 60.0),
    "black_level": (0.0, 0.22),
    "gamma": (0.7, 1.6),
    "frame_rate_hz": (24.0, 60.0),
}

# One heart, many recordings: what stands above "phase" in the table belongs to the heart, as do its speckle and its
# exam's frame rate; the rest is drawn for each recording.
OF_THE_HEART = (*list(RANGES)[: list(RANGES).index("phase")], "k_alpha", "frame_rate_hz")

VIEWS: dict[View, dict[str, Range]] = {
    View.A2C: {
        "plane_angle": (0.908, 1.187),  # 60° ± 8°: the plane's turn about the long axis, from lateral to anterior
        "tilt": (-0.25, 0.25),  # no right heart that would have to fit beside
        "apex_x": (-0.35, 0.35),
    },
    View.PSAX: {
        "level": (0.42, 0.62),  # share of the LV's length at end-diastole, from the apex; fixed in space
        "roll": (-0.35, 0.15),  # of the heart within the picture: the right ventricle lies left
        "centre_x": (-0.7, 0.7),  # of the room that the sector leaves beside the LV
        "centre_y": (0.44, 0.58),  # share of the depth
        "diameter_share": (0.42, 0.60),  # LV outer diameter at end-diastole / depth
        "papillary": (0.10, 0.17),  # radius of the papillary muscles / LV half width
        "leaflet_mm": (0.0, 0.0),  # the leaflets do not reach this level
    },
}

TEXTURE = 256  # side of the speckle texture, samples
MAX_FRAMES = 4096  # frames whose free speckle can be told apart


def draw(rng: np.random.Generator, instead: Mapping[str, Range] | None = None) -> dict[str, float]:
    """One value for each row of the table, in the table's order; `instead` replaces the ranges that it names."""
    return _uniform(rng, RANGES | dict(instead or {}))


def draw_picture(rng: np.random.Generator, view: View) -> dict[str, float]:
    """What a further recording of the same heart has of its own: where its plane lies and how it was made."""
    own = {name: ends for name, ends in RANGES.items() if name not in OF_THE_HEART}
    return _uniform(rng, own | VIEWS.get(view, {}))


def _uniform(rng: np.random.Generator, table: Mapping[str, Range]) -> dict[str, float]:
    uniform = rng.random(len(table))
    return {name: float(low + u * (high - low)) for (name, (low, high)), u in zip(table.items(), uniform, strict=True)}


def draw_texture(rng: np.random.Generator, k_alpha: float) -> np.ndarray:
    """A K-distributed complex speckle texture, float32 [2, TEXTURE, TEXTURE] with unit mean intensity."""
    amplitude = np.sqrt(rng.gamma(k_alpha, 1 / k_alpha, (TEXTURE, TEXTURE)) / 2)
    return (rng.standard_normal((2, TEXTURE, TEXTURE), dtype=np.float32) * amplitude).astype(np.float32)


def stack(rows: Sequence[Mapping[str, Value]], device: torch.device) -> dict[str, Tensor]:
    """Rows of the table as tensors [B, 1, 1] (of arrays [B, 1, K]), ready to meet frames and pixels."""
    return {
        name: torch.as_tensor(np.array([row[name] for row in rows], dtype=np.float32), device=device).view(
            len(rows), 1, -1
        )
        for name in rows[0]
    }
