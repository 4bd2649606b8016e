"""Clips are recalibrated before they are pooled, draws are a study's own, and looks say by how much they disagree."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from mcsdr.abstention.looks import LookSpread
from mcsdr.clips.attributes import AttributeStatistics
from mcsdr.clips.protocol import ProtocolSettings
from mcsdr.diffusion.sampler import PAPER, SamplerSettings
from mcsdr.errors import InvalidModel
from mcsdr.model import Model, load
from mcsdr.model.card import of_phantoms
from mcsdr.posterior import Population
from mcsdr.posterior.recalibration import PATTERNS, Calibration, Recalibration
from mcsdr.study import Attributes, Study


def calibrated(model: Model) -> Model:
    """With maps that differ between one window and several."""
    rng = np.random.default_rng(1)
    maps = {p: Recalibration.fit((1.5 if "several" in p else 0.8) * rng.standard_normal(400)) for p in PATTERNS}
    about = {"cohort": "none", "synthetic": True, "studies": 400, "patients": 400, "date": "2026-01-01", "seed": 0}
    model.calibration = Calibration(maps=maps, **about)
    return model


def test_two_clips_that_say_the_same_say_it_together_unchanged(model: Model, studies: list[Study]) -> None:
    calibrated(model)
    one = replace(studies[0], clips=studies[0].clips[:1])
    twice = replace(one, clips=one.clips * 2)
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    alone, both = (model.posteriors([study])[0] for study in (one, twice))
    assert both.quantile(levels) == pytest.approx(alone.quantile(levels), abs=1e-3)
    assert both.sd == pytest.approx(alone.sd, abs=1e-3)


def test_a_reading_of_one_beat_is_met_by_a_mixture(model: Model, studies: list[Study]) -> None:
    """Two windows of one clip that show two hearts: each recalibrated as one window, then F = (F_1 + F_2)/2."""
    calibrated(model)
    two, rows = model.encode(studies[:2]), model.attribute_rows(studies[:1] * 2)
    two = replace(two, tokens=two.tokens * torch.tensor([9.0, -9.0])[:, None, None])  # so that it tells them apart
    each = model.beliefs(two, rows).studies
    clip = replace(two, owner=np.zeros(2, dtype=np.int64), clip=np.zeros(2, dtype=np.int64))
    mixed = model.beliefs(clip, rows[:1], one_beat=True).studies[0]
    for ef in np.linspace(each.quantile(0.1).min(), each.quantile(0.9).max(), 7):
        assert mixed.prob_below(ef) == pytest.approx(np.mean(each.prob_below(ef)), abs=0.01)
    assert mixed.sd > 1.02 * float(np.mean(each.sd))
    model.calibration = None
    mean = model.beliefs(clip, rows[:1]).studies[0]
    assert mean.sd < 0.98 * model.beliefs(clip, rows[:1], one_beat=True).studies[0].sd


@pytest.mark.parametrize("sampler", [PAPER, SamplerSettings("ddpm", 4, "linear-beta", 5)])
def test_draws_do_not_depend_on_the_place_in_a_batch(
    model: Model, studies: list[Study], sampler: SamplerSettings
) -> None:
    alone = model.posteriors([studies[1]], sampler)[0].y_percent
    first = model.posteriors([studies[1], studies[0]], sampler)[0].y_percent
    last = model.posteriors([studies[2], studies[0], studies[1]], sampler)[2].y_percent
    assert first == pytest.approx(alone, abs=1e-3)
    assert last == pytest.approx(alone, abs=1e-3)
    other = model.posteriors([studies[1]], replace(sampler, seed=1))[0].y_percent
    assert np.abs(other - alone).max() > 0.01


def test_looks_that_disagree_more_than_any_are_not_answered(model: Model, studies: list[Study]) -> None:
    model.protocol = ProtocolSettings(looks=4)
    model.look_spread = LookSpread(quantiles=(1, 2, 3, 4, 5, 6, 40), clips=100, cohort="phantoms")
    told = model(studies[0], anyway=True)
    record = told.record()
    assert record["look_spread"] == pytest.approx(told.look_spread, abs=1e-4)
    assert 0 <= record["look_spread_percentile"] <= 99
    model.look_spread = LookSpread(quantiles=(0,) * 7, clips=100, cohort="phantoms")
    strict = model(studies[0])
    assert "looks-disagree" in strict.failed
    model.look_spread = None
    assert "looks-disagree" not in model(studies[0]).failed
    assert model(studies[0], anyway=True).record()["look_spread_percentile"] is None


def test_an_answer_says_when_for_whom_and_what_the_heart_does(model: Model, studies: list[Study]) -> None:
    answer = model(studies[0], anyway=True, label="A-17")
    record = answer.record()
    assert record["label"] == "A-17"
    when = datetime.fromisoformat(record["analysed"].replace("Z", "+00:00"))
    assert abs((datetime.now(UTC) - when).total_seconds()) < 3600
    low, high = record["heart"]["interval_90"]
    assert record["interval_90"][0] < low < high < record["interval_90"][1]
    assert record["heart"]["reader_sd"] == 4.0  # of the phantoms' readers, that a synthetic model learnt from
    model.card = model.card.model_copy(update={"synthetic": False})
    assert model(studies[0], anyway=True).record()["heart"] is None


def test_a_stated_population_is_told_and_needs_the_model_s_own(model: Model, studies: list[Study]) -> None:
    with pytest.raises(InvalidModel, match="does not say how frequent"):
        model(studies[0], prior="camus")
    model.stored_population = Population.of_normals("mine", [(1, 55, 14)])
    plain, stated = model(studies[0], anyway=True), model(studies[0], anyway=True, prior="heart-failure")
    assert stated.belief.mean < plain.belief.mean - 0.5
    assert stated.record()["prior"] == "heart-failure"
    assert plain.record()["prior"] == plain.model.population.name
    assert [notice.code for notice in stated.notices].count("stated-population") == 1
    assert model(studies[0], prior=model.population, anyway=True).median == pytest.approx(plain.median)


def test_the_population_is_kept_with_the_model_and_known_of_phantoms(model: Model, tmp_path: Path) -> None:
    model.stored_population = Population.of_normals("mine", [(1, 55, 14)])
    model.look_spread = LookSpread(quantiles=(1, 2, 3, 4, 5, 6, 7), clips=100, cohort="phantoms")
    model.save(tmp_path)
    again = load(tmp_path)
    assert again.population == model.population
    assert again.look_spread == model.look_spread
    assert of_phantoms("laboratory").prob_at_most(50) == pytest.approx(0.25, abs=0.05)


def test_what_no_model_has_learnt_from_is_said(model: Model, studies: list[Study]) -> None:
    def asked(**known: float) -> list[str]:
        attributes = Attributes(age_years=50, **known)
        return [n.code for n in model(replace(studies[0], attributes=attributes), anyway=True).notices]

    assert "attribute-outside-training" in asked(weight_kg=400)
    assert "attribute-outside-training" not in asked(weight_kg=90)
    assert model(replace(studies[0], attributes=Attributes(weight_kg=3, height_cm=50))).failed[0] == "size-of-a-child"


def test_what_is_held_at_one_value_is_said_to_be() -> None:
    """Few were as heavy as 170 kg where the model learnt; it takes them, and whoever is heavier, for 140 kg."""
    held = AttributeStatistics(names=("weight_kg",), mean=(80,), sd=(15,), limit_sd=4, least=(40,), greatest=(170,))
    for weight, notices in ((39, 1), (40, 0), (140, 0), (141, 1), (171, 1)):
        assert len(list(held.unseen(Attributes(weight_kg=weight)))) == notices
    (one, other) = held.standardise(np.array([[141.0], [400.0]]))
    assert one == other
