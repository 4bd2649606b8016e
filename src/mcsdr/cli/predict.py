"""`mcsdr predict`: clips in, posteriors out."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from mcsdr import DEFAULT_MODEL
from mcsdr.errors import InvalidConfig

if TYPE_CHECKING:
    from mcsdr.prediction import Failure, Prediction


def predict(
    paths: Annotated[list[Path], Parameter(help="Clips (DICOM, video, volumes: docs/formats.md) or folders of them.")],
    /,
    *,
    age: float | None = None,
    sex: Literal["F", "M"] | None = None,
    weight: float | None = None,
    height: float | None = None,
    frame_rate: float | None = None,
    model: str = DEFAULT_MODEL,
    sampler: Literal["exact", "paper", "ddpm"] | None = None,
    seed: int = 0,
    threshold: float | None = None,
    answer_anyway: Annotated[bool, Parameter(negative="")] = False,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    csv_: Annotated[Path | None, Parameter(name="--csv")] = None,
    report: Path | None = None,
    timings: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Estimate the posterior of ejection fraction for each clip.

    Every input gives one result or one error with a next step; the exit status is 1 if any failed. A clip that should
    not be relied on (no heartbeat, not the view that the model reads, unlike what it has learnt from, an interval too
    wide, two peaks) gets no number but the reason and what to do next. To abstain is no failure: the exit status is 0.
    A clip longer than 1.3 seconds is read by all its heartbeats.

    Parameters
    ----------
    age
        Years. What is given here stands above what a DICOM file says.
    sex
        F or M.
    weight
        Kilograms.
    height
        Centimetres.
    frame_rate
        Frames per second, for files that do not say it.
    model
        A bundled model's name or a folder that `mcsdr train` wrote.
    sampler
        exact: 23 quantile trajectories; paper: DDIM, 10 steps, 40 random trajectories; ddpm: 1000 ancestral steps. The
        model's own, which is exact, unless given.
    seed
        Of the random trajectories of `paper` and `ddpm`; `exact` draws nothing.
    threshold
        An ejection fraction in per cent, such as 40: abstain where P(EF ≤ threshold) is between 0.1 and 0.9.
    answer_anyway
        Give the posterior also where the model abstains; it is marked.
    json_
        Print a list of objects instead of the summary. Where files of a folder were passed over, as no clips, its last
        object is {"summary": {"inputs": N, "passed_over": {KIND: COUNT}}}.
    csv_
        Write one row per input.
    report
        Write a report to give away: a self-contained page (.html) or sheets of A4 (.pdf), by the file's suffix.
    timings
        Print where the time went, from the start of the process.
    """
    from mcsdr.cli.timing import Stopwatch
    from mcsdr.diffusion.sampler import preset
    from mcsdr.model import load
    from mcsdr.prediction import Failure
    from mcsdr.prediction import predict as answers

    write = None if report is None else _writer(report)
    watch = Stopwatch()
    watch.lap("import")
    estimator = load(model)
    watch.lap("load model")
    passed_over: Counter[str] = Counter()
    results = list(
        answers(
            paths,
            estimator,
            age=age,
            sex=sex,
            weight=weight,
            height=height,
            frame_rate_hz=frame_rate,
            sampler=preset(sampler, seed) if sampler else None,
            threshold=threshold,
            anyway=answer_anyway,
            passed_over=passed_over,
        )
    )
    for result in results:
        if not isinstance(result, Failure):
            watch.add(result.seconds)
    if write is not None:  # files first: whoever reads the words, `head` say, may have had enough of them
        write(results)
    _deliver(results, passed_over, as_json=json_, table=csv_)
    if timings:
        watch.print(sys.stderr)
    if any(isinstance(result, Failure) for result in results):
        sys.exit(1)


def _writer(report: Path) -> Callable[[Sequence[Prediction | Failure]], None]:
    """What writes the report, by the file's suffix; asked before any work is done."""
    match report.suffix.lower():
        case ".html" | ".htm":
            from mcsdr.report.html import write_report

            return partial(write_report, report)
        case ".pdf":
            from mcsdr.report.pdf import write_pdf

            return partial(write_pdf, report)
        case suffix:
            named = f"its name ends in {suffix}" if suffix else "its name has no suffix"
            raise InvalidConfig(
                f"{named}, which is no kind of report.",
                path=report,
                next_step="Name a file that ends in .html or .pdf.",
            )


def _deliver(
    results: Sequence[Prediction | Failure], passed_over: Counter[str], *, as_json: bool, table: Path | None
) -> None:
    """Write the table if one was asked for, and print the answers, as words or as JSON, and what was passed over."""
    from rich.console import Console

    from mcsdr.files import write_table
    from mcsdr.io import in_words
    from mcsdr.report.terminal import print_results
    from mcsdr.rows import COLUMNS, row_of

    if table is not None:
        write_table(table, COLUMNS, (row_of(result.record()).values() for result in results))
    if as_json:
        records = [result.record() for result in results]
        if passed_over:
            records.append({"summary": {"inputs": len(results), "passed_over": dict(passed_over.most_common())}})
        json.dump(records, sys.stdout, indent=2)
        print()
    else:
        print_results(Console(), results)
        if passed_over:
            print(f"Passed over, as no clips: {in_words(passed_over)}.")
