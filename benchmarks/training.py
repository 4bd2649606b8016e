"""What a step of training costs: with batch norms and with none, by flat convolutions and by deep ones, in bfloat16
wherever oneDNN supports it and only where the processor has an instruction for it, with fused attention and plain,
memory given back and kept, in one run.

The ways take turns, so that whatever slows the machine slows all; the medians of their processor time over the turns
are compared. The ratios are the result, the seconds depend on the machine.

    python benchmarks/training.py [--turns 10] [--threads 1]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import torch
from torch import nn

from mcsdr.files.workers import worker_pool
from mcsdr.nn import layers, video_encoder
from mcsdr.training import loop
from mcsdr.training.log import Silence
from mcsdr.training.loop import Run
from mcsdr.training.settings import read_settings
from mcsdr.training.stopping import Stop

CONFIG = Path(__file__).parents[1] / "configs" / "phantom-varied.toml"
BATCH, WARM = 32, 3  # clips a step; turns that count for nothing


@dataclass(frozen=True)
class Way:
    """How a step is made; as it is made today unless said otherwise."""

    norm: str = "none"
    deep: bool = False  # convolutions
    by_onednn: bool = False  # whether its word is taken for bfloat16
    fused: bool = False  # attention where a gradient is asked for
    given_back: bool = False  # what is freed, to the system


WAYS = {
    "batch norms, deep, bfloat16 by oneDNN, fused, memory given back": Way("batch", True, True, True, True),
    "batch norms, deep, fused, memory given back": Way("batch", deep=True, fused=True, given_back=True),
    "no norms, fused, memory given back": Way(fused=True, given_back=True),
    "no norms, fused": Way(fused=True),
    "no norms, bfloat16 by oneDNN": Way(by_onednn=True),
    "no norms, deep": Way(deep=True),
    "as it is": Way(),
}


def start(folder: Path, norm: str) -> Run:
    """A run of the varied model's training on a few plain phantoms, which cost the same to learn from."""
    few = {"data.train.n": "64", "data.train.appearance": "plain", "data.val.n": "8", "data.val.appearance": "plain"}
    few |= {"data.train.population": "adult", "data.val.population": "adult", "data.workers": "0"}
    own = {"data.cache": str(folder / "cache"), "start.model": '""', "network.norm": norm, "run.short_clips": "0"}
    own |= {"data.train.strangers": "0", "optim.batch": str(BATCH)}
    return Run.start(read_settings(CONFIG, few | own), folder / norm, Silence(), Stop(), False)


_run: list[Run] = []  # of a process that takes steps


def begin(folder: Path, norm: str, given_back: bool, threads: int) -> None:
    """In a process of its own, since what one run keeps of memory another uses."""
    torch.set_num_threads(threads)
    folder.mkdir()
    with mock.patch.object(loop, "keep_freed") if given_back else nullcontext():
        _run.append(start(folder, norm))


def step(at: int, way: Way) -> float:
    """Processor seconds of the second of two steps: what another process left cold, the first has warmed."""
    with ExitStack() as patches:
        if way.by_onednn:
            supported = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
            patches.enter_context(mock.patch.object(loop, "has_bf16", return_value=supported))
        for kind in (video_encoder.PlaneConv, video_encoder.TimeConv) if way.deep else ():
            patches.enter_context(mock.patch.object(kind, "forward", nn.Conv3d.forward))
        if way.fused:
            patches.enter_context(mock.patch.object(layers, "_for_gradients", return_value=nullcontext()))
        _run[0].advance(at, 1000)
        started = time.process_time()
        _run[0].advance(at, 1000)
        return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        pools = {}
        for number, held in enumerate({(way.norm, way.given_back): None for way in WAYS.values()}):
            own = (Path(folder) / str(number), *held, options.threads)
            pools[held] = stack.enter_context(worker_pool(1, begin, own))
        # One at a time: no two steps share the processor.
        turns = [
            [pools[way.norm, way.given_back].submit(step, at, way).result() for way in WAYS.values()]
            for at in range(options.turns + WARM)
        ]
    columns = list(zip(*turns[WARM:], strict=True))
    print(f"{options.threads} threads, {BATCH} clips a step, {options.turns} turns")
    for way, times in zip(WAYS, columns, strict=True):
        gain = statistics.median(first / own for first, own in zip(columns[0], times, strict=True))
        print(f"{way:>64}: {BATCH / statistics.median(times):6.1f} clips a processor second, × {gain:.2f}")


if __name__ == "__main__":
    main()
