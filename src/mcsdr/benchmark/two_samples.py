"""Can phantoms be told from real clips by their measures? The two-sample test, after Friedman (2003).

Pool the rows of both samples, y = +1 the real ones and −1 the phantoms. With r the rank of a value among all N of its
column, ties at their mean, a column becomes

    u = (2 r − 1) / N − 1  ∈ (−1, 1)         and  u²,          so that both place and breadth can tell,
    0 where it could not be measured         and  1 for that   if any of the column could not,

each standardised. Five times a ridge w = (XᵀX + λ I)⁻¹ Xᵀ (y − ȳ) is fitted to four fifths of each sample and scores
the fifth. Then

    AUC = P(score of a real clip > score of a phantom) + ½ P(equal)

is ½ where the measures tell nothing, and 1 where no phantom passes for real. Its interval is the bootstrap's, rows of
each sample drawn anew with the scores as they are; where nothing is to be learnt, what is learnt by chance adds to the
spread, and 95 % intervals held ½ in 87 % of 150 trials (150 and 120 rows of 37 normal columns). The AUC of one measure
alone is that of its values: below ½ the real ones lie lower. Since measures that part nothing alone may do so together,
those that do are also found one by one: to those found is added the one with which the ridge's AUC is largest.

The real table is read where the user keeps it; nothing of it but AUCs goes into a report.

References: Friedman 2003, "On multivariate goodness-of-fit and two-sample testing"; Lopez-Paz and Oquab 2017,
"Revisiting classifier two-sample tests"; Hoerl and Kennard 1970, "Ridge regression".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcsdr.benchmark.measure_table import NEXT, Columns
from mcsdr.benchmark.record import Cell, Table, met
from mcsdr.errors import InvalidCohort
from mcsdr.metrics.bootstrap import Interval
from mcsdr.metrics.clinical import auroc
from mcsdr.metrics.rank import ranks

Array = NDArray[np.float64]

FOLDS = 5
RIDGE = 10.0  # λ; columns have SD 1, so beside the N ≈ 450 to 650 of XᵀX
RESAMPLES, SEED = 2000, 7
STEPS = 8  # measures found one by one
GOAL, ALONE = 0.93, (0.25, 0.75)  # of the AUC, and of that of each measure alone


@dataclass(frozen=True)
class Separation:
    """How well two samples are told apart: by all shared measures with a 95 % interval, and by each alone.

    `together` holds the measures found one by one, and the AUC of the ridge on each and those before it.
    """

    measures: tuple[str, ...]
    phantoms: int
    real: int
    auc: Interval
    alone: Mapping[str, float]
    together: Mapping[str, float]


def separate(phantoms: Columns, real: Columns, names: Sequence[str], seed: int = SEED) -> Separation:
    """The two-sample test by those of the named measures that both samples have.

    Arguments:
        phantoms, real: columns of measures, NaN where a clip did not allow one.
        names: the measures that count, in the order in which they are told.
        seed: of the folds and of the bootstrap.

    Raises:
        InvalidCohort: no measure is shared, or a sample has fewer rows than there are folds.
    """
    shared = tuple(n for n in names if all(n in x and np.isfinite(x[n]).any() for x in (phantoms, real)))
    if not shared:
        raise InvalidCohort("the table of real clips shares no measure with the phantoms.", next_step=NEXT)
    x = np.concatenate([np.stack([sample[n] for n in shared], axis=1) for sample in (phantoms, real)])
    is_real = np.arange(len(x)) >= len(phantoms[shared[0]])
    if min(is_real.sum(), (~is_real).sum()) < FOLDS:
        raise InvalidCohort(f"two samples are compared from {FOLDS} clips each.", next_step="Measure more of them.")
    rng = np.random.default_rng(seed)
    fold = folds(is_real, rng)
    blocks = {name: features(column) for name, column in zip(shared, x.T, strict=True)}
    scores = out_of_fold(np.concatenate(list(blocks.values()), axis=1), is_real, fold)
    return Separation(
        measures=shared,
        phantoms=int((~is_real).sum()),
        real=int(is_real.sum()),
        auc=stratified_interval(scores, is_real, rng),
        alone={name: _alone(column, is_real) for name, column in zip(shared, x.T, strict=True)},
        together=one_by_one(blocks, is_real, fold),
    )


def features(values: Array) -> Array:
    """u, u² and where it is missing, of a column [N], standardised; those that differ at all, [N, from 0 to 3]."""
    there = np.isfinite(values)
    u = np.zeros(len(values))
    u[there] = (2 * ranks(values[there]) - 1) / there.sum() - 1
    made = np.stack([u, u**2, ~there], axis=1)
    made = made[:, np.ptp(made, axis=0) > 0]
    return np.asarray((made - made.mean(axis=0)) / made.std(axis=0))


def folds(is_real: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """To which of FOLDS equal parts of its sample each row belongs, [N]."""
    fold = np.empty(len(is_real), dtype=np.int64)
    for sample in (is_real, ~is_real):
        fold[sample] = rng.permutation(np.arange(sample.sum()) % FOLDS)
    return fold


def out_of_fold(x: Array, is_real: NDArray[np.bool_], fold: NDArray[np.int64]) -> Array:
    """The score of each row of [N, M] by a ridge that did not see its fold, [N]."""
    y, scores = np.where(is_real, 1.0, -1.0), np.empty(len(x))
    for k in range(FOLDS):
        seen = fold != k
        centre, level = x[seen].mean(axis=0), y[seen].mean()
        near = x[seen] - centre
        w = np.linalg.solve(near.T @ near + RIDGE * np.eye(x.shape[1]), near.T @ (y[seen] - level))
        scores[~seen] = (x[~seen] - centre) @ w
    return scores


def one_by_one(blocks: Columns, is_real: NDArray[np.bool_], fold: NDArray[np.int64]) -> dict[str, float]:
    """Up to STEPS measures, each the best beside those before it, and the AUC with it; from features [N, m] of each."""
    found: dict[str, float] = {}
    x = np.empty((len(is_real), 0))
    for _ in range(min(STEPS, len(blocks))):
        tried = {name: np.concatenate([x, block], axis=1) for name, block in blocks.items() if name not in found}
        aucs = {name: auroc(out_of_fold(wider, is_real, fold), is_real) for name, wider in tried.items()}
        best = max(aucs, key=lambda name: aucs[name])
        found[best], x = aucs[best], tried[best]
    return found


def stratified_interval(scores: Array, is_real: NDArray[np.bool_], rng: np.random.Generator) -> Interval:
    """The AUC of scores [N] and its 95 % interval, rows of each sample drawn with replacement."""
    real, phantoms = scores[is_real], scores[~is_real]
    # How each real row stands to each phantom; a resample weighs rows by how often they are drawn.
    above = (real[:, None] > phantoms) + 0.5 * (real[:, None] == phantoms)
    drawn = [rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) for n in above.shape]
    values = np.einsum("bi,bi->b", drawn[0] @ above, drawn[1]) / above.size
    low, high = np.quantile(values, (0.025, 0.975)).tolist()
    return Interval(float(above.mean()), low, high)


def _alone(column: Array, is_real: NDArray[np.bool_]) -> float:
    there = np.isfinite(column)
    return auroc(column[there], is_real[there])


# --- tables ----------------------------------------------------------------------------------------------------------


def tables(found: Mapping[str, Separation], cohort: str) -> list[Table]:
    """By which group of measures phantoms are told how well, and every measure alone, those that part most first."""
    rows: list[list[Cell]] = []
    for group, one in found.items():
        interval = f"{one.auc.lower:.3f} to {one.auc.upper:.3f}"
        rows.append([group, len(one.measures), one.auc.estimate, interval, met(one.auc.estimate <= GOAL)])
    first = next(iter(found.values()))
    notes = [
        f"{first.phantoms} of {cohort} against {first.real} real clips: AUC of a ridge on ranks and squared ranks, "
        f"{FOLDS}-fold, scored out of fold. 0.5: they cannot be told apart; 1: no phantom passes for real. Target: at "
        f"most {GOAL}.",
    ]
    alone = {name: auc for one in found.values() for name, auc in one.alone.items()}
    return [
        Table("Phantoms told from real clips", ("measures", "how many", "AUC", "95 %", "target"), rows, notes),
        *(_together(group, one) for group, one in found.items()),
        _each(alone),
    ]


def _together(group: str, one: Separation) -> Table:
    notes = ["Found one by one, each the best beside those above it. Chosen by these very AUCs, which are so too high."]
    header = ("measure added", "AUC with those above")
    return Table(f"Told by few of them: {group}", header, list(one.together.items()), notes)


def _each(alone: Mapping[str, float]) -> Table:
    low, high = ALONE
    ordered = sorted(alone.items(), key=lambda item: -abs(item[1] - 0.5))
    within = [low <= auc <= high for _, auc in ordered]
    rows: list[list[Cell]] = [
        [name, auc, "yes" if fine else "NO"] for (name, auc), fine in zip(ordered, within, strict=True)
    ]
    notes = [
        f"{sum(within)} of {len(within)} within {low} to {high}: {met(all(within))}. AUC: how often a real clip "
        "lies above a phantom; below 0.5 the real ones lie lower.",
    ]
    return Table("Each measure alone", ("measure", "AUC", "within"), rows, notes)
