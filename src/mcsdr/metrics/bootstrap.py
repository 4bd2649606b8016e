"""Bootstrap intervals that respect patients.

Clips of one patient are not independent, so whole groups are drawn: G groups with replacement, all rows of each. The
percentile interval runs from the α/2 to the 1 − α/2 quantile of the statistic over R such resamples. Resamples in which
the statistic is not defined (NaN, such as an AUROC without events) are left out; if it is defined in none, or not on
the data, there is no interval (NaN).

A statistic that every resample makes larger, such as a distance from calibration, to which each adds noise of its own,
may lie outside its own percentile interval. The resamples are then moved by their bias, the distance of their mean from
the estimate, and held at 0 where none of them is below it: an interval always holds its estimate.

References: Davison and Hinkley 1997, "Bootstrap methods and their application", §3.8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Interval(NamedTuple):
    """The statistic on the data as they are, and its bootstrap interval."""

    estimate: float
    lower: float
    upper: float


def draw_groups(groups: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """For each resample the G groups drawn from 0…G−1, with replacement."""
    rng = np.random.default_rng(seed)
    return (rng.integers(groups, size=groups) for _ in range(resamples))


def cluster_bootstrap(
    statistic: Callable[..., float],
    groups: ArrayLike,
    *arrays: NDArray[Any],
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of any statistic of arrays with a common first axis.

    Arguments:
        statistic: called as statistic(*rows) with the rows of each array in a resample.
        groups: patient of each row, [B], of any type that sorts.
        arrays: each [B, …].
        resamples, level, seed: R, 1 − α, and the seed of the draws.

    Raises:
        ValueError: no rows, or arrays of different lengths.

    >>> cluster_bootstrap(lambda e: float(np.abs(e).mean()), ["p1", "p1", "p2"], np.array([1.0, -1.0, 1.0]))
    Interval(estimate=1.0, lower=1.0, upper=1.0)
    """
    order, start, size = _layout(groups, [len(a) for a in arrays])
    values = [
        statistic(*(a[order[_rows(start, size, drawn)]] for a in arrays))
        for drawn in draw_groups(len(start), resamples, seed)
    ]
    return _percentile(statistic(*arrays), np.asarray(values, dtype=np.float64), level)


def cluster_bootstrap_mean(
    groups: ArrayLike, values: ArrayLike, *, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """`cluster_bootstrap` of the mean of `values` [B] by sums over groups: same draws, same interval, faster."""
    x = np.asarray(values, dtype=np.float64)
    order, start, size = _layout(groups, [len(x)])
    total = np.add.reduceat(x[order], start)
    means = [total[drawn].sum() / size[drawn].sum() for drawn in draw_groups(len(start), resamples, seed)]
    return _percentile(float(x.mean()), np.asarray(means), level)


def _layout(groups: ArrayLike, lengths: list[int]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Rows sorted by group, and where each group starts in them and how many it has."""
    labels = np.asarray(groups)
    if not lengths or not labels.size or any(n != len(labels) for n in lengths):
        raise ValueError(f"groups [{len(labels)}] and arrays {lengths} must have the same length, at least 1")
    _, member, size = np.unique(labels, return_inverse=True, return_counts=True)
    return np.argsort(member, kind="stable"), np.cumsum(size) - size, size


def _rows(start: NDArray[np.intp], size: NDArray[np.intp], drawn: NDArray[np.int64]) -> NDArray[np.intp]:
    """Positions start_g, …, start_g + size_g − 1 for every group g drawn, end to end."""
    n = size[drawn]
    begin = np.cumsum(n) - n
    rows: NDArray[np.intp] = np.arange(n.sum()) + np.repeat(start[drawn] - begin, n)
    return rows


def _percentile(estimate: float, values: Array, level: float) -> Interval:
    defined = values[~np.isnan(values)]
    if np.isnan(estimate) or not defined.size:
        return Interval(float(estimate), float("nan"), float("nan"))
    ends = [(1 - level) / 2, (1 + level) / 2]
    lower, upper = np.quantile(defined, ends)
    if not lower <= estimate <= upper:
        moved = defined - (defined.mean() - estimate)
        lower, upper = np.quantile(moved if defined.min() < 0 else np.maximum(moved, 0.0), ends)
        lower, upper = min(lower, estimate), max(upper, estimate)  # however skewed
    return Interval(float(estimate), float(lower), float(upper))
