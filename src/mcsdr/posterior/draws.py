"""iid draws as they were drawn: the plain mean that the MCSDR paper answers by, and ranks among them.

A table of K draws holds them inside (0, 100) and puts them at the levels (i − ½)/K, so that its 90 % interval is the
range of 10 draws, which covers (K − 1)/(K + 1) = 82 % of labels even where the posterior is perfect. Of the draws
themselves two things are exact whatever K is. Their plain mean is that of the authors' code, draws beyond 0 and 100 %
among them. And among K draws of the posterior that a label follows, the label's rank is uniform on 0 … K, so that

    u = (rank + U)/(K + 1),      U uniform in (0, 1),

is uniform: coverage, KS and QICE of u are those of the posterior, not of the number of its draws.

Where a posterior is recalibrated, its draws are carried along (`moved`), so that they are scored as draws still.

Rows are studies, ascending; NaN fills the rows of those with fewer draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcsdr.posterior.normal import normal_quantile

if TYPE_CHECKING:
    from mcsdr.posterior.table import Posterior

Array = NDArray[np.float64]


def plain_mean(raw: Array) -> Array:
    """[B] of draws [B, K]."""
    return np.asarray(np.nanmean(raw, axis=1))


def plain_sd(raw: Array) -> Array:
    """The SD of the draws [B, K] with K − 1 in its denominator, [B]."""
    return np.asarray(np.nanstd(raw, axis=1, ddof=1))


def share_outside(raw: Array) -> Array:
    """The share of draws [B, K] at 0 or 100 % or beyond, [B]: those that clipping moves, or has moved."""
    return np.asarray(((raw <= 0) | (raw >= 100)).sum(axis=1) / (~np.isnan(raw)).sum(axis=1))


def rank_pit(raw: Array, observed: ArrayLike, seeds: Sequence[int]) -> Array:
    """u = (rank + U)/(K + 1) of labels [B] among draws [B, K], [B].

    Arguments:
        observed: labels in EF %.
        seeds: what each study's U follows from, such as its place in the cohort, so that its u is the same in every
            batch.
    """
    y = np.asarray(observed, dtype=np.float64)[:, None]
    uniform = np.array([np.random.default_rng([seed, *b"rank"]).random() for seed in seeds])
    # A label that ties with draws lies anywhere among them.
    below, ties = (raw < y).sum(axis=1), (raw == y).sum(axis=1)
    return np.asarray((below + uniform * (1 + ties)) / ((~np.isnan(raw)).sum(axis=1) + 1))


def pit_of(posterior: Posterior, observed: ArrayLike, seeds: Sequence[int] | None = None) -> Array:
    """The PIT without bias: of a table F(y), of iid draws by the label's rank (`rank_pit`); [B].

    Arguments:
        seeds: of the ranks, see `rank_pit`; each study's place in the batch if left out.
    """
    y = np.atleast_1d(np.asarray(observed, dtype=np.float64))
    if posterior.raw is None:
        return np.atleast_1d(posterior.pit(y))
    return rank_pit(posterior.raw, y, range(len(y)) if seeds is None else seeds)


def moved(raw: Array, h: Callable[[Array], Array]) -> Array:
    """Draws of F carried to draws of F(G(h(z))): the i-th of K goes where a draw of score h(z_i) would lie, [B, K].

    z_i = Φ⁻¹((i − ½)/K). Between draws straight lines; beyond the outermost a line that rises by the draws' SD for one
    of z, since the gap between the last two is chance. h the identity leaves every draw where it is.

    Arguments:
        raw: draws [B, K], rows ascending.
        h: increasing, of scores [B, K].
    """
    K = (~np.isnan(raw)).sum(axis=1)
    z = np.full(raw.shape, np.nan)
    for row, count in zip(z, K, strict=True):
        row[:count] = normal_quantile((np.arange(count) + 0.5) / count)
    target, sd = h(np.nan_to_num(z)), plain_sd(raw)
    out = np.full(raw.shape, np.nan)
    for index, count in enumerate(K):
        at, to, known = z[index, :count], target[index, :count], raw[index, :count]
        beyond = np.minimum(to - at[0], 0) + np.maximum(to - at[-1], 0)
        out[index, :count] = np.interp(to, at, known) + sd[index] * beyond
    return out


def side_by_side(parts: Sequence[Array | None]) -> Array | None:
    """The draws of several members of the same studies together, [B, ΣK]; None if one has none."""
    known = [part for part in parts if part is not None]
    return np.sort(np.concatenate(known, axis=1), axis=1) if len(known) == len(parts) else None


def one_below_other(parts: Sequence[Array | None]) -> Array | None:
    """The draws of batches of studies one after the other, [ΣB, max K]; None if one has none."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    widest = max(part.shape[1] for part in known)
    pads = [np.full((len(part), widest - part.shape[1]), np.nan) for part in known]
    return np.concatenate([np.concatenate([part, pad], axis=1) for part, pad in zip(known, pads, strict=True)])
