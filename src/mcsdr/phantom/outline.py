"""The cavity's outline along the long axis, and the two soft edges that everything is drawn with."""

from __future__ import annotations

import torch
from torch import Tensor

Parameters = dict[str, Tensor]
LEVELS = 513  # of the trapezium rule


def profile(s: Tensor, p: Parameters) -> Tensor:
    """The cavity's outline p(s), 0 at the apex and before it."""
    inside = 1 - (1 - (1 + p["profile_h"]) * s.clamp(0, 1)).abs().clamp(max=1) ** p["profile_alpha"]
    return inside.clamp(min=0) ** p["profile_beta"]


def profile_integral(p: Parameters) -> Tensor:
    """∫p(s)² ds, [B, 1, 1], by the trapezium rule on 513 levels."""
    s = torch.linspace(0, 1, LEVELS, device=p["length_mm"].device)[None, None, :]
    return torch.trapezoid(profile(s, p) ** 2, s).unsqueeze(-1)


def inside(distance_mm: Tensor, rim_mm: Tensor | float = 1.6) -> Tensor:
    """1 where the signed distance is negative, 0 where positive, over a rim of the given width."""
    return (0.5 - distance_mm / rim_mm).clamp(0, 1)


def ridge(distance_mm: Tensor, width_mm: Tensor | float) -> Tensor:
    """A parabola-shaped line of the given half width around distance 0."""
    return (1 - (distance_mm / width_mm) ** 2).clamp(min=0)
