"""When the ventricle contracts, how much in each beat, and where: the volume stays exact through all of it.

*When.* c(t) runs from 0 at end-diastole (ED) to 1 at end-systole (ES). Beats are counted in usual ones; where a rhythm
is irregular, beat k begins at `beat_starts`[k] and ejects `beat_efs`[k] times the ejection fraction.

A ventricle has its pace (`Pace`): for how long systole's two ends eject nothing, how late and how fast it fills.

*Where.* An uneven ventricle moves inwards by the share q·w of its radius, w(s, φ, t) around 1:

    ρ = ρ_d (1 − q w),      w = 1 − A m(s, φ) − D (1 − c) cos φ

m is a smooth bump around the middle of a region that lacks the share A of its excursion; D lets the septum (φ = π) run
ahead of the lateral wall early in systole, or behind it. With ⟨·⟩ the mean over the ventricle's surface, weighted by
p(s)², the short axes' part of the volume is

    1 − 2q⟨w⟩ + q²⟨w²⟩ = k,      q = (⟨w⟩ − √(⟨w⟩² − ⟨w²⟩(1 − k))) / ⟨w²⟩

so k, and with it the ejection fraction, is what it would have been without unevenness. A ventricle that ejects nearly
everything cannot have a region that stands still: A fades out between ejection fractions of 52 and 72 %.

Shapes as in `heart`: parameters [B, 1, 1] (of beats [B, 1, K]), instants [B, T, 1], points [B, T, P].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mcsdr.phantom.outline import Parameters, profile

AKINESIA_FADES = (0.52, 0.72)
LEVELS, ANGLES = 33, 24  # of the means over the ventricle's surface


def moment(p: Parameters, times_s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """At `times_s` [B, T, 1]: place in the beat (0 = ED, to 1), systole's share of this beat, and its EF as a share."""
    beats = times_s * p["heart_rate_bpm"] / 60 + p["phase"]
    if "beat_starts" not in p:
        return beats % 1.0, p["systolic_share"], _ef_of_beat(p, beats)
    starts = p["beat_starts"]
    within = beats % starts[..., -1:]
    k = torch.searchsorted(starts.contiguous(), within.transpose(1, 2).contiguous(), right=True) - 1
    k = k.clamp(0, starts.shape[-1] - 2)
    begin, end = starts.gather(-1, k).transpose(1, 2), starts.gather(-1, k + 1).transpose(1, 2)
    ef = p["ef"] * p["beat_efs"].gather(-1, k).transpose(1, 2)
    share = (p["systolic_share"] / (end - begin)).clamp(max=0.7)
    return ((within - begin) / (end - begin)).clamp(0, 1), share, ef.clamp(max=0.85)


def _ef_of_beat(p: Parameters, beats: Tensor) -> Tensor:
    """The ejection fraction of the beat that each instant lies in: one for all, or of the first three each its own."""
    if "ef_beat1" not in p:
        return p["ef"]
    first, second, third = (p[f"ef_beat{k}"] for k in (1, 2, 3))
    return torch.where(beats < 1, first, torch.where(beats < 2, second, third))


class Pace(NamedTuple):
    """What a beat does when; the first two are shares of systole, the others of diastole; [B, 1, 1] or numbers."""

    before: Tensor | float = 0.0  # isovolumic contraction: nothing is ejected yet
    after: Tensor | float = 0.0  # nothing is ejected any more
    relaxation: Tensor | float = 0.08  # isovolumic
    filling: Tensor | float = 0.37  # how long rapid filling lasts
    kick: Tensor | float = 0.75  # when the atrial kick begins; diastasis lies between


USUAL_PACE = Pace()


def pace(p: Parameters) -> Pace:
    """The left ventricle's pace: the usual one, and what the rows of `machines.LATER` add to it."""
    if "before_ejection" not in p:
        return USUAL_PACE
    relaxation, filling, kick = USUAL_PACE[2:]
    return Pace(
        p["before_ejection"],
        p["after_ejection"],
        relaxation + p["relaxation"],
        filling + p["filling_time"],
        kick + p["kick_time"],
    )


def contraction(
    cycle: Tensor,
    systolic_share: Tensor,
    rapid_filling: Tensor,
    skew: Tensor | None = None,
    pace: Pace = USUAL_PACE,
) -> Tensor:
    """c(t) in [0, 1] from the position in the cardiac cycle (0 = ED, modulo 1).

    Raised-cosine ejection; then isovolumic relaxation, rapid filling, diastasis with 5 % of the volume, and the
    atrial kick. `skew` makes ejection early (+) or late (−) within systole.
    """
    progress = ((cycle / systolic_share - pace.before) / (1 - pace.before - pace.after)).clamp(0, 1)
    systole = _raised_cosine(progress if skew is None else progress ** (2.0**-skew))
    diastole = (cycle - systolic_share) / (1 - systolic_share)
    filled_at = pace.relaxation + pace.filling
    filled = rapid_filling * _raised_cosine((diastole - pace.relaxation) / pace.filling)
    filled = filled + 0.05 * ((diastole - filled_at) / (pace.kick - filled_at)).clamp(0, 1)
    filled = filled + (0.95 - rapid_filling) * _raised_cosine((diastole - pace.kick) / (1 - pace.kick))
    return torch.where(cycle < systolic_share, systole, 1 - filled)


def of_left(p: Parameters, cycle: Tensor, systolic_share: Tensor) -> Tensor:
    """c of the left ventricle, which has a skew and a pace of its own."""
    return contraction(cycle, systolic_share, p["rapid_filling"], p.get("ejection_skew"), pace(p))


def contraction_at(p: Parameters, times_s: Tensor) -> Tensor:
    """c of the left ventricle at `times_s` [B, T, 1], without the rest of the heart's state."""
    cycle, systolic_share, _ = moment(p, times_s)
    return of_left(p, cycle, systolic_share)


def valve_opening(cycle: Tensor, systolic_share: Tensor, pace: Pace = USUAL_PACE) -> Tensor:
    """How far the mitral leaflets stand open: an E wave and an A wave, with a half-closed pause between them."""
    diastole = (cycle - systolic_share) / (1 - systolic_share)
    early = diastole - (pace.relaxation - USUAL_PACE.relaxation)
    e_wave = _raised_cosine((early - 0.05) / 0.12) * (1 - 0.6 * _raised_cosine((early - 0.30) / 0.2))
    a_wave = 0.5 * _raised_cosine((diastole - (pace.kick - 0.01)) / 0.1)
    closing = 1 - _raised_cosine((diastole - 0.92) / 0.08)
    return torch.where(cycle < systolic_share, torch.zeros_like(cycle), (e_wave + a_wave).clamp(0, 1) * closing)


@dataclass(frozen=True)
class Unevenness:
    """How unevenly the ventricle has contracted at each instant; fields [B, T, 1]."""

    inwards: Tensor  # q
    lag: Tensor  # D (1 − c)
    even: Tensor  # √k, the radius that an even contraction would have left

    def local(self, p: Parameters, s: Tensor, around: Tensor) -> Tensor:
        """The cavity's radius at level s and angle φ [B, T, P] over that of an even contraction."""
        return (1 - self.inwards * weight(p, self.lag, s, around)).clamp(min=0.05) / self.even


def uneven(p: Parameters, c: Tensor, k: Tensor) -> Unevenness:
    """The unevenness that leaves the short axes' share k of the volume, at contraction c, both [B, T, 1]."""
    device = c.device
    s = torch.linspace(0.02, 1, LEVELS, device=device)
    around = torch.arange(ANGLES, device=device) * (2 * math.pi / ANGLES)
    levels, angles = (grid.reshape(1, 1, -1) for grid in torch.meshgrid(s, around, indexing="ij"))
    lag = p["dyssynchrony"] * (1 - c)
    w = weight(p, lag, levels, angles)
    share = profile(levels, p) ** 2
    first, second = (((w**power) * share).sum(-1, keepdim=True) / share.sum(-1, keepdim=True) for power in (1, 2))
    inwards = (first - torch.sqrt((first**2 - second * (1 - k)).clamp(min=0))) / second
    return Unevenness(inwards, lag, torch.sqrt(k))


def weight(p: Parameters, lag: Tensor, s: Tensor, around: Tensor) -> Tensor:
    """w(s, φ, t) at level s and angle φ [B, T, P] for lag D (1 − c) [B, T, 1]."""
    low, high = AKINESIA_FADES
    strongest = p["ef"] * p["beat_efs"].amax(-1, keepdim=True) if "beat_efs" in p else p["ef"]
    lacking = p["akinesia"] * ((high - strongest) / (high - low)).clamp(0, 1)
    along = (s - p["akinesia_level"]) / p["akinesia_length"]
    aside = (torch.cos(around - p["akinesia_angle"]) - 1) / p["akinesia_arc"] ** 2
    return 1 - lacking * torch.exp(-0.5 * along**2 + aside) - lag * torch.cos(around)


def _raised_cosine(u: Tensor) -> Tensor:
    """0 before 0, 1 after 1, smooth between."""
    return 0.5 - 0.5 * torch.cos(math.pi * u.clamp(0, 1))
