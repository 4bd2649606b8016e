"""How a study is seen: clips as frames of one size and rate, their beats and windows, attributes as numbers.

    windows       a clip → stored frames → windows of so many frames
    augmentation  what training does to them
    beats         where each heartbeat begins and ends
    protocol      which windows of which clips make one posterior
    attributes    age, sex, weight and height as standardised numbers

Nothing here knows a network. Another way of choosing windows is one more word in `protocol.ProtocolSettings`.
"""

from mcsdr.clips.augmentation import Augmentation, augment, draw_augmentation, moved, random_crop
from mcsdr.clips.windows import (
    SHORTEST_WHOLE,
    ClipSettings,
    Frames,
    Windows,
    beats_of,
    cut_windows,
    frame_indices,
    interpolate,
    seen_as,
    standardise,
    store,
    stored_indices,
    to_grey,
    to_square,
    window_length,
)

__all__ = [
    "SHORTEST_WHOLE",
    "Augmentation",
    "ClipSettings",
    "Frames",
    "Windows",
    "augment",
    "beats_of",
    "cut_windows",
    "draw_augmentation",
    "frame_indices",
    "interpolate",
    "moved",
    "random_crop",
    "seen_as",
    "standardise",
    "store",
    "stored_indices",
    "to_grey",
    "to_square",
    "window_length",
]
