"""A verdict follows from the figures, studies are paired with themselves, and a finished training is not repeated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.conftest import SMALL

from mcsdr.datasets import CohortSpec
from mcsdr.errors import InvalidConfig
from mcsdr.evaluation.evidence import jobs, rivals
from mcsdr.evaluation.evidence.contest import (
    HEAD_ALONE,
    NEITHER,
    OURS,
    OURS_BETTER,
    PAPERS,
    RIVAL_BETTER,
    UNMEASURED,
    Answers,
    Contest,
    Contestant,
    duel,
    targets_table,
    verdict,
)
from mcsdr.evaluation.evidence.record import Report
from mcsdr.metrics.bootstrap import Interval
from mcsdr.metrics.calibration import coverage_error
from mcsdr.metrics.known import crps_floor, mixture
from mcsdr.model import Model
from mcsdr.posterior import Posterior, quantile_nodes
from mcsdr.study import KnownPosterior
from mcsdr.training.tokens import EncodedCohort

N, SD = 120, 5.0
NAN = float("nan")


def gaussians(means: np.ndarray, sd: float) -> Posterior:
    """N(mean, sd²) of each study, as a table."""
    z = quantile_nodes()
    return Posterior.from_nodes(z, means[:, None] + sd * z)


@pytest.fixture(scope="module")
def studies() -> tuple[np.ndarray, np.ndarray]:
    """The centres of the exact posteriors N(m, SD²), and labels drawn from them."""
    rng = np.random.default_rng(0)
    means = rng.uniform(35, 65, N)
    return means, means + SD * rng.standard_normal(N)


def contestant(studies: tuple[np.ndarray, np.ndarray], name: str, sd: float, evaluations: int = 1) -> Contestant:
    """One who knows the centre and says `sd`, with a little bias of its own in each of two seeds."""
    means, labels = studies
    posteriors = [gaussians(means + bias, sd) for bias in (-0.2, 0.2)]
    exact = mixture(np.ones((N, 1)), means[:, None], np.full((N, 1), SD))
    return Contestant(name, f"the {name}", 1000, evaluations, 23, Answers.of(posteriors, labels, exact))


def test_a_verdict_is_the_side_of_zero_that_the_interval_lies_on() -> None:
    assert verdict(Interval(-0.2, -0.3, -0.1)) == OURS_BETTER
    assert verdict(Interval(0.2, 0.1, 0.3)) == RIVAL_BETTER
    assert verdict(Interval(-0.2, -0.5, 0.1)) == NEITHER
    assert verdict(Interval(NAN, NAN, NAN)) == UNMEASURED


def test_an_honest_posterior_beats_one_that_is_too_narrow(studies: tuple[np.ndarray, np.ndarray]) -> None:
    honest, narrow = (contestant(studies, name, sd).answers for name, sd in (("honest", SD), ("narrow", 0.4 * SD)))
    found = duel(honest, narrow, resamples=100)
    assert verdict(found.crps) == verdict(found.coverage_error) == OURS_BETTER
    assert verdict(duel(narrow, honest, resamples=100).crps) == RIVAL_BETTER
    of_seeds = [np.mean([coverage_error(u) for u in answers.pit]) for answers in (honest, narrow)]
    assert found.coverage_error.estimate == pytest.approx(of_seeds[0] - of_seeds[1])
    assert found.crps.estimate == pytest.approx(honest.mean_crps - narrow.mean_crps)


def test_equals_are_told_apart_no_more_than_chance_allows(studies: tuple[np.ndarray, np.ndarray]) -> None:
    answers = contestant(studies, "honest", SD).answers
    same = duel(answers, answers, resamples=50)
    assert verdict(same.crps) == verdict(same.coverage_error) == NEITHER


def test_studies_are_paired_with_themselves(studies: tuple[np.ndarray, np.ndarray]) -> None:
    """A small difference that every study shares shows, however much studies differ among themselves."""
    means, labels = studies
    one = Answers.of([gaussians(means, SD)], labels)
    shifted = Answers(one.crps + 0.01, one.excess, one.nll, one.error, one.pit, one.width)
    assert one.crps.std() > 1
    assert verdict(duel(one, shifted, resamples=100).crps) == OURS_BETTER


def test_the_excess_is_what_labels_without_end_would_show(studies: tuple[np.ndarray, np.ndarray]) -> None:
    """CRPS of N(m, s²) under labels of N(m, SD²): expected excess from two closed forms of E|N|."""
    wide = contestant(studies, "wide", 2 * SD).answers
    exact = mixture([[1.0]], [[50.0]], [[SD]])
    s = 2 * SD
    expected = np.sqrt((s**2 + SD**2) * 2 / np.pi) - s / np.sqrt(np.pi)  # without the bias of ±0.2, worth 0.002
    assert wide.excess.mean() == pytest.approx(expected - crps_floor(exact)[0], abs=0.02)
    assert wide.crps.mean() == pytest.approx(expected, abs=0.2)


def contest(studies: tuple[np.ndarray, np.ndarray], ours: float, papers: float, evaluations: int = 8) -> Contest:
    three = [
        contestant(studies, OURS, ours, evaluations),
        contestant(studies, PAPERS, papers, 10),
        contestant(studies, "mdn", 1.05 * SD),
    ]
    return Contest("hidden-wall, frozen tokens", three, resamples=100)


def answers_of(contest: Contest) -> list[str]:
    return [str(row[-1]) for row in contest.targets()]


def test_targets_are_met_by_the_figures_alone(studies: tuple[np.ndarray, np.ndarray]) -> None:
    assert answers_of(contest(studies, SD, 0.4 * SD)) == ["met", "met"]
    assert answers_of(contest(studies, SD, 0.4 * SD, evaluations=11)) == ["not met", "met"]  # too dear
    assert answers_of(contest(studies, SD, SD)) == ["not met", "met"]  # no better than the paper's
    assert answers_of(contest(studies, 0.4 * SD, SD)) == ["not met", "not met"]


def test_what_is_said_follows_the_figures(studies: tuple[np.ndarray, np.ndarray]) -> None:
    losing, winning = contest(studies, 0.4 * SD, 0.5 * SD), contest(studies, SD, 2.5 * SD)
    assert "the lowest CRPS is that of the mdn" in losing.findings()
    assert "In CRPS shown better than ours: the mcsdr; the mdn." in losing.findings()
    excess = losing.ours.answers.mean_crps / losing.best.answers.mean_crps - 1
    assert f"{excess:.1%} higher" in losing.findings()
    assert losing.best.name == "mdn"
    assert "In CRPS shown better than ours: none." in winning.findings()


def test_tables_hold_everybody_and_are_written(studies: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    one = contest(studies, SD, 0.4 * SD)
    measures, differences = one.measures(), one.differences()
    assert [row[0] for row in measures.rows] == ["the diffusion", "the mcsdr", "the mdn"]
    assert [row[0] for row in differences.rows] == ["the mcsdr", "the mdn"]
    assert all(len(row) == len(table.header) for table in (measures, differences) for row in table.rows)
    assert " ± " in str(measures.rows[0][1])
    Report("rivals", [targets_table([one]), measures, differences], marks=["SEEN: all."]).write(tmp_path, "a command")
    text = (tmp_path / "rivals.md").read_text()
    assert "**SEEN: all.**" in text
    assert "SYNTHETIC" in text
    assert OURS_BETTER in text


def test_an_ensemble_is_the_mixture_of_its_members() -> None:
    members = [gaussians(np.array([mean]), 4.0) for mean in (40.0, 50.0, 60.0)]
    pooled = rivals.pooled(members)
    grid = np.array([35.0, 50.0, 58.0])
    assert pooled.cdf(grid) == pytest.approx(np.mean([member.cdf(grid) for member in members], axis=0), abs=0.01)
    assert rivals.pooled(members[:1]) is members[0]


def encoded(spec: CohortSpec, model: Model, cache: Path) -> EncodedCohort:
    """Tokens without pictures, in place of rendering."""
    rng = np.random.default_rng(spec.seed)
    ef = rng.uniform(30, 70, spec.n)
    rows = np.column_stack([rng.uniform(low, high, spec.n) for low, high in ((20, 90), (-1, 1), (50, 90), (150, 190))])
    tokens = torch.from_numpy(rng.standard_normal((spec.n or 0, 3, model.network.width))).float()
    known: list[KnownPosterior | None] = [KnownPosterior((0.5, 0.5), (y - 5, y + 5), 3.0) for y in ef]
    return EncodedCohort(tokens, rows, ef, ef, known, [str(i) for i in range(len(ef))])


@pytest.fixture
def tiny(tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Settings of a training of one step on eight phantoms, from a small encoder."""
    model.save(tmp_path / "small")
    monkeypatch.setattr(rivals, "encode_cohort", encoded)
    sizes = {"channels": list(SMALL.channels), "width": SMALL.width, "heads": SMALL.heads, "score_depth": 1}
    network = {f"network.{name}": str(size) for name, size in sizes.items()}
    return network | {"start.encoder": str(tmp_path / "small"), "data.cache": str(tmp_path), "optim.batch": "8"}


def test_rivals_are_trained_measured_and_not_trained_again(
    tiny: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"train": 8, "val": 4, "calibration": 20, "test": 6, "epochs": 1}
    asked = {"cohorts": ["adult"], "rivals": ["mdn", PAPERS], "seeds": [0], "overrides": tiny, "say": lambda said: None}
    asked["resamples"] = 20
    first = rivals.run(tmp_path / "out", **asked, **sizes)
    assert [row[0] for row in first.tables[1].rows] == [
        rivals.RIVALS[name].label for name in (OURS, HEAD_ALONE, PAPERS, "mdn")
    ]
    assert len(first.tables) == 5
    assert first.settings["models"].keys() == {f"adult/{name}/seed-0" for name in (OURS, PAPERS, "mdn")}

    monkeypatch.setattr(jobs, "train", lambda *given: pytest.fail("trained again"))
    again = rivals.run(tmp_path / "out", **asked, **sizes)
    assert [table.rows for table in again.tables] == [table.rows for table in first.tables]
    assert rivals.finalists(tmp_path / "out" / "adult", [0]) == ["mdn"]
    with pytest.raises(InvalidConfig, match="other settings"):
        rivals.run(tmp_path / "out", **asked, **{**sizes, "epochs": 2})


def test_what_cannot_be_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="no rival named oracle"):
        rivals.run(tmp_path, rivals=["oracle"])
    with pytest.raises(InvalidConfig, match="no finished training"):
        rivals.run_end_to_end(tmp_path, cohorts=["adult"])


def test_all_train_alike_but_for_what_they_are(tmp_path: Path) -> None:
    sizes = dict.fromkeys(jobs.PARTS, 10)
    plan = rivals.Plan(tmp_path, "hidden-wall", rivals._base({}), sizes, (0,), print)
    settings = [plan.settings(rivals.RIVALS[name], seed=4) for name in ("diffusion", "mdn", PAPERS)]
    for part in ("data", "clip", "dropout", "start", "optim"):
        assert len({getattr(one, part).model_dump_json() for one in settings}) == 1, part
    assert {one.run.seed for one in settings} == {4}
    assert {one.run.augmentation for one in settings} == {"none"}
    parts = [plan.spec(part) for part in jobs.PARTS]
    assert len({part.seed for part in parts}) == 4
    assert {1, 2, 3}.isdisjoint({part.seed for part in parts})
    assert rivals.RIVALS[OURS].evaluations == 8
    assert rivals.RIVALS[PAPERS].evaluations == 10
