"""Where a compact encoder sees the left ventricle's cavity: a linear reading of its last maps, for people to look at.

    p = σ(W m + b)      m   the C numbers of a map at one of 7 × 7 places and T/4 instants
                        p   how probable cavity is at the 4 × 4 places within it, in each of its 4 frames

An answer does not rest on it: the reading is fitted afterwards (`mcsdr.evaluation.outlining`), and no number of the
posterior depends on it. What it shows is what the answer can rest on. A cavity that is not found, or lies where there
is none, is a reason to distrust the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mcsdr.clips import Frames, stored_indices, to_grey, window_length
from mcsdr.clips.outline import CavityOutline
from mcsdr.errors import InvalidModel
from mcsdr.nn.video_encoder import FRAMES_PER_TOKEN, MAP_SIDE, CompactEncoder, laid_out
from mcsdr.study import Clip

if TYPE_CHECKING:
    from mcsdr.model.model import Model

Stored = NDArray[np.float32]

SIDE = 28  # places along a side of the picture
MOST_WINDOWS = 16  # that are read, in the middle of a longer clip
CELLS = SIDE // MAP_SIDE
READ = FRAMES_PER_TOKEN * CELLS**2  # at each place of a map


@dataclass(frozen=True)
class OutlineReading:
    """What was learnt of the maps; few numbers, float32, kept beside the network's weights.

    Attributes:
        weight: W [READ, C].
        bias: b [READ].
    """

    weight: Stored
    bias: Stored

    def __post_init__(self) -> None:
        if self.weight.ndim != 2 or len(self.weight) != READ or self.bias.shape != (READ,):
            raise InvalidModel("the reading of the outline is of another shape than the encoder's maps.")

    @property
    def numbers(self) -> int:
        """How many numbers it holds."""
        return self.weight.size + self.bias.size

    def probability(self, maps: Tensor) -> Tensor:
        """p [N, T, SIDE, SIDE] of maps [N, C, T/4, 7, 7]."""
        weight, bias = (torch.from_numpy(part).to(maps.device) for part in (self.weight, self.bias))
        read = maps.float().permute(0, 2, 3, 4, 1) @ weight.T + bias
        return laid_out(read, CELLS)[:, :, 0].sigmoid()


def maps_of(model: Model, windows: Frames) -> Tensor:
    """The encoder's last maps [N, C, T/4, 7, 7] of windows uint8 [N, T, size, size].

    Raises:
        InvalidModel: its encoder has no such maps.
    """
    encoder = model.network.video_encoder
    if not isinstance(encoder, CompactEncoder):
        raise InvalidModel("only a compact encoder has maps that an outline can be read from.")
    with torch.inference_mode(), model.mixed():
        return encoder.maps(to_grey(torch.from_numpy(windows).to(model.device), model.clip))


def outline_of(clip: Clip, stored: Frames, model: Model) -> CavityOutline | None:
    """Where the model sees the cavity, at the stored instants; None of a model that has no such reading.

    Arguments:
        clip: of its frames only the shape is asked.
        stored: what `clips.store` keeps of it, uint8 [S, size, size].
    """
    reading, settings = model.outline, model.clip
    if reading is None or settings.sampling != "seconds":
        return None
    length = window_length(len(stored), settings)
    spare = max(0, len(stored) - MOST_WINDOWS * length)
    some = slice(spare // 2, len(stored) - (spare - spare // 2))
    frames = stored[some]
    p = np.empty((len(frames), SIDE, SIDE), dtype=np.float16)
    for start in sorted({*range(0, len(frames) - length + 1, length), len(frames) - length}):
        window = np.ascontiguousarray(frames[start : start + length])
        p[start : start + length] = reading.probability(maps_of(model, window[None]))[0].cpu().numpy()
    _, height, width = clip.frames.shape
    return CavityOutline(p, stored_indices(clip, settings)[some], (height, width))
