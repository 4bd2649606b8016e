"""When each frame of a DICOM loop was taken.

Time t_k of frame k, from the tag that Frame Increment Pointer (0028,0009) names where that is plausible, else from the
first of these that is:

    Frame Time (0018,1063) Δ ms                     t_k = k Δ / 1000
    Cine Rate (0018,0040) f Hz                      t_k = k / f
    Recommended Display Frame Rate (0008,2144) f    t_k = k / f
    Frame Time Vector (0018,1065) Δ_0 … Δ_{T-1}     t_k = (Δ_1 + … + Δ_k) / 1000
    Actual Frame Duration (0018,1242) Δ ms          t_k = k Δ / 1000
    Effective Duration (0018,0072) D s              t_k = k D / T
    Acquisition Duration (0018,9073) D s            t_k = k D / T

except that the vector, which knows every frame, goes before a rate that agrees with it. A vector that lacks a few steps
is completed, and a few steps that are zero are given the median; both are told. So is every plausible rate that any of
these tags gives and that differs from the one used: no pace of the heart would show half or double a rate.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from mcsdr.errors import NoFrameTime
from mcsdr.io.dicom_header import number, numbers, text
from mcsdr.io.recording import checked_rate, plausible_rate, rate_notices, uniform_times
from mcsdr.study import Notice

VECTOR = "Frame Time Vector"
POINTED = {"00181063": "Frame Time", "00181065": VECTOR}
AFTER_VECTOR = ("Actual Frame Duration", "Effective Duration", "Acquisition Duration")
MENDABLE = 0.1  # of a vector's steps that may be missing, and that may be no time at all
AGREE = 0.1  # share by which two rates may differ

Times = NDArray[np.float64]


def frame_times(dataset: Dataset, count: int, given_hz: float | None, path: Path) -> tuple[Times, tuple[Notice, ...]]:
    """Times in seconds of `count` frames, and what must be said of them.

    Raises:
        NoFrameTime: no tag holds a plausible rate, and none was given.
    """
    rates = _rates(dataset, count)
    vector, mended = _frame_time_vector(dataset, count)
    if vector is not None:
        rates[VECTOR] = 1.0 / float(np.median(np.diff(vector)))
    for last in AFTER_VECTOR:
        if last in rates:
            rates[last] = rates.pop(last)
    if given_hz is not None:
        rate = checked_rate(given_hz, path)
        return uniform_times(count, rate), rate_notices(rate, rates)
    if not rates:
        raise NoFrameTime("no tag of the file gives a plausible time between frames", path=path)
    pointed = POINTED.get(_pointer(dataset))
    name = pointed if pointed in rates else next(iter(rates))
    notices = rate_notices(rates[name], rates)
    agrees = vector is not None and abs(rates[VECTOR] / rates[name] - 1.0) <= AGREE
    if vector is not None and agrees and (name == VECTOR or "Frame Time" not in rates):
        return vector, notices + mended
    return uniform_times(count, rates[name]), notices


def _rates(dataset: Dataset, count: int) -> dict[str, float]:
    """Every plausible rate in Hz that one number of the header gives, in order of trust."""
    said = {
        "Frame Time": _per_second(number(dataset, "FrameTime"), 1000.0),
        "Cine Rate": number(dataset, "CineRate"),
        "Recommended Display Frame Rate": number(dataset, "RecommendedDisplayFrameRate"),
        "Actual Frame Duration": _per_second(number(dataset, "ActualFrameDuration"), 1000.0),
        "Effective Duration": _per_second(number(dataset, "EffectiveDuration"), float(count)),
        "Acquisition Duration": _per_second(number(dataset, "AcquisitionDuration"), float(count)),
    }
    return {name: rate for name, rate in said.items() if rate is not None and plausible_rate(rate)}


def _per_second(duration: float | None, share: float) -> float | None:
    return share / duration if duration else None


def _pointer(dataset: Dataset) -> str:
    """The tag that Frame Increment Pointer names, as eight digits; empty where it names none."""
    value = text(dataset, "FrameIncrementPointer")
    return "".join(digit for digit in value.upper() if digit in "0123456789ABCDEF")[:8]


def _frame_time_vector(dataset: Dataset, count: int) -> tuple[Times | None, tuple[Notice, ...]]:
    """Times in seconds from the Frame Time Vector, None where it is absent or does not fit; and how it was mended."""
    steps = np.array(numbers(dataset, "FrameTimeVector"), dtype=np.float64)
    lacking = count - len(steps)
    if count < 2 or lacking > max(1.0, MENDABLE * count):
        return None, ()
    if lacking == 1 and steps[0] > 0:
        steps = np.append(0.0, steps)  # the first frame's own step, of no account, was left out
    steps = steps[1:count]
    usable = np.isfinite(steps) & (steps > 0.0)
    if not usable.any() or (~usable).sum() > max(1.0, MENDABLE * len(steps)):
        return None, ()
    median_ms = float(np.median(steps[usable]))
    if not plausible_rate(1000.0 / median_ms):
        return None, ()
    steps = np.where(usable, steps, median_ms)
    steps = np.append(steps, np.full(count - 1 - len(steps), median_ms))
    times: Times = np.append(0.0, np.cumsum(steps)) / 1000.0
    if usable.all() and lacking <= 0:
        return times, ()
    what = f"lacks {lacking} of its steps" if lacking > 0 else f"holds {int((~usable).sum())} steps that are no time"
    return times, (Notice("frame-times-mended", f"The Frame Time Vector {what}; {median_ms:.4g} ms was taken."),)
