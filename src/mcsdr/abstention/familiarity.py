"""How familiar a clip is: are its tokens those of what the model has learnt from?

A model answers whatever it is shown. What its encoder makes of one window are tokens of width W at P places and some
instants. They are summed up twice: v = [mean; sd] ∈ R^{2W} of all of them, and x = [mean; sd] over time at each place,
∈ R^{2PW}. Two numbers are asked of a window. Its *distance* from the training clips, whichever way it is off, seen
along the D directions in which these differ most, and in what the directions leave over:

    u = P(v − μ),   s_j = u_j/σ_j,   ρ = ln(‖v − μ − Pᵀu‖² / ρ̄),   d = √(Σ s_j² + ((ρ − mean)/sd)₊²)

And how much it looks like an *impostor*, something that was made to be refused (other views, no echo, no heartbeat):
the logit of a ridge logistic regression of own against impostor, x standardised by the own clips,

    l = b + w·x,     (w, b) = argmin Σ_i log(1 + exp(−t_i l_i)) + λ‖w‖²/2,    t = ±1, both classes of equal weight.

A window is refused where d > d* or l > l*. Each threshold alone refuses the same share of validation clips, and that
share is the largest at which both together refuse no more than was allowed. Nothing here touches the network.

On the bundled model of version 0.1.0 a discriminant of s, s² and ρ found 0 of 14 short-axis phantoms, one of v at most
1 of 12, one of x 19 of 30 after 40 that it was shown and 27 of 30 after 200: a view is a matter of where things lie
(docs/log.md).

References: Lee et al. 2018, "A simple unified framework for detecting out-of-distribution samples and adversarial
attacks" (distance in feature space); Jackson & Mudholkar 1979, "Control procedures for residuals associated with
principal component analysis" (ρ).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcsdr.errors import InvalidCohort, InvalidModel

Array = NDArray[np.float64]
Stored = NDArray[np.float32]

DIRECTIONS = 40  # D at most
MOST_NUMBERS = 8000  # of P: wide tokens get fewer directions
RIDGE = 10.0  # λ
RANK = 400  # the regression is solved within so many principal directions of x
NEWTON_STEPS = 30
LEAST_CLIPS = 50  # of each kind; a share of 2 % of fewer is less than one clip


class Strangeness(NamedTuple):
    """d and l of windows, each [N], relative to their thresholds: above 0 is refused."""

    distance: Array
    impostor: Array


@dataclass(frozen=True)
class Familiarity:
    """What was learnt of the training clips' tokens; few numbers, float32, kept beside the network's weights.

    Attributes:
        centre: μ [2W].
        directions: P [D, 2W], orthonormal rows.
        scale: σ_j of the directions [D].
        rest: ρ̄, and mean and SD of ρ, [3].
        weights: w [2PW], of x as it is.
        cuts: b − l*, and d*, [2].
    """

    centre: Stored
    directions: Stored
    scale: Stored
    rest: Stored
    weights: Stored
    cuts: Stored

    def __post_init__(self) -> None:
        D, width = self.directions.shape
        shapes = ((width,), (D, width), (D,), (3,), (max(1, self.weights.size // width) * width,), (2,))
        for name, shape in zip(self.arrays(), shapes, strict=True):
            if getattr(self, name).shape != shape:
                raise InvalidModel(f"the gate's {name} is of another shape than the rest of it.")

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        return sum(array.size for array in self.arrays().values())

    def arrays(self) -> dict[str, Stored]:
        """Its parts by name, as they are stored."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def strangeness(self, features: ArrayLike) -> Strangeness:
        """d − d* and l − l* of features [v; x], [N, 2W + 2PW]."""
        v, x = np.split(np.asarray(features, dtype=np.float64), [len(self.centre)], axis=1)
        distance = _distance(*_seen(v, self.centre, self.directions, self.scale, self.rest))
        return Strangeness(distance - self.cuts[1], x @ self.weights.astype(np.float64) + self.cuts[0])

    def refuses(self, features: ArrayLike) -> NDArray[np.bool_]:
        """Whether windows of features [N, 2W] are refused, [N]."""
        strange = self.strangeness(features)
        return np.asarray((strange.distance > 0) | (strange.impostor > 0))


def token_features(tokens: ArrayLike, mask: ArrayLike, places: int = 1) -> Array:
    """[v; x] of each group of tokens.

    Arguments:
        tokens: [G, L, W], place by place at each instant; mask: which of them exist, bool [G, L].
        places: P, of which L is a multiple.

    Returns:
        [G, 2W + 2PW]; NaN where a group has no token.
    """
    z, seen = np.asarray(tokens, dtype=np.float64), np.asarray(mask, dtype=np.float64)[..., None]
    G, L, W = z.shape
    pooled = _mean_and_sd(z, seen)
    placed = _mean_and_sd(z.reshape(G, L // places, places * W), np.repeat(seen[:, ::places], places * W, axis=2))
    return np.concatenate([pooled, placed], axis=1)


def _mean_and_sd(z: Array, seen: Array) -> Array:
    """Over the second axis of z [G, T, F], as far as seen; [G, 2F]."""
    count = seen.sum(axis=1)
    count[count == 0] = np.nan
    mean = (seen * z).sum(axis=1) / count
    variance = (seen * (z - mean[:, None]) ** 2).sum(axis=1) / count
    return np.concatenate([mean, np.sqrt(variance)], axis=1)


def fit_familiarity(
    own: ArrayLike, impostors: ArrayLike, validation: ArrayLike, share: float = 0.02, *, width: int
) -> Familiarity:
    """Learn what is familiar.

    Arguments:
        own: features of clips like those the model learnt from, [N, 2W + 2PW].
        impostors: of clips to refuse, [M, 2W + 2PW].
        validation: of other clips like the first, on which the thresholds are set, [K, 2W + 2PW].
        share: of the validation clips that may be refused.
        width: W.

    Raises:
        InvalidCohort: fewer than LEAST_CLIPS of a kind.
    """
    groups = [np.asarray(f, dtype=np.float64) for f in (own, impostors, validation)]
    if min(map(len, groups)) < LEAST_CLIPS:
        counts = " + ".join(str(len(f)) for f in groups)
        raise InvalidCohort(
            f"{counts} clips (own, impostors, validation) are too few to learn from what is familiar.",
            next_step=f"Give {LEAST_CLIPS} of each or more; 600 are a good number.",
        )
    centre, directions, scale, rest = _directions(groups[0][:, : 2 * width])
    x, bad = groups[0][:, 2 * width :], groups[1][:, 2 * width :]
    middle, spread = x.mean(axis=0), x.std(axis=0) + 1e-3
    standard = (np.concatenate([x, bad]) - middle) / spread
    w, b = _logistic(standard, np.repeat([-1.0, 1.0], [len(x), len(bad)]))
    parts = (centre, directions, scale, rest, w / spread, np.array([b - middle @ (w / spread), 0.0]))
    uncut = Familiarity(*(part.astype(np.float32) for part in parts))
    distance_cut, logit_cut = _cuts(*uncut.strangeness(groups[2]), share)  # of what is stored, in float32
    return replace(uncut, cuts=np.array([uncut.cuts[0] - logit_cut, distance_cut], dtype=np.float32))


def _directions(v: Array) -> tuple[Array, Array, Array, Array]:
    """μ, P, σ, and ρ̄ with mean and SD of ρ, of training clips v [N, 2W]."""
    centre = v.mean(axis=0)
    _, singular, rows = np.linalg.svd(v - centre, full_matrices=False)
    D = max(1, min(DIRECTIONS, MOST_NUMBERS // v.shape[1], len(rows) - 1))
    P, scale = rows[:D], singular[:D] / np.sqrt(len(v)) + 1e-9
    left = _left(v, centre, P)
    rho = np.log(left / left.mean())
    return centre, P, scale, np.array([left.mean(), rho.mean(), rho.std() + 1e-9])


def _left(v: Array, centre: Array | Stored, P: Array | Stored) -> Array:
    """What the directions leave over, ‖v − μ − Pᵀu‖² [N]."""
    x = v - centre
    return np.asarray(((x - (x @ P.T) @ P) ** 2).sum(axis=1) + 1e-12)


def _seen(
    v: Array, centre: Array | Stored, P: Array | Stored, scale: Array | Stored, rest: Array | Stored
) -> tuple[Array, Array]:
    rho = (np.log(_left(v, centre, P) / rest[0]) - rest[1]) / rest[2]
    return np.asarray((v - centre) @ P.T / scale), np.asarray(rho)


def _distance(s: Array, rho: Array) -> Array:
    return np.asarray(np.sqrt((s**2).sum(axis=1) + np.maximum(rho, 0) ** 2))


def _logistic(x: Array, t: Array) -> tuple[Array, float]:
    """w, b of x [N, F] and t = ±1 by Newton's method; each class weighs half of all.

    The ridge keeps w within the span of the rows of x, here within its RANK main directions.
    """
    n = len(x)
    basis = np.linalg.svd(x, full_matrices=False)[2][:RANK]
    X = np.concatenate([x @ basis.T, np.ones((n, 1))], axis=1)
    weight = np.where(t > 0, 0.5 * n / (t > 0).sum(), 0.5 * n / (t < 0).sum())
    penalty = np.diag(np.r_[np.full(len(basis), RIDGE), 1e-6])
    beta = np.zeros(X.shape[1])
    for _ in range(NEWTON_STEPS):
        p = 0.5 * (1 + np.tanh(0.5 * (X @ beta)))  # P(impostor)
        gradient = X.T @ (weight * (p - (t > 0))) + penalty @ beta
        hessian = (X * (weight * np.maximum(p * (1 - p), 1e-6))[:, None]).T @ X + penalty
        step = np.linalg.solve(hessian, gradient)
        beta = beta - step
        if np.abs(step).max() < 1e-8:
            break
    return np.asarray(beta[:-1] @ basis), float(beta[-1])


def _cuts(distance: Array, logit: Array, share: float) -> tuple[float, float]:
    """d* and l*: equally strict, together no stricter than `share`."""
    n = len(distance)
    worst = np.maximum(*((np.argsort(np.argsort(score))) for score in (distance, logit)))  # ranks from 0
    level = int(np.sort(worst)[::-1][int(share * n)])  # at most share·n clips have a rank above it
    between = slice(level, min(level + 2, n))  # halfway to the next clip, so that rounding moves none across
    return float(np.sort(distance)[between].mean()), float(np.sort(logit)[between].mean())
