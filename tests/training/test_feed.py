"""Batches are functions of (seed, step, process), and every clip stands where its study says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.test_cache import Rows

from mcsdr.clips import ClipSettings
from mcsdr.clips.attributes import AttributeStatistics
from mcsdr.clips.protocol import ProtocolSettings
from mcsdr.datasets import CohortSpec
from mcsdr.errors import InvalidConfig
from mcsdr.study import View
from mcsdr.training.cache import ClipCache, StoredClip, cached
from mcsdr.training.feed import Ahead, Feed, choose_clips
from mcsdr.training.settings import DataSettings, OptimSettings, RunSettings, TrainSettings, read_settings

CONFIGS = Path(__file__).parents[2] / "configs"
CLIP = ClipSettings(size=16, frames=16, grey="unit")
PLAIN = RunSettings(augmentation="none", short_clips=0.0)
SPEC = CohortSpec(kind="phantom", n=1, seed=0)


def settings(**changes: object) -> TrainSettings:
    base = TrainSettings(data=DataSettings(train=SPEC, val=SPEC), clip=CLIP, optim=OptimSettings(batch=8), run=PLAIN)
    return base.model_copy(update=changes)


@pytest.fixture
def cache(tmp_path: Path) -> ClipCache:
    return cached(tmp_path, {}, Rows(24), CLIP, ("age_years", "sex"))


def feed(cache: ClipCache, chosen: TrainSettings, rank: int = 0, world: int = 1) -> Feed:
    return Feed(cache, AttributeStatistics.fit(("age_years", "sex"), cache.attributes), chosen, rank, world)


def test_every_study_once_an_epoch(cache: ClipCache) -> None:
    whole = feed(cache, settings())
    ef = torch.cat([whole.batch(step).ef_percent for step in range(whole.steps_per_epoch)])
    assert sorted(ef.tolist()) == sorted(cache.ef_percent.tolist())
    parts = [feed(cache, settings(), rank, 2) for rank in range(2)]
    shared = torch.cat([part.batch(step).ef_percent for step in range(3) for part in parts])
    assert sorted(shared.tolist()) == sorted(cache.ef_percent.tolist())


@pytest.mark.parametrize("sampling", ["seconds", "whole"])
@pytest.mark.parametrize("augmentation", ["strong", "crop", "none"])
def test_a_batch_repeats(cache: ClipCache, sampling: str, augmentation: str) -> None:
    chosen = settings(
        run=PLAIN.model_copy(update={"augmentation": augmentation}),
        clip=CLIP.model_copy(update={"sampling": sampling, "keep_least": 0.8}),
        protocol=ProtocolSettings(pool="tokens", views_together=2),
    )
    first, again, other = (feed(cache, chosen).batch(step) for step in (4, 4, 5))
    assert torch.equal(first.videos.video, again.videos.video)
    assert torch.equal(first.pairs.eps, again.pairs.eps)
    assert not torch.equal(first.ef_percent, other.ef_percent)


def test_a_batch_drawn_ahead_is_the_same(cache: ClipCache) -> None:
    chosen = settings(run=PLAIN.model_copy(update={"augmentation": "strong"}))
    whole, ahead = feed(cache, chosen), Ahead(feed(cache, chosen))
    for step in (0, 1, 2, 7, 8):
        here, there = whole.batch(step).to(torch.device("cpu")), ahead.batch(step).to(torch.device("cpu"))
        assert torch.equal(here.videos.video, there.videos.video)
        assert here.videos.video.dtype == torch.float32
        assert torch.equal(here.ef_percent, there.ef_percent)


@pytest.mark.parametrize(
    ("mirrored", "backwards", "seen"), [(0, 0, {0}), (1, 0, {1}), (0, 1, {2}), (1, 1, {3}), (0.5, 0.5, {0, 1, 2, 3})]
)
def test_clips_are_mirrored_and_run_backwards(
    cache: ClipCache, monkeypatch: pytest.MonkeyPatch, mirrored: float, backwards: float, seen: set[int]
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, cache._frames.shape, dtype=np.uint8)
    monkeypatch.setattr(cache, "_frames", noise)
    monkeypatch.setattr(cache, "_sums", {})  # of the frames that were
    shown = PLAIN.model_copy(update={"mirrored_clips": mirrored, "reversed_clips": backwards})
    found = set()
    for step in range(3):
        plain, turned = (feed(cache, settings(run=run)).batch(step).videos.video for run in (PLAIN, shown))
        ways = [plain, plain.flip(3), plain.flip(1), plain.flip(1, 3)]
        for i, clip in enumerate(turned):
            (way,) = [look for look, way in enumerate(ways) if torch.equal(clip, way[i])]
            found.add(way)
    assert found == seen


def test_uneven_clips_go_from_the_first_frame_to_the_last_now_faster_now_slower(
    cache: ClipCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, cache._frames.shape, dtype=np.uint8)
    monkeypatch.setattr(cache, "_frames", noise)
    monkeypatch.setattr(cache, "_sums", {})
    uneven = PLAIN.model_copy(update={"uneven_clips": 1.0})
    plain, paced = (feed(cache, settings(run=run)).batch(0).videos.video for run in (PLAIN, uneven))
    for even, clip in zip(plain, paced, strict=True):
        shown = [int((even == frame).flatten(1).all(1).nonzero()[0]) for frame in clip]
        assert (shown[0], shown[-1]) == (0, len(even) - 1)
        assert (np.diff(shown) >= 0).all()
        assert len(set(shown)) < len(shown)  # faster here, slower there


def test_clips_stand_with_their_study(cache: ClipCache) -> None:
    """Row i of `Rows` is filled with grey level i, its second view with i + 1, and has EF i + 10."""
    batch = feed(cache, settings(protocol=ProtocolSettings(pool="tokens", views_together=2))).batch(1)
    videos = batch.videos
    assert len(videos.video) > 8, "some studies have two views"
    for clip, view, place in zip(videos.video, videos.views, videos.places.tolist(), strict=True):
        row = round(batch.ef_percent[place // 2].item()) - 10
        level = row + (1 if view == "PSAX" else 0)
        assert clip.unique().tolist() == pytest.approx([level / 255])


def test_one_clip_of_each_view() -> None:
    clips = [StoredClip(i, 20, view) for i, view in enumerate([View.A4C, View.A4C, View.PSAX, View.A4C])]
    rng = np.random.default_rng(0)
    pairs = [choose_clips(clips, 2, rng) for _ in range(200)]
    assert all({clip.view for clip in pair} == {View.A4C, View.PSAX} for pair in pairs)
    assert {clip.offset for pair in pairs for clip in pair} == {0, 1, 2, 3}
    alone = [choose_clips(clips, 1, rng)[0] for _ in range(200)]
    assert {clip.offset for clip in alone} == {0, 1, 2, 3}


def test_each_reader_of_a_visit_reports(cache: ClipCache) -> None:
    cache.true_ef_percent[:] = cache.ef_percent
    chosen = settings(data=DataSettings(train=SPEC, val=SPEC, label="redrawn", readings=3))
    labels = feed(cache, chosen)._labels(np.full(2000, 5), torch.Generator().manual_seed(2))
    assert labels.shape == (2000, 3)
    assert labels.mean().item() == pytest.approx(float(cache.true_ef_percent[5]), abs=0.3)
    assert np.corrcoef(labels.T.numpy())[0, 1] == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(
    "wrong", [{"data.label": "reading"}, {"data.readings": "5"}, {"network.kind": "mcsdr"}], ids=lambda w: next(iter(w))
)
def test_readers_that_no_loss_can_hear_are_refused(wrong: dict[str, str]) -> None:
    right = {"data.label": "redrawn", "data.readings": "8", "dropout.pairs": "24"}
    assert read_settings(CONFIGS / "phantom.toml", right).data.readings == 8
    with pytest.raises(InvalidConfig, match="readings"):
        read_settings(CONFIGS / "phantom.toml", right | wrong)
