"""Families of pictures: rows of the table of variety that belong together, and the families that are held out.

`data-set` is how the largest public data set frames its clips: a mask of 80 to 90 degrees whose tip lies right of the
middle at the picture's upper edge, MJPG, a mark beside the tip. `cart`, `portable` and `old` are kinds of scanners.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TypeVar

from mcsdr.phantom import looks
from mcsdr.phantom.ranges import VIEWS
from mcsdr.phantom.table import CLIP, EXAM, PERSON, Appearance, Row, Table
from mcsdr.study import View

NEVER = Row(0.0, 0.0, 0.0)
Name = TypeVar("Name", bound=str)
# By name: the share of exams, and the rows that replace those of the tables.
MACHINES: Mapping[str, tuple[float, Table]] = {
    "data-set": (
        0.40,
        {
            "half_angle": Row(0.66, 0.81, core=(0.765, 0.790)),
            "framing": Row(0.0, 0.28, core=(0.08, 0.16)),
            "probe_x": Row(0.040, 0.075, core=(0.049, 0.060)),
            "probe_y": Row(0.035, 0.075, core=(0.055, 0.064)),
            "blood": Row(0.0, 0.09, core=(0.006, 0.042)),
            "surroundings_side": Row(-0.95, 0.5, core=(-0.65, -0.15)),
            "rv_wall": Row(0.5, 1.6),
            "lateral_gain": Row(0.2, 1.2, core=(0.42, 0.98)),
            "apical_gain": Row(0.05, 1.3, core=(0.12, 0.60)),
            "dropout": Row(0.3, 0.9, 0.55),
            "veil": Row(0.03, 0.36),
            "clutter": Row(0.1, 0.4, 0.12),
            "shoulder": Row(0.05, 2.0, core=(0.3, 1.15)),
            "patch_mm": Row(8.0, 30.0),
            "mirrored": NEVER,
            "floor_level": NEVER,
            "ticks": NEVER,
            "ecg": NEVER,
            "text": NEVER,
            "colour_bar": NEVER,
            "probe_mark": Row(0.5, 1.0, 0.45),
            "flank_scale": Row(0.3, 1.0, 0.25),
            "frame_rate_hz": Row(30.0, 75.0, core=(47.0, 61.0)),
            "resample": Row(0.7, 0.95, 0.10, 1.0),
            "jpeg": Row(70.0, 97.0, 0.95, core=(88.0, 96.0)),
            "h264": NEVER,
            "near_field": NEVER,
            "lung": Row(0.3, 0.8, 0.06),
            "tilt": Row(0.0, 0.52, core=(0.17, 0.40)),
            "apex_x": Row(-1.3, 0.1, core=(-0.92, -0.36)),
            "apex_y": Row(0.04, 0.20, core=(0.078, 0.142)),
            "depth_mm": Row(105.0, 190.0, core=(131.0, 151.0)),
            "sigma_axial_mm": Row(0.40, 1.15, core=(0.54, 0.80)),
            "sigma_lateral": Row(0.010, 0.029, core=(0.0155, 0.0225)),
            "k_alpha": Row(2.0, 15.0, core=(5.5, 12.0)),
            "speckle_depth": Row(0.44, 0.95, core=(0.63, 0.82)),
            "speckle_free": Row(0.005, 0.28, core=(0.008, 0.045)),
            "blood_free": Row(0.40, 1.0, core=(0.62, 0.86)),
            "exposure": Row(0.36, 0.86, core=(0.47, 0.70)),
            "edge_mm": Row(1.6, 6.0, core=(2.7, 4.6)),
            "reach_mm": Row(8.0, 45.0, core=(14.0, 32.0)),
            "streaks": Row(0.05, 0.45, 0.75),
            "haze": Row(0.0, 0.32, core=(0.035, 0.155)),
            "compression": Row(7.0, 80.0, scale="log", core=(12.0, 34.0)),
            "patchiness": Row(0.1, 0.9, core=(0.22, 0.50)),
            "black_level": Row(0.0, 0.22, core=(0.02, 0.11)),
            "septal_gain": Row(0.6, 2.3, core=(0.80, 1.40)),
            "sway": Row(0.0, 0.036, core=(0.010, 0.025)),
            "gamma": Row(0.8, 2.1, core=(1.33, 1.72)),
            "far_wall": Row(0.2, 1.8, 0.95, core=(0.38, 1.0)),
            "near_echo": Row(0.35, 1.5, core=(0.58, 1.08)),
            "far_echo": Row(0.02, 0.6, core=(0.06, 0.26)),
            "flank": Row(0.1, 0.98, 0.85, core=(0.35, 0.75)),
            "persistence_s": Row(0.008, 0.040, 0.35),
            "lost": Row(0.05, 0.3, 0.03),
            "shaking": Row(0.003, 0.01, 0.03),
            "patch_turn": Row(0.2, 1.8),
            "calm": Row(0.0, 0.9, core=(0.45, 0.75)),
            "breathing": Row(0.0, 0.034),
            "drift": Row(0.0, 0.040, 0.75),
            "leaflets": Row(0.10, 0.8, core=(0.12, 0.45)),
            "noise": Row(0.004, 0.03, 0.65),
        },
    ),
    "cart": (0.35, {}),
    "portable": (
        0.13,
        {
            "sigma_lateral": Row(0.015, 0.05),
            "sigma_axial_mm": Row(0.5, 1.6),
            "frame_rate_hz": Row(15.0, 35.0),
            "half_angle": Row(0.55, 0.80),
            "h264": Row(20.0, 36.0, 0.6),
            "jpeg": NEVER,
            "noise": Row(0.02, 0.10, 0.5),
        },
    ),
    "old": (
        0.12,
        {
            "compression": Row(8.0, 25.0),
            "persistence_s": Row(0.02, 0.06, 0.8),
            "resample": Row(0.4, 0.8, 0.8, 1.0),
            "half_angle": Row(0.45, 0.72),
            "speckle_depth": Row(0.7, 1.0),
        },
    ),
}
SHIFTED: Mapping[Appearance, Table] = {
    "varied": {},
    "varied-framed": {},
    "varied-following": {"follows": Row(1.0, 1.0)},
    "varied-shaped": {
        "bend": Row(-0.22, 0.22, core=(-0.10, 0.10)),
        "bend_s": Row(-0.06, 0.06, 0.7),
        "bend_moves": Row(-0.06, 0.06, 0.7),
        "bend_across": Row(-0.05, 0.05, 0.7),
        "shear": Row(-0.10, 0.10, 0.7),
        "roundness": Row(-0.20, 0.20, core=(-0.10, 0.10)),
        "plane_share": Row(-0.05, 0.05, core=(-0.02, 0.02)),
        "septal_bulge": Row(0.3, 1.2, 0.35),
        "wall_waves": Row(0.05, 0.45, 0.8),
        "before_ejection": Row(0.0, 0.20, 0.7),
        "after_ejection": Row(0.0, 0.25, 0.7),
        "relaxation": Row(-0.05, 0.12, 0.7),
        "rapid_filling": Row(0.20, 0.92, core=(0.45, 0.85)),
        "filling_time": Row(-0.17, 0.10, 0.7),
        "kick_time": Row(-0.06, 0.12, 0.7),
    },
    "shifted-val": {
        "layers": Row(0.3, 0.85, 0.8),
        "speckle_filter": Row(0.4, 1.0, 0.7),
        "s_curve": Row(0.2, 0.65, 0.7),
        "rocking": Row(-0.10, 0.10, 0.7),
        "dyssynchrony": Row(0.35, 0.55),
        "profile_alpha": Row(3.0, 4.5),
        "rv_arc": Row(0.7, 1.0),
        "atria_power": Row(1.5, 2.0),
        "near_echo": Row(0.10, 0.40),
        "streaks": Row(0.8, 1.1, 0.8),
    },
    "shifted-test": {
        "specular": Row(0.4, 1.0, 0.8),
        "grain": Row(0.2, 0.65, 0.7),
        "side_lobes": Row(0.1, 0.5, 0.7),
        "torsion": Row(2.0, 10.0, 0.7),
        "ejection_skew": Row(-0.5, 0.5, 0.7),
        "effusion_mm": Row(16.0, 26.0, 0.2),
        "profile_beta": Row(0.75, 0.95),
        "rv_shape": Row(1.2, 1.8),
        "leaflet_half_mm": Row(1.5, 2.5),
        "reach_mm": Row(40.0, 90.0),
        "patch_mm": Row(2.5, 5.0),
    },
    "shifted-other": {
        "mesh": Row(0.4, 1.0, 0.8),
        "steps": Row(10.0, 20.0, 0.6),
        "standing": Row(0.04, 0.20, 0.7),
        "bend": Row(0.15, 0.20),
        "atria_power": Row(4.5, 6.0),
        "rv_squeeze": Row(-0.15, -0.03),
        "rapid_filling": Row(0.15, 0.30),
        "leaflet_open": Row(0.45, 0.70),
    },
    "shifted-fourth": {
        "compound": Row(0.5, 1.0, 0.8),
        "halo": Row(0.4, 1.4, 0.7),
        "lines": Row(0.15, 0.45, 0.6),
        "shear": Row(0.10, 0.28, 0.8),
        "bend_across": Row(0.06, 0.14, 0.8),
        "septal_gain": Row(0.3, 0.6),
        "lateral_gain": Row(1.3, 1.8),
        "leaflet_bow": Row(0.12, 0.25),
        "papillary_a4c": Row(0.24, 0.32, 0.5),
    },
}
# Rows that no table has, by level: 0 but in the appearances that name them. They are drawn last and shift no other.
LATER: Mapping[str, tuple[str, ...]] = {
    "person": (
        "bend_s",  # the long axis is bent like an S besides, by this share of its length
        "bend_moves",  # and bends by this share of it while the ventricle contracts
        "before_ejection",  # share of systole over which nothing is ejected yet
        "after_ejection",  # and not any more
        "relaxation",  # shares of diastole, on those of `contraction.USUAL_PACE`: before the ventricle fills
        "filling_time",  # how long it fills rapidly
        "kick_time",  # when the atrial kick begins
        "shear",  # the lateral wall descends more than the septum: the ring tilts by this in systole, rad
        "bend_across",  # the long axis curves out of the four-chamber plane by this share of its length
    ),
    "exam": (),
    "clip": ("mesh", "steps", "standing", "compound", "halo", "lines"),
}
PARASTERNAL = {
    View.PLAX: {
        "plane_angle": (1.9, 2.4),
        "tilt": (-0.35, 0.20),  # the apex lies left, a little lower or higher than the base
        "apex_x": (-0.25, 0.15),  # of the ventricle's middle from the sector's, share of its length
        "apex_y": (0.40, 0.60),
    }
}
MIDDLE: Mapping[View, Mapping[str, tuple[float, float]]] = {
    view: {name: ends for name, ends in (VIEWS | PARASTERNAL).get(view, {}).items() if name not in {*PERSON, *EXAM}}
    for view in View
}


def machine(appearance: Appearance, level: float) -> str:
    """The family of machines at a level of 0 to 1; varied-framed has one alone."""
    if appearance == "varied-framed":
        return "data-set"
    return among({name: share for name, (share, _) in MACHINES.items()}, level)


def among(shares: Mapping[Name, float], level: float) -> Name:
    """The one of several, by their shares, that a level of 0 to 1 falls to."""
    for name, share in shares.items():
        if level < share:
            return name
        level -= share
    return name


@lru_cache(maxsize=256)
def rows(appearance: Appearance, machine: str, level: str, view: View = View.A4C) -> Table:
    """The rows of a "person", of an "exam" with a machine, or of a "clip" of a view."""
    found = dict({"person": PERSON, "exam": EXAM, "clip": CLIP}[level])
    own = MACHINES[machine][1]
    if view != View.A4C:  # where an apical heart lies tells nothing of other planes
        own = {name: row for name, row in own.items() if name not in ("tilt", "apex_x", "apex_y")}
    usual, seen = (looks.LOOKS[""], looks.LOOKS.get(machine, {})) if appearance in looks.USUAL else ({}, {})
    for instead in (usual, own, seen, SHIFTED[appearance]):
        found |= {name: row for name, row in instead.items() if name in found}
    if level == "clip":
        found |= {name: Row(*ends) for name, ends in MIDDLE[view].items()}
        found |= {name: seen.get(name, usual.get(name, absent)) for name, absent in looks.ADDED.items()}
    return found | {name: SHIFTED[appearance].get(name, NEVER) for name in LATER[level]}
