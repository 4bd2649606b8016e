"""Who the phantoms are: age, sex, weight, height, and how likely each ejection fraction is for such a person.

The prior of the true ejection fraction E given the attributes A is a mixture of two normals, cut to a range,

    p(E | A) ∝ (1 − π) N(E; μ, σ²) + π N(E; m, s²),

with a healthy and a failing part that depend on the person and on the population:

    adult   μ = 62 + 2·[female] − 0.03 (age − 50), σ = 5;   m = 38, s = 13;   [8, 82] %
            logit π = −0.5 + 0.035 (age − 60) + 0.6·[male] + 0.06 (BMI − 26)
    child   μ = 64 − 0.1 (age − 9), σ = 5;   m = 38, s = 12;   [8, 82] %
            logit π = −2.15 + 0.04 (age − 9) − 0.5·(size for age)
    camus   μ = 52 + 2·[female] − 0.03 (age − 65), σ = 6.5;   m = 36.5, s = 10;   [5, 81] %
            logit π = −0.2 + 0.03 (age − 65) + 0.5·[male]

    laboratory   as published for 10,030 adults of one laboratory (mean 55.7, SD 12.4; 6 % below 30, 22 % below 50)
            μ = 60.5 + 1.5·[female] − 0.02 (age − 60), σ = 5;   m = 37, s = 12;   [8, 82] %
            logit π = −1.65 + 0.02 (age − 60) + 0.5·[male]
    flat    (1 − λ) U[8, 80] + λ p_adult, λ = 0.25: what models are trained on, so that a severely reduced ventricle is
            learnt as well as a healthy one

so old, heavy men and small adolescents have a failing ventricle more often. The constants give the moments published
for EchoNet-Pediatric (mean 60.9, SD 10.5; 85 % at 55 or above, 6 % below 40) and CAMUS (44.4, 11.8; 49 % at 45 or
below, 20 % at 55 or above). A reader reports y = E + N(0, 4²), cut to [1, 99] %. Both are known exactly, which makes
the posterior without video a thing that can be checked. The numbers are made up: a caricature of three echo
laboratories, not an epidemiology.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcsdr.errors import InvalidConfig
from mcsdr.study import Attributes

Array = NDArray[np.float64]

EF_RANGE = (8.0, 82.0)
READER_SD = 4.0
READER_RANGE = (1.0, 99.0)
ADULT_SHARE = 0.25  # λ of the flat population
GRID: Array = np.linspace(0.0, 100.0, 2001)

ADULT_BSA_M2 = 1.85  # at which a child's heart has an adult's size
# Age in years, height in cm and weight in kg of girls and boys: round numbers near the usual growth charts.
GROWTH: Array = np.array(
    [
        (0.0, 50, 50, 3.4, 3.4),
        (0.5, 66, 67, 7.3, 7.8),
        (1.0, 74, 76, 9.2, 9.8),
        (2.0, 86, 87, 12.0, 12.4),
        (5.0, 109, 110, 18.0, 18.5),
        (10.0, 138, 138, 32.0, 32.0),
        (13.0, 157, 156, 46.0, 45.5),
        (16.0, 163, 173, 55.0, 61.0),
        (18.0, 164, 176, 58.0, 68.0),
        (19.0, 164, 177, 59.0, 70.0),
    ]
)


@dataclass(frozen=True)
class Mixture:
    """The two parts of p(E | A)."""

    healthy: float
    healthy_sd: float
    failing: float
    failing_sd: float
    failing_share: float


@dataclass(frozen=True)
class Population:
    """Whom a laboratory sees, and how their ejection fractions are distributed."""

    draw: Callable[[np.random.Generator], Attributes]
    needs: tuple[str, ...]  # the attributes that the prior is a function of
    prior: Callable[[Attributes], Mixture]
    ef_range: tuple[float, float] = EF_RANGE
    even: tuple[float, float] | None = None  # a share 1 − λ of the prior is uniform between these


def draw_attributes(rng: np.random.Generator, population: str = "adult") -> Attributes:
    """One person of a population."""
    return named(population).draw(rng)


def prior_density(person: Attributes, population: str = "adult") -> Array:
    """p(E | A) on `GRID`, per EF point; zero outside the population's range.

    Raises:
        ValueError: an attribute that this population's prior depends on is unknown.
    """
    kind = named(population)
    missing = set(kind.needs) - set(person.known())
    if missing:
        words = [name.split("_")[0] for name in kind.needs]
        raise ValueError(f"the prior of a person needs {', '.join(words[:-1])} and {words[-1]}")
    mix = kind.prior(person)
    healthy = (1 - mix.failing_share) * _normal(GRID, mix.healthy, mix.healthy_sd)
    density = healthy + mix.failing_share * _normal(GRID, mix.failing, mix.failing_sd)
    low, high = kind.ef_range
    density = np.where((low <= GRID) & (high >= GRID), density, 0.0)
    if kind.even is not None:
        low, high = kind.even
        even = np.where((low <= GRID) & (high >= GRID), 1 / (high - low), 0.0)
        density = ADULT_SHARE * density / np.trapezoid(density, GRID) + (1 - ADULT_SHARE) * even
    return np.asarray(density / np.trapezoid(density, GRID))


def draw_true_ef(person: Attributes, rng: np.random.Generator, population: str = "adult") -> float:
    """One draw from p(E | A)."""
    return ef_at(rng.random(), person, population)


def ef_at(level: float, person: Attributes, population: str = "adult") -> float:
    """The quantile of p(E | A) at a level of 0 to 1, in per cent, by inverting its distribution on the grid."""
    return float(np.interp(level, _cumulative(prior_density(person, population)), GRID))


def draw_reading(true_ef_percent: float, rng: np.random.Generator) -> float:
    """What one reader reports of a true ejection fraction."""
    return float(np.clip(true_ef_percent + READER_SD * rng.standard_normal(), *READER_RANGE))


def reading_cdf(person: Attributes, population: str = "adult") -> Array:
    """P(y ≤ grid | A) on `GRID`: the distribution of a reading for such a person, no video seen."""
    step = GRID[1] - GRID[0]
    kernel = _normal(np.arange(-400, 401) * step, 0.0, READER_SD) * step
    prior = _cumulative(prior_density(person, population))
    cumulative = np.asarray(np.convolve(np.pad(prior, 400, mode="edge"), kernel, "valid"))
    cumulative[READER_RANGE[0] > GRID] = 0.0
    cumulative[READER_RANGE[1] <= GRID] = 1.0
    return cumulative


def heart_size(person: Attributes, population: str = "adult") -> float:
    """Scale of a child's heart against an adult's: the square root of the body surface (Mosteller)."""
    if population != "child" or person.weight_kg is None or person.height_cm is None:
        return 1.0
    return math.sqrt(math.sqrt(person.weight_kg * person.height_cm / 3600) / ADULT_BSA_M2)


def heart_ranges(person: Attributes, population: str = "adult") -> dict[str, tuple[float, float]]:
    """Ranges of `ranges.RANGES` that are other for this person: children's hearts beat faster and vary less in size."""
    if population != "child" or person.age_years is None:
        return {}
    rate = 78 + 80 * math.exp(-person.age_years / 5)
    return {
        "length_mm": (78.0, 100.0),
        "heart_rate_bpm": (0.88 * rate, 1.12 * rate),
        "systolic_share": (0.36, 0.48),
        "frame_rate_hz": (30.0, 70.0),
    }


def named(population: str) -> Population:
    """The population of a name.

    Raises:
        InvalidConfig: there is none.
    """
    if population not in POPULATIONS:
        raise InvalidConfig(
            f"no population is called {population!r}.", next_step=f"Choose of {', '.join(POPULATIONS)}."
        )
    return POPULATIONS[population]


def _draw_adult(rng: np.random.Generator) -> Attributes:
    """Age 18–95, sex, height by sex, weight by a log-normal body-mass index."""
    age, is_female, height, bmi = rng.random(), rng.random(), rng.standard_normal(), rng.standard_normal()
    age_years = 18 + 77 * math.sqrt(age)  # echo laboratories see more of the old
    return _adult(age_years, "F" if is_female < 0.5 else "M", height, bmi)


def _draw_camus(rng: np.random.Generator) -> Attributes:
    """Mostly old and male."""
    age, is_female, height, bmi = rng.standard_normal(), rng.random(), rng.standard_normal(), rng.standard_normal()
    return _adult(min(max(65 + 13 * age, 20.0), 95.0), "F" if is_female < 0.36 else "M", height, bmi)


def _adult(age_years: float, sex: str, height: float, bmi: float) -> Attributes:
    height_cm = (163 if sex == "F" else 176) + 7 * height - 0.06 * (age_years - 50)
    weight_kg = 26.5 * math.exp(0.17 * bmi) * (height_cm / 100) ** 2
    return Attributes(round(age_years), sex, round(min(weight_kg, 200.0), 1), round(height_cm, 1))


def _draw_child(rng: np.random.Generator) -> Attributes:
    """Age 0–18 in whole years, as recorded; weight and height of the day by the growth curve."""
    age, is_female, height, build = 19 * rng.random(), rng.random(), rng.standard_normal(), rng.standard_normal()
    sex = "F" if is_female < 0.43 else "M"
    height_cm, weight_kg = _growth(age, sex)
    taller = math.exp(0.045 * height)
    weight_kg *= taller**2 * math.exp(0.14 * build)
    return Attributes(int(age), sex, round(weight_kg, 1), round(height_cm * taller, 1))


def _growth(age_years: float, sex: str | None) -> tuple[float, float]:
    """Height in cm and weight in kg on the growth curve."""
    column = 1 if sex == "F" else 2
    height, weight = (float(np.interp(age_years, GROWTH[:, 0], GROWTH[:, c])) for c in (column, column + 2))
    return height, weight


def _adult_prior(person: Attributes) -> Mixture:
    age, weight, height = person.age_years or 0.0, person.weight_kg or 0.0, person.height_cm or math.inf
    bmi = weight / (height / 100) ** 2
    healthy = 62 + 2 * (person.sex == "F") - 0.03 * (age - 50)
    failing = 1 / (1 + math.exp(0.5 - 0.035 * (age - 60) - 0.6 * (person.sex == "M") - 0.06 * (bmi - 26)))
    return Mixture(healthy, 5.0, 38.0, 13.0, failing)


def _laboratory_prior(person: Attributes) -> Mixture:
    age = person.age_years or 0.0
    failing = 1 / (1 + math.exp(1.65 - 0.02 * (age - 60) - 0.5 * (person.sex == "M")))
    return Mixture(60.5 + 1.5 * (person.sex == "F") - 0.02 * (age - 60), 5.0, 37.0, 12.0, failing)


def _child_prior(person: Attributes) -> Mixture:
    age = person.age_years or 0.0
    failing = 1 / (
        1 + math.exp(2.15 - 0.04 * (age - 9) + 0.5 * _size_for_age(age, person.sex, person.weight_kg or 0.0))
    )
    return Mixture(64 - 0.1 * (age - 9), 5.0, 38.0, 12.0, failing)


def _size_for_age(age_years: float, sex: str | None, weight_kg: float) -> float:
    """How heavy a child is for its age and sex: log weight against the growth curve in SDs, within ±2.5."""
    _, expected = _growth(age_years + 0.5, sex)
    spread = 0.30 if age_years < 1 else 0.18  # a first year's child may be of any month
    return max(-2.5, min(2.5, math.log(weight_kg / expected) / spread))


def _camus_prior(person: Attributes) -> Mixture:
    age = person.age_years or 0.0
    failing = 1 / (1 + math.exp(0.2 - 0.03 * (age - 65) - 0.5 * (person.sex == "M")))
    return Mixture(52 + 2 * (person.sex == "F") - 0.03 * (age - 65), 6.5, 36.5, 10.0, failing)


def _normal(x: Array, mean: float, sd: float) -> Array:
    return np.asarray(np.exp(-0.5 * ((x - mean) / sd) ** 2) / (sd * math.sqrt(2 * math.pi)))


def _cumulative(density: Array) -> Array:
    steps = 0.5 * (density[1:] + density[:-1]) * np.diff(GRID)
    cumulative = np.concatenate([[0.0], np.cumsum(steps)])
    return np.asarray(cumulative / cumulative[-1])


_EVERYTHING = ("age_years", "sex", "weight_kg", "height_cm")
POPULATIONS: dict[str, Population] = {
    "adult": Population(_draw_adult, _EVERYTHING, _adult_prior),
    "child": Population(_draw_child, _EVERYTHING, _child_prior),
    "laboratory": Population(_draw_adult, ("age_years", "sex"), _laboratory_prior),
    "flat": Population(_draw_adult, _EVERYTHING, _adult_prior, even=(8.0, 80.0)),
    "camus": Population(_draw_camus, ("age_years", "sex"), _camus_prior, ef_range=(5.0, 81.0)),
}
