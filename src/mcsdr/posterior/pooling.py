"""Many posteriors of one study made into one: of its clips by a mixture, of the windows of a clip by their mean.

Which of two clips is right is not known, so their disagreement belongs into the answer: a mixture widens by it. Windows
of one clip, and looks at one window (mirrored, last frame first), show the same ventricle to the same network. Their
disagreement is the network's own error, or that of beats which differ, and the ejection fraction asked for is that of
the beats on average. The mean of their quantiles lessens the one and tells the other, and is no wider than they are.

Reference: Ratcliff 1979, "Group reaction time distributions and an analysis of distribution statistics" (means of
quantiles, after Vincent 1912).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mcsdr.posterior.normal import quantile_nodes
from mcsdr.posterior.recalibration import POOLED
from mcsdr.posterior.scale import EDGE_PERCENT, logit, percent
from mcsdr.posterior.table import Array, Posterior


def pooled(posteriors: Posterior, owner: NDArray[np.int64]) -> Posterior:
    """The equal-weight mixture of the posteriors of each owner.

    Arguments:
        posteriors: a batch [G].
        owner: which of B each belongs to, ascending from 0, every one of them at least once, [G].

    Returns:
        a batch [B], the draws of all members with it where they are draws; trajectories are left behind, since those of
        a mixture are not its own. Where each has an owner of its own, the posteriors as they are.
    """
    counts, first = _runs(owner)
    if len(counts) == len(owner):
        return posteriors
    usual = posteriors.draws is None and posteriors.latent.shape[1] == len(quantile_nodes())
    parts = []
    for count in np.unique(counts):
        those = np.flatnonzero(counts == count)
        members = [posteriors[first[those] + i] for i in range(count)]
        part = members[0] if count == 1 and usual else Posterior.mixture(members)
        if posteriors.known is not None:
            part = replace(part, known=members[0].known if count == 1 else np.full(len(those), POOLED))
        parts.append((those, replace(part, trajectories=None, angles=None)))
    order = np.argsort(np.concatenate([those for those, _ in parts]))
    return Posterior.joined([part for _, part in parts])[order]


def averaged(posteriors: Posterior, owner: NDArray[np.int64]) -> Posterior:
    """The mean of the posteriors of each owner: each quantile the mean of theirs on the scale ℓ = logit(y/100).

    Arguments:
        posteriors: a batch [G] on shared nodes z [1, N], as a sampler gives it.
        owner: as for `pooled`.

    Returns:
        a batch [B] with the mean of their trajectories, step by step on the same scale, which end in the answer. Where
        each has an owner of its own, the posteriors as they are.
    """
    counts, first = _runs(owner)
    if len(counts) == len(owner):
        return posteriors
    return replace(
        posteriors,
        latent=np.add.reduceat(posteriors.latent, first) / counts[:, None],
        violations=np.add.reduceat(posteriors.violations, first),
        raw=None if posteriors.raw is None else np.add.reduceat(posteriors.raw, first) / counts[:, None],
        trajectories=_mean_paths(posteriors, counts, first),
    )


def _mean_paths(posteriors: Posterior, counts: NDArray[np.int64], first: NDArray[np.int64]) -> Array | None:
    """The states of each owner's posteriors averaged: of draws in per cent, of nodes on the scale ℓ."""
    if posteriors.trajectories is None:
        return None
    if posteriors.raw is not None:
        return np.asarray(np.add.reduceat(posteriors.trajectories, first, axis=1) / counts[:, None])
    states = logit(np.clip(posteriors.trajectories, EDGE_PERCENT, 100 - EDGE_PERCENT))
    return percent(np.add.reduceat(states, first, axis=1) / counts[:, None])


def _runs(owner: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many members each owner has, and the first of them, both [B]."""
    counts = np.bincount(owner).astype(np.int64)
    return counts, np.cumsum(counts) - counts
