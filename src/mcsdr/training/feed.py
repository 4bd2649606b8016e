"""Batches by step number: which studies, which of their clips, how seen, read by whom.

Pure functions of (seed, step, process): a run needs no random state to be saved, and a resumed one draws what the
uninterrupted one would have drawn.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mcsdr.clips import (
    Augmentation,
    ClipSettings,
    Frames,
    augment,
    draw_augmentation,
    interpolate,
    random_crop,
    seen_as,
    to_grey,
    window_length,
)
from mcsdr.clips.attributes import AttributeStatistics
from mcsdr.diffusion.denoiser import Pairs
from mcsdr.errors import InvalidConfig
from mcsdr.phantom.people import READER_RANGE, READER_SD
from mcsdr.training.cache import ClipCache, StoredClip
from mcsdr.training.dense import DenseCache, DenseTargets
from mcsdr.training.objective import Hidden, Videos, draw_hidden, draw_noise
from mcsdr.training.settings import TrainSettings

Places = NDArray[np.intp] | slice


@dataclass(frozen=True)
class Batch:
    """One step's input with all its randomness already drawn."""

    videos: Videos
    attributes: Tensor
    ef_percent: Tensor
    hidden: Hidden
    pairs: Pairs
    clip: ClipSettings
    changes: Augmentation | None = None  # still to be made to the videos, which are uint8 then, and to the targets
    targets: DenseTargets | None = None

    def to(self, device: torch.device) -> Batch:
        """The batch on the device that learns, which also augments it there."""
        video = self.videos.video.to(device, non_blocking=True)
        targets = self.targets
        if self.changes is not None:
            changes = self.changes.to(device)
            video = to_grey(augment(video, changes), self.clip)
            targets = None if targets is None else targets.to(device, changes)
        videos = replace(self.videos, video=video, places=self.videos.places.to(device))
        return Batch(
            videos,
            self.attributes.to(device),
            self.ef_percent.to(device),
            Hidden(self.hidden.attributes.to(device), self.hidden.clips.to(device)),
            Pairs(self.pairs.theta.to(device), self.pairs.eps.to(device)),
            self.clip,
            targets=targets,
        )


class Feed:
    """The batches of one process of a run."""

    def __init__(
        self,
        cache: ClipCache,
        statistics: AttributeStatistics,
        settings: TrainSettings,
        rank: int,
        world: int,
        tokens: Tensor | None = None,
        dense: DenseCache | None = None,
    ) -> None:
        self.cache, self.settings, self.rank, self.world = cache, settings, rank, world
        self.dense = dense
        self.tokens = tokens  # of every study, where the encoder stands still
        self.attributes = torch.from_numpy(statistics.standardise(cache.attributes))
        self.studies = settings.optim.batch // settings.looks  # of a batch, each seen so often
        self.share = self.studies // world
        self.steps_per_epoch = len(cache) // self.studies if self.studies else 0
        if self.steps_per_epoch == 0 or self.share == 0:
            raise InvalidConfig(
                f"a batch of {settings.optim.batch} does not fit {len(cache)} studies on {world} processes."
            )
        if settings.data.label == "redrawn" and np.isnan(cache.true_ef_percent).any():
            raise InvalidConfig("label = 'redrawn' needs the true ejection fraction, which only phantoms have.")

    def batch(self, step: int) -> Batch:
        """The batch of one step."""
        seed, settings = self.settings.run.seed, self.settings
        epoch, within = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([seed, 1, epoch]).permutation(len(self.cache))
        first = within * self.studies + self.rank * self.share
        rows = np.tile(order[first : first + self.share], settings.looks)
        generator = torch.Generator().manual_seed(_mix(seed, 2, step, self.rank))
        videos, changes, targets = self._videos(
            rows, np.random.default_rng([seed, 4, step, self.rank]), generator, _mix(seed, 3, step)
        )
        hidden = draw_hidden(
            len(rows), self.attributes.shape[1], settings.protocol.together, settings.dropout, generator
        )
        pairs = draw_noise(len(rows), settings.dropout, generator)
        labels = self._labels(rows, generator)
        return Batch(videos, self.attributes[rows], labels, hidden, pairs, settings.clip, changes, targets)

    def _videos(
        self, rows: np.ndarray, rng: np.random.Generator, generator: torch.Generator, length_seed: int
    ) -> tuple[Videos, Augmentation | None, DenseTargets | None]:
        """The chosen clips of each study, of one length, how they are still to be augmented, and their targets."""
        together = self.settings.protocol.together
        if self.tokens is not None:
            return self._encoded(self.tokens[rows], together), None, None
        chosen = [
            (place * together + at, clip)
            for place, row in enumerate(rows)
            for at, clip in enumerate(choose_clips(self.cache.clips[row], together, rng))
        ]
        clips = [clip for _, clip in chosen]
        windows, starts = self._windows(clips, generator, length_seed)
        looks = self._looks(rng, len(windows))
        paces = [self._pace(len(window), rng) for window in windows]
        shown = [seen_as(window[pace], look) for window, look, pace in zip(windows, looks, paces, strict=True)]
        frames = torch.from_numpy(np.stack(shown))
        length = frames.shape[1]
        targets = None if self.dense is None else self._targets(self.dense, clips, starts, length, paces, looks)
        places, views = torch.tensor([place for place, _ in chosen]), tuple(clip.view.value for clip in clips)
        match self.settings.run.augmentation:
            case "strong":
                return Videos(frames, views, places, together), draw_augmentation(len(frames), generator), targets
            case "crop":
                seen = random_crop(frames, generator)
            case "none":
                seen = frames.float() / 255
        return Videos(to_grey(seen, self.settings.clip), views, places, together), None, None

    @staticmethod
    def _targets(
        dense: DenseCache,
        clips: list[StoredClip],
        starts: list[int],
        length: int,
        paces: list[Places],
        looks: list[int],
    ) -> DenseTargets:
        """The dense targets of windows of one length, seen as the windows are."""
        labels, ejected = [], []
        for clip, start, pace, look in zip(clips, starts, paces, looks, strict=True):
            of_pixels, of_frames = dense.of(clip, start, start + length)
            of_frames = of_frames[pace]
            labels.append(seen_as(of_pixels[pace], look))
            ejected.append(of_frames[::-1] if look & 2 else of_frames)
        return DenseTargets(torch.from_numpy(np.stack(labels)), torch.from_numpy(np.stack(ejected)))

    @staticmethod
    def _encoded(tokens: Tensor, together: int) -> Videos:
        """Of stored tokens [B, C·L, width] those of the clips that there are."""
        clips = tokens.reshape(len(tokens) * together, -1, tokens.shape[-1])
        places = (~clips[:, 0, 0].isnan()).nonzero()[:, 0]
        return Videos(clips[places], (), places, together, encoded=True)

    def _looks(self, rng: np.random.Generator, count: int) -> list[int]:
        """In which of the looks of `clips.seen_as` each clip is shown."""
        mirrored = rng.random(count) < self.settings.run.mirrored_clips
        backwards = rng.random(count) < self.settings.run.reversed_clips
        return [int(look) for look in mirrored + 2 * backwards]

    def _pace(self, length: int, rng: np.random.Generator) -> Places:
        """Which frame of a window is shown at each of as many instants: speeds of e^(0.5 N) at six instants, or one."""
        if rng.random() >= self.settings.run.uneven_clips:
            return slice(None)
        speed = np.exp(0.5 * np.interp(np.linspace(0, 5, length - 1), np.arange(6), rng.standard_normal(6)))
        at = np.concatenate([[0.0], np.cumsum(speed)])
        return np.asarray(np.round(at / at[-1] * (length - 1)), dtype=np.intp)

    def _windows(
        self, clips: list[StoredClip], generator: torch.Generator, length_seed: int
    ) -> tuple[list[Frames], list[int]]:
        """A random window of each clip, all of one length, the same on every process: sometimes cut short.

        And the frame at which each begins, where it is frames in a row.
        """
        settings = self.settings.clip
        draws = torch.rand(len(clips), generator=generator).tolist()
        if settings.sampling == "whole":
            least, places = settings.keep_least, torch.rand(len(clips), generator=generator).tolist()
            return [
                interpolate(self.cache.frames(clip), settings.frames, least + (1 - least) * u, place)
                for clip, u, place in zip(clips, draws, places, strict=True)
            ], []
        longest = min(window_length(clip.length, settings) for clip in clips)
        rng = np.random.default_rng(length_seed)
        length = longest
        if rng.random() < self.settings.run.short_clips:
            length = min(longest, 4 * int(rng.integers(4, settings.frames // 4 + 1)))
        starts = [int(u * (clip.length - length + 1)) for clip, u in zip(clips, draws, strict=True)]
        return [self.cache.frames(clip, s, s + length) for clip, s in zip(clips, starts, strict=True)], starts

    def _labels(self, rows: np.ndarray, generator: torch.Generator) -> Tensor:
        """What the readers report, [B]; [B, R] where there are several."""
        if self.settings.data.label == "reading":
            return torch.from_numpy(self.cache.ef_percent[rows]).float()
        shape = len(rows), self.settings.data.readings
        true_ef = torch.from_numpy(self.cache.true_ef_percent[rows]).float()[:, None].repeat(1, shape[1])
        reader_sd = torch.full((len(rows), 1), READER_SD)
        for i, known in enumerate(self.cache.known[row] for row in rows):
            if known is not None:
                k = torch.multinomial(torch.tensor(known.weights), shape[1], replacement=True, generator=generator)
                true_ef[i], reader_sd[i] = torch.tensor(known.ef_percent)[k], known.reader_sd
        labels = (true_ef + reader_sd * torch.randn(shape, generator=generator)).clamp(*READER_RANGE)
        return labels if shape[1] > 1 else labels[:, 0]


class Ahead:
    """A feed whose next batch is drawn by a thread while the device learns from this one."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self._pool = ThreadPoolExecutor(1)
        self._next: tuple[int, Future[Batch]] | None = None

    def batch(self, step: int) -> Batch:
        """The batch of one step."""
        drawn = self._next
        batch = drawn[1].result() if drawn is not None and drawn[0] == step else self.feed.batch(step)
        self._next = step + 1, self._pool.submit(self.feed.batch, step + 1)
        return batch


def choose_clips(clips: list[StoredClip], count: int, rng: np.random.Generator) -> list[StoredClip]:
    """A random clip of each view, and of those up to `count` at random."""
    shuffled = [clips[i] for i in rng.permutation(len(clips))]
    return list({clip.view: clip for clip in shuffled}.values())[:count]


def _mix(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)
