"""From what is known to the sampler's states: all that follows the encoder."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from mcsdr.diffusion.sampler import SamplerSettings, evaluation_angles
from mcsdr.nn.network import Network

AT_ONCE = {"cpu": 64}  # groups that are sampled together: a clip of minutes has hundreds; elsewhere all
States = tuple[Tensor, Tensor, Tensor]


class Flow(torch.nn.Module):
    """From what is known to the sampler's states, with one sampler's fixed steps."""

    def __init__(self, network: Network, settings: SamplerSettings) -> None:
        super().__init__()
        self.network, self.settings = network, settings
        with torch.no_grad():  # worked out once per sampler
            self.prepared = network.prepare(evaluation_angles(settings).float().to(network.device))

    def forward(self, video_tokens: Tensor, video_mask: Tensor, attributes: Tensor, z: Tensor) -> States:
        """States [steps + 1, B, N] of the trajectories from z [B, N], and their location and scale, [B, 1]."""
        return self.network.states(video_tokens, video_mask, attributes, z, self.prepared, self.settings)


def in_pieces(flow: torch.nn.Module, video_tokens: Tensor, video_mask: Tensor, attributes: Tensor, z: Tensor) -> States:
    """What a `Flow` gives of these, a bounded number at a time."""
    given = (video_tokens, video_mask, attributes, z)
    size = AT_ONCE.get(z.device.type, max(1, len(z)))
    parts = [cast(States, flow(*some)) for some in zip(*(torch.split(whole, size) for whole in given), strict=True)]
    states, location, scale = zip(*parts, strict=True)
    return torch.cat(states, dim=1), torch.cat(location), torch.cat(scale)
