"""`mcsdr benchmark population`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mcsdr import DEFAULT_MODEL
from mcsdr.cli.benchmark.common import Flag, folder_of, given, publish


def population(
    *,
    model: str = DEFAULT_MODEL,
    cohort: str | None = None,
    out: Path | None = None,
    quick: Flag = False,
) -> None:
    """P(EF ≤ 40 %) in populations where it is rare and where it is frequent, SYNTHETIC: with and without stating them.

    Parameters
    ----------
    model
        A bundled model's name or a folder that `mcsdr train` wrote.
    cohort
        The phantoms, such as phantom:300:81:varied, which is measured unless given; they are weighted to each
        population.
    out
        Folder for the table; out/benchmark/population unless given.
    quick
        A few phantoms, to see that it runs; the figures mean nothing.
    """
    from mcsdr.evaluation.evidence.populations import run

    tiny: dict[str, Any] = {"cohort": "phantom:24:81:varied"} if quick else {}
    folder = folder_of(out, "population", quick)
    publish(lambda say: run(model=model, say=say, **tiny | given(cohort=cohort)), folder)
