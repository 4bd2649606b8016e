"""The compact video encoder: a clip becomes space-time tokens.

Patches of 2 frames × 4 × 4 pixels are laid on the channel axis without loss, then three stages of factorised
convolutions, space 3 × 3 and time 3, look at 28², 14² and 7² pixels. The last map is pooled to 3 × 3 overlapping places
× T/4 instants; each becomes a token with its place and instant added, and one layer of self-attention lets systole
meet diastole.

Cost for 32 × 112 × 112: about 1.3 GFLOP.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcsdr.nn.layers import Block

PATCH_FRAMES, PATCH_SIDE = 2, 4
FRAMES_PER_TOKEN = 4
PLACES = 9


class FactorisedConv(nn.Module):
    """Space then time, each with batch normalisation; a residual where the shape stays."""

    def __init__(self, channels_in: int, channels_out: int, *, stride_space: int = 1, stride_time: int = 1) -> None:
        super().__init__()
        self.space = nn.Conv3d(
            channels_in, channels_out, (1, 3, 3), (1, stride_space, stride_space), (0, 1, 1), bias=False
        )
        self.norm_space = nn.BatchNorm3d(channels_out)
        self.time = nn.Conv3d(channels_out, channels_out, (3, 1, 1), (stride_time, 1, 1), (1, 0, 0), bias=False)
        self.norm_time = nn.BatchNorm3d(channels_out)
        self.residual = channels_in == channels_out and stride_space == stride_time == 1

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm_space(self.space(x)))
        h = self.norm_time(self.time(h))
        return F.relu(h + x if self.residual else h)


class CompactEncoder(nn.Module):
    """Clip [B, T, 112, 112], standardised -> tokens [B, (T/4)·9, width]; T is a multiple of 4 up to max_frames."""

    def __init__(self, channels: tuple[int, int, int], width: int, heads: int, max_frames: int) -> None:
        super().__init__()
        first, second, third = channels
        patch = PATCH_FRAMES * PATCH_SIDE**2
        self.stem = nn.Conv3d(patch, first, (1, 3, 3), 1, (0, 1, 1), bias=False)
        self.norm = nn.BatchNorm3d(first)
        self.stages = nn.Sequential(
            FactorisedConv(first, first),
            FactorisedConv(first, second, stride_space=2),
            FactorisedConv(second, second),
            FactorisedConv(second, third, stride_space=2, stride_time=2),
            FactorisedConv(third, third),
        )
        self.project = nn.Linear(third, width)
        self.instants = nn.Parameter(0.02 * torch.randn(max_frames // FRAMES_PER_TOKEN, 1, width))
        self.places = nn.Parameter(0.02 * torch.randn(PLACES, width))
        self.mixer = Block(width, heads, expansion=2)

    def forward(self, video: Tensor) -> Tensor:
        patches = rearrange_patches(video).contiguous(memory_format=torch.channels_last_3d)
        x = self.stages(F.relu(self.norm(self.stem(patches))))
        x = F.avg_pool3d(x, (1, 3, 3), (1, 2, 2))
        x = self.project(x.permute(0, 2, 3, 4, 1).flatten(2, 3))
        x = x + self.instants[: x.shape[1]] + self.places
        return self.mixer.mix(x.flatten(1, 2))


def rearrange_patches(video: Tensor) -> Tensor:
    """[B, T, H, W] -> [B, 2·4·4, T/2, H/4, W/4] without loss."""
    batch, frames, height, width = video.shape
    t, s = PATCH_FRAMES, PATCH_SIDE
    x = video.view(batch, frames // t, t, height // s, s, width // s, s)
    return x.permute(0, 2, 4, 6, 1, 3, 5).reshape(batch, t * s * s, frames // t, height // s, width // s)
