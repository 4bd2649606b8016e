"""echo-C: fourteen things that go wrong between heart and file, each in five severities.

    worse = corrupt(clip, "haze", 3, np.random.default_rng(0))

Severity 0 is the clip itself. Equal generators give the same fault at every severity, only worse, so that those of one
clip are in order. What a machine or a body does (gain, haze, shadows, beam) follows the sector's own range and beams;
outside of the sector the picture stays as it was, but for crops and text.

To add one, write its kernel in `kernels` and name it in `TABLE` with five amounts.

References: Hendrycks and Dietterich 2019, "Benchmarking neural network robustness to common corruptions and
perturbations" (the plan of corruptions × severities).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from numpy.random import Generator

from mcsdr.errors import InvalidConfig
from mcsdr.phantom.corruptions import kernels
from mcsdr.phantom.corruptions.sector import Sector, sector_of
from mcsdr.study import Clip

__all__ = ["NAMES", "SEVERITIES", "TABLE", "Corruption", "corrupt", "sector_of"]

SEVERITIES = (1, 2, 3, 4, 5)


class Corruption(NamedTuple):
    """What is done to a clip, how much of it at severities 1 to 5, and in which unit."""

    kernel: Callable[[Clip, Sector, float, Generator], Clip]
    amounts: tuple[float, float, float, float, float]
    unit: str


#                     kernel                                  1      2      3      4      5    unit
TABLE = {
    "speckle":        Corruption(kernels.speckle,        ( 0.20,  0.40,  0.60,  0.80,  1.00), "share of full speckle"),
    "Gaussian noise": Corruption(kernels.gaussian_noise, (    6,    12,    20,    30,    42), "grey levels, SD"),
    "haze":           Corruption(kernels.haze,           ( 0.20,  0.40,  0.60,  0.80,  1.00), "share of white"),
    "gain ±":         Corruption(kernels.gain,           (    4,     8,    12,    16,    20), "dB"),
    "TGC bands":      Corruption(kernels.tgc_bands,      (    3,     6,     9,    12,    15), "dB, SD of a slider"),
    "attenuation":    Corruption(kernels.attenuation,    (    8,    16,    24,    32,    40), "dB at the sector's end"),
    "shadow sector":  Corruption(kernels.shadow_sector,  ( 0.08,  0.16,  0.24,  0.32,  0.40), "of the half angle"),
    "lateral blur":   Corruption(kernels.lateral_blur,   (  1.0,   2.0,   3.5,   5.0,   7.0), "degrees, SD"),
    "compression":    Corruption(kernels.compression,    (   40,    20,    12,     7,     3), "JPEG quality"),
    "resolution":     Corruption(kernels.resolution,     (  1.5,     2,     3,   4.5,     6), "times as coarse"),
    "frame drop":     Corruption(kernels.frame_drop,     ( 0.20,  0.40,  0.60,  0.75,  0.85), "share of frames lost"),
    "jitter":         Corruption(kernels.jitter,         (0.005, 0.010, 0.020, 0.030, 0.045), "share of the side, SD"),
    "crop":           Corruption(kernels.crop,           ( 0.06,  0.12,  0.18,  0.24,  0.30), "share of the side lost"),
    "overlay text":   Corruption(kernels.overlay_text,   (    1,     2,     4,     7,    11), "lines"),
}  # fmt: skip
NAMES = tuple(TABLE)


def corrupt(clip: Clip, name: str, severity: int, rng: Generator) -> Clip:
    """A clip with one thing gone wrong.

    Arguments:
        clip: with three frames or more.
        name: of `NAMES`.
        severity: 0, nothing, to 5.
        rng: where all randomness comes from; give an equal one for each severity of a clip.

    Raises:
        InvalidConfig: no such corruption or severity.
    """
    if name not in TABLE:
        raise InvalidConfig(f"no corruption {name!r}.", next_step=f"Choose of {', '.join(NAMES)}.")
    if severity not in (0, *SEVERITIES):
        raise InvalidConfig(f"severity {severity} of a corruption.", next_step="Choose 0 (nothing) to 5.")
    if severity == 0:
        return clip
    corruption = TABLE[name]
    return corruption.kernel(clip, sector_of(clip), corruption.amounts[severity - 1], rng)
