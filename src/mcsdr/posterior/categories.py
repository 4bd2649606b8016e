"""Where a belief about ejection fraction is cut: the heart-failure categories, their colours, and whole per cents.

A belief is told as probabilities with their inequality. No posterior can promise 0 or 100 %, so none is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

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


def percent(p: float) -> str:
    """A probability in whole per cent; never 0 or 100, which no posterior can promise."""
    return _whole(round(100 * p))


def category_percents(prob: Mapping[str, float]) -> list[str]:
    """The probabilities of the three categories in whole per cent that sum to 100 (largest remainders round up)."""
    exact = 100 * np.array([prob[category.key] for category in CATEGORIES])
    whole = np.floor(exact)
    for index in np.argsort(whole - exact)[: round(100 - whole.sum())]:
        whole[index] += 1
    return [_whole(int(value)) for value in whole]


def _whole(value: int) -> str:
    return "<1 %" if value <= 0 else ">99 %" if value >= 100 else f"{value} %"
