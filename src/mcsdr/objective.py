"""What training minimises, and the random draws of one step.

For a clip with label y, under M random masks of what is known,

    ℓ = logit(y/100),   NLL = log b + (ℓ − a)²/2b²,   w = (ℓ − a)/b,   loss = NLL + ‖v_φ(cos θ w + sin θ ε) − v‖²,

with w detached: the location-scale head answers for centre and width, the score network for the shape. The clip is
encoded once; masks and (θ, ε) pairs cost next to nothing. Randomness is drawn in `draw_step`, from the step's own
generator, and applied here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from mcsdr.diffusion.denoiser import Pairs, draw_pairs, velocity_error
from mcsdr.diffusion.target import BoundedResidual
from mcsdr.nn.network import PosteriorNetwork

TARGET = BoundedResidual()


class DropoutSettings(BaseModel):
    """How often what is known is hidden in training, so that any of it may be missing in life."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attribute: float = Field(0.15, ge=0, lt=1)  # each attribute by itself
    attributes: float = Field(0.20, ge=0, lt=1)  # all of them
    video: float = Field(0.10, ge=0, lt=1)
    everything: float = Field(0.03, ge=0, lt=1)
    masks: int = Field(4, gt=0)  # masks drawn per encoded clip
    pairs: int = Field(16, gt=0)  # (θ, ε) pairs per mask


@dataclass(frozen=True)
class Hidden:
    """What is hidden from the network: attributes bool [B, M, A] and video bool [B, M]."""

    attributes: Tensor
    video: Tensor


def draw_hidden(batch: int, attributes: int, settings: DropoutSettings, generator: torch.Generator) -> Hidden:
    """Independent masks for each clip."""
    shape = (batch, settings.masks)

    def happens(probability: float, *extra: int) -> Tensor:
        return torch.rand(*shape, *extra, generator=generator) < probability

    everything = happens(settings.everything)
    no_attributes = happens(settings.attributes) | everything
    each = happens(settings.attribute, attributes)
    return Hidden(each | no_attributes[..., None], happens(settings.video) | everything)


class Objective(nn.Module):
    """The loss of a batch; wrapped as one module so that gradients of several processes are averaged."""

    def __init__(self, network: PosteriorNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, video: Tensor, attributes: Tensor, ef_percent: Tensor, hidden: Hidden, pairs: Pairs
    ) -> tuple[Tensor, Tensor]:
        """Denoising loss and NLL of the location-scale head, scalars.

        Arguments:
            video: standardised clips [B, T, H, W].
            attributes: standardised, NaN where unknown, [B, A].
            ef_percent: labels [B].
            hidden: what each of the M masks hides.
            pairs: angles and noise [B·M, P].
        """
        masks = hidden.video.shape[1]
        tokens = self.network.video_encoder(video).repeat_interleave(masks, dim=0)
        seen = attributes[:, None].expand(-1, masks, -1).masked_fill(hidden.attributes, float("nan"))
        video_mask = ~hidden.video.flatten()[:, None].expand(-1, tokens.shape[1])
        condition = self.network.condition(tokens, video_mask, seen.flatten(0, 1))
        a, b = self.network.location_scale(condition)
        y = ef_percent.repeat_interleave(masks)
        w = TARGET.to_residual(y, a, b)
        nll = (b.log() + 0.5 * w**2).mean()

        score = self.network.score
        cache = score.cache(condition)
        residual = w.detach()[:, None].expand_as(pairs.theta)
        error = velocity_error(lambda x, theta: score(x, score.angles(theta), cache), residual, pairs)
        return error.float().mean(), nll


def draw_noise(batch: int, settings: DropoutSettings, generator: torch.Generator) -> Pairs:
    """(θ, ε) pairs for every mask of every clip, [B·M, P]."""
    return draw_pairs((batch * settings.masks, settings.pairs), generator)
