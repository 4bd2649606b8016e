"""What the three samples of a pixel are: red, green and blue, or luma and two colour differences.

The label (Photometric Interpretation) is often not what the samples are. The stream knows best (codestream.py); where
it is silent the samples tell, because ultrasound is nearly grey:

    |c₂ − 128| and |c₃ − 128| small    luma and differences, YCbCr
    |c₁ − c₂|  and |c₁ − c₃|  small    red, green, blue

Where neither holds for most of a picture, or both do, the label decides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mcsdr.io.codestream import Colour
from mcsdr.study import Notice

NEAR = 16  # grey levels
CLEARLY = 0.3  # of a picture's pixels: by so much one must hold for more of them than the other
MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
AS_RGB = ("RGB", "YBR_RCT", "YBR_ICT")  # a decoder of JPEG 2000 gives RGB for the latter two
AS_YBR = ("YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420")
MODELS = (*MONOCHROME, "PALETTE COLOR", *AS_RGB, *AS_YBR)
NAMES = {"RGB": "RGB", "YBR": "YCbCr"}

Picture = NDArray[np.uint8]


def labelled(model: str) -> Colour | None:
    """What a label says of three samples; None where it says nothing."""
    return "RGB" if model in AS_RGB else "YBR" if model in AS_YBR else None


def samples_say(picture: Picture) -> Colour | None:
    """What the samples of a picture, uint8 [H, W, 3], are by their values; None where these do not tell."""
    first, second, third = (picture[..., channel].astype(np.int16) for channel in range(3))
    centred = (np.abs(second - 128) <= NEAR) & (np.abs(third - 128) <= NEAR)
    equal = (np.abs(first - second) <= NEAR) & (np.abs(first - third) <= NEAR)
    lead = float(centred.mean()) - float(equal.mean())
    return "YBR" if lead > CLEARLY else "RGB" if lead < -CLEARLY else None


def colour_of(
    picture: Picture, model: str, stream: Colour | None, default: Colour
) -> tuple[Colour, tuple[Notice, ...]]:
    """What the samples of the pictures are, and what must be said of the label.

    Arguments:
        picture: one of them, uint8 [H, W, 3].
        model: the label.
        stream: what the stream says.
        default: where nothing tells.
    """
    label = labelled(model)
    found = stream or samples_say(picture) or label or default
    if label is not None and stream not in (None, label) and samples_say(picture) == label:
        found = label  # two against one: encoders write a JFIF marker before whatever they are given
    if label is None or label == found:
        return found, ()
    text = f"The header calls the pixels {NAMES[label]}, but they are stored as {NAMES[found]} and were read so."
    return found, (Notice("colour-label-untrue", text),)


def rgb_of_ybr(ybr: Picture) -> Picture:
    """Full-range YCbCr (ITU-R BT.601) to RGB: uint8 [..., 3]."""
    y, cb, cr = (ybr[..., channel].astype(np.float32) for channel in range(3))
    cb, cr = cb - 128.0, cr - 128.0
    value = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    rgb: Picture = np.clip(np.rint(value), 0, 255).astype(np.uint8)
    return rgb
