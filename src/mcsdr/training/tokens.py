"""Cohorts encoded once: when the video encoder stands still, its tokens are all that is ever asked of a clip.

The central window of each study's first clip, or of its first clip of each of so many views, is encoded, float32
[N, L, width], and kept beside the cached clips, under a hash of the encoder's weights and of how clips are cut. Of
several views the tokens lie side by side, [N, C·L, width], NaN where a study has no such clip. Training a head, asking
a cohort under thirty-two masks, or comparing ten models that share an encoder then costs no convolution.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor

from mcsdr.clips import ClipSettings, cut_windows, to_grey
from mcsdr.datasets import CohortSpec, fingerprint, open_cohort
from mcsdr.diffusion.sampler import SamplerSettings
from mcsdr.errors import InvalidConfig
from mcsdr.files import locked_table
from mcsdr.files.sealing import check_seal, seal
from mcsdr.files.writing import unwritable
from mcsdr.model import Model, VideoTokens
from mcsdr.nn.network import Network
from mcsdr.posterior import Posterior
from mcsdr.study import KnownPosterior, View
from mcsdr.training.cache import ClipCache, StoredClip, cached
from mcsdr.training.settings import TrainSettings

Array = NDArray[np.float64]

CLIPS_AT_ONCE = 32
STUDIES_AT_ONCE = 256
SAY_EVERY = 200


@dataclass(frozen=True)
class EncodedCohort:
    """The studies of a cohort as a model with this encoder sees them; one window of one clip, or of one of each view.

    Attributes:
        tokens: float32 [N, L, width]; NaN where there is no clip.
        attributes: natural units, NaN where unknown, [N, A].
        ef_percent, true_ef_percent: [N], NaN where unknown.
        known: the exact posterior of each study, None where there is none.
        names: of the studies.
    """

    tokens: Tensor
    attributes: Array
    ef_percent: Array
    true_ef_percent: Array
    known: list[KnownPosterior | None]
    names: list[str]

    @classmethod
    def of(cls, cache: ClipCache, tokens: Tensor) -> EncodedCohort:
        """A cache and its tokens."""
        return cls(tokens, cache.attributes, cache.ef_percent, cache.true_ef_percent, cache.known, cache.names)

    def __len__(self) -> int:
        return len(self.ef_percent)

    def ask(
        self,
        model: Model,
        *,
        video: bool | NDArray[np.bool_] = True,
        attributes: Array | None = None,
        sampler: SamplerSettings | None = None,
    ) -> Posterior:
        """The posterior of every study.

        Arguments:
            model: one whose encoder made the tokens.
            video: whether the video is shown, or to which studies, bool [N].
            attributes: other rows than the cohort's own, natural units, NaN for what is hidden, [N, A].
            sampler: another than the model's own.

        Returns:
            a batch [N], without the sampler's trajectories.
        """
        rows = model.statistics.standardise(self.attributes if attributes is None else attributes)
        shown = torch.from_numpy(np.broadcast_to(video, len(self)).copy())
        parts = []
        for start in range(0, len(self), STUDIES_AT_ONCE):
            part = slice(start, start + STUDIES_AT_ONCE)
            tokens = self.tokens[part].to(model.device)
            there = ~tokens[..., 0].isnan()
            mask = shown[part, None].to(model.device) & there
            tokens = tokens.nan_to_num()
            each = np.arange(len(tokens))
            keys = np.array([zlib.crc32(name.encode()) for name in self.names[part]], dtype=np.int64)
            parts.append(model.posterior(VideoTokens(tokens, mask, each, each, each, keys), rows[part], sampler))
        return Posterior.joined(parts)


def encode_cohort(
    spec: CohortSpec, model: Model, cache: Path, say: Callable[[str], None] = lambda line: None
) -> EncodedCohort:
    """Render or read a cohort into the cache folder, and encode it with a model's encoder; `say` is told how far it is.

    Raises:
        TooManyBadRows: a study cannot be used.
    """
    cohort = open_cohort(spec)
    made_from = {"source": fingerprint(spec, cohort), **spec.model_dump(mode="json")}

    def advance(done: int) -> None:
        if done % SAY_EVERY == 0:
            say(f"{spec.describe()}: {done} of {len(cohort)} clips")

    clips = cached(cache, made_from, cohort, model.clip, model.statistics.names, advance)
    return EncodedCohort.of(clips, stored_tokens(clips, model.network, model.clip))


def tokens_of(
    network: Network, settings: TrainSettings, accelerator: Accelerator, *caches: ClipCache
) -> tuple[Tensor, ...]:
    """The tokens of each cache under an encoder that stands still, encoded once by the first process.

    Raises:
        InvalidConfig: the settings ask for what tokens cannot give.
    """
    if settings.run.augmentation != "none" or not settings.start.encoder:
        raise InvalidConfig(
            "start.frozen encodes each clip once, with an encoder that has learnt.",
            next_step="Give start.encoder, and set run.augmentation = 'none'.",
        )
    together = settings.protocol.together
    with accelerator.main_process_first():
        network.to(accelerator.device)
        return tuple(stored_tokens(cache, network, settings.clip, together) for cache in caches)


def stored_tokens(cache: ClipCache, network: Network, settings: ClipSettings, together: int = 1) -> Tensor:
    """The tokens of each study's central window, read from beside the clips or encoded and put there.

    Arguments:
        together: of so many clips at most, each of another view.

    Raises:
        InvalidConfig: the network adds something of its own to the tokens (a view, a projection), or the clips are of
            different lengths.
        DamagedCache: they are not what was written.
    """
    if network.settings.views or network.settings.encoder != "compact":
        raise InvalidConfig(
            "tokens are kept of the compact encoder without views only.",
            next_step="Leave network.views empty, or let the encoder learn (start.frozen = false).",
        )
    path = cache.folder / f"tokens-{_fingerprint(cache, network, settings, together)}.npy"
    if not path.exists():
        with locked_table(path, "mcsdr, which encodes clips"):
            tokens, partial = _encode(cache, network, settings, together), path.with_name(f".{path.name}.partial")
            try:
                with unwritable(path):
                    with partial.open("wb") as file:
                        np.save(file, tokens)
                    os.replace(partial, path)
            finally:
                partial.unlink(missing_ok=True)
            seal(path)
    check_seal(path)
    return torch.from_numpy(np.load(path))


@torch.inference_mode()
def _encode(cache: ClipCache, network: Network, settings: ClipSettings, together: int) -> NDArray[np.float32]:
    encoder = network.video_encoder
    trained, _ = encoder.training, encoder.eval()
    of_views = [first_of_views(clips, together) for clips in cache.clips]
    places = [row * together + at for row, clips in enumerate(of_views) for at in range(len(clips))]
    every = [clip for clips in of_views for clip in clips]
    parts = []
    for start in range(0, len(every), CLIPS_AT_ONCE):
        windows = [cut_windows(cache.frames(clip), settings, "one")[0] for clip in every[start : start + CLIPS_AT_ONCE]]
        if len({len(window) for window in windows}) > 1:
            raise InvalidConfig("tokens are kept of clips of one length only.", next_step="Set start.frozen = false.")
        frames = to_grey(torch.from_numpy(np.stack(windows)).to(network.device), settings)
        parts.append(encoder(frames).float().cpu().numpy())
    encoder.train(trained)
    found = np.concatenate(parts)
    tokens = np.full((len(cache) * together, *found.shape[1:]), np.nan, dtype=np.float32)
    tokens[places] = found
    return tokens.reshape(len(cache), -1, found.shape[-1])


def first_of_views(clips: Sequence[StoredClip], count: int) -> list[StoredClip]:
    """The first clip of each view, and of those the first `count`."""
    found: dict[View, StoredClip] = {}
    for clip in clips:
        found.setdefault(clip.view, clip)
    return list(found.values())[:count]


def _fingerprint(cache: ClipCache, network: Network, settings: ClipSettings, together: int) -> str:
    """A hash of what the tokens are functions of, besides the folder they lie in."""
    of = [settings.model_dump(mode="json"), cache.names, *([together] if together > 1 else [])]
    digest = hashlib.sha256(json.dumps(of).encode())
    for name, tensor in network.video_encoder.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
