"""Dense targets: what the encoder's last maps must tell of every frame, beside the clip's one ejection fraction.

A phantom's truth is known at every pixel and instant. Two linear readings of the encoder are asked for it in training,
and are no part of the model:

    what lies where     labels of `truth` (background, cavity, myocardium, left atrium) at SIDE × SIDE places of every
                        frame, from the maps before they are pooled: the mean cross-entropy
    how empty           the share of its end-diastolic volume that the ventricle has ejected at every frame, from the
                        tokens after their attention: the mean squared error over EJECTED_SD²

Cavities that the maps know are cavities that the answer can be read from, whatever else a picture shows; and a clip
teaches 32 × 784 numbers in place of one.

Targets lie beside the clip cache, frame by frame in its order, and take a fifth of its room. A stranger's heart is not
in its clip: UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mcsdr.clips import Augmentation, ClipSettings, frame_indices, moved
from mcsdr.errors import InvalidConfig
from mcsdr.files.sealing import check_seal, seal
from mcsdr.files.writing import unwritable
from mcsdr.nn.video_encoder import FRAMES_PER_TOKEN, MAP_SIDE, PLACES, CompactEncoder, laid_out
from mcsdr.phantom import truth
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.phantom.strangers import WithStrangers
from mcsdr.study import Study, View
from mcsdr.training.cache import ClipCache, StoredClip, built_once, name_of, readers

STORED, SIDE = 56, 28  # places along a side, of what is stored and of what is asked for
CLASSES = 4
LABELS, EJECTED = "labels.npy", "ejected.npy"
UNKNOWN = 255
EJECTED_MEAN, EJECTED_SD = 0.25, 0.2  # of frames of varied phantoms, about


@dataclass(frozen=True)
class DenseTargets:
    """The targets of N clips: labels uint8 [N, T, STORED, STORED], ejected shares [N, T], NaN where unknown."""

    labels: Tensor
    ejected: Tensor

    def to(self, device: torch.device, changes: Augmentation) -> DenseTargets:
        """On the device, where the changes lie: labels [N, T, SIDE, SIDE] of the augmented clips; 0 beyond them."""
        labels = moved(self.labels.to(device).float(), changes, SIDE, mode="nearest").to(torch.uint8)
        ejected = self.ejected.to(device)
        return DenseTargets(labels.where(~ejected.isnan()[..., None, None], UNKNOWN), ejected)


class DenseCache:
    """The targets of a clip cache, frame by frame as its clips lie.

    Arguments:
        cache: of phantoms.
        cohort: the phantoms, as `open_cohort` opens them.
        advance: told how many studies are done.
        workers: processes that work the truth out; 0 for this one alone.

    Raises:
        InvalidConfig: the cohort's truth is not known.
        DamagedCache: it is not what was written.
    """

    def __init__(
        self,
        cache: ClipCache,
        cohort: Sequence[Study],
        settings: ClipSettings,
        advance: Callable[[int], None] = lambda done: None,
        workers: int = 0,
    ) -> None:
        if not isinstance(cohort, PhantomCohort | WithStrangers):
            raise InvalidConfig("dense targets are known of phantoms alone: set dense.weight to 0.")
        folder = cache.folder.with_name(f"{cache.folder.name}-dense{STORED}")
        built_once(folder, lambda partial: _build(partial, cache, Truths(cohort, settings), advance, workers))
        for name in (LABELS, EJECTED):
            check_seal(folder / name)
        self._labels: NDArray[np.uint8] = np.load(folder / LABELS, mmap_mode="r")
        self._ejected: NDArray[np.float32] = np.load(folder / EJECTED)

    def of(self, clip: StoredClip, start: int, stop: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Labels [T, STORED, STORED] and ejected shares [T] of frames start to stop of a clip."""
        rows = slice(clip.offset + start, clip.offset + stop)
        return np.array(self._labels[rows]), self._ejected[rows]


OfView = tuple[NDArray[np.uint8], NDArray[np.float32]]


@dataclass(frozen=True)
class Truths(Sequence[dict[View, OfView]]):
    """Labels [T, STORED, STORED] and ejected shares [T] of each phantom's clips by view; of a stranger's none."""

    cohort: PhantomCohort | WithStrangers
    settings: ClipSettings

    def __len__(self) -> int:
        return len(self.cohort)

    def __getitem__(self, index: int) -> dict[View, OfView]:  # type: ignore[override]
        phantoms = self.cohort
        if isinstance(phantoms, WithStrangers):
            if phantoms.is_stranger(index):
                return {}
            phantoms = phantoms.cohort
        person = phantoms.person(index)
        stated = phantoms.frame_times(float(person.parameters["frame_rate_hz"]))
        stated = stated[frame_indices(stated, self.settings)]

        def of(view: View) -> OfView:
            times = stated * person.recording(view).clock
            labels = truth.archived_labels(person, view, times, (STORED, STORED))
            return labels, truth.ejected(person, view, times).astype(np.float32)

        return {view: of(view) for view in phantoms.views}


def _build(folder: Path, cache: ClipCache, truths: Truths, advance: Callable[[int], None], workers: int) -> None:
    frames = sum(clip.length for clips in cache.clips for clip in clips)
    clips_of = dict(zip(cache.names, cache.clips, strict=True))
    ejected = np.full(frames, np.nan, dtype=np.float32)
    with unwritable(folder / LABELS):
        labels = np.lib.format.open_memmap(folder / LABELS, "w+", np.uint8, (frames, STORED, STORED))
        for index, read in enumerate(readers(truths, workers)):
            of_views = read()
            for clip in clips_of.get(name_of(truths.cohort, index), ()):
                rows = slice(clip.offset, clip.offset + clip.length)
                if of_views:
                    labels[rows], ejected[rows] = of_views[clip.view]
            advance(index + 1)
        labels.flush()
        np.save(folder / EJECTED, ejected)
    for name in (LABELS, EJECTED):
        seal(folder / name)


class DenseReading(nn.Module):
    """The two linear readings of a compact encoder, in training only."""

    def __init__(self, encoder: CompactEncoder) -> None:
        super().__init__()
        self.cells = SIDE // MAP_SIDE
        channels, width = encoder.project.in_features, encoder.project.out_features
        self.where = nn.Linear(channels, FRAMES_PER_TOKEN * self.cells**2 * CLASSES)
        self.empty = nn.Linear(width, FRAMES_PER_TOKEN)
        nn.init.constant_(self.empty.bias, EJECTED_MEAN)

    def labels(self, maps: Tensor) -> Tensor:
        """Logits [N, T, CLASSES, SIDE, SIDE] from maps [N, C, T/4, 7, 7]."""
        return laid_out(self.where(maps.permute(0, 2, 3, 4, 1)), self.cells)

    def ejected(self, tokens: Tensor) -> Tensor:
        """Shares [N, T] from tokens [N, (T/4)·PLACES, width]."""
        of_instants = tokens.view(len(tokens), -1, PLACES, tokens.shape[-1]).mean(2)
        shares: Tensor = self.empty(of_instants)
        return shares.flatten(1)

    def loss(self, maps: Tensor, tokens: Tensor, targets: DenseTargets) -> Tensor:
        """Cross-entropy and squared error of the clips whose truth is known; 0 where none is."""
        logits, labels = self.labels(maps).float().flatten(0, 1), targets.labels.long().flatten(0, 1)
        wrong = F.cross_entropy(logits, labels, ignore_index=UNKNOWN, reduction="sum")
        known = ~targets.ejected.isnan()
        error = (self.ejected(tokens).float() - targets.ejected.nan_to_num()) * known / EJECTED_SD
        frames = known.sum().clamp(min=1)
        loss: Tensor = (wrong / SIDE**2 + error.square().sum()) / frames
        return loss
