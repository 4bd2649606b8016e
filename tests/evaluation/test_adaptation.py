"""Adapting to a site: what it must gain, when it is refused, and that the saved model is what was measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mcsdr.datasets import CohortSpec
from mcsdr.errors import InvalidConfig, InvalidModel, NoGain
from mcsdr.evaluation.adaptation import Site, adapt, fit, gather, nested
from mcsdr.evaluation.calibration import marks_of, refuse_seen
from mcsdr.model import Model
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.posterior import Posterior, quantile_nodes
from mcsdr.posterior.scale import percent
from mcsdr.study import Study

Z = quantile_nodes()


def site_of(n: int, seed: int, offset: float = 0.0, slope: float = 0.0, width: float = 1.0) -> Site:
    """A site whose readings are off by an offset, and by one of twelve hidden features, on the scale ℓ."""
    rng = np.random.default_rng(seed)
    hidden, centre = rng.standard_normal((n, 12)), 0.3 + 0.5 * rng.standard_normal(n)
    clips = Posterior.from_nodes(Z, percent(centre[:, None] + 0.25 * Z))
    ef = percent(centre + offset + slope * hidden[:, 0] + 0.25 * width * rng.standard_normal(n))
    owner = np.arange(n, dtype=np.int64)
    return Site(clips, centre, hidden, ef, owner, np.array([f"p{i}" for i in range(n)]))


def test_an_offset_is_found_with_twenty_and_a_slope_with_two_hundred() -> None:
    few = fit(site_of(20, 1, offset=0.4))
    assert few.shift(site_of(5, 2)).mean() == pytest.approx(0.4, abs=0.15)
    before, after, gain, error = nested(site_of(20, 1, offset=0.4))
    assert gain > error
    assert after.mae < before.mae
    many = fit(site_of(200, 3, slope=0.3))
    assert many.weights[0] / many.sd[0] == pytest.approx(0.3, abs=0.06)
    assert np.abs(many.weights[1:]).max() < 0.1


def test_what_hardly_varies_where_it_is_fitted_moves_nobody_far() -> None:
    """A unit that is silent in all clips but one: divided by its own SD it is hundreds of SDs."""
    site = site_of(60, 8, offset=0.4)
    silent = 1e-6 * np.random.default_rng(0).standard_normal((60, 6))
    silent[7] = 1.0
    site = replace(site, hidden=np.concatenate([site.hidden, silent], axis=1))
    with np.errstate(all="raise"):
        found = fit(site)
    assert np.abs(found.shift(site) - 0.4).max() < 0.5
    assert found.shift(site).mean() == pytest.approx(0.4, abs=0.15)


def test_widths_are_those_out_of_fold() -> None:
    assert fit(site_of(300, 4, width=1.5)).width == pytest.approx(1.45, abs=0.1)
    assert fit(site_of(300, 5)).width == pytest.approx(1.0, abs=0.08)
    tamed = site_of(300, 6, width=1.5)
    covered = [figures.coverage for figures in nested(tamed)[:2]]
    assert covered[0] < 0.8
    assert covered[1] == pytest.approx(0.9, abs=0.04)


def test_a_site_like_the_training_gains_nothing() -> None:
    before, after, gain, error = nested(site_of(150, 7))
    assert gain <= error
    assert after.crps == pytest.approx(before.crps, abs=0.15)


def shifted(studies: list[Study], model: Model) -> list[Study]:
    """Studies read 12 points above what the model says, each a patient of its own."""
    medians = np.asarray(model.posteriors(studies).median)
    rng = np.random.default_rng(0)
    ef = np.clip(medians + 12 + 3 * rng.standard_normal(len(studies)), 5, 95)
    return [
        replace(s, ef_percent=float(y), patient_id=f"p{i}") for i, (s, y) in enumerate(zip(studies, ef, strict=True))
    ]


def test_the_adapted_model_answers_as_it_was_measured(model: Model) -> None:
    studies = shifted(list(PhantomCohort(24, seed=901, frames=32)), model)
    found = adapt(model, studies, cohort_name="the ward", synthetic=True)
    assert found.after.mae < found.before.mae - 3
    exact = found.correction.apply(gather(model, studies)).studies
    answered = found.model.posteriors(studies)
    assert np.asarray(answered.median) == pytest.approx(np.asarray(exact.median), abs=0.1)
    assert np.asarray(answered.sd) == pytest.approx(np.asarray(exact.sd), rel=0.06)
    assert found.model.sha256 != model.sha256
    assert "adapted to 24 studies of the ward" in found.model.card.notice
    with pytest.raises(InvalidModel):
        _ = found.model.population
    assert adapt(model, studies).model.card.synthetic is False  # nobody said that they are phantoms


def test_what_does_not_help_is_refused(model: Model) -> None:
    studies = list(PhantomCohort(21, seed=902))
    medians = np.asarray(model.posteriors(studies).median)
    sd = np.asarray(model.posteriors(studies).sd)
    noise = sd * np.random.default_rng(2).standard_normal(len(studies))
    fair = [replace(s, ef_percent=float(y)) for s, y in zip(studies, np.clip(medians + noise, 2, 98), strict=True)]
    with pytest.raises(NoGain, match="does not help"):
        adapt(model, fair)
    with pytest.raises(InvalidConfig, match="too few"):
        adapt(model, fair[:5])


def test_what_any_ancestor_has_seen_is_refused_or_marked(model: Model) -> None:
    seen, other = CohortSpec.parse("phantom:50:5"), CohortSpec.parse("phantom:50:6")
    older = {"name": "grandmother", "role": "adapted", "data": seen.model_dump(mode="json")}
    own = {"data": {"train": other.model_dump(mode="json"), "val": other.model_dump(mode="json")}}
    card = model.card.model_copy(update={"config": own, "ancestry": [older]})
    with pytest.raises(InvalidConfig, match="grandmother was adapted on"):
        refuse_seen(card, CohortSpec.parse("phantom:9:5"))
    assert marks_of(card, CohortSpec.parse("phantom:9:5"))[0].startswith("SEEN: grandmother was adapted on")
    assert marks_of(card, CohortSpec.parse("phantom:9:7")) == []
    started = model.card.model_copy(update={"config": {**own, "start": {"model": "phantom-a4c"}}})
    with pytest.raises(InvalidConfig, match="phantom-a4c was trained on"):
        refuse_seen(started, CohortSpec.parse("phantom:9:1"))
