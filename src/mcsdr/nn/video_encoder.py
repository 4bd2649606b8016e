"""The compact video encoder: a clip becomes space-time tokens.

Patches of 2 frames × 4 × 4 pixels are laid on the channel axis without loss, then three stages of factorised
convolutions, space 3 × 3 and time 3, look at 28², 14² and 7² pixels. The last map is pooled to 3 × 3 overlapping places
× T/4 instants; each becomes a token with its place and instant added, and one layer of self-attention lets systole
meet diastole.

Cost for 32 × 112 × 112: about 1.3 GFLOP.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcsdr.nn.layers import Block

Norm = Literal["batch", "none"]

PATCH_FRAMES, PATCH_SIDE = 2, 4
FRAMES_PER_TOKEN = 4
MAP_SIDE = 7  # of the last map of a picture of 112 × 112
PLACES = 9


class PlaneConv(nn.Conv3d):
    """A convolution within each frame, [C', C, 1, 3, 3], run as one in two dimensions over all frames.

    With channels innermost both are views of the same numbers, and the flat one is the faster: it costs as much a clip
    for one as for sixteen, where the deep one costs five times as much for one.
    """

    def forward(self, x: Tensor) -> Tensor:
        batch, _, frames = x.shape[:3]
        frame = x.transpose(1, 2).flatten(0, 1)
        padding = cast(tuple[int, ...], self.padding)[1:]
        frame = F.conv2d(frame, self.weight[:, :, 0], self.bias, self.stride[1:], padding)
        return frame.view(batch, frames, *frame.shape[1:]).transpose(1, 2)


class TimeConv(nn.Conv3d):
    """A convolution over time at each pixel, [C', C, 3, 1, 1], run as one in two dimensions, time and pixel."""

    def forward(self, x: Tensor) -> Tensor:
        padding = cast(tuple[int, ...], self.padding)[0]
        course = F.conv2d(x.flatten(3), self.weight[..., 0], self.bias, (self.stride[0], 1), (padding, 0))
        return course.view(*course.shape[:3], *x.shape[3:])


def _norm(norm: Norm, channels: int) -> nn.Module:
    return nn.BatchNorm3d(channels) if norm == "batch" else nn.Identity()


class FactorisedConv(nn.Module):
    """Space then time, each with a batch normalisation or a bias; a residual where the shape stays."""

    def __init__(
        self, channels_in: int, channels_out: int, *, norm: Norm = "batch", stride_space: int = 1, stride_time: int = 1
    ) -> None:
        super().__init__()
        bias = norm == "none"
        self.space = PlaneConv(
            channels_in, channels_out, (1, 3, 3), (1, stride_space, stride_space), (0, 1, 1), bias=bias
        )
        self.norm_space = _norm(norm, channels_out)
        self.time = TimeConv(channels_out, channels_out, (3, 1, 1), (stride_time, 1, 1), (1, 0, 0), bias=bias)
        self.norm_time = _norm(norm, channels_out)
        self.residual = channels_in == channels_out and stride_space == stride_time == 1

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm_space(self.space(x)))
        h = self.norm_time(self.time(h))
        return F.relu(h + x if self.residual else h)


class CompactEncoder(nn.Module):
    """Clip [B, T, 112, 112], standardised -> tokens [B, (T/4)·9, width]; T is a multiple of 4 up to max_frames.

    Arguments:
        norm: "batch" for batch normalisation after each convolution; "none" for a bias in its place, so
            that it learns from each clip by itself. `folded` turns the first into the second.
    """

    def __init__(
        self, channels: tuple[int, int, int], width: int, heads: int, max_frames: int, norm: Norm = "batch"
    ) -> None:
        super().__init__()
        first, second, third = channels
        patch = PATCH_FRAMES * PATCH_SIDE**2
        self.stem = PlaneConv(patch, first, (1, 3, 3), 1, (0, 1, 1), bias=norm == "none")
        self.norm = _norm(norm, first)
        self.stages = nn.Sequential(
            FactorisedConv(first, first, norm=norm),
            FactorisedConv(first, second, norm=norm, stride_space=2),
            FactorisedConv(second, second, norm=norm),
            FactorisedConv(second, third, norm=norm, stride_space=2, stride_time=2),
            FactorisedConv(third, third, norm=norm),
        )
        self.project = nn.Linear(third, width)
        self.instants = nn.Parameter(0.02 * torch.randn(max_frames // FRAMES_PER_TOKEN, 1, width))
        self.places = nn.Parameter(0.02 * torch.randn(PLACES, width))
        self.mixer = Block(width, heads, expansion=2)
        if norm == "none":
            self._keep_power()

    def _keep_power(self) -> None:
        """Weights under which activations neither grow nor fade: He's, and residual branches that start at zero."""
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(cast(Tensor, module.bias))
            if isinstance(module, FactorisedConv) and module.residual:
                nn.init.zeros_(module.time.weight)

    def forward(self, video: Tensor) -> Tensor:
        return self.tokens(self.maps(video))

    def maps(self, video: Tensor) -> Tensor:
        """The last maps [B, C, T/4, 7, 7] of clips [B, T, 112, 112]."""
        patches = rearrange_patches(video).contiguous(memory_format=torch.channels_last_3d)
        x: Tensor = self.stages(F.relu(self.norm(self.stem(patches))))
        return x

    def tokens(self, maps: Tensor) -> Tensor:
        """Tokens [B, (T/4)·9, width] of the last maps."""
        x = F.avg_pool3d(maps, (1, 3, 3), (1, 2, 2))
        x = self.project(x.permute(0, 2, 3, 4, 1).flatten(2, 3))
        x = x + self.instants[: x.shape[1]] + self.places
        return self.mixer.mix(x.flatten(1, 2))


def folded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of an encoder with batch norms as that of one without: the same function in evaluation.

    γ (W x − m)/√(v + ε) + β = (γ/√(v + ε)) W x + (β − γ m/√(v + ε)), with the running mean m and variance v. The state
    may be of a whole network.

    Raises:
        KeyError: batch norms that belong to another encoder.
    """
    of_conv = {"norm": "stem", "norm_space": "space", "norm_time": "time"}
    kept = {name: tensor for name, tensor in weights.items() if not name.endswith("num_batches_tracked")}
    for name in [name for name in kept if name.endswith("running_var")]:
        stem = name.removesuffix("running_var")
        parent, _, norm = stem.removesuffix(".").rpartition(".")
        conv = f"{parent}.{of_conv[norm]}".lstrip(".")
        gain = kept.pop(f"{stem}weight") / torch.sqrt(kept.pop(name) + nn.BatchNorm3d(1).eps)
        kept[f"{conv}.weight"] = kept[f"{conv}.weight"] * gain[:, None, None, None, None]
        kept[f"{conv}.bias"] = kept.pop(f"{stem}bias") - kept.pop(f"{stem}running_mean") * gain
    return kept


def laid_out(read: Tensor, cells: int) -> Tensor:
    """What is read at each place of the last maps, laid out over frames and pictures.

    Arguments:
        read: of K kinds in cells × cells parts of a place, [N, T/4, h, w, 4·cells²·K].

    Returns:
        [N, T, K, h·cells, w·cells].
    """
    count, instants, high, wide, _ = read.shape
    parts = read.view(count, instants, high, wide, FRAMES_PER_TOKEN, cells, cells, -1)
    return parts.permute(0, 1, 4, 7, 2, 5, 3, 6).reshape(count, -1, parts.shape[-1], high * cells, wide * cells)


def rearrange_patches(video: Tensor) -> Tensor:
    """[B, T, H, W] -> [B, 2·4·4, T/2, H/4, W/4] without loss."""
    batch, frames, height, width = video.shape
    t, s = PATCH_FRAMES, PATCH_SIDE
    x = video.view(batch, frames // t, t, height // s, s, width // s, s)
    return x.permute(0, 2, 4, 6, 1, 3, 5).reshape(batch, t * s * s, frames // t, height // s, width // s)
