"""Recalibration in z, and conformal intervals: few numbers that make posteriors mean what they say.

A posterior is an increasing map G from a normal z to y (`mcsdr.posterior.table`), and the *score* of a label is s =
G⁻¹(y): normal where the posteriors are calibrated. With h the quantile function of the scores in z (s is distributed as
h(n), n normal) and R the distribution of the PIT, Φ(s), the recalibrated posterior is

    G'(z) = G(h(z)),      which is      F'(y) = R(F(y)),      R = Φ ∘ h⁻¹ ∘ Φ⁻¹

so each node z_j of a table moves to h⁻¹(z_j) and its value y_j stays: the sampler's trajectories end where they ended,
and are told at another quantile level. h is the identity and four Hermite functions ψ_j = He_j/√(j!),

    h(z) = z + Σ_j c_j ψ_j(z),      c_j = mean_i (s_(i) − z_i) ψ_j(z_i),      z_i = Φ⁻¹((i − ½)/n)

bias, scale, skewness and tails. Of calibrated scores c_j has mean 0 and variance v_j = 1/((j + 1)n), the c_j
uncorrelated, so each is shrunk to c_j (1 − v_j/c_j²)₊: what cannot be told from chance is left alone. h is kept as a
monotone cubic through nine knots, a straight line beyond them.

What is right on average may be too wide where the heart fails and too narrow where it is well. So h may bend with the
answer: at each of CENTRES, in EF points of the table's middle node m, c_j is fitted with the studies weighted by
max(0, 1 − |m − centre|/gap), and what differs from the common c_j is shrunk as above with n = (Σw)²/Σw²; between two
centres h is their mixture by m. m is the sampler's, which recalibration does not move, so h is found again from a
recalibrated table.

By how much a model leans to one side is often its pictures' doing, and other machines' or styles' lean otherwise. With
`keep_median` only the odd terms are fitted, scale and tails: h(0) = 0, and no median moves.

A split-conformal interval of the raw posterior, [G(−q̂), G(q̂)] with q̂ the ⌈(n + 1)λ⌉-th smallest of the n |s_i|, holds
the label with probability ≥ λ whatever the posteriors are, where studies are exchangeable with those of the
calibration. It is an average over studies: nothing is promised for a kind of patient. Both are fitted for each pattern
of what is known of a study (`PATTERNS`), since a posterior from the video may be calibrated and one without it not, and
since the mean of several windows errs less than any of them, but is as wide. What is recalibrated is a clip's
posterior; those of several clips are pooled afterwards, so that a mixture of a posterior with itself is that posterior.

References: Dawid 1984, "Statistical theory: the prequential approach"; Kuleshov, Fenner, Ermon 2018, "Accurate
uncertainties for deep learning using calibrated regression"; Breiman 1995, "Better subset regression using the
nonnegative garrote"; Vovk, Gammerman, Shafer 2005, "Algorithmic learning in a random world".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mcsdr.errors import InvalidConfig
from mcsdr.posterior.draws import moved, pit_of
from mcsdr.posterior.monotone import MonotoneCubic
from mcsdr.posterior.normal import normal_cdf, normal_quantile
from mcsdr.posterior.table import Posterior

Array = NDArray[np.float64]

POOLED = "several clips"  # of a mixture of recalibrated posteriors: it has no map of its own
ONE, SEVERAL = "video", "several windows"  # how much of the clips is pooled into an answer
PATTERNS = (f"{SEVERAL} and attributes", SEVERAL, f"{ONE} and attributes", ONE, "attributes", "nothing")
LEVELS = (0.5, 0.8, 0.9, 0.95)  # of conformal intervals
SCORE_LIMIT = 6.0  # scores are held within: at 6 the distribution function is still exact on either side
TERMS = 4  # of h
KNOTS: Array = np.array([-2.5, -1.75, -1.1, -0.5, 0.0, 0.5, 1.1, 1.75, 2.5])
LEAST_SLOPE = 0.2  # no posterior becomes narrower than a fifth of what it was
CENTRES: Array = np.array([25.0, 35.0, 45.0, 55.0, 65.0])  # of the middle of a posterior, EF in per cent
LEAST_STUDIES = 30  # in effect, about a centre; with fewer the common map holds there


def pattern_of(windows: ArrayLike, attributes: ArrayLike) -> NDArray[np.str_]:
    """What is known of each study, as named in `PATTERNS`.

    Arguments:
        windows: how many windows of its clips are seen, int [B].
        attributes: whether any attribute is known, bool [B].
    """
    index = 2 * (2 - np.minimum(windows, 2)) + ~np.asarray(attributes, dtype=bool)
    patterns: NDArray[np.str_] = np.array(PATTERNS)[index]
    return patterns


def scores_of(posterior: Posterior, ef_percent: ArrayLike) -> Array:
    """s = G⁻¹(y) of one reported EF per study, within ±SCORE_LIMIT, [B]; of iid draws by the label's rank."""
    return np.clip(normal_quantile(pit_of(posterior, ef_percent)), -SCORE_LIMIT, SCORE_LIMIT)


def conformal_quantile(scores: ArrayLike, level: float) -> float:
    """q̂: the ⌈(n + 1)·level⌉-th smallest of n |scores|; SCORE_LIMIT stands for infinity.

    Raises:
        InvalidConfig: the level is not inside (0, 1), or there are fewer scores than it needs.
    """
    size = np.sort(np.abs(np.asarray(scores, dtype=np.float64)))
    if not 0 < level < 1:
        raise InvalidConfig(f"an interval of level {level}.", next_step="Give a level inside (0, 1), such as 0.9.")
    rank = math.ceil((len(size) + 1) * level - 1e-9)
    if rank > len(size):
        need = math.ceil(level / (1 - level) - 1e-9)
        raise InvalidConfig(
            f"{len(size)} studies are too few for a conformal interval of level {level:g}; it needs {need}.",
            next_step="Calibrate on more studies, or ask for a lower level.",
        )
    return float(size[rank - 1])


class Recalibration(BaseModel):
    """h and q̂ of one pattern, as they stand in model.json.

    Arguments:
        z, scores: knots of h, both strictly ascending.
        scores_at: the knots' scores at each of CENTRES; empty where h is the same for all answers.
        conformal: q̂ of each level of `LEVELS`.
        studies, patients: how many it was fitted on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    z: tuple[float, ...] = Field(max_length=1000)
    scores: tuple[float, ...] = Field(max_length=1000)
    scores_at: tuple[tuple[float, ...], ...] = ()
    conformal: tuple[float, ...] = Field(min_length=len(LEVELS), max_length=len(LEVELS))
    studies: int = Field(ge=0)
    patients: int = Field(ge=0)

    @field_validator("z", "scores")
    @classmethod
    def _ascend(cls, knots: tuple[float, ...]) -> tuple[float, ...]:
        if len(knots) < 3 or not np.isfinite(knots).all() or not (np.diff(knots) > 0).all():
            raise ValueError("knots must be three or more, finite, and ascend")
        return knots

    @model_validator(mode="after")
    def _knots_in_pairs(self) -> Self:
        if any(len(row) != len(self.z) for row in (self.scores, *self.scores_at)):
            raise ValueError("every z has one score")
        return self

    @field_validator("scores_at")
    @classmethod
    def _each_ascends(cls, rows: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
        if rows and len(rows) != len(CENTRES):
            raise ValueError(f"knots at {len(rows)} centres, not {len(CENTRES)}")
        return tuple(cls._ascend(row) for row in rows)

    @classmethod
    def fit(
        cls,
        scores: ArrayLike,
        patients: int | None = None,
        middles_percent: ArrayLike | None = None,
        *,
        keep_median: bool = False,
    ) -> Recalibration:
        """From the scores [n] of studies that the model never saw.

        Arguments:
            patients: how many the studies are of; they, not the studies, are independent. n if left out.
            middles_percent: `middle_of` each raw posterior, [n], for an h that bends with the answer; one h for all if
                left out.
            keep_median: whether widths alone are mended, and every median stays.

        Raises:
            InvalidConfig: too few scores for the conformal levels.
        """
        s = np.asarray(scores, dtype=np.float64)
        n = patients or len(s)
        terms = slice(1, None, 2) if keep_median else slice(None)
        common = shrink(coefficients(s), n, terms)
        return cls(
            z=tuple(KNOTS.tolist()),
            scores=_rising(common),
            scores_at=() if middles_percent is None else _bent(s, n, common, np.asarray(middles_percent), terms),
            conformal=tuple(conformal_quantile(s, level) for level in LEVELS),
            studies=len(s),
            patients=n,
        )

    @cached_property
    def _common(self) -> MonotoneCubic:
        return MonotoneCubic.fit(np.array([self.z]), np.array([self.scores]))

    def _bending(self, middles_percent: Array) -> MonotoneCubic:
        """h of each posterior, [B]."""
        return MonotoneCubic.fit(np.array([self.z]), _towards(middles_percent) @ np.array(self.scores_at))

    def h(self, z: ArrayLike, middles_percent: Array | None = None) -> Array:
        """The score at which a raw posterior has what the recalibrated one has at z.

        Arguments:
            z: [B, M] of posteriors with these middles; of any shape without, for the common h.
            middles_percent: `middle_of` the posteriors, [B].
        """
        x = np.asarray(z, dtype=np.float64)
        if middles_percent is None or not self.scores_at:
            return self._common(x.reshape(1, -1))[0].reshape(x.shape)
        return self._bending(middles_percent)(x)[0]

    def inverse(self, scores: ArrayLike, middles_percent: Array | None = None) -> Array:
        """h⁻¹: scores of raw posteriors to scores of the recalibrated ones; shapes as of `h`."""
        s = np.asarray(scores, dtype=np.float64)
        if middles_percent is None or not self.scores_at:
            return self._common.inverse(s.reshape(1, -1)).reshape(s.shape)
        return self._bending(middles_percent).inverse(s)

    def apply(self, posterior: Posterior) -> Posterior:
        """F' = R ∘ F: the table's nodes moved to h⁻¹(z); values, trajectories and angles stay, draws are `moved`."""
        m = middle_of(posterior) if self.scores_at else None
        raw = None if posterior.raw is None else moved(posterior.raw, lambda z: self.h(z, m))
        if m is None:  # tables may go on sharing their nodes
            return replace(posterior, z=self.inverse(posterior.z), raw=raw)
        return replace(posterior, z=self.inverse(nodes_of(posterior), m), raw=raw)

    def undo(self, posterior: Posterior) -> Posterior:
        """The posterior that `apply` was given; of iid draws their table alone."""
        if not self.scores_at:
            return replace(posterior, z=self.h(posterior.z), raw=None)
        return replace(posterior, z=self.h(nodes_of(posterior), middle_of(posterior)), raw=None)

    def conformal_interval(self, raw: Posterior, level: float) -> tuple[Array, Array]:
        """[G(−q̂), G(q̂)] of raw posteriors in EF %, both [B]; [0, 100] where no label of the calibration was nearer."""
        if level not in LEVELS:
            levels = ", ".join(f"{known:g}" for known in LEVELS)
            raise InvalidConfig(
                f"no conformal interval of level {level:g} was stored.", next_step=f"Ask for one of {levels}."
            )
        q = self.conformal[LEVELS.index(level)]
        if q >= SCORE_LIMIT:
            return np.zeros(len(raw)), np.full(len(raw), 100.0)
        ends = np.atleast_2d(raw.quantile(normal_cdf([-q, q])))
        return ends[:, 0], ends[:, 1]


class Calibration(BaseModel):
    """A model's recalibrations, one for each pattern of what is known, and on what they were fitted.

    Arguments:
        maps: pattern → recalibration; a pattern that is not here takes that of `swapped`, or none.
        cohort, synthetic: what it was fitted on, and whether those are phantoms.
        studies, patients: of the cohort.
        date, seed: when, and of the folds in which it was measured.
        sampler, protocol: how the posteriors were made; it holds for those only.
        keeps_median: whether widths alone were mended.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    maps: dict[str, Recalibration]
    cohort: str
    synthetic: bool
    studies: int
    patients: int
    date: str
    seed: int
    sampler: dict[str, Any] = {}
    protocol: dict[str, Any] = {}
    keeps_median: bool = False

    @field_validator("maps")
    @classmethod
    def _known(cls, maps: dict[str, Recalibration]) -> dict[str, Recalibration]:
        if not set(maps) <= set(PATTERNS):
            raise ValueError(f"patterns are {', '.join(PATTERNS)}")
        return maps

    def describe(self) -> str:
        """One phrase for a card or a table."""
        kind = "SYNTHETIC: " if self.synthetic else ""
        widths = ", widths alone" if self.keeps_median else ""
        return f"{kind}{self.cohort} ({self.studies:,} studies, {self.patients:,} patients){widths}, {self.date}"

    def apply(self, posterior: Posterior, known: NDArray[np.str_]) -> Posterior:
        """Recalibrated posteriors, each by the map of its pattern.

        Arguments:
            posterior: tables as they come from the model, pooled where it pools; a batch [B].
            known: pattern of each, [B].
        """
        return replace(self._moved(posterior, known, undo=False), known=known)

    def conformal_interval(self, posterior: Posterior, level: float = 0.9) -> tuple[Any, Any]:
        """The split-conformal interval (lower, upper) in EF % of posteriors that this calibration's model answered.

            low, high = model.calibration.conformal_interval(model(study).posterior, 0.9)

        Over studies exchangeable with those of the calibration, and of one pattern, it holds the reported EF with
        probability ≥ level. `Posterior.interval` is that of the recalibrated posterior: usually much the same,
        without a guarantee.

        Arguments:
            level: one of `LEVELS`.

        Returns:
            two floats, or two arrays [B].

        Raises:
            InvalidConfig: another level; a posterior that was not recalibrated, such as one of iid draws; or a pattern
                of which too few studies were there to fit anything.
        """
        if posterior.known is None:
            raise InvalidConfig(
                "a conformal interval is for posteriors as the calibrated model answers them.",
                next_step="Ask the model itself, with its exact sampler; do not pool its answers.",
            )
        missing = set(posterior.known.tolist()) - set(self.maps)
        if missing:
            raise InvalidConfig(
                f"nothing was calibrated for {' or '.join(sorted(missing))}: too few such studies.",
                next_step="Calibrate on studies of which that much is known.",
            )
        raw = self._moved(posterior, posterior.known, undo=True)
        low, high = np.empty(len(raw)), np.empty(len(raw))
        for pattern, rows in _rows(posterior.known):
            low[rows], high[rows] = self.maps[pattern].conformal_interval(raw[rows], level)
        return (float(low[0]), float(high[0])) if posterior.single else (low, high)

    def _moved(self, posterior: Posterior, known: NDArray[np.str_], undo: bool) -> Posterior:
        z, middles = nodes_of(posterior), middle_of(posterior)
        for pattern, rows in _rows(known):
            one = self.maps.get(pattern) or self.maps.get(swapped(pattern))
            if one is not None:
                z[rows] = (one.h if undo else one.inverse)(z[rows], middles[rows])
        return replace(posterior, z=z)


def middle_of(posterior: Posterior) -> Array:
    """EF in per cent at the middle node of each table, [B]: the raw median, which recalibration does not move."""
    values = np.atleast_2d(posterior.y_percent)
    middles: Array = values[:, values.shape[1] // 2]
    return middles


def nodes_of(posterior: Posterior) -> Array:
    """z of every table of a batch, [B, N], free to be changed."""
    return np.array(np.broadcast_to(posterior.z, posterior.latent.shape))


def _rising(c: Array) -> tuple[float, ...]:
    """h at the knots, nowhere flatter than LEAST_SLOPE."""
    h = KNOTS + c @ hermite(KNOTS)
    return tuple((np.maximum.accumulate(h - LEAST_SLOPE * KNOTS) + LEAST_SLOPE * KNOTS).tolist())


def _towards(middles_percent: Array) -> Array:
    """The share of each centre in h of a posterior with this middle, [B, CENTRES]; they sum to 1."""
    held = np.clip(middles_percent, CENTRES[0], CENTRES[-1])[:, None]
    shares: Array = np.maximum(0.0, 1 - np.abs(held - CENTRES) / (CENTRES[1] - CENTRES[0]))
    return shares


def _bent(
    scores: Array, patients: int, common: Array, middles_percent: Array, terms: slice
) -> tuple[tuple[float, ...], ...]:
    """h at the knots about each centre; the common one where there are too few studies."""
    rows = []
    for weights in _towards(middles_percent).T:
        in_effect = float(weights.sum() ** 2 / max((weights**2).sum(), 1e-12)) * patients / len(scores)
        if in_effect < LEAST_STUDIES:
            rows.append(_rising(common))
        else:
            own = coefficients(scores, weights)
            rows.append(_rising(common + shrink(own - common, in_effect, terms)))
    return tuple(rows)


def hermite(z: Array) -> Array:
    """ψ_j(z) = He_j(z)/√(j!) for j < TERMS, [TERMS, M]; orthonormal under the normal distribution."""
    he = [np.ones_like(z), z]
    for j in range(1, TERMS - 1):
        he.append(z * he[j] - j * he[j - 1])
    return np.stack([one / math.sqrt(math.factorial(j)) for j, one in enumerate(he)])


def coefficients(scores: Array, weights: Array | None = None) -> Array:
    """c_j of scores [n]: the quantile-quantile plot less the diagonal, in Hermite functions, [TERMS]; weights [n]."""
    order = np.argsort(scores, kind="stable")
    share = np.full(len(scores), 1 / len(scores)) if weights is None else (weights / weights.sum())[order]
    z = normal_quantile(np.clip(np.cumsum(share) - share / 2, 1e-12, 1 - 1e-12))
    c: Array = hermite(z) @ (share * (scores[order] - z))
    return c


def shrink(c: Array, n: float, terms: slice = slice(None)) -> Array:
    """c_j (1 − v_j/c_j²)₊ with v_j = 1/((j + 1)n), the variance that c_j has by chance; 0 of all but these terms."""
    v = 1 / ((np.arange(len(c)) + 1) * n)
    kept = np.zeros_like(c)
    kept[terms] = (c * np.maximum(0.0, 1 - v / np.maximum(c**2, 1e-300)))[terms]
    return kept


def swapped(pattern: str) -> str:
    """The same but for how many windows: where no cohort told the two apart, one map serves both."""
    return pattern.replace(SEVERAL, ONE) if SEVERAL in pattern else pattern.replace(ONE, SEVERAL)


def _rows(known: NDArray[np.str_]) -> Sequence[tuple[str, NDArray[np.intp]]]:
    """Each pattern that occurs, and the studies it occurs in."""
    return [(str(pattern), np.flatnonzero(known == pattern)) for pattern in np.unique(known)]
