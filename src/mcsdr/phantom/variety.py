"""Varied phantoms: the numbers that make one, drawn in one place.

The plain phantoms of `ranges.RANGES` are the ones whose exact posteriors and comparisons are published with this
package; they stay as they are. A varied phantom is a draw of the table (`table`, `machines`), put together by `life`.
Appearances:

    varied          every machine; what models are trained on
    varied-framed   such people as one public data set frames them, and more of the middle of every range: what real
                    clips of that data set are held against
    varied-following  as varied, but size and shape follow the ejection fraction in everybody, not in two of three: what
                    that third is for is told by models that learn without it
    varied-shaped   as varied, but ventricles are bent more, also out of the plane, like an S, and while they contract;
                    their ring tilts, and each has its own pace: when it begins to eject and to fill, and how fast
    shifted-val     every machine, and the style of drawing of `machines.SHIFTED["shifted-val"]`, which no varied
                    phantom has; models are selected and calibrated on it
    shifted-test    the same with a style of its own; models are measured on it
    shifted-other   the same with a third style, drawn when all else stood: what `shifted-test` tells of other styles
    shifted-fourth  the same with a fourth, drawn before any model had learnt from varied-shaped: that takes from the
                    third what costs most, and comes near to this one

A person's rows are drawn once, an exam's once for each machine and sitting, a clip's for each recording: phantom
`index` of cohort `seed` has generators seeded with (seed, index, appearance, level).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from mcsdr.phantom import life, looks, machines, people
from mcsdr.phantom.ranges import Value
from mcsdr.phantom.table import CORE_SHARE, MIDDLE_SHARE, Appearance, Row
from mcsdr.study import Attributes, View

USUAL_MM = 80.0  # length of a ventricle at which a clip has the depth that the table says
BEATS = 16  # of which the lengths and ejection fractions are drawn; then they repeat
LV_SHARE = (0.30, 0.66)  # of the depth that a ventricle's length may take: the sonographer turns the depth knob


def heart(
    seed: int, index: int, appearance: Appearance, ef: float, person: Attributes, population: str = "adult"
) -> dict[str, Value]:
    """What all recordings of phantom `index` of cohort `seed` share: rows of the person and of the exam.

    Arguments:
        ef: the true ejection fraction, a share.
        person, population: whose heart it is, and of whom p(EF | attributes) is told.

    Besides the rows of the tables and of `life.heart`: "systolic_share" of the usual beat, and "beat_starts" and
    "beat_efs" [BEATS], where each beat begins, in usual beats from the start of one, and its EF relative to the mean of
    the first three.
    """
    p: dict[str, Value] = {"size": 1.0}
    p["drawn"] = float(np.random.default_rng([seed, index, *b"drawn"]).integers(1 << 20))  # of text and ticks
    for level in ("person", "exam"):
        p |= drawn(machines.rows(appearance, machine(seed, index, appearance), level), seed, index, appearance, level)
    as_if = ef if p["follows"] else people.ef_at(p["other_ef"], person, population) / 100
    p |= life.heart(p, ef, as_if, person)
    return p | rhythm(p, _rng(seed, index, appearance, b"rhythm"))


def clip(seed: int, index: int, appearance: Appearance, view: View, shared: Mapping[str, Value]) -> dict[str, Value]:
    """What one recording has besides those: where its plane lies, its echoes and faults."""
    rows = machines.rows(appearance, machine(seed, index, appearance), "clip", view)
    p = drawn(rows, seed, index, appearance, "clip", list(View).index(view))
    share = math.sqrt(shared["length_mm"] * USUAL_MM) / p["depth_mm"]  # a large heart is given more depth, half of it
    p |= {"lv_share": min(max(share, LV_SHARE[0]), LV_SHARE[1])}
    return p | looks.together({**shared, **p}) if appearance in looks.USUAL else p


def draw(
    seed: int, index: int, appearance: Appearance, view: View = View.A4C, *, ef: float, person: Attributes
) -> dict[str, Value]:
    """Every value of one recording; arguments as of `heart`."""
    shared = heart(seed, index, appearance, ef, person)
    return shared | clip(seed, index, appearance, view, shared)


def machine(seed: int, index: int, appearance: Appearance) -> str:
    """The family of machines of a phantom's exam."""
    return machines.machine(appearance, _rng(seed, index, appearance, b"machine").random())


def drawn(
    rows: Mapping[str, Row], seed: int, index: int, appearance: Appearance, level: str, which: int = 0
) -> dict[str, Value]:
    """One value for each row."""
    rng = _rng(seed, index, appearance, level.encode(), which)
    core = MIDDLE_SHARE if appearance == "varied-framed" else CORE_SHARE
    return {name: row.draw(rng, core) for name, row in rows.items()}


def _rng(seed: int, index: int, appearance: Appearance, level: bytes, which: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, index, *appearance.encode(), *level, which])


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
