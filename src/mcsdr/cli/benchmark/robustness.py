"""`mcsdr benchmark robustness`."""

from __future__ import annotations

from pathlib import Path

from mcsdr import DEFAULT_MODEL
from mcsdr.cli.benchmark.common import Flag, Paths, folder_of, given, publish


def robustness(
    model: str = DEFAULT_MODEL,
    /,
    *,
    cohort: str | None = None,
    n: int | None = None,
    clip: Paths = None,
    out: Path | None = None,
    seed: int = 0,
    quick: Flag = False,
) -> None:
    """echo-C: 14 corruptions at 5 severities, and changes that must not change the answer.

    Parameters
    ----------
    model
        A bundled model's name or a folder that `mcsdr train` wrote.
    cohort
        Whose clips: phantom:N:SEED or a data set's folder; 200 SYNTHETIC phantoms that no model has learnt from unless
        given.
    n
        Only the first so many studies, or so many phantoms.
    clip
        A readable file for the metamorphic tests besides the cohort; may be given several times.
    out
        Folder for tables and figures; out/benchmark/robustness unless given.
    seed
        Of the corruptions.
    quick
        Four studies, to see that it runs; the figures mean nothing, but for those of each --clip.
    """
    from mcsdr.evaluation.evidence import robustness as echo_c

    options = ({"n": 4} if quick else {}) | given(cohort=cohort, n=n, clips=clip)
    folder = folder_of(out, "robustness", quick)
    private = [*(clip or []), *([Path(cohort)] if cohort and not cohort.startswith("phantom:") else [])]
    publish(lambda say: echo_c.run(folder, model=model, seed=seed, say=say, **options), folder, private)
