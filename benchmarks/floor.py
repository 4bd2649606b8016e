"""What a perfect tracing of the four-chamber plane leaves open of a phantom's ejection fraction.

    python benchmarks/floor.py --appearance varied --fit 400 --test 400

Of each SYNTHETIC phantom the exact outlines of the cavity in 32 frames are taken, no picture. Their change from the
largest to the smallest area, by area and along both principal axes, is mapped to the true ejection fraction by least
squares on some phantoms and measured on others: about the error that a reader has who sees every border and no third
dimension. What a network misses beyond it is the picture's doing, or the network's.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from mcsdr.phantom import truth
from mcsdr.phantom.cohort import Person, PhantomCohort
from mcsdr.study import View

Array = NDArray[np.float64]
SIDE = 64  # pixels of an outline's picture


def axes(cavity: NDArray[np.bool_]) -> Array:
    """SD of a cavity's pixels along its short and its long principal axis."""
    return np.asarray(np.sqrt(np.linalg.eigvalsh(np.cov(np.argwhere(cavity).T))))


def shrinkage(person: Person, times: Array) -> Array:
    """A one, area-length ejection fraction, and the ratios it is made of, as shares."""
    cavity = truth.labels(person, View.A4C, times, (SIDE, SIDE)) == truth.CAVITY
    area = cavity.sum((1, 2)).astype(np.float64)
    full, empty = int(area.argmax()), int(area.argmin())
    share, (short, long) = area[empty] / area[full], axes(cavity[empty]) / axes(cavity[full])
    return np.array([1.0, 1 - share**2 / long, share, short, long, np.log(share), np.log(long)])


def seen(appearance: str, n: int, seed: int) -> tuple[Array, Array]:
    """Features [N, 7] and true EF in per cent [N]."""
    cohort = PhantomCohort(n, seed, appearance=appearance)  # type: ignore[arg-type]
    rows, efs = [], []
    for index in range(n):
        person = cohort.person(index)
        rows.append(shrinkage(person, cohort.frame_times(float(person.parameters["frame_rate_hz"]))))
        efs.append(person.true_ef_percent)
    return np.stack(rows), np.array(efs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--appearance", default="varied")
    parser.add_argument("--fit", type=int, default=400)
    parser.add_argument("--test", type=int, default=400)
    options = parser.parse_args()
    weights, *_ = np.linalg.lstsq(*seen(options.appearance, options.fit, 71), rcond=None)
    x, y = seen(options.appearance, options.test, 72)
    error, plain = np.abs(x @ weights - y), np.abs(100 * x[:, 1] - y)
    print(f"SYNTHETIC phantoms, {options.appearance}: {options.fit} to fit, {options.test} to measure.")
    print(f"area-length from exact outlines: MAE {plain.mean():.2f}; fitted to them: MAE {error.mean():.2f} points, "
          f"worst tenth from {np.quantile(error, 0.9):.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
