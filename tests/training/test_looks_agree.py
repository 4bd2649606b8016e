"""Two looks at each clip of a batch: what a feed shows of them, and what their disagreement costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.test_cache import Rows
from tests.training.test_feed import CLIP, feed, settings

from mcsdr.nn.network import NetworkSettings, PosteriorNetwork
from mcsdr.training.cache import cached
from mcsdr.training.objective import DropoutSettings, Objective, Videos, draw_hidden, draw_noise
from mcsdr.training.settings import AgreementSettings, RunSettings

FEW = DropoutSettings(masks=2, pairs=4)


@pytest.mark.parametrize("world", [1, 2])
def test_every_study_of_a_batch_is_seen_in_two_looks(tmp_path: Path, world: int) -> None:
    cache = cached(tmp_path, {}, Rows(24), CLIP, ("age_years", "sex"))
    chosen = settings(agreement=AgreementSettings(weight=0.1), run=RunSettings(augmentation="crop"))
    feeds = [feed(cache, chosen, rank, world) for rank in range(world)]
    batches = [one.batch(step) for step in range(feeds[0].steps_per_epoch) for one in feeds]
    assert len(batches[0].ef_percent) == 8 // world
    halves = [batch.ef_percent.chunk(2) for batch in batches]
    assert all(torch.equal(first, second) for first, second in halves)
    assert sorted(torch.cat([first for first, _ in halves]).tolist()) == sorted(cache.ef_percent.tolist())
    first, second = batches[0].videos.video.chunk(2)
    assert not torch.equal(first, second)


def test_disagreement_of_two_looks() -> None:
    torch.manual_seed(0)
    settings = NetworkSettings(encoder="compact", channels=(4, 4, 4), width=8, heads=2, attributes=("age_years", "sex"))
    network = PosteriorNetwork(settings).eval()
    generator = torch.Generator().manual_seed(0)
    video = torch.randn(4, 16, 112, 112, generator=generator)
    attributes, ef = torch.randn(4, 2, generator=generator), torch.tensor([30.0, 60.0, 30.0, 60.0])

    def losses(shown: torch.Tensor) -> list[float]:
        draws = torch.Generator().manual_seed(1)
        videos = Videos(shown, ("A4C",) * len(shown), torch.arange(len(shown)), 1)
        known = (attributes, ef, draw_hidden(4, 2, 1, FEW, draws), draw_noise(4, FEW, draws))
        return [loss.item() for loss in Objective(network, agree=True)(videos, *known)]

    alike, apart = losses(torch.cat([video[:2], video[:2]])), losses(video)
    assert alike[3] == pytest.approx(0, abs=1e-10)
    assert apart[3] > 0
    a, b = network.location_scale(
        network.condition(network.encode(video), torch.ones(4, 36, dtype=torch.bool), torch.full((4, 2), np.nan))
    )
    of_pairs = (a[:2] - a[2:]) ** 2 / (b[:2] ** 2 + b[2:] ** 2) + (b[:2] / b[2:]).log() ** 2 / 2
    assert apart[3] == pytest.approx(of_pairs.mean().item(), rel=1e-5)
