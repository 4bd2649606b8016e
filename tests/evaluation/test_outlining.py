"""The outline is learnt from phantoms, finds cavities of others, stays with the model, and moves no answer."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mcsdr.datasets import CohortSpec
from mcsdr.errors import InvalidCohort, InvalidConfig, InvalidModel
from mcsdr.evaluation.outlining import Outlined, _gathered, fit
from mcsdr.model import Model, load
from mcsdr.model.outline import CELLS, READ, SIDE, OutlineReading
from mcsdr.nn.video_encoder import laid_out
from mcsdr.study import Study


def phantoms(seed: int, n: int = 50, **changed: object) -> CohortSpec:
    return CohortSpec(kind="phantom", n=n, seed=seed, **changed)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def outlined() -> Outlined:
    return fit(load(), phantoms(14), [phantoms(10, 10)])


def test_what_is_laid_out_over_the_picture_is_gathered_from_it() -> None:
    shares = torch.rand(2, 8, SIDE, SIDE)
    assert torch.equal(laid_out(_gathered(shares).view(2, 2, 7, 7, READ), CELLS)[:, :, 0], shares)


def test_it_finds_the_cavities_of_other_phantoms(outlined: Outlined) -> None:
    (overlap,) = outlined.overlaps
    assert overlap.phantoms == len(overlap.dice) == 10
    assert overlap.dice.mean() > 0.8
    assert outlined.model.card.figures["outline"][overlap.cohort]["dice"] == pytest.approx(
        overlap.dice.mean(), abs=1e-4
    )


def test_it_stays_with_the_model_and_moves_no_answer(outlined: Outlined, studies: list[Study], tmp_path: Path) -> None:
    plain, study = copy(load()), studies[0]
    plain.outline = None
    outlined.model.save(tmp_path / "outlined")
    again = load(tmp_path / "outlined")
    assert again.sha256 == outlined.model.sha256 != plain.sha256
    told, before = again(study, anyway=True), plain(study, anyway=True)
    assert np.array_equal(told.belief.y_percent, before.belief.y_percent)
    assert before.outlines == ()
    (outline,) = told.outlines
    assert outline.shape == study.clips[0].frames.shape[1:]
    assert outline.lines(len(study.clips[0].frames) // 2)
    assert again.uncalibrated()(study, anyway=True).outlines


def test_what_shows_no_heart_has_no_outline(outlined: Outlined, studies: list[Study]) -> None:
    clip = studies[0].clips[0]
    still = replace(clip, frames=np.repeat(clip.frames[:1], len(clip.frames), axis=0))
    assert outlined.model(replace(studies[0], clips=(still,)), anyway=True).outlines == ()


def test_of_a_long_clip_the_middle_is_read(outlined: Outlined, studies: list[Study]) -> None:
    clip = studies[0].clips[0]
    frames = np.tile(clip.frames, (30, 1, 1))
    long = replace(clip, frames=frames, frame_times_s=np.arange(len(frames)) / clip.frame_rate_hz)
    (outline,) = outlined.model(replace(studies[0], clips=(long,)), anyway=True).outlines
    assert len(outline.at) == len(outline.probability) == 16 * 32
    assert not outline.lines(0)
    assert outline.lines(len(frames) // 2)


def test_what_cannot_be_fitted_is_refused_before_anything_is_rendered(model: Model) -> None:
    with pytest.raises(InvalidConfig, match="fitted on"):
        fit(load("phantom-a4c"), phantoms(14), [phantoms(14, 10)])
    with pytest.raises(InvalidConfig, match="was trained on"):
        fit(load("phantom-a4c"), phantoms(1))
    with pytest.raises(InvalidCohort, match="fewer than 50"):
        fit(load("phantom-a4c"), phantoms(14, 10))
    with pytest.raises(InvalidConfig, match="phantoms alone"):
        fit(load("phantom-a4c"), phantoms(14, strangers=0.5))
    with pytest.raises(InvalidModel, match="another shape"):
        OutlineReading(np.zeros((READ, 8), np.float32), np.zeros(3, np.float32))
