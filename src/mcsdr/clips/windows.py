"""From a clip to what the encoder sees: sampling in time, framing, grey levels.

A clip is first *stored*: brought to `size` × `size` pixels with its sector's tip at the top, uint8. Then *windows* are
cut from what is stored, each one input of the encoder:

    "seconds"   stored are the frames nearest to a grid of `rate_hz`; a window is `frames` of them in a row. A nearest
                frame keeps its speckle; interpolation would blur it. Windows are taken from the middle, from all over,
                and around each beat (`mcsdr.clips.beats`). Of a clip shorter than a window all is seen, at the rate at
                which it fills a multiple of 4 frames, at most a seventh off.
    "whole"     stored is every `every`-th frame; the one window is the share `keep` of them, linearly interpolated in
                time to `frames`. This is the MCSDR paper's way, and that of half sequences (CAMUS).
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from mcsdr.clips.beats import MOST_BEATS, Beats, find_beats
from mcsdr.errors import ClipTooShort
from mcsdr.study import Clip, even_times

SHORTEST_FRAMES = 12  # of a window at `rate_hz`
SHORTEST_WHOLE = 5  # of a clip that is interpolated
RESIZED_AT_ONCE = 4 << 20  # pixels
LEAST_KEPT = 16  # of a longer one in training, whatever share is drawn
Windows = Literal["one", "three", "all", "beats"]
Frames = NDArray[np.uint8]


class ClipSettings(BaseModel):
    """How a clip is sampled; stored with the model, since it must never change after training."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    sampling: Literal["seconds", "whole"] = "seconds"
    rate_hz: float = Field(25.0, gt=0, le=1000)  # "seconds" only
    frames: int = Field(32, gt=0, le=1024, multiple_of=4)
    size: int = Field(112, gt=0, le=1024, multiple_of=16)
    every: int = Field(1, gt=0, le=1000)  # "whole" only: frames between one that is taken and the next
    keep: float = Field(1.0, gt=0, le=1)  # "whole" only: the central share of them that an answer sees
    keep_least: float = Field(1.0, gt=0, le=1)  # and in training the least share, drawn up to 1 and anywhere
    grey: Literal["standardised", "unit"] = "standardised"


def store(clip: Clip, settings: ClipSettings) -> Frames:
    """What is kept of a clip, uint8 [S, size, size]; windows are cut from it.

    Raises:
        ClipTooShort: it holds no window.
    """
    at = stored_indices(clip, settings)
    return to_square(
        clip.frames[at] if settings.sampling == "seconds" else clip.frames[:: settings.every], settings.size
    )


def stored_indices(clip: Clip, settings: ClipSettings) -> NDArray[np.int64]:
    """Which frames of a clip are stored, int [S], ascending; a frame may be stored twice.

    Raises:
        ClipTooShort: it holds no window.
    """
    if settings.sampling == "seconds":
        at, shortest = frame_indices(clip.frame_times_s, settings), SHORTEST_FRAMES
    else:
        at, shortest = np.arange(0, len(clip.frames), settings.every), SHORTEST_WHOLE
    if len(at) < shortest:
        raise ClipTooShort(
            f"the clip lasts {clip.duration_s:.2f} s, too short for a reading.", path=clip.source or None
        )
    return at


def frame_indices(times_s: NDArray[np.float64], settings: ClipSettings) -> NDArray[np.int64]:
    """Which frames lie nearest to a grid of `rate_hz` over the clip, int [S]; its central window is centred in time.

    Where the clock starts, its unit and its rounding do not matter, see `study.even_times`.
    """
    times_s = even_times(times_s)
    span, step = float(times_s[-1] - times_s[0]), float(np.median(np.diff(times_s)))
    # The grid may reach half a frame beyond the last one, where that frame is still the nearest.
    count = math.floor((span + step / 2 + 1e-6) * settings.rate_hz) + 1
    if SHORTEST_FRAMES <= count < settings.frames:
        count = 4 * math.floor((span + step) * settings.rate_hz / 4 + 0.5)
        grid = times_s[0] - step / 2 + (span + step) * (np.arange(count) + 0.5) / count
    else:
        count = min(settings.frames, count) // 4 * 4
        slack = span - (count - 1) / settings.rate_hz
        start, spare = (times_s[0], 0) if slack <= 1 / settings.rate_hz else (times_s[0] + slack / 2, slack / 2)
        extra = math.floor(spare * settings.rate_hz)
        grid = start + np.arange(-extra, count + extra) / settings.rate_hz
    after = np.searchsorted(times_s, grid).clip(1, len(times_s) - 1)
    nearer_before = grid - times_s[after - 1] <= times_s[after] - grid
    return np.asarray(np.where(nearer_before, after - 1, after))


def window_length(stored: int, settings: ClipSettings) -> int:
    """Frames of a window of a clip of which `stored` frames are kept, a multiple of 4."""
    return settings.frames if settings.sampling == "whole" else min(settings.frames, stored // 4 * 4)


def beats_of(clip: Clip, stored: Frames, settings: ClipSettings) -> Beats:
    """The beats of a stored clip ("seconds"), with what its file says of the rhythm."""
    times_s = even_times(clip.frame_times_s)
    first_s = float(clip.frame_times_s[0] + times_s[frame_indices(clip.frame_times_s, settings)[0]])
    r_waves_s = tuple(time - first_s for time in clip.r_wave_times_s)
    duration_s = float(times_s[-1] + np.median(np.diff(times_s)))
    rate_hz = settings.rate_hz if len(stored) >= settings.frames else len(stored) / duration_s
    return find_beats(stored, rate_hz, heart_rate_bpm=clip.heart_rate_bpm, r_waves_s=r_waves_s)


def cut_windows(
    stored: Frames, settings: ClipSettings, windows: Windows = "one", beats: Beats | None = None
) -> list[Frames]:
    """The windows of a stored clip, each uint8 [T, size, size].

    "one" is the central one, "three" are evenly spaced, "all" overlap by half; "whole" clips have one. "beats" has one
    around each beat, as found in the stored frames unless `beats` are given, and after them "all" that are not among
    them, or of a very long clip as many, evenly spread, as beats are read.
    """
    if settings.sampling == "whole":
        return [interpolate(stored, settings.frames, settings.keep)]
    length = window_length(len(stored), settings)
    spare = len(stored) - length
    if windows == "one":
        starts = [spare // 2]
    elif windows == "three":
        starts = sorted({0, spare // 2, spare})
    else:
        count = 1 + math.ceil(spare / (length // 2))
        if windows == "beats":
            count = min(count, MOST_BEATS)
        starts = np.linspace(0, spare, count).round().astype(int).tolist()
    if windows == "beats":
        found = find_beats(stored, settings.rate_hz) if beats is None else beats
        starts = list(dict.fromkeys([*(window.start for window in found.windows(length)), *starts]))
    return [np.asarray(stored[start : start + length]) for start in starts]


def interpolate(frames: Frames, count: int, keep: float, place: float | None = None) -> Frames:
    """A share `keep` of the frames [S, …], linearly interpolated in time to `count`, uint8.

    Arguments:
        place: in training where the share lies, in [0, 1): every whole start is as likely for a uniform place, and
            LEAST_KEPT frames are kept at least, as in the MCSDR authors' code; the middle where not given.

    Frame i of the result lies at (i + ½)·L/count − ½ of the L frames kept, held within them.
    """
    length = max(2, math.floor(len(frames) * keep))
    if place is None:
        start = min(math.floor(0.5 * len(frames) * (1 - keep)), len(frames) - length)
    else:
        length = max(length, min(LEAST_KEPT, len(frames)))
        start = min(math.floor(place * (len(frames) - length + 1)), len(frames) - length)
    at = ((np.arange(count) + 0.5) * length / count - 0.5).clip(0, length - 1)
    before = np.minimum(at.astype(np.int64), length - 2)
    share = (at - before).astype(np.float32)[:, None, None]
    mixed = frames[start + before] * (1 - share) + frames[start + before + 1] * share
    return np.asarray((mixed + 0.5).astype(np.uint8))


def to_square(frames: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Pad [T, H, W] to a square, tip at the top and centred across, and resize with antialiasing.

    As numbers of four bytes large pictures would take many times their memory: a few are resized at a time.
    """
    count, height, width = frames.shape
    if height == width == size:
        return frames
    some = max(1, RESIZED_AT_ONCE // max(height, width) ** 2)
    resized = np.empty((count, size, size), dtype=np.uint8)
    for start in range(0, count, some):
        resized[start : start + some] = _resized(frames[start : start + some], size)
    return resized


def _resized(frames: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    _, height, width = frames.shape
    side = max(height, width)
    left = (side - width) // 2
    x = torch.tensor(np.ascontiguousarray(frames)).float()  # a copy: what a reader hands over may be read-only
    x = F.pad(x, (left, side - width - left, 0, side - height))
    x = F.interpolate(x[:, None], (size, size), mode="bilinear", antialias=True, align_corners=False)[:, 0]
    return np.asarray(x.round().clamp(0, 255).to(torch.uint8).numpy())


def to_grey(frames: Tensor, settings: ClipSettings) -> Tensor:
    """What the encoder sees of frames [B, T, H, W], uint8 or float in [0, 1]: standardised, or in [0, 1]."""
    if settings.grey == "standardised":
        return standardise(frames)
    return frames.float() / 255 if frames.dtype == torch.uint8 else frames


def standardise(frames: Tensor) -> Tensor:
    """Float [B, T, H, W], each clip to mean 0 and SD 1; a clip without contrast stays finite.

    One by one: a clip stays in a processor's cache, a batch does not.
    """

    def standard(clip: Tensor) -> Tensor:
        x = clip.float()
        x = x - x.mean()
        return x / (x.square().mean().sqrt() + 1e-3)

    return torch.stack([standard(clip) for clip in frames])


def seen_as(window: Frames, look: int) -> Frames:
    """The same beat seen otherwise, a view of uint8 [T, H, W]: 0 as it is, 1 mirrored, 2 last frame first, 3 both."""
    if look & 1:
        window = window[:, :, ::-1]
    if look & 2:
        window = window[::-1]
    return window
