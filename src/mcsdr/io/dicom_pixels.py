"""Decoding the pixels of an ultrasound DICOM to luma and colour, frame by frame.

    MONOCHROME2      luma = value / 2^(bits - 8)        MONOCHROME1   255 - that
    RGB, palette     luma = 0.299 R + 0.587 G + 0.114 B
    YCbCr            luma = Y as stored (full range)

    JPEG, lossless JPEG     FFmpeg's mjpeg: an order of magnitude faster than Pillow, and exact for the lossless kind
    JPEG 2000, JPEG-LS, RLE pydicom's decoders (OpenJPEG in Pillow, CharLS, its own)
    MPEG-2, H.264, HEVC     FFmpeg (dicom_video.py)

The decoder is chosen by the stream, the colour model by stream, samples and label in this order (dicom_colour.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import av
import av.error
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from mcsdr.errors import UnreadableFile, UnsupportedFormat
from mcsdr.io.codestream import Colour, Head, stream_head
from mcsdr.io.colour import luma
from mcsdr.io.dicom_colour import AS_YBR, MODELS, colour_of, rgb_of_ybr
from mcsdr.io.dicom_file import DicomFile
from mcsdr.io.dicom_frames import CodedFrames, coded_frames, declared_frames
from mcsdr.io.dicom_header import integer, text
from mcsdr.io.dicom_native import NativeFrames, eight_bits, full_range, native_frames, palette
from mcsdr.io.dicom_video import VIDEO_SYNTAXES, VideoFrames
from mcsdr.io.planes import converted, plane
from mcsdr.io.recording import FrameStack
from mcsdr.io.square import MAX_SIDE
from mcsdr.study import Notice

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)
JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
BY_PYDICOM = {"jpeg-ls": JPEGLSLossless, "jpeg2000": JPEG2000Lossless, "rle": RLELossless}
LARGE = 128 << 20  # pixels of all frames together, from which it is asked whether they can be pictures
MOST_RUNS = 40  # times the size of run-length coded pixels that pictures have; 64 is all that runs can give
SMALL = 4096  # pixels that are decoded in any case: pictures of a few are decoded in blocks
AGAIN = "Export the clip again as JPEG baseline, RLE or uncompressed DICOM, or as AVI."

Picture = NDArray[np.uint8]
Samples = NDArray[np.unsignedinteger]


def transfer_syntaxes() -> list[UID]:
    """Every transfer syntax that is read here, with the decoders that are installed; the cheapest to read first."""
    others = (RLELossless, JPEG2000Lossless, JPEG2000, JPEGLSLossless, JPEGLSNearLossless)
    return [*NATIVE, *JPEG, *(syntax for syntax in others if get_decoder(syntax).is_available), *VIDEO_SYNTAXES]


class Shown(NamedTuple):
    """One decoded frame: luma [H, W], and what gives it in colour, None where it has none."""

    luma: Picture
    rgb: Callable[[], Picture] | None


class Frames(Protocol):
    """The frames of a file, whatever their coding."""

    @property
    def count(self) -> int:
        """How many there are; 0 where only decoding tells."""
        ...

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What must be said of how they are stored; known after decoding."""
        ...

    def decode(self, stack: FrameStack) -> None:
        """Decode all onto a stack, in its order; what cannot be decoded is left out."""
        ...


def frames_of(file: DicomFile) -> Frames:
    """The frames of a file, found by what its bytes are.

    Raises:
        UnreadableFile: it holds no pixels, or lacks what describes them.
        UnsupportedFormat: a coding or colour model without a decoder here.
    """
    if file.pixels is None:
        raise UnreadableFile("it holds no pixel data", path=file.path)
    model = text(file.dataset, "PhotometricInterpretation").upper()
    if model and model not in MODELS:
        raise UnsupportedFormat(
            "its photometric interpretation is not one of ultrasound", path=file.path, next_step=AGAIN
        )
    if file.pixels.fragments is None:
        return Pictures(file, model, native_frames(file, model))
    coded = coded_frames(file)
    if coded.head is not None and coded.head.kind == "video":
        return VideoFrames(file, coded)
    return Pictures(file, model, coded)


class Pictures:
    """Frames that are stored one by one, uncompressed or each as a picture."""

    def __init__(self, file: DicomFile, model: str, source: NativeFrames | CodedFrames) -> None:
        self.path, self.model, self.source = file.path, model, source
        self.dataset = file.dataset
        self.notices: tuple[Notice, ...] = ()
        self.count = source.count
        self._colour: Colour | None = None
        self._limited: bool | None = None
        if isinstance(source, NativeFrames):
            self.height, self.width = source.height, source.width
            self.notices += source.notices
            self._stored = self._native
            return
        self._check_decodable(file, source.head)
        self.height, self.width = self._size(file, source)
        head = source.head
        if head is None or head.kind == "jpeg":
            self._jpeg = _Jpeg(max(SMALL, 2 * self.height * self.width))
            self._stored = self._by_ffmpeg
        else:
            self._stored = self._by_pydicom

    def decode(self, stack: FrameStack) -> None:
        """Decode all frames onto a stack."""
        for index in stack.order():
            if (shown := self._stored(index)) is not None:
                stack.add(shown.luma, shown.rgb, index)

    def _check_decodable(self, file: DicomFile, head: Head | None) -> None:
        syntax = file.syntax
        known = syntax.is_transfer_syntax and not syntax.is_private
        kind = None if head is None else head.kind
        if kind == "jpeg" or (kind is None and syntax in JPEG):
            return
        decoder = BY_PYDICOM.get(kind or "")
        if decoder is None or not get_decoder(decoder).is_available:
            named = syntax if decoder is None else decoder
            name = named.name if known or decoder is not None else "a private one"
            raise UnsupportedFormat(
                f"its transfer syntax, {name}, cannot be decoded here", path=self.path, next_step=AGAIN
            )

    def _size(self, file: DicomFile, source: CodedFrames) -> tuple[int, int]:
        """Height and width: the header's, or where no frame has these what the frames say."""
        stated = integer(file.dataset, "Rows"), integer(file.dataset, "Columns")
        head = source.head
        if head is None or not head.width or (head.height, head.width) == stated:
            return stated
        if not (0 < head.height <= MAX_SIDE and 0 < head.width <= MAX_SIDE):
            return stated
        text = (
            f"Its pictures are {head.width} x {head.height} pixels, not {stated[1]} x {stated[0]} as its header says."
        )
        self.notices += (Notice("picture-size-untrue", text),)
        return head.height, head.width

    def _native(self, index: int) -> Shown | None:
        assert isinstance(self.source, NativeFrames)
        return self._shown(self.source.stored(index), self.source.bits, None)

    def _by_ffmpeg(self, index: int) -> Shown | None:
        assert isinstance(self.source, CodedFrames)
        data = self.source.coded(index)
        head = self.source.head or stream_head(data)  # the pictures of a file are alike
        frame = self._jpeg.decode(data) if data else None  # no bytes at all would end the decoder's stream
        if head is None or frame is None or (frame.height, frame.width) != (self.height, self.width):
            return None
        if head.components == 3 and head.bits == 8 and frame.format.name.startswith("yuv"):
            if self._colour is None:
                self._judge(lambda: self._jpeg.samples(frame), head.colour)
            if self._colour == "YBR":
                return Shown(plane(frame), lambda: self._jpeg.rgb(frame))
        return self._shown(self._jpeg.samples(frame), head.bits, head.colour)

    def _by_pydicom(self, index: int) -> Shown | None:
        assert isinstance(self.source, CodedFrames)
        assert self.source.head is not None
        head, data = self._coded(index)
        if head is None or head.kind != self.source.head.kind:
            return None
        samples = 3 if head.components == 3 else 1
        bits = head.bits
        if head.kind == "rle":  # which says neither its size nor its depth
            segments = int.from_bytes(data[:4], "little")
            samples = 3 if segments in (3, 6) else 1
            bits = 8 * segments // samples
        try:
            stored, _ = get_decoder(BY_PYDICOM[head.kind]).as_array(
                encapsulate([data]),
                raw=True,
                index=0,
                rows=self.height,
                columns=self.width,
                number_of_frames=1,
                samples_per_pixel=samples,
                photometric_interpretation="RGB" if samples == 3 else "MONOCHROME2",
                bits_allocated=8 if bits <= 8 else 16,
                bits_stored=min(bits, 16),
                pixel_representation=0,
                planar_configuration=0,
                pixel_keyword="PixelData",
            )
        except Exception:  # of many kinds, the libraries' own; the frame is missing then
            return None
        used = min(bits, integer(self.dataset, "BitsStored", bits) or bits) if head.kind == "rle" else bits
        return self._shown(stored, used, head.colour)

    def _coded(self, index: int) -> tuple[Head | None, bytes]:
        """One compressed frame and its head; no head where it is missing, or of another size."""
        assert isinstance(self.source, CodedFrames)
        data = self.source.coded(index)
        head = stream_head(data)
        if head is not None and head.width and (head.height, head.width) != (self.height, self.width):
            return None, b""
        return head, data

    def _judge(self, picture: Callable[[], Picture], stream: Colour | None) -> None:
        """Settle once for all frames what their three samples are."""
        if self.model in AS_YBR and stream == "YBR":
            self._colour = "YBR"
            return
        compressed = isinstance(self.source, CodedFrames)
        self._colour, notices = colour_of(picture(), self.model, stream, "YBR" if compressed else "RGB")
        if not self.model:
            notices = (Notice("colour-label-missing", "The header does not say what colours the pixels are."),)
        self.notices += notices

    def _shown(self, stored: Samples, bits: int, stream: Colour | None) -> Shown:
        """One frame as stored, by its colour model."""
        if stored.ndim == 2:
            if self.model == "PALETTE COLOR":
                table = palette(self.dataset)
                entry = np.minimum(stored, len(table) - 1)
                return Shown(luma(table)[entry], lambda: table[entry])
            grey = eight_bits(stored, bits)
            return Shown(255 - grey if self.model == "MONOCHROME1" else grey, None)
        value = eight_bits(stored, bits)
        if self._colour is None:
            self._judge(lambda: value, stream)
        if self._colour == "RGB":
            return Shown(luma(value), lambda: value)
        grey = np.ascontiguousarray(value[..., 0])
        if self._is_limited(grey):
            grey = full_range(grey)
        return Shown(grey, lambda: rgb_of_ybr(value))

    def _is_limited(self, grey: Picture) -> bool:
        """Whether luma keeps to 16 … 235, as YBR_PARTIAL means it, and the first frame does."""
        if self._limited is None:
            partial = "PARTIAL" in self.model and isinstance(self.source, NativeFrames)
            self._limited = partial and bool(np.percentile(grey, 1) >= 15 and np.percentile(grey, 99) <= 236)
        return self._limited


class _Jpeg:
    """FFmpeg's JPEG decoder, baseline to lossless, with what turns its frames into samples."""

    def __init__(self, most_pixels: int) -> None:
        decoder = av.CodecContext.create("mjpeg", "r")
        assert isinstance(decoder, VideoCodecContext)
        decoder.options = {"max_pixels": str(most_pixels)}
        decoder.thread_count = 1  # threads would hand out frames late
        self._decoder, self._reformatter = decoder, VideoReformatter()

    def decode(self, data: bytes) -> VideoFrame | None:
        """The frame of one compressed picture; None where it does not decode."""
        try:
            frames = self._decoder.decode(av.Packet(data))
        except av.error.FFmpegError:
            return None
        whole = [frame for frame in frames if isinstance(frame, VideoFrame) and not frame.is_corrupt]
        return whole[0] if whole else None

    def rgb(self, frame: VideoFrame) -> Picture:
        """Its colours, full-range RGB [H, W, 3]."""
        return converted(self._reformatter, frame, "rgb24")

    def samples(self, frame: VideoFrame) -> Samples:
        """Its samples as stored: [H, W], or [H, W, 3] with coarser planes repeated."""
        name = frame.format.name
        if name.startswith("yuv"):
            whole = frame.reformat(format="yuvj444p") if "444" not in name else frame
            return np.stack([plane(whole, place) for place in range(3)], axis=-1)
        if name.startswith("gray"):
            grey: Samples = frame.to_ndarray()  # type: ignore[assignment]
            return grey
        return self.rgb(frame)  # gbrp, bgr24: the same samples in another order


def refuse_bomb(file: DicomFile, frames: Frames) -> None:
    """Refuse run-length coded pixels that unpack to so much more than they are that they hold runs alone.

    Raises:
        UnreadableFile: they do; nothing was decoded.
    """
    assert file.pixels is not None
    source = frames.source if isinstance(frames, Pictures) else None
    if not isinstance(source, CodedFrames) or source.head is None or source.head.kind != "rle":
        return
    unpacked = frames.count * frames.height * frames.width * max(1, integer(file.dataset, "SamplesPerPixel", 1))
    if unpacked > LARGE and unpacked > MOST_RUNS * file.pixels.length:
        cause = f"its {file.pixels.length >> 10} KiB of pixels would unpack to {unpacked >> 20} MiB of one grey"
        raise UnreadableFile(cause, path=file.path)


def missing_frames(frames: Frames, stack: FrameStack, file: DicomFile) -> tuple[Notice, ...]:
    """Compare what was decoded with what should be there, once all frames were decoded.

    Raises:
        UnreadableFile: as for `FrameStack.missing`; of a file that was cut short, where less than half is left.
    """
    assert file.pixels is not None
    return stack.missing(max(declared_frames(file), frames.count), cut_short=file.pixels.cut_short)
