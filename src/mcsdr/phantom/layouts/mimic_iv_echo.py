"""MIMIC-IV-ECHO's folder: examinations of adults as DICOM, and the measurements of their reports.

    OUT/echo-record-list.csv            subject_id, study_id, acquisition_datetime, dicom_filepath; one row per file
    OUT/echo-study-list.csv             subject_id, study_id, study_datetime, measurement_id
    OUT/structured-measurement.csv.gz   subject_id, measurement_id, measurement_datetime, test_type, measurement, …
    OUT/files/p10/p{subject}/s{study}/{study}_0001.dcm

Of each patient one examination: grey loops A4C, A2C and PSAX in an order that is the study's own, which no tag names,
and a single frame, such as a Doppler still, which a reader must leave out. The report holds `lvef`, the reader's EF in
whole per cent. Where the quirk "ef-as-range" is planted it is a range of five points, `lvef` to `lvef_upper`.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from mcsdr.files import write_atomically, write_table
from mcsdr.phantom import truth
from mcsdr.phantom.cohort import Person, draw_person
from mcsdr.phantom.layouts import folder
from mcsdr.phantom.layouts.chance import digest, generator
from mcsdr.phantom.layouts.quirks import planted
from mcsdr.phantom.layouts.video import frame_times, key_frames
from mcsdr.study import View

LAYOUT = "mimic-iv-echo"
ULTRASOUND_MULTIFRAME = "1.2.840.10008.5.1.4.1.1.3.1"
VIEWS = (View.A4C, View.A2C, View.PSAX)
RECORDS = ("subject_id", "study_id", "acquisition_datetime", "dicom_filepath")
STUDIES = ("subject_id", "study_id", "study_datetime", "measurement_id")
REPORTS = (
    *("subject_id", "measurement_id", "measurement_datetime", "test_type"),
    *("measurement", "measurement_description", "result", "unit"),
)
FIRST_DAY = datetime(2150, 1, 1, 9)  # the data set's dates are shifted into that century
RANGE = 5  # points that a range of a report spans


def write_mimic_iv_echo(
    out: Path,
    n: int,
    seed: int,
    seconds: float = 2.0,
    advance: folder.Advance = folder.silent,
    *,
    quirks: bool = False,
) -> None:
    """Write `n` patients of cohort `seed`, one examination each.

    Arguments:
        out: the folder, made if need be.
        seconds: length of each loop.
        advance: called with the number of patients done.
        quirks: plant those of `quirks.QUIRKS`.

    Raises:
        InvalidCohort: the folder already holds a data set.
        InvalidConfig: a number is out of its range.
    """
    folder.check_seconds(seconds)
    folder.begin(out, LAYOUT, n, seed, quirks)
    records: list[folder.Row] = []
    studies: list[folder.Row] = []
    reports: list[folder.Row] = []
    truths: list[folder.Row] = []
    for index in range(n):
        person, subject, study = draw_person(seed, index), 10_000_000 + index, 90_000_000 + index
        odd = planted(LAYOUT, seed, str(study), quirks)
        started = FIRST_DAY + timedelta(days=index)
        for number, (view, path) in enumerate(_files(person, seed, subject, study, seconds, out), 1):
            records.append((subject, study, started + timedelta(minutes=number), path))
            if view is not None:
                times = frame_times(seconds, _rate(person))
                key = key_frames(person, view, times)
                truths.append(folder.truth(person, seed, path, view, _rate(person), key, odd))
        studies.append((subject, study, started, "" if "unlinked-report" in odd else study))
        reports += _report(person, subject, study, started + timedelta(hours=4), odd)
        advance(index + 1)
    folder.write_truth(out, truths)
    _write_zipped(out / "structured-measurement.csv.gz", REPORTS, reports)
    write_table(out / "echo-study-list.csv", STUDIES, studies)
    write_table(out / "echo-record-list.csv", RECORDS, records)


def _files(
    person: Person, seed: int, subject: int, study: int, seconds: float, out: Path
) -> Iterable[tuple[View | None, str]]:
    """Write one examination; the view and path of each file in the order of recording, no view for the still."""
    rng = generator(LAYOUT, seed, study)
    shown: list[View | None] = [*VIEWS, None]
    for number, place in enumerate(rng.permutation(len(shown)), 1):
        view = shown[place]
        times = frame_times(seconds, _rate(person))
        frames = truth.film(person, view or View.A4C, times if view else times[:1])
        path = f"files/p10/p{subject}/s{study}/{study}_{number:04d}.dcm"
        write_atomically(out / path, _dicom(frames, subject, study, number, 1000 / _rate(person)))
        yield view, path


def _rate(person: Person) -> float:
    return float(round(person.parameters["frame_rate_hz"]))


def _dicom(frames: NDArray[np.uint8], subject: int, study: int, number: int, frame_time_ms: float) -> bytes:
    """Grey frames [T, H, W] as an uncompressed ultrasound file, the same bytes every time."""
    data, meta = Dataset(), FileMetaDataset()
    uid = generate_uid(entropy_srcs=[digest(LAYOUT, study, number)])
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, ULTRASOUND_MULTIFRAME
    meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = uid
    data.file_meta, data.SOPClassUID, data.Modality = meta, ULTRASOUND_MULTIFRAME, "US"
    data.PatientID, data.StudyID, data.InstanceNumber = str(subject), str(study), number
    data.ImageComments = "SYNTHETIC phantom, no patient"
    data.NumberOfFrames, data.Rows, data.Columns = frames.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    if len(frames) > 1:
        data.FrameTime = f"{frame_time_ms:.6f}"
    pixels = frames.tobytes()
    data.PixelData = pixels + b"\0" * (len(pixels) % 2)
    memory = io.BytesIO()
    data.save_as(memory, enforce_file_format=True)
    return memory.getvalue()


def _report(
    person: Person, subject: int, study: int, at: datetime, odd: frozenset[str]
) -> Iterable[tuple[object, ...]]:
    """The rows of one report; none where there is none."""
    if "no-report" in odd:
        return
    ef = round(person.reading_percent)
    found: dict[str, int] = {"lvef": ef}
    if "ef-as-range" in odd:
        low = RANGE * (ef // RANGE)
        found = {"lvef": low, "lvef_upper": low + RANGE}
    for name, value in found.items():
        yield (subject, study, at, "tte", name, "left ventricular ejection fraction", value, "%")


def _write_zipped(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_atomically(path, gzip.compress(text.getvalue().encode(), mtime=0))
