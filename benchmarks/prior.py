"""Without a clip, does the model believe what the cohort's known prior says?

For each of N fresh phantom patients the posterior from age, sex, weight and height alone is held against the exact
distribution of a reading for that person, p(y | attributes), known from `mcsdr.phantom.people`. Printed: the
Kolmogorov-Smirnov distance between the two distribution functions, per person.

    python benchmarks/prior.py [--model phantom-a4c] [--n 1000] [--seed 3]
"""

from __future__ import annotations

import argparse

import numpy as np

import mcsdr
from mcsdr.evaluation.evidence.tower import prior_distances
from mcsdr.phantom.cohort import draw_person
from mcsdr.study import Study


def distances(model: mcsdr.Model, n: int, seed: int) -> np.ndarray:
    """KS distance per person, [n]."""
    people = [draw_person(seed, index).attributes for index in range(n)]
    return prior_distances(model.posteriors([Study(attributes=person) for person in people]), people)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="phantom-a4c")
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=3)
    options = parser.parse_args()
    ks = distances(mcsdr.load(options.model), options.n, options.seed)
    print(f"Attributes alone against the known prior of a reading, {options.n} phantom patients, seed {options.seed}:")
    print(f"KS distance: mean {ks.mean():.3f}, median {np.median(ks):.3f}, ", end="")
    print(f"95th percentile {np.quantile(ks, 0.95):.3f}, largest {ks.max():.3f}")


if __name__ == "__main__":
    main()
