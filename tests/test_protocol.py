"""Which windows are seen together, and that pooling is the mixture it says it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mcsdr.clips import ClipSettings
from mcsdr.model import Model
from mcsdr.normal import normal_cdf
from mcsdr.posterior import Posterior, pooled, quantile_nodes
from mcsdr.protocol import ProtocolSettings, groups
from mcsdr.study import Study, View

SETTINGS = ClipSettings()
BOTH = ProtocolSettings(pool="tokens", views_together=2)


def stored(*views: View, frames: int = 64) -> list:
    return [(np.full((frames, 1, 1), i, np.uint8), view) for i, view in enumerate(views)]


def names(found: list) -> list[list[int]]:
    """Which clips each group shows."""
    return [[int(frames[0, 0, 0]) for frames, _ in group] for group in found]


def test_a_group_a_window() -> None:
    clips = stored(View.A4C, View.A4C, View.PSAX)
    assert names(groups(clips, SETTINGS, ProtocolSettings())) == [[0], [1], [2]]
    assert names(groups(clips, SETTINGS, ProtocolSettings(windows="three"))) == [[0]] * 3 + [[1]] * 3 + [[2]] * 3
    assert groups([], SETTINGS, ProtocolSettings()) == []


def test_views_together() -> None:
    clips = stored(View.A4C, View.A4C, View.PSAX)
    assert names(groups(clips, SETTINGS, BOTH)) == [[0, 2], [1, 2]]
    assert names(groups(stored(View.A4C, View.A4C), SETTINGS, BOTH)) == [[0], [1]]
    three = stored(View.A4C, View.A2C, View.PSAX)
    assert names(groups(three, SETTINGS, BOTH)) == [[0, 1], [2]]
    assert names(groups(clips[1:], SETTINGS, BOTH.model_copy(update={"windows": "three"}))) == [[1, 2]] * 3


def test_pooling_is_the_mixture() -> None:
    z = [-1.0, 0.0, 1.0]
    each = Posterior.from_nodes(z, [[20, 30, 40], [50, 60, 70], [44, 55, 66], [21, 25, 33], [41, 42, 43], [60, 61, 66]])
    found = pooled(each, np.array([0, 0, 1, 2, 2, 2]))
    assert len(found) == 3
    for study, rows in enumerate(([0, 1], [2], [3, 4, 5])):
        member_cdf = np.mean([each[row].cdf(found[study].y_percent) for row in rows], axis=0)
        assert member_cdf == pytest.approx(normal_cdf(quantile_nodes()), abs=1e-6)


def test_a_model_pools_the_clips_of_a_study(model: Model, studies: list[Study]) -> None:
    one, other = studies[0].clips[0], studies[1].clips[0]
    pair = replace(studies[0], clips=(one, other))
    alone = [model(replace(pair, clips=(clip,))) for clip in (one, other)]
    assert model(pair).quantile([0.1, 0.5, 0.9]) == pytest.approx(
        Posterior.mixture(alone).quantile([0.1, 0.5, 0.9]), abs=1e-3
    )
    batch = model([studies[2], pair, studies[3].without("video")])
    assert batch.quantile(0.5)[[0, 2]] == pytest.approx(
        [model(studies[2]).median, model(studies[3].without("video")).median], abs=0.05
    )


def test_two_looks_do_not_know_left_from_right(model: Model, studies: list[Study]) -> None:
    """The mixture of a picture and its mirror image is the same for both; and one of each window, not of each look."""
    study = studies[0]
    mirrored = replace(study, clips=(replace(study.clips[0], frames=study.clips[0].frames[:, :, ::-1]),))
    twice = ProtocolSettings(looks=2)
    levels = [0.1, 0.5, 0.9]
    here, there = (model(each, protocol=twice).quantile(levels) for each in (study, mirrored))
    assert here == pytest.approx(there, abs=0.05)
    alone = Posterior.mixture([model(study), model(mirrored)])
    assert here == pytest.approx(alone.quantile(levels), abs=0.05)
    batch = [studies[1].without("video"), study]
    pooled_batch, each = model.pooled_and_each(model.encode(batch, twice), model.attribute_rows(batch))
    assert len(pooled_batch) == len(each) == 2
    assert pooled_batch[0].median == pytest.approx(model(batch[0]).median, abs=0.05)
