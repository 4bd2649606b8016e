"""Reading multi-frame ultrasound DICOM: what the header says, before and beside the pixels.

A header is judged first, because it can refuse without decoding: the kind of object, one frame or many, M-mode or
Doppler regions, sizes beyond the limits. Then the pixels are decoded (dicom_pixels.py).

Time t_k of frame k, from the first of these that is plausible:

    Frame Time (0018,1063) Δ ms                     t_k = k Δ / 1000
    Cine Rate (0018,0040) f Hz                      t_k = k / f
    Recommended Display Frame Rate (0008,2144) f    t_k = k / f
    Frame Time Vector (0018,1065) Δ_0 … Δ_{T-1}     t_k = (Δ_0 + … + Δ_k) / 1000

except that the vector, which knows every frame, goes before a rate that agrees with it. Names, identifiers and dates
never enter a message: texts of the parser's own errors, which may quote the file, are dropped.
"""

from __future__ import annotations

import io
import math
import re
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from mcsdr.errors import McsdrError, MissingFile, NoFrameTime, NotBMode, SingleFrame, UnreadableFile, UnsupportedFormat
from mcsdr.io.dicom_pixels import decode_frames
from mcsdr.io.patches import Box
from mcsdr.io.recording import (
    MAX_BYTES,
    FrameStack,
    Recording,
    checked_rate,
    plausible_rate,
    rate_notices,
    uniform_times,
)
from mcsdr.study import Attributes, Notice

MULTI_FRAME = ("1.2.840.10008.5.1.4.1.1.3.1", "1.2.840.10008.5.1.4.1.1.3")
STILL = ("1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.6")
SECONDARY_CAPTURE = ("1.2.840.10008.5.1.4.1.1.7.2", "1.2.840.10008.5.1.4.1.1.7.4")  # multi-frame, 8 bit or colour
PREAMBLE = 132  # bytes of preamble and magic
MAX_INFLATED = 400 << 20  # bytes of a deflated file
YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
HEART_RATES = (20.0, 300.0)  # beats per minute
MAX_R_WAVES = 10_000
TWO_D, M_MODE, SPECTRAL = 1, 2, 3  # Region Spatial Format
TISSUE, COLOUR_FLOW = 1, 2  # Region Data Type

Times = NDArray[np.float64]


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
    with one_error(path):
        dataset = _parse(path)
        _refuse_by_header(dataset, path)
        count = _integer(dataset, "NumberOfFrames")
        rate, heart_notices = _heart_rate(dataset)
        attributes, attribute_notices = read_attributes(dataset)
        stack = FrameStack(path, count, _integer(dataset, "Rows"), _integer(dataset, "Columns"))
        times, time_notices = frame_times(dataset, count, frame_rate_hz, path)
        decode_frames(dataset, stack)
        missing = stack.missing()
        return Recording(
            path=path,
            frames=stack.frames(),
            frame_times_s=times[stack.indices],
            colour=stack.colour(),
            regions=tissue_regions(dataset),
            heart_rate_bpm=rate,
            attributes=attributes,
            attribute_notices=attribute_notices,
            notices=missing + time_notices + heart_notices,
            r_wave_times_s=_r_wave_times(dataset) if frame_rate_hz is None else (),  # they are on the file's own clock
        )


def open_dicom(path: Path) -> Dataset:
    """The data set of any DICOM file, parsed but not judged; its values are decoded when they are asked for.

    Raises:
        MissingFile: no such file.
        UnreadableFile: not DICOM, damaged, or larger than the limits.
    """
    if not path.is_file():
        raise MissingFile("there is no such file", path=path)
    with one_error(path):
        return _parse(path)


def frame_times(dataset: Dataset, count: int, given_hz: float | None, path: Path) -> tuple[Times, tuple[Notice, ...]]:
    """Times in seconds of `count` frames, and what must be said of them.

    Raises:
        NoFrameTime: no tag holds a plausible rate, and none was given.
    """
    delta_ms = _number(dataset, "FrameTime")
    said = {
        "Frame Time": 1000.0 / delta_ms if delta_ms else None,
        "Cine Rate": _number(dataset, "CineRate"),
        "Recommended Display Frame Rate": _number(dataset, "RecommendedDisplayFrameRate"),
    }
    rates = {name: rate for name, rate in said.items() if rate is not None and plausible_rate(rate)}
    vector = _frame_time_vector(dataset, count)
    if vector is not None:
        rates["Frame Time Vector"] = 1.0 / float(np.median(np.diff(vector)))
    if given_hz is not None:
        rate = checked_rate(given_hz, path)
        return uniform_times(count, rate), rate_notices(rate, rates)
    if not rates:
        raise NoFrameTime("no tag of the file gives a plausible time between frames", path=path)
    rate = next(iter(rates.values()))
    notices = rate_notices(rate, rates)
    agrees = vector is not None and abs(rates["Frame Time Vector"] / rate - 1.0) <= 0.1
    if vector is not None and agrees and "Frame Time" not in rates:
        return vector, notices
    return uniform_times(count, rate), notices


def tissue_regions(dataset: Dataset) -> tuple[Box, ...]:
    """The regions that show 2-D tissue; one without units that fills the whole screen does not count."""
    boxes = []
    for region in _regions(dataset):
        left, top = _integer(region, "RegionLocationMinX0", -1), _integer(region, "RegionLocationMinY0", -1)
        right, bottom = _integer(region, "RegionLocationMaxX1", -1), _integer(region, "RegionLocationMaxY1", -1)
        unitless = _integer(region, "PhysicalUnitsXDirection") == 0
        screen = (
            left == top == 0 and right >= _integer(dataset, "Columns") - 1 and bottom >= _integer(dataset, "Rows") - 1
        )
        if _shows_tissue(region) and not (unitless and screen):
            boxes.append(Box(top, left, bottom + 1, right + 1))
    return tuple(boxes)


def read_attributes(dataset: Dataset) -> tuple[dict[str, float | str], dict[str, Notice]]:
    """Age, sex, weight and height of the patient by their names in `Attributes`; what is implausible is left out.

    Returns:
        the values, and a notice for each that was left out; the notice never quotes the file.
    """
    size_m = _number(dataset, "PatientSize")
    found: dict[str, float | None] = {
        "age_years": _age_years(_text(dataset, "PatientAge")),
        "weight_kg": _number(dataset, "PatientWeight"),
        "height_cm": None if size_m is None else 100.0 * size_m,
    }
    values: dict[str, float | str] = {}
    notices: dict[str, Notice] = {}
    for name, value in found.items():
        low, high = Attributes.RANGES[name]
        if value is not None and value > 0.0 and low <= value <= high:
            values[name] = value
        elif value is not None:
            text = f"The file's {name} is not plausible and was left out."
            notices[name] = Notice("attribute-implausible", text)
    sex = _text(dataset, "PatientSex").upper()
    if sex in ("F", "M"):
        values["sex"] = sex
    return values, notices


def _age_years(text: str) -> float | None:
    """Years from an age string such as 063Y, 018M, 006W, 010D; NaN where it is something else, None where empty."""
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,3})([DWMY])", text.upper())
    return int(match[1]) * YEARS[match[2]] if match else math.nan


def _heart_rate(dataset: Dataset) -> tuple[float | None, tuple[Notice, ...]]:
    """Heart rate per minute; machines without an ECG write 0, which is silently unknown."""
    rate = _number(dataset, "HeartRate")
    if rate is None or rate == 0.0:
        return None, ()
    if HEART_RATES[0] <= rate <= HEART_RATES[1]:
        return rate, ()
    return None, (Notice("heart-rate-implausible", "The file's heart rate is not plausible and was left out."),)


def _r_wave_times(dataset: Dataset) -> tuple[float, ...]:
    """R Wave Time Vector (0018,6060), ms after the first frame, in seconds; empty where there is no such list."""
    value = dataset.get("RWaveTimeVector")
    if value is None or value == "":
        return ()
    times = np.atleast_1d(np.asarray(value, dtype=np.float64)) / 1000.0
    ascending = len(times) <= MAX_R_WAVES and np.all(np.isfinite(times)) and np.all(np.diff(times) > 0.0)
    return tuple(times.tolist()) if ascending else ()


def _refuse_by_header(dataset: Dataset, path: Path) -> None:
    kind = _text(dataset, "SOPClassUID") or _text(dataset.file_meta, "MediaStorageSOPClassUID")
    ultrasound = _text(dataset, "Modality") == "US"
    if kind in STILL:
        raise SingleFrame("it is an ultrasound still image", path=path)
    if kind not in MULTI_FRAME and not (ultrasound and (kind in SECONDARY_CAPTURE or not kind)):
        name = UID(kind).name if UID(kind).is_valid and UID(kind).name != kind else "an object of unknown kind"
        raise UnsupportedFormat(f"it is not an ultrasound clip but: {name}", path=path)
    if "PixelData" not in dataset:
        raise UnreadableFile("it holds no pixel data", path=path)  # first: a cut header has no frame count either
    if _integer(dataset, "NumberOfFrames") <= 1:
        raise SingleFrame("it holds a single frame", path=path)
    regions = _regions(dataset)
    flow = any(_integer(region, "RegionDataType") == COLOUR_FLOW for region in regions)
    if flow or _integer(dataset, "UltrasoundColorDataPresent") == 1:
        raise NotBMode("its header says that it holds colour flow (colour Doppler)", path=path)
    traces = {_integer(region, "RegionSpatialFormat") for region in regions} & {M_MODE, SPECTRAL}
    if traces and not any(_shows_tissue(region) for region in regions):
        name = "M-mode" if M_MODE in traces else "spectral Doppler"
        raise NotBMode(f"its header says that it is {name}", path=path)


def _shows_tissue(region: Dataset) -> bool:
    return _integer(region, "RegionSpatialFormat") == TWO_D and _integer(region, "RegionDataType") == TISSUE


def _regions(dataset: Dataset) -> list[Dataset]:
    return list(dataset.get("SequenceOfUltrasoundRegions") or [])


def _frame_time_vector(dataset: Dataset, count: int) -> Times | None:
    """Times in seconds from the Frame Time Vector, None where it is absent or does not fit the frames."""
    value = dataset.get("FrameTimeVector")
    if value is None or not hasattr(value, "__len__") or len(value) != count or count < 2:
        return None
    steps_ms = np.array([float(step) for step in value])
    if not (np.all(np.isfinite(steps_ms)) and np.all(steps_ms[1:] > 0.0)):
        return None
    median_ms = float(np.median(steps_ms[1:]))
    times: Times = np.cumsum(steps_ms) / 1000.0
    return times - times[0] if plausible_rate(1000.0 / median_ms) else None


def _parse(path: Path) -> Dataset:
    """The data set of a file, from memory: a length that the file forges then cannot allocate more than there is."""
    with path.open("rb") as file:
        content = file.read(2 * MAX_BYTES + 1)
    if len(content) > 2 * MAX_BYTES:
        raise UnreadableFile(f"it is larger than {2 * MAX_BYTES >> 20} MiB", path=path)
    _refuse_deflate_bomb(content, path)
    return dcmread(io.BytesIO(content))


def _refuse_deflate_bomb(content: bytes, path: Path) -> None:
    """Inflate a deflated file piece by piece, keeping nothing, and refuse it when it grows beyond the limit."""
    file = io.BytesIO(content)
    file.seek(PREAMBLE)
    meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    if _text(meta, "TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    inflater, rest, size = zlib.decompressobj(-zlib.MAX_WBITS), content[file.tell() :], 0
    while rest and not inflater.eof:
        size += len(inflater.decompress(rest, 1 << 20))
        rest = inflater.unconsumed_tail
        if size > MAX_INFLATED:
            raise UnreadableFile(f"it inflates to more than {MAX_INFLATED >> 20} MiB", path=path)


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip()


def _number(dataset: Dataset, keyword: str) -> float | None:
    """A number, None where the tag is absent or empty, NaN where it holds something else."""
    value: Any = dataset.get(keyword)
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _integer(dataset: Dataset, keyword: str, default: int = 0) -> int:
    number = _number(dataset, keyword)
    return default if number is None or math.isnan(number) else int(number)


@contextmanager
def one_error(path: Path) -> Iterator[None]:
    """Turn whatever the parser raises on a damaged file (seven kinds and more) into one error that names the file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parser's warnings quote values, names among them
            yield
    except McsdrError:
        raise
    except Exception as error:
        raise UnreadableFile(f"the DICOM file cannot be decoded ({type(error).__name__})", path=path) from None
