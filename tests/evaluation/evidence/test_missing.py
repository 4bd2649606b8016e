"""Missing modalities, on a joint normal distribution whose every conditional is known, in place of a trained model.

y = 55 + Σ_m c_m x_m + N(0, 3²),  x_m ~ N(0, 1):    p(y | x_S) = N(55 + Σ_S c_m x_m, 9 + Σ_hidden c_m²)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from mcsdr.clips.attributes import AttributeStatistics, attribute_row
from mcsdr.errors import InvalidConfig
from mcsdr.evaluation.evidence import missing
from mcsdr.evaluation.evidence.missing import (
    BOUND_PERCENT,
    RATES,
    grid,
    grid_table,
    mcar_table,
    only,
    shown_at,
    shuffled_table,
)
from mcsdr.evaluation.evidence.subsets import (
    all_but_video,
    ask,
    everything,
    nothing,
    person,
    regret,
    subsets,
    video_alone,
)
from mcsdr.evaluation.evidence.tower import attribute_weights, prior_distances, tower_gap, tower_table
from mcsdr.files.shipped import recipe
from mcsdr.metrics.scores import StudyScores
from mcsdr.model import Model
from mcsdr.phantom import people
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.posterior import Posterior, quantile_nodes
from mcsdr.posterior.normal import normal_quantile
from mcsdr.study import Attributes
from mcsdr.training import validate
from mcsdr.training.cache import cached
from mcsdr.training.objective import DropoutSettings, draw_hidden
from mcsdr.training.settings import read_settings

NAMES = ("age_years", "sex", "weight_kg", "height_cm")
MODALITIES = ("video", "age", "sex", "weight", "height")
COEFFICIENTS = np.array([6.0, 5.0, 0.0, 2.0, 0.0])
NOISE = 3.0
A = len(NAMES)


@dataclass
class JointNormal:
    """What stands in for a model; `sharper` spoils the answers of video alone."""

    coefficients: np.ndarray = field(default_factory=lambda: COEFFICIENTS)
    sharper: float = 1.0
    statistics: AttributeStatistics = field(
        default_factory=lambda: AttributeStatistics(names=NAMES, mean=(0.0,) * A, sd=(1.0,) * A)
    )


@dataclass
class Draws:
    """What stands in for an encoded cohort: the token of a study is x_video."""

    tokens: np.ndarray
    attributes: np.ndarray
    ef_percent: np.ndarray

    def ask(self, model: JointNormal, *, video: Any = True, attributes: np.ndarray | None = None) -> Posterior:
        rows = self.attributes if attributes is None else attributes
        x = np.column_stack([np.where(video, self.tokens, np.nan), rows])
        hidden = np.isnan(x)
        mean = 55 + np.where(hidden, 0, x) @ model.coefficients
        sd = np.sqrt(NOISE**2 + hidden @ model.coefficients**2)
        sd = np.where(hidden[:, 1:].all(axis=1) & ~hidden[:, 0], sd * model.sharper, sd)
        z = quantile_nodes()
        return Posterior.from_nodes(z, mean[:, None] + sd[:, None] * z)


def draws(n: int, seed: int = 0) -> Draws:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 1 + A))
    return Draws(x[:, 0], x[:, 1:], 55 + x @ COEFFICIENTS + NOISE * rng.standard_normal(n))


@pytest.fixture(scope="module")
def cohort() -> Any:
    return draws(400)


@pytest.fixture(scope="module")
def answers(cohort: Any) -> dict[tuple[bool, ...], StudyScores]:
    return grid(cohort, JointNormal())  # type: ignore[arg-type]


def scores(*crps: float) -> StudyScores:
    return StudyScores(np.array(crps), np.full(len(crps), 0.5), np.ones(len(crps)))


def number(row: Any, place: int) -> float:
    return float(row[place])


def test_the_grid_has_every_subset_once_the_most_known_first() -> None:
    grid_of_four = subsets(A)
    assert len(set(grid_of_four)) == len(grid_of_four) == 32
    assert [sum(shown) for shown in grid_of_four] == sorted((sum(shown) for shown in grid_of_four), reverse=True)
    assert grid_of_four[0] == everything(A)
    assert grid_of_four[-1] == nothing(A)
    assert grid_of_four[1][0], "with video before without"


def test_every_subset_is_asked_as_it_says(cohort: Any, answers: dict[tuple[bool, ...], StudyScores]) -> None:
    for shown, found in answers.items():
        hidden = ~np.array(shown)
        sd = np.sqrt(NOISE**2 + hidden @ COEFFICIENTS**2)
        assert found.width.mean() == pytest.approx(2 * 1.645 * sd, rel=0.02)
        assert found.coverage == pytest.approx(0.9, abs=0.03)
        assert found.mean_crps == pytest.approx(sd / np.sqrt(np.pi), rel=0.06)  # of a normal under itself


def test_regret_is_the_ratio_of_means_in_per_cent() -> None:
    assert regret(scores(2, 4), scores(1, 5)).estimate == pytest.approx(0)
    assert regret(scores(3, 3, 3), scores(2, 2, 2)) == pytest.approx((50, 50, 50))
    paired = regret(scores(1, 10, 100), scores(2, 20, 200))
    assert paired == pytest.approx((-50, -50, -50)), "studies are drawn in pairs"


def test_the_table_of_the_grid_marks_what_is_known(answers: dict[tuple[bool, ...], StudyScores]) -> None:
    alone = {video_alone(A): answers[video_alone(A)]}
    table = grid_table("adult", MODALITIES, answers, alone)
    assert len(table.rows) == 32
    assert list(table.rows[0][:6]) == ["5", *"●●●●●"]
    rows = {tuple(row[1:6]): row for row in table.rows}
    assert rows[tuple("●····")][0] == "1"
    assert list(rows[tuple("●····")][-3:]) == [0, 0, 0]
    assert list(rows[tuple("·●●●●")][-3:]) == [None] * 3, "no regret where nothing was trained"
    assert all(len(row) == len(table.header) for row in table.rows)


@pytest.mark.parametrize(("cost", "verdict"), [(0.9, "met"), (1.1, "not met")])
def test_targets(answers: dict[tuple[bool, ...], StudyScores], cost: float, verdict: str) -> None:
    factor = 1 + cost * BOUND_PERCENT / 100
    alone = {shown: StudyScores(found.crps / factor, found.pit, found.width) for shown, found in answers.items()}
    rows = missing.target_rows("adult", answers, alone)
    assert [row[-1] for row in rows] == [verdict] * 2
    assert [number(row, 2) for row in rows] == pytest.approx([100 * (factor - 1)] * 2)


def test_masks_are_nested_and_keep_their_rate() -> None:
    u = np.random.default_rng(0).random((4000, 1 + A))
    masks = [shown_at(u, rate, video_too=True) for rate in RATES]
    assert [1 - mask.mean() for mask in masks] == pytest.approx(RATES, abs=0.01)
    assert all((less <= more).all() for more, less in pairwise(masks))
    assert shown_at(u, 0.6, video_too=False)[:, 0].all()
    assert not shown_at(u, 1.0, video_too=False)[:, 1:].any()


def test_missing_at_random(cohort: Any, answers: dict[tuple[bool, ...], StudyScores]) -> None:
    rng = np.random.default_rng(1)
    for video_too, left in ((False, video_alone(A)), (True, nothing(A))):
        rows = mcar_table("adult", cohort, JointNormal(), rng, video_too).rows  # type: ignore[arg-type]
        assert [row[0] for row in rows] == ["0%", "20%", "40%", "60%", "80%", "100%"]
        none, some, every = rows[0], rows[3], rows[-1]
        assert [number(none, i) for i in (1, 3)] == pytest.approx([answers[everything(A)].mean_crps] * 2)
        assert number(every, 1) == pytest.approx(answers[left].mean_crps)
        assert number(none, 1) < number(some, 1) < number(every, 1)
        assert number(some, 2) == pytest.approx(0.9, abs=0.03)
        assert number(some, 4) < 0.85, "the mean, shown as if it were known, is believed"
        assert number(some, 3) > number(some, 1)


def test_attributes_of_somebody_else_harm_where_they_matter(cohort: Any) -> None:
    rng = np.random.default_rng(2)
    for model, matter in ((JointNormal(), True), (JointNormal(np.array([6.0, 0, 0, 0, 0])), False)):
        both, alone = shuffled_table("adult", cohort, model, rng).rows  # type: ignore[arg-type]
        for row in (both, alone):
            assert (number(row, 5) > 0) is matter
            assert (number(row, 2) > number(row, 3)) is matter, "worse than hidden"
            assert matter or number(row, 4) == 0


def test_the_tower_stands_for_a_joint_distribution_alone() -> None:
    few, population = draws(3, seed=1), np.random.default_rng(4).standard_normal((20_000, A))

    def asked(model: JointNormal) -> Any:
        return tower_gap(few, population, model, 250, np.random.default_rng(3))  # type: ignore[arg-type]

    gap, by_chance = asked(JointNormal())
    assert gap.ks.mean() < max(0.03, 2 * by_chance.mean())
    spoilt, _ = asked(JointNormal(sharper=0.6))
    assert spoilt.ks.mean() > 0.08
    assert spoilt.w1.mean() > 2 * gap.w1.mean()


def test_marginals_of_the_tower(cohort: Any) -> None:
    other = draws(3000, seed=5).ef_percent
    table = tower_table("adult", cohort, other, JointNormal(), (5, 20), np.random.default_rng(0))  # type: ignore[arg-type]
    assert all(number(row, 1) < 0.04 and number(row, 3) < 0.8 for row in table.rows[1:])
    shifted = tower_table("adult", cohort, other + 5, JointNormal(), (5, 20), np.random.default_rng(0))  # type: ignore[arg-type]
    assert number(shifted.rows[1], 3) == pytest.approx(5, abs=0.6)


def persons(n: int) -> list[Attributes]:
    return [people.draw_attributes(np.random.default_rng([9, i])) for i in range(n)]


def test_weights_of_attributes_given_the_video() -> None:
    population = np.array([attribute_row(one, NAMES) for one in persons(60)])
    z = quantile_nodes()
    direct = Posterior.from_nodes(z, np.array([[30.0], [62.0]]) + 5 * z)
    weights = attribute_weights(direct, population, population, NAMES)
    assert weights.mean(axis=1) == pytest.approx(1.0), "Bayes: Σ_j p(E | a_j)/p(E) = P"
    old_man, young_woman = np.array([[85.0, 1.0, 100.0, 175.0]]), np.array([[25.0, -1.0, 60.0, 168.0]])
    of = [attribute_weights(direct, one, population, NAMES)[:, 0] for one in (old_man, young_woman)]
    assert of[0][0] > 1 > of[1][0], "a low ejection fraction is an old man's"
    assert of[1][1] > of[0][1]


def test_distance_from_the_known_prior() -> None:
    some = persons(6)
    levels = np.linspace(0.001, 0.999, 400)
    exact = np.array([np.interp(levels, people.reading_cdf(one), people.GRID) for one in some])
    fine = normal_quantile(levels)
    assert prior_distances(Posterior.from_nodes(fine, exact), some).max() < 0.01
    assert prior_distances(Posterior.from_nodes(fine, exact + 5), some).min() > 0.1


def test_a_row_is_its_person_again() -> None:
    for one in (*persons(5), Attributes(age_years=40.0), Attributes(sex="F")):
        assert person(np.array(attribute_row(one, NAMES)), NAMES) == one


def test_a_model_of_one_subset_is_shown_that_subset_and_nothing_else() -> None:
    settings = read_settings(recipe("missing"))
    for shown in subsets(A):
        hidden = draw_hidden(16, A, 1, only(settings, shown).dropout, torch.Generator().manual_seed(0))
        assert (hidden.attributes == ~torch.tensor(shown[1:])).all()
        assert (hidden.clips == (not shown[0])).all()


def test_people_of_whom_no_prior_is_at_hand_are_refused(tmp_path: Any) -> None:
    with pytest.raises(InvalidConfig, match="child"):
        missing.run(tmp_path, cohorts=["child"], train=64, val=8, test=8)


def test_it_is_selected_by_what_it_is_shown(model: Model, tmp_path: Any) -> None:
    """What a training hides always must not stand before the network when it is validated."""
    cache = cached(tmp_path, {"of": "test"}, PhantomCohort(4, seed=5), model.clip, NAMES)
    settings = read_settings(recipe("missing"))

    def crps(shown: tuple[bool, ...]) -> float:
        return validate(model, cache, dropout=only(settings, shown).dropout)["crps"]

    rows = np.where(all_but_video(A)[1:], cache.attributes, np.nan)
    without = model.posterior(model.encode_stored([[] for _ in range(4)]), model.statistics.standardise(rows))
    assert crps(all_but_video(A)) == pytest.approx(StudyScores.of(without, cache.ef_percent).mean_crps, rel=1e-5)
    assert crps(everything(A)) == pytest.approx(validate(model, cache, dropout=DropoutSettings())["crps"])


def test_asking_with_a_mask_of_each_study(cohort: Any) -> None:
    mask = np.zeros((len(cohort.tokens), 1 + A), dtype=bool)
    mask[0] = True
    found = ask(cohort, JointNormal(), mask)  # type: ignore[arg-type]
    assert found.sd[0] == pytest.approx(NOISE, rel=0.02)
    assert found.sd[1:] == pytest.approx(np.sqrt(NOISE**2 + COEFFICIENTS @ COEFFICIENTS), rel=0.02)
