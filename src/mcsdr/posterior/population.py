"""Another population: a posterior that was learnt where ejection fractions have one distribution, told for another.

A network learns p(y | x) of its training population, in which it has also learnt how frequent each EF is. Where the
same hearts look and are read the same, p(x | E) and p(y | E) unchanged, only the frequency of E is another, and

    p_S(E | x) ∝ w(E) p_T(E | x),      w = p_S/p_T.

What is told is a report y = E + N(0, σ²), whose error has no population. So it is not w(y) that a report's posterior is
multiplied by, but what w is expected to be once y is known:

    p_S(y | x) ∝ r(y) p_T(y | x),      r(y) = E_T[w(E) | x, y] = ∫ w(E) N(y; E, σ²) q(E) dE / ∫ N(y; E, σ²) q(E) dE

with q the heart's posterior (`mcsdr.posterior.deconvolution`); σ = 0 gives r = w. Multiplying by w(y) itself would move
a posterior that is certain of E by σ² times the slope of ln w, up to two points. p_S and p_T are both distributions of
reports, and stand for those of E in their ratio.

For a table z → y the change is one of levels, with no sampling: of a normal z the level Φ(z) becomes

    H(z) = ∫_{−∞}^{z} φ(u) r(G(u)) du / ∫ φ(u) r(G(u)) du,      G_S = G ∘ H⁻¹ ∘ Φ,

by the trapezoid rule on QUADRATURE. w = 1 gives the table itself.

References: Saerens, Latinne, Decaestecker 2002, "Adjusting the outputs of a classifier to new a priori probabilities"
(prior shift); Elkan 2001, "The foundations of cost-sensitive learning".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from mcsdr.errors import InvalidConfig, did_you_mean
from mcsdr.posterior.deconvolution import CENTRES, STEP, heart_shares, reader_error
from mcsdr.posterior.normal import normal_cdf, quantile_nodes
from mcsdr.posterior.table import Posterior

Array = NDArray[np.float64]

GRID: Array = np.linspace(0.5, 99.5, 100)  # EF % at which a population is kept
SMOOTH = 2.0  # EF points: SD of the normal that readings are smoothed by
LEAST_READINGS = 50
LEAST_DENSITY = 1e-5  # per EF point: where the training population has fewer, nothing is claimed to be known
QUADRATURE: Array = np.linspace(-6.0, 6.0, 601)


class Population(BaseModel):
    """How frequent each reported ejection fraction is.

    Arguments:
        name: what it is called in outputs.
        ef_percent: ascending EF in per cent.
        density: per EF point there; scaled to mass 1. Straight lines between, nothing beyond the ends.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    ef_percent: tuple[float, ...]
    density: tuple[float, ...]

    @model_validator(mode="after")
    def _a_density(self) -> Population:
        ef, density = np.array(self.ef_percent), np.array(self.density)
        if len(ef) < 2 or len(ef) != len(density) or not np.isfinite([*ef, *density]).all():
            raise ValueError("a population has as many densities as EFs, two or more, all finite")
        if not (np.diff(ef) > 0).all() or (density < 0).any() or not density.sum() > 0 or ef[0] < 0 or ef[-1] > 100:
            raise ValueError("EFs must ascend within 0 and 100, and densities be at least 0, not all 0")
        return self

    @classmethod
    def of_readings(cls, name: str, ef_percent: ArrayLike) -> Population:
        """Of reported EFs, smoothed by a normal of SD SMOOTH and kept at GRID.

        Raises:
            InvalidConfig: fewer than LEAST_READINGS, or one outside 0–100.
        """
        y = np.asarray(ef_percent, dtype=np.float64).ravel()
        if len(y) < LEAST_READINGS or not ((y >= 0) & (y <= 100)).all():
            raise InvalidConfig(
                f"{len(y)} readings make no population; each must lie between 0 and 100 %.",
                next_step=f"Give {LEAST_READINGS} or more, or a table of EF and share.",
            )
        counts, _ = np.histogram(y, np.arange(101.0))
        kernel = np.exp(-0.5 * ((GRID[:, None] - GRID) / SMOOTH) ** 2)
        smooth = (kernel / kernel.sum(axis=0)) @ (counts / len(y))
        return cls(name=name, ef_percent=tuple(GRID.tolist()), density=tuple(np.round(smooth, 7).tolist()))

    @classmethod
    def of_normals(cls, name: str, parts: Sequence[tuple[float, float, float]]) -> Population:
        """A mixture of normals (weight, mean, SD) in EF points, cut to 0–100."""
        density = sum(w * np.exp(-0.5 * ((GRID - m) / s) ** 2) / s for w, m, s in parts)
        return cls(name=name, ef_percent=tuple(GRID.tolist()), density=tuple(np.asarray(density).tolist()))

    @cached_property
    def _shares(self) -> Array:
        density = np.interp(CENTRES, self.ef_percent, self.density, left=0.0, right=0.0)
        return np.asarray(density / density.sum())

    def shares(self) -> Array:
        """The probability of each cell of `deconvolution.CENTRES`, [M]."""
        return self._shares

    def prob_at_most(self, ef: float) -> float:
        """The share of reported EF ≤ ef, such as the prevalence at 40."""
        return float(np.interp(ef, CENTRES + 0.25, np.cumsum(self._shares)))


# What is known of populations that a user may name. Reported EFs; mean and SD as published.
NAMED: dict[str, Population] = {
    one.name: one
    for one in (
        # As many of every EF from 8 to 80 %, by readers whose error is 4 points.
        Population(
            name="flat",
            ef_percent=tuple(GRID.tolist()),
            density=tuple((normal_cdf((GRID - 8) / 4) - normal_cdf((GRID - 80) / 4)).tolist()),
        ),
        # Ouyang et al. 2020: 10,030 adults, mean 55.7, SD 12.5; a healthy part and a fifth that fails.
        Population.of_normals("echonet-dynamic", [(0.79, 60.67, 6.46), (0.21, 37.0, 12.0)]),
        # Leclerc et al. 2019: 500 adults, mean 44.4, SD 11.8; 49 % at 45 or below. Its EF is low by its volume rule.
        Population.of_normals("camus", [(1.0, 44.4, 11.8)]),
        # Swedish Heart Failure Registry, 131,296 adults: median 40 (quartiles 30 and 50), 23 % below 30, 26 % from 30
        # to 39, 25 % from 40 to 49, 26 % from 50 (kiheartfailure.github.io/shfdb4/statistics).
        Population.of_normals("heart-failure", [(1.0, 40.4, 14.6)]),
    )
}


def named_population(name: str) -> Population:
    """A population of `NAMED`.

    Raises:
        InvalidConfig: there is none of that name.
    """
    if name not in NAMED:
        raise InvalidConfig(
            f"no population is called {name!r}, and there is no such file.{did_you_mean(name, NAMED)}",
            next_step=f"Name one of {', '.join(NAMED)}, or a table of your own readings.",
        )
    return NAMED[name]


def reweighted(posterior: Posterior, stated: Population, trained: Population, reader_sd: float = 0.0) -> Posterior:
    """Posteriors of reports as they are in another population, [B] or of one study; trajectories are left behind.

    Arguments:
        posterior: as the model believes in its training population.
        stated, trained: how frequent each reported EF is where the study comes from, and where the model learnt.
        reader_sd: σ in EF points.

    Raises:
        InvalidConfig: the posterior is one of iid draws.
    """
    if posterior.draws is not None:
        raise InvalidConfig(
            "a population is stated for the table of quantiles, and this posterior is one of random draws.",
            next_step="Ask with the exact sampler.",
        )
    if stated.shares() is trained.shares() or np.array_equal(stated.shares(), trained.shares()):
        return posterior
    r = expected_ratio(posterior, stated.shares() / np.maximum(trained.shares(), LEAST_DENSITY * STEP), reader_sd)
    y = np.atleast_2d(posterior.quantile(normal_cdf(QUADRATURE)))
    mass = np.exp(-0.5 * QUADRATURE**2) * np.stack([np.interp(at, CENTRES, of) for at, of in zip(y, r, strict=True)])
    H = np.concatenate([np.zeros((len(y), 1)), np.cumsum(0.5 * (mass[:, 1:] + mass[:, :-1]), axis=1)], axis=1)
    nodes = quantile_nodes()
    levels = normal_cdf(nodes)
    moved = [normal_cdf(np.interp(levels, row / row[-1], QUADRATURE)) for row in H]  # Φ(H⁻¹(Φ(z_j)))
    table = np.stack([np.asarray(posterior[i].quantile(q)) for i, q in enumerate(moved)])
    return Posterior.from_nodes(nodes, table[0] if posterior.single else table)


def expected_ratio(posterior: Posterior, w: Array, reader_sd: float) -> Array:
    """r at `CENTRES`, [B, M]: what w is expected to be once the report is known.

    Arguments:
        w: the ratio of the populations at `CENTRES`, [M].
    """
    if not reader_sd:
        return np.broadcast_to(w, (len(posterior), len(w)))
    q, error = heart_shares(posterior, reader_sd), reader_error(reader_sd)
    return np.asarray((q * w) @ error / (q @ error))
