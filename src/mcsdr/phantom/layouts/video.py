"""Video files as the Stanford data sets have them: MJPG in AVI, grey; and which of their frames are ED and ES."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from mcsdr.files import write_atomically
from mcsdr.phantom import truth
from mcsdr.phantom.cohort import Person
from mcsdr.study import View


def write_avi(path: Path, frames: NDArray[np.uint8], fps: int) -> None:
    """Greyscale frames [T, H, W] as MJPG in AVI, in one piece or not at all."""
    memory = io.BytesIO()
    with av.open(memory, "w", format="avi") as container:
        container.metadata["title"] = "SYNTHETIC phantom, no patient"
        stream = container.add_stream("mjpeg", rate=Fraction(fps))
        stream.height, stream.width = frames.shape[1:]
        stream.pix_fmt = "yuvj420p"
        stream.options = {"qscale": "3"}
        stream.codec_context.qmin, stream.codec_context.qmax = 2, 4
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="gray").reformat(format="yuvj420p")))
        container.mux(stream.encode(None))
    write_atomically(path, memory.getvalue())


def frame_times(seconds: float, frame_rate_hz: float) -> NDArray[np.float64]:
    """The instants of a clip's frames, in seconds from 0, [T]."""
    return np.arange(max(2, round(seconds * frame_rate_hz))) / frame_rate_hz


def key_frames(person: Person, view: View, times_s: NDArray[np.float64]) -> tuple[int, int]:
    """The frames nearest to an end-diastole and to an end-systole, the one that follows if the clip has it."""
    ed_s, es_s = truth.key_times(person, view)
    beat_s = 60 / person.recording(view).parameters["heart_rate_bpm"]
    ed = _nearest(times_s, ed_s, beat_s)[0]
    systoles = _nearest(times_s, es_s, beat_s)
    return ed, next((frame for frame in systoles if frame > ed), systoles[0])


def _nearest(times_s: NDArray[np.float64], moment_s: float, beat_s: float) -> list[int]:
    """For a moment that returns with every beat: the frames within half a frame of it, or else the nearest."""
    away = np.abs((times_s - moment_s + beat_s / 2) % beat_s - beat_s / 2)
    half = 0.5 * (times_s[1] - times_s[0])
    return [int(frame) for frame in np.flatnonzero(away <= max(half, float(away.min())))]
