"""One loop in every kind of file gives one answer.

The other tests of this folder assert that the frames, their times and the crop are those of the clean file, whatever
was done to the file; equal frames at equal times give equal medians. Here the model is asked, once for each family of
kinds: colour label, frame count, wrapping, transfer syntax, container, file of bare pictures, clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from generated_clips import Pictures, still_coded, write_video
from PIL import Image
from public_loop import HEIGHT, REAL, WIDTH, Save, alike, changed, plain, rgb_of
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, RLELossless
from streams import video_stream

import mcsdr
from mcsdr.io import read_clip
from mcsdr.model import Answer, Model
from mcsdr.prediction import predict
from mcsdr.study import Clip, Study

SAME = 0.5  # points of ejection fraction


@pytest.fixture(scope="module")
def model() -> Model:
    return mcsdr.load()


@pytest.fixture(scope="module")
def wanted(model: Model) -> float:
    """The median of the loop as it is."""
    return median(REAL, model)


def median(path: Path, model: Model, frame_rate_hz: float | None = None) -> float:
    (answer,) = predict([path], model, anyway=True, frame_rate_hz=frame_rate_hz)
    assert isinstance(answer, Answer)
    return answer.posterior.median


# DICOM


def relabelled(samples: Pictures) -> Dataset:
    return changed(PhotometricInterpretation="RGB")


def mislabelled_runs(samples: Pictures) -> Dataset:
    dataset = plain(samples, "YBR_FULL", PlanarConfiguration=0)
    dataset.compress(RLELossless)
    dataset.PhotometricInterpretation = "RGB"
    return dataset


def two_bytes_a_pixel(samples: Pictures) -> Dataset:
    pairs = np.concatenate([samples[:, :, 0::2, :1], samples[:, :, 1::2, :1], samples[:, :, 0::2, 1:]], axis=-1)
    return plain(pairs, "YBR_FULL_422")


def miscounted(samples: Pictures) -> Dataset:
    return changed(NumberOfFrames=1)


def video_in_dicom(samples: Pictures) -> Dataset:
    dataset = changed(PhotometricInterpretation="YBR_PARTIAL_420")
    dataset.PixelData = encapsulate([video_stream(rgb_of(samples), "libx264")])
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.102")
    return dataset


@pytest.mark.parametrize("change", [relabelled, mislabelled_runs, two_bytes_a_pixel, miscounted, video_in_dicom])
def test_labels_counts_and_codings_change_no_median(
    save: Save, samples: Pictures, model: Model, wanted: float, change: Callable[[Pictures], Dataset]
) -> None:
    assert median(save(change(samples)), model) == pytest.approx(wanted, abs=SAME)


@pytest.mark.parametrize("kind", ["jpeg-ls", "jpeg2000"])
def test_stills_without_loss_change_no_median(
    save: Save, samples: Pictures, model: Model, wanted: float, kind: str
) -> None:
    dataset = still_coded(np.ascontiguousarray(samples[..., 0]), kind)
    assert median(save(dataset), model) == pytest.approx(wanted, abs=SAME)


def test_wrapping_changes_no_median(save: Save, model: Model, wanted: float) -> None:
    path = save(changed())
    content = path.read_bytes().removesuffix(b"\xfe\xff\xdd\xe0" + bytes(4))
    path.write_bytes(content[132:])  # neither preamble nor delimiter
    assert median(path, model) == pytest.approx(wanted, abs=1e-3)


# Containers, and files of bare pictures


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.avi", "mjpeg"), ("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.wmv", "wmv2"), ("a.flv", "flv")],
)
def test_containers_change_no_median(
    tmp_path: Path, clean: Clip, samples: Pictures, model: Model, wanted: float, name: str, codec: str
) -> None:
    fine = {"crf": "12"} if codec == "libx264" else {"qmin": "1", "qmax": "3"}
    path = write_video(tmp_path / name, samples[..., 0], codec=codec, options=fine)
    alike(read_clip(path), clean, tolerance=6.0)
    assert median(path, model) == pytest.approx(wanted, abs=SAME)


def pictures_in(folder: Path, kind: str, grey: Pictures) -> Path:
    """The loop in a file, or folder, that holds pictures and little else."""
    path, grey = folder / f"loop.{kind}", grey.copy()
    grey[:, 0, 0] = np.arange(len(grey))  # where two pictures are equal, Pillow writes one that stays twice as long
    first, *rest = (Image.fromarray(picture) for picture in grey)
    match kind:
        case "gif":
            first.save(path, save_all=True, append_images=rest, duration=[30, 30, 40] * 10)
        case "tif":
            first.save(path, save_all=True, append_images=rest)
        case "webp":
            first.save(path, save_all=True, append_images=rest, duration=[33, 33, 34] * 10, lossless=True)
        case "png":
            path = folder / "loop"
            path.mkdir()
            for number, picture in enumerate((first, *rest)):
                picture.save(path / f"{number}.png")
        case "npy":
            np.save(path, grey)
        case "npz":
            np.savez(path, frames=grey, frame_rate_hz=30.0)
        case "nrrd":
            head = f"NRRD0004\ntype: uint8\ndimension: 3\nsizes: {WIDTH} {HEIGHT} {len(grey)}\nencoding: raw\n\n"
            path.write_bytes(head.encode() + grey.tobytes())
        case "mha":
            head = f"ObjectType = Image\nNDims = 3\nDimSize = {WIDTH} {HEIGHT} {len(grey)}\nElementType = MET_UCHAR\n"
            path.write_bytes(f"{head}ElementDataFile = LOCAL\n".encode() + grey.tobytes())
        case "nii":
            nibabel.save(nibabel.Nifti1Image(grey.transpose(2, 1, 0), np.eye(4)), path)
    return path


@pytest.mark.parametrize("kind", ["gif", "tif", "webp", "png", "npy", "npz", "nrrd", "mha", "nii"])
def test_bare_pictures_give_the_same_clip(tmp_path: Path, clean: Clip, samples: Pictures, kind: str) -> None:
    clip = read_clip(pictures_in(tmp_path, kind, samples[..., 0]), frame_rate_hz=30)
    assert len(clip.frames) == len(clean.frames)
    assert clip.frame_times_s == pytest.approx(np.arange(30) / 30, abs=1e-3)
    alike(clip, clean, tolerance=0.05)


@pytest.mark.parametrize("kind", ["gif", "npy"])
def test_bare_pictures_change_no_median(
    tmp_path: Path, samples: Pictures, model: Model, wanted: float, kind: str
) -> None:
    assert median(pictures_in(tmp_path, kind, samples[..., 0]), model, 30) == pytest.approx(wanted, abs=SAME)


# The clock


def test_where_a_clock_starts_and_how_it_counts_changes_no_median(clean: Clip, model: Model, wanted: float) -> None:
    times = clean.frame_times_s
    for other in (times + 1000.1, np.round(1000 * times) / 1000, np.round(90_000 * times) / 90_000):
        answer = model(Study((replace(clean, frame_times_s=other),)), anyway=True)
        assert answer.posterior.median == pytest.approx(wanted, abs=1e-3)
