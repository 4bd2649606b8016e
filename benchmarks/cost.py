"""What a posterior costs: sampling against encoding, in one run; and a prediction from process start to answer.

Ratios inside one run are the result; the seconds depend on the machine.

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
from mcsdr.diffusion.sampler import EXACT, PAPER
from mcsdr.phantom.cohort import PhantomCohort


def milliseconds(call: Callable[[], object]) -> float:
    """Duration of one call."""
    started = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - started)


def sampling_against_encoding(model_name: str, repeats: int) -> None:
    """Encode and sample in turn, so that whatever slows the machine slows both; ratios are medians over the turns."""
    model, unrolled = mcsdr.load(model_name), mcsdr.load(model_name).unroll()
    ways = {"ours": (model, EXACT), "ours, unrolled": (unrolled, EXACT), "paper": (model, PAPER)}
    studies = list(PhantomCohort(16, seed=123))
    print(f"{torch.get_num_threads()} threads, {model.network.parameter_counts()['total']:,} parameters")
    print(f"{'batch':>5} {'sampler':>40} {'encode':>10} {'posterior':>10} {'ratio':>7}")
    for batch in (1, 16):
        clips = [[(study.clips[0].frames, study.clips[0].view)] for study in studies[:batch]]
        video, rows = model.encode_stored(clips), model.attribute_rows(studies[:batch])
        turns = []
        for _ in range(repeats + 5):
            encode = milliseconds(lambda c=clips: model.encode_stored(c))
            samples = [milliseconds(lambda m=m, s=s, v=video, r=rows: m.posterior(v, r, s)) for m, s in ways.values()]
            turns.append((encode, *samples))
        columns = list(zip(*turns[5:], strict=True))  # the first turns warm up
        for (name, (_, s)), times in zip(ways.items(), columns[1:], strict=True):
            ratio = statistics.median(t / e for t, e in zip(times, columns[0], strict=True))
            label = f"{name}: {s.draws or 23} x {s.evaluations} evaluations"
            encode, sample = statistics.median(columns[0]), statistics.median(times)
            print(f"{batch:5d} {label:>40} {encode:7.2f} ms {sample:7.2f} ms {ratio:7.1%}")


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
        sampling_against_encoding(options.model, options.repeats)
    one_prediction(options.model, 5)


if __name__ == "__main__":
    main()
