"""How many midpoint steps, on which grid of angles: worst KS of the sampler alone, exact scores.

Each posterior is diffused as (y − a)/b, with a and b its own mean and SD, or a misplaced by 0.4 SD and b by a factor
1.4, as a location-scale head may have them.

    python benchmarks/steps.py
"""

from __future__ import annotations

import numpy as np
import torch

from mcsdr.diffusion.closed_form import GaussianMixture
from mcsdr.diffusion.sampler import SamplerSettings, trajectories
from mcsdr.normal import normal_cdf

FIVE = (
    GaussianMixture.of((1, 60, 2.5)),
    GaussianMixture.of((1, 45, 9)),
    GaussianMixture.of((0.6, 24, 3), (0.4, 31, 6)),
    GaussianMixture.of((0.5, 36, 4), (0.5, 54, 4)),
    GaussianMixture.of((0.8, 34, 4), (0.2, 52, 4)),
)
SEPARATED = GaussianMixture.of((0.5, 34, 2.5), (0.5, 54, 2.5))


def ks(mixture: GaussianMixture, settings: SamplerSettings, shift: float, scale: float) -> float:
    """KS distance between the flow map's image of a normal and the posterior."""
    a, b = mixture.mean + shift * mixture.sd, scale * mixture.sd
    residual = mixture.standardised(a, b)
    z = torch.linspace(-3, 3, 2001, dtype=torch.float64)[None]
    w = trajectories(residual, z, settings)[-1]
    return float(np.abs(np.asarray(mixture.cdf(a + b * w)) - normal_cdf(z.numpy())).max())


def main() -> None:
    print(f"{'grid':>10} {'steps':>5} {'five posteriors':>16} {'misplaced':>10} {'separated peaks':>16}")
    for schedule in ("uniform", "quadratic"):
        for steps in (2, 3, 4, 5):
            settings = SamplerSettings("midpoint", steps, schedule)
            exact = max(ks(m, settings, 0.0, 1.0) for m in FIVE)
            misplaced = max(ks(m, settings, 0.4, 1.4) for m in FIVE)
            separated = ks(SEPARATED, settings, 0.0, 1.0)
            print(f"{schedule:>10} {steps:5d} {exact:16.4f} {misplaced:10.4f} {separated:16.4f}")


if __name__ == "__main__":
    main()
