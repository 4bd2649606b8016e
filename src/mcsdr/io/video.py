"""Reading video through PyAV: AVI, MP4 and MOV, Matroska, Windows Media, MPEG, Flash.

The luma Y of a video is stored in the limited range 16…235 (H.264) or the full range 0…255 (MJPG), and files often do
not say which. The frames therefore pass through the converter that knows the codec's rule, never as the raw Y plane:
black is 0 and white is 255 from either. They are turned as the container says that they are shown (orientation.py), and
made square (square.py).

How many frames there should be is counted in counting.py, and held against those decoded: a cut file still states its
count, and decoders then stop early without an error. Times come from the presentation time stamps where these ascend
evenly, else from the average rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
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
from mcsdr.io.counting import Counting
from mcsdr.io.orientation import UPRIGHT, Orientation, orientation_of
from mcsdr.io.recording import (
    MAX_SIDE,
    FrameStack,
    Recording,
    checked_rate,
    plausible_rate,
    rate_notices,
    uniform_times,
)
from mcsdr.io.square import squared, squared_size
from mcsdr.study import CLOCK_S, Notice, even_times

GREY_FORMATS = ("gray", "gray8", "gray10le", "gray12le", "gray16le", "monob", "monow")
LONGEST_GAP = 20.0  # median frame intervals; a longer gap means that the time stamps are not to be trusted
COARSE_CLOCK_S = 0.01  # of files made from GIFs

Times = NDArray[np.float64]


def read_video(path: Path, demuxer: str, *, frame_rate_hz: float | None = None) -> Recording:
    """Read one video file.

    Arguments:
        path: the file.
        demuxer: FFmpeg's name of what its content was recognised as; no other parser is let near it.
        frame_rate_hz: used instead of what the file says.

    Raises:
        UnreadableFile: damaged, cut short, or larger than the limits.
        UnsupportedFormat: no video in it, or a codec that cannot be decoded.
        NoFrameTime: its frame rate is missing or absurd, and none was given.
    """
    with _one_error(path), av.open(str(path), format=demuxer, options={"max_pixels": str(MAX_SIDE**2)}) as container:
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream):
            raise UnsupportedFormat("it holds no video", path=path)
        if stream.codec_context is None:  # so it is where the container names a codec that does not exist
            raise UnsupportedFormat("its codec is not known", path=path)
        film = _Film(path, stream, demuxer, container.duration)
        film.decode(container)
        stack, counting = film.stack, film.counting
        stack.declared = counting.declared(len(stack), film.rate_hz)
        notices = stack.missing()
    times, time_notices = frame_times(film.stamps, film.rate_hz, frame_rate_hz, path)
    if frame_rate_hz is None and CLOCK_S < film.clock_s <= COARSE_CLOCK_S:
        times = even_times(times, film.clock_s)
    return Recording(
        path=path,
        frames=stack.frames(),
        frame_times_s=times,
        colour=stack.colour(),
        notices=notices + time_notices,
    )


read_avi, read_mov, read_matroska, read_asf, read_mpeg, read_mpegvideo, read_mpegts, read_flv = (
    partial(read_video, demuxer=demuxer)
    for demuxer in ("avi", "mov", "matroska", "asf", "mpeg", "mpegvideo", "mpegts", "flv")
)


class GreyConverter:
    """Turns decoded frames into luma, and into colour when asked; one converter is reused for all frames."""

    def __init__(self, orientation: Orientation = UPRIGHT, aspect: float = 1.0) -> None:
        self._luma, self._rgb = VideoReformatter(), VideoReformatter()
        self._orientation, self._aspect = orientation, aspect

    def size(self, frame: VideoFrame) -> tuple[int, int]:
        """Height and width of a frame once it is converted."""
        shown = self._orientation.applied(np.empty((frame.height, frame.width), dtype=np.uint8))
        return squared_size(shown.shape[0], shown.shape[1], self._aspect)

    def add(self, frame: VideoFrame, stack: FrameStack, index: int | None = None) -> None:
        """Convert one frame and put it on the stack; `index` is its place in the file, where known."""
        colourless = frame.format.name in GREY_FORMATS
        luma = self._shown(self._luma, frame, "gray")
        stack.add(luma, None if colourless else lambda: self._shown(self._rgb, frame, "rgb24"), index)

    def _shown(self, converter: VideoReformatter, frame: VideoFrame, layout: str) -> NDArray[np.uint8]:
        pixels = converter.reformat(frame, format=layout).to_ndarray().astype(np.uint8, copy=False)
        shown: NDArray[np.uint8] = squared(self._orientation.applied(pixels)[None], self._aspect)[0]
        return shown


class _Film:
    """Decodes the frames of one stream onto a stack that is made for the first of them."""

    def __init__(self, path: Path, stream: VideoStream, demuxer: str, duration: int | None) -> None:
        self.path, self.stream = path, stream
        self.rate_hz = None if stream.average_rate is None else float(stream.average_rate)
        self.clock_s = float(stream.time_base or 0)
        self.counting = Counting(path, stream, demuxer, duration)
        self.stamps: list[float | None] = []
        self._stack: FrameStack | None = None

    @property
    def stack(self) -> FrameStack:
        """What was decoded.

        Raises:
            UnreadableFile: nothing.
        """
        if self._stack is None:
            raise UnreadableFile("no frame of it could be decoded", path=self.path)
        return self._stack

    def decode(self, container: InputContainer) -> None:
        """Decode every frame; a packet that cannot be decoded is left out, and counted as missing."""
        for packet in container.demux():
            self.counting.see(packet)
            if packet.stream is not self.stream:
                continue
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                self.counting.failed += 1
                continue
            for frame in frames:
                if not isinstance(frame, VideoFrame):
                    continue
                if frame.is_corrupt:
                    self.counting.failed += 1
                else:
                    self._add(frame)

    def _add(self, frame: VideoFrame) -> None:
        if self._stack is None:
            orientation = orientation_of(frame)
            ratio = float(self.stream.sample_aspect_ratio or 1)
            self._converter = GreyConverter(orientation, 1 / ratio if orientation.transposed else ratio)
            self._stack = FrameStack(self.path, self.counting.expected, *self._converter.size(frame))
        self._converter.add(frame, self._stack)
        self.stamps.append(frame.time)


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
