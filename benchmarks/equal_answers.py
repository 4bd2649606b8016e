"""Cases of docs/reliability.md about answers that must be equal, for benchmarks/reliability.py."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from processes import small_clips

LEVELS = np.linspace(0.05, 0.95, 19)
Found = Iterator[tuple[str, bool]]  # a line, and whether it is as it must be


def same(share: float, folder: Path) -> Found:
    """One clip answered 100 times; 64 clips one by one and together, on one thread and on two."""
    import torch

    import mcsdr
    from mcsdr.phantom.cohort import PhantomCohort

    count, model = max(2, round(100 * share)), mcsdr.load()
    (clip,) = small_clips(folder / "clips", 1)
    told = {_plain(model(mcsdr.read_study(clip, age=63)).record()) for _ in range(count)}
    yield f"{count} times one clip: {len(told)} record", len(told) == 1
    studies = list(PhantomCohort(max(4, round(64 * share)), 92))
    answered, measured = {}, {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        answered[f"in one call, {threads} threads"] = _answered(model(studies))
        answered[f"one by one, {threads} threads"] = _answered([model(study) for study in reversed(studies)][::-1])
        measured[f"as one batch, {threads} threads"] = _quantiles(model, studies)
        measured[f"as batches of one, {threads} threads"] = np.concatenate([_quantiles(model, [s]) for s in studies])
    for name, answers in answered.items():
        same = all(np.array_equal(*pair) for pair in zip(answers, next(iter(answered.values())), strict=True))
        yield f"{len(studies)} clips answered {name}: the first's numbers to the bit: {same}", same
    for name, quantiles in measured.items():
        apart = float(np.abs(quantiles - next(iter(measured.values()))).max())
        yield f"{len(studies)} clips measured {name}: within {apart:.1g} EF points of the first", apart < 1e-3


def _plain(record: dict[str, Any]) -> str:
    return json.dumps(record | {"analysed": None}, sort_keys=True)


def _answered(answers: Any) -> list[Any]:
    return [np.append(answer.belief.quantile(LEVELS), answer.look_spread) for answer in answers]


def _quantiles(model: Any, studies: list[Any]) -> Any:
    posterior = model.posterior(model.encode(studies), model.attribute_rows(studies))
    return np.asarray(posterior.quantile(LEVELS))


def child(share: float, folder: Path) -> Found:
    """What it costs to read in a child: a clip read, and answered, here and there in turn; the best time of each."""
    from pydicom.data import get_testdata_file

    import mcsdr
    from mcsdr.io.sandbox import shared
    from mcsdr.prediction import answer_file

    model, reader, rounds = mcsdr.load(), shared(), max(3, round(30 * share))
    for path in (Path(str(get_testdata_file("examples_ybr_color.dcm"))), *small_clips(folder / "clips", 1)):
        ways: dict[str, Callable[[], Any]] = {
            "read here": lambda path=path: mcsdr.read_study(path),
            "read in a child": lambda path=path: reader.study(path, {}),
            "answered here": lambda path=path: model(mcsdr.read_study(path)),
            "answered from a child": lambda path=path: answer_file(path, model),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        last = {}
        for _ in range(rounds + 1):  # the first is not counted
            for name, way in ways.items():
                started = time.perf_counter()
                last[name] = way()
                seconds[name].append(time.perf_counter() - started)
        here, there, answered, apart = (min(each[1:]) for each in seconds.values())
        equal = _plain(last["answered here"].record()) == _plain(last["answered from a child"].record())
        yield (
            (
                f"{path.suffix}: reading {there / here:.2f} times as long (+ {1000 * (there - here):.0f} ms), "
                f"answering {apart / answered:.2f} times; one record: {equal}"
            ),
            equal,
        )
