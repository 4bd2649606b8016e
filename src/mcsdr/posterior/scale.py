"""The scale of a table's values: ℓ = logit(y/100), where every number is an ejection fraction inside (0, 100)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mcsdr.errors import InvalidConfig

Array = NDArray[np.float64]

# EF of exactly 0 or 100 % has no logit; a table's values are held this far from the ends.
EDGE_PERCENT = 0.01
# The least gap between neighbouring nodes in ℓ (2.5e-5 EF points at 50 %), so that ties keep a finite density.
LEAST_GAP = 1e-6


def latent_table(y: Array) -> Array:
    """logit(y/100) [B, N], sorted, held inside (0, 100), and strictly ascending."""
    latent = logit(np.clip(np.sort(y, axis=1), EDGE_PERCENT, 100 - EDGE_PERCENT))
    ramp = LEAST_GAP * np.arange(y.shape[1])
    ascending: Array = np.maximum.accumulate(latent - ramp, axis=1) + ramp
    return ascending


def check_table(z: Array, y: Array) -> None:
    if z.shape[-1] != y.shape[-1] or len(z) not in (1, len(y)) or y.shape[-1] < 3 or y.ndim != 2:
        raise InvalidConfig(
            f"A quantile table needs one value per node: z {z.shape}, y {y.shape}.",
            next_step="Give z as [N] and y as [N] or [B, N], with three nodes or more.",
        )
    if not (np.isfinite(z).all() and np.isfinite(y).all() and (np.diff(z, axis=1) > 0).all()):
        raise InvalidConfig(
            "A quantile table needs finite values and ascending nodes.",
            next_step="Look for NaN in the network's output, and for nodes given twice.",
        )


def logit(y: Array) -> Array:
    ell: Array = np.log(y) - np.log(100 - y)
    return ell


def percent(latent: Array) -> Array:
    y: Array = 50 * (1 + np.tanh(0.5 * latent))
    return y
