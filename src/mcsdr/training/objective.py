"""What training minimises, and the random draws of one step.

Each study of a batch is encoded once and asked about under M random masks of what is known; masks and (θ, ε) pairs cost
next to nothing beside the encoder. What the loss is, the network says (`Network.loss`). Randomness is drawn in
`draw_hidden` and `draw_noise`, from the step's own generator, and applied here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from mcsdr.diffusion.denoiser import Pairs, draw_pairs
from mcsdr.errors import InvalidConfig
from mcsdr.nn.network import Network, PosteriorNetwork, TokenNetwork
from mcsdr.nn.video_encoder import CompactEncoder
from mcsdr.training.dense import DenseReading, DenseTargets

Share = Annotated[float, Field(ge=0, le=1)]


class DropoutSettings(BaseModel):
    """How often what is known is hidden in training, so that any of it may be missing in life.

    A share of 1 hides always: what is left is a model of the rest alone.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    # Each attribute by itself: one share for all, or one for each in the order of network.attributes.
    attribute: Share | tuple[Share, ...] = 0.15
    attributes: float = Field(0.20, ge=0, le=1)  # all of them
    clip: float = Field(0.0, ge=0, lt=1)  # each clip of a study by itself
    video: float = Field(0.10, ge=0, le=1)  # all clips
    everything: float = Field(0.03, ge=0, lt=1)
    masks: int = Field(4, gt=0, le=1024)  # masks drawn per encoded study
    pairs: int = Field(16, gt=0, le=4096)  # (θ, ε) pairs per mask

    @property
    def attribute_never_shown(self) -> NDArray[np.bool_]:
        """Which attributes are hidden always, one for all or one for each."""
        return (np.asarray(self.attribute) >= 1) | (self.attributes >= 1)


@dataclass(frozen=True)
class Videos:
    """The clips of a batch of studies: video [N, T, H, W], the view of each, and the place of each, int [N].

    Place p of B·C is clip p % C of study p // C; places without a clip are empty. Where the clips were encoded
    beforehand `video` holds their tokens, [N, L, width].
    """

    video: Tensor
    views: tuple[str, ...]
    places: Tensor
    together: int  # C
    encoded: bool = False


@dataclass(frozen=True)
class Hidden:
    """What is hidden from the network: attributes bool [B, M, A] and clips bool [B, M, C]."""

    attributes: Tensor
    clips: Tensor


def draw_hidden(
    batch: int, attributes: int, together: int, settings: DropoutSettings, generator: torch.Generator
) -> Hidden:
    """Independent masks for each study.

    Raises:
        InvalidConfig: dropout.attribute names more or fewer shares than there are attributes.
    """
    shape = (batch, settings.masks)
    of_each = torch.tensor(settings.attribute)
    if of_each.ndim and len(of_each) != attributes:
        raise InvalidConfig(f"dropout.attribute holds {len(of_each)} shares for {attributes} attributes.")

    def happens(probability: float | Tensor, *extra: int) -> Tensor:
        return torch.rand(*shape, *extra, generator=generator) < probability

    everything = happens(settings.everything)
    no_attributes = happens(settings.attributes) | everything
    each = happens(of_each, attributes)
    no_video = happens(settings.video) | everything
    clips = happens(settings.clip, together) if settings.clip else torch.zeros(*shape, together, dtype=torch.bool)
    return Hidden(each | no_attributes[..., None], clips | no_video[..., None])


class Objective(nn.Module):
    """The loss of a batch; wrapped as one module so that gradients of several processes are averaged.

    Arguments:
        dense: whether the encoder, a compact one, learns from dense targets too, see `dense`.
        agree: whether the second half of every batch is the first half in other looks, of windows and augmentation,
            whose readings should be the same.
    """

    def __init__(self, network: Network, dense: bool = False, agree: bool = False) -> None:
        super().__init__()
        self.network, self.agree = network, agree
        self.dense = DenseReading(network.video_encoder) if dense else None  # type: ignore[arg-type]

    def forward(
        self,
        videos: Videos,
        attributes: Tensor,
        ef_percent: Tensor,
        hidden: Hidden,
        pairs: Pairs,
        targets: DenseTargets | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Denoising loss, NLL of the location-scale head, loss of dense targets and disagreement (0 without), scalars.

        Arguments:
            videos: the clips of B studies.
            attributes: standardised, NaN where unknown, [B, A].
            ef_percent: labels [B], or [B, R] of R readers.
            hidden: what each of the M masks hides.
            pairs: angles and noise [B·M, P].
            targets: of the clips.
        """
        studies, masks, together = hidden.clips.shape
        encoded, dense = self._encoded(videos, targets)
        length, width = encoded.shape[1:]
        tokens = encoded.new_zeros(studies * together, length, width).index_copy(0, videos.places, encoded)
        tokens = tokens.view(studies, together * length, width)
        shown = torch.zeros(studies * together, dtype=torch.bool, device=tokens.device)
        shown[videos.places] = True
        video_mask = (shown.view(studies, 1, together) & ~hidden.clips).repeat_interleave(length, dim=-1)
        seen = attributes[:, None].expand(-1, masks, -1).masked_fill(hidden.attributes, float("nan"))
        denoising, nll = self.network.loss(
            tokens.repeat_interleave(masks, dim=0),
            video_mask.flatten(0, 1),
            seen.flatten(0, 1),
            ef_percent.repeat_interleave(masks, dim=0),
            pairs,
        )
        apart = self._apart(tokens, shown.view(studies, -1)) if self.agree else nll.new_zeros(())
        return denoising, nll, dense, apart

    def _apart(self, tokens: Tensor, shown: Tensor) -> Tensor:
        """How far two looks are apart from each other in what the location-scale head reads from them alone.

        (a₁ − a₂)²/(b₁² + b₂²) + (log b₁ − log b₂)²/2, the mean over studies. Widths are held fixed in the first term,
        or wider answers would seem to agree.
        """
        network = cast(PosteriorNetwork, self.network)
        mask = shown.repeat_interleave(tokens.shape[1] // shown.shape[1], dim=1)
        unknown = tokens.new_full((len(tokens), len(network.settings.attributes)), float("nan"))
        a, b = network.location_scale(network.condition(tokens, mask, unknown))
        (a1, a2), (b1, b2) = a.float().chunk(2), b.float().chunk(2)
        variance = (b1.square() + b2.square()).detach()
        apart: Tensor = (a1 - a2).square() / variance + 0.5 * (b1.log() - b2.log()).square()
        return apart.mean()

    def _encoded(self, videos: Videos, targets: DenseTargets | None) -> tuple[Tensor, Tensor]:
        """The clips' tokens, and the loss of their dense targets."""
        if videos.encoded:
            return videos.video, videos.video.new_zeros(())
        if self.dense is None or targets is None:
            tokens = self.network.encode(videos.video, videos.views)
            return tokens, tokens.new_zeros(())
        network = cast(TokenNetwork, self.network)
        encoder = cast(CompactEncoder, network.video_encoder)
        maps = encoder.maps(videos.video)
        tokens = encoder.tokens(maps)
        return network.marked(tokens, videos.views), self.dense.loss(maps, tokens, targets)


def draw_noise(batch: int, settings: DropoutSettings, generator: torch.Generator) -> Pairs:
    """(θ, ε) pairs for every mask of every study, [B·M, P]."""
    return draw_pairs((batch * settings.masks, settings.pairs), generator)
