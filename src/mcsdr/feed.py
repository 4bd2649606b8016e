"""Batches by step number: which clips, how seen, read by whom.

Pure functions of (seed, step, process): a run needs no random state to be saved, and a resumed one draws what the
uninterrupted one would have drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mcsdr.attributes import AttributeStatistics
from mcsdr.cache import ClipCache
from mcsdr.clips import augment, draw_augmentation, standardise
from mcsdr.diffusion.denoiser import Pairs
from mcsdr.errors import InvalidConfig
from mcsdr.objective import Hidden, draw_hidden, draw_noise
from mcsdr.phantom.people import READER_RANGE, READER_SD
from mcsdr.settings import TrainSettings


@dataclass(frozen=True)
class Batch:
    """One step's input with all its randomness already drawn."""

    video: Tensor
    attributes: Tensor
    ef_percent: Tensor
    hidden: Hidden
    pairs: Pairs

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return Batch(
            self.video.to(device),
            self.attributes.to(device),
            self.ef_percent.to(device),
            Hidden(self.hidden.attributes.to(device), self.hidden.video.to(device)),
            Pairs(self.pairs.theta.to(device), self.pairs.eps.to(device)),
        )


class Feed:
    """The batches of one process of a run."""

    def __init__(
        self, cache: ClipCache, statistics: AttributeStatistics, settings: TrainSettings, rank: int, world: int
    ) -> None:
        self.cache, self.settings, self.rank, self.world = cache, settings, rank, world
        self.attributes = torch.from_numpy(statistics.standardise(cache.attributes))
        self.share = settings.optim.batch // world
        self.steps_per_epoch = len(cache) // settings.optim.batch
        if self.steps_per_epoch == 0 or self.share == 0:
            raise InvalidConfig(
                f"a batch of {settings.optim.batch} does not fit {len(cache)} clips on {world} processes."
            )
        if settings.data.label == "redrawn" and np.isnan(cache.true_ef_percent).any():
            raise InvalidConfig("label = 'redrawn' needs the true ejection fraction, which only phantoms have.")

    def batch(self, step: int) -> Batch:
        """The batch of one step."""
        seed = self.settings.run.seed
        epoch, within = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([seed, 1, epoch]).permutation(len(self.cache))
        first = within * self.settings.optim.batch + self.rank * self.share
        rows = order[first : first + self.share]
        generator = torch.Generator().manual_seed(_mix(seed, 2, step, self.rank))
        frames = self._frames(rows, generator, _mix(seed, 3, step))
        video = standardise(augment(frames, draw_augmentation(len(rows), generator)))
        hidden = draw_hidden(len(rows), self.attributes.shape[1], self.settings.dropout, generator)
        pairs = draw_noise(len(rows), self.settings.dropout, generator)
        return Batch(video, self.attributes[rows], self._labels(rows, generator), hidden, pairs)

    def _frames(self, rows: np.ndarray, generator: torch.Generator, length_seed: int) -> Tensor:
        """Clips [B, T, H, W] of one length, the same on every process: sometimes cut short, from a random frame on."""
        longest = int(self.cache.lengths[rows].min())
        rng = np.random.default_rng(length_seed)
        length = longest
        if rng.random() < self.settings.run.short_clips:
            length = min(longest, 4 * int(rng.integers(4, self.settings.clip.frames // 4 + 1)))
        spare = torch.tensor(self.cache.lengths[rows] - length)
        starts = (torch.rand(len(rows), generator=generator) * (spare + 1)).long().tolist()
        clips = [self.cache.frames[row, start : start + length] for row, start in zip(rows, starts, strict=True)]
        return torch.from_numpy(np.stack(clips))

    def _labels(self, rows: np.ndarray, generator: torch.Generator) -> Tensor:
        if self.settings.data.label == "reading":
            return torch.from_numpy(self.cache.ef_percent[rows]).float()
        true_ef = torch.from_numpy(self.cache.true_ef_percent[rows]).float()
        return (true_ef + READER_SD * torch.randn(len(rows), generator=generator)).clamp(*READER_RANGE)


def _mix(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
