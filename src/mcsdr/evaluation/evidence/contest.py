"""Rivals set beside ours, study by study: their measures, their paired differences, and what these show.

With c_i the score of study i averaged over the seeds of training, a difference is mean_i (c_i ours − c_i rival), and
its 95 % interval comes from drawing studies with replacement. For the coverage error, which is no mean over studies,
every resample gives the error of each seed and averages those. A verdict follows from the interval alone:

    upper end < 0   ours better          lower end > 0   rival better          otherwise   no difference shown

The intervals speak of the studies drawn, not of the training: how far another seed moves a figure is its ± SD. Each is
at 95 % by itself; of twenty comparisons of equals one is expected to show a difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mcsdr.diffusion.closed_form import GaussianMixture
from mcsdr.evaluation.evidence.record import Cell, Table, met
from mcsdr.metrics import calibration
from mcsdr.metrics.bootstrap import Interval, cluster_bootstrap, cluster_bootstrap_mean
from mcsdr.metrics.known import crps_excess
from mcsdr.metrics.scores import crps_of
from mcsdr.posterior import Posterior
from mcsdr.posterior.draws import pit_of

Array = NDArray[np.float64]

OURS, PAPERS, PAPERS_OWN = "diffusion", "mcsdr", "mcsdr-own-training"  # the rows that the targets speak of
HEAD_ALONE = "head-alone"  # ours without its flow: no rival, but the question what the flow is worth
WITHIN = 0.02  # of the best rival's CRPS
HUGE = 1e4  # the NLL of a table with a gap where a label falls may be one
OURS_BETTER, RIVAL_BETTER, NEITHER = "ours better", "rival better", "no difference shown"
UNMEASURED = "not measured"


@dataclass(frozen=True)
class Answers:
    """What one contestant answered, a row per seed: all [S, N].

    Attributes:
        crps, nll: of the label, in EF points and in nats; the CRPS of tables is "quantile-table", of iid draws "fair".
            Draws have no density, so that their NLL is NaN.
        excess: of the expected CRPS over that of the exact posterior; NaN where there is none.
        error: |median − label| in EF points; of iid draws |plain mean − label|, as their authors answer.
        pit: F(label); of iid draws by the label's rank among them.
        width: of the central 90 % interval in EF points.
    """

    crps: Array
    excess: Array
    nll: Array
    error: Array
    pit: Array
    width: Array

    @classmethod
    def of(
        cls, posteriors: Sequence[Posterior], ef_percent: ArrayLike, exact: GaussianMixture | None = None
    ) -> Answers:
        """The figures of the posteriors that each seed gave of the same N studies.

        Arguments:
            ef_percent: labels [N].
            exact: the exact posteriors, rows [N], in EF %.
        """
        y = np.asarray(ef_percent, dtype=np.float64)

        def each(figure: Callable[[Posterior], Array]) -> Array:
            return np.stack([figure(posterior) for posterior in posteriors])

        return cls(
            crps=each(lambda p: crps_of(p, y)),
            excess=each(lambda p: np.full(len(y), np.nan) if exact is None else crps_excess(p, exact)),
            nll=each(lambda p: -np.asarray(p.log_density(y)) if p.raw is None else np.full(len(y), np.nan)),
            error=each(lambda p: np.abs(np.asarray(p.median if p.raw is None else p.mean) - y)),
            pit=each(lambda p: pit_of(p, y)),
            width=each(lambda p: np.subtract(*p.interval(0.9)[::-1])),
        )

    @property
    def mean_crps(self) -> float:
        """Over studies and seeds."""
        return float(self.crps.mean())

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """Whether each label is inside each central interval, of every seed: [N, S, 19]."""
        of_seed = [[calibration.inside(u, level) for level in calibration.LEVELS] for u in self.pit]
        return np.array(of_seed).transpose(2, 0, 1)


# Every measure is a figure of one seed: of its row of the answers.
MEASURES: dict[str, Callable[[Answers, int], float]] = {
    "CRPS": lambda a, s: float(a.crps[s].mean()),
    "CRPS − floor": lambda a, s: float(a.excess[s].mean()),
    "NLL": lambda a, s: float(a.nll[s].mean()),
    "MAE": lambda a, s: float(a.error[s].mean()),
    "coverage error": lambda a, s: calibration.coverage_error(a.pit[s]),
    "90 % coverage": lambda a, s: float(calibration.inside(a.pit[s], 0.9).mean()),
    "90 % width": lambda a, s: float(a.width[s].mean()),
    "PIT KS": lambda a, s: calibration.pit_ks(a.pit[s]),
    "QICE": lambda a, s: calibration.qice(a.pit[s]),
    "PICP 95": lambda a, s: float(calibration.inside(a.pit[s], 0.95).mean()),
}


class Contestant(NamedTuple):
    """One row: its name, what it is called, what it costs, and what it answered."""

    name: str
    label: str
    parameters: int  # behind the video encoder
    evaluations: int  # of its network, one after the other, for one posterior
    trajectories: int  # points carried through each of them
    answers: Answers


class Duel(NamedTuple):
    """Ours less a rival, paired by study: negative is better for ours."""

    crps: Interval
    coverage_error: Interval


def duel(ours: Answers, rival: Answers, resamples: int = 2000) -> Duel:
    """The paired differences of two contestants on the same studies."""
    studies = np.arange(ours.crps.shape[1])
    crps = ours.crps.mean(axis=0) - rival.crps.mean(axis=0)

    def coverage_error(inside: NDArray[np.bool_]) -> float:
        return float(np.abs(inside.mean(axis=0) - calibration.LEVELS).mean())

    def difference(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
        return coverage_error(a) - coverage_error(b)

    return Duel(
        cluster_bootstrap_mean(studies, crps, resamples=resamples),
        cluster_bootstrap(difference, studies, ours.inside, rival.inside, resamples=resamples),
    )


def verdict(difference: Interval) -> str:
    """What the interval of ours less a rival's shows, where less is better."""
    if math.isnan(difference.lower) or math.isnan(difference.upper):
        return UNMEASURED
    if difference.upper < 0:
        return OURS_BETTER
    return RIVAL_BETTER if difference.lower > 0 else NEITHER


@dataclass(frozen=True)
class Contest:
    """Everybody's answers to one test cohort.

    Arguments:
        title: which cohort, trained how, recalibrated or not.
        contestants: ours among them, in the order of the table; all answered the same studies with the same seeds.
        resamples: of the bootstrap.
    """

    title: str
    contestants: Sequence[Contestant]
    resamples: int = 2000

    @cached_property
    def by_name(self) -> dict[str, Contestant]:
        """The contestants by name."""
        return {contestant.name: contestant for contestant in self.contestants}

    @property
    def ours(self) -> Contestant:
        """Ours."""
        return self.by_name[OURS]

    @cached_property
    def rivals(self) -> list[Contestant]:
        """All others but the part of ours."""
        return [contestant for contestant in self.contestants if contestant.name not in (OURS, HEAD_ALONE)]

    @cached_property
    def best(self) -> Contestant:
        """The rival of the lowest CRPS on these studies: chosen in hindsight, which favours it."""
        return min(self.rivals, key=lambda rival: rival.answers.mean_crps)

    @cached_property
    def duels(self) -> dict[str, Duel]:
        """Ours against each other, by its name."""
        others = [one for one in self.contestants if one.name != OURS]
        return {one.name: duel(self.ours.answers, one.answers, self.resamples) for one in others}

    def measures(self) -> Table:
        """Every measure of everybody: mean ± SD over the seeds."""
        seeds, studies = self.ours.answers.crps.shape
        rows: list[list[Cell]] = [
            [
                c.label,
                *(_spread(c.answers, figure) for figure in MEASURES.values()),
                c.parameters,
                f"{c.evaluations} × {c.trajectories}",
            ]
            for c in self.contestants
        ]
        notes = [
            f"{studies} studies; mean ± SD over {seeds} seeds. EF points, except NLL (nats) and what is a share. CRPS "
            "by the quantile table, of iid draws by the fair estimator; PIT and coverage of draws by the label's rank; "
            "MAE of the median, of draws of their plain mean. Draws have no density, so that no NLL is told of them; "
            "where they are recalibrated, each is moved, and they are scored as draws. CRPS − floor: the expected "
            "excess over the exact posterior's CRPS, where that is known.",
            "Parameters: of all that follows the video encoder. Evaluations: of the network for one posterior, one "
            "after the other, × the points that each carries.",
        ]
        return Table(self.title, ["", *MEASURES, "parameters", "evaluations"], rows, notes)

    def differences(self) -> Table:
        """Ours less each rival, with what it shows."""
        rows: list[list[Cell]] = []
        for rival in (one for one in self.contestants if one.name != OURS):
            of = self.duels[rival.name]
            row: list[Cell] = [rival.label]
            for difference in of:
                row += [difference.estimate, _ends(difference), verdict(difference)]
            rows.append(row)
        header = ["ours less", "CRPS", "95 % interval", "shown", "coverage error", "95 % interval", "shown"]
        notes = [
            f"Paired by study after averaging over the seeds; bootstrap of {self.resamples} resamples of the studies. "
            "Negative is better for ours. Each interval holds by itself; none is widened for their number."
        ]
        return Table(f"{self.title}: ours less each rival", header, rows, notes, digits=4)

    def findings(self) -> str:
        """In plain words, from the figures alone: where ours does not win."""
        ours, best = self.ours.answers.mean_crps, self.best
        theirs, difference = best.answers.mean_crps, self.duels[best.name].crps
        shown = f"difference {_signed(difference)}: {verdict(difference)}"
        if theirs < ours:
            first = (
                f"the lowest CRPS is that of {best.label}, {theirs:.3f}; ours is {ours:.3f}, "
                f"{ours / theirs - 1:.1%} higher ({shown})."
            )
        else:
            first = f"ours has the lowest CRPS, {ours:.3f}; next is {best.label}, {theirs:.3f} ({shown})."
        said = [
            f"In {measure} shown better than ours: {self._shown(index, RIVAL_BETTER)}. Shown worse: "
            f"{self._shown(index, OURS_BETTER)}. No difference shown: {self._shown(index, NEITHER)}."
            for index, measure in enumerate(("CRPS", "coverage error"))
        ]
        return " ".join([f"{self.title}: {first}", *said, *self._worth()])

    def _worth(self) -> list[str]:
        """What the flow is worth: ours against its own location-scale head."""
        if HEAD_ALONE not in self.by_name:
            return []
        difference = self.duels[HEAD_ALONE].crps
        return [f"The flow less its own location-scale head alone: CRPS {_signed(difference)}: {verdict(difference)}."]

    def targets(self) -> list[list[Cell]]:
        """A row per target: the target, on what, the figures, "met" or "not met"."""
        ours, best = self.ours, self.best
        excess = ours.answers.mean_crps / best.answers.mean_crps - 1
        difference = self.duels[best.name].crps
        of_best = [f"{100 * end / best.answers.mean_crps:+.1f}" for end in (difference.lower, difference.upper)]
        near = f"{100 * excess:+.1f} % ({' to '.join(of_best)}) of {best.label}"
        rows: list[list[Cell]] = []
        for name in (PAPERS, PAPERS_OWN):
            if name in self.by_name:
                rows.append(self._ahead_of(self.by_name[name]))
        return [*rows, [f"CRPS within {WITHIN:.0%} of the best rival's", self.title, near, met(excess <= WITHIN)]]

    def _ahead_of(self, papers: Contestant) -> list[Cell]:
        of, evaluations = self.duels[papers.name], self.ours.evaluations
        ahead = all(verdict(one) == OURS_BETTER for one in of) and evaluations <= papers.evaluations
        figures = f"CRPS {_signed(of.crps)}; coverage error {_signed(of.coverage_error)}"
        cost = f"{evaluations} evaluations against {papers.evaluations}"
        target = f"ahead of {papers.label} in CRPS and coverage error at no more evaluations"
        return [target, self.title, f"{figures}; {cost}", met(ahead)]

    def _shown(self, index: int, what: str) -> str:
        names = [r.label for r in self.rivals if verdict(self.duels[r.name][index]) == what]
        return "; ".join(names) or "none"


def targets_table(contests: Sequence[Contest], conditions: Sequence[str] = ()) -> Table:
    """Every target on every contest; its notes are the findings in plain words and what everybody had in common."""
    rows = sorted((row for contest in contests for row in contest.targets()), key=lambda row: str(row[0]))
    return Table(
        "What the figures show",
        ["target", "measured on", "figures (95 % interval)", ""],
        rows,
        [*(contest.findings() for contest in contests), *conditions],
    )


def _spread(answers: Answers, figure: Callable[[Answers, int], float]) -> str | None:
    of_seed = np.array([figure(answers, seed) for seed in range(len(answers.crps))])
    if np.isnan(of_seed).any():
        return None
    spread = f" ± {of_seed.std(ddof=1):.3f}" if len(of_seed) > 1 else ""
    return f"{of_seed.mean():.3f}{spread}" if of_seed.max() < HUGE else f"{of_seed.mean():.1e}"


def _ends(difference: Interval) -> str:
    return f"{difference.lower:+.4f} to {difference.upper:+.4f}"


def _signed(difference: Interval) -> str:
    return f"{difference.estimate:+.3f} ({difference.lower:+.3f} to {difference.upper:+.3f})"
