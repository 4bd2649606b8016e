"""How familiar a clip is: are its tokens those of what the model has learnt from?

A model answers whatever it is shown. What its encoder makes of one window, L tokens of width W, is summed up by their
mean and their SD, v = [mean; sd] ∈ R^{2W}, and seen along the D directions in which the training clips differ most:

    u = P(v − μ),   s_j = u_j/σ_j,   ρ = ln(‖v − μ − Pᵀu‖² / ρ̄)          (what the directions leave over)

Two numbers are asked of a window. Its *distance* from the training clips, whichever way it is off,

    d = √(Σ s_j² + ((ρ − mean)/sd)₊²)

and how much it looks like an *impostor*, something that was made to be refused (other views, no echo, no heartbeat):
the logit of a ridge logistic regression of own against impostor on φ = [s; s²; ρ], standardised and held within ±LIMIT,

    l = b + w·φ,     (w, b) = argmin Σ_i log(1 + exp(−t_i l_i)) + λ‖w‖²/2,    t = ±1, both classes of equal weight.

A window is refused where d > d* or l > l*. Each threshold alone refuses the same share of validation clips, and that
share is the largest at which both together refuse no more than was allowed. Nothing here touches the network.

References: Lee et al. 2018, "A simple unified framework for detecting out-of-distribution samples and adversarial
attacks" (distance in feature space); Jackson & Mudholkar 1979, "Control procedures for residuals associated with
principal component analysis" (ρ).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcsdr.errors import InvalidCohort, InvalidModel

Array = NDArray[np.float64]
Stored = NDArray[np.float32]

DIRECTIONS = 40  # D
RIDGE = 1.0  # λ
LIMIT = 6.0
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
        feature_centre, feature_scale: of φ, [2D + 1].
        weights: w [2D + 1].
        cuts: b − l*, and d*, [2].
    """

    centre: Stored
    directions: Stored
    scale: Stored
    rest: Stored
    feature_centre: Stored
    feature_scale: Stored
    weights: Stored
    cuts: Stored

    def __post_init__(self) -> None:
        D, width = self.directions.shape
        shapes = ((width,), (D, width), (D,), (3,), (2 * D + 1,), (2 * D + 1,), (2 * D + 1,), (2,))
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
        """d − d* and l − l* of features v [N, 2W]."""
        s, rho = self._seen(np.asarray(features, dtype=np.float64))
        standard = (_phi(s, rho) - self.feature_centre) / self.feature_scale
        logit = self.cuts[0] + np.clip(standard, -LIMIT, LIMIT) @ self.weights.astype(np.float64)
        return Strangeness(_distance(s, rho) - self.cuts[1], logit)

    def refuses(self, features: ArrayLike) -> NDArray[np.bool_]:
        """Whether windows of features [N, 2W] are refused, [N]."""
        strange = self.strangeness(features)
        return np.asarray((strange.distance > 0) | (strange.impostor > 0))

    def _seen(self, v: Array) -> tuple[Array, Array]:
        """s [N, D], and ρ in SDs from its mean [N]."""
        return _seen(v, self.centre, self.directions, self.scale, self.rest)


def token_features(tokens: ArrayLike, mask: ArrayLike) -> Array:
    """v of each group of tokens.

    Arguments:
        tokens: [G, L, W]; mask: which of them exist, bool [G, L].

    Returns:
        [G, 2W]; NaN where a group has no token.
    """
    x, seen = np.asarray(tokens, dtype=np.float64), np.asarray(mask, dtype=np.float64)[..., None]
    count = seen.sum(axis=1)
    count[count == 0] = np.nan
    mean = (seen * x).sum(axis=1) / count
    variance = (seen * (x - mean[:, None]) ** 2).sum(axis=1) / count
    return np.concatenate([mean, np.sqrt(variance)], axis=1)


def fit_familiarity(own: ArrayLike, impostors: ArrayLike, validation: ArrayLike, share: float = 0.02) -> Familiarity:
    """Learn what is familiar.

    Arguments:
        own: features of clips like those the model learnt from, [N, 2W].
        impostors: of clips to refuse, [M, 2W].
        validation: of other clips like the first, on which the thresholds are set, [K, 2W].
        share: of the validation clips that may be refused.

    Raises:
        InvalidCohort: fewer than LEAST_CLIPS of a kind.
    """
    groups = [np.asarray(v, dtype=np.float64) for v in (own, impostors, validation)]
    if min(map(len, groups)) < LEAST_CLIPS or groups[0].ndim != 2:
        counts = " + ".join(str(len(v)) for v in groups)
        raise InvalidCohort(
            f"{counts} clips (own, impostors, validation) are too few to learn from what is familiar.",
            next_step=f"Give {LEAST_CLIPS} of each or more; 600 are a good number.",
        )
    centre, directions, scale, rest = _directions(groups[0])
    (s, rho), (s_bad, rho_bad), (s_val, rho_val) = (_seen(v, centre, directions, scale, rest) for v in groups)
    phi, phi_bad, phi_val = _phi(s, rho), _phi(s_bad, rho_bad), _phi(s_val, rho_val)
    middle, spread = phi.mean(axis=0), phi.std(axis=0) + 1e-9
    held, held_bad, held_val = (np.clip((f - middle) / spread, -LIMIT, LIMIT) for f in (phi, phi_bad, phi_val))
    w, b = _logistic(np.concatenate([held, held_bad]), np.repeat([-1.0, 1.0], [len(held), len(held_bad)]))
    distance_cut, logit_cut = _cuts(_distance(s_val, rho_val), held_val @ w + b, share)
    parts = (centre, directions, scale, rest, middle, spread, w, np.array([b - logit_cut, distance_cut]))
    return Familiarity(*(part.astype(np.float32) for part in parts))


def _directions(v: Array) -> tuple[Array, Array, Array, Array]:
    """μ, P, σ, and ρ̄ with mean and SD of ρ, of training features [N, 2W]."""
    centre = v.mean(axis=0)
    _, singular, rows = np.linalg.svd(v - centre, full_matrices=False)
    D = min(DIRECTIONS, len(rows) - 1)
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


def _phi(s: Array, rho: Array) -> Array:
    return np.concatenate([s, s**2, rho[:, None]], axis=1)


def _distance(s: Array, rho: Array) -> Array:
    return np.asarray(np.sqrt((s**2).sum(axis=1) + np.maximum(rho, 0) ** 2))


def _logistic(x: Array, t: Array) -> tuple[Array, float]:
    """w, b of x [N, F] and t = ±1 by Newton's method; each class weighs half of all."""
    n = len(x)
    X = np.concatenate([x, np.ones((n, 1))], axis=1)
    weight = np.where(t > 0, 0.5 * n / (t > 0).sum(), 0.5 * n / (t < 0).sum())
    penalty = np.diag(np.r_[np.full(x.shape[1], RIDGE), 1e-6])
    beta = np.zeros(X.shape[1])
    for _ in range(NEWTON_STEPS):
        p = 0.5 * (1 + np.tanh(0.5 * (X @ beta)))  # P(impostor)
        gradient = X.T @ (weight * (p - (t > 0))) + penalty @ beta
        hessian = (X * (weight * np.maximum(p * (1 - p), 1e-6))[:, None]).T @ X + penalty
        step = np.linalg.solve(hessian, gradient)
        beta = beta - step
        if np.abs(step).max() < 1e-8:
            break
    return beta[:-1], float(beta[-1])


def _cuts(distance: Array, logit: Array, share: float) -> tuple[float, float]:
    """d* and l*: equally strict, together no stricter than `share`."""
    n = len(distance)
    worst = np.maximum(*((np.argsort(np.argsort(score))) for score in (distance, logit)))  # ranks from 0
    level = int(np.sort(worst)[::-1][int(share * n)])  # at most share·n clips have a rank above it
    return float(np.sort(distance)[level]), float(np.sort(logit)[level])
