"""Whether the frame rate that is stated can be: what else is known of the rhythm is held against it.

A rate that is wrong by a factor makes the heart in the pictures beat at a wrong pace, and its ejection fraction is read
from the wrong share of a beat. With f beats a minute, found in the pictures at the rate stated,

    R waves of the ECG        come after the last frame               the clip lasts longer than stated
    heart rate of the machine is not seen, and another is, clearly    the rate is off by about their ratio
    neither is known          f is few resting adults'                the rate is off, if this is one

Of people at rest, about one in a hundred is outside 45 to 120. A rate that programs write where they are told none is
more often wrong, so that less is enough to doubt it. Within that range systole tells some rates that are half or twice
the true one: its length hardly depends on f (0.39 s at 45 a minute, 0.26 s at 120), so that its share of a beat rises
with f, and no stated rate changes this share. With e the share from the middle of the heart's emptying to end-systole,
0.19 at 45 a minute, 0.22 at 75 and 0.25 at 120 with an SD of 0.02 at one pace, an adult's f is doubted where

    f < 60  and  0.26 < e < 0.32    a beat of half its pace; above 0.32 the curve of volume is upside down
    f > 90  and  e < 0.20           a beat of twice its pace

None of it proves anything, so it is a notice and not a refusal.

Measured on 180 phantoms of 3.4 s, 60 of each of three kinds, hearts at 43 to 130 a minute; share of clips doubted:

    rate stated / true        1      0.5    0.6    1.67   2
    heart rate not known      1 %    75 %   47 %   55 %   81 %
    the same, at 24 to 30 Hz  3 %    81 %   56 %   60 %   85 %
    heart rate known          0 %    94 %   95 %   94 %   94 %

These are without systole. On 440 others (`python benchmarks/pace.py`, heart rate not known) f alone doubted 1 clip at
its true rate, 365 at half and 368 at twice of it, and systole 1, 8 and 21 more: a fifth and a half of those whose pace
was seen and ordinary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcsdr.clips.beats import emptying_share, picture_rate, rate_confidence
from mcsdr.study import Clip, Notice

SIDE = 56  # pixels; beats are found in pictures as small
LONGEST_S, ENOUGH_HZ = 30.0, 50.0  # what is looked at; the work grows as duration times rate squared
RESTING = (45.0, 120.0)  # beats per minute of nearly all resting adults
SURELY = (48.0, 115.0)  # of most of them: what else is doubted at a rate that programs write by default
CHILD = 220.0  # beats per minute, at most
BY_DEFAULT = (24.0, 25.0, 30.0)  # frames a second, also over 1.001
CLEAR = 0.5  # confidence from which a pace counts as seen
SEEN = 0.5  # of that confidence: from here on the known pace is seen beside a slower one
SLOW, FAST = 60.0, 90.0  # beats per minute, below and above which systole's share is asked
LONG, SHORT = (0.26, 0.32), 0.20  # share e of a beat that is a faster heart's, and that is a slower one's
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


@dataclass(frozen=True)
class Pace:
    """What a clip's rhythm says of its frame rate.

    Attributes:
        rate_hz: the rate that is stated.
        against: what contradicts it, in words; empty where nothing does.
        bpm: beats per minute that the pictures show, where they do clearly and the file says nothing of its rhythm.
        emptying: share e of such a beat from the middle of emptying to end-systole, where it is found.
    """

    rate_hz: float = 0.0
    against: str = ""
    bpm: float | None = None
    emptying: float | None = None

    def notices(self, *, adult: bool = True) -> tuple[Notice, ...]:
        """A notice where the frame rate is doubtful; other rhythms are usual where this may be no adult."""
        why = self.against or (self._unusual(adult) if self.bpm is not None else "")
        return (Notice("frame-rate-doubtful", f"At {self.rate_hz:.4g} frames a second, {why}. {NEXT}"),) if why else ()

    def _unusual(self, adult: bool) -> str:
        by_default = any(abs(self.rate_hz * k / rate - 1) < 1e-4 for rate in BY_DEFAULT for k in (1.0, 1.001))
        slowest, fastest = SURELY if by_default else RESTING
        assert self.bpm is not None
        if slowest <= self.bpm <= (fastest if adult else CHILD):
            return self.against_systole if adult else ""
        why = f"the heart in the pictures beats {self.bpm:.0f} times a minute, as few resting adults' do"
        return f"{why}; and it is a rate that programs write where they are told none" if by_default else why

    @property
    def against_systole(self) -> str:
        """Why the share of a beat in which the heart empties is not an adult's at this pace, empty where it is."""
        if self.bpm is None or self.emptying is None:
            return ""
        if self.bpm < SLOW and LONG[0] < self.emptying < LONG[1]:
            other = "twice"
        elif self.bpm > FAST and self.emptying < SHORT:
            other = "half"
        else:
            return ""
        return (
            f"the heart in the pictures beats {self.bpm:.0f} times a minute, but contracts for as large a part of each "
            f"beat as hearts do that beat {other} as often"
        )


def pace_of(clip: Clip, pictures: NDArray[np.uint8] | None = None) -> Pace:
    """Hold a clip's frame times against what its file, and its pictures, say of the rhythm.

    Arguments:
        clip: the clip.
        pictures: those `looked_at` of its frames made `small`, where they were before.
    """
    frames, times_s, r_waves_s = clip.frames, clip.frame_times_s, clip.r_wave_times_s
    if len(frames) < 2:
        return Pace()
    span = float(times_s[-1] - times_s[0])
    rate_hz = _mean_rate(times_s)
    duration = span + 1.0 / rate_hz
    if len(r_waves_s) and r_waves_s[-1] - times_s[0] > (1 + BEYOND) * duration:
        last = r_waves_s[-1] - times_s[0]
        return Pace(rate_hz, f"the clip lasts {duration:.2f} s, but its ECG has a beat at {last:.2f} s")
    which = looked_at(times_s)
    shown = small(frames[which]) if pictures is None else pictures
    bpm, confidence = picture_rate(shown, rate_hz / which.step)
    if confidence < CLEAR:
        return Pace(rate_hz)
    known_bpm = clip.heart_rate_bpm or _of_r_waves(r_waves_s)
    if known_bpm is None:
        e = emptying_share(shown, rate_hz / which.step, bpm)
        return Pace(rate_hz, bpm=bpm, emptying=None if math.isnan(e) else e)
    if max(bpm / known_bpm, known_bpm / bpm) < APART:
        return Pace(rate_hz)
    # Half a beat may be like the next half, but a whole one more so; a slower pace has faster ones as its parts.
    enough = (MORE_SO if bpm > known_bpm else SEEN) * confidence
    if rate_confidence(shown, rate_hz / which.step, known_bpm) >= enough:
        return Pace(rate_hz)
    return Pace(rate_hz, f"the heart in the pictures beats {bpm:.0f} times a minute, but the file says {known_bpm:.0f}")


def _mean_rate(times_s: NDArray[np.float64]) -> float:
    """Frames per second; the mean, since times may be uneven."""
    return (len(times_s) - 1) / float(times_s[-1] - times_s[0])


def _of_r_waves(r_waves_s: Sequence[float]) -> float | None:
    return 60.0 / float(np.median(np.diff(r_waves_s))) if len(r_waves_s) > 1 else None
