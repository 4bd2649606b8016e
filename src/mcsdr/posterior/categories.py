"""Where a belief about ejection fraction is cut: the heart-failure categories, their colours, and whole per cents.

A belief is told as probabilities with their inequality. EF is continuous, so that P(EF ≤ c) = P(EF < c) = F(c): where a
society's whole numbers say "below 30", "30–40" and "41–51", the cuts here are EF ≤ 30, 30 < EF ≤ 40 and 40 < EF < 52.

One probability is one whole number wherever it is written. It is rounded once: F(c) to four decimals, as records have
it, then to r(c) in whole per cent, a half upwards; of a band between two cuts r(b) − r(a) is told. So bands sum to 100,
and the band below a cut is what is told of the cut itself. No posterior can promise 0 or 100 %, so none is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

CUTS = (30, 35, 40, 50)  # EF %: severe, device therapy, and the two bounds of the heart-failure categories
# Okabe and Ito's palette, told apart with every common colour vision.
BLUE, SKY, GREEN, ORANGE, VERMILION = "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00"


class Category(NamedTuple):
    """One heart-failure category: its name, its band, its inequality and its key in a record's probabilities."""

    name: str
    band: str
    inequality: str
    key: str
    tone: str  # "low", "mid" or "high": one colour each
    colour: str


CATEGORIES = (
    Category("HFrEF", "≤40", "EF ≤ 40 %", "<=40", "low", VERMILION),
    Category("HFmrEF", "41–49", "40 < EF < 50 %", "40-50", "mid", ORANGE),
    Category("HFpEF", "≥50", "EF ≥ 50 %", ">=50", "high", BLUE),
)


def category_of(ef: float) -> Category:
    """The category that an ejection fraction falls in."""
    return CATEGORIES[0 if ef <= 40 else 1 if ef < 50 else 2]


def whole_percent(p: float) -> int:
    """r: a probability in whole per cent, by way of four decimals, a half upwards.

    >>> whole_percent(0.25499), whole_percent(0.2550), whole_percent(0.2549)
    (26, 26, 25)
    """
    return (round(10_000 * p) + 50) // 100


def percent(p: float) -> str:
    """A probability in whole per cent; never 0 or 100, which no posterior can promise."""
    return _said(whole_percent(p))


def band_percents(below: Sequence[float]) -> list[str]:
    """The bands between cuts in whole per cent that sum to 100: r(b) − r(a).

    Arguments:
        below: F at the cuts, ascending; K cuts make K + 1 bands.

    >>> band_percents([0.124, 0.376])
    ['12 %', '26 %', '62 %']
    """
    whole = [0, *map(whole_percent, below), 100]
    return [_said(upper - lower) for lower, upper in pairwise(whole)]


def category_percents(prob: Mapping[str, float]) -> list[str]:
    """The probabilities of the three categories in whole per cent, see `band_percents`; keys as a record's."""
    return band_percents([prob["<=40"], prob["<50"]])


def _said(value: int) -> str:
    return "<1 %" if value <= 0 else ">99 %" if value >= 100 else f"{value} %"
