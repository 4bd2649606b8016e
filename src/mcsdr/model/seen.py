"""What an answer needs of a clip's pictures, gathered in one pass over them, so that they need never lie side by side.

    frame by frame ──> stored (for the encoder) · glances (for the checks) · small (for the pace)  ──> Seen

A thousand pictures of 800 × 600 pixels are half a gigabyte; what is gathered of them is a few megabytes. Pictures that
are at hand, and pictures that come through a pipe, are seen by the same functions and give the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mcsdr.abstention.gates import Abstention, Glances, of_pictures
from mcsdr.clips import ClipSettings, Frames, beats_of, stored_indices, to_square
from mcsdr.clips.beats import Beats
from mcsdr.io.pace import Pace, looked_at, pace_of, small
from mcsdr.study import Clip

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Seen:
    """Of one clip:

    Attributes:
        clip: of its frames only the shape is asked.
        settings: how it is stored.
        stored: uint8 [S, size, size], what windows are cut from.
        against: what its pictures say against an answer.
        pace: what its rhythm says of its frame rate.
    """

    clip: Clip
    settings: ClipSettings
    stored: Frames
    against: tuple[Abstention, ...]
    pace: Pace

    @cached_property
    def beats(self) -> Beats:
        """Of a clip sampled in "seconds"; sought when first asked for."""
        return beats_of(self.clip, self.stored, self.settings)


class Watching:
    """Gathers a clip's pictures as they pass by.

    Arguments:
        clip: of its frames only the shape is asked.
        settings: how clips are stored.

    Raises:
        ClipTooShort: it holds no window.
    """

    def __init__(self, clip: Clip, settings: ClipSettings) -> None:
        self.clip, self.settings = clip, settings
        at = stored_indices(clip, settings)
        self._places: dict[int, list[int]] = {}
        for place, index in enumerate(at.tolist()):
            self._places.setdefault(index, []).append(place)
        self._stored = np.empty((len(at), settings.size, settings.size), dtype=np.uint8)
        self._glances = Glances(len(clip.frames))
        which = looked_at(clip.frame_times_s)
        self._of_pace = range(which.start, which.stop, which.step)
        self._small: list[Picture] = []

    def add(self, index: int, frame: Picture) -> None:
        """See the next frame, uint8 [H, W]; indices count up from 0."""
        self._glances.add(frame)
        if index in self._of_pace:
            self._small.append(np.array(small(frame)))
        places = self._places.get(index)
        if places is not None:
            self._stored[places] = to_square(frame[None], self.settings.size)

    def seen(self) -> Seen:
        """What was gathered, once all frames have passed."""
        against = tuple(of_pictures(self.clip, self._glances))
        return Seen(self.clip, self.settings, self._stored, against, pace_of(self.clip, np.stack(self._small)))


def see(clip: Clip, settings: ClipSettings) -> Seen:
    """What an answer needs of a clip whose pictures are at hand.

    Raises:
        ClipTooShort: it holds no window.
    """
    watching = Watching(clip, settings)
    for index, frame in enumerate(clip.frames):
        watching.add(index, frame)
    return watching.seen()
