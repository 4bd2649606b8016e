"""How much of a posterior's error is the sampler's own: exact scores, no network, no training.

A posterior p(y) = Σ_k π_k N(m_k, s_k²) of EF in per cent is diffused as w = (y − a)/b. Its velocity is known in closed
form, so whatever the sampler returns differs from p by the sampler's error alone. The sampler carries n equal-mass
points of N(0, 1), z_i = Φ⁻¹((i − ½)/n), and the sorted results y_(i) are held against the posterior:

    SD ratio    SD of y_i / SD of p
    cover       probability under p of the interval between the 5 % and 95 % quantiles of y_i; 0.9 is right
    KS          max_i |F(y_(i)) − (i − ½)/n|
    W1          mean |y_(i) − F⁻¹((i − ½)/n)| / SD of p, the Wasserstein-1 distance in SD

and a and b, the target, are one of

    residual    mean and SD of p itself, as a location-scale head gives them
    misplaced   mean + 0.4 SD and 1.4 SD, as a head off the mark gives them
    marginal    55 and 12.4, mean and SD of EF over a whole cohort
    raw         0 and 1: EF in per cent, as in the code of the MCSDR paper

The paper samples with DDIM or DDPM on the levels t of a chain of T = 1000 with linear β. Where the steps do not divide
1000 the levels are rounded, as an implementation of DDIM does: 6 steps visit 999, 833, 666, 499, 333 and 166.

References: Lu et al. 2022, "DPM-Solver++", arXiv 2211.01095; Karras et al. 2022, "Elucidating the design space of
diffusion-based generative models" (Heun); Song, Meng, Ermon 2021 (DDIM); Ho, Jain, Abbeel 2020 (DDPM).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cache
from itertools import pairwise
from math import atan, exp
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mcsdr.diffusion.closed_form import FIVE, SEPARATED, GaussianMixture
from mcsdr.diffusion.sampler import (
    DDPM,
    EXACT,
    PAPER,
    Field,
    SamplerSettings,
    dpmpp_2m,
    starting_points,
    trajectories,
)
from mcsdr.evaluation.evidence.record import Cell, Report, Say, Table
from mcsdr.posterior import Posterior
from mcsdr.posterior.normal import normal_cdf, normal_quantile

Array = NDArray[np.float64]

EVALUATIONS = (4, 6, 10, 20)
NO_PATIENT = "Closed-form posteriors with exact scores: no network, no training, no patient."

TARGETS: dict[str, Callable[[GaussianMixture], tuple[Tensor, Tensor]]] = {
    "residual": lambda p: (p.mean, p.sd),
    "misplaced": lambda p: (p.mean + 0.4 * p.sd, 1.4 * p.sd),
    "marginal": lambda p: (torch.full_like(p.mean, 55), torch.full_like(p.sd, 12.4)),
    "raw": lambda p: (torch.zeros_like(p.mean), torch.ones_like(p.sd)),
}

#    name                   sampler     grid
SOLVERS: list[tuple[str, str, str]] = [
    ("DDIM (the paper's)",  "ddim",     "linear-beta"),
    ("DDPM (the paper's)",  "ddpm",     "linear-beta"),
    ("Heun",                "heun",     "quadratic"),
    ("DPM-Solver++(2M)",    "dpm++2m",  "quadratic"),
    ("DPM-Solver++(2M)",    "dpm++2m",  "log-SNR"),
    ("midpoint (ours)",     "midpoint", "quadratic"),
]  # fmt: skip
# Equal steps of λ = log(cosθ/sinθ), as DPM-Solver prefers them, from −LAMBDA to LAMBDA. Over the whole chain of the
# paper, −5.1 to 4.6, its KS is two to three times as large.
LAMBDA = 3.0

#    every solver on both grids, but for DDPM, which is a chain with linear β
CROSSED: list[tuple[str, str, str]] = [
    ("DDIM",                "ddim",     "linear-beta"),
    ("DDIM",                "ddim",     "quadratic"),
    ("DDPM",                "ddpm",     "linear-beta"),
    ("Heun",                "heun",     "linear-beta"),
    ("Heun",                "heun",     "quadratic"),
    ("DPM-Solver++(2M)",    "dpm++2m",  "linear-beta"),
    ("DPM-Solver++(2M)",    "dpm++2m",  "quadratic"),
    ("midpoint",            "midpoint", "linear-beta"),
    ("midpoint (ours)",     "midpoint", "quadratic"),
]  # fmt: skip

DRAWS = replace(EXACT, draws=40)

#    what is tabulated                                  sampler                     target; "exact" asks no sampler
TABULATED: list[tuple[str, SamplerSettings, str]] = [
    ("23 nodes, the quantiles (interpolation alone)",   EXACT,                      "exact"),
    ("23 nodes, midpoint, 8 evaluations (ours)",        EXACT,                      "residual"),
    ("23 nodes, midpoint, 8 evaluations (ours)",        EXACT,                      "misplaced"),
    ("23 nodes, midpoint, 10 evaluations",              replace(EXACT, steps=5),    "residual"),
    ("23 nodes, DDIM, 10 evaluations",                  replace(PAPER, draws=None), "residual"),
    ("40 draws of p (Monte Carlo alone)",               DRAWS,                      "exact"),
    ("40 draws, midpoint, 8 evaluations",               DRAWS,                      "residual"),
    ("40 draws, DDIM, 10 evaluations",                  PAPER,                      "residual"),
    ("40 draws, DDIM, 10 evaluations",                  PAPER,                      "marginal"),
    ("40 draws, DDIM, 10 evaluations (the paper)",      PAPER,                      "raw"),
    ("40 draws, DDPM, 1000 evaluations (the paper)",    DDPM,                       "raw"),
]  # fmt: skip


class Quality(NamedTuple):
    """The four measures of the module's docstring."""

    sd_ratio: float
    cover: float
    ks: float
    w1: float


IDEAL = Quality(1, 0.9, 0, 0)


def run(say: Say = print, *, points: int = 20_000, repeats: int = 200, seed: int = 0) -> Report:
    """All tables of the sampler's own error.

    Arguments:
        say: told which table is being made.
        points: equal-mass points that a solver carries, n.
        repeats: runs of each random table of 40 draws; a quarter of them for the 1000 steps of DDPM.
        seed: of DDPM's noise and of the random draws.
    """

    def made(table: Table) -> Table:
        say(table.title)
        return table

    tables = [
        made(solvers(points, seed)),
        made(solver_grid_target(points, seed)),
        made(nodes_and_draws(repeats, seed)),
        made(midpoint_steps(points)),
    ]
    settings = {"points": points, "repeats": repeats, "seed": seed, "sampler": asdict(EXACT)}
    return Report("posterior-exactness", tables, settings, synthetic=False)


# --- the solver alone ------------------------------------------------------------------------------------------------


def image(p: GaussianMixture, settings: SamplerSettings, target: str, points: int) -> Array:
    """Where the sampler carries `points` equal-mass points of N(0, 1): EF in per cent, ascending, [points].

    Sorted, because draws have no order: a map that crosses itself is judged by the distribution it makes.
    """
    a, b = TARGETS[target](p)
    z = torch.from_numpy(normal_quantile(levels(points)))[None]
    y: Tensor = a + b * trajectories(p.standardised(a, b), z, settings)[-1]
    return np.sort(y[0].numpy())


def image_on_log_snr(p: GaussianMixture, evaluations: int, points: int) -> Array:
    """`image` of DPM-Solver++(2M) on its own kind of grid, with the residual for target."""
    a, b = TARGETS["residual"](p)
    z = torch.from_numpy(normal_quantile(levels(points)))[None]
    x, v = z, Field(p.standardised(a, b))
    thetas = [atan(exp(LAMBDA * (1 - 2 * k / evaluations))) for k in range(evaluations)] + [0.0]
    for theta, theta_next in pairwise(thetas):
        x = dpmpp_2m(x, theta, theta_next, v, lambda: torch.zeros_like(z))
    return np.sort((a + b * x)[0].numpy())


def quality(p: GaussianMixture, y: Array) -> Quality:
    """The measures of equal-mass points y [n], ascending, held against the posterior p."""
    q, sd = levels(len(y)), float(p.sd)
    lower, upper = np.quantile(y, [0.05, 0.95])
    return Quality(
        sd_ratio=float(y.std()) / sd,
        cover=float(_cdf(p, upper) - _cdf(p, lower)),
        ks=float(np.abs(_cdf(p, y) - q).max()),
        w1=float(np.abs(y - _quantiles(p, len(y))).mean()) / sd,
    )


def levels(n: int) -> Array:
    """(i − ½)/n, i = 1…n."""
    return (np.arange(n) + 0.5) / n


def setting(sampler: str, grid: str, evaluations: int, seed: int = 0) -> SamplerSettings:
    """The sampler with as many steps as the evaluations allow; draws are named so that DDPM may carry points too."""
    one = SamplerSettings(sampler, 1, grid, draws=3, seed=seed)
    return replace(one, steps=evaluations // one.evaluations)


def over_five(settings: SamplerSettings, target: str, points: int) -> list[Quality]:
    """The quality on each of the five posteriors."""
    return [quality(p, image(p, settings, target, points)) for p in FIVE.values()]


def worst(values: Sequence[float], ideal: float) -> float:
    """The value farthest from the ideal one."""
    return max(values, key=lambda value: abs(value - ideal))


def solvers(points: int, seed: int) -> Table:
    """Solvers on the residual, at equal numbers of network evaluations."""
    rows: list[list[Cell]] = []
    for name, sampler, grid in SOLVERS:
        for evaluations in EVALUATIONS:
            if grid == "log-SNR":
                found = [quality(p, image_on_log_snr(p, evaluations, points)) for p in FIVE.values()]
            else:
                found = over_five(setting(sampler, grid, evaluations, seed), "residual", points)
            rows.append([name, grid, evaluations, *worst_and_mean(found, IDEAL)])
    return Table(
        "The solver alone, by network evaluations",
        ["solver", "grid", "evaluations", *pairs("SD ratio", "cover of 90 %", "KS", "W1")],
        rows,
        [
            NO_PATIENT,
            f"Worst and mean of five EF-shaped posteriors: {', '.join(FIVE)}. Target: the residual, with the "
            f"posterior's own location and scale. {points} equal-mass points carried by each solver, before any table. "
            f"Heun and midpoint evaluate twice a step. Log-SNR: equal steps of λ from −{LAMBDA:g} to {LAMBDA:g}. "
            "6 steps do not divide the paper's 1000 levels t: they are rounded. DDPM starts from the same points and "
            f"adds noise; as a sample of that size its KS is right to about {0.87 / points**0.5:.3f}.",
        ],
    )


def solver_grid_target(points: int, seed: int, evaluations: int = 10) -> Table:
    """Solver, grid and target crossed, so that each one's share of the error is seen."""
    rows: list[list[Cell]] = []
    for name, sampler, grid in CROSSED:
        settings = setting(sampler, grid, evaluations, seed)
        found = [over_five(settings, target, points) for target in TARGETS]
        ratios = [worst([one.sd_ratio for one in five], 1) for five in found]
        rows.append([name, grid, *ratios, *(max(one.ks for one in five) for five in found)])
    normal = GaussianMixture.of((1, 55, 4.8))
    ratio = quality(normal, image(normal, setting("ddim", "linear-beta", 10), "marginal", points)).sd_ratio
    return Table(
        f"Solver, grid and target, {evaluations} network evaluations",
        ["solver", "grid", *(f"SD ratio, {target}" for target in TARGETS), *(f"KS, {target}" for target in TARGETS)],
        rows,
        [
            NO_PATIENT,
            "The worst of the five posteriors. Targets, w = (y − a)/b: residual, a and b the posterior's own mean and "
            "SD; misplaced, a off by 0.4 SD and b by a factor 1.4; marginal, 55 and 12.4 for everybody; raw, EF in per "
            "cent, as in the paper's code.",
            f"DDIM, linear β, marginal target, on N(55, 4.8²): SD ratio {ratio:.3f}.",
        ],
    )


# --- what a user gets ------------------------------------------------------------------------------------------------


class TableQuality(NamedTuple):
    """|error of the mean| in SD of p (root mean square over runs), SD ratio, cover and KS of tables (means)."""

    mean_error: float
    sd_ratio: float
    cover: float
    ks: float


def tabulated(p: GaussianMixture, settings: SamplerSettings, target: str, runs: int) -> Posterior:
    """What a user gets: one table of the 23 nodes, or as a batch `runs` tables of iid draws."""
    generator = torch.Generator().manual_seed(settings.seed)
    z = starting_points(settings, 1 if settings.draws is None else runs, generator).double()
    if target == "exact":
        y = p.quantile(torch.special.ndtr(z)) if settings.draws is None else p.sample(z.numel(), generator).view_as(z)
    else:
        a, b = TARGETS[target](p)
        y = a + b * trajectories(p.standardised(a, b), z, settings, generator)[-1]
    return Posterior.from_nodes(z[0], y) if settings.draws is None else Posterior.from_draws(y)


def table_quality(p: GaussianMixture, posterior: Posterior) -> TableQuality:
    """The measures of a batch of tables, held against the posterior p."""
    z, sd = np.linspace(-3.3, 3.3, 331), float(p.sd)
    q = normal_cdf(z)
    truth = p.quantile(torch.from_numpy(q))[0].numpy()
    lower, upper = posterior.interval(0.9)
    return TableQuality(
        mean_error=float(np.sqrt(np.mean((posterior.mean - float(p.mean)) ** 2))) / sd,
        sd_ratio=float(np.mean(posterior.sd)) / sd,
        cover=float((_cdf(p, upper) - _cdf(p, lower)).mean()),
        ks=float(np.abs(posterior.cdf(truth) - q).max(axis=1).mean()),
    )


def nodes_and_draws(repeats: int, seed: int) -> Table:
    """23 quantile nodes against 40 iid draws, as tables that are asked for means and intervals."""
    rows: list[list[Cell]] = []
    for label, settings, target in TABULATED:
        runs = max(2, repeats // 4) if settings.sampler == "ddpm" else repeats
        seeded = replace(settings, seed=seed)
        found = [table_quality(p, tabulated(p, seeded, target, runs)) for p in FIVE.values()]
        rows.append([label, target, *worst_and_mean(found, TableQuality(0, 1, 0.9, 0))])
    return Table(
        "Nodes against draws: what a user gets",
        ["table", "target", *pairs("error of the mean", "SD ratio", "cover of 90 %", "KS")],
        rows,
        [
            NO_PATIENT,
            "Worst and mean of the five posteriors p, through `Posterior`. Error of the mean in SD of p. Draws: "
            f"{repeats} runs ({max(2, repeats // 4)} of DDPM), root mean square of the error, means of the rest. The "
            "grid of DDIM and DDPM is the paper's, linear β; that of midpoint is quadratic.",
        ],
    )


def midpoint_steps(points: int) -> Table:
    """How many midpoint steps, on which grid of angles."""
    rows: list[list[Cell]] = []
    for grid in ("uniform", "quadratic"):
        for steps in (2, 3, 4, 5):
            settings = SamplerSettings("midpoint", steps, grid)
            own, misplaced = (max(one.ks for one in over_five(settings, t, points)) for t in ("residual", "misplaced"))
            separated = quality(SEPARATED, image(SEPARATED, settings, "residual", points)).ks
            rows.append([grid, steps, own, misplaced, separated])
    return Table(
        "How many midpoint steps, on which grid: worst KS",
        ["grid", "steps", "five posteriors", "the same, misplaced", "separated peaks"],
        rows,
        [NO_PATIENT, "Two evaluations a step. Separated peaks: 34 ± 2.5 and 54 ± 2.5, half each."],
        digits=4,
    )


# --- inside ----------------------------------------------------------------------------------------------------------


def worst_and_mean(found: Sequence[Sequence[float]], ideal: Sequence[float]) -> list[float]:
    """For each measure the value farthest from the ideal one, and the mean."""
    columns = zip(*found, strict=True)
    return [x for column, aim in zip(columns, ideal, strict=True) for x in (worst(column, aim), float(np.mean(column)))]


def pairs(*measures: str) -> list[str]:
    """Headings of `worst_and_mean`."""
    return [heading for measure in measures for heading in (f"{measure}: worst", "mean")]


def _cdf(p: GaussianMixture, y: ArrayLike) -> Array:
    values = np.asarray(y, dtype=np.float64)
    F: Array = p.cdf(torch.from_numpy(values.reshape(1, -1)))[0].numpy()
    return F.reshape(values.shape)


@cache
def _quantiles(p: GaussianMixture, n: int) -> Array:
    """F⁻¹ at `levels(n)`, found once for each posterior."""
    q: Array = p.quantile(torch.from_numpy(levels(n)))[0].numpy()
    return q
