"""Small bodies that want to become large, for benchmarks/reliability.py: what is sent, and where to."""

from __future__ import annotations

import gzip
import io
import struct

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    RLELossless,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

CLIPS, STOW = "/api/v1/clips", "/dicom-web/studies"
STOW_HEADERS = {"content-type": 'multipart/related; type="application/dicom"; boundary=B'}
Sent = tuple[str, bytes, dict[str, str]]


def written(share: float) -> dict[str, Sent]:
    """Every bomb by what it is; the share makes those that take a while to write smaller."""
    small = min(1.0, max(0.02, share))
    deflated = dicom(30, 1024, 1024, DeflatedExplicitVRLittleEndian, b"\0" * int(small * (380 << 20)))
    stow = b"--B\r\nContent-Type: application/dicom\r\n\r\n" + deflated + b"\r\n--B--\r\n"
    many = int(small * 2_000_000)
    return {
        "63 frames of 4096 x 4096 in runs of zeros": (CLIPS, zeros_in_runs(63, 4096), {}),
        "4 G frames declared": (CLIPS, dicom(4_294_967_295, 64, 64, ExplicitVRLittleEndian, b"\0" * 64 * 64 * 40), {}),
        "65,535 x 65,535 pixels declared": (CLIPS, dicom(30, 65535, 65535, ExplicitVRLittleEndian, b"\0" * 4096), {}),
        "380 MiB of zeros, deflated": (CLIPS, deflated, {}),
        "250 frames of 4096 x 4096 of one grey, as AVI": (CLIPS, one_grey(max(20, int(small * 250)), 4096), {}),
        "a header element of 60 MiB": (CLIPS, large_header(int(small * (60 << 20))), {}),
        "15,000 frames at 5 Hz": (CLIPS, noise(int(small * 15_000), "200"), {}),
        "15,000 frames at 50 Hz": (CLIPS, noise(int(small * 14_900), "20"), {}),
        "15,000 frames at 50 Hz of a SYNTHETIC heart": (CLIPS, heart(int(small * 14_900)), {}),
        "1 GiB of zeros, gzipped": (CLIPS, gzip.compress(b"\0" * int(small * (1 << 30)), 1), {}),
        "STOW: 380 MiB of zeros, deflated": (STOW, stow, STOW_HEADERS),
        "STOW: 2,000,000 empty parts": (STOW, b"--B\r\n\r\n\r\n" * many + b"--B--\r\n", STOW_HEADERS),
        "STOW: 900 parts without a header": (STOW, b"--B\r\n\r\nx\r\n" * 900 + b"--B--\r\n", STOW_HEADERS),
    }


def ordinary(share: float) -> bytes:
    """No bomb: an AVI of 1,000 frames of 800 x 600 pixels, a SYNTHETIC phantom whose beat comes again and again."""
    import tempfile
    from pathlib import Path

    from mcsdr.phantom.layouts.video import write_avi

    large = beat(800, 600)
    with tempfile.TemporaryDirectory() as folder:
        write_avi(Path(folder) / "clip.avi", np.concatenate([large] * max(1, round(share * 1000 / len(large)))), 50)
        return (Path(folder) / "clip.avi").read_bytes()


def beat(width: int, height: int) -> NDArray[np.uint8]:
    """One clip of a SYNTHETIC phantom, uint8 [T, height, width]."""
    from PIL import Image

    from mcsdr.phantom.cohort import PhantomCohort

    frames = PhantomCohort(1, 91)[0].clips[0].frames
    return np.stack([np.asarray(Image.fromarray(frame).resize((width, height))) for frame in frames])


def dicom(frames: int, rows: int, columns: int, syntax: UID, pixels: bytes, **more: object) -> bytes:
    """An ultrasound file that says so many frames and pixels, and holds these bytes."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.Modality, dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "US", "MONOCHROME2", 1
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = rows, columns, frames
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.FrameIncrementPointer, dataset.FrameTime = 0x00181063, "33.3"
    for keyword, value in more.items():
        setattr(dataset, keyword, value)
    dataset.add_new(0x7FE00010, "OB", pixels)
    file = io.BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()


def zeros_in_runs(frames: int, side: int) -> bytes:
    """Black frames, each two bytes for every 128 pixels."""
    frame = struct.pack("<16L", 1, 64, *([0] * 14)) + b"\x81\0" * (side * side // 128)
    return dicom(frames, side, side, RLELossless, encapsulate([frame] * frames))


def one_grey(frames: int, side: int) -> bytes:
    """A video of one picture again and again, which shows nothing."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="avi") as container:
        stream = container.add_stream("mjpeg", rate=30, width=side, height=side, pix_fmt="yuvj420p")
        picture = av.VideoFrame.from_ndarray(np.full((side * 3 // 2, side), 128, dtype=np.uint8), format="yuvj420p")
        (packet,) = [*stream.encode(picture), *stream.encode()]
        coded, tick = bytes(packet), packet.time_base
        for number in range(frames):
            again = av.Packet(coded)
            again.stream, again.time_base, again.pts, again.dts = stream, tick, number, number
            again.is_keyframe = True
            container.mux(again)
    return file.getvalue()


def noise(frames: int, frame_time_ms: str) -> bytes:
    """Frames of 64 x 64 pixels of noise."""
    pixels = np.random.default_rng(0).integers(0, 256, frames * 64 * 64, dtype=np.uint8).tobytes()
    return dicom(frames, 64, 64, ExplicitVRLittleEndian, pixels, FrameTime=frame_time_ms)


def heart(frames: int) -> bytes:
    """Frames of 64 x 64 pixels at 50 Hz of a SYNTHETIC phantom whose beat comes again and again."""
    pixels = np.resize(beat(64, 64), (frames, 64, 64)).tobytes()
    return dicom(frames, 64, 64, ExplicitVRLittleEndian, pixels, FrameTime="20")


def large_header(size: int) -> bytes:
    """A short clip with one large element that nobody needs."""
    pixels = np.random.default_rng(0).integers(0, 256, 30 * 64 * 64, dtype=np.uint8).tobytes()
    return dicom(30, 64, 64, ExplicitVRLittleEndian, pixels, EncapsulatedDocument=b"x" * size)
