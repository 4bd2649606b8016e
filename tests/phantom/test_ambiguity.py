"""What is hidden never touches the picture, and the posterior that is called exact is that of the readings."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest, norm

from mcsdr.errors import InvalidConfig
from mcsdr.phantom import ambiguity, heart, ranges
from mcsdr.phantom.ambiguity import AMBIGUITIES, TILT_MAX, TILT_SD, TRUE_LENGTHENING, TRUE_SLENDERNESS
from mcsdr.phantom.cohort import PhantomCohort, draw_ambiguous_person
from mcsdr.phantom.people import draw_attributes
from mcsdr.study import Attributes, KnownPosterior, View

KINDS = sorted(AMBIGUITIES)


def cdf(known: KnownPosterior, y: float | np.ndarray) -> float | np.ndarray:
    e, w = np.array(known.ef_percent), np.array(known.weights)
    return norm.cdf((np.asarray(y)[..., None] - e) / known.reader_sd) @ w


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_readings_follow_the_known_posterior(kind: str, clean: bool) -> None:
    """PIT uniform over 600 people, pictures not needed; and weights that are a distribution."""
    rng, pit = np.random.default_rng(9), []
    for _ in range(600):
        known = ambiguity.draw_shown(rng, kind, draw_attributes(rng), clean).posterior
        assert sum(known.weights) == pytest.approx(1)
        pit.append(cdf(known, ambiguity.draw_reading(rng, known)[1]))
    assert kstest(pit, "uniform").pvalue > 0.01


def test_two_answers_to_one_picture() -> None:
    """The pair of DATA.md's example: a_s/a_d = 0.69 and L_s/L_d = 0.85 may be EF 59.5 % or 46.8 %."""
    ef = 1 - 0.69**2 * 0.85
    row = {"shortening": 0.15 * 0.6 / ef}
    alpha, lam = ambiguity._shrinking(ef, row)
    assert (alpha, lam) == pytest.approx((0.69, 0.85))
    assert 1 - alpha * lam * (1 - 0.3 * (1 - alpha)) == pytest.approx(0.468, abs=5e-4)


def test_age_and_sex_alone_move_the_weights() -> None:
    shares = [
        ambiguity.failing_share(Attributes(age, sex)) for age, sex in ((40, "F"), (66, "F"), (66, "M"), (90, "M"))
    ]
    assert shares == sorted(shares)
    assert shares[0] < 0.1
    assert shares[-1] > 0.9
    for index in range(10):
        person = draw_ambiguous_person(2, index, "hidden-wall")
        assert person.known_posterior.weights[1] == pytest.approx(ambiguity.failing_share(person.attributes))


def test_the_picture_knows_neither_attributes_nor_weights() -> None:
    young, old = (
        ambiguity.draw_shown(np.random.default_rng(1), "hidden-wall", Attributes(age, "M")) for age in (30, 90)
    )
    assert young.parameters == old.parameters
    assert young.posterior.ef_percent == old.posterior.ef_percent
    assert young.posterior.weights[0] > 0.5 > old.posterior.weights[0]


@pytest.mark.parametrize("kind", ["control", "hidden-wall", "lateral-dropout", "foreshortening"])
def test_the_heart_shown_shrinks_as_the_formulas_say(kind: str) -> None:
    """Circular cross-sections, and 1 − α²λ is the ejection fraction shown."""
    person = draw_ambiguous_person(4, 0, kind)
    p = ranges.stack([person.parameters], torch.device("cpu"))
    state = heart.beat(p, torch.linspace(0, 1, 400)[None, :, None] * 60 / p["heart_rate_bpm"])
    alpha, lam = (float(x.min() / x.max()) for x in (state.a_mm, state.length_mm))
    assert ambiguity._shrinking(person.parameters["ef"], person.parameters) == pytest.approx((alpha, lam), abs=1e-3)
    assert 1 - alpha**2 * lam == pytest.approx(person.parameters["ef"], abs=1e-3)
    assert float((state.b_mm / state.a_mm).std()) == pytest.approx(0, abs=1e-6)


def test_nothing_of_the_lateral_half_is_seen() -> None:
    """A heart whose lateral half is another beyond the blanked line gives the same picture."""
    person = draw_ambiguous_person(4, 0, "lateral-dropout")
    p = ranges.stack([person.parameters], torch.device("cpu"))
    x = torch.tensor([[[0.16 * 1.2, 0.5, 1.0, 1.3]]]) * heart.end_diastole(p)[0]
    times = torch.linspace(0, 1, 9)[None, :, None]
    z = 0.6 * p["length_mm"] + 0 * x
    seen = heart.tissue(p, heart.beat(p, times), x.expand(1, 9, 4), 0 * x, z)
    assert float(seen.amplitude[..., 1:].abs().max()) == 0


def test_beats_of_an_arrhythmia_have_the_ejection_fractions_that_are_told() -> None:
    for index in range(4):
        person = draw_ambiguous_person(4, index, "arrhythmia")
        told = person.known_posterior.ef_percent
        p = ranges.stack([person.parameters], torch.device("cpu"))
        times = torch.linspace(0, ambiguity.CLIP_S * 0.9999, 3000)[None, :, None]
        state = heart.beat(p, times)
        volume = (state.a_mm * state.b_mm * state.length_mm).flatten()
        beats = (times.flatten() * person.parameters["heart_rate_bpm"] / 60).floor()
        found = [100 * (1 - float(volume[beats == k].min() / volume.max())) for k in range(len(told))]
        assert found == pytest.approx(told, abs=0.1)
        assert int(beats.max()) == len(told) - 1


def test_the_weights_over_the_tilt_are_bayes_rule() -> None:
    """Against draws of the forward map whose shape shown lies near the one asked for."""
    rng = np.random.default_rng(0)
    n, alpha = 2_000_000, 0.75
    tilt = np.abs(TILT_SD * rng.standard_normal(n))
    r, lam = rng.uniform(*TRUE_SLENDERNESS, n), rng.uniform(*TRUE_LENGTHENING, n)
    c2, s2 = np.cos(tilt) ** 2, np.sin(tilt) ** 2
    d, s = c2 + s2 / r**2, c2 / lam**2 + s2 / (alpha * r) ** 2
    r_shown, lam_shown = r * np.sqrt(d), np.sqrt(d / s)
    assert (r_shown[0], lam_shown[0]) == pytest.approx(ambiguity.foreshortened(r[0], alpha, lam[0], tilt[0]))
    near = (tilt < TILT_MAX) & (np.abs(r_shown - 0.42) < 0.004) & (np.abs(lam_shown - 0.80) < 0.004)
    drawn = 100 * (1 - alpha**2 * lam[near])
    known = ambiguity.tilt_posterior(0.42, alpha, 0.80)
    e, w = np.array(known.ef_percent), np.array(known.weights)
    assert near.sum() > 500
    assert w @ e == pytest.approx(drawn.mean(), abs=0.15)
    assert math.sqrt(w @ (e - w @ e) ** 2) == pytest.approx(drawn.std(), abs=0.15)


def test_a_cohort_carries_the_known_posterior() -> None:
    cohort = PhantomCohort(3, 5, frames=4, ambiguity="hidden-wall")
    study = cohort[1]
    assert study.known_posterior == cohort.person(1).known_posterior
    assert study.true_ef_percent in study.known_posterior.ef_percent
    assert "hidden-wall" in study.study_id
    assert PhantomCohort(3, 5, frames=4)[1].known_posterior is None


@pytest.mark.parametrize("wrong", [{"ambiguity": "whim"}, {"population": "child"}, {"views": (View.A2C,)}])
def test_what_there_is_not_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidConfig):
        PhantomCohort(1, 1, **{"ambiguity": "control", **wrong})  # type: ignore[arg-type]


def test_a_narrow_range_of_tilts_is_not_missed() -> None:
    """Every shape that the forward map gives has a posterior, near the edges of the priors too."""
    rng = np.random.default_rng(3)
    for _ in range(3000):
        alpha, tilt = rng.uniform(0.6, 0.9), rng.uniform(0, TILT_MAX)
        shown = ambiguity.foreshortened(rng.uniform(*TRUE_SLENDERNESS), alpha, rng.uniform(*TRUE_LENGTHENING), tilt)
        low, high = ambiguity.possible_tilts(shown[0], alpha, shown[1])
        assert low - 1e-9 <= tilt <= high + 1e-9
        assert len(ambiguity.tilt_posterior(shown[0], alpha, shown[1]).weights) == ambiguity.TILT_LEVELS
