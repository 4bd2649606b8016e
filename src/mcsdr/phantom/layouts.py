"""Phantoms written as a data set would be: EchoNet-Dynamic's folder, so that readers are tried on the real thing.

    OUT/FileList.csv      FileName, EF, ESV, EDV, FrameHeight, FrameWidth, FPS, NumberOfFrames, Split
    OUT/Videos/0X….avi    MJPG, 112 × 112
    OUT/Attributes.csv    FileName, Age, Sex, Weight, Height, TrueEF, HeartRate; not part of the original
    OUT/SYNTHETIC.txt     says that no patient is in here

EF is the reader's report and TrueEF the truth; EDV is true and ESV follows from EF, as it would in a report. The
tables are written last: a folder without them is a run that did not finish.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

import mcsdr
from mcsdr.errors import InvalidCohort
from mcsdr.files import write_atomically, write_table
from mcsdr.phantom.cohort import PhantomCohort, draw_person

SYNTHETIC = """SYNTHETIC DATA. These clips were computed from a geometric phantom of the heart; no patient was examined.
mcsdr {version}, {n} phantoms, seed {seed}. Research use only; not for diagnosis.
"""
FILE_LIST = ("FileName", "EF", "ESV", "EDV", "FrameHeight", "FrameWidth", "FPS", "NumberOfFrames", "Split")
ATTRIBUTES = ("FileName", "Age", "Sex", "Weight", "Height", "TrueEF", "HeartRate")


def write_echonet_dynamic(
    out: Path, n: int, seed: int, seconds: float = 2.0, advance: Callable[[int], None] = lambda done: None
) -> None:
    """Write `n` phantoms of cohort `seed`; of each eight, six train, one validates, one tests.

    Raises:
        InvalidCohort: the folder already holds a data set.
    """
    if (out / "FileList.csv").exists():
        raise InvalidCohort("this folder already holds a data set.", path=out, next_step="Choose another folder.")
    (out / "Videos").mkdir(parents=True, exist_ok=True)
    about = SYNTHETIC.format(version=mcsdr.__version__, n=n, seed=seed)
    write_atomically(out / "SYNTHETIC.txt", about.encode())
    cohort = PhantomCohort(n, seed, sampling_hz=None, seconds=seconds)
    clips, people = [], []
    for index in range(n):
        study = cohort[index]
        frames, name = study.clips[0].frames, file_name(seed, index)
        fps = round(draw_person(seed, index).parameters["frame_rate_hz"])
        write_avi(out / "Videos" / f"{name}.avi", frames, fps)
        edv, _ = cohort.volumes_ml(index)
        ef, who = study.ef_percent or 0.0, study.attributes
        split = ("TRAIN",) * 6 + ("VAL", "TEST")
        volumes = [f"{value:.6f}" for value in (ef, edv * (1 - ef / 100), edv)]
        clips.append((name, *volumes, *frames.shape[1:], fps, len(frames), split[index % 8]))
        truth = (f"{study.true_ef_percent:.6f}", f"{study.clips[0].heart_rate_bpm:.1f}")
        people.append((name, who.age_years, who.sex, who.weight_kg, who.height_cm, *truth))
        advance(index + 1)
    write_table(out / "Attributes.csv", ATTRIBUTES, people)
    write_table(out / "FileList.csv", FILE_LIST, clips)


def file_name(seed: int, index: int) -> str:
    """A name such as the data set's own: 0X and 16 hexadecimal digits."""
    return "0X" + hashlib.sha256(f"phantom {seed} {index}".encode()).hexdigest()[:16].upper()


def write_avi(path: Path, frames: NDArray[np.uint8], fps: int) -> None:
    """Greyscale frames [T, H, W] as MJPG in AVI, in one piece or not at all."""
    memory = io.BytesIO()
    with av.open(memory, "w", format="avi") as container:
        container.metadata["title"] = "SYNTHETIC phantom, no patient"
        stream = container.add_stream("mjpeg", rate=Fraction(fps))
        stream.height, stream.width = frames.shape[1:]
        stream.pix_fmt = "yuvj420p"
        stream.options = {"qscale": "3"}
        stream.codec_context.qmin, stream.codec_context.qmax = 2, 4
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="gray").reformat(format="yuvj420p")))
        container.mux(stream.encode(None))
    write_atomically(path, memory.getvalue())
