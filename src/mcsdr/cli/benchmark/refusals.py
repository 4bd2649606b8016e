"""`mcsdr benchmark refusals`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mcsdr import DEFAULT_MODEL
from mcsdr.cli.benchmark.common import Flag, Names, folder_of, given, publish


def refusals(
    *,
    model: str = DEFAULT_MODEL,
    cohort: Names = None,
    family: Names = None,
    each: int | None = None,
    out: Path | None = None,
    quick: Flag = False,
) -> None:
    """What a model refuses: SYNTHETIC impostors, which it should, and phantoms that it should answer.

    Parameters
    ----------
    model
        A bundled model's name or a folder that `mcsdr train` wrote.
    cohort
        Clips that the model is to answer, phantom:N:SEED; may be given several times. 500 varied and 500 plain phantoms
        that no model has learnt from unless given.
    family
        Kinds of impostors, or views such as PSAX; may be given several times. All, PSAX and PLAX unless given; those
        that the model's gate was never shown are told apart.
    each
        Impostors of each kind; 100 unless given.
    out
        Folder for the table; out/benchmark/refusals unless given.
    quick
        A few clips, to see that it runs; the figures mean nothing.
    """
    from mcsdr.evaluation.evidence.refusals import run

    tiny: dict[str, Any] = {"cohorts": ["phantom:4:71:varied"], "each": 2} if quick else {}
    folder = folder_of(out, "refusals", quick)
    options = tiny | given(cohorts=cohort, each=each, families=family)
    publish(lambda say: run(model=model, say=say, **options), folder)
