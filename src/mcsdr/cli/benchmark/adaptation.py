"""`mcsdr benchmark adaptation`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from mcsdr.cli.benchmark.common import Flag, Names, folder_of, given, publish


def adaptation(
    *,
    model: str | None = None,
    site: Names = None,
    size: Annotated[list[int] | None, Parameter(negative="")] = None,
    test: int | None = None,
    draws: int | None = None,
    out: Path | None = None,
    quick: Flag = False,
) -> None:
    """What adapting to a site gains: from plain phantoms to other families and other people, SYNTHETIC.

    Parameters
    ----------
    model
        A bundled model's name or a folder; phantom-a4c, which has learnt from plain phantoms, unless given.
    site
        Phantoms of another kind, such as shifted-test or camus; may be given several times. shifted-val, shifted-test
        and camus unless given.
    size
        Labelled studies to adapt to; may be given several times. 20, 50 and 200 unless given.
    test
        Other phantoms of the site to measure on; 200 unless given.
    draws
        Random choices of the labelled studies, over which figures are averaged; 10 unless given.
    out
        Folder for the table; out/benchmark/adaptation unless given.
    quick
        A few phantoms, to see that it runs; the figures mean nothing.
    """
    from mcsdr.evaluation.evidence.sites import run

    tiny: dict[str, Any] = {"sites": ["camus"], "sizes": [20], "test": 12, "draws": 1} if quick else {}
    folder = folder_of(out, "adaptation", quick)
    options = tiny | given(model=model, sites=site, sizes=size, test=test, draws=draws)
    publish(lambda say: run(say=say, **options), folder)
