"""From what a reader would report to what the heart does: a posterior with the reader's own error taken out.

A posterior is of a *report* y = E + e: the true ejection fraction E and a reader's error e ~ N(0, σ²) that no clip can
tell. Its interval is the interval of a report, and covers the truth too often. With σ stated, the posterior of E is
the q whose convolution with the error is the posterior p of the report,

    p(y) = ∫ N(y; E, σ²) q(E) dE.

On a grid of EF points q is found by the steps of the EM algorithm for a mixture with known components (Richardson and
Lucy's), which keep q positive, of mass 1, and bring it nearer to p by Kullback and Leibler's measure at every step:

    q ← q · Σ_y N(y; E, σ²) p(y) / (N ∗ q)(y).

They start from p drawn towards its mean until its variance is s² − σ². Of a normal p that is the answer, and the steps
leave it as it is; of several peaks, which shrink each towards its own centre, STEPS of them are enough (W1 to the exact
q 0.08 points for peaks at 34 and 54). Many more would sharpen what is noise. Where s² ≤ σ² the posterior claims to
know a reader's error: q then keeps LEAST of the SD.

References: Richardson 1972, "Bayesian-based iterative method of image restoration"; Lucy 1974; Dempster, Laird, Rubin
1977; Carroll and Hall 1988 on how slowly any deconvolution of a normal error can be exact.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from mcsdr.errors import InvalidConfig
from mcsdr.posterior.normal import normal_cdf, quantile_nodes
from mcsdr.posterior.table import Posterior

Array = NDArray[np.float64]

STEP = 0.5  # EF points
EDGES: Array = np.arange(0.0, 100.0 + STEP / 2, STEP)
CENTRES: Array = 0.5 * (EDGES[1:] + EDGES[:-1])
STEPS = 20
LEAST = 0.25  # of the SD of a report, that the heart's keeps at least
FAINT = 1e-12  # probability of a cell: none is empty, so that every step is defined


def heart_of(posterior: Posterior, reader_sd: float) -> Posterior:
    """The posterior of the heart's own EF, from that of a report, [B] or of one study.

    Arguments:
        posterior: of what a reader reports.
        reader_sd: σ of a reader's error in EF points; 0 leaves the posterior as it is.

    Raises:
        InvalidConfig: σ is no number of EF points.

    >>> report = Posterior.from_nodes([-2, -1, 0, 1, 2], [45, 50, 55, 60, 65])
    >>> heart = heart_of(report, 3.0)
    >>> round(report.sd, 1), round(heart.sd, 1), round(heart.median)
    (5.0, 4.0, 55)
    """
    if checked_sd(reader_sd) == 0:
        return posterior
    z = quantile_nodes()
    cumulative = np.cumsum(heart_shares(posterior, reader_sd), axis=1)
    levels = normal_cdf(z)
    table = np.stack([np.interp(levels, np.r_[0.0, row], EDGES) for row in cumulative])
    return Posterior.from_nodes(z, table[0] if posterior.single else table)


def checked_sd(reader_sd: float) -> float:
    """σ itself.

    Raises:
        InvalidConfig: it is no number of EF points from 0 to 20.
    """
    if not 0 <= reader_sd <= 20:
        raise InvalidConfig(
            f"the readers' SD is {reader_sd:g} EF points.", next_step="Give one from 0 to 20; 4 or 5 are usual."
        )
    return reader_sd


def heart_shares(posterior: Posterior, reader_sd: float) -> Array:
    """q: the probability that the heart's EF lies in each cell of `CENTRES`, [B, M]."""
    report = cell_shares(posterior)
    error = reader_error(reader_sd)
    q = _started(posterior, reader_sd)
    for _ in range(STEPS):
        q = q * ((report / (q @ error)) @ error.T)
        q = np.maximum(q / q.sum(axis=1, keepdims=True), FAINT)
    return np.asarray(q / q.sum(axis=1, keepdims=True))


def cell_shares(posterior: Posterior) -> Array:
    """The probability of each cell of `CENTRES`, [B, M]."""
    share = np.diff(np.atleast_2d(posterior.cdf(EDGES)), axis=1)
    return np.asarray(share / share.sum(axis=1, keepdims=True))


@cache
def reader_error(reader_sd: float) -> Array:
    """N(y; E, σ²) over the cells: row E, column y, [M, M]; what would leave 0–100 % is spread over the rest."""
    kernel = np.exp(-0.5 * ((CENTRES[:, None] - CENTRES) / reader_sd) ** 2)
    return np.asarray(kernel / kernel.sum(axis=1, keepdims=True))


def _started(posterior: Posterior, reader_sd: float) -> Array:
    """The posterior drawn towards its mean until it has the variance of the heart's."""
    mean, sd = np.atleast_1d(posterior.mean)[:, None], np.atleast_1d(posterior.sd)[:, None]
    kept = np.sqrt(np.maximum(sd**2 - reader_sd**2, (LEAST * sd) ** 2)) / sd
    wider = np.clip(mean + (EDGES - mean) / kept, 0.0, 100.0)
    cumulative = np.stack([np.atleast_1d(one.cdf(y)) for one, y in zip(_each(posterior), wider, strict=True)])
    cumulative[:, 0], cumulative[:, -1] = 0.0, 1.0
    q = np.maximum(np.diff(cumulative, axis=1), FAINT)
    return np.asarray(q / q.sum(axis=1, keepdims=True))


def _each(posterior: Posterior) -> list[Posterior]:
    return [posterior[index] for index in range(len(posterior))]
