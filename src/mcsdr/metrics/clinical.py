"""How well the posterior answers the clinician's question: is the ejection fraction below the cut-point?

The event is that of the reading, such as y ≤ 40 %, and the answer is the posterior's own probability p of it, never
the side on which a point estimate falls:

    AUROC = P(p_i > p_j) + ½ P(p_i = p_j)    for i with the event and j without: how well p ranks (Mann–Whitney)
    Brier = mean (p_i − 1{event_i})²         ranking and honesty together; p = share of events gives share·(1 − share)

References: Hanley and McNeil 1982, "The meaning and use of the area under a ROC curve"; Brier 1950, "Verification of
forecasts expressed in terms of probability".
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def auroc(score: ArrayLike, event: ArrayLike) -> float:
    """Area under the ROC curve, ties counted half.

    Arguments:
        score: [B], higher where the event is likelier.
        event: bool [B].

    Returns:
        In [0, 1]; NaN where all or none of the rows have the event.

    Raises:
        ValueError: no rows, two lengths, or a score that is not a number.
    """
    s, happened = _checked(score, event)
    n_1 = int(happened.sum())
    n_0 = len(s) - n_1
    if n_1 == 0 or n_0 == 0:
        return math.nan
    _, value, ties = np.unique(s, return_inverse=True, return_counts=True)
    midrank = np.cumsum(ties) - 0.5 * (ties - 1)
    U = midrank[value][happened].sum() - 0.5 * n_1 * (n_1 + 1)
    return float(U / (n_1 * n_0))


def brier(probability: ArrayLike, event: ArrayLike) -> float:
    """Mean squared difference of probability [B] and event, bool [B]; 0 is best.

    Raises:
        ValueError: as for `auroc`, or a probability outside [0, 1].
    """
    p, happened = _checked(probability, event)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("probabilities must lie in [0, 1]")
    return float(((p - happened) ** 2).mean())


def _checked(score: ArrayLike, event: ArrayLike) -> tuple[Array, NDArray[np.bool_]]:
    s, happened = np.asarray(score, dtype=np.float64), np.asarray(event, dtype=np.bool_)
    if s.shape != happened.shape or s.ndim != 1 or not s.size or np.isnan(s).any():
        raise ValueError(f"score {s.shape} and event {happened.shape} must be equal, [B] with B ≥ 1, without NaN")
    return s, happened
