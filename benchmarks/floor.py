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
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.study import View

Array = NDArray[np.float64]
SIDE = 64  # pixels of an outline's picture


def axes(cavity: NDArray[np.bool_]) -> Array:
    """SD of a cavity's pixels along its short and its long principal axis."""
    return np.asarray(np.sqrt(np.linalg.eigvalsh(np.cov(np.argwhere(cavity).T))))


def shrinkage(cohort: PhantomCohort, index: int) -> Array:
    """Area-length ejection fraction, and the ratios it is made of, as shares."""
    person = cohort.person(index)
    times = cohort.frame_times(float(person.parameters["frame_rate_hz"]))
    cavity = truth.labels(person, View.A4C, times, (SIDE, SIDE)) == truth.CAVITY
    area = cavity.sum((1, 2)).astype(np.float64)
    full, empty = int(area.argmax()), int(area.argmin())
    share, (short, long) = area[empty] / area[full], axes(cavity[empty]) / axes(cavity[full])
    return np.array([1 - share**2 / long, share, short, long, np.log(share), np.log(long)])


def seen(appearance: str, n: int, seed: int) -> tuple[Array, Array]:
    """Features [N, 6] and true EF in per cent [N]."""
    cohort = PhantomCohort(n, seed, appearance=appearance)  # type: ignore[arg-type]
    efs = [cohort.person(index).true_ef_percent for index in range(n)]
    return np.stack([shrinkage(cohort, index) for index in range(n)]), np.array(efs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--appearance", default="varied")
    parser.add_argument("--fit", type=int, default=400)
    parser.add_argument("--test", type=int, default=400)
    options = parser.parse_args()
    (x, y), (x_new, y_new) = (
        seen(options.appearance, options.fit, 71),
        seen(options.appearance, options.test, 72),
    )
    weights, *_ = np.linalg.lstsq(np.column_stack([np.ones(len(x)), x]), y, rcond=None)
    error = np.abs(np.column_stack([np.ones(len(x_new)), x_new]) @ weights - y_new)
    plain = np.abs(100 * x_new[:, 0] - y_new)
    print(f"SYNTHETIC phantoms, {options.appearance}: {options.fit} to fit, {options.test} to measure.")
    print(f"area-length from exact outlines: MAE {plain.mean():.2f}; fitted to them: MAE {error.mean():.2f} points, "
          f"worst tenth from {np.quantile(error, 0.9):.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
