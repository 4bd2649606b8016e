"""Phantoms that hide something on purpose, so that the posterior of their ejection fraction is known exactly.

A picture is made from what is shown alone, a heart of circular cross-sections whose half width and length shrink by

    α = a_s/a_d,   λ = L_s/L_d,       ejection fraction as shown 1 − α²λ,

and a hidden quantity, drawn from a known distribution, decides which ejection fraction e is the true one. The hidden
quantity never touches the picture. A reader reports y = e + N(0, σ²), so that in every case

    p(y | picture, attributes) = Σ_k w_k N(e_k, σ²).

    control          nothing is hidden: one e
    hidden-wall      the walls across the plane contract as those in it, e = 1 − α²λ, or, with a probability π that age
                     and sex alone decide, too little: e = 1 − αλ(1 − 0.3(1 − α)). logit π = 0.07 (age − 66) ± 0.8
    lateral-dropout  the lateral half is blanked; its excursion is g times the septum's, g = 1.2 √U:
                     e = 1 − λα(α + 1 − (1 − α)g)/2
    arrhythmia       the clip holds K = 2 or 3 beats of different e; the label is one of them, each as likely
    foreshortening   the plane may be tilted by θ about the base, p(θ) ∝ exp(−θ²/2·15°²) up to 28°. Half ellipsoids cut
                     so look shorter, 1/L'² = cos²θ/L² + sin²θ/a²; given the shape shown and a prior of the true shape,
                     r = a_d/L_d ~ U(0.20, 0.40), λ ~ U(0.72, 0.95), the weights over θ follow by Bayes' rule with the
                     Jacobian of (r, λ) → (r', λ'); size tells nothing

Weights over a continuous hidden quantity are a quadrature. `clean` pictures have little speckle and no faults: the
question is the posterior, not the picture. Otherwise the picture varies as in `ranges.RANGES`, but for the plane, which
would hide more than is said here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcsdr.errors import InvalidConfig
from mcsdr.phantom import people, ranges
from mcsdr.phantom.ranges import Range
from mcsdr.study import Attributes, KnownPosterior

Array = NDArray[np.float64]

TILT_SD, TILT_MAX = math.radians(15), math.radians(28)
TRUE_SLENDERNESS, TRUE_LENGTHENING = (0.20, 0.40), (0.72, 0.95)
LATERAL_LEVELS, TILT_LEVELS = 32, 64
CLIP_S = 32 / 25  # which an arrhythmia's beats fill exactly

# What would make the ejection fraction shown another than the heart's.
AS_SHOWN: dict[str, Range] = {
    "roundness": (0.0, 0.0),
    "plane_share": (0.0, 0.0),
    "foreshortening": (0.0, 0.0),
    "plane_offset_mm": (0.0, 0.0),
    "heart_rate_bpm": (55.0, 110.0),  # a whole beat is seen
}
CLEAN: dict[str, Range] = {
    "tilt": (-0.08, 0.08),
    "apex_x": (-0.05, 0.15),
    "apex_y": (0.12, 0.16),
    "sway": (0.0, 0.0),
    "breathing": (0.0, 0.0),
    "blood": (0.0, 0.03),
    "wall": (0.45, 0.55),
    "septal_gain": (0.95, 1.05),
    "lateral_gain": (0.95, 1.05),
    "surroundings": (0.05, 0.15),
    "surroundings_side": (-0.2, 0.2),
    "endocardium": (0.3, 0.5),
    "pericardium": (0.3, 0.5),
    "leaflets": (0.3, 0.5),
    "k_alpha": (8.0, 10.0),
    "speckle_free": (0.15, 0.25),
    "speckle_depth": (0.2, 0.3),
    "sigma_axial_mm": (0.4, 0.8),
    "sigma_lateral": (0.010, 0.016),
    "haze": (0.0, 0.02),
    "attenuation": (-0.1, 0.1),
    "shadow1_on": (0.0, 0.4),
    "shadow2_on": (0.0, 0.4),
    "lv_share": (0.52, 0.60),
    "half_angle": (0.72, 0.80),
    "framing": (0.3, 0.5),
    "probe_x": (0.0, 0.0),
    "probe_y": (0.0, 0.0),
    "compression": (20.0, 26.0),
    "black_level": (0.03, 0.06),
    "gamma": (0.95, 1.05),
    "frame_rate_hz": (50.0, 50.0),
}


@dataclass(frozen=True)
class Shown:
    """What a picture is made from: rows of the phantom's table, and the exact posterior that goes with it."""

    parameters: dict[str, float]
    posterior: KnownPosterior


@dataclass(frozen=True)
class Case:
    """One hidden quantity.

    Attributes:
        draw: what is shown of one person; the parameters given are a draw of the table, to be amended.
        instead: further ranges of the table.
    """

    draw: Callable[[np.random.Generator, dict[str, float], Attributes], Shown]
    instead: dict[str, Range]


def table(ambiguity: str, clean: bool) -> dict[str, Range]:
    """The ranges that replace those of `ranges.RANGES`."""
    return (CLEAN if clean else {}) | AS_SHOWN | named(ambiguity).instead


def named(ambiguity: str) -> Case:
    """The case of a name.

    Raises:
        InvalidConfig: there is none.
    """
    if ambiguity not in AMBIGUITIES:
        raise InvalidConfig(f"no phantoms are called {ambiguity!r}.", next_step=f"Choose of {', '.join(AMBIGUITIES)}.")
    return AMBIGUITIES[ambiguity]


def draw_shown(rng: np.random.Generator, ambiguity: str, attributes: Attributes, clean: bool = True) -> Shown:
    """Picture and exact posterior of one person."""
    return named(ambiguity).draw(rng, ranges.draw(rng, table(ambiguity, clean)), attributes)


def draw_reading(rng: np.random.Generator, known: KnownPosterior) -> tuple[float, float]:
    """The hidden truth e_k, and what a reader reports of it."""
    true_ef = float(known.ef_percent[rng.choice(len(known.weights), p=np.array(known.weights))])
    return true_ef, float(np.clip(true_ef + known.reader_sd * rng.standard_normal(), *people.READER_RANGE))


def _control(rng: np.random.Generator, p: dict[str, float], attributes: Attributes) -> Shown:
    ef = rng.uniform(0.20, 0.75)
    return Shown(p | {"ef": ef}, KnownPosterior((1.0,), (100 * ef,), 4.0))


def _hidden_wall(rng: np.random.Generator, p: dict[str, float], attributes: Attributes) -> Shown:
    ef = rng.uniform(0.30, 0.75)
    alpha, lam = _shrinking(ef, p)
    failing = 1 - alpha * lam * (1 - 0.3 * (1 - alpha))
    pi = failing_share(attributes)
    return Shown(p | {"ef": ef}, KnownPosterior((1 - pi, pi), (100 * ef, 100 * failing), 2.5))


def failing_share(attributes: Attributes) -> float:
    """π of a hidden wall: old men's fail more often."""
    logit = 0.07 * ((attributes.age_years or 66.0) - 66) + (0.8 if attributes.sex == "M" else -0.8)
    return 1 / (1 + math.exp(-logit))


def _lateral_dropout(rng: np.random.Generator, p: dict[str, float], attributes: Attributes) -> Shown:
    ef = rng.uniform(0.30, 0.75)
    alpha, lam = _shrinking(ef, p)
    g = 1.2 * np.sqrt((np.arange(LATERAL_LEVELS) + 0.5) / LATERAL_LEVELS)
    e = 1 - lam * alpha * (alpha + 1 - (1 - alpha) * g) / 2
    return Shown(p | {"ef": ef, "blank_beyond": 0.15}, _known(np.ones_like(e), e, 2.0))


def _arrhythmia(rng: np.random.Generator, p: dict[str, float], attributes: Attributes) -> Shown:
    beats, usual = int(rng.integers(2, 4)), rng.uniform(0.32, 0.62)
    e = np.clip(usual + 0.10 * rng.standard_normal(3), 0.15, 0.78)
    rhythm = {"heart_rate_bpm": 60 * beats / CLIP_S, "phase": 0.0}
    each = {f"ef_beat{k + 1}": float(e[k]) for k in range(3)}
    return Shown(p | rhythm | each | {"ef": usual}, _known(np.ones(beats), e[:beats], 2.5))


def _foreshortening(rng: np.random.Generator, p: dict[str, float], attributes: Attributes) -> Shown:
    while True:
        alpha, tilt = rng.uniform(0.60, 0.90), abs(TILT_SD * rng.standard_normal())
        r, lam = rng.uniform(*TRUE_SLENDERNESS), rng.uniform(*TRUE_LENGTHENING)
        if tilt < TILT_MAX:
            break
    r_shown, lam_shown = foreshortened(r, alpha, lam, tilt)
    ef = 1 - alpha**2 * lam_shown
    shape = {"slenderness": r_shown, "dilation": 0.0, "shortening": (1 - lam_shown) * 0.6 / ef}
    return Shown(p | shape | {"ef": ef}, tilt_posterior(r_shown, alpha, lam_shown))


def foreshortened(r: float, alpha: float, lam: float, tilt: float) -> tuple[float, float]:
    """Slenderness r' and lengthening λ' that a plane tilted by `tilt` rad shows of a half ellipsoid's r and λ."""
    c2, s2 = math.cos(tilt) ** 2, math.sin(tilt) ** 2
    length_d = 1 / math.sqrt(c2 + s2 / r**2)
    length_s = 1 / math.sqrt(c2 / lam**2 + s2 / (alpha * r) ** 2)
    return r / length_d, length_s / length_d


def tilt_posterior(r_shown: float, alpha: float, lam_shown: float) -> KnownPosterior:
    """p(y | shape shown): weights over θ ∝ p(θ) p(r) p(λ) |∂(r, λ)/∂(r', λ')|, with r and λ solved for given θ."""
    low, high = possible_tilts(r_shown, alpha, lam_shown)
    theta = low + (high - low) * (np.arange(TILT_LEVELS) + 0.5) / TILT_LEVELS
    c2, s2 = np.cos(theta) ** 2, np.sin(theta) ** 2
    A = 1 - s2 / r_shown**2
    B = lam_shown**-2 - s2 / (alpha * r_shown) ** 2
    r, lam = r_shown * np.sqrt(A / c2), np.sqrt(A / B)
    jacobian = r_shown / (c2 * r) * np.sqrt(A) * B**-1.5 * lam_shown**-3
    return _known(np.exp(-0.5 * (theta / TILT_SD) ** 2) * jacobian, 1 - alpha**2 * lam, 2.0)


def possible_tilts(r_shown: float, alpha: float, lam_shown: float) -> tuple[float, float]:
    """The least and the greatest tilt in rad that the priors of r and λ allow; levels are laid between them.

    As the tilt grows r falls, and λ moves away from α. Where the range is narrow, levels over all tilts would miss it.
    """
    (r_low, r_high), (near, far) = TRUE_SLENDERNESS, TRUE_LENGTHENING
    low, high = [0.0, _sin2(r_shown, r_high)], [math.sin(TILT_MAX) ** 2, _sin2(r_shown, r_low)]
    if lam_shown < alpha:
        near, far = far, near
    if lam_shown != alpha:
        sin2_at = {L: r_shown**2 * ((L / lam_shown) ** 2 - 1) / ((L / alpha) ** 2 - 1) for L in (near, far)}
        high.append(sin2_at[far])
        if (near - lam_shown) * (far - near) > 0:
            low.append(sin2_at[near])
    return math.asin(math.sqrt(max(low))), math.asin(math.sqrt(min(high)))


def _sin2(r_shown: float, r: float) -> float:
    """sin² of the tilt at which a heart of slenderness r looks like r'."""
    return (r_shown**2 - r**2) / (1 - r**2)


def _shrinking(ef: float, p: dict[str, float]) -> tuple[float, float]:
    """α and λ of a heart shown at an ejection fraction (see `heart`)."""
    lam = 1 - p["shortening"] * ef / 0.6
    return math.sqrt((1 - ef) / lam), lam


def _known(weights: Array, e: Array, reader_sd: float) -> KnownPosterior:
    return KnownPosterior(tuple((weights / weights.sum()).tolist()), tuple((100 * e).tolist()), reader_sd)


AMBIGUITIES: dict[str, Case] = {
    "control": Case(_control, {}),
    "hidden-wall": Case(_hidden_wall, {}),
    "lateral-dropout": Case(_lateral_dropout, {}),
    "arrhythmia": Case(_arrhythmia, {"frame_rate_hz": (50.0, 50.0)}),
    "foreshortening": Case(_foreshortening, {}),
}
