"""Whether the frame rate that is stated can be: what else is known of the rhythm is held against it.

A rate that is wrong by a factor makes the heart in the pictures beat at a wrong pace, and its ejection fraction is read
from the wrong share of a beat. With f beats a minute, found in the pictures at the rate stated,

    R waves of the ECG        come after the last frame               the clip lasts longer than stated
    heart rate of the machine is not seen, and another is, clearly    the rate is off by about their ratio
    neither is known          f is no resting adult's                 the rate is off, if this is one

None of it proves anything, so it is a notice and not a refusal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mcsdr.clips.beats import picture_rate, rate_confidence
from mcsdr.study import Clip, Notice

SIDE = 56  # pixels; beats are found in pictures as small
LONGEST_S, ENOUGH_HZ = 30.0, 50.0  # what is looked at; the work grows as duration times rate squared
RESTING = (35.0, 220.0)  # beats per minute of a resting adult, and of a small child
CLEAR = 0.5  # confidence from which a pace counts as seen
SEEN = 0.5  # of that confidence: from here on the known pace is seen beside a slower one
MORE_SO = 1.1  # times that confidence: so much clearer the known pace is where a faster one is but half a beat
APART = 1.4  # factor between two rates from which they contradict each other
BEYOND = 0.1  # of the clip's duration: so far after its end an R wave may lie
NEXT = "Find out the true rate and give it: --frame-rate HZ on the command line, frame_rate_hz= in Python."


def small(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames [..., H, W] of at most SIDE pixels a side, evenly taken: all that is asked of a clip's pictures here."""
    step = -(-max(frames.shape[-2:]) // SIDE)
    return frames[..., ::step, ::step]


def looked_at(times_s: NDArray[np.float64]) -> slice:
    """Which frames of a clip are looked at, by their times: a long one's beginning, every so many of a fast one."""
    rate_hz = _mean_rate(times_s)
    return slice(0, min(len(times_s), math.ceil(LONGEST_S * rate_hz)), max(1, int(rate_hz // ENOUGH_HZ)))


def pace_notices(clip: Clip, pictures: NDArray[np.uint8] | None = None) -> tuple[Notice, ...]:
    """A notice where a clip's frame times contradict what its file, or its pictures, say of the rhythm.

    Arguments:
        clip: the clip.
        pictures: those `looked_at` of its frames made `small`, where they were before.
    """
    frames, times_s, r_waves_s = clip.frames, clip.frame_times_s, clip.r_wave_times_s
    if len(frames) < 2:
        return ()
    span = float(times_s[-1] - times_s[0])
    rate_hz = _mean_rate(times_s)
    duration = span + 1.0 / rate_hz
    if len(r_waves_s) and r_waves_s[-1] - times_s[0] > (1 + BEYOND) * duration:
        why = f"the clip lasts {duration:.2f} s, but its ECG has a beat at {r_waves_s[-1] - times_s[0]:.2f} s"
        return (_doubt(rate_hz, why),)
    which = looked_at(times_s)
    shown = small(frames[which]) if pictures is None else pictures
    why = _contradiction(shown, rate_hz / which.step, clip.heart_rate_bpm or _of_r_waves(r_waves_s))
    return (_doubt(rate_hz, why),) if why else ()


def _contradiction(frames: NDArray[np.uint8], rate_hz: float, known_bpm: float | None) -> str:
    """What the pictures say against a frame rate; empty where they say nothing."""
    bpm, confidence = picture_rate(frames, rate_hz)
    if confidence < CLEAR:
        return ""
    seen = f"the heart in the pictures beats {bpm:.0f} times a minute"
    if known_bpm is None:
        return "" if RESTING[0] <= bpm <= RESTING[1] else f"{seen}, as no resting adult's does"
    if max(bpm / known_bpm, known_bpm / bpm) < APART:
        return ""
    # Half a beat may be like the next half, but a whole one more so; a slower pace has faster ones as its parts.
    enough = (MORE_SO if bpm > known_bpm else SEEN) * confidence
    if rate_confidence(frames, rate_hz, known_bpm) >= enough:
        return ""
    return f"{seen}, but the file says {known_bpm:.0f}"


def _mean_rate(times_s: NDArray[np.float64]) -> float:
    """Frames per second; the mean, since times may be uneven."""
    return (len(times_s) - 1) / float(times_s[-1] - times_s[0])


def _of_r_waves(r_waves_s: Sequence[float]) -> float | None:
    return 60.0 / float(np.median(np.diff(r_waves_s))) if len(r_waves_s) > 1 else None


def _doubt(rate_hz: float, why: str) -> Notice:
    return Notice("frame-rate-doubtful", f"At {rate_hz:.4g} frames a second, {why}. {NEXT}")
