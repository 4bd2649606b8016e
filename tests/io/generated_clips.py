"""Generated clips: a beating, speckled fan on a screen with text, ticks and an ECG; written as AVI, MP4 and DICOM."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    generate_uid,
)

from mcsdr.io.finding import kind_of
from mcsdr.io.recording import FrameStack
from mcsdr.io.video import Video

Pictures = NDArray[np.uint8]
PLANTED_NAME, PLANTED_ID = "Planted^Name", "PLANTED-ID-4711"
ULTRASOUND = "1.2.840.10008.5.1.4.1.1.3.1"


def fan_mask(height: int = 240, width: int = 320) -> NDArray[np.bool_]:
    """An upright fan of 80 degrees with its apex near the top, in the middle of the picture."""
    y, x = np.mgrid[:height, :width]
    dy, dx = y - 0.05 * height, x - 0.5 * width
    return (np.hypot(dx, dy) < 0.78 * height) & (np.abs(np.arctan2(dx, dy)) < np.radians(40.0)) & (dy > 5)


def fan_loop(count: int = 40, height: int = 240, width: int = 320, seed: int = 0) -> Pictures:
    """uint8 [T, H, W]: speckle, new in every frame, with a dark ellipse that beats; black outside the fan."""
    rng = np.random.default_rng(seed)
    inside = fan_mask(height, width)
    y, x = np.mgrid[:height, :width]
    frames = np.zeros((count, height, width), dtype=np.uint8)
    for t in range(count):
        radius = 0.14 + 0.03 * np.cos(2 * np.pi * t / 30)
        cavity = np.hypot((x / width - 0.5) / radius, (y / height - 0.45) / (1.4 * radius)) < 1
        grey = np.where(cavity, 14.0, 90.0) * rng.rayleigh(0.8, (height, width))
        frames[t] = np.where(inside, np.clip(grey, 0, 255), 0)
    return frames


def screen_loop(count: int = 40, seed: int = 0) -> Pictures:
    """uint8 [T, 240, 320, 3]: the fan on a screen with text, depth ticks, a button bar and a sweeping green ECG."""
    grey = fan_loop(count, seed=seed)
    screen = np.repeat(grey[..., None], 3, axis=3)
    for t in range(count):
        picture = Image.fromarray(screen[t])
        draw = ImageDraw.Draw(picture)
        draw.text((4, 4), "Site 12\nMI 0.9", fill=(200, 200, 200))
        for depth in range(20, 200, 20):
            draw.line((305, depth, 312, depth), fill=(180, 180, 180))
        draw.rectangle((30, 226, 290, 238), fill=(30, 40, 70))
        trace = [
            (40 + i, 214 - int(12 * np.exp(-(((i % 60 - 30) / 3) ** 2)))) for i in range(int(240 * (t + 1) / count))
        ]
        draw.line([*trace, trace[-1]], fill=(40, 220, 60))
        screen[t] = np.asarray(picture)
    return screen


def doppler_loop(count: int = 40) -> Pictures:
    """The screen with a flickering box of red and blue in the fan, as colour Doppler shows flow."""
    screen = screen_loop(count)
    rng = np.random.default_rng(1)
    for frame in screen:
        box = frame[90:140, 140:190]
        flowing = rng.random(box.shape[:2]) < 0.6
        away = rng.random(box.shape[:2]) < 0.5
        box[flowing & away] = (200, 30, 20)
        box[flowing & ~away] = (20, 40, 210)
    return screen


def write_video(
    path: Path, frames: Pictures, *, codec: str = "mjpeg", rate: int = 30, options: dict[str, str] | None = None
) -> Path:
    """Write uint8 [T, H, W] or [T, H, W, 3] as a video; MJPG in full range, all else in limited range."""
    rgb = frames if frames.ndim == 4 else np.repeat(frames[..., None], 3, axis=3)
    good = {"qmin": "2", "qmax": "3"} if codec == "mjpeg" else {"crf": "18"}
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options or good)
        stream.height, stream.width = rgb.shape[1:3]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for picture in rgb:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def decoded_video(path: Path) -> Pictures:
    """The whole pictures of a video as they are shown, before the sector is cut out: uint8 [T, H, W]."""
    kind = kind_of(path)
    assert kind is not None
    video = Video(path, kind.name)
    stack = FrameStack(path, video.count, video.height, video.width)
    video.decode(stack)
    return stack.frames()


def jpeg_frames(frames: Pictures) -> list[bytes]:
    """Each picture as a JPEG baseline image."""
    coded = []
    for picture in frames:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=92)
        coded.append(buffer.getvalue())
    return coded


def ultrasound(frames: Pictures, syntax: str = ExplicitVRLittleEndian, **tags: Any) -> Dataset:
    """A multi-frame ultrasound data set of uint8 [T, H, W] or [T, H, W, 3]; tags by keyword, None takes one away."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = ULTRASOUND
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SOPClassUID, dataset.SOPInstanceUID = ULTRASOUND, dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.PatientName, dataset.PatientID, dataset.Modality = PLANTED_NAME, PLANTED_ID, "US"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = frames.shape[:3]
    dataset.SamplesPerPixel = 3 if frames.ndim == 4 else 1
    dataset.PhotometricInterpretation = "RGB" if frames.ndim == 4 else "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    if frames.ndim == 4:
        dataset.PlanarConfiguration = 0
    dataset.FrameTime = "33.333"
    dataset.PixelData = frames.tobytes()
    for keyword, value in tags.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def jpeg_ultrasound(frames: Pictures, **tags: Any) -> Dataset:
    """The same, compressed as JPEG baseline."""
    model = "YBR_FULL_422" if frames.ndim == 4 else "MONOCHROME2"
    dataset = ultrasound(frames, JPEGBaseline8Bit, PhotometricInterpretation=model, **tags)
    dataset.PixelData = encapsulate(jpeg_frames(frames))
    dataset["PixelData"].VR = "OB"
    return dataset


def lossless_jpeg(picture: Pictures) -> bytes:
    """One grey picture [H, W] as lossless JPEG (process 14, first-order prediction), by T.81's Annex H.

    Every difference is coded as its number of bits, in five bits of a code of equal lengths, and these bits.
    """
    height, width = picture.shape
    values = picture.astype(np.int32)
    predicted = np.empty_like(values)
    predicted[0, 0], predicted[0, 1:] = 128, values[0, :-1]
    predicted[1:, 0], predicted[1:, 1:] = values[:-1, 0], values[1:, :-1]
    bits = []
    for difference in (values - predicted).ravel().tolist():
        size = abs(difference).bit_length()
        bits.append(f"{size:05b}")
        if size:
            bits.append(f"{difference if difference > 0 else difference + (1 << size) - 1:0{size}b}")
    stream = "".join(bits)
    stream += "1" * (-len(stream) % 8)
    scan = int(stream, 2).to_bytes(len(stream) // 8, "big").replace(b"\xff", b"\xff\0")
    table = bytes([0, 0, 0, 0, 0, 17, *[0] * 11, *range(17)])
    frame = bytes([8]) + height.to_bytes(2, "big") + width.to_bytes(2, "big") + bytes([1, 1, 0x11, 0])
    parts = ((0xC4, table), (0xC3, frame), (0xDA, bytes([1, 1, 0, 1, 0, 0])))
    head = b"".join(bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body for marker, body in parts)
    return b"\xff\xd8" + head + scan + b"\xff\xd9"


def still_coded(frames: Pictures, kind: str) -> Dataset:
    """A loop whose frames are each coded as "jpeg-lossless", "jpeg-ls" or "jpeg2000", all without loss."""
    coded = []
    for picture in frames:
        if kind == "jpeg-lossless":
            coded.append(lossless_jpeg(picture))
        elif kind == "jpeg-ls":
            encoder: Any = av.CodecContext.create("jpegls", "w")
            encoder.width, encoder.height = picture.shape[1], picture.shape[0]
            encoder.pix_fmt, encoder.time_base = "rgb24" if picture.ndim == 3 else "gray", Fraction(1, 30)
            frame = av.VideoFrame.from_ndarray(picture, format=encoder.pix_fmt)
            coded.append(b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None))))
        else:
            buffer = io.BytesIO()
            Image.fromarray(picture).save(buffer, "JPEG2000", irreversible=False, no_jp2=True, mct=0)
            coded.append(buffer.getvalue())
    syntax = {"jpeg-lossless": JPEGLosslessSV1, "jpeg-ls": JPEGLSLossless, "jpeg2000": JPEG2000Lossless}[kind]
    dataset = ultrasound(frames, syntax)
    dataset.PixelData = encapsulate(coded)
    dataset["PixelData"].VR = "OB"
    return dataset


def region(spatial: int, data: int, box: tuple[int, int, int, int], units: int = 3) -> Dataset:
    """One item of the Sequence of Ultrasound Regions; box is left, top, right, bottom."""
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType = spatial, data
    item.RegionLocationMinX0, item.RegionLocationMinY0, item.RegionLocationMaxX1, item.RegionLocationMaxY1 = box
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = units
    return item
