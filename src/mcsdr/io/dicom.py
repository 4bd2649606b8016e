"""Reading multi-frame ultrasound DICOM.

    header ──refuse, without decoding──> frames ──decode, sample first──> sector ──> Recording

A header is judged first (the kind of object, M-mode or Doppler regions), then how many frames there are, and when each
was taken; then they are decoded, and of each only the sector is kept. Names, identifiers and dates never enter a
message: texts of the parser's own errors, which may quote the file, are dropped.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID

from mcsdr.errors import McsdrError, SingleFrame, UnreadableFile, UnsupportedFormat
from mcsdr.io.cutting import SectorStack
from mcsdr.io.dicom_file import DicomFile, one_error, opened
from mcsdr.io.dicom_frames import count_notices, declared_frames
from mcsdr.io.dicom_header import integer, text
from mcsdr.io.dicom_patient import heart_rate, r_wave_times, read_attributes
from mcsdr.io.dicom_pixels import frames_of, missing_frames, refuse_bomb
from mcsdr.io.dicom_regions import pixel_aspect, refuse_by_region, tissue_regions
from mcsdr.io.dicom_timing import frame_times
from mcsdr.io.recording import Recording

__all__ = ["SOP_CLASSES", "one_error", "open_dicom", "read_attributes", "read_dicom"]

MULTI_FRAME = ("1.2.840.10008.5.1.4.1.1.3.1", "1.2.840.10008.5.1.4.1.1.3")
STILL = ("1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.6")
# Secondary captures, single-frame and multi-frame, of 8 bit or in colour; and videos.
SECONDARY_CAPTURE = ("1.2.840.10008.5.1.4.1.1.7.2", "1.2.840.10008.5.1.4.1.1.7.4", "1.2.840.10008.5.1.4.1.1.7")
SOP_CLASSES = (*MULTI_FRAME, *STILL, *SECONDARY_CAPTURE)  # that are read, or refused by what they show


def read_dicom(path: Path, *, frame_rate_hz: float | None = None) -> Recording:
    """Read one multi-frame ultrasound DICOM file.

    Arguments:
        path: the file.
        frame_rate_hz: used instead of what the file says.

    Raises:
        UnreadableFile: damaged, cut short, or larger than the limits.
        UnsupportedFormat: not an ultrasound clip, or compressed in a way that cannot be decoded here.
        SingleFrame, NotBMode, NoFrameTime: the header says that no ejection fraction can be estimated from it.
    """
    with opened(path) as file:
        dataset = file.dataset
        _refuse_by_header(file)
        frames = frames_of(file)
        if frames.count == 1:
            raise SingleFrame("it holds a single frame", path=path)
        refuse_bomb(file, frames)
        rate, heart_notices = heart_rate(dataset)
        attributes, attribute_notices = read_attributes(dataset)
        aspect, aspect_notices = pixel_aspect(dataset)
        regions = tissue_regions(dataset, frames.height, frames.width)
        stack = SectorStack(path, frames.count, frames.height, frames.width, aspect=aspect, regions=regions)
        times, time_notices = frame_times(dataset, frames.count, frame_rate_hz, path)
        frames.decode(stack)
        notices = missing_frames(frames, stack, file) + count_notices(declared_frames(file), frames.count)
        pictures, look = stack.cut()
        return Recording(
            path=path,
            frames=pictures,
            frame_times_s=times[stack.indices],
            colour=stack.colour(),
            heart_rate_bpm=rate,
            attributes=attributes,
            attribute_notices=attribute_notices,
            notices=notices + time_notices + heart_notices + frames.notices + aspect_notices,
            r_wave_times_s=r_wave_times(dataset) if frame_rate_hz is None else (),  # they are on the file's own clock
            look=look,
            colour_declared=integer(dataset, "UltrasoundColorDataPresent") == 1,
        )


def open_dicom(path: Path) -> Dataset:
    """The header of any DICOM file, without its pixels; values are decoded when they are asked for.

    Number of Frames is what the file holds, where that can be told, and not what the header says.

    Raises:
        MissingFile, UnreadableFile: as for `opened`.
    """
    with opened(path) as file:
        held = 0
        with contextlib.suppress(McsdrError):
            held = frames_of(file).count
        if held > 1:
            file.dataset.NumberOfFrames = held
        return file.dataset


def _refuse_by_header(file: DicomFile) -> None:
    dataset, path = file.dataset, file.path
    kind = text(dataset, "SOPClassUID") or text(dataset.file_meta, "MediaStorageSOPClassUID")
    ultrasound = text(dataset, "Modality") == "US"
    if not (kind in (*MULTI_FRAME, *STILL) or (ultrasound and (kind in SECONDARY_CAPTURE or not kind))):
        name = UID(kind).name if UID(kind).is_valid and UID(kind).name != kind else "an object of unknown kind"
        raise UnsupportedFormat(f"it is not an ultrasound clip but: {name}", path=path)
    if file.pixels is None:
        raise UnreadableFile("it holds no pixel data", path=path)
    refuse_by_region(dataset, path)
