"""Telling colour Doppler from a tinted grey-scale picture.

Grey-scale ultrasound may still carry colour: a tint ("chroma map"), a green ECG trace, buttons. Flow is different in
three ways, and a pixel counts as flow only if all three hold. With chroma c = (Cb, Cr) in grey levels:

    saturated     |c| > s                                  grey tissue has |c| of 5 at most
    off the tint  |c - median(c of pixels as bright)| > s  a tint is one curve c(luma), the same everywhere
    moving        not so in every frame looked at          buttons and colour bars stand still

A clip is refused when flow fills over 2 % of its sector in any frame looked at. Measured: real colour Doppler 5.5 to
13.5 % in every frame, real four-chamber loops 0, such a loop with a bright green trace drawn across its sector 0.3 %.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SATURATED = 35.0  # s, grey levels
DOPPLER_SHARE = 0.02  # of the sector's pixels
LEVELS = 16  # steps of brightness, for each of which the tint is learned
TINT_PIXELS = 50_000  # that it is learned from, at least
DECLARED_SHARE = 0.005  # of them, where the file says that it holds colour flow
COLOUR_FRAMES = 8  # frames looked at per clip
COLOUR_SIDE = 400  # their longer side in pixels, at most about

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as in JPEG and DICOM


def colour_stride(height: int, width: int) -> int:
    """Every how many pixels the colour of a picture is looked at."""
    return max(1, round(max(height, width) / COLOUR_SIDE))


def luma(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luma of full-range RGB: uint8 [..., 3] -> uint8 [...]."""
    grey: NDArray[np.uint8] = np.rint(rgb.astype(np.float32) @ _LUMA).astype(np.uint8)
    return grey


class Coloured(NamedTuple):
    """The saturated pixels of some frames, and the frames that they were found in.

    Arguments:
        rgb: uint8 [N, H, W, 3].
        places: where they lie in the flattened frames, int [P].
        level: step of their brightness, int [P].
        chroma: c = (Cb, Cr) in grey levels, float [2, P].
    """

    rgb: NDArray[np.uint8]
    places: NDArray[np.intp]
    level: NDArray[np.intp]
    chroma: NDArray[np.float32]

    def flow(self, inside: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
        """Which pixels show flow, bool [N, H, W]; the tint is learned where `inside` [H, W] is true, or everywhere."""
        flow = np.zeros(self.rgb.shape[:3], dtype=bool)
        if not len(self.places):
            return flow
        tint = _tint(self.rgb.reshape(-1, 3), inside, np.unique(self.level))
        flow.reshape(-1)[self.places] = np.hypot(*(self.chroma - tint[:, self.level])) > SATURATED
        if len(flow) > 1:
            flow &= ~flow.all(axis=0)
        return flow

    def flow_share(self, inside: NDArray[np.bool_]) -> float:
        """The share of a mask's pixels [H, W] that show flow in the frame that shows most of it."""
        if not (inside.any() and len(self.places)):
            return 0.0
        return float(self.flow(inside)[:, inside].mean(axis=1).max())


def coloured_pixels(rgb: NDArray[np.uint8]) -> Coloured:
    """The saturated pixels of uint8 [N, H, W, 3], some frames of a clip.

    Grey pixels, nearly all of a grey-scale clip, are passed over by the spread of their three channels, since |c| is at
    most 0.91 of it.
    """
    flat = rgb.reshape(-1, 3)
    red, green, blue = (np.ascontiguousarray(flat[:, channel]) for channel in range(3))
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    places = np.flatnonzero(spread > SATURATED)
    level, chroma = _level_and_chroma(flat[places])
    saturated = np.hypot(*chroma) > SATURATED
    return Coloured(rgb, places[saturated], level[saturated], chroma[:, saturated])


def flow_share(rgb: NDArray[np.uint8], inside: NDArray[np.bool_]) -> float:
    """The share of a mask's pixels [H, W] that show flow in the frame of rgb [N, H, W, 3] that shows most of it."""
    return coloured_pixels(rgb).flow_share(inside)


def _tint(flat: NDArray[np.uint8], inside: NDArray[np.bool_] | None, levels: NDArray[np.intp]) -> NDArray[np.float32]:
    """Median chroma [2, LEVELS] of the pixels [P, 3] of each brightness asked for, learned from those inside."""
    if inside is None:
        known = flat
    else:
        places, frames = np.flatnonzero(inside), len(flat) // inside.size
        known = flat.reshape(frames, inside.size, 3)[:, places[:: 1 + frames * len(places) // TINT_PIXELS]].reshape(
            -1, 3
        )
    level, chroma = _level_and_chroma(known[:: 1 + len(known) // TINT_PIXELS])
    tint = np.zeros((2, LEVELS), dtype=np.float32)
    for step in levels:
        if (here := level == step).any():
            tint[:, step] = np.median(chroma[:, here], axis=1)
    return tint


def _level_and_chroma(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Step of brightness [P], and c = (Cb, Cr) [2, P], of pixels [P, 3]."""
    value = rgb.astype(np.float32)
    bright: NDArray[np.float32] = value @ _LUMA
    chroma: NDArray[np.float32] = np.stack([0.564 * (value[:, 2] - bright), 0.713 * (value[:, 0] - bright)])
    return (bright / (256 // LEVELS)).astype(np.intp), chroma
