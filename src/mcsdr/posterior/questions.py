"""Questions that make no sense, refused by name before they are answered wrongly.

Levels are shares of the belief, 0 to 1; ejection fractions are in per cent, 0 to 100. The two are easily taken for one
another: F(0.4) is 0, and the interval of level 90 would end where no quantile is. A grid is another matter: it may
begin at 0 and pass through 0.4.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcsdr.errors import InvalidConfig

Array = NDArray[np.float64]
Several = Sequence[float] | NDArray[np.floating | np.integer]

IN_PERCENT = "Ejection fraction is in per cent, from 0 to 100"


def numbers(values: float | Several, what: str) -> Array:
    """The values as an array of floats of the same shape.

    Raises:
        InvalidConfig: they are something else, such as text or None.
    """
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError):  # ragged lists; tensors that hold gradients
        array = np.asarray(None)
    if array.dtype.kind not in "fiu":
        raise InvalidConfig(
            f"{what} must be a number or an array of numbers, not {_shown(values)}.",
            next_step="Give 40, or [30, 40, 50], or a NumPy array.",
        )
    return array.astype(np.float64)


def levels(q: float | Several) -> Array:
    """Quantile levels, each in [0, 1].

    Raises:
        InvalidConfig: one is not; 50 is asked back as 0.5.
    """
    found = numbers(q, "A quantile's level")
    for level in found[~((found >= 0) & (found <= 1))].ravel()[:1]:
        raise InvalidConfig(f"A quantile's level lies between 0 and 1; {level:g} does not.", next_step=_as_share(level))
    return found


def interval_level(level: float) -> Array:
    """The share of the belief that an interval holds, in (0, 1].

    Raises:
        InvalidConfig: it is not; 90 is asked back as 0.9.
    """
    found = numbers(level, "An interval's level")
    for share in found[~((found > 0) & (found <= 1))].ravel()[:1]:
        raise InvalidConfig(
            f"An interval holds a share of the belief, above 0 and at most 1; {share:g} is none.",
            next_step=_as_share(share),
        )
    return found


def cut_points(c: float | Several) -> Array:
    """Cut-points in EF %; a single one must lie in [0, 100], and not strictly between 0 and 1.

    Raises:
        InvalidConfig: it does not; 0.4 is asked back as 40.
    """
    found = numbers(c, "A cut-point")
    if found.ndim:
        return found
    cut = float(found)
    if 0 < cut < 1:
        raise InvalidConfig(f"{IN_PERCENT}; {cut:g} is a fraction.", next_step=f"Did you mean {100 * cut:g}?")
    if not 0 <= cut <= 100:
        raise InvalidConfig(f"{IN_PERCENT}; {cut:g} is not.", next_step="Give a cut-point such as 40.")
    return found


def between(lower: float, upper: float) -> tuple[Array, Array]:
    """The two ends of a stretch of EF %, in order.

    Raises:
        InvalidConfig: no cut-points, or the lower lies above the upper.
    """
    low, high = cut_points(lower), cut_points(upper)
    if (low > high).any():
        raise InvalidConfig(
            f"The lower end, {_shown(lower)}, lies above the upper, {_shown(upper)}.",
            next_step=f"Did you mean prob_between({_shown(upper)}, {_shown(lower)})?",
        )
    return low, high


def observed(y: ArrayLike, studies: int) -> Array:
    """One observed EF per study, as [B, 1]."""
    column = np.asarray(y, dtype=np.float64).reshape(-1, 1)
    if len(column) != studies:
        raise InvalidConfig(
            f"{len(column)} observed values for {studies} studies.", next_step="Give one observed EF per study."
        )
    return column


def count(n: SupportsIndex) -> int:
    """How many draws.

    Raises:
        InvalidConfig: not a whole number from 0 up.
    """
    try:
        whole = operator.index(n)
    except TypeError:
        whole = -1
    if whole < 0:
        raise InvalidConfig(
            f"The number of draws must be a whole number from 0 up, not {_shown(n)}.",
            next_step="Give a number such as 1000.",
        )
    return whole


def _as_share(level: float) -> str:
    meant = f"Did you mean {level / 100:g}?" if 2 <= level < 100 else ""
    return meant or "Give a share such as 0.9."


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def row(asked: Array) -> Array:
    """What is asked of every study, as one row: [1, M]."""
    return np.reshape(asked, (1, -1))


def weights(given: Sequence[float] | None, count: int) -> Array:
    """The weights of so many posteriors, scaled to sum 1; equal where none are given.

    Raises:
        InvalidConfig: not one for each, one is negative, or all are 0.
    """
    w: Array = np.ones(count) if given is None else np.array(given, dtype=np.float64)
    if w.shape != (count,) or (w < 0).any() or not w.sum() > 0:
        raise InvalidConfig("A mixture needs one weight ≥ 0 per posterior.", next_step="Check the weights.")
    w /= w.sum()
    return w
