"""The older release of CAMUS: the same half sequences in MetaImage, a text header beside raw bytes.

    OUT/training/patient0001/patient0001_{2CH,4CH}_{ED,ES,sequence}[_gt].{mhd,raw}
                            /Info_{2CH,4CH}.cfg
    OUT/testing/patient0001/…                          numbered anew, without _gt and without volumes and EF

Pixels are 0.308 mm across and 0.154 mm deep, so pictures have twice as many rows as the newer release. Stills are
three-dimensional with one frame. The cfg of a training patient has LVedv, LVesv (mL) and LVef (%); what was to be
predicted in the challenge was withheld from the testing patients, and Truth.csv alone holds it here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mcsdr.files import write_atomically
from mcsdr.phantom.layouts import folder
from mcsdr.phantom.layouts.camus import (
    VIEWS,
    HalfSequence,
    Labels,
    cfg,
    check_scale,
    film_half_sequence,
    label,
    patient_name,
)

LAYOUT = "camus-mhd"
FRAME_SPACING_MM = 1.54  # the published headers carry this number for the third axis, which is time
HEADER = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = 0 0 0
CenterOfRotation = 0 0 0
ElementSpacing = {across:.6g} {deep:.6g} {frame:g}
DimSize = {width} {height} {frames}
Comment = SYNTHETIC phantom, no patient
ElementType = MET_UCHAR
ElementDataFile = {raw}
"""


def write_camus_mhd(
    out: Path,
    n: int,
    seed: int,
    advance: folder.Advance = folder.silent,
    *,
    quirks: bool = False,
    scale: float = 1.0,
    labels: Labels = "reader",
) -> None:
    """Write `n` patients of cohort `seed`, the last tenth of them into testing.

    Arguments:
        out: the folder, made if need be.
        advance: called with the number of patients done.
        quirks: plant those of `quirks.QUIRKS`.
        scale: side of the pictures against the published ones; the pixels grow as it shrinks.
        labels: see `camus.write_camus`.

    Raises:
        InvalidCohort: the folder already holds a data set.
        InvalidConfig: a number is out of its range.
    """
    check_scale(scale)
    folder.begin(out, LAYOUT, n, seed, quirks)
    training = n - max(1, round(n / 10)) if n > 1 else n
    truths = []
    for index in range(n):
        part = "training" if index < training else "testing"
        name = patient_name(index if part == "training" else index - training)
        for view in VIEWS:
            sequence = film_half_sequence(LAYOUT, seed, index, view, quirks, scale)
            ef = label(sequence.person.reading_percent, labels) if part == "training" else None
            _write_view(out / part / name, name, sequence, seed, ef)
            truths.append(sequence.truth(seed, f"{part}/{name}"))
        advance(index + 1)
    folder.write_truth(out, truths)


def _write_view(place: Path, name: str, sequence: HalfSequence, seed: int, ef_percent: float | None) -> None:
    stem = f"{name}_{sequence.view}"
    films = {"": _interpolated(sequence.frames)}
    info = sequence.info()
    if ef_percent is not None:
        films["_gt"] = np.repeat(sequence.masks, 2, axis=1)
        edv, _ = folder.reported_volumes_ml(sequence.person, seed)
        report = {"LVedv": edv, "LVesv": edv * (1 - ef_percent / 100), "LVef": ef_percent}
        info |= {key: f"{value:.1f}" for key, value in report.items()}
    for suffix, film in films.items():
        for part, where in {"sequence": slice(None), **sequence.stills()}.items():
            _write_metaimage(place / f"{stem}_{part}{suffix}.mhd", film[where], sequence.pixel_mm)
    write_atomically(place / f"Info_{sequence.view}.cfg", cfg(info))


def _interpolated(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames [T, H, W] with twice as many rows."""
    _, height, width = frames.shape
    taller = [Image.fromarray(picture).resize((width, 2 * height), Image.Resampling.BILINEAR) for picture in frames]
    return np.stack([np.asarray(picture) for picture in taller])


def _write_metaimage(path: Path, film: NDArray[np.uint8], pixel_mm: float) -> None:
    """Frames [T, H, W]; the fastest axis first, as the header counts, is W."""
    frames, height, width = film.shape
    raw = path.with_suffix(".raw")
    spacing = {"across": pixel_mm, "deep": pixel_mm / 2, "frame": FRAME_SPACING_MM}
    header = HEADER.format(**spacing, width=width, height=height, frames=frames, raw=raw.name)
    write_atomically(raw, film.tobytes())
    write_atomically(path, header.encode())
