"""A copy of an ultrasound DICOM that tells how the heart beats and not whose it is.

    copy = allow-listed numbers + new UIDs + blanked pictures        everything else is left behind

What is not on the list is not copied, so that unknown, private and nested elements, overlays and comments need no rule
of their own (PS3.15 Annex E: 113100 Basic Profile, 113101 Clean Pixel Data, 113108 Retain Patient Characteristics).
Numbers are rewritten as numbers and codes chosen from a list; no text of the original survives. Identifiers become

    UID' = "2.25." + UUID(HMAC(salt, UID))        Patient ID' = HMAC(salt, Patient ID)

the same within one run, so that the clips of a study and of a patient stay together; without the salt nobody can go
back. Before anything is written, the copy is parsed again and searched for what the original says elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import math
import re
import secrets
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundImageStorage, UltrasoundMultiFrameImageStorage

from mcsdr import __version__
from mcsdr.errors import Identifiable, InvalidConfig, NoFrameTime, UnsupportedFormat
from mcsdr.files import sha256_of, write_atomically
from mcsdr.interop import codes
from mcsdr.interop.clean_pixels import Pictures, clean_pictures
from mcsdr.interop.content_tree import coded, concept
from mcsdr.interop.traces import SHORTEST, stand_in_pixels, traces
from mcsdr.io.dicom_file import DicomFile, opened
from mcsdr.io.dicom_header import numbers, text
from mcsdr.io.dicom_timing import frame_times
from mcsdr.study import View

OLDEST_YEARS = 90  # HIPAA: ages above 89 are one class
NUMBERS = (
    "CineRate",
    "RecommendedDisplayFrameRate",
    "HeartRate",
    "NominalInterval",
    "RWaveTimeVector",
    "FrameDelay",
    "StartTrim",
    "StopTrim",
    "EffectiveDuration",
    "AcquisitionDuration",
    "MechanicalIndex",
    "PatientSize",
    "PatientWeight",
    "InstanceNumber",
    "SeriesNumber",
    "UltrasoundColorDataPresent",
    "PixelAspectRatio",
    "PixelSpacing",
)
TIMES = ("FrameTime", "FrameTimeVector", "ActualFrameDuration")  # of which the copy has what was read of them
OF_REGIONS = (
    "RegionSpatialFormat",
    "RegionDataType",
    "RegionFlags",
    "RegionLocationMinX0",
    "RegionLocationMinY0",
    "RegionLocationMaxX1",
    "RegionLocationMaxY1",
    "ReferencePixelX0",
    "ReferencePixelY0",
    "PhysicalUnitsXDirection",
    "PhysicalUnitsYDirection",
    "ReferencePixelPhysicalValueX",
    "ReferencePixelPhysicalValueY",
    "PhysicalDeltaX",
    "PhysicalDeltaY",
    "TransducerFrequency",
)
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
# Type 2: the standard wants them, empty.
EMPTY = (
    "PatientName",
    "PatientBirthDate",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "SeriesNumber",
    "InstanceNumber",
    "PatientOrientation",
    "Laterality",
    "Manufacturer",
)
INTEGER_VRS = ("IS", "US", "UL", "SS", "SL")
SEXES = ("F", "M", "O")


@dataclass(frozen=True)
class Copy:
    """A de-identified file, checked and not yet written."""

    uid: str
    content: bytes

    def write(self, out: Path) -> None:
        """Write it in one piece.

        Raises:
            UnwritableFile: no room or no permission.
        """
        write_atomically(out, self.content)


def new_salt() -> str:
    """A secret for one run."""
    return secrets.token_hex(32)


def deidentify(path: str | Path, out: str | Path, *, salt: str | None = None) -> str:
    """Write a de-identified copy of one ultrasound DICOM file; arguments and errors as for `deidentified`.

    Returns:
        the copy's new SOP Instance UID.
    """
    if Path(out).resolve() == Path(path).resolve():
        raise InvalidConfig("the copy would replace the original", path=out, next_step="Choose another name.")
    copy = deidentified(path, salt=salt)
    copy.write(Path(out))
    return copy.uid


def deidentified(path: str | Path, *, salt: str | None = None, instance: int = 1) -> Copy:
    """A de-identified copy of one ultrasound DICOM file, still or loop, grey or colour.

    Arguments:
        path: the original; it is only read.
        salt: a secret; the same salt maps the same identifiers to the same new ones. A new one unless given.
        instance: 2 for the second original that goes by one SOP Instance UID, and so on; each copy has its own.

    Raises:
        MissingFile, UnreadableFile, UnsupportedFormat: it cannot be read, or is no ultrasound picture.
        Identifiable: text may stand in the picture, or something of the original was found in the copy.
    """
    path, salt = Path(path), salt or new_salt()
    with opened(path) as file:
        original = file.dataset
        if text(original, "Modality") != "US":
            step = "Give an ultrasound image or clip."
            raise UnsupportedFormat("it is no ultrasound picture", path=path, next_step=step)
        told = traces(original, known={*NUMBERS, *TIMES, *OF_REGIONS, "PatientAge", "PatientSex"})
        own_uid = original.SOPInstanceUID = _own_uid(file)
        copy = _header(original, salt)
        if instance > 1:
            copy.SOPInstanceUID = _new_uid(f"{own_uid} {instance}", salt)
        pictures, places = clean_pictures(file)
        _put_pixels(copy, pictures, file)
        if len(pictures) > 1:
            _put_frame_times(original, copy, places, path)
        content = io.BytesIO()
        dcmwrite(content, copy, enforce_file_format=True)
        _check_clean(content.getvalue(), told, path)
    return Copy(str(copy.SOPInstanceUID), content.getvalue())


def _own_uid(file: DicomFile) -> str:
    """What tells an original from others: its SOP Instance UID, or where it has none a number made of its bytes."""
    uid = text(file.dataset, "SOPInstanceUID") or text(file.dataset.file_meta, "MediaStorageSOPInstanceUID")
    return uid or _new_uid(sha256_of(file.path) or str(file.path), "")


def _header(original: Dataset, salt: str) -> Dataset:
    """Everything but the picture and its times."""
    copy = Dataset()
    copy.Modality, copy.ImageType = "US", ["DERIVED", "PRIMARY"]
    for keyword in EMPTY:
        setattr(copy, keyword, "")
    for keyword in UIDS:
        if text(original, keyword) or keyword != "FrameOfReferenceUID":
            setattr(copy, keyword, _new_uid(text(original, keyword) or f"{keyword} {original.SOPInstanceUID}", salt))
    identity = [str(original.get(keyword) or "") for keyword in ("PatientID", "IssuerOfPatientID")]
    copy.PatientID = _keyed("|".join(identity), salt)[:16] if any(identity) else ""
    copy.PatientSex = original.get("PatientSex") if original.get("PatientSex") in SEXES else ""
    age = _age(str(original.get("PatientAge") or ""))
    if age:
        copy.PatientAge = age
    _copy_numbers(original, copy, NUMBERS)
    regions = [_region(item) for item in original.get("SequenceOfUltrasoundRegions") or ()]
    if regions:
        copy.SequenceOfUltrasoundRegions = regions
    if "FrameOfReferenceUID" in copy:
        copy.PositionReferenceIndicator = ""
    _put_view(original, copy)
    copy.PatientIdentityRemoved = "YES"
    copy.DeidentificationMethod = f"mcsdr {__version__}: allow-list, new UIDs, blanked outside the sector"
    profile = (codes.BASIC_PROFILE, codes.CLEAN_PIXELS, codes.RETAIN_CHARACTERISTICS)
    copy.DeidentificationMethodCodeSequence = [coded(code) for code in profile]
    copy.LongitudinalTemporalInformationModified = "REMOVED"
    copy.BurnedInAnnotation = "NO"
    return copy


def _region(item: Dataset) -> Dataset:
    region = Dataset()
    _copy_numbers(item, region, OF_REGIONS)
    return region


def _copy_numbers(source: Dataset, target: Dataset, keywords: tuple[str, ...]) -> None:
    for keyword in keywords:
        found = numbers(source, keyword)
        if found and all(math.isfinite(value) for value in found):
            written = [_written(value, dictionary_VR(keyword)) for value in found]
            setattr(target, keyword, written if len(written) > 1 else written[0])


def _written(number: float, vr: str) -> float | int:
    """A number as its kind of element holds it; a decimal string is short."""
    if vr in INTEGER_VRS:
        return int(number)
    return float(f"{number:.10g}") if vr == "DS" else number


def _put_frame_times(original: Dataset, copy: Dataset, places: list[int], path: Path) -> None:
    """What was read of the original's times, of the frames that are copied, and the pointer to it.

    A Frame Time where they are even and the original has no vector, else a vector; so the copy is read as the original.
    """
    try:
        times, _ = frame_times(original, places[-1] + 1, None, path)
    except NoFrameTime:
        return
    steps_ms = 1000.0 * np.diff(times[places])
    if numbers(original, "FrameTimeVector") or np.ptp(steps_ms) > 1e-6:
        copy.FrameTimeVector = [_written(step, "DS") for step in (0.0, *steps_ms.tolist())]
        copy.FrameIncrementPointer = copy["FrameTimeVector"].tag
    else:
        copy.FrameTime = _written(float(steps_ms[0]), "DS")
        copy.FrameIncrementPointer = copy["FrameTime"].tag


def _put_view(original: Dataset, copy: Dataset) -> None:
    named = concept(original.get("ViewCodeSequence"))
    view = View.UNKNOWN if named is None else codes.view_of(named[0])
    if view is not View.UNKNOWN:
        copy.ViewCodeSequence = [coded(codes.VIEWS[view])]


def _age(text: str) -> str:
    """The age string, 090Y for whoever is older than 89; empty where it is no age."""
    match = re.fullmatch(r"(\d{3})([DWMY])", text.strip().upper())
    if match is None:
        return ""
    years = int(match[1]) if match[2] == "Y" else 0
    return f"{OLDEST_YEARS:03d}Y" if years >= OLDEST_YEARS else match[0]


def _put_pixels(copy: Dataset, pictures: Pictures, file: DicomFile) -> None:
    """The pictures, uncompressed, and what describes them; many make a loop, one a still."""
    count, height, width = pictures.shape[:3]
    colour = pictures.ndim == 4
    copy.Rows, copy.Columns = height, width
    copy.SamplesPerPixel = 3 if colour else 1
    copy.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        copy.PlanarConfiguration = 0
    copy.BitsAllocated = copy.BitsStored = 8
    copy.HighBit, copy.PixelRepresentation = 7, 0
    if count > 1:
        copy.NumberOfFrames = count
    lossy = text(file.dataset, "LossyImageCompression") == "01" or _was_lossy(file)
    copy.LossyImageCompression = "01" if lossy else "00"
    content = np.ascontiguousarray(pictures).tobytes()
    copy.PixelData = content + b"\0" * (len(content) % 2)
    copy["PixelData"].VR = "OB"
    copy.SOPClassUID = UltrasoundMultiFrameImageStorage if count > 1 else UltrasoundImageStorage
    copy.file_meta = FileMetaDataset()
    copy.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    copy.file_meta.MediaStorageSOPClassUID = copy.SOPClassUID
    copy.file_meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID


def _was_lossy(file: DicomFile) -> bool:
    compressed = file.pixels is not None and file.pixels.fragments is not None
    return compressed and "lossless" not in file.syntax.name.lower()


def _new_uid(uid: str, salt: str) -> str:
    return f"2.25.{uuid.UUID(hex=_keyed(uid, salt)[:32], version=4).int}"


def _keyed(value: str, salt: str) -> str:
    return hmac.new(salt.encode(), value.encode(), hashlib.sha256).hexdigest()


def _check_clean(content: bytes, told: frozenset[bytes], path: Path) -> None:
    """Search the finished file for what the original says outside of the allow-list.

    Raises:
        Identifiable: something of it is there; what is not said.
    """
    reread = dcmread(io.BytesIO(content))
    pixels = reread.PixelData
    header = content.replace(pixels, b"")
    for word in sorted(_own_words(reread), key=len, reverse=True):
        header = header.replace(word.encode(), b"")
    if any(trace in header for trace in told) or stand_in_pixels(told, pixels):
        raise Identifiable("something that the original says of the patient was found in the copy", path=path)


def _own_words(copy: Dataset) -> set[str]:
    """What this module wrote: made of the salt, or of the standard's words; an original may hold the same words."""
    meta = copy.file_meta
    words = {str(element.value) for element in meta if element.VR in ("UI", "SH")}
    words |= {str(copy[uid].value) for uid in (*UIDS, "SOPClassUID", "PatientID") if copy.get(uid)}
    words |= {str(copy.DeidentificationMethod), str(copy.PhotometricInterpretation), *copy.ImageType, "REMOVED"}
    for code in (codes.BASIC_PROFILE, codes.CLEAN_PIXELS, codes.RETAIN_CHARACTERISTICS, *codes.VIEWS.values()):
        words.update((code.value, code.meaning))
    return {word for word in words if len(word) >= SHORTEST}
