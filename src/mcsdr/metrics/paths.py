"""How the paths of a sampler behave, from states y [S + 1, B, N] in EF %, the start first.

    settled   the earliest share of the steps after which the SD of the states stays within TOLERANCE of its last value
    crossed   the share of pairs of paths that end in another order than they began: 0 for quantiles, which cannot
              cross, ½ for paths whose ends have nothing to do with their starts

Both are numbers of the sampler, not of the patient, unless shown otherwise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TOLERANCE = 0.1


def settled(states: Array) -> Array:
    """[B], in 0…1; 1 where the last step still moves the SD."""
    spread = states.std(axis=2)
    away = np.abs(spread - spread[-1]) > TOLERANCE * np.maximum(spread[-1], 1e-12)
    steps = len(states) - 1
    last_away = np.where(away.any(axis=0), steps - np.argmax(away[::-1], axis=0), -1)
    return np.asarray((last_away + 1) / steps)


def crossed(states: Array) -> Array:
    """[B], in 0…1."""
    first, last = states[0], states[-1]
    i, j = np.triu_indices(states.shape[2], 1)
    turned = (first[:, i] - first[:, j]) * (last[:, i] - last[:, j]) < 0
    return np.asarray(turned.mean(axis=1))
