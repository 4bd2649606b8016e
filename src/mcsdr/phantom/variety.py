"""Phantoms as varied as life: one table of everything that differs between people, exams and clips.

The plain phantoms of `ranges.RANGES` are the ones whose exact posteriors and comparisons are published with this
package; they stay as they are. Here each row of that table is widened, and what it lacks is added: regional and
asynchronous contraction, irregular rhythm, structures within the cavity, movement of heart and probe, and what machines
and archives do to a picture.

A *row* has a range, drawn uniformly and independently, and a *switch*: the chance that the thing is there at all. Where
it is not, the value is `absent`. Nothing in the table depends on the ejection fraction, but for `dilation` and
`shortening`, which are weak and wide, so that no nuisance can tell it.

Faults of the picture are there by themselves too, so their chances decide how many a clip has at once. They are such
that a clip has three or four of the fourteen and its walls can be found, as in a clip that a laboratory keeps: gain is
set by what the sonographer sees, and a heart that lies half outside the sector is scanned again.

A person's rows are drawn once, an exam's once for each machine and sitting, a clip's for each recording: phantom
`index` of cohort `seed` has generators seeded with (seed, index, appearance, level). Appearances:

    varied          the table
    shifted-val     the table, and the families of `SHIFTED["shifted-val"]`, which no varied phantom has
    shifted-test    the same with families of its own

Models are trained on the first, selected and calibrated on the second, and measured on the third: real echo is a shift
too, and how well a model bears one cannot be told from the phantoms that it has learnt from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from mcsdr.phantom.ranges import VIEWS, Value
from mcsdr.study import View

Appearance = Literal["varied", "shifted-val", "shifted-test"]
TURN = 2 * np.pi


class Row(NamedTuple):
    """One quantity: its range, and how likely it is to be there."""

    low: float
    high: float
    chance: float = 1.0
    absent: float = 0.0
    scale: Literal["linear", "log"] = "linear"

    def draw(self, rng: np.random.Generator) -> float:
        """Two numbers are taken from the generator whatever the switch says, so that rows do not shift each other."""
        there, u = rng.random(2)
        if there >= self.chance:
            return self.absent
        if self.scale == "log":
            return float(self.low * (self.high / self.low) ** u)
        return float(self.low + u * (self.high - self.low))


Table = Mapping[str, Row]

# Lengths in mm, angles in rad, times in s, "share" of the image side or of what is named. A comment says what a row of
# `ranges.RANGES` does not.
PERSON: Table = {
    # --- left ventricle: small to dilated, slender to spherical, thin-walled to hypertrophic
    "length_mm": Row(60.0, 116.0),
    "slenderness": Row(0.22, 0.46),
    "dilation": Row(0.0, 0.12),
    "roundness": Row(-0.10, 0.10),
    "profile_alpha": Row(1.7, 3.4),
    "profile_beta": Row(0.40, 0.80),
    "profile_h": Row(0.0, 0.6),
    "shortening": Row(0.06, 0.24),
    "plane_share": Row(-0.02, 0.02),
    "wall_share": Row(0.16, 0.52),
    "wall_thickening": Row(0.4, 1.0),
    "apical_wall": Row(0.5, 1.0),
    # --- regional and asynchronous contraction
    "akinesia": Row(0.4, 1.1, 0.25),  # how much of its excursion a region lacks; above 1 it bulges
    "akinesia_level": Row(0.1, 0.95),  # its middle: 0 apex, 1 base
    "akinesia_angle": Row(0.0, TURN),  # around the long axis, from the lateral wall towards the anterior one
    "akinesia_length": Row(0.15, 0.40),  # SD along the axis, share of the length
    "akinesia_arc": Row(0.5, 1.2),  # SD around it
    "dyssynchrony": Row(-0.35, 0.35, 0.30),  # septum early (+) or late (−): share of the excursion at mid-systole
    "septal_bulge": Row(0.3, 0.9, 0.20),  # basal septum thicker by this share
    # --- structures within and around
    "trabeculae_mm": Row(0.8, 3.5, 0.6),  # depth of the ragged inner layer
    "trabeculae_count": Row(6.0, 16.0),  # per length
    "papillary_a4c": Row(0.08, 0.20, 0.5),  # radius / half width of a papillary muscle crossing the plane
    "papillary_level": Row(0.35, 0.65),
    "papillary_side": Row(0.4, 1.0),
    "moderator_band": Row(0.3, 1.0, 0.4),  # echo / wall's, across the right ventricle's apex
    "effusion_mm": Row(3.0, 16.0, 0.10),  # echo-free rim outside the lateral wall and apex
    "outflow": Row(0.3, 0.8, 0.25),  # aortic root between septum and left atrium: width / LV half width
    "rv_width": Row(0.40, 1.40),
    "la_radius": Row(0.55, 1.40),
    "ra_radius": Row(0.55, 1.35),
    "atrial_length": Row(0.30, 0.65),
    "leaflet_mm": Row(14.0, 30.0),
    # --- rhythm
    "heart_rate_bpm": Row(42.0, 135.0),
    "systole_s": Row(-0.04, 0.04),  # on 0.413 − 0.0017·rate + 0.05 s, the length of systole
    "rapid_filling": Row(0.45, 0.85),
    "rr_spread": Row(0.10, 0.28, 0.07),  # atrial fibrillation: SD of RR and, by filling time, of the beats' EF
    "beat_spread": Row(0.02, 0.07),  # of the beats' EF in any rhythm, relative
    "ectopic": Row(0.45, 0.75, 0.04),  # one early beat: its RR / usual RR; a pause follows
    # --- nothing in a heart is drawn with a ruler
    "bend": Row(-0.09, 0.09),  # the long axis curves sideways by this share of its length
    "wall_waves": Row(0.05, 0.30, 0.7),  # the wall is thicker here and thinner there by this share
    "wall_waves_count": Row(0.5, 2.5),  # per length
    "wall_waves_phase": Row(0.0, TURN),
    "chamber_power": Row(1.6, 3.2),  # of the neighbours' outlines: 2 an ellipse, more a box
    "atria_lean": Row(-0.30, 0.30),  # sideways per depth
    "chamber_wall": Row(0.5, 2.2),  # thickness of the neighbours' walls, times the usual
    "leaflet_half_mm": Row(0.5, 1.6),  # half thickness of the leaflets
    "tricuspid": Row(0.3, 1.2, 0.7),  # echo / mitral leaflets'
    "annulus": Row(0.3, 1.6, 0.6),  # echo of the mitral ring's two ends / wall's
    "annulus_mm": Row(1.5, 4.5),
    "basal_fade_mm": Row(1.6, 14.0),  # over which the wall ends at the mitral plane
}
EXAM: Table = {
    "k_alpha": Row(0.8, 12.0),
    "half_angle": Row(0.48, 1.00),
    "framing": Row(0.0, 1.0),
    "probe_x": Row(-0.06, 0.06),
    "probe_y": Row(-0.10, 0.07),
    "frame_rate_hz": Row(15.0, 90.0, scale="log"),
    "compression": Row(8.0, 90.0, scale="log"),
    "black_level": Row(0.0, 0.16),
    "gamma": Row(0.6, 1.5),
    "sigma_axial_mm": Row(0.3, 1.3),
    "sigma_lateral": Row(0.008, 0.050),
    "mirrored": Row(1.0, 1.0, 0.30),  # left and right exchanged
    "floor_level": Row(0.01, 0.06, 0.20),  # grey of what is black, outside the sector too
    "ticks": Row(0.4, 1.0, 0.30),  # brightness of depth ticks, and so on
    "probe_mark": Row(0.4, 1.0, 0.25),
    "ecg": Row(0.4, 1.0, 0.20),
    "text": Row(0.4, 1.0, 0.20),
    "colour_bar": Row(0.4, 1.0, 0.12),
    "resample": Row(0.50, 0.95, 0.40, 1.0),  # pixels that the picture had before, share of today's
    "jpeg": Row(25.0, 90.0, 0.50),  # quality
    "persistence_s": Row(0.008, 0.045, 0.35),  # the machine blends each picture into those before: time constant
}
CLIP: Table = {
    "phase": Row(0.0, 1.0),
    # --- where the plane lies, and how everything moves
    "tilt": Row(-0.40, 0.34),
    "foreshortening": Row(-0.15, 0.15),
    "plane_offset_mm": Row(-5.0, 5.0),
    "apex_x": Row(-0.42, 0.52),
    "apex_y": Row(0.05, 0.28),
    "lv_share": Row(0.34, 0.64),
    "sway": Row(0.0, 0.022),
    "sway_angle": Row(0.0, TURN),
    "swing": Row(-0.06, 0.06, 0.7),  # the heart turns about its base within the plane, once a beat
    "swing_phase": Row(0.0, TURN),
    "breathing": Row(0.0, 0.022),
    "breathing_phase": Row(0.0, TURN),
    "breathing_turn": Row(-0.05, 0.05, 0.5),
    "drift": Row(0.0, 0.020, 0.4),  # the probe slides: share of the image side per second
    "drift_angle": Row(0.0, TURN),
    "drift_turn": Row(-0.04, 0.04, 0.4),  # rad per second
    # --- echogenicity
    "blood": Row(0.0, 0.10),
    "wall": Row(0.22, 0.65),
    "septal_gain": Row(0.6, 1.6),
    "lateral_gain": Row(0.3, 1.3),
    "apical_gain": Row(0.4, 1.8),
    "surroundings": Row(0.02, 0.45, 0.80),
    "surroundings_side": Row(-1.0, 1.0),
    "chamber_walls": Row(0.1, 0.9),  # echo of right ventricle's and atria's walls / LV wall's
    "endocardium": Row(0.0, 0.6),
    "pericardium": Row(0.0, 1.2),
    "leaflets": Row(0.0, 0.8),
    "edge_mm": Row(1.2, 4.5),  # over which wall and cavity change into each other
    "patchiness": Row(0.0, 0.7),  # SD of the tissue's log echo from place to place
    "patch_mm": Row(8.0, 26.0),
    "far_wall": Row(0.3, 1.6, 0.6),  # echo / wall's, behind the atria
    "far_wall_mm": Row(3.0, 14.0),
    # --- ultrasound and its faults
    "speckle_free": Row(0.01, 0.75, scale="log"),
    "speckle_depth": Row(0.35, 1.0),
    "haze": Row(0.0, 0.30),
    "haze_depth_mm": Row(20.0, 60.0),
    "clutter": Row(0.1, 0.5, 0.20),  # near-field arcs, fixed to the probe
    "clutter_depth_mm": Row(10.0, 35.0),
    "attenuation": Row(-0.4, 1.6),
    "exposure": Row(0.25, 0.90),  # grey that 5 % of the sector exceed: what the sonographer sets the gain by
    "tgc": Row(0.2, 0.6, 0.15),  # depth of the gain's waves over depth
    "tgc_waves": Row(0.6, 3.0),
    "tgc_phase": Row(0.0, TURN),
    "noise": Row(0.01, 0.08, 0.25),  # electronic noise, growing with depth
    "reverberation": Row(0.05, 0.30, 0.10),  # echo of the near field once more, at twice its depth
    "near_field": Row(0.02, 0.10, 0.45),  # what lies before this share of the depth is not shown: a blunt tip
    "flank": Row(0.2, 0.9, 0.35),  # echo lost towards both edges of the sector
    "veil": Row(0.0, 0.40),  # SD of the log gain from place to place, fixed to the probe
    "dropout": Row(0.2, 0.8, 0.35),  # echo lost where the wall runs along the beam
    "shadow1_on": Row(0.6, 1.0, 0.30),
    "shadow1_at": Row(-0.95, 0.95),
    "shadow1_width": Row(0.04, 0.28, scale="log"),
    "shadow1_depth": Row(0.2, 0.9),
    "shadow2_on": Row(0.6, 1.0, 0.15),
    "shadow2_at": Row(-0.95, 0.95),
    "shadow2_width": Row(0.04, 0.28, scale="log"),
    "shadow2_depth": Row(0.2, 0.9),
    "lost": Row(0.05, 0.4, 0.12),  # share of frames that never arrived; the one before stands in for each
    "shaking": Row(0.003, 0.02, 0.10),  # SD of each frame's own shift, share of the side
    # --- families that varied phantoms never have, see SHIFTED
    "speckle_filter": Row(0.0, 0.0, 0.0),  # a machine's smoothing of speckle that spares edges
    "s_curve": Row(0.0, 0.0, 0.0),  # a grey curve flat at both ends
    "rocking": Row(0.0, 0.0, 0.0),  # the apex swings aside in systole, rad
    "ejection_skew": Row(0.0, 0.0, 0.0),  # ejection early (+) or late (−) within systole
    "grain": Row(0.0, 0.0, 0.0),  # speckle coarser than the beam tells
    "side_lobes": Row(0.0, 0.0, 0.0),  # arcs at the depth of bright echoes, across the cavity
    "torsion": Row(0.0, 0.0, 0.0),  # the speckle of the wall slides through the plane, mm a beat
    # --- around the ventricle: walls that come and go, tissue in layers, a far wall like no other
    "chamber_fade": Row(0.2, 1.0, 0.7),  # echo lost around the neighbours' walls
    "chamber_fade_phase": Row(0.0, TURN),
    "far_wall_bend": Row(-0.004, 0.012),  # per mm: how it curves around the atria
    "far_wall_slope": Row(-0.30, 0.30),
    "far_wall_waves_mm": Row(0.5, 3.5, 0.6),
    "far_wall_wide_mm": Row(18.0, 90.0, scale="log"),  # SD of its extent to both sides
    "streaks": Row(0.3, 1.3, 0.65),  # SD of the log echo of what lies outside, in layers across the beams
    "streaks_mm": Row(2.0, 9.0),  # their thickness
    "streaks_arc": Row(0.10, 0.45),  # and extent, share of the sector's width
    "lung": Row(0.4, 1.0, 0.15),  # echo lost beside a curtain that hides one side of the sector
    "lung_at": Row(0.25, 0.95),  # its edge, share of the half angle
    "lung_edge": Row(0.04, 0.25),  # and how soft that is
    "lung_side": Row(-0.5, 1.0),  # its sign: right of the edge, or left
}
SHIFTED: Mapping[Appearance, Table] = {
    "varied": {},
    "shifted-val": {
        "speckle_filter": Row(0.4, 1.0, 0.7),
        "s_curve": Row(0.3, 1.0, 0.7),
        "rocking": Row(-0.10, 0.10, 0.7),
        "dyssynchrony": Row(0.35, 0.55, 0.3),
        "slenderness": Row(0.40, 0.50, 0.25, 0.30),
    },
    "shifted-test": {
        "grain": Row(0.3, 1.0, 0.7),
        "side_lobes": Row(0.1, 0.5, 0.7),
        "torsion": Row(2.0, 10.0, 0.7),
        "ejection_skew": Row(-0.5, 0.5, 0.7),
        "effusion_mm": Row(16.0, 26.0, 0.2),
        "wall_share": Row(0.50, 0.65, 0.25, 0.32),
    },
}
PARASTERNAL = {
    View.PLAX: {
        "plane_angle": (1.9, 2.4),
        "tilt": (-0.35, 0.20),  # the apex lies left, a little lower or higher than the base
        "apex_x": (-0.25, 0.15),  # of the ventricle's middle from the sector's, share of its length
        "apex_y": (0.40, 0.60),
        "lv_share": (0.50, 0.75),
    }
}
BEATS = 16  # of which the lengths and ejection fractions are drawn; then they repeat


def draw(seed: int, index: int, appearance: Appearance, view: View = View.A4C) -> dict[str, Value]:
    """Every value of one recording of phantom `index` of cohort `seed`, but its ejection fraction and size.

    Besides the rows of the tables: "systolic_share" of the usual beat, and "beat_starts" and "beat_efs" [BEATS], where
    each beat begins, in usual beats from the start of one, and its EF relative to the mean of the first three.
    """
    table = {"person": dict(PERSON), "exam": dict(EXAM), "clip": dict(CLIP)}
    for rows in table.values():
        rows |= {name: row for name, row in SHIFTED[appearance].items() if name in rows}
    table["clip"] |= {name: Row(*ends) for name, ends in (VIEWS | PARASTERNAL).get(view, {}).items()}
    p: dict[str, Value] = {}
    for level, rows in table.items():
        which = list(View).index(view) if level == "clip" else 0
        rng = np.random.default_rng([seed, index, *appearance.encode(), *level.encode(), which])
        p |= {name: row.draw(rng) for name, row in rows.items()}
    p["drawn"] = float(np.random.default_rng([seed, index, *b"drawn"]).integers(1 << 20))  # of text and ticks
    return p | rhythm(p, np.random.default_rng([seed, index, *appearance.encode(), *b"rhythm"]))


def rhythm(p: Mapping[str, Value], rng: np.random.Generator) -> dict[str, Value]:
    """When each beat begins, how much it ejects, and the share of a usual beat that systole takes.

    A beat ejects more after a long pause, which is what spreads the ejection fraction in atrial fibrillation. After an
    early beat a pause makes up for the time. An early beat is left out of the mean, as readers leave it out.
    """
    rate, spread, early = float(p["heart_rate_bpm"]), float(p["rr_spread"]), float(p["ectopic"])
    rr = np.exp(spread * rng.standard_normal(BEATS)).clip(0.55, 1.9)
    efs = 1 + float(p["beat_spread"]) * rng.standard_normal(BEATS)
    efs[1:] += 0.35 * (rr[:-1] - 1)
    counted, which = np.arange(BEATS) < 3, int(rng.integers(1, 3))
    if early:
        rr[which - 1 : which + 1] = early, 2 - early
        efs[which], efs[which + 1] = 0.55 + 0.4 * (early - 0.45), 1.08 * efs[which + 1]
        counted[which] = False
    starts = np.concatenate([[0.0], np.cumsum(rr)[:-1]])
    systole_s = 0.413 - 0.0017 * rate + 0.05 + float(p["systole_s"])
    share = min(max(systole_s * rate / 60, 0.25), 0.55)
    efs = efs.clip(0.3, 1.6) / efs.clip(0.3, 1.6)[counted].mean()
    filling = {"rapid_filling": 0.95} if spread else {}  # atria that fibrillate do not kick
    return {"beat_starts": starts, "beat_efs": efs, "systolic_share": share} | filling
