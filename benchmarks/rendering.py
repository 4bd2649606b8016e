"""How many phantom clips of 32 x 112 x 112 a second are rendered here.

python benchmarks/rendering.py [--n 64] [--device cpu]
"""

from __future__ import annotations

import argparse
import time

import torch

from mcsdr.phantom.cohort import PhantomCohort


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    cohort = PhantomCohort(options.n, seed=0, device=options.device)
    cohort.batch(list(range(options.batch)))
    started = time.perf_counter()
    for first in range(0, options.n, options.batch):
        cohort.batch(list(range(first, min(first + options.batch, options.n))))
    rate = options.n / (time.perf_counter() - started)
    print(f"{rate:.1f} clips of 32 x 112 x 112 a second on {options.device}, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
