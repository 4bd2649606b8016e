"""The UCI regression suite on its standard splits: the engine on real tables, beside CARD's published figures.

Per split, in the unit of the labels, with F_i the posterior of test row i and y_i its label:

    RMSE    of the posterior mean
    NLL     −mean log F_i'(y_i), exact: the density of the quantile table, changed of variables to the labels' unit
    NLL KDE −mean log (1/1000) Σ_j N(y_i; s_ij, σ_i²), s_ij 1000 draws from F_i and σ_i their SD: CARD's convention
            without a global precision, which smooths each posterior by its own SD
    CRPS    of the quantile table
    QICE    ten bins of equal mass, in per cent of the rows
    PICP    share of the labels inside the central 95 % interval, in per cent

The engine on tables is an ensemble of K pairs, a point estimate and a posterior around it each; CARD is one such pair.
So every figure is also that of the first pair alone, as it answers by itself: neither averaged nor recalibrated, and
learnt from the rows outside its fold.

Everything that is chosen or fitted, recalibration and tails among it, is told from the training rows of the split (see
`mcsdr.evaluation.evidence.tabular`). Each figure is a mean over splits ± its standard error. A split that was done is
remembered as OUT/<set>-<split>.json and not run again under the same settings and seed.

References: Hernández-Lobato and Adams 2015, "Probabilistic backpropagation" (the splits); Han, Zheng, Zhou 2022,
"CARD: classification and regression diffusion models" (the published figures, the measures).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mcsdr.errors import InvalidCohort, InvalidConfig, MissingFile
from mcsdr.evaluation.evidence.record import Cell, Report, Say, Table, met
from mcsdr.evaluation.evidence.table_network import TableSettings
from mcsdr.evaluation.evidence.tabular import TabularPosterior
from mcsdr.files import write_atomically
from mcsdr.files.workers import worker_pool
from mcsdr.metrics.calibration import picp, qice
from mcsdr.metrics.point import rmse
from mcsdr.metrics.scores import crps_of, nll
from mcsdr.posterior import Posterior

Array = NDArray[np.float64]
DRAWS = 1000  # of CARD's density estimate
FEW = 2  # splits of the two largest sets, unless all are asked for
CLEAR_OF_ENDS = (1.0, 99.0)  # test labels beyond, over 97 % of the labels' range outside it, are held here and counted


class Published(NamedTuple):
    """CARD's row: RMSE and NLL in the labels' unit, QICE in per cent."""

    rmse: float
    nll: float
    qice: float


class SuiteSet(NamedTuple):
    """One set: its folder, what CARD published, the factor by which its errors are shown, and whether it is large."""

    folder: str
    card: Published
    shown: float = 1.0
    large: bool = False


SETS = {
    "concrete": SuiteSet("concrete", Published(4.77, 2.96, 2.30)),
    "energy": SuiteSet("energy", Published(0.52, 1.04, 4.91)),
    "kin8nm": SuiteSet("kin8nm", Published(0.0632, -1.32, 0.92), shown=100.0),
    "naval": SuiteSet("naval-propulsion-plant", Published(0.0002, -7.54, 0.80), shown=100.0, large=True),
    "power": SuiteSet("power-plant", Published(3.93, 2.82, 0.92)),
    "protein": SuiteSet("protein-tertiary-structure", Published(3.73, 2.49, 0.71), large=True),
    "wine": SuiteSet("wine-quality-red", Published(0.63, 0.92, 3.39)),
    "yacht": SuiteSet("yacht", Published(0.65, 0.90, 8.03)),
}
MEASURES = ("rmse", "nll", "nll_kde", "crps", "qice", "picp")
ONE = {m: f"{m}_one" for m in MEASURES}  # of one pair of the ensemble
WITHIN = 1.05  # an RMSE is met within 5 %


@dataclass(frozen=True)
class Split:
    """Training and test rows of one split: columns [n, d] and labels [n]."""

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array


def splits_of(folder: Path, name: str) -> int:
    """How many splits a set comes with.

    Raises:
        MissingFile, InvalidCohort: as for `read_split`.
    """
    return int(_numbers(_folder(folder, name) / "n_splits.txt").ravel()[0])


def read_split(folder: Path, name: str, split: int) -> Split:
    """One split of one set.

    Raises:
        MissingFile: the set's folder or one of its files is not there.
        InvalidCohort: a table is not of numbers, or an index names a column or a row that does not exist.
    """
    at = _folder(folder, name)
    data = _numbers(at / "data.txt")
    features, target, test = (
        _numbers(at / f"index_{part}.txt").ravel().astype(np.int64) for part in ("features", "target", f"test_{split}")
    )
    rows, columns = data.shape
    for index, limit, what in ((features, columns, "column"), (target, columns, "column"), (test, rows, "row")):
        if not index.size or index.min() < 0 or index.max() >= limit:
            raise InvalidCohort(f"an index of split {split} names a {what} that data.txt does not have.", path=at)
    if len(target) != 1 or target[0] in features or len(np.unique(test)) != len(test) or rows - len(test) < 50:
        raise InvalidCohort("one target apart from the features, and 50 training rows or more, are needed.", path=at)
    train = np.setdiff1d(np.arange(rows), test)
    x, y = data[:, features], data[:, target[0]]
    if np.ptp(y[train]) == 0:
        raise InvalidCohort("all training labels are equal.", path=at)
    return Split(x[train], y[train], x[test], y[test])


def measure(split: Split, settings: TableSettings, seed: int) -> dict[str, float]:
    """Fit the training rows, and every measure of the test rows, of the ensemble and of its first pair alone."""
    start = time.process_time()
    fitted = TabularPosterior(split.x_train, split.y_train, settings, seed)
    y_percent = np.clip(fitted.percent(split.y_test), *CLEAR_OF_ENDS)
    alone = scored(fitted.members(split.x_test)[0], fitted, split.y_test, seed)
    return {
        **scored(fitted(split.x_test), fitted, split.y_test, seed),
        **{ONE[m]: figure for m, figure in alone.items()},
        "spread": fitted.spread,
        "rho": fitted.rho,
        "held": float((y_percent != fitted.percent(split.y_test)).sum()),
        "rows": float(len(y_percent)),
        "seconds": time.process_time() - start,
    }


def scored(posterior: Posterior, fitted: TabularPosterior, y: Array, seed: int) -> dict[str, float]:
    """`MEASURES` of posteriors [B], on the scale of `fitted.percent`, at labels [B] in their own unit."""
    y_percent = np.clip(fitted.percent(y), *CLEAR_OF_ENDS)
    low, high = posterior.interval(0.95)
    return {
        "rmse": rmse(fitted.original(np.asarray(posterior.mean)), y),
        "nll": nll(posterior.log_density(y_percent)) + float(np.log(fitted.unit)),
        "nll_kde": nll_of_draws(fitted.original(posterior.sample(DRAWS, seed)), y),
        "crps": float(crps_of(posterior, y_percent).mean()) * fitted.unit,
        "qice": 100 * qice(posterior.pit(y_percent)),
        "picp": 100 * picp(low, high, y_percent),
    }


def nll_of_draws(draws: Array, observed: Array) -> float:
    """CARD's NLL: a Gaussian kernel density of the draws [B, K] at labels [B], as wide as the draws' own SD."""
    sd = draws.std(axis=1, ddof=1, keepdims=True)
    log_kernel = -0.5 * ((observed[:, None] - draws) / sd) ** 2
    log_density = np.logaddexp.reduce(log_kernel, axis=1) - np.log(draws.shape[1] * sd[:, 0] * np.sqrt(2 * np.pi))
    return nll(log_density)


def run(
    folder: Path,
    *,
    sets: Sequence[str] | None = None,
    all_splits: bool = False,
    splits: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    workers: int = 2,
    settings: TableSettings | None = None,
    say: Say = lambda line: None,
) -> Report:
    """Every set on its splits, beside CARD's published figures.

    Arguments:
        folder: with one folder per set.
        sets: names in `SETS`; all of them if left out.
        all_splits: all splits of the two largest sets (naval, protein), not the first two.
        splits: the first so many splits of every set at most.
        seed: of folds, weights, batches and draws.
        out: where splits done are remembered; nowhere if left out.
        workers: processes of one thread each.
        settings: of the engine on tables.

    Raises:
        InvalidConfig: a set that there is none of.
        MissingFile, InvalidCohort: a set's folder is not there, or not as its layout says.
    """
    names, settings = list(sets or SETS), settings or TableSettings()
    for name in names:
        if name not in SETS:
            raise InvalidConfig(f"There is no set {name!r} in the suite.", next_step=f"Choose from {', '.join(SETS)}.")
    tasks = []
    for name in names:
        count = splits_of(folder, name)
        count = min(count, FEW) if SETS[name].large and not all_splits else count
        tasks += [(name, split) for split in range(min(count, splits or count))]
    tasks.sort(key=lambda task: task[1])  # what is interrupted has seen every set
    read_split(folder, *tasks[0])
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for done, (name, split, figures) in enumerate(_results(folder, tasks, settings, seed, out, workers), start=1):
        found[name].append(figures)
        shown = ", ".join(f"{key} {figures[key]:.4g}" for key in MEASURES)
        say(f"{done}/{len(tasks)} {name} split {split}: {shown} ({figures['seconds']:.0f} s)")
    about = {"seed": seed, "splits": {name: len(found[name]) for name in names}, "engine": asdict(settings)}
    return Report("uci", _tables(found), about, synthetic=False)


def _results(
    folder: Path,
    tasks: list[tuple[str, int]],
    settings: TableSettings,
    seed: int,
    out: Path | None,
    workers: int,
) -> Iterator[tuple[str, int, dict[str, float]]]:
    """Set, split and figures, those remembered first."""
    key = json.loads(json.dumps({"seed": seed, "settings": asdict(settings)}))
    left = []
    for name, split in tasks:
        known = _remembered(out, name, split, key)
        if known is None:
            left.append((name, split))
        else:
            yield name, split, known

    def remember(name: str, split: int, figures: dict[str, float]) -> tuple[str, int, dict[str, float]]:
        if out is not None:
            content = json.dumps({**key, "figures": figures}, indent=1).encode()
            write_atomically(out / f"{name}-{split}.json", content)
        return name, split, figures

    if workers <= 1:
        for name, split in left:
            yield remember(name, split, _one(folder, name, split, settings, seed))
        return
    with worker_pool(workers) as pool:
        running = {pool.submit(_one, folder, name, split, settings, seed): (name, split) for name, split in left}
        try:
            for future in as_completed(running):
                yield remember(*running[future], future.result())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _one(folder: Path, name: str, split: int, settings: TableSettings, seed: int) -> dict[str, float]:
    return measure(read_split(folder, name, split), settings, seed + split)


def _remembered(out: Path | None, name: str, split: int, key: dict[str, Any]) -> dict[str, float] | None:
    """Figures of a split done under the same settings and seed; None where there are none or the file is damaged."""
    try:
        record = json.loads((out / f"{name}-{split}.json").read_bytes()) if out is not None else {}
        figures: dict[str, float] | None = record["figures"] if {k: record.get(k) for k in key} == key else None
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    return figures if figures is not None and figures.keys() >= {*MEASURES, *ONE.values()} else None


def _tables(found: dict[str, list[dict[str, float]]]) -> list[Table]:
    header = ["set", "splits", "RMSE", "NLL", "NLL KDE", "CRPS", "QICE %", "PICP 95 %"]
    rows: list[list[Cell]] = []
    reached = {who: dict.fromkeys(("rmse", "nll_kde", "qice"), 0) for who in ("all", "one")}
    for name, splits in found.items():
        entry, folds = SETS[name], len(splits)
        scale = {m: entry.shown if m in ("rmse", "crps") else 1.0 for m in MEASURES}
        published = {"rmse": entry.card.rmse, "nll_kde": entry.card.nll, "qice": entry.card.qice}
        shown = f"{name} (RMSE, CRPS ×{entry.shown:.0f})" if entry.shown != 1 else name
        for who, label, key in (("all", shown, {m: m for m in MEASURES}), ("one", "  one pair of its networks", ONE)):
            of = {m: np.array([figures[key[m]] for figures in splits]) for m in MEASURES}
            cells = {m: _mean_and_error(scale[m] * of[m]) for m in MEASURES}
            for m, bound in (published | {"rmse": WITHIN * entry.card.rmse}).items():
                good = bool(of[m].mean() <= bound + 1e-12)
                reached[who][m] += good
                cells[m] += f": {met(good)}"
            rows.append([label, folds, *cells.values()])
        theirs: dict[str, Cell] = {m: f"{scale[m] * published[m]:.2f}" if m in published else None for m in MEASURES}
        rows.append(["  CARD, published", None, *theirs.values()])
    held = sum(figures["held"] for splits in found.values() for figures in splits)
    return [Table("UCI regression, standard splits", header, rows, _notes(reached, len(found), held))]


def _notes(reached: dict[str, dict[str, int]], sets: int, held: float) -> list[str]:
    counts = {who: "RMSE on {rmse}, NLL on {nll_kde}, QICE on {qice}".format(**of) for who, of in reached.items()}
    return [
        f"Met: RMSE within 5 % of CARD's or better, NLL like for like and QICE no higher. Of {sets} sets the ensemble "
        f"meets {counts['all']}; one pair of its networks meets {counts['one']}.",
        "Mean over splits ± standard error. NLL is exact, in the unit of the labels; NLL KDE is the convention of "
        "CARD's code (1000 draws, a Gaussian kernel as wide as their SD), and CARD's NLL stands beside it.",
        "Ours is an ensemble of as many pairs of networks as folds, five: a point estimate, and a posterior around it. "
        "CARD is one such pair. One pair: the first of ours by itself, not recalibrated, learnt from the four fifths "
        "of the training rows outside its fold, where CARD has all. Of the ten sets that CARD publishes, Boston and "
        "Year are not among these.",
        "The ensemble averages networks that leave out one fold of the training rows each. It is recalibrated on "
        "those rows, with tails that fall as a power told from them, and narrowed by what averaging takes out of the "
        "error. No test row is used, neither label nor columns.",
        "QICE of a perfect posterior is near 24 %/sqrt(test rows), so that of small sets is mostly chance.",
        f"Test labels held to the range of the bounded target: {held:.0f}.",
    ]


def _mean_and_error(values: Array) -> str:
    if len(values) < 2:
        return f"{values.mean():.3f}"
    return f"{values.mean():.3f} ± {values.std(ddof=1) / np.sqrt(len(values)):.3f}"


def _folder(folder: Path, name: str) -> Path:
    at = folder / SETS[name].folder
    if not at.is_dir():
        raise MissingFile("there is no such set.", path=at, next_step="Give the folder that holds one folder per set.")
    return at


def _numbers(path: Path) -> Array:
    """A table of finite numbers [rows, columns]."""
    try:
        table = np.loadtxt(path, dtype=np.float64, ndmin=2)
    except FileNotFoundError as error:
        raise MissingFile("the set lacks this file.", path=path) from error
    except (ValueError, OSError) as error:
        raise InvalidCohort(f"not a table of numbers: {error}.", path=path) from error
    if not table.size or not np.isfinite(table).all():
        raise InvalidCohort("empty, or with values that are not finite numbers.", path=path)
    return table
