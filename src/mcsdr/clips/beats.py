"""Heartbeats of a clip, found in its own pictures.

With x_t the frame at time t, made coarse (14 × 14 cells), smoothed over a few frames and freed of its running mean
(drift of the probe, of the gain), the similarity of frames that lie k apart is

    r(k) = ⟨x_t · x_{t+k}⟩_t / ⟨x_t · x_t⟩_t,

and the beat's period is the first high peak of r between 40 and 180 per minute; its height is the confidence. No frame
is compared with a neighbour's speckle, since speckle has gone long before the first lag looked at, and a mirrored
picture has the same r. The first principal component of x follows the heart's size up to its sign; the sign comes from
time: a heart lies contracted for less of the beat than it lies filled, so that its volume is skewed to the left (a
contracted heart is also brighter, which counts for a little). Volume then has one trough a beat, end-systole; its
highest point before that is end-diastole, where the beat starts. Where the file carries the times of R waves, the beats
start there and only end-systole is sought.

Measured on 60 phantoms of 45–120 beats per minute recorded at 24–60 Hz, stored at 25 Hz, no heart rate given: the
median relative error of the period, and the median over clips of the distance from end-diastole and from end-systole to
the nearest true one. Whole beats were found in all of them, 339 where there were 336 in 5 s; white noise has none.

    clip                  period    end-diastole    end-systole
    5 s                   0.2 %     16 ms           14 ms
    3 s                   0.3 %     17 ms           14 ms
    2 s                   0.6 %     23 ms           15 ms
    5 s thinned to 15 Hz  0.2 %     24 ms           20 ms
    5 s, picture sinks by 9 %  0.8 %  28 ms         21 ms

The end of diastole is flat, so that in one clip of ten end-diastole is found more than 0.12 s early or late.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Frames = NDArray[np.uint8]

RATES = (40.0, 180.0)  # beats per minute that are looked for
CELLS = 14  # a side of the coarse picture
AT_ONCE = 256  # frames; as numbers of eight bytes all of a long clip would not fit into memory
SMOOTH_S = 0.05  # SD of the smoothing over time, against speckle
DRIFT_S = 0.6  # SD of the running mean that is taken off, against drift
FIRST = 0.8  # the first peak this near to the highest is the period: its multiples are as high
SUPPOSED = (1.0, 1 / 3, 0.5, 2.0, 3.0)  # of the frame rate stated, where that may be wrong
LONGEST = 0.75  # of the clip: longer lags are seen too few times
LEAST_CONFIDENCE = 0.15  # noise reaches 0.1
NEAR_HINT = 0.25  # a known heart rate is right to within this share
BRIGHTNESS = 0.2  # weight of brightness beside skewness in telling systole from diastole
APART = 0.6  # of the period: least distance of two troughs
EJECTION = (0.15, 0.65)  # of the period: from end-diastole to end-systole
MOST_BEATS = 64  # of one clip are read, evenly spread


@dataclass(frozen=True)
class Beat:
    """One whole beat: the frames at which it starts (end-diastole) and is contracted most (end-systole)."""

    end_diastole: int
    end_systole: int


@dataclass(frozen=True)
class BeatWindow:
    """A window of frames around a beat, by its first frame."""

    start: int
    beat: Beat


@dataclass(frozen=True)
class Beats:
    """The beats of a clip of frames at a constant rate.

    Attributes:
        period_s: the median time from beat to beat, NaN where no rhythm was found.
        confidence: height of the peak of r, 0 to 1; 1 where R waves are known.
        beats: those that lie whole in the clip, ascending; none where no rhythm was found.
        frames: of the clip.
        rate_hz: of the frames.
    """

    period_s: float
    confidence: float
    beats: tuple[Beat, ...]
    frames: int
    rate_hz: float

    @property
    def starts_s(self) -> tuple[float, ...]:
        """When each beat starts, in seconds after the first frame."""
        return tuple(beat.end_diastole / self.rate_hz for beat in self.beats)

    def windows(self, length: int) -> list[BeatWindow]:
        """A window of `length` frames around each beat; of beats that share one at the clip's ends, the first.

        A beat lies in the middle of its window; of a beat longer than that the first part, in which the heart
        contracts.
        """
        period = self.period_s * self.rate_hz
        at = np.unique(np.linspace(0, len(self.beats) - 1, min(len(self.beats), MOST_BEATS)).round().astype(int))
        placed: dict[int, BeatWindow] = {}
        for beat in (self.beats[i] for i in at):
            before = max(2, round((length - period) / 2))
            start = min(max(0, beat.end_diastole - before), self.frames - length)
            placed.setdefault(start, BeatWindow(start, beat))
        return list(placed.values())


def find_beats(
    frames: Frames, rate_hz: float, *, heart_rate_bpm: float | None = None, r_waves_s: Sequence[float] = ()
) -> Beats:
    """The whole beats of a clip.

    Arguments:
        frames: uint8 [T, H, W], at a constant rate.
        rate_hz: frames per second.
        heart_rate_bpm: as the machine recorded it, where it did; the period is sought near it.
        r_waves_s: times of R waves in seconds after the first frame, where the file carries them; they go before all.
    """
    known = _plausible_r_waves(r_waves_s)
    nothing = Beats(math.nan, 0.0, (), len(frames), rate_hz)
    if len(frames) < 4:
        return nothing
    x, brightness = _coarse(frames, rate_hz)
    period, confidence = (
        (float(np.median(np.diff(known))) * rate_hz, 1.0) if len(known) else _period(x, rate_hz, near(heart_rate_bpm))
    )
    if confidence < LEAST_CONFIDENCE:
        return nothing
    volume = _volume(x, brightness)
    starts = np.rint(known * rate_hz).astype(int) if len(known) else None
    beats = _beats(volume, period, starts)
    return Beats(period / rate_hz, confidence, tuple(beats), len(frames), rate_hz)


def picture_rate(frames: Frames, rate_hz: float) -> tuple[float, float]:
    """Beats per minute that the pictures alone show, whatever the rate that is stated; and the confidence.

    The period is sought as if the frames had been taken at a third to three times the rate, each with its own smoothing
    over time; the shortest counts of those whose r is near the highest, since multiples of a period are as high.

    Arguments:
        frames: uint8 [T, H, W], at a constant rate.
        rate_hz: frames per second, as stated; beats are found in frames, so that they are wrong where it is.

    Returns:
        (NaN, 0) where there is no rhythm.
    """
    if len(frames) < 4:
        return math.nan, 0.0
    found = [_period(_coarse(frames, rate_hz * factor)[0], rate_hz * factor, RATES) for factor in SUPPOSED]
    best = max(confidence for _, confidence in found)
    if best == 0.0:
        return math.nan, 0.0
    period, confidence = min(one for one in found if one[1] >= FIRST * best)
    return 60.0 * rate_hz / period, confidence


def rate_confidence(frames: Frames, rate_hz: float, heart_rate_bpm: float) -> float:
    """How well the pictures agree with a heart rate, at the frame rate stated: r at the peak near it, 0 without one."""
    if len(frames) < 4:
        return 0.0
    return _period(_coarse(frames, rate_hz)[0], rate_hz, near(heart_rate_bpm))[1]


def emptying_share(frames: Frames, rate_hz: float, bpm: float) -> float:
    """How much of a beat passes from the middle of the heart's emptying to end-systole; NaN where no beat is found.

    With v the volume's curve and t_s its trough, it is the median over beats of

        (t_s - Σ t (-dv/dt)₊ / Σ (-dv/dt)₊) · bpm / 60        the sums over the half beat before t_s

    Arguments:
        frames: uint8 [T, H, W], at a constant rate.
        rate_hz: frames per second, as stated; the share is the same at any.
        bpm: beats per minute that they show at this rate.
    """
    period = 60.0 * rate_hz / bpm
    volume = _volume(*_coarse(frames, period))  # smoothed as if the heart beat once a second
    emptying = np.clip(-np.gradient(volume), 0.0, None)
    shares = []
    for trough in (beat.end_systole for beat in _beats(volume, period, None)):
        before = np.arange(max(0, int(trough - 0.5 * period)), trough + 1)
        middle = float(np.average(before, weights=emptying[before]))
        shares.append((_vertex(volume, trough) - middle) / period)
    return float(np.median(shares)) if shares else math.nan


def _plausible_r_waves(r_waves_s: Sequence[float]) -> Array:
    """The times, ascending; none where they do not come at a heart's rate."""
    times = np.asarray(r_waves_s, dtype=np.float64)
    if len(times) < 2 or not np.isfinite(times).all() or not (np.diff(times) > 0).all():
        return np.empty(0)
    rate = 60 / float(np.median(np.diff(times)))
    return times if RATES[0] / 2 <= rate <= 2 * RATES[1] else np.empty(0)


def _coarse(frames: Frames, rate_hz: float) -> tuple[Array, Array]:
    """x [T, CELLS²], and the mean grey level of each frame [T], both freed of drift."""
    count, height, width = frames.shape
    rows, columns = (np.linspace(0, side, min(CELLS, side) + 1).astype(int) for side in (height, width))
    sums = np.concatenate(
        [
            np.add.reduceat(np.add.reduceat(some, rows[:-1], axis=1, dtype=np.float64), columns[:-1], axis=2)
            for some in (frames[at : at + AT_ONCE] for at in range(0, count, AT_ONCE))
        ]
    )
    sums /= np.diff(rows)[:, None] * np.diff(columns)
    x = sums.reshape(count, -1)
    brightness = _without_drift(x.mean(axis=1, keepdims=True), rate_hz)[:, 0]
    return _without_drift(_smooth(x, SMOOTH_S * rate_hz), rate_hz), brightness


def _without_drift(x: Array, rate_hz: float) -> Array:
    drift = _smooth(x, DRIFT_S * rate_hz)
    return np.subtract(x, drift, out=drift)  # where it lies: a clip of minutes has megabytes of it


def _smooth(x: Array, sd: float) -> Array:
    """Columns of x [T, P] as running means under a Gaussian, its SD in frames; at the ends of what there is."""
    reach = min(math.ceil(3 * sd), len(x) - 1)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sd) ** 2)
    total, weight = np.zeros_like(x), np.zeros((len(x), 1))
    for shift, w in zip(range(-reach, reach + 1), weights, strict=True):
        here, there = slice(max(0, -shift), len(x) - max(0, shift)), slice(max(0, shift), len(x) - max(0, -shift))
        total[here] += w * x[there]
        weight[here] += w
    total /= weight
    return total


def near(heart_rate_bpm: float | None) -> tuple[float, float]:
    """The slowest and the fastest rate to look for, where the machine's is known and where it is not."""
    if not heart_rate_bpm:
        return RATES
    return heart_rate_bpm / (1 + NEAR_HINT), heart_rate_bpm * (1 + NEAR_HINT)


def _period(x: Array, rate_hz: float, rates: tuple[float, float]) -> tuple[float, float]:
    """The period in frames, and r there; (NaN, 0) where there is no peak."""
    count = len(x)
    slow, fast = rates
    longest = min(count - 2, int(LONGEST * count))
    first, last = max(1, math.floor(60 / fast * rate_hz)), min(longest, math.ceil(60 / slow * rate_hz))
    if last < first:
        return math.nan, 0.0
    r = np.array([(x[: count - k] * x[k:]).sum() / (count - k) for k in range(last + 2)])
    r = r / max(r[0], 1e-12)
    peaks = [k for k in range(first, last + 1) if r[k] > 0 and r[k] >= r[k - 1] and r[k] > r[k + 1]]
    if not peaks:
        return math.nan, 0.0
    k = next(k for k in peaks if r[k] >= FIRST * max(r[peaks]))
    return _vertex(r, k), float(np.clip(r[k], 0, 1))


def _vertex(y: Array, k: int) -> float:
    """Where the parabola through a peak or a trough at k and its neighbours has its own."""
    a, b, c = y[k - 1 : k + 2].tolist()
    return float(k + 0.5 * (a - c) / (a - 2 * b + c))


def _volume(x: Array, brightness: Array) -> Array:
    """A curve that follows the heart's volume, of mean 0 and SD 1, [T]."""
    curve = x @ np.linalg.eigh(x.T @ x)[1][:, -1]
    curve = (curve - curve.mean()) / curve.std()
    spread = float(brightness.std())
    brighter = float((curve * brightness).mean()) / spread if spread > 0 else 0.0
    contracting = float((curve**3).mean()) + BRIGHTNESS * brighter
    volume: Array = -curve if contracting > 0 else curve
    return volume


def _beats(volume: Array, period: float, starts: NDArray[np.int64] | None) -> list[Beat]:
    """The whole beats; from known starts, or from the troughs of the volume."""
    soon, late = (round(share * period) for share in EJECTION)
    found: list[Beat] = []
    if starts is None:
        for trough in _troughs(volume, period):
            before = volume[max(0, trough - late) : trough - soon + 1]
            if trough - late >= 0 or (len(before) and before.argmax() > 0):  # else the clip begins within systole
                found.append(Beat(trough - soon + 1 - len(before) + int(before.argmax()), int(trough)))
    else:
        for start in starts[(starts >= 0) & (starts + late < len(volume))].tolist():
            part = volume[start + soon : start + late + 1] - volume[start]
            found.append(Beat(start, start + soon + int(np.abs(part).argmax())))
    return [beat for beat in found if beat.end_diastole + period <= len(volume) + 1]


def _troughs(volume: Array, period: float) -> list[int]:
    """Troughs below the mean, deepest first where two are too near, ascending."""
    inner = np.arange(1, len(volume) - 1)
    low = inner[(volume[inner] <= volume[inner - 1]) & (volume[inner] < volume[inner + 1]) & (volume[inner] < 0)]
    kept: list[int] = []
    for place in low[np.argsort(volume[low], kind="stable")].tolist():
        if all(abs(place - other) > APART * period for other in kept):
            kept.append(place)
    return sorted(kept)
