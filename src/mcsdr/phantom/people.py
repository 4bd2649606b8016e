"""Who the phantoms are: age, sex, weight, height, and how likely each ejection fraction is for such a person.

The prior of the true ejection fraction E given the attributes A is a mixture of two normals cut to [8, 82] %,

    p(E | A) ∝ (1 − π) N(E; μ, 5²) + π N(E; 38, 13²),

    μ = 62 + 2·[female] − 0.03 (age − 50),    logit π = −0.5 + 0.035 (age − 60) + 0.6·[male] + 0.06 (BMI − 26),

so old, heavy men have a failing ventricle more often. A reader reports y = E + N(0, 4²), cut to [1, 99] %. Both are
known exactly, which makes the posterior without video a thing that can be checked. The numbers are made up: a
caricature of an echo laboratory, not an epidemiology.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mcsdr.study import Attributes

Array = NDArray[np.float64]

EF_RANGE = (8.0, 82.0)
READER_SD = 4.0
READER_RANGE = (1.0, 99.0)
GRID: Array = np.linspace(0.0, 100.0, 2001)


def draw_attributes(rng: np.random.Generator) -> Attributes:
    """An adult: age 18–95, sex, height by sex, weight by a log-normal body-mass index."""
    age, is_female, height, bmi = rng.random(), rng.random(), rng.standard_normal(), rng.standard_normal()
    age_years = 18 + 77 * math.sqrt(age)  # echo laboratories see more of the old
    sex = "F" if is_female < 0.5 else "M"
    height_cm = (163 if sex == "F" else 176) + 7 * height - 0.06 * (age_years - 50)
    weight_kg = 26.5 * math.exp(0.17 * bmi) * (height_cm / 100) ** 2
    return Attributes(round(age_years), sex, round(min(weight_kg, 200.0), 1), round(height_cm, 1))


def prior_density(person: Attributes) -> Array:
    """p(E | A) on `GRID`, per EF point; zero outside `EF_RANGE`. All four attributes must be known."""
    age, sex, weight, height = person.age_years, person.sex, person.weight_kg, person.height_cm
    if age is None or sex is None or weight is None or height is None:
        raise ValueError("the prior of a person needs age, sex, weight and height")
    bmi = weight / (height / 100) ** 2
    healthy = 62 + 2 * (sex == "F") - 0.03 * (age - 50)
    failing = 1 / (1 + math.exp(0.5 - 0.035 * (age - 60) - 0.6 * (sex == "M") - 0.06 * (bmi - 26)))
    density = (1 - failing) * _normal(GRID, healthy, 5.0) + failing * _normal(GRID, 38.0, 13.0)
    density = np.where((EF_RANGE[0] <= GRID) & (EF_RANGE[1] >= GRID), density, 0.0)
    return np.asarray(density / np.trapezoid(density, GRID))


def draw_true_ef(person: Attributes, rng: np.random.Generator) -> float:
    """One draw from p(E | A), by inverting its distribution on the grid."""
    return float(np.interp(rng.random(), _cumulative(prior_density(person)), GRID))


def draw_reading(true_ef_percent: float, rng: np.random.Generator) -> float:
    """What one reader reports of a true ejection fraction."""
    return float(np.clip(true_ef_percent + READER_SD * rng.standard_normal(), *READER_RANGE))


def reading_cdf(person: Attributes) -> Array:
    """P(y ≤ grid | A) on `GRID`: the distribution of a reading for such a person, no video seen."""
    step = GRID[1] - GRID[0]
    kernel = _normal(np.arange(-400, 401) * step, 0.0, READER_SD) * step
    cumulative = np.asarray(np.convolve(np.pad(_cumulative(prior_density(person)), 400, mode="edge"), kernel, "valid"))
    cumulative[READER_RANGE[0] > GRID] = 0.0
    cumulative[READER_RANGE[1] <= GRID] = 1.0
    return cumulative


def _normal(x: Array, mean: float, sd: float) -> Array:
    return np.asarray(np.exp(-0.5 * ((x - mean) / sd) ** 2) / (sd * math.sqrt(2 * math.pi)))


def _cumulative(density: Array) -> Array:
    steps = 0.5 * (density[1:] + density[:-1]) * np.diff(GRID)
    cumulative = np.concatenate([[0.0], np.cumsum(steps)])
    return np.asarray(cumulative / cumulative[-1])
