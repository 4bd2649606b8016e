"""UniFormer-S, the encoder of the MCSDR paper and of CoReEcho: convolution where pictures are large, attention after.

    video [T, H, W] → [64, T/2, H/4, W/4] → [128, T/2, H/8, W/8] → [320, T/2, H/16, W/16] → [512, T/2, H/32, W/32]

Every block adds three things to its input: a depthwise 3 × 3 × 3 convolution, which tells a place where it is; a
mixer; and a feed-forward four times as wide. Stages 1 and 2 mix by a depthwise 5 × 5 × 5 convolution, stages 3 and 4
by self-attention over all places and instants, 64 channels to a head.

The names and shapes of the weights are those of the released checkpoints (Kinetics, CoReEcho, MCSDR), whose class head
(`head.weight`, `head.bias`) is the one thing without a place here. Sides that are no multiple of 32 lose their
remainder: 112 × 112 gives 3 × 3 places, as in the original.

References: Li, Wang, Gao et al. 2022, "UniFormer: unified transformer for efficient spatiotemporal representation
learning", ICLR; Maani, Saeed, Matsun et al. 2024, "CoReEcho".
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

DEPTHS = (3, 4, 8, 3)
WIDTHS = (64, 128, 320, 512)
HEAD_WIDTH = 64
EXPANSION = 4


def pointwise(channels_in: int, channels_out: int) -> nn.Conv3d:
    """A linear map of the channels at every place."""
    return nn.Conv3d(channels_in, channels_out, 1)


def depthwise(channels: int, side: int) -> nn.Conv3d:
    """Each channel convolved by itself, the size kept."""
    return nn.Conv3d(channels, channels, side, padding=side // 2, groups=channels)


class Attention(nn.Module):
    """Self-attention of tokens [B, L, d]."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        split = self.qkv(tokens).unflatten(-1, (3, -1, HEAD_WIDTH))
        queries, keys, values = split.permute(2, 0, 3, 1, 4)
        heads = F.scaled_dot_product_attention(queries, keys, values)
        out: Tensor = self.drop(self.proj(heads.transpose(1, 2).flatten(2)))
        return out


class FeedForward(nn.Module):
    """Two layers with GELU between, of tokens or, by pointwise convolutions, of a map."""

    def __init__(self, first: nn.Module, second: nn.Module, dropout: float) -> None:
        super().__init__()
        self.fc1, self.fc2 = first, second
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.drop(self.fc2(self.drop(F.gelu(self.fc1(x)))))
        return out


class ConvolutionBlock(nn.Module):
    """Local mixing of a map [B, d, T, H, W]."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.pos_embed = depthwise(width, 3)
        self.norm1 = nn.BatchNorm3d(width)
        self.conv1 = pointwise(width, width)
        self.attn = depthwise(width, 5)
        self.conv2 = pointwise(width, width)
        self.norm2 = nn.BatchNorm3d(width)
        wide = EXPANSION * width
        self.mlp = FeedForward(pointwise(width, wide), pointwise(wide, width), dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_embed(x)
        x = x + self.conv2(self.attn(self.conv1(self.norm1(x))))
        x = x + self.mlp(self.norm2(x))
        return x


class AttentionBlock(nn.Module):
    """Global mixing of a map [B, d, T, H, W]."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.pos_embed = depthwise(width, 3)
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, dropout)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        wide = EXPANSION * width
        self.mlp = FeedForward(nn.Linear(width, wide), nn.Linear(wide, width), dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_embed(x)
        size = x.shape[2:]
        tokens = to_tokens(x)
        tokens = tokens + self.attn(self.norm1(tokens))
        tokens = tokens + self.mlp(self.norm2(tokens))
        mixed: Tensor = tokens.transpose(1, 2).unflatten(2, size)
        return mixed


class PatchEmbedding(nn.Module):
    """Patches to channels, then a norm over these; the first one looks three frames far and keeps every second."""

    def __init__(self, channels: int, width: int, side: int, *, in_time: bool = False) -> None:
        super().__init__()
        frames, stride, padding = (3, 2, 1) if in_time else (1, 1, 0)
        self.proj = nn.Conv3d(channels, width, (frames, side, side), (stride, side, side), (padding, 0, 0))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = self.norm(self.proj(x).permute(0, 2, 3, 4, 1))
        return normed.permute(0, 4, 1, 2, 3)


class UniFormerS(nn.Module):
    """Clip to tokens, whose mean over L is the original's pooled feature.

    21.2 million parameters, the original's class head left out.

    Arguments:
        dropout: of patches and feed-forwards in training; 0.1 is what CoReEcho and MCSDR were trained with.
    """

    width = WIDTHS[-1]

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        self.patch_embed1 = PatchEmbedding(3, WIDTHS[0], 4, in_time=True)
        self.patch_embed2 = PatchEmbedding(WIDTHS[0], WIDTHS[1], 2)
        self.patch_embed3 = PatchEmbedding(WIDTHS[1], WIDTHS[2], 2)
        self.patch_embed4 = PatchEmbedding(WIDTHS[2], WIDTHS[3], 2)
        self.pos_drop = nn.Dropout(dropout)
        self.blocks1 = nn.Sequential(*(ConvolutionBlock(WIDTHS[0], dropout) for _ in range(DEPTHS[0])))
        self.blocks2 = nn.Sequential(*(ConvolutionBlock(WIDTHS[1], dropout) for _ in range(DEPTHS[1])))
        self.blocks3 = nn.Sequential(*(AttentionBlock(WIDTHS[2], dropout) for _ in range(DEPTHS[2])))
        self.blocks4 = nn.Sequential(*(AttentionBlock(WIDTHS[3], dropout) for _ in range(DEPTHS[3])))
        self.norm = nn.BatchNorm3d(WIDTHS[3])
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, video: Tensor) -> Tensor:
        """Tokens [B, L, 512], L = ⌈T/2⌉ · ⌊H/32⌋ · ⌊W/32⌋, instants outermost, of grey video [B, T, H, W]."""
        # The weights expect three channels; grey is the same picture in each.
        x = video[:, None].expand(-1, 3, -1, -1, -1)
        x = self.blocks1(self.pos_drop(self.patch_embed1(x)))
        x = self.blocks2(self.patch_embed2(x))
        x = self.blocks3(self.patch_embed3(x))
        x = self.blocks4(self.patch_embed4(x))
        return to_tokens(self.norm(x))


def to_tokens(x: Tensor) -> Tensor:
    """A map [B, d, T, H, W] as tokens [B, T·H·W, d]."""
    return x.flatten(2).transpose(1, 2)
