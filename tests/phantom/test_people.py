"""Populations: the moments they were made for, and a prior and readings that are what they say."""

from __future__ import annotations

import numpy as np
import pytest

from mcsdr.errors import InvalidConfig
from mcsdr.phantom import people
from mcsdr.phantom.cohort import PhantomCohort, draw_person
from mcsdr.study import Attributes

N = 4000
KOLMOGOROV = 1.63 / np.sqrt(N)  # 1 % critical value


@pytest.fixture(scope="module")
def drawn() -> dict[str, tuple[list[Attributes], np.ndarray]]:
    """People and true ejection fractions of each population."""
    cohorts = {}
    for population in people.POPULATIONS:
        rng = np.random.default_rng(8)
        attributes = [people.draw_attributes(rng, population) for _ in range(N)]
        truth = np.array([people.draw_true_ef(person, rng, population) for person in attributes])
        cohorts[population] = attributes, truth
    return cohorts


@pytest.mark.parametrize(
    ("population", "mean", "sd", "low", "share_low", "share_from_55"),
    [("child", 60.9, 10.5, 40, 0.06, 0.85), ("camus", 44.4, 11.8, 45, 0.49, 0.20)],
)
def test_moments(
    drawn: dict[str, tuple[list[Attributes], np.ndarray]],
    population: str,
    mean: float,
    sd: float,
    low: float,
    share_low: float,
    share_from_55: float,
) -> None:
    truth = drawn[population][1]
    assert truth.mean() == pytest.approx(mean, abs=0.6)
    assert truth.std() == pytest.approx(sd, abs=0.5)
    assert (truth <= low).mean() == pytest.approx(share_low, abs=0.03)
    assert (truth >= 55).mean() == pytest.approx(share_from_55, abs=0.025)


@pytest.mark.parametrize("population", list(people.POPULATIONS))
def test_truth_follows_the_prior_of_its_person(
    drawn: dict[str, tuple[list[Attributes], np.ndarray]], population: str
) -> None:
    """The probability integral transform of the truth under p(E | A) is uniform."""
    levels = []
    for person, truth in zip(*drawn[population], strict=True):
        cumulative = np.cumsum(people.prior_density(person, population)) * (people.GRID[1] - people.GRID[0])
        levels.append(np.interp(truth, people.GRID, cumulative))
    assert np.abs(np.sort(levels) - (np.arange(N) + 0.5) / N).max() < KOLMOGOROV


@pytest.mark.parametrize(
    ("population", "person"),
    [
        ("adult", Attributes(71, "M", 96.0, 174.0)),
        ("child", Attributes(14, "F", 38.0, 150.0)),
        ("camus", Attributes(74, "M")),
    ],
)
def test_readings_follow_their_known_distribution(population: str, person: Attributes) -> None:
    rng = np.random.default_rng(0)
    readings = [people.draw_reading(people.draw_true_ef(person, rng, population), rng) for _ in range(N)]
    known = np.interp(np.sort(readings), people.GRID, people.reading_cdf(person, population))
    assert np.abs(known - (np.arange(N) + 0.5) / N).max() < KOLMOGOROV


@pytest.mark.parametrize(
    ("population", "one", "other"),
    [
        ("adult", Attributes(40, "F", 60.0, 165.0), Attributes(85, "M", 100.0, 170.0)),
        ("child", Attributes(4, "M", 18.0, 104.0), Attributes(17, "M", 45.0, 165.0)),  # small for its age
        ("camus", Attributes(40, "F"), Attributes(85, "M")),
    ],
)
def test_attributes_inform(population: str, one: Attributes, other: Attributes) -> None:
    healthy, failing = (people.prior_density(person, population) @ people.GRID * 0.05 for person in (one, other))
    assert healthy > failing + 2


@pytest.mark.parametrize(
    ("population", "person", "message"),
    [
        ("adult", Attributes(60, "F"), "age, sex, weight and height"),
        ("child", Attributes(6, None, 20.0, 116.0), "age, sex, weight and height"),
        ("camus", Attributes(None, "F", 60.0, 160.0), "age and sex"),
    ],
)
def test_prior_needs_what_it_depends_on(population: str, person: Attributes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        people.prior_density(person, population)


def test_children_are_as_tall_heavy_and_male_as_children_are(
    drawn: dict[str, tuple[list[Attributes], np.ndarray]],
) -> None:
    children, _ = drawn["child"]
    age, weight, height = (
        np.array([getattr(child, name) for child in children]) for name in ("age_years", "weight_kg", "height_cm")
    )
    assert set(age) == set(range(19))
    assert np.mean([child.sex == "F" for child in children]) == pytest.approx(0.43, abs=0.03)
    for years, kg, cm in ((0, 7.6, 66.5), (10, 35, 141), (18, 65, 170)):
        assert np.median(weight[age == years]) == pytest.approx(kg, rel=0.12)
        assert np.median(height[age == years]) == pytest.approx(cm, rel=0.03)
    assert weight.min() > 2
    assert height.min() > 42


def test_childrens_hearts_grow_and_slow_down() -> None:
    children = [draw_person(31, index, "child") for index in range(60)]
    ages = np.array([child.attributes.age_years for child in children])
    length, rate = (
        np.array([child.parameters[name] for child in children]) for name in ("length_mm", "heart_rate_bpm")
    )
    assert 25 < length[ages <= 1].min() < length[ages <= 1].max() < 56
    assert 65 < length[ages >= 14].min() < length[ages >= 14].max() < 110
    assert 100 < rate[ages <= 1].min() < rate[ages <= 1].max() < 180
    assert 65 < rate[ages >= 14].min() < rate[ages >= 14].max() < 100
    youngest = int(ages.argmin())
    edv, esv = PhantomCohort(60, seed=31, population="child").volumes_ml(youngest)
    assert 1 < esv < edv < 30
    assert 100 * (1 - esv / edv) == pytest.approx(children[youngest].true_ef_percent, abs=1e-3)


def test_unknown_population() -> None:
    with pytest.raises(InvalidConfig, match="no population is called 'martian'"):
        draw_person(0, 0, "martian")
    with pytest.raises(InvalidConfig, match="no population"):
        PhantomCohort(1, seed=0, population="martian")
