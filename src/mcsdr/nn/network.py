"""The whole network: video and attributes to tokens, tokens to location, scale and score.

The condition is a set of tokens: those of the video, one "no video" token that speaks only when there is none, and one
per attribute. A modality that is dropped in training and one that is missing in life take the same way.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from mcsdr.nn.attribute_encoder import AttributeEncoder
from mcsdr.nn.layers import Condition
from mcsdr.nn.score_network import LocationScale, ScoreNetwork
from mcsdr.nn.video_encoder import CompactEncoder


class NetworkSettings(BaseModel):
    """Sizes of every part; stored with the weights, enough to rebuild the network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoder: Literal["compact"] = "compact"
    channels: tuple[int, int, int] = (32, 64, 112)
    width: int = Field(96, gt=0)
    heads: int = Field(4, gt=0)
    score_depth: int = Field(2, gt=0)
    score_expansion: int = Field(2, gt=0)
    max_frames: int = Field(32, gt=0, multiple_of=4)
    attributes: tuple[str, ...] = ("age_years", "sex", "weight_kg", "height_cm")


class PosteriorNetwork(nn.Module):
    """Encoders, location-scale head and score network, joined by a `Condition`."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = s = settings
        self.video_encoder = CompactEncoder(s.channels, s.width, s.heads, s.max_frames)
        self.attribute_encoder = AttributeEncoder(len(s.attributes), s.width)
        self.no_video = nn.Parameter(0.02 * torch.randn(1, 1, s.width))
        self.norm = nn.LayerNorm(s.width)
        self.location_scale = LocationScale(s.width, s.heads)
        self.score = ScoreNetwork(s.width, s.heads, s.score_depth, s.score_expansion)

    def condition(self, video_tokens: Tensor, video_mask: Tensor, attributes: Tensor) -> Condition:
        """Join what is known.

        Arguments:
            video_tokens: [B, L, width]; L may be 0.
            video_mask: bool [B, L], which of them exist; a row without any has no video.
            attributes: [B, A] standardised, NaN where unknown.
        """
        no_video = self.no_video.expand(attributes.shape[0], -1, -1)
        tokens = torch.cat([no_video, self.attribute_encoder(attributes), video_tokens], dim=1)
        always = torch.ones_like(attributes, dtype=torch.bool)
        mask = torch.cat([~video_mask.any(1, keepdim=True), always, video_mask], dim=1)
        return Condition(self.norm(tokens), mask)

    def parameter_counts(self) -> dict[str, int]:
        """Trainable parameters of each part, and their total."""
        parts = {name: sum(p.numel() for p in part.parameters()) for name, part in self.named_children()}
        parts["no_video"] = self.no_video.numel()
        return parts | {"total": sum(p.numel() for p in self.parameters())}


def channels_last(network: PosteriorNetwork) -> PosteriorNetwork:
    """The same network with channels innermost in memory: its 3-D convolutions run about 2.4 times faster on a CPU."""
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return network
