"""A clip's pictures as they pass through the server: seen for the answer, laid on a sheet for the page, let go.

    frame by frame ──> Watching (for the answer) · Sheet (for the page) · one picture (for the reports)

What is kept of half a gigabyte of frames is about a megabyte.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mcsdr.clips import ClipSettings, frame_indices
from mcsdr.clips.outline import CavityOutline
from mcsdr.io.sandbox.wire import Add
from mcsdr.model import Encoded, Model
from mcsdr.model.encoding import encode_seen
from mcsdr.model.outline import outline_of
from mcsdr.model.seen import Seen, Watching
from mcsdr.study import Clip, Study

LONGEST_SIDE, MOST_FRAMES = 320, 120  # of the sheet's frames

Picture = NDArray[np.uint8]
Marks = list[list[dict[str, int]]]  # of each clip, for each whole beat: the frames "ed" and "es"


@dataclass(frozen=True)
class Sheet:
    """A clip's frames on one picture, row by row.

    Attributes:
        jpeg: the picture.
        about: "columns", "count", "width", "height" in pixels of one frame, "rate_hz", "beats", whose "ed" and "es"
            count frames of the sheet, and "outlines": of each frame the lines around the cavity, in its pixels, each as
            x, y, x, y, …; empty of a model that does not tell.
    """

    jpeg: bytes
    about: dict[str, Any]


class Passing:
    """One clip, whose frames are given to it in their order.

    Arguments:
        clip: of its frames only the shape is asked.
        settings: how the model stores clips.

    Raises:
        ClipTooShort: it holds no window.
    """

    def __init__(self, clip: Clip, settings: ClipSettings) -> None:
        self.clip, self.settings = clip, settings
        self._watching = Watching(clip, settings)
        T, H, W = clip.frames.shape
        self._at = np.unique(np.linspace(0, T - 1, min(T, MOST_FRAMES)).round().astype(int))
        self._places = {index: place for place, index in enumerate(self._at.tolist())}
        scale = min(1.0, LONGEST_SIDE / max(H, W))
        self._size = max(1, round(W * scale)), max(1, round(H * scale))
        self._columns = math.ceil(math.sqrt(len(self._at)))
        w, h = self._size
        self._picture = Image.new("L", (self._columns * w, math.ceil(len(self._at) / self._columns) * h))
        self._middle = np.zeros((H, W), dtype=np.uint8)
        self._lit = np.zeros((H, W), dtype=bool)

    def add(self, index: int, frame: Picture) -> None:
        """The next frame, uint8 [H, W]."""
        self._watching.add(index, frame)
        self._lit |= frame > 0
        if index == len(self.clip.frames) // 2:
            self._middle = np.array(frame)
        place = self._places.get(index)
        if place is not None:
            picture, (w, h) = Image.fromarray(frame), self._size
            shown = picture if picture.size == self._size else picture.resize((w, h), Image.Resampling.BILINEAR)
            self._picture.paste(shown, (place % self._columns * w, place // self._columns * h))

    def seen(self) -> Seen:
        """What the answer needs, once all frames have passed."""
        return self._watching.seen()

    def still(self) -> Clip:
        """The clip with its middle picture in place of every frame: all that reports show of it.

        What any frame shows is at least 1 in it, so that the sector's outline is that of the whole clip.
        """
        middle = np.maximum(self._middle, self._lit.astype(np.uint8))
        return replace(self.clip, frames=np.broadcast_to(middle, self.clip.frames.shape))

    def marks(self, seen: Seen) -> list[dict[str, int]]:
        """For each whole beat the frames that show end-diastole and end-systole, as the pictures suggest."""
        if self.settings.sampling != "seconds":
            return []
        at = frame_indices(self.clip.frame_times_s, self.settings)
        return [{"ed": int(at[b.end_diastole]), "es": int(at[b.end_systole])} for b in seen.beats.beats]

    def sheet(self, marks: list[dict[str, int]], outline: CavityOutline | None) -> Sheet:
        """The sheet, with the beats that `marks` name, and where the cavity was seen."""
        buffer = io.BytesIO()
        self._picture.save(buffer, format="JPEG", quality=88)
        at, times, scale = self._at, self.clip.frame_times_s, self._size[0] / self.clip.frames.shape[2]
        rate = (len(at) - 1) / max(1e-6, float(times[at[-1]] - times[at[0]]))
        about = {
            "columns": self._columns,
            "count": len(at),
            "width": self._size[0],
            "height": self._size[1],
            "rate_hz": round(rate, 3),
            "beats": [{k: int(np.abs(at - v).argmin()) for k, v in beat.items()} for beat in marks],
            "outlines": [] if outline is None else [_flat(outline.lines(frame), scale) for frame in at.tolist()],
        }
        return Sheet(buffer.getvalue(), about)


class Passings:
    """The clips of one file on their way through the server; `watch` is for `Reader.read`."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._clips: list[Passing] = []
        self.marks: Marks = []
        self.sheet: Sheet | None = None

    def watch(self, clip: Clip) -> Add:
        """What the clip's frames are to be given to."""
        self._clips.append(Passing(clip, self.model.clip))
        return self._clips[-1].add

    def encoded(self, study: Study, *, with_sheet: bool = False) -> Encoded:
        """The study encoded, its clips and their outlines still; then the pictures are let go.

        Arguments:
            study: as it was read.
            with_sheet: whether `marks` and `sheet` are made too.
        """
        seen = [clip.seen() for clip in self._clips]
        encoded = encode_seen(replace(study, clips=tuple(clip.still() for clip in self._clips)), seen, self.model)
        outlines = [outline_of(one.clip, one.stored, self.model) if with_sheet else None for one in seen]
        if with_sheet:
            self.marks = [clip.marks(one) for clip, one in zip(self._clips, seen, strict=True)]
            self.sheet = self._clips[0].sheet(self.marks[0], outlines[0]) if self._clips else None
        self._clips = []
        told = zip(outlines, study.clips, strict=True)
        stills = tuple(one.still(len(clip.frames) // 2) for one, clip in told if one is not None)
        return replace(encoded, outlines=stills)


def _flat(lines: list[NDArray[np.float64]], scale: float) -> list[list[float]]:
    """Each line as x, y, x, y, … in pixels of the sheet."""
    return [(line * scale).round(1).ravel().tolist() for line in lines]
