"""`mcsdr predict`: clips in, posteriors out."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from mcsdr import DEFAULT_MODEL
from mcsdr.errors import InvalidConfig, McsdrError

if TYPE_CHECKING:
    from mcsdr.cli.timing import Stopwatch
    from mcsdr.model import Answer
    from mcsdr.prediction import Failure
    from mcsdr.report.terminal import Line


def predict(
    paths: Annotated[list[Path], Parameter(help="Clips (DICOM, video, volumes: docs/formats.md) or folders of them.")],
    /,
    *,
    age: float | None = None,
    sex: str | None = None,
    weight: float | None = None,
    height: float | None = None,
    frame_rate: float | None = None,
    model: str = DEFAULT_MODEL,
    sampler: Literal["exact", "paper", "paper-clipped", "ddpm"] | None = None,
    seed: int = 0,
    threshold: float | None = None,
    prior: str | None = None,
    answer_anyway: Annotated[bool, Parameter(negative="")] = False,
    label: str = "",
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    csv_: Annotated[Path | None, Parameter(name="--csv")] = None,
    report: Path | None = None,
    timings: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Estimate the posterior of ejection fraction for each clip.

    One clip is answered at length; of a folder each clip gets a line, and a summary says what became of all. Every
    input gives one result or one error with a next step; the exit status is 1 if any failed. A clip that should
    not be relied on (no heartbeat, not the view that the model reads, unlike what it has learnt from, an interval too
    wide, two peaks) gets no number but the reason and what to do next. To abstain is no failure: the exit status is 0.
    A clip longer than 1.3 seconds is read by all its heartbeats.

    Parameters
    ----------
    age
        Years. What is given here stands above what a DICOM file says.
    sex
        F or M, in any usual spelling.
    weight
        Kilograms.
    height
        Centimetres.
    frame_rate
        Frames per second, for files that do not say it.
    model
        A bundled model's name or a folder that `mcsdr train` wrote.
    sampler
        exact: 23 quantile trajectories; paper: DDIM, 10 steps, the plain mean of 40 random trajectories; paper-clipped:
        the same held to 0–100 % first; ddpm: 1000 ancestral steps. The model's own unless given.
    seed
        Of the random trajectories of `paper` and `ddpm`; `exact` draws nothing.
    threshold
        An ejection fraction in per cent, such as 40: abstain where P(EF ≤ threshold) is between 0.1 and 0.9.
    prior
        Tell the belief for another population than the model has learnt from: flat, echonet-dynamic, camus,
        heart-failure, or a table with a column ef of your own laboratory's readings in per cent.
    answer_anyway
        Give the posterior also where the model abstains; it is marked.
    label
        A word of your own, such as an accession number, that stands in the report and in the JSON.
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
    from mcsdr.io.sandbox import can_fork, shared

    if can_fork():
        shared()  # first: it becomes ready while torch and the model are loaded

    from mcsdr.cli.timing import Stopwatch
    from mcsdr.diffusion.sampler import preset
    from mcsdr.io import in_words
    from mcsdr.model import load
    from mcsdr.prediction import predict as answers
    from mcsdr.report import printable
    from mcsdr.report.terminal import ATTRIBUTES

    write = None if report is None else _writer(report)
    watch = Stopwatch()
    watch.lap("import")
    estimator = load(model)
    watch.lap("load model")
    passed_over: Counter[str] = Counter()
    files = list(_each(paths, passed_over))
    answered = answers(
        files,
        estimator,
        age=age,
        sex=sex,
        weight=weight,
        height=height,
        frame_rate_hz=frame_rate,
        sampler=preset(sampler, seed) if sampler else None,
        threshold=threshold,
        anyway=answer_anyway,
        prior=prior,
        label=label,
    )
    kept, lines = _worked_through(answered, len(files), threshold, watch, keep=write is not None)
    if write is not None:  # files first: whoever reads the words, `head` say, may have had enough of them
        write(kept)
    if csv_ is not None:
        _write_table(csv_, lines, passed_over)
    if json_:
        records = [line.record for line in lines]
        if passed_over:
            records.append({"summary": {"inputs": len(lines), "passed_over": dict(passed_over.most_common())}})
        json.dump(records, sys.stdout, indent=2)
        print()
    else:
        values = zip(ATTRIBUTES, (age, sex, weight, height), strict=True)
        given = [name for name, value in values if value is not None]
        _print(kept, lines, threshold=threshold, given=given, read=estimator.statistics.names)
        if passed_over:
            print(f"Passed over, as no clips: {in_words(passed_over)}.")
    for what, file in (("report", report), ("table", csv_)):
        if file is not None:
            print(f"The {what} is in {printable(str(file))}.", file=sys.stderr if json_ else sys.stdout)
    if timings:
        watch.print(sys.stderr)
    if any(line.record["error"] for line in lines):
        sys.exit(1)


def _each(paths: Sequence[Path], passed_over: Counter[str]) -> Iterator[Path]:
    """Every clip of the files and folders; what holds none stays, so that it fails in its place.

    What of a folder is no clip is counted by kind.
    """
    from mcsdr.io import survey

    for path in paths:
        try:
            found = survey(path)
        except McsdrError:
            yield path
            continue
        if found.clips:
            passed_over.update(found.passed_over)
        yield from found.clips or [path]


def _worked_through(
    answered: Iterable[Answer | Failure], count: int, threshold: float | None, watch: Stopwatch, *, keep: bool
) -> tuple[list[Answer | Failure], list[Line]]:
    """The results with their frames, of one clip or where they are to be kept, and the line of each; with a bar."""
    from mcsdr.cli.progress import bar
    from mcsdr.prediction import Failure
    from mcsdr.report.terminal import line_of

    kept, lines = [], []
    with bar("clips", count) as advance:
        for result in answered:
            lines.append(line_of(result, threshold))
            if keep or count == 1:  # the frames of a folder would fill the memory
                kept.append(result)
            if not isinstance(result, Failure):
                watch.add(result.seconds)
            if count > 1:
                advance(len(lines))
    return kept, lines


def _writer(report: Path) -> Callable[[Sequence[Answer | Failure]], None]:
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


def _write_table(file: Path, lines: Sequence[Line], passed_over: Counter[str]) -> None:
    """The records as rows, and behind them what was passed over."""
    from mcsdr.files import write_table
    from mcsdr.prediction.rows import COLUMNS, cells_of, cells_passed_over

    rows = chain((cells_of(line.record) for line in lines), cells_passed_over(passed_over))
    write_table(file, COLUMNS, (row.values() for row in rows))


def _print(kept: Sequence[Answer | Failure], lines: Sequence[Line], **told: Any) -> None:
    """One clip at length; of several a line each, how many were answered, and what to do about the others."""
    from rich.console import Console

    from mcsdr.cli.batch import others
    from mcsdr.prediction.batch import Tally
    from mcsdr.prediction.rows import cells_of
    from mcsdr.report.terminal import print_many, print_results

    if len(lines) == 1:
        print_results(Console(), kept, **told)
        return
    tally = Tally()
    for line in lines:
        tally.add(cells_of(line.record))
    print_many(Console(), lines, [f"{tally.rows} clips: {tally.answered} answered", *others(tally)], **told)
