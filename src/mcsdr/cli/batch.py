"""`mcsdr batch`: many clips in, one table out, a row at a time."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from mcsdr import DEFAULT_MODEL
from mcsdr.errors import InvalidConfig

if TYPE_CHECKING:
    from mcsdr.prediction.batch import Tally


def batch(
    source: Annotated[Path, Parameter(help="A folder of clips, or a CSV file with a column `file`.")],
    out: Annotated[Path, Parameter(help="The table to write, or to go on with.")],
    /,
    *,
    model: str = DEFAULT_MODEL,
    sampler: Literal["exact", "paper", "paper-clipped", "ddpm"] | None = None,
    seed: int = 0,
    threshold: float | None = None,
    prior: str | None = None,
    answer_anyway: Annotated[bool, Parameter(negative="")] = False,
    workers: int = 1,
    folders: Annotated[bool, Parameter(negative="")] = False,
    restart: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Answer every clip of a folder or a list, one row each; a run that was stopped goes on where it stopped.

    The rows stand in the order of the inputs, what failed and what the model abstains from among them; the exit status
    is 1 if any failed. A CSV's paths are relative to its folder or absolute. Its optional columns are id, age (years),
    sex (F or M), weight (kg), height (cm) and frame_rate (per second); what they say stands above what a DICOM file
    says.

    The columns of the table are fixed: row, id, file, median, mean, sd, low_90 and high_90 (of a reader's report),
    heart_low_90 and heart_high_90 (of the heart's own EF), the quantiles q0.025 to q0.975, the probabilities P(EF<=30)
    to P(EF<54), beats, beat_spread, look_spread, abstained and error (codes), reason, next_step, notices, prior,
    input_sha256, model, model_sha256, version, seed, disclaimer. What a row lacks is empty.

    The last rows count the files of the folder that were passed over as no clips, one row a kind: error is passed-over,
    reason says how many and what, row and file are empty. OUT.run.json beside the table says what it depends on. With
    another model, other settings or another list of inputs the command refuses to go on.

    Parameters
    ----------
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
    workers
        Processes that answer side by side, each with the model in memory.
    folders
        Name each file as the source does, with its folders, which may name people.
    restart
        Begin anew, over the table of an earlier batch.
    """
    from mcsdr.cli.progress import bar
    from mcsdr.diffusion.sampler import preset
    from mcsdr.prediction.batch import Asked, listed, run
    from mcsdr.prediction.priors import prior_of

    if out.exists() and source.exists() and out.samefile(source):
        raise InvalidConfig("the table would be written over the list.", path=out, next_step="Name another table.")
    inputs, passed_over = listed(source)
    sampling = preset(sampler, seed) if sampler else None
    asked = Asked(str(model), sampling, threshold, answer_anyway, folders, prior_of(prior))
    with bar("clips", len(inputs)) as said:
        tally = run(inputs, out, asked, workers=workers, restart=restart, said=said, passed_over=passed_over)
    _print(tally, out, passed_over)
    if tally.failed:
        sys.exit(1)


def _print(tally: Tally, out: Path, passed_over: Counter[str]) -> None:
    """What became of the inputs, each kind with its codes."""
    from mcsdr import DISCLAIMER
    from mcsdr.io import in_words

    print(f"{tally.rows} rows in {out.name}: {tally.answered} answered")
    for line in others(tally):
        print(line)
    if passed_over:
        print(f"{passed_over.total():>6} passed over, as no clips: {in_words(passed_over)} (the last rows)")
    print(DISCLAIMER)


def others(tally: Tally) -> Iterator[str]:
    """A line for each kind of input that was not plainly answered, with its codes and how many there are of each."""
    for kind, codes in (
        ("answered anyway", tally.insisted),
        ("abstained", tally.abstained),
        ("failed", tally.failed),
    ):
        if codes:
            each = ", ".join(f"{code} {count}" for code, count in sorted(codes.items()))
            yield f"{codes.total():>6} {kind}: {each}"
