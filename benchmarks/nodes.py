"""Quantile nodes against random draws, on posteriors whose score is known in closed form.

    python benchmarks/nodes.py [--repeats 200] [--out nodes.md]

Each row carries five EF-shaped posteriors from noise to a table and compares the table with the truth:

    mean    |error of the mean| / SD of the posterior
    KS      sup |F̂ − F|
    SD      SD of the table / SD of the posterior
    cover   true probability of the table's central 90 % interval, in %

Iid draws differ from run to run: their columns are averages over `--repeats` runs (root mean square for the mean). The
"residual" variable is (y − a)/b with a and b the posterior's own mean and SD; "raw" is y in per cent, as in the paper;
"marginal" is y standardised by the mean 55 and SD 12.4 of a whole cohort.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mcsdr.diffusion.closed_form import GaussianMixture
from mcsdr.diffusion.sampler import DDPM, EXACT, PAPER, SamplerSettings, starting_points, trajectories
from mcsdr.normal import normal_cdf
from mcsdr.posterior import Posterior

# (weight, mean, SD) of each component, in per cent.
SHAPES: dict[str, GaussianMixture] = {
    "narrow   N(60, 2.5²)       ": GaussianMixture.of((1, 60, 2.5)),
    "wide     N(45, 9²)         ": GaussianMixture.of((1, 45, 9)),
    "skewed   24±3, 31±6 (60/40)": GaussianMixture.of((0.6, 24, 3), (0.4, 31, 6)),
    "bimodal  36±4, 54±4 (50/50)": GaussianMixture.of((0.5, 36, 4), (0.5, 54, 4)),
    "bimodal  34±4, 52±4 (80/20)": GaussianMixture.of((0.8, 34, 4), (0.2, 52, 4)),
}

DDIM_NODES = SamplerSettings("ddim", 10, "linear-beta")

#    label                                          settings                                   variable
ROWS: list[tuple[str, SamplerSettings, str]] = [
    ("23 nodes, midpoint 4 (8 evaluations)",        EXACT,                                     "residual"),
    ("23 nodes, midpoint 5 (10 evaluations)",       SamplerSettings("midpoint", 5),            "residual"),
    ("23 nodes, midpoint 4, uniform grid",          SamplerSettings("midpoint", 4, "uniform"), "residual"),
    ("23 nodes, ddim 10, linear-beta",              DDIM_NODES,                                "residual"),
    ("40 draws, midpoint 4",                        SamplerSettings(draws=40),                 "residual"),
    ("40 draws, ddim 10, linear-beta",              PAPER,                                     "marginal"),
    ("40 draws, ddim 10, linear-beta (the paper)",  PAPER,                                     "raw"),
    ("40 draws, ddpm 1000, linear-beta",            DDPM,                                      "raw"),
]  # fmt: skip


def location_scale(mixture: GaussianMixture, variable: str) -> tuple[Tensor, Tensor]:
    """a and b of the variable that is diffused, w = (y − a)/b, each [1, 1]."""
    one = torch.ones_like(mixture.mean)
    return {"residual": (mixture.mean, mixture.sd), "marginal": (55 * one, 12.4 * one), "raw": (0 * one, one)}[variable]


def table(mixture: GaussianMixture, settings: SamplerSettings, variable: str, repeats: int) -> Posterior:
    """`repeats` runs of one sampler on one posterior, as a batch; a single study's worth where nothing is random."""
    a, b = location_scale(mixture, variable)
    batch = 1 if settings.draws is None else repeats
    generator = torch.Generator().manual_seed(settings.seed)
    z = starting_points(settings, batch, generator).double()
    y = a + b * trajectories(mixture.standardised(a, b), z, settings, generator)[-1]
    return Posterior.from_nodes(z[0], y) if settings.draws is None else Posterior.from_draws(y)


def quality(posterior: Posterior, mixture: GaussianMixture) -> tuple[float, float, float, float]:
    """mean, KS, SD and cover of the module's docstring."""
    mean, sd = float(mixture.mean), float(mixture.sd)
    level = normal_cdf(np.linspace(-3.3, 3.3, 331))
    truth = mixture.quantile(torch.from_numpy(level))[0].numpy()
    lower, upper = (torch.from_numpy(bound)[None] for bound in posterior.interval(0.9))
    cover = mixture.cdf(upper) - mixture.cdf(lower)
    return (
        float(np.sqrt(np.mean(((posterior.mean - mean) / sd) ** 2))),
        float(np.abs(posterior.cdf(truth) - level).max(axis=1).mean()),
        float(np.mean(posterior.sd / sd)),
        100 * float(cover.mean()),
    )


def report(repeats: int) -> str:
    """The table in Markdown."""
    lines = ["| posterior | sampler | variable | mean | KS | SD | cover |", "|---|---|---|---|---|---|---|"]
    for name, mixture in SHAPES.items():
        for label, settings, variable in ROWS:
            # A thousand steps: a quarter of the runs is enough for two digits.
            runs = repeats // 4 if settings.sampler == "ddpm" else repeats
            mean, ks, sd, cover = quality(table(mixture, settings, variable, max(runs, 2)), mixture)
            lines.append(f"| {name} | {label:42} | {variable:8} | {mean:.3f} | {ks:.4f} | {sd:.3f} | {cover:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200, help="runs of every random sampler (default 200)")
    parser.add_argument("--out", type=Path, help="also write the table to this Markdown file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    text = report(arguments.repeats)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
