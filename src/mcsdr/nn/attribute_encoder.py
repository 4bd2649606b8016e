"""One token per attribute; a learned null token where the attribute is unknown.

Values come standardised, [B, A], with NaN for "unknown": there is one way to be missing, in training and in life.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AttributeEncoder(nn.Module):
    """Attributes [B, A], NaN where unknown -> tokens [B, A, width]; each attribute has its own small network."""

    def __init__(self, attributes: int, width: int, hidden: int = 32) -> None:
        super().__init__()
        self.weight_in = nn.Parameter(torch.randn(attributes, hidden))
        self.bias_in = nn.Parameter(torch.randn(attributes, hidden))
        self.weight_out = nn.Parameter(torch.randn(attributes, hidden, width) / hidden**0.5)
        self.present = nn.Parameter(0.02 * torch.randn(attributes, width))
        self.null = nn.Parameter(0.02 * torch.randn(attributes, width))

    def forward(self, values: Tensor) -> Tensor:
        unknown = values.isnan()
        hidden = F.gelu(values.nan_to_num()[..., None] * self.weight_in + self.bias_in)
        tokens = torch.einsum("bah,ahd->bad", hidden, self.weight_out) + self.present
        return torch.where(unknown[..., None], self.null, tokens)
