"""What a posterior costs: sampling against encoding, in one run; and a prediction from process start to answer.

Ratios inside one run are the result; the seconds depend on the machine. Each figure is the median of repeated calls
after a warm-up.

    python benchmarks/cost.py [--model phantom-a4c] [--repeats 50]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from pydicom.data import get_testdata_file

import mcsdr
from mcsdr.diffusion.sampler import EXACT, PAPER, SamplerSettings
from mcsdr.phantom.cohort import PhantomCohort


def median_ms(call: Callable[[], object], repeats: int) -> float:
    """Median duration of a call in ms, after five calls that do not count."""
    times = []
    for index in range(repeats + 5):
        started = time.perf_counter()
        call()
        if index >= 5:
            times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def sampling_against_encoding(model: mcsdr.Model, repeats: int) -> None:
    studies = list(PhantomCohort(16, seed=123))
    print(f"{torch.get_num_threads()} threads, {model.network.parameter_counts()['total']:,} parameters")
    print(f"{'batch':>5} {'sampler':>32} {'encode':>10} {'posterior':>10} {'ratio':>7}")
    samplers: dict[str, SamplerSettings] = {"ours": EXACT, "paper": PAPER}
    for batch in (1, 16):
        clips = [torch.from_numpy(study.clips[0].frames) for study in studies[:batch]]
        video, rows = model.encode_clips(clips), model.attribute_rows(studies[:batch])
        encode = median_ms(lambda clips=clips: model.encode_clips(clips), repeats)
        for name, s in samplers.items():
            sample = median_ms(lambda v=video, r=rows, s=s: model.posterior(v, r, s), repeats)
            label = f"{name}: {s.draws or 23} x {s.evaluations} evaluations"
            print(f"{batch:5d} {label:>32} {encode:7.2f} ms {sample:7.2f} ms {sample / encode:7.1%}")


def one_prediction(model: str, repeats: int) -> None:
    clip = get_testdata_file("examples_ybr_color.dcm")
    command = [sys.executable, "-m", "mcsdr", "predict", str(clip), "--model", model, "--json", "--timings"]
    laps: dict[str, list[float]] = {}
    for _ in range(repeats):
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stderr
        for line in printed.splitlines():
            name, value, _ = line.rsplit(maxsplit=2)
            laps.setdefault(name.strip(), []).append(float(value))
    print(f"\nmcsdr predict {clip.rsplit('/')[-1]}, process start to answer, median of {repeats}:")
    for name, values in laps.items():
        print(f"{name:>12} {statistics.median(values):7.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="phantom-a4c")
    parser.add_argument("--repeats", type=int, default=50)
    options = parser.parse_args()
    # The sampler's small layers do not divide over threads as the encoder's large ones do: both are shown.
    for threads in (1, torch.get_num_threads()):
        torch.set_num_threads(threads)
        sampling_against_encoding(mcsdr.load(options.model), options.repeats)
    one_prediction(options.model, 5)


if __name__ == "__main__":
    main()
