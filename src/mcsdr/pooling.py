"""Many posteriors of one study made into one: of its clips and beats by a mixture, of looks at one beat by their mean.

Which clip or beat is right is not known, so their disagreement belongs into the answer: a mixture widens by it. Looks
at one beat (mirrored, last frame first) show the same ventricle to the same network, and their disagreement is the
network's own error: the mean of their quantiles lessens it, and is no wider than they are on average.

Reference: Ratcliff 1979, "Group reaction time distributions and an analysis of distribution statistics" (means of
quantiles, after Vincent 1912).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mcsdr.posterior import Posterior, quantile_nodes


def pooled(posteriors: Posterior, owner: NDArray[np.int64]) -> Posterior:
    """The equal-weight mixture of the posteriors of each owner.

    Arguments:
        posteriors: a batch [G].
        owner: which of B studies each belongs to, ascending from 0, every study at least once, [G].

    Returns:
        a batch [B] on the quantile nodes; trajectories are left behind, since those of a mixture are not its own.
    """
    counts = np.bincount(owner)
    first = np.cumsum(counts) - counts
    z = quantile_nodes()
    table = np.empty((len(counts), len(z)))
    for count in np.unique(counts):
        studies = np.flatnonzero(counts == count)
        members = [posteriors[first[studies] + i] for i in range(count)]
        table[studies] = Posterior.mixture(members).y_percent
    return Posterior.from_nodes(z, table)


def averaged(posteriors: Posterior, looks: int) -> Posterior:
    """The mean of every `looks` posteriors in a row: each quantile the mean of theirs on the scale ℓ = logit(y/100).

    Arguments:
        posteriors: a batch [G] on shared nodes z [1, N], as a sampler gives it; G is a multiple of `looks`.

    Returns:
        a batch [G / looks]; trajectories are left behind, since none of them ends in the mean.
    """
    return replace(
        posteriors,
        latent=posteriors.latent.reshape(-1, looks, posteriors.latent.shape[1]).mean(axis=1),
        violations=posteriors.violations.reshape(-1, looks).sum(axis=1),
        trajectories=None,
        angles=None,
    )
