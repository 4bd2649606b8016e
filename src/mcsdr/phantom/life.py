"""A varied heart put together: what its size, shape, rhythm and walls owe to its person and its ejection fraction.

In two people of three, size and shape follow the ejection fraction as loosely as they do in life; in the third they
follow another one, drawn for the purpose from the same distribution, so that no nuisance can stand in for the cavity.
Write E for the fraction that they follow, and f = (0.60 − E)/0.45, cut to 0…1.2, for how failing that is. With z
standing for deviations of SD 0.9 from the table,

    log EDV = log m(E) + 0.13·[±sex] + 0.9 log(BSA/1.87 m²) + s(E) z      m, s: a published table of 10,030 adults
    half width / length = 0.29 + 0.05 f + 0.032 z                        rounder as it fails
    wall = 9.3 mm · exp(0.17 z)                                           thin or thick, whatever E
    descent of the base / length = 0.155 − 0.085 f + 0.03 z, at most 0.9 EF
    rate = 70 bpm · exp(0.12 f + 0.19 z)
    atria: half widths 16 mm · exp(0.20 f + 0.16 z), half as wide again where the rhythm fibrillates for long

and where E is the person's own, the rate (and, in the weakest hearts, the volume) is such that the heart puts out 2 to
10 litres a minute. The length follows from volume and shape. Everything is a function of numbers drawn elsewhere
(`variety`), and of them the true ejection fraction enters only where physics binds: output and descent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from mcsdr.phantom.outline import LEVELS
from mcsdr.phantom.ranges import Value
from mcsdr.study import Attributes

# Single-plane end-diastolic volume by ejection fraction in per cent: median in mL, SD of its logarithm.
EF, MEDIAN_ML, LOG_SD = (
    np.array([15.0, 25.0, 35.0, 45.0, 55.0, 65.0, 75.0]),
    np.array([192.0, 154.0, 115.0, 98.0, 83.0, 72.0, 61.0]),
    np.array([0.50, 0.44, 0.40, 0.38, 0.37, 0.38, 0.42]),
)
OF_THE_PERSON = 0.22  # SD of log EDV that sex and size explain
OUTPUT_L_MIN = (2.1, 9.5)
RATE_BPM = (42.0, 132.0)
LENGTH_MM = (48.0, 128.0)


def heart(p: Mapping[str, Value], ef: float, as_if: float, person: Attributes) -> dict[str, Value]:
    """Rows of the heart that follow from the table's, as shares and mm.

    Arguments:
        p: the rows of a person, see `table.PERSON`.
        ef: the true ejection fraction, a share.
        as_if: the one that size and shape follow, a share.
        person: of whom sex, weight and height count.
    """
    failing = min(max((0.60 - as_if) / 0.45, 0.0), 1.2)
    fibrillates = p["fibrillation_u"] < 0.05 + 0.10 * failing
    edv_ml, rate = _volume_and_rate(p, ef, as_if, failing, person)
    slenderness = min(max(0.29 + 0.05 * failing + 0.032 * p["round_z"], 0.20), 0.46)
    solid = _solid(p)
    length = min(max((edv_ml / (solid * slenderness**2)) ** (1 / 3), LENGTH_MM[0]), LENGTH_MM[1])
    slenderness = math.sqrt(edv_ml / (solid * length**3))  # exact also where the length was cut
    wide = math.exp(0.20 * failing + (0.15 if fibrillates else 0.0))
    descent = max(0.155 - 0.085 * failing + 0.03 * p["descent_z"], 0.015)
    return {
        "length_mm": length,
        "slenderness": slenderness,
        "dilation": 0.0,
        "wall_share": min(max(9.3 * math.exp(0.17 * p["wall_z"]) / (length * slenderness), 0.14), 0.75),
        "descent": descent,
        "heart_rate_bpm": rate,
        "akinesia": p["akinesia"] * (p["akinesia_u"] < 0.15 + 0.45 * failing),
        "dyssynchrony": p["dyssynchrony"] * (p["dyssynchrony_u"] < 0.20 + 0.35 * failing),
        "rr_spread": p["rr_spread"] * fibrillates,
        "la_conduit": 0.95 if fibrillates else p["la_conduit"],
        "la_mm": 16.0 * wide * math.exp(0.16 * p["la_z"]),
        "ra_mm": 16.5 * wide * math.exp(0.18 * p["ra_z"]),
        "la_depth_mm": 27.0 * wide**0.7 * math.exp(0.13 * p["atria_depth_z"] + 0.05 * p["la_z"]),
        "ra_depth_mm": 21.0 * wide**0.7 * math.exp(0.13 * p["atria_depth_z"] + 0.05 * p["ra_z"]),
        "rv_mm": 35.0 * math.exp(0.08 * failing + 0.17 * p["rv_z"]),
        "tapse_mm": max(19.0 - 4.0 * failing + 5.0 * p["tapse_z"], 3.0),
        "tethering": min(max(0.16 + 0.16 * failing + 0.09 * p["tether_z"], 0.02), 0.6),
    } | with_ef(descent, ef)


def with_ef(descent: float, ef: float) -> dict[str, Value]:
    """The rows that hold the ejection fraction itself: it, and a shortening at which the base descends as it does."""
    return {"ef": ef, "shortening": min(descent, 0.9 * ef) * 0.6 / ef}


def median_edv_ml(ef_percent: float) -> float:
    """m(E): the median end-diastolic volume of people of an ejection fraction."""
    return float(np.exp(np.interp(ef_percent, EF, np.log(MEDIAN_ML))))


def _volume_and_rate(
    p: Mapping[str, Value], ef: float, as_if: float, failing: float, person: Attributes
) -> tuple[float, float]:
    sex = {"F": -0.13, "M": 0.13}.get(person.sex or "", 0.0)
    weight, height = person.weight_kg or 76.0, person.height_cm or 169.0
    size = 0.9 * math.log(math.sqrt(weight * height / 3600) / 1.87)
    spread = math.sqrt(max(float(np.interp(100 * as_if, EF, LOG_SD)) ** 2 - OF_THE_PERSON**2, 0.01))
    edv = median_edv_ml(100 * as_if) * math.exp(sex + size + spread * p["edv_z"] / 0.9)
    rate = 70.0 * math.exp(0.12 * failing + 0.19 * p["rate_z"])
    if p["follows"]:
        low, high = OUTPUT_L_MIN
        edv = min(max(edv, 1000 * low / (ef * 0.85 * RATE_BPM[1])), 1000 * high / (ef * RATE_BPM[0]))
        rate = min(max(rate, 1000 * low / (edv * ef)), 1000 * high / (edv * ef))
    return edv, min(max(rate, RATE_BPM[0]), RATE_BPM[1])


def _solid(p: Mapping[str, Value]) -> float:
    """EDV / (half width² · length) in mL/mm³: π(1 + roundness)∫p²/1000, the integral as `outline` has it."""
    s = np.linspace(0, 1, LEVELS)
    outline = 1 - np.minimum(np.abs(1 - (1 + p["profile_h"]) * s), 1) ** p["profile_alpha"]
    integral = float(np.trapezoid(outline ** (2 * p["profile_beta"]), s))
    return math.pi * (1 + float(p["roundness"])) * integral / 1000
