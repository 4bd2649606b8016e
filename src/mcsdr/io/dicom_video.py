"""Video streams inside DICOM: MPEG-2, H.264 and HEVC, bare or in an MP4, transport or program stream.

The fragments, put together, are one stream. It says nothing reliable of time, so times come from the header as they do
for other frames. How many frames there are is counted by its packets, and the pictures are decoded in order: twice over
where they are too many to be kept whole until the sector is known.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import av
import av.error
from av.container import InputContainer
from av.video.frame import VideoFrame
from pydicom.uid import UID

from mcsdr.errors import UnreadableFile
from mcsdr.io.codestream import video_format
from mcsdr.io.dicom_file import DicomFile
from mcsdr.io.dicom_frames import CodedFrames
from mcsdr.io.recording import MAX_FRAMES, FrameStack
from mcsdr.io.square import MAX_SIDE
from mcsdr.io.video import GreyConverter
from mcsdr.study import Notice

# MPEG-2, H.264 and HEVC at their profiles and levels, each also in fragments of a frame ("….1").
_NAMED = tuple(f"1.2.840.10008.1.2.4.{number}" for number in range(100, 109))
VIDEO_SYNTAXES = tuple(
    UID(uid) for named in _NAMED for uid in ((named, f"{named}.1") if named[-3:] < "107" else (named,))
)


class VideoFrames:
    """The frames of a video stream inside a DICOM file.

    Raises:
        UnreadableFile: it is no video that can be decoded.
    """

    def __init__(self, file: DicomFile, coded: CodedFrames) -> None:
        self.path = file.path
        self.notices: tuple[Notice, ...] = ()
        self._data = coded.coded(0)
        with self._opened() as container:
            context = container.streams.video[0].codec_context
            self.height, self.width = context.height, context.width
            self.count = sum(packet.size > 0 for packet in container.demux(video=0))
        if self.count > MAX_FRAMES:
            raise UnreadableFile(f"it holds {self.count} frames; at most {MAX_FRAMES} are read", path=self.path)

    def decode(self, stack: FrameStack) -> None:
        """Decode all frames onto a stack, in order of time."""
        for wanted in stack.passes():
            self._pass(stack, wanted)

    def _pass(self, stack: FrameStack, wanted: Callable[[int], bool]) -> None:
        converter = GreyConverter()
        with self._opened() as container:
            for index, frame in enumerate(_decoded(container)):
                if wanted(index) and not frame.is_corrupt:
                    converter.add(frame, stack, index)

    @contextmanager
    def _opened(self) -> Iterator[InputContainer]:
        kind = video_format(self._data)
        try:
            with av.open(io.BytesIO(self._data), format=kind, options={"max_pixels": str(MAX_SIDE**2)}) as container:
                if not container.streams.video or container.streams.video[0].codec_context is None:
                    raise UnreadableFile("its pixel data hold no video", path=self.path)
                yield container
        except av.error.FFmpegError as error:
            cause = f"the video in it cannot be decoded ({type(error).__name__})"
            raise UnreadableFile(cause, path=self.path) from None


def _decoded(container: InputContainer) -> Iterator[VideoFrame]:
    for packet in container.demux(video=0):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            continue
        yield from (frame for frame in frames if isinstance(frame, VideoFrame))
