"""Do the predictions and the readings agree, as two methods of measuring the same thing would?

With differences d_i = ŷ_i − y_i in EF points, their mean d̄ and standard deviation s (of n − 1):

    bias                d̄                           ± t·s/√n
    limits of agreement d̄ ± 1.96 s                  ± t·s·sqrt(1/n + 1.96²/(2(n − 1)))
    Pearson's r         s_ŷy / (s_ŷ s_y)            a straight line, whichever
    Lin's ρ_c           2 s_ŷy / (s_ŷ² + s_y² + d̄²) the line of identity

The intervals are those of Bland and Altman, for independent rows and near-normal differences, t Student's 97.5 %
quantile of n − 1; where patients have several rows, bootstrap over patients instead. ρ_c takes moments over n, as Lin
does. Arrays are [B], per cent; what is empty, not finite or of two lengths raises ValueError.

References: Bland and Altman 1999, "Measuring agreement in method comparison studies", Stat Methods Med Res 8:135; Lin
1989, "A concordance correlation coefficient to evaluate reproducibility", Biometrics 45:255.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcsdr.metrics.point import differences
from mcsdr.posterior.normal import normal_quantile

Array = NDArray[np.float64]

WITHIN = 1.96  # SDs: the limits hold 95 % of normal differences


class Agreement(NamedTuple):
    """Bias, SD of the differences and limits of agreement in EF points, with 95 % intervals (lower, upper)."""

    bias: float
    sd: float
    lower: float
    upper: float
    bias_interval: tuple[float, float]
    lower_interval: tuple[float, float]
    upper_interval: tuple[float, float]


def bland_altman(predicted: ArrayLike, observed: ArrayLike) -> Agreement:
    """Bias and limits of agreement of predictions [B] with readings [B], B ≥ 2; see the module's formulas."""
    d = differences(predicted, observed)
    n, bias, sd = len(d), float(d.mean()), sd_of_differences(predicted, observed)
    t = _student_975(n - 1)
    of_bias = t * sd / math.sqrt(n)
    of_limit = t * sd * math.sqrt(1 / n + WITHIN**2 / (2 * (n - 1)))
    lower, upper = bias - WITHIN * sd, bias + WITHIN * sd
    return Agreement(
        bias,
        sd,
        lower,
        upper,
        (bias - of_bias, bias + of_bias),
        (lower - of_limit, lower + of_limit),
        (upper - of_limit, upper + of_limit),
    )


def sd_of_differences(predicted: ArrayLike, observed: ArrayLike) -> float:
    """s = sqrt(Σ(d − d̄)²/(n − 1)) in EF points; NaN for one row."""
    d = differences(predicted, observed)
    return float(d.std(ddof=1)) if len(d) > 1 else math.nan


def lower_limit(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Lower limit of agreement, d̄ − 1.96 s."""
    return float(differences(predicted, observed).mean()) - WITHIN * sd_of_differences(predicted, observed)


def upper_limit(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Upper limit of agreement, d̄ + 1.96 s."""
    return float(differences(predicted, observed).mean()) + WITHIN * sd_of_differences(predicted, observed)


def slope(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Least-squares slope of predictions on readings, NaN of constant readings; below 1, extremes are pulled in."""
    s_py, _, s_y, _ = _moments(predicted, observed)
    return s_py / s_y if s_y > 0 else math.nan


def pearson_r(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Pearson's correlation; NaN where either is constant."""
    s_py, s_p, s_y, _ = _moments(predicted, observed)
    return s_py / math.sqrt(s_p * s_y) if s_p * s_y > 0 else math.nan


def concordance(predicted: ArrayLike, observed: ArrayLike) -> float:
    """Lin's concordance correlation coefficient; NaN where both are the same constant."""
    s_py, s_p, s_y, bias = _moments(predicted, observed)
    spread = s_p + s_y + bias**2
    return 2 * s_py / spread if spread > 0 else math.nan


def _moments(predicted: ArrayLike, observed: ArrayLike) -> tuple[float, float, float, float]:
    """Covariance, the two variances (over n) and the mean difference."""
    bias = float(differences(predicted, observed).mean())
    p, y = np.asarray(predicted, dtype=np.float64), np.asarray(observed, dtype=np.float64)
    p, y = p - p.mean(), y - y.mean()
    return float((p * y).mean()), float((p * p).mean()), float((y * y).mean()), bias


def _student_975(df: int) -> float:
    """The 97.5 % quantile of Student's t, by Cornish and Fisher's expansion: 0.3 % low at df = 4, better above."""
    if df < 1:
        return math.nan
    z = float(normal_quantile(0.975))
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return float(sum(term / df**power for power, term in enumerate(terms)))
