"""What a step of training costs: with batch norms and with none, by flat convolutions and by deep ones, in bfloat16
wherever oneDNN supports it and only where the processor has an instruction for it, in one run.

The ways take turns, so that whatever slows the machine slows all; the medians of their processor time over the turns
are compared. The ratios are the result, the seconds depend on the machine.

    python benchmarks/training.py [--turns 10] [--threads 1]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import torch
from torch import nn

from mcsdr.nn import video_encoder
from mcsdr.training import loop
from mcsdr.training.log import Silence
from mcsdr.training.loop import Run
from mcsdr.training.settings import read_settings
from mcsdr.training.stopping import Stop

CONFIG = Path(__file__).parents[1] / "configs" / "phantom-varied.toml"
WAYS = {  # network.norm, whether convolutions are deep, and whether oneDNN's word is taken for bfloat16
    "batch norms, deep convolutions, bfloat16 by oneDNN": ("batch", True, True),
    "no norms, flat convolutions, bfloat16 by oneDNN": ("none", False, True),
    "batch norms, deep convolutions": ("batch", True, False),
    "batch norms, flat convolutions": ("batch", False, False),
    "no norms, flat convolutions": ("none", False, False),
}


def start(folder: Path, norm: str) -> Run:
    """A run of the varied model's training on a few plain phantoms, which cost the same to learn from."""
    few = {"data.train.n": "64", "data.train.appearance": "plain", "data.val.n": "8", "data.val.appearance": "plain"}
    few |= {"data.train.population": "adult", "data.val.population": "adult", "data.workers": "0"}
    own = {"data.cache": str(folder / "cache"), "start.model": '""', "network.norm": norm, "run.short_clips": "0"}
    own |= {"dense.weight": "0"}
    return Run.start(read_settings(CONFIG, few | own), folder / norm, Silence(), Stop(), False)


def step(run: Run, at: int, deep: bool, by_onednn: bool) -> float:
    """Processor seconds of one step."""
    with ExitStack() as patches:
        if by_onednn:
            supported = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
            patches.enter_context(mock.patch.object(loop, "has_bf16", return_value=supported))
        for kind in (video_encoder.PlaneConv, video_encoder.TimeConv) if deep else ():
            patches.enter_context(mock.patch.object(kind, "forward", nn.Conv3d.forward))
        started = time.process_time()
        run.advance(at, 1000)
        return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        runs = {norm: start(Path(folder), norm) for norm in ("batch", "none")}
        turns = [[step(runs[norm], at, *how) for norm, *how in WAYS.values()] for at in range(options.turns + 1)]
        batch = runs["batch"].settings.optim.batch
    columns = list(zip(*turns[1:], strict=True))  # the first warms up
    print(f"{options.threads} threads, {batch} clips a step, {options.turns} turns")
    for way, times in zip(WAYS, columns, strict=True):
        gain = statistics.median(first / own for first, own in zip(columns[0], times, strict=True))
        print(f"{way:>50}: {batch / statistics.median(times):6.1f} clips a processor second, × {gain:.2f}")


if __name__ == "__main__":
    main()
