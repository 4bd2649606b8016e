"""The table of variety: everything that differs between people, exams and clips of varied phantoms.

A *row* has a range and a *switch*, the chance that the thing is there at all; where it is not, the value is `absent`. A
row with a `core` is drawn from it in seven cases of ten and from the whole range otherwise: the middle is what real
apical clips show, the flanks are wider. Rows are independent of each other. What goes together in life (size, rhythm,
shape) is drawn here as deviations in SDs, "…_z", and put together by `life`, in one place.

Faults of the picture are there by themselves too, so their chances decide how many a clip has at once. They are such
that a clip has three or four and its walls can be found, as in a clip that a laboratory keeps.

*Machines* are families of pictures: rows that belong together and replace those of `EXAM` and `CLIP`. *Shifted* rows
belong to the held-out families of `styles`; how these draw, no phantom for training shows, though ranges of rows that
are shared may overlap.

Lengths in mm, angles in rad, times in s; "share" of the image side or of what is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

Appearance = Literal[
    "varied",
    "varied-framed",
    "varied-following",
    "varied-shaped",
    "shifted-val",
    "shifted-test",
    "shifted-other",
    "shifted-fourth",
]
TURN = 2 * np.pi
CORE_SHARE, MIDDLE_SHARE = 0.7, 0.9  # of draws from the core: usually, and where the middle alone is asked for


class Row(NamedTuple):
    """One quantity: its range, and how likely it is to be there."""

    low: float
    high: float
    chance: float = 1.0
    absent: float = 0.0
    scale: Literal["linear", "log"] = "linear"
    core: tuple[float, float] | None = None

    def draw(self, rng: np.random.Generator, core_share: float = CORE_SHARE) -> float:
        """Two numbers are taken from the generator whatever the row says, so that rows do not shift each other."""
        there, u = rng.random(2)
        if there >= self.chance:
            return self.absent
        low, high = self.low, self.high
        if self.core is not None:
            if u < core_share:
                (low, high), u = self.core, u / core_share
            else:
                u = (u - core_share) / (1 - core_share)
        if self.scale == "log":
            return float(low * (high / low) ** u)
        return float(low + u * (high - low))


Z = Row(-2.2, 2.2, core=(-1.0, 1.0))  # a deviation in SDs: its own SD is 0.9
Table = Mapping[str, Row]

PERSON: Table = {
    # --- what `life` makes a heart of
    "follows": Row(1.0, 1.0, 0.67),  # whether the nuisances follow the person's EF at all, or another's
    "other_ef": Row(0.0, 1.0),  # that other EF, as a level of p(EF | attributes)
    **{
        f"{name}_z": Z
        for name in ("edv", "round", "wall", "descent", "rate", "la", "ra", "atria_depth", "rv", "tapse", "tether")
    },
    # --- left ventricle
    "roundness": Row(-0.10, 0.10),
    "profile_alpha": Row(1.7, 3.0),
    "profile_beta": Row(0.42, 0.75),
    "profile_h": Row(0.0, 0.55),
    "plane_share": Row(-0.02, 0.02),
    "wall_thickening": Row(0.4, 1.0),
    "apical_wall": Row(0.5, 1.0),
    # --- regional and asynchronous contraction
    "akinesia": Row(0.4, 1.1),  # how much of its excursion a region lacks; above 1 it bulges
    "akinesia_u": Row(0.0, 1.0),  # whether it is there: `life` says how often
    "akinesia_level": Row(0.1, 0.95),  # its middle: 0 apex, 1 base
    "akinesia_angle": Row(0.0, TURN),  # around the long axis, from the lateral wall towards the anterior one
    "akinesia_length": Row(0.15, 0.40),  # SD along the axis, share of the length
    "akinesia_arc": Row(0.5, 1.2),  # SD around it
    "dyssynchrony": Row(-0.35, 0.35),  # septum early (+) or late (−): share of the excursion at mid-systole
    "dyssynchrony_u": Row(0.0, 1.0),
    "septal_bulge": Row(0.3, 0.9, 0.20),  # basal septum thicker by this share
    # --- right ventricle and atria, beside what `life` says of their sizes
    "rv_apex": Row(0.05, 0.42),  # level at which the right ventricle begins
    "rv_shape": Row(0.25, 0.7),
    "rv_forward": Row(0.05, 0.45),  # of the crescent's middle, towards the anterior wall
    "rv_arc": Row(1.0, 1.5),  # its half extent around the left ventricle
    "rv_squeeze": Row(0.05, 0.50),  # share of its width that it loses in systole
    "rv_systole": Row(0.95, 1.20),  # length of its systole / the left one's
    "rv_wall_mm": Row(3.0, 7.0),
    "tv_offset_mm": Row(2.0, 10.0),  # how much nearer to the apex the tricuspid ring lies
    "atria_power": Row(2.0, 3.4),  # of the atria's outlines: 2 an ellipse, more a box
    "atria_lean": Row(-0.60, 0.10, core=(-0.50, -0.10)),  # of the atrial septum, sideways per depth
    "atrial_septum_mm": Row(3.0, 10.0),
    "atrial_wall_mm": Row(1.5, 4.0),
    "atrial_swing": Row(0.02, 0.30),  # of the left atrium's width over the beat
    "ra_swing": Row(0.02, 0.30),
    "la_conduit": Row(0.55, 0.90),  # share of the emptying before the kick
    "a_wave": Row(0.4, 1.8),  # the valves' second opening / usual
    # --- valves and rings
    "leaflet_open": Row(1.0, 1.45),  # angle to the ring, whatever the ventricle ejects
    "anterior_share": Row(0.52, 0.68),  # of the span that the septal leaflet closes
    "leaflet_bow": Row(-0.26, 0.10),  # how far a leaflet's middle bends aside, share of its length
    "leaflet_half_mm": Row(0.5, 1.5),
    "tricuspid": Row(0.3, 1.1, 0.85),  # echo / mitral leaflets'
    "annulus": Row(0.6, 2.2, 0.75),  # echo of the rings' ends / wall's
    "annulus_mm": Row(1.5, 4.0),
    "groove": Row(0.5, 1.6, 0.75),  # echo of the fat in the grooves between ventricles and atria / wall's
    "groove_mm": Row(4.0, 9.0),
    "basal_fade_mm": Row(2.0, 10.0),  # over which the wall ends at the mitral plane
    # --- structures within and around
    "trabeculae_mm": Row(0.8, 3.5, 0.6),  # depth of the ragged inner layer
    "trabeculae_count": Row(6.0, 16.0),  # per length
    "papillary_a4c": Row(0.08, 0.20, 0.4),  # radius / half width of a papillary muscle crossing the plane
    "papillary_level": Row(0.35, 0.65),
    "papillary_side": Row(0.4, 1.0),
    "chords": Row(0.3, 0.9, 0.5),  # echo / wall's, from that muscle to the leaflets
    "tendon": Row(0.2, 0.9, 0.10),  # a false tendon across the cavity
    "tendon_level": Row(0.2, 0.6),
    "tendon_slope": Row(-0.15, 0.30),
    "moderator_band": Row(0.3, 1.0, 0.4),  # echo / wall's, across the right ventricle
    "calcium": Row(0.5, 2.0, 0.15),  # echo of a bright spot at the wall, the ring or a muscle
    "calcium_level": Row(0.3, 1.0),
    "calcium_side": Row(-1.0, 1.0),
    "calcium_mm": Row(1.0, 3.0),
    "lead": Row(0.6, 1.8, 0.08),  # a pacing wire through the right heart
    "prosthesis": Row(0.8, 2.0, 0.03),  # a ring at the mitral valve
    "clip": Row(0.8, 2.0, 0.02),  # between its leaflets
    "effusion_mm": Row(3.0, 16.0, 0.05),  # echo-free rim outside the lateral wall and apex
    "outflow": Row(0.3, 0.8, 0.15),  # aortic root between septum and left atrium: width / LV half width
    "coronary_sinus": Row(2.0, 4.5, 0.08),  # radius
    "aorta_mm": Row(7.0, 13.0, 0.15),  # radius of the descending aorta behind the left atrium
    "aorta_x": Row(-0.3, 1.2),  # its place, half widths of the atrium
    # --- rhythm
    "systole_s": Row(-0.04, 0.04),  # on 0.413 − 0.0017·rate + 0.05 s, the length of systole
    "rapid_filling": Row(0.45, 0.85),
    "rr_spread": Row(0.10, 0.28),  # atrial fibrillation: SD of RR and, by filling time, of the beats' EF
    "fibrillation_u": Row(0.0, 1.0),
    "beat_spread": Row(0.02, 0.07),  # of the beats' EF in any rhythm, relative
    "ectopic": Row(0.45, 0.75, 0.04),  # one early beat: its RR / usual RR; a pause follows
    # --- nothing in a heart is drawn with a ruler
    "bend": Row(-0.08, 0.08),  # the long axis curves sideways by this share of its length
    "wall_waves": Row(0.05, 0.30, 0.7),  # the wall is thicker here and thinner there by this share
    "wall_waves_count": Row(0.5, 2.5),  # per length
    "wall_waves_phase": Row(0.0, TURN),
}
EXAM: Table = {
    "k_alpha": Row(0.8, 12.0, core=(2.0, 10.0)),
    "half_angle": Row(0.48, 1.00, core=(0.62, 0.80)),
    "framing": Row(0.0, 1.0),
    "probe_x": Row(-0.06, 0.06),
    "probe_y": Row(-0.10, 0.07),
    "frame_rate_hz": Row(24.0, 90.0, scale="log"),
    "clock": Row(0.70, 1.35, 0.06, 1.0, "log"),  # true over stated time: some files misstate their rate
    "compression": Row(8.0, 120.0, scale="log", core=(12.0, 50.0)),
    "black_level": Row(0.0, 0.30, core=(0.03, 0.16)),
    "gamma": Row(0.6, 1.9, core=(1.0, 1.5)),
    "shoulder": Row(0.0, 1.5, core=(0.1, 0.8)),  # how much the brightest grey levels are compressed
    "sigma_axial_mm": Row(0.3, 1.4, core=(0.4, 0.75)),
    "sigma_lateral": Row(0.006, 0.045, core=(0.010, 0.020)),
    "mirrored": Row(1.0, 1.0, 0.20),  # left and right exchanged
    "floor_level": Row(0.01, 0.06, 0.12),  # grey of what is black, outside the sector too
    "ticks": Row(0.4, 1.0, 0.30),  # brightness of depth ticks, and so on
    "probe_mark": Row(0.4, 1.0, 0.30),
    "flank_scale": Row(0.4, 1.0, 0.10),  # a scale along the sector's right flank
    "ecg": Row(0.4, 1.0, 0.20),
    "text": Row(0.4, 1.0, 0.20),
    "colour_bar": Row(0.4, 1.0, 0.12),
    "resample": Row(0.50, 0.95, 0.30, 1.0),  # pixels that the picture had before, share of today's
    "jpeg": Row(25.0, 92.0, 0.60, core=(60.0, 92.0)),  # quality of every picture by itself
    "h264": Row(18.0, 34.0, 0.12),  # constant rate factor of a compressed film
    "persistence_s": Row(0.008, 0.045, 0.35),  # the machine blends each picture into those before: time constant
}
CLIP: Table = {
    "phase": Row(0.0, 1.0),
    # --- where the plane lies, and how everything moves
    "tilt": Row(-0.40, 0.40, core=(-0.05, 0.30)),
    "foreshortening": Row(-0.15, 0.15),
    "plane_offset_mm": Row(-5.0, 5.0),
    "apex_x": Row(-0.60, 0.50, core=(-0.40, 0.15)),
    "apex_y": Row(0.04, 0.28, core=(0.08, 0.20)),
    "depth_mm": Row(110.0, 240.0, core=(140.0, 180.0)),  # which the size of the heart may stretch
    "sway": Row(0.0, 0.034, core=(0.009, 0.024)),
    "sway_angle": Row(0.0, TURN),
    "swing": Row(-0.13, 0.13, 0.9),  # the heart turns about its base within the plane, once a beat
    "swing_phase": Row(0.0, TURN),
    "breathing": Row(0.0, 0.028),
    "breathing_phase": Row(0.0, TURN),
    "breathing_turn": Row(-0.05, 0.05, 0.5),
    "drift": Row(0.0, 0.030, 0.5),  # the probe slides: share of the image side per second
    "drift_angle": Row(0.0, TURN),
    "drift_turn": Row(-0.04, 0.04, 0.4),  # rad per second
    # --- echogenicity
    "blood": Row(0.0, 0.10, core=(0.0, 0.03)),
    "wall": Row(0.22, 0.65),
    "septal_gain": Row(0.6, 2.2, core=(0.9, 1.8)),
    "lateral_gain": Row(0.3, 1.3, core=(0.5, 1.1)),
    "apical_gain": Row(0.1, 1.6, core=(0.15, 0.8)),
    "lateral_fade_mm": Row(0.0, 18.0),  # over which the lateral wall passes into what lies beyond
    "near_echo": Row(0.10, 1.6, core=(0.5, 1.2)),  # of tissue next to the heart / wall's
    "far_echo": Row(0.02, 1.0, core=(0.08, 0.5)),
    "reach_mm": Row(8.0, 40.0),
    "surroundings_side": Row(-0.9, 0.9),
    "rv_wall": Row(0.3, 1.6),  # echo / wall's
    "atrial_wall": Row(0.4, 1.4),
    "endocardium": Row(0.0, 0.6),
    "pericardium": Row(0.0, 1.4),
    "leaflets": Row(0.12, 0.8, core=(0.2, 0.55)),
    "edge_mm": Row(1.2, 6.0, core=(1.8, 4.5)),  # over which wall and cavity change into each other
    "patchiness": Row(0.0, 0.7),  # SD of the tissue's log echo from place to place
    "patch_mm": Row(5.0, 30.0),
    "patch_turn": Row(0.0, 2.2),  # how far they change into others as the wall slides through the plane, rad
    "far_wall": Row(0.4, 2.4, 0.85),  # echo / wall's, behind the atria
    "far_wall_mm": Row(8.0, 40.0),
    "far_wall_gap_mm": Row(-6.0, 10.0),
    # --- ultrasound and its faults
    "speckle_free": Row(0.02, 0.70, scale="log", core=(0.03, 0.25)),
    "blood_free": Row(0.3, 1.0, core=(0.45, 0.8)),
    "speckle_depth": Row(0.35, 1.0, core=(0.5, 0.8)),
    "calm": Row(0.0, 0.8, core=(0.1, 0.6)),  # how much less speckle shows where echoes are weak
    "haze": Row(0.0, 0.40, core=(0.01, 0.15)),
    "haze_depth_mm": Row(12.0, 60.0, core=(15.0, 35.0)),
    "clutter": Row(0.1, 0.5, 0.25),  # near-field arcs, fixed to the probe
    "clutter_depth_mm": Row(10.0, 35.0),
    "attenuation": Row(-0.8, 1.4, core=(-0.3, 0.6)),
    "exposure": Row(0.25, 0.90, core=(0.48, 0.68)),  # grey that 5 % of the sector exceed: what sets the gain
    "tgc": Row(0.2, 0.6, 0.15),  # depth of the gain's waves over depth
    "tgc_waves": Row(0.6, 3.0),
    "tgc_phase": Row(0.0, TURN),
    "noise": Row(0.01, 0.08, 0.20),  # electronic noise, growing with depth
    "reverberation": Row(0.05, 0.30, 0.10),  # echo of the near field once more, at twice its depth
    "near_field": Row(0.02, 0.10, 0.30),  # what lies before this share of the depth is not shown: a blunt tip
    "flank": Row(0.2, 0.9, 0.35),  # echo lost towards both edges of the sector
    "veil": Row(0.0, 0.40),  # SD of the log gain from place to place, fixed to the probe
    "dropout": Row(0.2, 0.8, 0.30),  # echo lost where the wall runs along the beam
    "shadow1_on": Row(0.6, 1.0, 0.30),
    "shadow1_at": Row(-0.95, 0.95),
    "shadow1_width": Row(0.04, 0.28, scale="log"),
    "shadow1_depth": Row(0.2, 0.9),
    "shadow2_on": Row(0.6, 1.0, 0.15),
    "shadow2_at": Row(-0.95, 0.95),
    "shadow2_width": Row(0.04, 0.28, scale="log"),
    "shadow2_depth": Row(0.2, 0.9),
    "lost": Row(0.05, 0.4, 0.10),  # share of frames that never arrived; the one before stands in for each
    "shaking": Row(0.003, 0.02, 0.08),  # SD of each frame's own shift, share of the side
    "streaks": Row(0.1, 0.8, 0.75, core=(0.1, 0.45)),  # SD of the log echo of tissue outside, in layers
    "streaks_mm": Row(1.5, 7.0),  # their thickness
    "streaks_arc": Row(0.04, 0.30),  # and extent, share of the sector's width
    "lung": Row(0.4, 1.0, 0.12),  # echo lost beside a curtain that hides one side of the sector
    "lung_at": Row(0.25, 0.95),  # its edge, share of the half angle
    "lung_edge": Row(0.04, 0.25),  # and how soft that is
    "lung_side": Row(-0.5, 1.0),  # its sign: right of the edge, or left
    # --- two held-out styles, see `styles` and SHIFTED
    **dict.fromkeys(
        (
            *("layers", "speckle_filter", "s_curve", "rocking"),
            *("specular", "grain", "side_lobes", "torsion", "ejection_skew"),
        ),
        Row(0.0, 0.0, 0.0),
    ),
}
