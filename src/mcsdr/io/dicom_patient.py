"""What a DICOM header says of the patient and of the rhythm; names, identifiers and dates are never looked at."""

from __future__ import annotations

import math
import re

import numpy as np
from pydicom.dataset import Dataset

from mcsdr.io.dicom_header import number, numbers, text
from mcsdr.study import Attributes, Notice

YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
HEART_RATES = (20.0, 300.0)  # beats per minute
MAX_R_WAVES = 10_000


def read_attributes(dataset: Dataset) -> tuple[dict[str, float | str], dict[str, Notice]]:
    """Age, sex, weight and height of the patient by their names in `Attributes`; what is implausible is left out.

    Returns:
        the values, and a notice for each that was left out; the notice never quotes the file.
    """
    size_m = number(dataset, "PatientSize")
    found: dict[str, float | None] = {
        "age_years": _age_years(text(dataset, "PatientAge")),
        "weight_kg": number(dataset, "PatientWeight"),
        "height_cm": None if size_m is None else 100.0 * size_m,
    }
    values: dict[str, float | str] = {}
    notices: dict[str, Notice] = {}
    for name, value in found.items():
        low, high = Attributes.RANGES[name]
        if value is not None and value > 0.0 and low <= value <= high:
            values[name] = value
        elif value is not None:
            cause = f"The file's {name} is not plausible and was left out."
            notices[name] = Notice("attribute-implausible", cause)
    sex = text(dataset, "PatientSex").upper()
    if sex in ("F", "M"):
        values["sex"] = sex
    return values, notices


def _age_years(age: str) -> float | None:
    """Years from an age string such as 063Y, 018M, 006W, 010D; NaN where it is something else, None where empty."""
    if not age:
        return None
    match = re.fullmatch(r"(\d{1,3})([DWMY])", age.upper())
    return int(match[1]) * YEARS[match[2]] if match else math.nan


def heart_rate(dataset: Dataset) -> tuple[float | None, tuple[Notice, ...]]:
    """Heart rate per minute, or that of the Nominal Interval, ms from R wave to R wave.

    Machines without an ECG write 0, which is silently unknown.
    """
    interval = number(dataset, "NominalInterval")
    rate = number(dataset, "HeartRate") or (60_000.0 / interval if interval else None)
    if rate is None:
        return None, ()
    if HEART_RATES[0] <= rate <= HEART_RATES[1]:
        return rate, ()
    return None, (Notice("heart-rate-implausible", "The file's heart rate is not plausible and was left out."),)


def r_wave_times(dataset: Dataset) -> tuple[float, ...]:
    """R Wave Time Vector (0018,6060), ms after the first frame, in seconds; empty where there is no such list."""
    times = np.array(numbers(dataset, "RWaveTimeVector"), dtype=np.float64) / 1000.0
    ascending = len(times) <= MAX_R_WAVES and np.all(np.isfinite(times)) and np.all(np.diff(times) > 0.0)
    return tuple(times.tolist()) if ascending else ()
