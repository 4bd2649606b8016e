"""What reading a clip costs beside decoding it, in time and in memory.

    python benchmarks/reading.py [--rounds 7] [--only dicom|avi|h264]

Reading is `mcsdr.io.read_clip`: header, frame times, decoding, luma, the look for colour flow, sector and cut. Bare
decoding is the same frames through the same FFmpeg decoder and nothing else. Both are timed in turn in one process, in
seconds of processor time, so that whatever else runs matters little; the ratio of their medians is what counts, and it
should be at most 1.6. Memory is what the process holds at its peak beyond what it held before, in a process of its own,
against the bytes of the frames that are kept: at most 3 times these. Clips are SYNTHETIC: a speckled fan on a screen.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEGBaseline8Bit, UltrasoundMultiFrameImageStorage, generate_uid

from mcsdr.io import read_clip

Pictures = NDArray[np.uint8]
CLIPS = {"dicom": (120, 480, 640), "avi": (176, 112, 112), "h264": (180, 1080, 1920)}  # frames, height, width
HZ = 60


def screen(count: int, height: int, width: int, seed: int = 0) -> Pictures:
    """uint8 [T, H, W, 3]: a fan of fresh, smooth speckle, and two lines of drawings outside of it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    down, across = y - 0.04 * height, x - 0.5 * width
    fan = (np.hypot(across, down) < 0.85 * height) & (np.abs(np.arctan2(across, down)) < np.radians(40)) & (down > 4)
    frames = np.zeros((count, height, width, 3), dtype=np.uint8)
    for frame in frames:
        small = Image.fromarray((60 * rng.rayleigh(1.0, (height // 3, width // 3))).clip(0, 255).astype(np.uint8))
        grey = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
        frame[fan] = grey[fan, None]
        frame[2:6, : width // 8] = frame[-6:-2, width // 4 : width // 2] = (190, 190, 190)
    return frames


def dicom_file(folder: Path) -> Path:
    """JPEG baseline, 4:2:0, at quality 90."""
    pictures = screen(*CLIPS["dicom"])
    coded = []
    for picture in pictures:
        memory = io.BytesIO()
        Image.fromarray(picture).save(memory, "JPEG", quality=90)
        coded.append(memory.getvalue())
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = UltrasoundMultiFrameImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.Modality, dataset.FrameTime, dataset.PhotometricInterpretation = "US", "16.667", "YBR_FULL_422"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = CLIPS["dicom"]
    dataset.SamplesPerPixel, dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 3, 8, 8, 7
    dataset.PixelRepresentation = dataset.PlanarConfiguration = 0
    dataset.PixelData = encapsulate(coded)
    dataset["PixelData"].VR = "OB"
    path = folder / "dicom.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def video_file(folder: Path, kind: str) -> Path:
    """MJPG AVI, or H.264 MP4."""
    count, height, width = CLIPS[kind]
    path = folder / ("avi.avi" if kind == "avi" else "h264.mp4")
    with av.open(str(path), "w") as container:
        options = {"qmin": "2", "qmax": "3"} if kind == "avi" else {"crf": "20", "preset": "veryfast"}
        stream: Any = container.add_stream("mjpeg" if kind == "avi" else "libx264", rate=HZ, options=options)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuvj420p" if kind == "avi" else "yuv420p"
        for start in range(0, count, 30):  # not all pictures at once
            for picture in screen(min(30, count - start), height, width, seed=start):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def bare_dicom(path: Path) -> int:
    """Frames of a DICOM file decoded, and nothing else."""
    decoder: Any = av.CodecContext.create("mjpeg", "r")
    decoder.thread_count = 1
    coded = generate_frames(dcmread(path).PixelData, number_of_frames=CLIPS["dicom"][0])
    return sum(len(decoder.decode(av.Packet(data))) for data in coded)


def bare_video(path: Path) -> int:
    """Frames of a video decoded, and nothing else."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def seconds(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def measure(path: Path, bare: Callable[[Path], int], rounds: int) -> tuple[float, float]:
    """Median seconds of bare decoding and of reading, in turn; each once before, unmeasured."""
    times = [(seconds(lambda: bare(path)), seconds(lambda: read_clip(path))) for _ in range(rounds + 1)][1:]
    return statistics.median(one for one, _ in times), statistics.median(other for _, other in times)


def memory_share(path: Path) -> float:
    """Peak memory of reading over the bytes kept, in a process of its own."""
    said = subprocess.run([sys.executable, __file__, "--memory", str(path)], capture_output=True, text=True, check=True)
    return float(said.stdout)


def report_memory(path: Path) -> None:
    def held(name: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith(name))) << 10

    small = {"dicom.dcm": path, "avi.avi": path, "h264.mp4": path}[path.name]
    read_clip(small)  # what libraries load and keep once does not count
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = held("VmRSS")
    kept = read_clip(path).frames.nbytes
    print((held("VmHWM") - before) / kept)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=list(CLIPS))
    parser.add_argument("--memory", type=Path, help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.memory:
        report_memory(said.memory)
        return
    print(f"{'clip':28}{'decoding':>10}{'reading':>10}{'ratio':>8}{'memory / kept':>15}")
    with tempfile.TemporaryDirectory() as folder:
        for kind in [said.only] if said.only else list(CLIPS):
            path = dicom_file(Path(folder)) if kind == "dicom" else video_file(Path(folder), kind)
            bare, read = measure(path, bare_dicom if kind == "dicom" else bare_video, said.rounds)
            size = "{}×{}×{}".format(*CLIPS[kind][1:], CLIPS[kind][0])
            row = f"{kind + ' ' + size:28}{1e3 * bare:>7.0f} ms{1e3 * read:>7.0f} ms{read / bare:>8.2f}"
            print(f"{row}{memory_share(path):>15.2f}")


if __name__ == "__main__":
    main()
