"""`mcsdr benchmark`: what this project claims, measured again.

A size that is not given is the benchmark's own, so that the plain command repeats the published tables.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from mcsdr.errors import InvalidConfig

if TYPE_CHECKING:
    from mcsdr.benchmark.record import Report, Say

benchmark = App(name="benchmark")

OUT = Path("out/benchmark")
Names = Annotated[list[str] | None, Parameter(negative="")]
Flag = Annotated[bool, Parameter(negative="")]


@benchmark.command
def posterior(
    *,
    out: Path | None = None,
    part: Literal["exactness", "known"] | None = None,
    randomised: Flag = False,
    kind: Names = None,
    train: int | None = None,
    val: int | None = None,
    calibration: int | None = None,
    test: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    quick: Flag = False,
) -> None:
    """Posteriors that are known: closed-form ones through every sampler, and phantoms that hide something.

    Parameters
    ----------
    out
        Folder for tables, figures and trainings; out/benchmark/posterior unless given.
    part
        "exactness" puts exact scores through the samplers and trains nothing. "known" trains on SYNTHETIC phantoms
        whose exact posterior is known. Both, in this order, unless given.
    randomised
        The pictures of "known" as varied as those of ordinary phantoms, instead of clean ones.
    kind
        What the phantoms of "known" hide, such as hidden-wall; may be given several times. All unless given.
    train
        Phantoms of each kind to learn from.
    val
        Phantoms to select the weights by.
    calibration
        Phantoms to fit the recalibration on.
    test
        Phantoms to measure on.
    epochs
        Of each training.
    seed
        Of the trainings, and of random draws.
    quick
        Tiny sizes, to see that it runs; the figures mean nothing.
    """
    sizes = _given(kinds=kind, train=train, val=val, calibration=calibration, test=test, epochs=epochs)
    if part == "exactness" and (sizes or randomised):
        cause = "--part exactness learns nothing: it takes no cohorts, sizes, epochs or --randomised."
        raise InvalidConfig(cause, next_step="Leave them out, or choose --part known.")
    folder = _folder(out, "posterior", quick)
    if part != "known":
        from mcsdr.benchmark import exactness

        few = {"points": 200, "repeats": 8} if quick else {}
        _publish(lambda say: exactness.run(say, seed=seed, **few), folder)
    if part != "exactness":
        from mcsdr.benchmark import known

        tiny = {"train": 32, "val": 8, "calibration": 40, "test": 16, "epochs": 1} if quick else {}
        _publish(lambda say: known.run(folder, randomised=randomised, seed=seed, say=say, **tiny | sizes), folder)


@benchmark.command
def heads(
    *,
    out: Path | None = None,
    end_to_end: Flag = False,
    cohort: Names = None,
    rival: Names = None,
    train: int | None = None,
    val: int | None = None,
    calibration: int | None = None,
    test: int | None = None,
    epochs: int | None = None,
    redrawn: Flag = False,
    seeds: int = 3,
    quick: Flag = False,
) -> None:
    """Ours against every head that a reviewer will ask for, on the same tokens of SYNTHETIC phantoms.

    Parameters
    ----------
    out
        Folder for the tables and the trainings; out/benchmark/heads unless given.
    end_to_end
        Each trains an encoder of its own too: ours, the paper's and the best of those that a first run found.
    cohort
        "adult" for ordinary phantoms, or what phantoms hide; may be given several times. adult and hidden-wall unless
        given.
    rival
        Only these heads beside ours; may be given several times.
    train
        Phantoms of each cohort to learn from.
    val
        Phantoms to select the weights by.
    calibration
        Phantoms to fit the recalibration on.
    test
        Phantoms to measure on.
    epochs
        Of each training.
    redrawn
        A new label from the known posterior at every visit, as if there were no end of readers; one fixed reading of
        each phantom otherwise.
    seeds
        Trainings of each head, with seeds 0, 1, …
    quick
        Tiny sizes, to see that it runs; the figures mean nothing.
    """
    from mcsdr.benchmark import rivals

    tiny = {"train": 64, "val": 8, "calibration": 40, "test": 16, "epochs": 1} if quick else {}
    sizes = _given(
        cohorts=cohort, rivals=rival, train=train, val=val, calibration=calibration, test=test, epochs=epochs
    )
    folder = _folder(out, "heads", quick)
    if redrawn:
        sizes["overrides"] = {"data.label": "redrawn"}
    run: Callable[..., Report] = rivals.run_end_to_end if end_to_end else rivals.run
    numbers = tuple(range(1 if quick else seeds))
    _publish(lambda say: run(folder, seeds=numbers, say=say, **tiny | sizes), folder)


@benchmark.command
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
    from mcsdr.benchmark.uci import run

    tiny: dict[str, Any] = {"sets": ["yacht"], "splits": 1} if quick else {}
    given = tiny | _given(sets=dataset, splits=splits) | {"all_splits": all_splits, "seed": seed, "workers": workers}
    target = _folder(out, "uci", quick)
    _publish(lambda say: run(folder, out=target, say=say, **given), target, private=[folder])


@benchmark.command
def missing(
    *,
    out: Path | None = None,
    cohort: Names = None,
    train: int | None = None,
    val: int | None = None,
    test: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
    each_attribute: bool | None = None,
    tower: Annotated[tuple[int, int] | None, Parameter(negative="")] = None,
    quick: Flag = False,
) -> None:
    """Missing modalities on SYNTHETIC phantoms: all 32 subsets, at random, shuffled, and against what is known.

    Parameters
    ----------
    out
        Folder for the tables and the trainings; out/benchmark/missing unless given. What was stopped goes on there.
    cohort
        "adult" for ordinary phantoms, or what phantoms hide; may be given several times. adult and hidden-wall unless
        given.
    train
        Phantoms of each cohort to learn from.
    val
        Phantoms to select the weights by.
    test
        Phantoms to measure on.
    epochs
        Of each training.
    seed
        Of the trainings, masks and permutations.
    each_attribute
        Also train on the video and one attribute alone, for the regret of each; yes unless --quick.
    tower
        Studies, and attribute draws for each, of the tower test.
    quick
        Tiny sizes, to see that it runs; the figures mean nothing.
    """
    from mcsdr.benchmark.missing import run

    tiny: dict[str, Any] = {}
    if quick:
        tiny = {"train": 64, "val": 8, "test": 8, "epochs": 1, "each_attribute": False, "tower": (2, 4)}
    sizes = _given(
        cohorts=cohort, train=train, val=val, test=test, epochs=epochs, each_attribute=each_attribute, tower=tower
    )
    folder = _folder(out, "missing", quick)
    _publish(lambda say: run(folder, seed=seed, say=say, **tiny | sizes), folder)


@benchmark.command
def realism(
    *,
    out: Path | None = None,
    cohort: str | None = None,
    clip: Annotated[list[Path] | None, Parameter(negative="")] = None,
    quick: Flag = False,
) -> None:
    """SYNTHETIC phantoms held against real pictures: where each measure of a real clip falls among theirs.

    Parameters
    ----------
    out
        Folder for the tables and the contact sheet, which shows the real clips; out/benchmark/realism unless given.
    cohort
        The phantoms, such as phantom:200:61, which is measured unless given.
    clip
        A file with a real clip; may be given several times. The one that comes with pydicom unless given.
    quick
        Twelve phantoms, to see that it runs; the figures mean nothing.
    """
    from mcsdr.benchmark.realism import run

    tiny = {"first": 12, "shown": 6} if quick else {}
    folder = _folder(out, "realism", quick)
    _publish(lambda say: run(folder, say=say, **tiny | _given(cohort=cohort, clips=clip)), folder, private=clip or ())


@benchmark.command
def robustness(
    model: str = "phantom-a4c",
    /,
    *,
    cohort: str | None = None,
    n: int | None = None,
    clip: Annotated[list[Path] | None, Parameter(negative="")] = None,
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
    from mcsdr.benchmark import robustness as echo_c

    given = ({"n": 4} if quick else {}) | _given(cohort=cohort, n=n, clips=clip)
    folder = _folder(out, "robustness", quick)
    private = [*(clip or []), *([Path(cohort)] if cohort and not cohort.startswith("phantom:") else [])]
    _publish(lambda say: echo_c.run(folder, model=model, seed=seed, say=say, **given), folder, private)


@benchmark.command
def scale(
    *,
    out: Path | None = None,
    size: Annotated[list[int] | None, Parameter(negative="")] = None,
    steps: int | None = None,
    test: int | None = None,
    seed: int = 0,
    quick: Flag = False,
) -> None:
    """How many phantoms are enough: the same number of steps on cohorts of growing size, SYNTHETIC.

    Parameters
    ----------
    out
        Folder for the table and the trainings; out/benchmark/scale unless given. What was stopped goes on there.
    size
        Phantoms to learn from; may be given several times. 1,000, 4,000 and 16,000 unless given.
    steps
        Of every training; those of configs/phantom-varied.toml unless given.
    test
        Phantoms to measure on.
    seed
        Of the trainings.
    quick
        Tiny sizes, to see that it runs; the figures mean nothing.
    """
    from mcsdr.benchmark.scale import run

    tiny: dict[str, Any] = {"sizes": [32, 64], "steps": 2, "val": 8, "test": 8} if quick else {}
    folder = _folder(out, "scale", quick)
    given = tiny | _given(sizes=size, steps=steps, test=test)
    _publish(lambda say: run(folder, seed=seed, say=say, **given), folder)


@benchmark.command
def refusals(
    *,
    model: str = "phantom-a4c",
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
        Kinds of impostors, or views such as PSAX; may be given several times. All, PSAX and PLAX unless given.
    each
        Impostors of each kind; 100 unless given.
    out
        Folder for the table; out/benchmark/refusals unless given.
    quick
        A few clips, to see that it runs; the figures mean nothing.
    """
    from mcsdr.benchmark.refusals import run

    tiny: dict[str, Any] = {"cohorts": ["phantom:4:71:varied"], "each": 2} if quick else {}
    folder = _folder(out, "refusals", quick)
    given = tiny | _given(cohorts=cohort, each=each, families=family)
    _publish(lambda say: run(model=model, say=say, **given), folder)


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _folder(out: Path | None, name: str, quick: bool) -> Path:
    """Where a benchmark writes; tiny trainings never stand where those of full size go on."""
    return out or OUT / (f"{name}-quick" if quick else name)


def _publish(measure: Callable[[Say], Report], out: Path, private: Sequence[Path] = ()) -> None:
    """Run a benchmark with its progress on standard error, print its tables, and write them.

    Arguments:
        private: folders and files of the user's own, written as FOLDER and FILE in the command.
    """
    from rich.console import Console

    import mcsdr
    from mcsdr.benchmark.record import SYNTHETIC

    progress = Console(stderr=True)
    report = measure(lambda line: progress.print(line, markup=False, highlight=False))
    answer = Console(width=None if Console().is_terminal else 200)  # a file has room
    for table in report.tables:
        table.show(answer)
    hidden = {str(path): "FOLDER" if path.is_dir() else "FILE" for path in private}
    words = [hidden.get(word, word) for argument in sys.argv[1:] for word in _words(argument)]
    report.write(out, shlex.join(["mcsdr", *words]))
    answer.print(f"{SYNTHETIC} {mcsdr.DISCLAIMER}" if report.synthetic else mcsdr.DISCLAIMER, markup=False)
    print(f"Written to {out}: {report.name}.md and {report.name}.json.")


def _words(argument: str) -> list[str]:
    """The two words of --option=value, any other argument as it is."""
    option, equals, value = argument.partition("=")
    return [option, value] if equals and option.startswith("--") else [argument]
