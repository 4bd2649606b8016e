"""Does one thing grow with another, by whatever curve? Spearman's ρ is Pearson's r of the ranks, ties at their mean.

References: Spearman 1904, "The proof and measurement of association between two things".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def ranks(values: ArrayLike) -> Array:
    """Ranks 1…M along the last axis of [..., M], equal values at the mean of theirs."""
    x = np.asarray(values, dtype=np.float64)
    below = (x[..., None, :] < x[..., None]).sum(axis=-1)
    equal = (x[..., None, :] == x[..., None]).sum(axis=-1)
    return np.asarray(below + (equal + 1) / 2)


def spearman(x: ArrayLike, y: ArrayLike) -> Array:
    """ρ of x and y along their last axis, [...] of [..., M], M ≥ 2; NaN where either is constant.

    >>> spearman([0, 1, 2], [[5, 7, 6], [3, 2, 1]])
    array([ 0.5, -1. ])
    """
    a, b = np.broadcast_arrays(ranks(x), ranks(y))
    if a.ndim < 1 or a.shape[-1] < 2:
        raise ValueError(f"x and y must be [..., M] with M ≥ 2, not {a.shape}")
    a, b = (side - side.mean(axis=-1, keepdims=True) for side in (a, b))
    spread = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
    with np.errstate(invalid="ignore"):
        return np.asarray((a * b).sum(axis=-1) / np.where(spread > 0, spread, np.nan))
