"""Making pixels square, once for all readers.

A pixel is dx across and dy down; aspect = dx / dy. Where the two differ by more than 2 %, the coarser axis is resampled
to the finer spacing by cubic interpolation, so that a circle is round, nothing seen is lost and speckle keeps its
contrast:

    aspect > 1    W' = W · aspect, H' = H             aspect < 1    W' = W, H' = H / aspect
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SQUARE = 0.02  # share by which the sides of a pixel may differ
SLIMMEST = 8.0  # ratio of the sides from which it is taken for nonsense
MAX_SIDE = 4096  # pixels
MAX_BYTES = 1 << 30  # of decoded luma, a byte a pixel

Pictures = NDArray[np.uint8]


def plausible_aspect(aspect: float) -> bool:
    """Whether pixels can be so much wider than they are high (NaN, 0 and 100 cannot)."""
    return math.isfinite(aspect) and 1 / SLIMMEST < aspect < SLIMMEST


def squared_size(height: int, width: int, aspect: float, count: int = 1) -> tuple[int, int]:
    """Height and width in square pixels of `count` pictures whose pixels are `aspect` times as wide as high.

    They are the picture's own where its pixels are square already, or the aspect makes no sense. Where the finer
    spacing would outgrow the limits, the finer axis is made coarser instead.
    """
    if not plausible_aspect(aspect) or max(aspect, 1 / aspect) <= 1 + SQUARE:
        return height, width
    wide, high = width * max(1.0, aspect), height * max(1.0, 1 / aspect)
    if max(wide, high) > MAX_SIDE or count * wide * high > MAX_BYTES:
        wide, high = width * min(1.0, aspect), height * min(1.0, 1 / aspect)
    return max(1, round(high)), max(1, round(wide))


def squared(frames: Pictures, aspect: float) -> Pictures:
    """Pictures resampled to square pixels.

    Arguments:
        frames: uint8 [T, H, W], or [T, H, W, 3] in colour.
        aspect: width of a pixel over its height.

    Returns:
        uint8 [T, H', W'] or [T, H', W', 3]; the same array where the pixels are square or the aspect makes no sense.
    """
    height, width = squared_size(frames.shape[1], frames.shape[2], aspect, len(frames))
    if (height, width) == frames.shape[1:3]:
        return frames
    cubic = Image.Resampling.BICUBIC
    return np.stack([np.asarray(Image.fromarray(frame).resize((width, height), cubic)) for frame in frames])


def square_pixels(frames: Pictures, spacing: tuple[float, float]) -> tuple[Pictures, bool]:
    """Frames [T, H, W] resampled to square pixels.

    Arguments:
        frames: uint8 [T, H, W].
        spacing: dx, dy, distance between columns and between rows.

    Returns:
        the frames, and whether the spacing could be made sense of; the frames are as they were where it could not.
    """
    dx, dy = spacing
    if not (math.isfinite(dx) and math.isfinite(dy) and min(dx, dy) > 0 and plausible_aspect(dx / dy)):
        return frames, False
    return squared(frames, dx / dy), True
