"""What wide phantoms have besides: for each, a few rows of the table drawn from far beyond it.

Models learn from `varied-wide` what not to rely on: that blood is black, that the septum is brighter than the lateral
wall, that the heart as a whole hardly moves. Each row of `WIDE` is taken by a phantom with a chance of `SHARE`,
whatever its switch says, and drawn evenly; the others are those of a varied phantom. The ranges keep clear of what the
held-out styles alone have (`machines.SHIFTED`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mcsdr.phantom.ranges import Value

SHARE = 0.15
WIDE: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "person": {
        # shapes
        "roundness": (-0.18, 0.18),
        "profile_alpha": (1.5, 3.0),
        "profile_beta": (0.36, 0.75),
        "profile_h": (0.0, 0.8),
        "apical_wall": (0.3, 1.2),
        "wall_thickening": (0.2, 1.2),
        "septal_bulge": (0.3, 1.3),
        "bend": (-0.14, 0.14),
        "wall_waves": (0.2, 0.5),
        "trabeculae_mm": (2.0, 7.0),
        "rv_arc": (1.0, 1.8),
        "rv_shape": (0.25, 1.1),
        "rv_wall_mm": (2.0, 12.0),
        "atria_power": (2.0, 4.4),
        "atria_lean": (-0.9, 0.4),
        "atrial_wall_mm": (0.8, 7.0),
        # what moves beside the cavity
        "rv_squeeze": (0.0, 0.65),
        "rv_systole": (0.7, 1.5),
        "atrial_swing": (0.0, 0.45),
        "ra_swing": (0.0, 0.45),
        "rapid_filling": (0.33, 0.92),
        "leaflet_open": (0.75, 1.7),
        "leaflet_bow": (-0.4, 0.25),
        "annulus": (0.2, 4.0),
        "annulus_mm": (1.0, 6.0),
        "groove": (0.3, 3.0),
    },
    "exam": {
        "k_alpha": (0.4, 2.0),
        "sigma_axial_mm": (0.3, 1.8),
        "sigma_lateral": (0.006, 0.055),
        "compression": (5.0, 150.0),
        "black_level": (0.0, 0.40),
        "gamma": (0.5, 2.3),
        "shoulder": (0.0, 2.5),
        "half_angle": (0.42, 1.10),
        "persistence_s": (0.02, 0.07),
        "resample": (0.35, 0.95),
    },
    "clip": {
        # echoes
        "smoke": (0.03, 0.50),
        "blood": (0.0, 0.25),
        "septal_gain": (0.3, 2.4),
        "lateral_gain": (0.2, 2.0),
        "apical_gain": (0.05, 2.2),
        "lateral_fade_mm": (0.0, 30.0),
        "near_echo": (0.4, 2.2),
        "far_echo": (0.02, 1.6),
        "rv_wall": (0.2, 2.2),
        "atrial_wall": (0.2, 2.0),
        "endocardium": (0.0, 1.5),
        "pericardium": (0.0, 2.2),
        "leaflets": (0.05, 1.3),
        "edge_mm": (0.8, 8.0),
        "patchiness": (0.3, 1.0),
        "far_wall": (0.1, 3.0),
        # sound and machine
        "speckle_free": (0.01, 0.90),
        "blood_free": (0.1, 1.0),
        "speckle_depth": (0.15, 1.0),
        "calm": (0.0, 0.98),
        "haze": (0.1, 0.60),
        "haze_depth_mm": (12.0, 90.0),
        "clutter": (0.1, 0.8),
        "clutter_depth_mm": (10.0, 60.0),
        "exposure": (0.2, 0.95),
        "tgc": (0.2, 0.9),
        "noise": (0.01, 0.14),
        "reverberation": (0.05, 0.6),
        "veil": (0.2, 0.7),
        "dropout": (0.3, 0.95),
        "flicker": (0.05, 0.4),
        # how the whole heart moves
        "sway": (0.0, 0.060),
        "swing": (-0.22, 0.22),
        "breathing": (0.0, 0.05),
        "drift": (0.0, 0.05),
        "shaking": (0.003, 0.02),
    },
}


def widened(level: str, rng: np.random.Generator) -> dict[str, Value]:
    """The rows of a "person", "exam" or "clip" that a wide phantom takes from beyond the table."""
    rows = WIDE[level]
    taken, at = rng.random((2, len(rows)))
    ends = zip(rows.items(), taken, at, strict=True)
    return {name: float(low + u * (high - low)) for (name, (low, high)), there, u in ends if there < SHARE}
