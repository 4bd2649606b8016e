"""Tokens kept on disk are those of the model, and a training on them is a training of the same model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.conftest import CONFIGS
from tests.training.test_training import small

from mcsdr.datasets import CohortSpec, open_cohort
from mcsdr.errors import InvalidConfig
from mcsdr.model import Model, load
from mcsdr.study import View
from mcsdr.training import load_caches, train
from mcsdr.training.cache import StoredClip
from mcsdr.training.feed import Feed
from mcsdr.training.settings import read_settings
from mcsdr.training.tokens import encode_cohort, first_of_views

SPEC = CohortSpec.parse("phantom:6:4:hidden-wall")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_an_encoded_cohort_answers_as_its_studies_do(model: Model, cache: Path) -> None:
    encoded, studies = encode_cohort(SPEC, model, cache), list(open_cohort(SPEC))
    assert encoded.known == [study.known_posterior for study in studies]
    np.testing.assert_allclose(encoded.ask(model).y_percent, model.posteriors(studies).y_percent, atol=1e-4)
    blind = model.posteriors([study.without("video") for study in studies]).y_percent
    np.testing.assert_allclose(encoded.ask(model, video=False).y_percent, blind, atol=1e-4)
    some = np.arange(6) % 2 == 0
    mixed = encoded.ask(model, video=some).y_percent
    np.testing.assert_allclose(mixed[~some], blind[~some], atol=1e-4)
    hidden = encoded.ask(model, attributes=np.full((6, 4), np.nan)).y_percent
    expected = model.posteriors([study.without("attributes") for study in studies]).y_percent
    np.testing.assert_allclose(hidden, expected, atol=1e-4)


def test_tokens_are_encoded_once_and_not_taken_for_another_encoders(model: Model, cache: Path) -> None:
    before = encode_cohort(SPEC, model, cache).tokens
    kept = sorted(cache.rglob("tokens-*.npy"))
    assert torch.equal(before, encode_cohort(SPEC, model, cache).tokens)
    assert sorted(cache.rglob("tokens-*.npy")) == kept
    with torch.no_grad():
        next(model.network.video_encoder.parameters()).add_(0.1)
    assert not torch.allclose(before, encode_cohort(SPEC, model, cache).tokens)


def frozen(cache: Path, model: Model, folder: Path, **extra: str) -> dict[str, str]:
    model.save(folder / "start")
    start = {"start__encoder": str(folder / "start"), "start__frozen": "true", "run__augmentation": "none"}
    cohorts = {"data__train__ambiguity": "hidden-wall", "data__val__ambiguity": "hidden-wall"}
    return small(cache, **(start | cohorts | extra))


def test_a_frozen_encoder_stays_as_it_was(model: Model, cache: Path, tmp_path: Path) -> None:
    settings = read_settings(CONFIGS / "phantom.toml", frozen(cache, model, tmp_path, optim__epochs="2"))
    trained = train(settings, tmp_path / "run")
    for name, tensor in load(tmp_path / "start").network.video_encoder.state_dict().items():
        assert torch.equal(tensor, trained.network.video_encoder.state_dict()[name]), name
    assert not torch.equal(trained.network.no_video, model.network.no_video)
    spec = settings.data.val
    figures = trained.card.figures["validation"]
    answers = trained.posteriors([open_cohort(spec)[i] for i in range(spec.n or 0)])
    observed = np.array([study.ef_percent for study in open_cohort(spec)])
    assert figures["mae"] == pytest.approx(float(np.abs(answers.median - observed).mean()), abs=1e-3)


@pytest.mark.parametrize("wrong", [{"run__augmentation": "crop"}, {"start__encoder": ""}])
def test_what_tokens_cannot_give_is_refused(model: Model, cache: Path, tmp_path: Path, wrong: dict[str, str]) -> None:
    settings = read_settings(CONFIGS / "phantom.toml", frozen(cache, model, tmp_path, **wrong))
    with pytest.raises(InvalidConfig, match="frozen"):
        train(settings, tmp_path / "run")


def test_the_first_clip_of_each_view_is_kept() -> None:
    clips = [StoredClip(i, 20, view) for i, view in enumerate([View.A4C, View.PSAX, View.A4C, View.A2C])]
    assert first_of_views(clips, 1) == clips[:1]
    assert first_of_views(clips, 2) == clips[:2]
    assert first_of_views(clips, 4) == [clips[0], clips[1], clips[3]]


def test_of_two_views_what_there_is_is_seen(model: Model, cache: Path) -> None:
    """A study of one view among studies of two."""
    one = encode_cohort(SPEC, model, cache)
    both = torch.cat([one.tokens, one.tokens.flip(0)], dim=1)
    both[2, one.tokens.shape[1] :] = torch.nan
    found = replace(one, tokens=both).ask(model).y_percent
    np.testing.assert_allclose(found[2], one.ask(model).y_percent[2], atol=1e-4)
    assert np.abs(found[1] - one.ask(model).y_percent[1]).max() > 1e-3
    videos = Feed._encoded(both, 2)
    assert videos.places.tolist() == [place for place in range(12) if place != 5]
    assert torch.equal(videos.video[6], one.tokens[2])  # of study 3, whose clip is the seventh


def test_redrawn_labels_follow_the_known_posterior(model: Model, cache: Path, tmp_path: Path) -> None:
    """Of one study read 4,000 times: mean and SD of its mixture."""
    from accelerate import Accelerator

    from mcsdr.training import Silence

    settings = read_settings(CONFIGS / "phantom.toml", frozen(cache, model, tmp_path))
    clips, _ = load_caches(settings, Silence(), Accelerator(cpu=True))
    feed = Feed(clips, model.statistics, settings, 0, 1)
    known = clips.known[3]
    assert known is not None
    labels = feed._labels(np.full(4000, 3), torch.Generator().manual_seed(1)).numpy()
    e, w = np.array(known.ef_percent), np.array(known.weights)
    assert labels.mean() == pytest.approx(w @ e, abs=0.4)
    assert labels.std() == pytest.approx(np.sqrt(w @ (e - w @ e) ** 2 + known.reader_sd**2), abs=0.3)
