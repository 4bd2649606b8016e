"""What every format reader delivers, and the one path from there to a Clip.

    file --reader--> Recording (whole pictures, times, colour samples) --to_clip--> Clip (sector, checked)

A reader decodes; everything that decides whether an ejection fraction may be estimated from the pictures (a still, too
short, colour flow) and every limit on size stands here, once for all formats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcsdr.errors import ClipTooShort, NoFrameTime, NotBMode, SeveralLoops, SingleFrame, UnreadableFile
from mcsdr.io.blank import Blank
from mcsdr.io.colour import COLOUR_FRAMES, DECLARED_SHARE, DOPPLER_SHARE, colour_stride
from mcsdr.io.looking import Look, look
from mcsdr.io.patches import Box
from mcsdr.io.sector import Sector, cut_sector, sample_indices
from mcsdr.io.square import MAX_BYTES as MAX_BYTES
from mcsdr.io.square import MAX_SIDE as MAX_SIDE
from mcsdr.study import Clip, Notice, View

FRAME_RATES = (5.0, 400.0)  # Hz; outside of these no echocardiograph records
SHORTEST_S, LONGEST_S = 0.5, 300.0
BEAT_S = 1.0  # one beat at 60 per minute, where the heart rate is unknown
MISSING_SHARE = 0.05  # of the declared frames; from here on a file counts as damaged
MAX_FRAMES = 20_000
OVERVIEW_SHARE = 0.35  # of the sector's area: a smaller loop beside it may be the overview of a zoom


@dataclass(frozen=True)
class Recording:
    """A decoded file: whole pictures, before the sector is found.

    Arguments:
        path: the file.
        frames: uint8 [T, H, W], luma, 0 black and 255 white.
        frame_times_s: float [T], ascending.
        colour: uint8 [N, h, w, 3], full-range RGB of some frames, every `colour_stride(H, W)`-th pixel; N may be 0.
        regions: where the file says that the 2-D image lies.
        heart_rate_bpm: as the machine recorded it.
        attributes: what the file says of the patient, by the names of `Attributes`.
        attribute_notices: what was wrong with the file's attributes, by the same names.
        notices: what the reader of a result must know of the clip.
        r_wave_times_s: when the ECG's R waves came, on the clock of `frame_times_s`.
        look: where the sector lies, where it was found while the file was read; `frames` are then cut to it already.
        colour_declared: whether the file says that it holds colour flow; the picture is then judged more strictly.
    """

    path: Path
    frames: NDArray[np.uint8]
    frame_times_s: NDArray[np.float64]
    colour: NDArray[np.uint8]
    regions: tuple[Box, ...] = ()
    heart_rate_bpm: float | None = None
    attributes: Mapping[str, float | str] = field(default_factory=dict)
    attribute_notices: Mapping[str, Notice] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()
    r_wave_times_s: tuple[float, ...] = ()
    look: Look | None = None
    colour_declared: bool = False


class FrameStack:
    """Collects decoded frames of one size, and the colour of some, within the limits on size.

    Arguments:
        path: the file, for messages.
        declared: how many frames the file says it has; 0 where it does not say.
        height, width: the picture's size in pixels as the file says it.

    Raises:
        UnreadableFile: the file declares, or later delivers, more than the limits allow.
    """

    def __init__(self, path: Path, declared: int, height: int, width: int) -> None:
        self.path, self.declared, self.height, self.width = path, declared, height, width
        self.indices: list[int] = []  # place in the file of each frame taken
        self._frames: list[NDArray[np.uint8]] = []
        self._colour: list[NDArray[np.uint8]] = []
        self._every = max(1, declared // COLOUR_FRAMES)
        self._stride = colour_stride(height, width)
        if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
            raise UnreadableFile(f"its picture is {width} x {height} pixels; at most {MAX_SIDE} a side", path=path)
        self._check_count(declared)

    def __len__(self) -> int:
        return len(self.indices)

    def order(self) -> Sequence[int]:
        """In which order a reader that can reach any frame should add them, by their places in the file."""
        return range(self.declared)

    def passes(self) -> Sequence[Callable[[int], bool]]:
        """Which frames to add in each pass of a reader that can only go through the file, by their places in it."""
        return (lambda index: True,)

    def add(
        self, luma: NDArray[np.uint8], rgb: Callable[[], NDArray[np.uint8]] | None, index: int | None = None
    ) -> None:
        """Take one frame.

        Arguments:
            luma: uint8 [H, W].
            rgb: gives the frame in colour, uint8 [H, W, 3], or [H, W] where all of it is grey; None says that frames of
                its kind have no colour.
            index: the frame's place in the file, by default after the last one taken.
        """
        if luma.shape != (self.height, self.width):
            raise UnreadableFile("the size of its picture changes from frame to frame", path=self.path)
        self._check_count(len(self) + 1)
        if rgb is not None and len(self) % self._every == 0 and len(self._colour) <= COLOUR_FRAMES:
            self._colour.append(np.ascontiguousarray(rgb()[:: self._stride, :: self._stride]))
        self._frames.append(luma)
        self.indices.append(self.indices[-1] + 1 if index is None and self.indices else index or 0)

    def frames(self) -> NDArray[np.uint8]:
        """The frames so far: uint8 [T, H, W]; they are handed over, not kept.

        Raises:
            UnreadableFile: there is none.
        """
        if not self._frames:
            raise UnreadableFile("no frame of it could be decoded", path=self.path)
        stacked = np.empty((len(self), self.height, self.width), dtype=np.uint8)
        for place in reversed(range(len(stacked))):
            stacked[place] = self._frames.pop()  # freed one by one, so that memory never holds two copies
        return stacked

    def colour(self) -> NDArray[np.uint8]:
        """The colour samples so far: uint8 [N, h, w, 3]; none where all are grey."""
        if all(picture.ndim == 2 for picture in self._colour):
            return np.zeros((0, 1, 1, 3), dtype=np.uint8)
        return np.stack([p if p.ndim == 3 else np.repeat(p[..., None], 3, axis=-1) for p in self._colour])

    def missing(self, declared: int | None = None, *, cut_short: bool = False) -> tuple[Notice, ...]:
        """Compare the frames so far with those declared.

        Arguments:
            declared: where it is another number than the stack was made for.
            cut_short: whether the file ends before its frames do; then what is there, from the first frame on, is used
                where it is at least half of it.

        Raises:
            UnreadableFile: a twentieth or more is missing.
        """
        declared = self.declared if declared is None else declared
        lost = declared - len(self)
        if declared == 0 or (lost <= 0 and not cut_short):
            return ()
        counts = f"the file declares {declared} frames and holds {len(self)} that can be decoded"
        enough = declared - 2 * lost >= 0 if cut_short else lost <= 1 or lost < MISSING_SHARE * declared
        if not enough:
            raise UnreadableFile(
                f"{counts}; it was cut short or damaged",
                path=self.path,
                next_step="Export or copy the whole clip again from its source.",
            )
        why = "; it was cut short, and what is there was used." if cut_short else "; the rest was used."
        return (Notice("frames-missing", f"{counts[0].upper()}{counts[1:]}{why}"),)

    def _check_frames(self, count: int) -> None:
        if count > MAX_FRAMES:
            raise UnreadableFile(f"it holds {count} frames or more; at most {MAX_FRAMES} are read", path=self.path)

    def _check_count(self, count: int) -> None:
        self._check_frames(count)
        if count * self.height * self.width > MAX_BYTES:
            size = f"{count} frames of {self.width} x {self.height} pixels"
            raise UnreadableFile(
                f"it holds {size}, more than {MAX_BYTES >> 20} MiB when decoded",
                path=self.path,
                next_step="Export a shorter part of the clip, or a smaller picture.",
            )


def plausible_rate(rate_hz: float | None) -> bool:
    """Whether a frame rate can be an echocardiograph's (NaN, 0 and 10⁹ cannot)."""
    return rate_hz is not None and FRAME_RATES[0] <= rate_hz <= FRAME_RATES[1]


def checked_rate(rate_hz: float, path: Path) -> float:
    """A frame rate that the caller gave.

    Raises:
        NoFrameTime: it is not one that an echocardiograph records at.
    """
    if not plausible_rate(rate_hz):
        raise NoFrameTime(
            f"the given frame rate of {rate_hz:g} Hz is not between {FRAME_RATES[0]:g} and 400", path=path
        )
    return float(rate_hz)


def uniform_times(count: int, rate_hz: float) -> NDArray[np.float64]:
    """Times in seconds of `count` frames at a constant rate, from 0."""
    return np.arange(count, dtype=np.float64) / rate_hz


def rate_notices(chosen_hz: float, others_hz: Mapping[str, float]) -> tuple[Notice, ...]:
    """A notice where any other rate found differs from the chosen one by more than a tenth."""
    differing = [f"{name} {rate:.4g} Hz" for name, rate in others_hz.items() if abs(rate / chosen_hz - 1.0) > 0.1]
    if not differing:
        return ()
    text = f"The frame rate used is {chosen_hz:.4g} Hz, but the file also says: {', '.join(differing)}."
    return (Notice("frame-time-disagrees", text),)


def to_clip(recording: Recording, view: View = View.UNKNOWN) -> Clip:
    """Find the sector, refuse what is not a grey-scale loop, and make the Clip.

    Raises:
        SingleFrame: one frame only.
        ClipTooShort: under half a second.
        NotBMode: colour flow in the sector.
        SeveralLoops: more than one moving picture on the screen.
        EmptyPicture: large, and nothing is seen in it.
    """
    frames = recording.frames
    if recording.look is None:
        blank = Blank(recording.path)
        for index in sample_indices(len(frames)):
            blank.look(frames[index], index)
    notices = recording.notices + _duration_notices(recording)
    seen = recording.look or look(frames, recording.colour, recording.regions)
    sector = seen.sector
    if seen.flow > (DECLARED_SHARE if recording.colour_declared else DOPPLER_SHARE):
        raise NotBMode("the picture shows colour flow (colour Doppler)", path=recording.path)
    if sector.others:
        raise _several_loops(sector, recording.path)
    if not sector.found:
        text = "No ultrasound sector was found in the picture; all of it was used."
        notices += (Notice("sector-not-found", text),)
    uncut = sector.crop.method == "whole"
    return Clip(
        frames=cut_sector(frames, sector) if recording.look is None else frames,
        frame_times_s=recording.frame_times_s,
        view=view,
        heart_rate_bpm=recording.heart_rate_bpm,
        source=recording.path.name,
        crop=sector.crop,
        overview=None if uncut else seen.overview,
        notices=notices,
        r_wave_times_s=recording.r_wave_times_s,
    )


def _several_loops(sector: Sector, path: Path) -> SeveralLoops:
    """Why a screen of several moving pictures is not read; two views of one heart move alike, as a zoom's two do."""
    count = 1 + len(sector.others)
    if max(other.sum() for other in sector.others) >= OVERVIEW_SHARE * sector.mask.sum():
        return SeveralLoops(f"its screen shows {count} moving pictures side by side", path=path)
    return SeveralLoops(
        f"its screen shows {count} moving pictures, a large one and a small one that may be a zoom's overview",
        path=path,
        next_step="Export the loop without zoom, or cut the video to the picture that shows all of the heart.",
    )


def _duration_notices(recording: Recording) -> tuple[Notice, ...]:
    times = recording.frame_times_s
    if len(times) < 2:
        raise SingleFrame("it holds a single frame", path=recording.path)
    interval = float(np.median(np.diff(times)))
    duration = float(times[-1] - times[0]) + interval
    if duration > LONGEST_S:
        step = "Cut out the heartbeats that are to be read."
        raise UnreadableFile(
            f"it lasts {duration:.0f} s; at most {LONGEST_S:.0f} s are read", path=recording.path, next_step=step
        )
    if duration < SHORTEST_S:
        raise ClipTooShort(f"it lasts {duration:.2f} s, under {SHORTEST_S:g} s", path=recording.path)
    rate = recording.heart_rate_bpm
    beat = 60.0 / rate if rate else BEAT_S
    if duration >= beat - 0.5 * interval:
        return ()
    why = f"one beat at {rate:g} per minute takes {beat:.2f} s" if rate else "the heart rate is not known"
    text = f"The clip lasts {duration:.2f} s and may hold less than one heartbeat ({why})."
    return (Notice("may-hold-less-than-one-beat", text),)
