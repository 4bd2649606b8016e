"""How far a point prediction lies from the label: e_i = ŷ_i − y_i, in EF points.

The arrays are [B], per cent; every function raises ValueError if they are empty, of different shapes or not finite.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def mae(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Mean absolute error, mean |e|."""
    return float(np.abs(differences(predicted, observed)).mean())


def rmse(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Root mean square error, sqrt(mean e²)."""
    return float(np.sqrt((differences(predicted, observed) ** 2).mean()))


def bias(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Mean signed error, mean e; positive where the prediction is too high."""
    return float(differences(predicted, observed).mean())


def mape(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Mean absolute percentage error, 100 · mean |e|/y over labels above 0, as the MCSDR paper's code prints; in %."""
    e, y = differences(predicted, observed), np.asarray(observed, dtype=np.float64)
    above = y > 0
    return float(100 * (np.abs(e[above]) / y[above]).mean()) if above.any() else float("nan")


def r2(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Coefficient of determination, 1 − Σe²/Σ(y − ȳ)²; NaN where all labels are equal."""
    e, y = differences(predicted, observed), np.asarray(observed, dtype=np.float64)
    total = float(((y - y.mean()) ** 2).sum())
    return 1 - float((e**2).sum()) / total if total > 0 else float("nan")


def differences(predicted: ArrayLike, observed: ArrayLike) -> Array:
    """e = ŷ − y, [B], once both have been found fit to subtract."""
    y_hat, y = np.asarray(predicted, dtype=np.float64), np.asarray(observed, dtype=np.float64)
    if y_hat.shape != y.shape or y.ndim != 1 or not y.size:
        raise ValueError(f"predicted {y_hat.shape} and observed {y.shape} must be equal, [B] with B ≥ 1")
    if not (np.isfinite(y_hat).all() and np.isfinite(y).all()):
        raise ValueError("predictions and labels must be finite")
    return y_hat - y
