"""Styles of drawing that phantoms for training never have: one whole style for selection, another for measuring.

A style changes what tissue looks like, what a machine makes of it and what the rules of the anatomy are, so that how
well a model bears real echo, which is another style again, can be told from phantoms. Each is a set of rows that are 0
elsewhere (`table.SHIFTED`):

    shifted-val     walls in two bright layers with a dark one between; speckle smoothed where there is no edge; an
                    S-shaped grey curve; the apex rocks
    shifted-test    tissue is bright where it faces the beam and dark along it; speckle coarser than the beam tells,
                    side lobes; the wall slides through the plane; ejection early or late
"""

from __future__ import annotations

import torch
from torch import Tensor

from mcsdr.phantom.outline import Parameters


def layered(p: Parameters, wall: Tensor, endo_mm: Tensor, epi_mm: Tensor) -> Tensor:
    """Echo of the wall [B, T, P], its middle layer darker by the share `layers`."""
    if not bool((p["layers"] != 0).any()):
        return wall
    deep = (endo_mm / (endo_mm - epi_mm).clamp(min=1e-3)).clamp(0, 1)
    return wall * (1 - p["layers"] * (4 * deep * (1 - deep)) ** 2)


def facing(p: Parameters, amplitude: Tensor, blood: Tensor, rows: int, beams: int) -> Tensor:
    """Echo [B, T, P] of tissue on the polar grid, brighter where it changes along the beam, as specular tissue is."""
    if not bool((p["specular"] != 0).any()):
        return amplitude
    field = amplitude.view(*amplitude.shape[:2], rows, beams)
    step = torch.zeros_like(field)
    step[:, :, 1:] = (field[:, :, 1:] - field[:, :, :-1]).abs()
    bright = (0.5 + 4.0 * step.flatten(2) / p["wall"]).clamp(max=2.5)
    return amplitude * torch.lerp(torch.ones_like(blood), bright, p["specular"] * (1 - blood))
