"""Reading AVI, MP4, MOV and M4V through PyAV.

The luma Y of a video is stored in the limited range 16…235 (H.264) or the full range 0…255 (MJPG), and files often do
not say which. The frames therefore pass through the converter that knows the codec's rule, never as the raw Y plane:
black is 0 and white is 255 from either.

A container states how many frames it should hold; a cut file still states it, and decoders then stop early without an
error. So the count declared is compared with the count decoded. Times come from the presentation time stamps where
these ascend evenly, else from the average rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from mcsdr.errors import McsdrError, NoFrameTime, UnreadableFile, UnsupportedFormat
from mcsdr.io.recording import (
    MAX_SIDE,
    FrameStack,
    Recording,
    checked_rate,
    plausible_rate,
    rate_notices,
    uniform_times,
)
from mcsdr.study import Notice

GREY_FORMATS = ("gray", "gray8", "gray10le", "gray12le", "gray16le", "monob", "monow")
LONGEST_GAP = 20.0  # median frame intervals; a longer gap means that the time stamps are not to be trusted

Times = NDArray[np.float64]


def read_video(path: Path, demuxer: str, *, frame_rate_hz: float | None = None) -> Recording:
    """Read one video file.

    Arguments:
        path: the file.
        demuxer: "avi" or "mov", which its content was recognised as; no other parser is let near it.
        frame_rate_hz: used instead of what the file says.

    Raises:
        UnreadableFile: damaged, cut short, or larger than the limits.
        UnsupportedFormat: no video in it, or a codec that cannot be decoded.
        NoFrameTime: its frame rate is missing or absurd, and none was given.
    """
    with _one_error(path), av.open(str(path), format=demuxer, options={"max_pixels": str(MAX_SIDE**2)}) as container:
        if not container.streams.video:
            raise UnsupportedFormat("it holds no video", path=path)
        stream = container.streams.video[0]
        size = stream.codec_context
        if size is None:  # so it is where the container names a codec that does not exist
            raise UnsupportedFormat("its codec is not known", path=path)
        stack = FrameStack(path, max(0, stream.frames), size.height, size.width)
        stamps = _decode(container, stream, stack)
        notices = stack.missing()
        rate = None if stream.average_rate is None else float(stream.average_rate)
    times, time_notices = frame_times(stamps, rate, frame_rate_hz, path)
    return Recording(
        path=path,
        frames=stack.frames(),
        frame_times_s=times,
        colour=stack.colour(),
        notices=notices + time_notices,
    )


class GreyConverter:
    """Turns decoded frames into luma, and into colour when asked; one converter is reused for all frames."""

    def __init__(self) -> None:
        self._luma, self._rgb = VideoReformatter(), VideoReformatter()

    def add(self, frame: VideoFrame, stack: FrameStack, index: int | None = None) -> None:
        """Convert one frame and put it on the stack; `index` is its place in the file, where known."""
        colourless = frame.format.name in GREY_FORMATS
        luma = _pixels(self._luma, frame, "gray")
        stack.add(luma, None if colourless else lambda: _pixels(self._rgb, frame, "rgb24"), index)


def _pixels(converter: VideoReformatter, frame: VideoFrame, layout: str) -> NDArray[np.uint8]:
    return converter.reformat(frame, format=layout).to_ndarray().astype(np.uint8, copy=False)


def frame_times(
    stamps: list[float | None], average_hz: float | None, given_hz: float | None, path: Path
) -> tuple[Times, tuple[Notice, ...]]:
    """Times in seconds of the decoded frames, and what must be said of them.

    Arguments:
        stamps: the presentation time of each frame in seconds, None where it has none.
        average_hz: the stream's average rate.
        given_hz: the caller's, which goes before all.

    Raises:
        NoFrameTime: none of the three is usable.
    """
    times = np.array([np.nan if stamp is None else stamp for stamp in stamps], dtype=np.float64)
    steps = np.diff(times)
    median = float(np.median(steps)) if len(steps) else np.nan
    even = bool(np.all(steps > 0)) and float(np.max(steps, initial=0.0)) <= LONGEST_GAP * median
    stamped_hz = 1.0 / median if even and median > 0 else None
    found = stamped_hz if plausible_rate(stamped_hz) else average_hz
    if given_hz is not None:
        rate = checked_rate(given_hz, path)
        others = {"its own time stamps": found} if found is not None and plausible_rate(found) else {}
        return uniform_times(len(times), rate), rate_notices(rate, others)
    if len(times) == 1:
        return np.zeros(1), ()
    if found is None or not plausible_rate(found):
        said = "says nothing of its frame rate" if found is None else f"claims {found:.4g} frames a second"
        raise NoFrameTime(f"the file {said}", path=path)
    if found == stamped_hz:
        return times - times[0], ()
    text = f"The frames' time stamps are not usable; the average rate of {found:.4g} Hz was used."
    return uniform_times(len(times), found), (Notice("frame-times-uneven", text),)


def _decode(container: InputContainer, stream: VideoStream, stack: FrameStack) -> list[float | None]:
    """Decode every frame onto the stack; a packet that cannot be decoded is left out, to be counted as missing."""
    converter = GreyConverter()
    stamps: list[float | None] = []
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            continue
        for frame in frames:
            if isinstance(frame, VideoFrame) and not frame.is_corrupt:
                converter.add(frame, stack)
                stamps.append(frame.time)
    return stamps


@contextmanager
def _one_error(path: Path) -> Iterator[None]:
    """Turn whatever the decoder raises into one error of this package that names the file."""
    try:
        yield
    except (av.error.DecoderNotFoundError, av.error.PatchWelcomeError) as error:
        raise UnsupportedFormat(f"its codec cannot be decoded ({type(error).__name__})", path=path) from None
    except McsdrError:
        raise
    except Exception as error:
        raise UnreadableFile(f"the video cannot be decoded ({type(error).__name__})", path=path) from None
