"""How varied phantoms look: rows that replace the table's for those that models learn from, and for no held-out family.

The held-out families keep the rows that their published figures were measured on, so what brings phantoms nearer to
real clips goes here. "" holds for all machines, whose own rows (`machines`) replace it, and those of a machine's name
replace these in turn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import get_args

from mcsdr.phantom.ranges import Value
from mcsdr.phantom.table import Appearance, Row, Table, Z

USUAL_EXPOSURE, MOST_BLACK = 0.58, 0.35  # at which a machine's black level stays; up to which it goes
OPENED = 2.5  # by how much the logarithm of `shoulder` grows with exposure
WITH_GAIN = frozenset({"black_level", "shoulder"})  # a machine's, but set anew where a clip's gain is
MOST_SPECKLE = 0.97  # a share: of speckle that is new in every frame, and of what is seen of it
USUAL: frozenset[Appearance] = frozenset(name for name in get_args(Appearance) if name.startswith("varied"))
ABSENT = Row(0.0, 0.0, 0.0)
# Rows that no table has, as phantoms without these looks have them; drawn after all others, which they do not shift.
ADDED: Table = {
    **dict.fromkeys(("clarity_z", "reject", "blood_calm", "flicker", "lateral_soft"), ABSENT),
    "weak": Row(0.0, 0.0, 0.0, 0.36),  # of the wall's echo: where half of `calm` holds
}
LOOKS: Mapping[str, Table] = {
    "": {
        "clarity_z": Z,
        "reject": Row(0.0, 0.7, core=(0.15, 0.5)),
        # few strong scatterers: glints over a calm ground
        "k_alpha": Row(0.8, 10.0, core=(2.0, 6.0)),
        "calm": Row(0.0, 0.97, core=(0.40, 0.85)),
        "blood_calm": Row(0.0, 0.9, core=(0.20, 0.55)),
        "weak": Row(0.30, 0.70, core=(0.40, 0.60)),
        "flicker": Row(0.01, 0.22, core=(0.045, 0.13)),
        # the septum stands across the beams' flanks and is sharp, the lateral wall is not
        "edge_mm": Row(1.0, 5.0, core=(1.4, 3.4)),
        "lateral_soft": Row(0.0, 4.0, core=(0.8, 2.8)),
        "endocardium": Row(0.0, 0.8),
        "trabeculae_mm": Row(0.8, 5.0, 0.75),
        "papillary_a4c": Row(0.08, 0.24, 0.5),
        "persistence_s": Row(0.008, 0.035, 0.20),
        # ribs and lung
        "shadow1_on": Row(0.6, 1.0, 0.38),
        "shadow1_width": Row(0.05, 0.45, scale="log"),
        "shadow1_depth": Row(0.2, 0.95),
        "shadow2_on": Row(0.6, 1.0, 0.18),
        "shadow2_width": Row(0.04, 0.35, scale="log"),
        "lung": Row(0.4, 1.0, 0.20),
        "lung_at": Row(0.15, 0.95),
    },
    "data-set": {
        "k_alpha": Row(0.8, 10.0, core=(2.4, 6.0)),
        "calm": Row(0.2, 0.98, core=(0.66, 0.94)),
        "edge_mm": Row(1.0, 5.0, core=(1.5, 3.1)),
        "shoulder": Row(0.0, 1.6, core=(0.25, 0.85)),
        "exposure": Row(0.38, 0.88, core=(0.48, 0.73)),
        "lung": Row(0.3, 1.0, 0.14),
        "half_angle": Row(0.66, 0.81, core=(0.750, 0.785)),
        "probe_x": Row(0.030, 0.078, core=(0.048, 0.060)),
        "probe_y": Row(0.038, 0.078, core=(0.057, 0.067)),
        "sigma_axial_mm": Row(0.40, 1.10, core=(0.56, 0.80)),
        "speckle_depth": Row(0.50, 0.95, core=(0.68, 0.84)),
        "speckle_free": Row(0.005, 0.28, core=(0.010, 0.055)),
        "blood_free": Row(0.45, 1.0, core=(0.72, 0.90)),
        "persistence_s": Row(0.008, 0.035, 0.12),
        "patchiness": Row(0.1, 0.9, core=(0.17, 0.43)),
        "patch_mm": Row(5.0, 20.0),
        "dropout": Row(0.3, 0.9, 0.65),
        "patch_turn": Row(0.1, 1.5),
        "breathing": Row(0.0, 0.026),
        "drift": Row(0.0, 0.028, 0.7),
    },
}

# By how much the logarithms of rows change with an SD of clarity.
WITH_CLARITY = {
    "edge_mm": -0.25,
    "lateral_soft": -0.15,
    "speckle_free": -0.70,
    "speckle_depth": 0.05,
    "septal_gain": 0.06,
    "near_echo": -0.08,
    "far_echo": -0.20,
    "haze": -0.30,
}


def together(p: Mapping[str, Value]) -> dict[str, Value]:
    """Rows of a clip and of its exam's machine that go together, as this clip has them.

    A clip is clear, or it is not (`clarity_z`, in SDs): walls sharp, speckle kept from frame to frame, little of it
    beside what stands out, no haze and a dark ground. And where the gain is opened the reject is set higher, by the
    share `reject`, so that blood stays black, and the brightest grey levels are compressed more.
    """
    z = float(p["clarity_z"])
    follow = {name: p[name] * math.exp(by * z) for name, by in WITH_CLARITY.items()}
    follow |= {name: min(follow[name], MOST_SPECKLE) for name in ("speckle_free", "speckle_depth")}
    black = p["black_level"] + p["reject"] * (p["exposure"] - USUAL_EXPOSURE)
    shoulder = p["shoulder"] * math.exp(OPENED * (p["exposure"] - USUAL_EXPOSURE))
    return follow | {"black_level": min(max(black, 0.0), MOST_BLACK), "shoulder": shoulder}
