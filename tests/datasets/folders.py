"""Tiny folders in the true layouts of the data sets, with moving pictures whose frames tell which they are."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from mcsdr.phantom.layouts import write_avi

PEDIATRIC = "FileName,EF,Sex,Age,Weight,Height,Split"
DYNAMIC = "FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split"


def table(path: Path, header: str, rows: Iterable[str]) -> Path:
    """A CSV of these lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def loop(count: int = 30, height: int = 64, width: int = 64) -> NDArray[np.uint8]:
    """Frames that grow brighter, from 60 on by 5 a frame, over a texture: uint8 [T, H, W]."""
    texture = np.random.default_rng(0).integers(0, 12, (height, width))
    return (60 + 5 * np.arange(count)[:, None, None] + texture).clip(0, 255).astype(np.uint8)


def avi(path: Path, count: int = 30, fps: int = 50) -> Path:
    """`loop` as a video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_avi(path, loop(count), fps)
    return path


def nifti(path: Path, frames: NDArray[np.generic], spacing: tuple[float, ...] = (0.3, 0.3, 1.0)) -> Path:
    """Frames [T, H, W] as NIfTI with the axes X, Y, T and a negative affine, as CAMUS has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(frames.transpose(2, 1, 0), np.diag([-spacing[0], -spacing[1], 1.0, 1.0]))
    image.header.set_zooms(spacing)
    nibabel.save(image, path)
    return path


def mhd(path: Path, frames: NDArray[np.uint8], **changes: str) -> Path:
    """Frames [T, H, W] as MetaImage, header and raw file; `changes` are put over the header's fields."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = frames.shape
    raw = path.with_suffix(".raw")
    raw.write_bytes(frames.tobytes())
    fields = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "ElementSpacing": "0.3 0.3 1",
        "DimSize": f"{width} {height} {count}",
        "ElementType": "MET_UCHAR",
        "ElementDataFile": raw.name,
    }
    path.write_text("".join(f"{key} = {value}\n" for key, value in (fields | changes).items()))
    return path


def camus_patient(folder: Path, number: int, count: int = 10, old: bool = False, **info: str) -> Path:
    """A patient's folder with both views; ED is the first frame and the darkest, unless `info` says otherwise."""
    patient = folder / f"patient{number:04d}"
    names = ("LVef", "LVedv", "LVesv") if old else ("EF", "", "")
    said: Mapping[str, str] = {
        "ED": "1",
        "ES": str(count),
        "NbFrame": str(count),
        "Sex": "F",
        "Age": "61",
        "ImageQuality": "Medium",
        names[0]: "48",
        "FrameRate": "46.5",
    }
    for view in ("2CH", "4CH"):
        text = "".join(f"{key}: {value}\n" for key, value in (said | info).items() if value)
        if old:
            mhd(patient / f"{patient.name}_{view}_sequence.mhd", loop(count))
        else:
            nifti(patient / f"{patient.name}_{view}_half_sequence.nii.gz", loop(count))
        (patient / f"Info_{view}.cfg").write_text(text)
    return patient


def zipped(path: Path, header: str, rows: Iterable[str]) -> Path:
    """A gzipped CSV of these lines."""
    path.write_bytes(gzip.compress(("\n".join([header, *rows]) + "\n").encode()))
    return path
