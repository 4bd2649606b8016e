"""Which windows are seen together, and that pooling is the mixture it says it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from scipy.special import expit, logit

from mcsdr.clips import ClipSettings, Frames
from mcsdr.clips.protocol import ProtocolSettings, groups
from mcsdr.model import Model
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.posterior import Posterior, quantile_nodes
from mcsdr.posterior.normal import normal_cdf
from mcsdr.posterior.pooling import averaged, pooled
from mcsdr.study import Study, View

SETTINGS = ClipSettings()
BOTH = ProtocolSettings(pool="tokens", views_together=2)


def stored(*views: View, frames: int = 64) -> list:
    return [(np.full((frames, 1, 1), i, np.uint8), view) for i, view in enumerate(views)]


def names(found: list) -> list[list[int]]:
    """Which clips each group shows."""
    return [[int(frames[0, 0, 0]) for frames, _ in group.shown] for group in found]


def test_a_group_a_window() -> None:
    clips = stored(View.A4C, View.A4C, View.PSAX)
    assert names(groups(clips, SETTINGS, ProtocolSettings())) == [[0], [1], [2]]
    assert names(groups(clips, SETTINGS, ProtocolSettings(windows="three"))) == [[0]] * 3 + [[1]] * 3 + [[2]] * 3
    assert groups([], SETTINGS, ProtocolSettings()) == []
    numbered = groups(clips[:2], SETTINGS, ProtocolSettings(windows="three", looks=2))
    assert [group.window for group in numbered] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert [group.clip for group in numbered] == [0] * 6 + [1] * 6


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
    alone = [model.posteriors([replace(pair, clips=(clip,))])[0] for clip in (one, other)]
    assert model.posteriors([pair])[0].quantile([0.1, 0.5, 0.9]) == pytest.approx(
        Posterior.mixture(alone).quantile([0.1, 0.5, 0.9]), abs=1e-3
    )
    batch = model.posteriors([studies[2], pair, studies[3].without("video")])
    assert batch.quantile(0.5)[[0, 2]] == pytest.approx(
        [model.posteriors([studies[2]])[0].median, model.posteriors([studies[3].without("video")])[0].median], abs=0.05
    )


@pytest.mark.parametrize("looks", [2, 4])
def test_looks_at_one_beat_are_averaged(model: Model, studies: list[Study], looks: Literal[2, 4]) -> None:
    """One posterior of each window: the mean of those of its looks, whose disagreement is told."""

    def shown(by: Callable[[Frames], Frames]) -> Study:
        clip = studies[0].clips[0]
        return replace(studies[0], clips=(replace(clip, frames=by(clip.frames)),))

    protocol, levels = ProtocolSettings(looks=looks), [0.1, 0.5, 0.9]
    ways = [lambda f: f, lambda f: f[:, :, ::-1], lambda f: f[::-1], lambda f: f[::-1, :, ::-1]][:looks]
    seen = [shown(by) for by in ways]
    answer = model.posteriors([seen[0]], protocol=protocol)[0].quantile(levels)
    each = np.array([model.posteriors([study])[0].quantile(levels) for study in seen])
    assert answer == pytest.approx(100 * expit(logit(each / 100).mean(axis=0)), abs=0.1)
    batch = [studies[1].without("video"), studies[0]]
    video = model.encode(batch, protocol)
    found = model.beliefs(video, model.attribute_rows(batch))
    assert len(found.studies) == len(found.windows) == len(model.features(video)) == 2
    assert found.studies[0].median == pytest.approx(model.posteriors([batch[0]])[0].median, abs=0.05)
    assert found.studies[1].quantile(levels) == pytest.approx(answer, abs=0.05)
    assert found.spread == pytest.approx([0, each[:, 1].std(ddof=1)], abs=0.02)
    assert np.isnan(model.beliefs(model.encode(batch), model.attribute_rows(batch)).spread).all()


def test_windows_of_a_clip_are_averaged_and_clips_are_mixed(model: Model) -> None:
    long = [study.clips[0] for study in PhantomCohort(2, seed=5102, frames=64)]
    study, levels = Study(clips=tuple(long)), [0.05, 0.5, 0.95]
    protocol = ProtocolSettings(windows="all")
    video = model.encode([Study(), study], protocol)
    assert video.windows.tolist() == [0, 6]
    found = model.beliefs(video, model.attribute_rows([Study(), study]))
    pooled_batch, each = found.studies, found.windows
    assert len(each) == 7
    assert found.owner.tolist() == [0, 1, 1]
    assert found.clip_windows.tolist() == [0, 3, 3]
    clips = [averaged(each[rows], np.zeros(3, dtype=np.int64)) for rows in (slice(1, 4), slice(4, 7))]
    for clip, alone in zip(clips, long, strict=True):
        assert clip.quantile(levels)[0] == pytest.approx(
            model.posteriors([Study(clips=(alone,))], protocol=protocol)[0].quantile(levels), abs=0.05
        )
    assert pooled_batch[1].quantile(levels) == pytest.approx(Posterior.mixture(clips).quantile(levels)[0], abs=1e-3)


def test_a_mean_of_quantiles_is_as_wide_as_its_members_on_average() -> None:
    """Two normal posteriors 20 points apart: their mixture is wider than either, their mean is not."""
    z = quantile_nodes()
    apart = Posterior.from_nodes(z, 50 + np.array([[-10.0], [10.0]]) + 3 * z)
    mean = averaged(apart, np.array([0, 0]))[0]
    assert mean.median == pytest.approx(50, abs=1e-6)
    assert mean.sd == pytest.approx(float(np.mean(apart.sd)), rel=0.06)
    assert Posterior.mixture([apart[0], apart[1]]).sd > 3 * mean.sd
