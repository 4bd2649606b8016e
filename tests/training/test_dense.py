"""Dense targets lie where the clips show what they name, however the clips are seen, and teach the encoder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.conftest import CONFIGS

from mcsdr.clips import ClipSettings
from mcsdr.clips.attributes import AttributeStatistics
from mcsdr.datasets import CohortSpec, open_cohort
from mcsdr.errors import DamagedCache, InvalidConfig
from mcsdr.nn.network import NetworkSettings, build_network
from mcsdr.phantom import truth
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.study import View
from mcsdr.training import train
from mcsdr.training.cache import ClipCache, cached
from mcsdr.training.dense import SIDE, STORED, UNKNOWN, DenseCache, DenseReading, DenseTargets
from mcsdr.training.feed import Feed
from mcsdr.training.settings import DataSettings, OptimSettings, RunSettings, TrainSettings, read_settings

SPEC = CohortSpec(kind="phantom", n=8, seed=3, appearance="varied", strangers=0.4, seconds=1.0)
COHORT = open_cohort(SPEC)
CLIP = ClipSettings()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> ClipCache:
    return cached(tmp_path_factory.mktemp("cache"), {}, COHORT, CLIP, ("age_years",))


@pytest.fixture(scope="module")
def dense(cache: ClipCache) -> DenseCache:
    return DenseCache(cache, COHORT, CLIP)


def test_every_frame_has_its_truth_and_a_stranger_none(cache: ClipCache, dense: DenseCache) -> None:
    strangers = [COHORT.is_stranger(index) for index in range(len(COHORT))]
    assert 0 < sum(strangers) < len(strangers)
    for index, stranger in enumerate(strangers):
        clip = cache.clips[index][0]
        labels, ejected = dense.of(clip, 0, clip.length)
        assert labels.shape == (clip.length, STORED, STORED)
        assert np.isnan(ejected).all() == stranger
        if not stranger:
            assert (np.bincount(labels.ravel(), minlength=4)[1:3] > 0).all()


def test_ejected_share_reaches_the_ejection_fraction() -> None:
    cohort = PhantomCohort(1, 4)
    person = cohort.person(0)
    full, empty = truth.key_times(person, View.A4C)
    shares = truth.ejected(person, View.A4C, np.array([full, empty]))
    np.testing.assert_allclose(shares, [0, person.true_ef_percent / 100], atol=1e-6)


def test_labels_are_where_the_finished_clip_shows_the_heart() -> None:
    """Of a mirrored phantom as of one that is not: blood is darker than muscle, and lies on the other side."""
    cohort = PhantomCohort(40, 3, appearance="varied")
    people = [cohort.person(index) for index in range(40)]
    mirrored = next(person for person in people if person.parameters["mirrored"])
    times = np.arange(4) / 25
    labels = truth.archived_labels(mirrored, View.A4C, times)
    assert not np.array_equal(labels, truth.labels(mirrored, View.A4C, times))
    film = cohort.studies([mirrored])[0].clips[0].frames[:4].astype(float)
    assert film[labels == truth.CAVITY].mean() < film[labels == truth.MYOCARDIUM].mean()


def feed(cache: ClipCache, dense: DenseCache, **run: float) -> Feed:
    data = DataSettings(train=SPEC, val=SPEC)
    settings = TrainSettings(data=data, optim=OptimSettings(batch=8), run=RunSettings(**run))
    statistics = AttributeStatistics.fit(("age_years",), cache.attributes)
    return Feed(cache, statistics, settings, 0, 1, dense=dense)


@pytest.mark.parametrize("seen", [{}, {"mirrored_clips": 1.0}, {"reversed_clips": 1.0}, {"uneven_clips": 1.0}])
def test_targets_move_with_the_clips(cache: ClipCache, dense: DenseCache, seen: dict[str, float]) -> None:
    """Turned, scaled, shifted, mirrored and reversed: the cavity of each frame stays the darker side of its wall."""
    batch = feed(cache, dense, short_clips=0.0, **seen).batch(0).to(torch.device("cpu"))
    assert batch.targets is not None
    labels = batch.targets.labels
    grey = torch.nn.functional.interpolate(batch.videos.video, (SIDE, SIDE), mode="area")
    known = ~batch.targets.ejected[:, 0].isnan()
    contrast = [(x[y == 2].mean() - x[y == 1].mean()).item() for x, y in zip(grey[known], labels[known], strict=True)]
    elsewhere = labels[known].flip(-1)
    displaced = [(x[y == 2].mean() - x[y == 1].mean()).item() for x, y in zip(grey[known], elsewhere, strict=True)]
    assert np.mean(contrast) > 0.5 + np.mean(displaced)
    assert (labels[~known] == UNKNOWN).all()


def test_a_reversed_clip_ejects_backwards(cache: ClipCache, dense: DenseCache) -> None:
    forwards = feed(cache, dense, short_clips=0.0).batch(0).targets
    backwards = feed(cache, dense, short_clips=0.0, reversed_clips=1.0).batch(0).targets
    assert forwards is not None
    assert backwards is not None
    torch.testing.assert_close(backwards.ejected, forwards.ejected.flip(1), equal_nan=True)
    assert torch.equal(backwards.labels, forwards.labels.flip(1))


def test_an_uneven_clip_ejects_as_its_frames_do(cache: ClipCache, dense: DenseCache) -> None:
    even = feed(cache, dense, short_clips=0.0).batch(0)
    uneven = feed(cache, dense, short_clips=0.0, uneven_clips=1.0).batch(0)
    assert even.targets is not None
    assert uneven.targets is not None
    moved = 0
    for clip in range(len(even.videos.video)):
        frames, ejected = even.videos.video[clip].flatten(1).float(), even.targets.ejected[clip]
        shown = [int((frames - one).abs().sum(1).argmin()) for one in uneven.videos.video[clip].flatten(1).float()]
        torch.testing.assert_close(uneven.targets.ejected[clip], ejected[shown], equal_nan=True)
        moved += shown != list(range(len(frames)))
    assert moved


def test_readings_name_each_place_of_each_frame() -> None:
    network = build_network(NetworkSettings(channels=(8, 8, 8), width=16, heads=2))
    reading = DenseReading(network.video_encoder)
    maps, tokens = torch.zeros(1, 8, 2, 7, 7), torch.zeros(1, 18, 16)
    maps[0, :, 1, 2, 3] = 1.0
    logits = reading.labels(maps) - reading.labels(torch.zeros_like(maps))
    rows = logits.abs().sum(2)[0].nonzero()
    assert (rows.min(0).values.tolist(), rows.max(0).values.tolist()) == ([4, 8, 12], [7, 11, 15])
    assert reading.ejected(tokens).shape == (1, 8)


def test_a_stranger_teaches_nothing() -> None:
    network = build_network(NetworkSettings(channels=(8, 8, 8), width=16, heads=2))
    reading = DenseReading(network.video_encoder)
    unknown = DenseTargets(torch.full((1, 8, SIDE, SIDE), UNKNOWN, dtype=torch.uint8), torch.full((1, 8), torch.nan))
    assert reading.loss(torch.randn(1, 8, 2, 7, 7), torch.randn(1, 18, 16), unknown).item() == 0


def test_a_flipped_bit_is_refused(cache: ClipCache, dense: DenseCache, tmp_path: Path) -> None:
    copied = tmp_path / "cache"
    shutil.copytree(cache.folder.parent, copied)
    own = ClipCache(copied / cache.folder.name)
    labels = next(copied.glob("*-dense*")) / "labels.npy"
    content = bytearray(labels.read_bytes())
    content[-1] ^= 1
    labels.write_bytes(content)
    with pytest.raises(DamagedCache, match="differs"):
        DenseCache(own, COHORT, CLIP)


def test_real_clips_have_no_dense_targets(cache: ClipCache) -> None:
    with pytest.raises(InvalidConfig, match="phantoms alone"):
        DenseCache(cache, [], CLIP)
    with pytest.raises(InvalidConfig, match="compact encoder, which learns"):
        read_settings(CONFIGS / "phantom.toml", {"dense.weight": "1", "start.frozen": "true"})


def test_a_training_with_dense_targets_resumes_to_the_bit(tmp_path: Path) -> None:
    small = {"data.train.n": "8", "data.val.n": "4", "data.cache": str(tmp_path / "cache"), "dense.weight": "0.5"}
    small |= {"network.channels": "[8, 8, 8]", "network.width": "16", "network.heads": "2", "network.score_depth": "1"}
    small |= {"optim.batch": "4", "optim.epochs": "2", "run.checkpoint_every": "2"}
    settings = read_settings(CONFIGS / "phantom.toml", small)
    train(settings, tmp_path / "whole")
    (tmp_path / "again").mkdir()
    shutil.copy(tmp_path / "whole" / "previous.safetensors", tmp_path / "again" / "last.safetensors")
    train(settings, tmp_path / "again")
    whole, again = (load_file(tmp_path / name / "last.safetensors") for name in ("whole", "again"))
    assert any(name.startswith("dense.") for name in whole)
    assert whole.keys() == again.keys()
    assert all(whole[name].equal(again[name]) for name in whole)
