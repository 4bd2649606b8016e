"""Vectors of an encoder that stays outside: standardised, one token each.

A frozen foundation model is read once, by whoever holds its weights, and leaves a vector for each clip. Mean and SD of
each number over the training rows travel with the weights, so that the same vectors mean the same later on.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class StoredFeatures(nn.Module):
    """From vectors [B, width] to tokens [B, 1, width]; no parameter, two buffers."""

    mean: Tensor
    sd: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("sd", torch.ones(width))

    def fit(self, features: Tensor) -> None:
        """Mean and SD of training vectors [N, width]; a number that never changes is left as it is."""
        sd = features.std(dim=0, correction=0)
        self.mean.copy_(features.mean(dim=0))
        self.sd.copy_(torch.where(sd > 0, sd, torch.ones_like(sd)))

    def forward(self, features: Tensor) -> Tensor:
        return ((features - self.mean) / self.sd)[:, None]
