"""`mcsdr benchmark uci`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mcsdr.cli.benchmark.common import Flag, Names, folder_of, given, publish


def uci(
    folder: Path,
    /,
    *,
    out: Path | None = None,
    dataset: Names = None,
    splits: int | None = None,
    all_splits: Flag = False,
    seed: int = 0,
    workers: int = 2,
    quick: Flag = False,
) -> None:
    """Real tables, no video: the UCI regression suite with its standard splits, against published figures.

    Parameters
    ----------
    folder
        The suite: a folder per data set, each with its table and its splits.
    out
        Folder for the tables; out/benchmark/uci unless given. Splits that are done are not repeated.
    dataset
        Only these, such as yacht; may be given several times. All unless given.
    splits
        Only so many of the standard splits, from the first.
    all_splits
        All splits of naval and protein too, of which only the first two are run otherwise.
    seed
        Of folds, weights, batches and draws.
    workers
        Processes of one thread each.
    quick
        One data set and one split, to see that it runs; the figures mean nothing.
    """
    from mcsdr.evaluation.evidence.uci import run

    tiny: dict[str, Any] = {"sets": ["yacht"], "splits": 1} if quick else {}
    options = tiny | given(sets=dataset, splits=splits) | {"all_splits": all_splits, "seed": seed, "workers": workers}
    target = folder_of(out, "uci", quick)
    publish(lambda say: run(folder, out=target, say=say, **options), target, private=[folder])
