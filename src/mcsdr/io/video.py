"""Reading video through PyAV: AVI, MP4 and MOV, Matroska, Windows Media, MPEG, Flash.

The luma Y of a video is stored in the limited range 16…235 (H.264) or the full range 0…255 (MJPG), and files often do
not say which. Frames of a limited range therefore pass through the converter that knows the codec's rule, and of those
known to be of the full range the Y plane is taken as it stands: black is 0 and white is 255 from either. They are
turned as the container says that they are shown (orientation.py), made square, and cut to the sector as they come
(cutting.py).

How many frames there should be is counted in counting.py, and held against those decoded: a cut file still states its
count, and decoders then stop early without an error. Times come from the presentation time stamps where these ascend
evenly, else from the average rate. H.264 and MPEG-4 streams state a rate of their own, which is left as it was where a
program gave the same pictures other times: half or double a rate is told so where the heart's pace cannot tell it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
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
from mcsdr.io import streaming as streams
from mcsdr.io.counting import Counting, refuse_without_table
from mcsdr.io.cutting import SectorStack
from mcsdr.io.orientation import UPRIGHT, Orientation, orientation_of
from mcsdr.io.planes import converted, full_range_luma, is_grey
from mcsdr.io.recording import (
    MAX_SIDE,
    FrameStack,
    Recording,
    checked_rate,
    plausible_rate,
    rate_notices,
    uniform_times,
)
from mcsdr.io.streaming import StreamingStack
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
    with _one_error(path):
        refuse_without_table(path, demuxer)
        video = Video(path, demuxer)
        stack = _decoded(video)
        notices = stack.missing(video.counting.declared(len(stack), video.rate_hz))
        frames, look = stack.cut()
    stamps = [video.stamps[index] for index in stack.indices]
    times, time_notices = frame_times(stamps, video.rate_hz, frame_rate_hz, path, coded_hz=video.coded_hz)
    if frame_rate_hz is None and CLOCK_S < video.clock_s <= COARSE_CLOCK_S:
        times = even_times(times, video.clock_s)
    return Recording(path, frames, times, stack.colour(), notices=notices + time_notices, look=look)


def _decoded(video: Video) -> SectorStack:
    """The frames of a video; of one whose pictures are too many to be kept whole, in one pass where that will do."""
    shape = (video.path, video.count, video.height, video.width)
    stack = SectorStack(*shape, aspect=video.aspect)
    if video.count * video.height * video.width > streams.WHOLE_BYTES:
        streaming = StreamingStack(*shape, aspect=video.aspect)
        video.decode(streaming)
        if streaming.holds_the_sector():
            return streaming
    video.decode(stack)
    return stack


read_avi, read_mov, read_matroska, read_asf, read_mpeg, read_mpegvideo, read_mpegts, read_flv = (
    partial(read_video, demuxer=demuxer)
    for demuxer in ("avi", "mov", "matroska", "asf", "mpeg", "mpegvideo", "mpegts", "flv")
)


class GreyConverter:
    """Turns decoded frames into luma, and into colour when asked; one converter is reused for all frames."""

    def __init__(self, orientation: Orientation = UPRIGHT) -> None:
        self._luma, self._rgb = VideoReformatter(), VideoReformatter()
        self._orientation = None if orientation == UPRIGHT else orientation

    def add(self, frame: VideoFrame, stack: FrameStack, index: int | None = None) -> None:
        """Convert one frame and put it on the stack; `index` is its place in the file, where known."""
        name = frame.format.name
        stored = full_range_luma(frame, name)
        luma = self._shown(converted(self._luma, frame, "gray") if stored is None else stored)

        def colour() -> NDArray[np.uint8]:
            return luma if is_grey(frame, name) else self._shown(converted(self._rgb, frame, "rgb24"))

        stack.add(luma, None if name in GREY_FORMATS else colour, index)

    def _shown(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return picture if self._orientation is None else self._orientation.applied(picture)


class Video:
    """The first video stream of a file, its frames counted and its first one looked at.

    Attributes:
        count: how many frames are to be shown.
        height, width: of its pictures as they are shown, in pixels, which are `aspect` times as wide as high.
        rate_hz: the stream's average rate.
        coded_hz: the rate that the coded stream states by itself, where it does.
        clock_s: the step of its time stamps.
        counting: what its container says of its frames.
        stamps: the presentation time of each frame by its place, in seconds, once it is decoded.

    Raises:
        UnreadableFile: no frame can be decoded.
        UnsupportedFormat: no video in it, or a codec that cannot be decoded.
    """

    def __init__(self, path: Path, demuxer: str) -> None:
        self.path, self._demuxer = path, demuxer
        self.stamps: dict[int, float | None] = {}
        frames = self._counted_frames()
        first = next(frames, None)
        if first is None:
            raise UnreadableFile("no frame of it could be decoded", path=path)
        self._begun: Iterator[VideoFrame] | None = chain((first,), frames)  # the first pass goes on from there
        self._orientation = orientation_of(first)
        turned = self._orientation.transposed
        self.height, self.width = (first.width, first.height) if turned else (first.height, first.width)
        self.aspect = 1 / self._ratio if turned else self._ratio

    def _counted_frames(self) -> Iterator[VideoFrame]:
        """Every frame, once they are counted: by the index where there is one, so that the file is opened once."""
        with self._opened() as (container, stream):
            self.rate_hz = None if stream.average_rate is None else float(stream.average_rate)
            coded = stream.codec_context.framerate
            self.coded_hz = float(coded) if coded else None
            self.clock_s = float(stream.time_base or 0)
            self._ratio = float(stream.sample_aspect_ratio or 1)
            self.counting = Counting(self.path, stream, self._demuxer, container.duration)
            self.counting.look(container)
            self.count = self.counting.shown
            if self.counting.by_index:
                yield from self._decoded(container, stream)
                return
        yield from self._frames()

    def decode(self, stack: FrameStack) -> None:
        """Decode every frame onto a stack; what cannot be decoded is left out, and counted as failed.

        Where the pictures are too many to be kept whole, the file is gone over twice, see `SectorStack`.
        """
        for wanted in stack.passes():
            self._pass(stack, wanted)

    def _pass(self, stack: FrameStack, wanted: Callable[[int], bool]) -> None:
        converter = GreyConverter(self._orientation)
        frames, self._begun = self._begun or self._frames(), None
        for index, frame in enumerate(frames):
            self.stamps[index] = frame.time
            if wanted(index):
                converter.add(frame, stack, index)

    def _frames(self) -> Iterator[VideoFrame]:
        with self._opened() as (container, stream):
            yield from self._decoded(container, stream)

    def _decoded(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        self.counting.failed = 0
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                self.counting.failed += 1
                continue
            for frame in frames:
                if isinstance(frame, VideoFrame):
                    if frame.is_corrupt:
                        self.counting.failed += 1
                    else:
                        yield frame

    @contextmanager
    def _opened(self) -> Iterator[tuple[InputContainer, VideoStream]]:
        limits = {"max_pixels": str(MAX_SIDE**2)}
        with av.open(str(self.path), format=self._demuxer, options=limits) as container:
            stream = container.streams.best("video")
            if not isinstance(stream, VideoStream):
                raise UnsupportedFormat("it holds no video", path=self.path)
            if stream.codec_context is None:  # so it is where the container names a codec that does not exist
                raise UnsupportedFormat("its codec is not known", path=self.path)
            yield container, stream


def frame_times(
    stamps: list[float | None],
    average_hz: float | None,
    given_hz: float | None,
    path: Path,
    *,
    coded_hz: float | None = None,
) -> tuple[Times, tuple[Notice, ...]]:
    """Times in seconds of the decoded frames, and what must be said of them.

    Arguments:
        stamps: the presentation time of each frame in seconds, None where it has none.
        average_hz: the stream's average rate.
        given_hz: the caller's, which goes before all.
        coded_hz: what the coded stream states by itself; it is held against the rate used, and never used.

    Raises:
        NoFrameTime: none of the three is usable.
    """
    times = np.array([np.nan if stamp is None else stamp for stamp in stamps], dtype=np.float64)
    steps = np.diff(times)
    median = float(np.median(steps)) if len(steps) else np.nan
    even = bool(np.all(steps > 0)) and float(np.max(steps, initial=0.0)) <= LONGEST_GAP * median
    stamped_hz = 1.0 / median if even and median > 0 else None
    found = stamped_hz if plausible_rate(stamped_hz) else average_hz
    said = {"its own time stamps": found, "its coded stream": coded_hz}
    others = {name: rate for name, rate in said.items() if rate is not None and plausible_rate(rate)}
    if given_hz is not None:
        rate = checked_rate(given_hz, path)
        return uniform_times(len(times), rate), rate_notices(rate, others)
    if len(times) == 1:
        return np.zeros(1), ()
    if found is None or not plausible_rate(found):
        claim = "says nothing of its frame rate" if found is None else f"claims {found:.4g} frames a second"
        raise NoFrameTime(f"the file {claim}", path=path)
    notices = rate_notices(found, others)
    if found == stamped_hz:
        return times - times[0], notices
    text = f"The frames' time stamps are not usable; the average rate of {found:.4g} Hz was used."
    return uniform_times(len(times), found), (Notice("frame-times-uneven", text), *notices)


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
