"""When frames were taken, freed of the rounding that a container's clock did to it."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

CLOCK_S = 1e-3  # a clock of whole milliseconds, as containers keep it, puts a frame so far off its even place


def even_step(times_s: NDArray[np.float64], clock_s: float = CLOCK_S) -> float | None:
    """The slope Δ of the least-squares line through times [T], where they lie on it up to a clock's rounding."""
    if len(times_s) < 3:
        return None
    since = np.asarray(times_s, dtype=np.float64) - times_s[0]
    k = np.arange(len(since)) - (len(since) - 1) / 2
    step = float(k @ since / (k @ k))
    on_it = float(np.abs(since - since.mean() - k * step).max()) <= clock_s
    return step if on_it and step * (len(since) - 1) > clock_s else None


def even_times(times_s: NDArray[np.float64], clock_s: float = CLOCK_S) -> NDArray[np.float64]:
    """Times [T] from 0 on, laid on an even grid where they are even up to the rounding of a clock to `clock_s`.

    The grid is t_k = k / f. The slope Δ (`even_step`) gives 1 / f to within clock_s / (T − 1), and f is the simplest
    fraction in that range: 30 for steps of 33, 33 and 34 ms, for 33.33 ms, and for 1/30 s. So the same times give the
    same grid to the last bit, wherever they start, whatever their unit. Times that are not even only lose their start.
    """
    step = even_step(times_s, clock_s)
    if step is None:
        since: NDArray[np.float64] = np.asarray(times_s, dtype=np.float64) - times_s[0]
        return since
    spare = clock_s / (len(times_s) - 1)
    rate_hz = float(_simplest(Fraction(1 / (step + spare)), Fraction(1 / (step - spare))))
    return np.arange(len(times_s)) / rate_hz


def _simplest(low: Fraction, high: Fraction) -> Fraction:
    """The fraction of the smallest denominator in a range of positive numbers."""
    whole = math.floor(low)
    if whole == low or whole + 1 <= high:
        return Fraction(math.ceil(low))
    return whole + 1 / _simplest(1 / (high - whole), 1 / (low - whole))
