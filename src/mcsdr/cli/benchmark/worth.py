"""`mcsdr benchmark worth`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mcsdr import DEFAULT_MODEL
from mcsdr.cli.benchmark.common import Flag, Names, folder_of, given, publish


def worth(
    *,
    model: str = DEFAULT_MODEL,
    cohort: Names = None,
    out: Path | None = None,
    quick: Flag = False,
) -> None:
    """What the diffusion is worth: a model against its own location-scale head with the same weights.

    Parameters
    ----------
    model
        A bundled model's name or a folder that `mcsdr train` wrote.
    cohort
        Clips to ask about, phantom:N:SEED or a data set's folder; may be given several times. 500 varied and 500 plain
        phantoms that no model has learnt from unless given.
    out
        Folder for the table; out/benchmark/worth unless given.
    quick
        A few clips, to see that it runs; the figures mean nothing.
    """
    from mcsdr.evaluation.evidence.worth import run

    tiny: dict[str, Any] = {"cohorts": ["phantom:6:91:varied"]} if quick else {}
    options = tiny | given(cohorts=cohort)
    publish(lambda say: run(model=model, say=say, **options), folder_of(out, "worth", quick))
