"""R(2+1)D-18, the encoder of EchoNet-Dynamic: a residual network whose 3-D convolutions are parted into space and time.

A 3 × 3 × 3 convolution from a to b channels becomes 1 × 3 × 3 from a to m, a norm, ReLU and 3 × 1 × 1 from m to b, with

    m = ⌊27 a b / (9 a + 3 b)⌋

so that both have about the same number of weights; the second pair of a block keeps the m of the first.

The names and shapes of the weights are those of the released checkpoints (Kinetics, EchoNet-Dynamic), whose class or
regression head (`fc.weight`, `fc.bias`) is the one thing without a place here.

References: Tran, Wang, Torresani et al. 2018, "A closer look at spatiotemporal convolutions for action recognition",
CVPR; Ouyang, He, Ghorbani et al. 2020, "Video-based AI for beat-to-beat assessment of cardiac function", Nature.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512)
STEM_WIDTH = 45
BLOCKS_PER_STAGE = 2


def space(channels_in: int, channels_out: int, side: int, stride: int) -> nn.Conv3d:
    """A convolution within each frame."""
    return nn.Conv3d(
        channels_in, channels_out, (1, side, side), (1, stride, stride), (0, side // 2, side // 2), bias=False
    )


def time(channels_in: int, channels_out: int, stride: int) -> nn.Conv3d:
    """A convolution over three frames at each place."""
    return nn.Conv3d(channels_in, channels_out, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False)


def space_then_time(channels_in: int, between: int, channels_out: int, stride: int) -> nn.Sequential:
    """The parted 3 × 3 × 3 convolution."""
    return nn.Sequential(
        space(channels_in, between, 3, stride),
        nn.BatchNorm3d(between),
        nn.ReLU(),
        time(between, channels_out, stride),
    )


class ResidualBlock(nn.Module):
    """Two parted convolutions, added to the input, which is brought to their shape where it differs."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        a, b = channels_in, channels_out
        m = 27 * a * b // (9 * a + 3 * b)
        self.conv1 = nn.Sequential(space_then_time(a, m, b, stride), nn.BatchNorm3d(b), nn.ReLU())
        self.conv2 = nn.Sequential(space_then_time(b, m, b, 1), nn.BatchNorm3d(b))
        self.downsample = (
            nn.Identity()
            if a == b and stride == 1
            else nn.Sequential(nn.Conv3d(a, b, 1, stride, bias=False), nn.BatchNorm3d(b))
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv2(self.conv1(x)) + self.downsample(x))


def stage(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    """Blocks of one width, the first of which may halve time and space."""
    further = (ResidualBlock(channels_out, channels_out, 1) for _ in range(BLOCKS_PER_STAGE - 1))
    return nn.Sequential(ResidualBlock(channels_in, channels_out, stride), *further)


class R2Plus1D18(nn.Module):
    """Clip to tokens, whose mean over L is the original's pooled feature.

    31.3 million parameters, the original's head left out.
    """

    width = WIDTHS[-1]

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            space(3, STEM_WIDTH, 7, 2),
            nn.BatchNorm3d(STEM_WIDTH),
            nn.ReLU(),
            time(STEM_WIDTH, WIDTHS[0], 1),
            nn.BatchNorm3d(WIDTHS[0]),
            nn.ReLU(),
        )
        self.layer1 = stage(WIDTHS[0], WIDTHS[0], 1)
        self.layer2 = stage(WIDTHS[0], WIDTHS[1], 2)
        self.layer3 = stage(WIDTHS[1], WIDTHS[2], 2)
        self.layer4 = stage(WIDTHS[2], WIDTHS[3], 2)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, video: Tensor) -> Tensor:
        """Tokens [B, L, 512], L = ⌈T/8⌉ · ⌈H/16⌉ · ⌈W/16⌉, instants outermost, of grey video [B, T, H, W]."""
        # The weights expect three channels; grey is the same picture in each.
        x = self.stem(video[:, None].expand(-1, 3, -1, -1, -1))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        tokens: Tensor = x.flatten(2).transpose(1, 2)
        return tokens
