"""Samples a second from the cache against decoding the AVIs, and memory over 10,000 rows.

    python benchmarks/loading.py [--clips 60] [--rows 10000]

Both ways end in the same window of 32 × 112 × 112. The AVIs are of EchoNet-Dynamic's kind: MJPG, 112 × 112, 176 frames
at 50 Hz (the data set's mean length). They and the rows are synthetic. The two ways are timed in turn in one process,
so that whatever else runs slows both; their ratio is what counts. Memory is what the process holds of its own
(RssAnon): pages of the memory map are the system's to drop.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from mcsdr import io
from mcsdr.clips import ClipSettings, cut_windows, store
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.phantom.layouts import write_avi
from mcsdr.study import Clip, Study, View
from mcsdr.training.cache import ClipCache, cached

SETTINGS = ClipSettings()
FRAMES, RATE_HZ = 176, 50


class Avis(Sequence[Study]):
    """Studies of AVIs on disk."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Study:  # type: ignore[override]
        return Study((io.read_clip(self.paths[index], view=View.A4C),), study_id=str(index), ef_percent=50.0)


class Blank(Sequence[Study]):
    """n studies of one clip each, in memory, each another grey."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Study:  # type: ignore[override]
        frames = np.full((32, 32, 32), index % 256, np.uint8)
        return Study((Clip(frames, np.arange(32) / 25),), study_id=str(index), ef_percent=float(index % 80 + 10))


def write_avis(folder: Path, count: int) -> Avis:
    """Loops of a few phantoms, each started at another frame, so that no two files are alike."""
    beats = [study.clips[0].frames for study in PhantomCohort(4, seed=9)]
    paths = []
    for index in range(count):
        loop = np.roll(beats[index % len(beats)], index, axis=0)
        frames = np.concatenate([loop] * (FRAMES // len(loop) + 1))[:FRAMES]
        paths.append(folder / f"{index:04d}.avi")
        write_avi(paths[-1], frames, RATE_HZ)
    return Avis(paths)


def own_memory_mib() -> float:
    """Anonymous resident memory of this process."""
    status = Path("/proc/self/status").read_text()
    match = re.search(r"RssAnon:\s+(\d+) kB", status)
    return int(match[1]) / 1024 if match else float("nan")


def from_cache(cache: ClipCache, row: int, rng: np.random.Generator) -> np.ndarray:
    clip = cache.clips[row][0]
    start = int(rng.integers(0, clip.length - 32 + 1))
    return cache.frames(clip, start, start + 32)


def turns(avis: Avis, cache: ClipCache) -> Iterator[tuple[float, float]]:
    """Seconds per sample of decoding and of the cache, in turn."""
    rng = np.random.default_rng(0)
    for index in range(len(avis)):
        started = time.perf_counter()
        cut_windows(store(avis[index].clips[0], SETTINGS), SETTINGS)
        decoded = time.perf_counter()
        for _ in range(20):
            from_cache(cache, int(rng.integers(len(cache))), rng)
        yield decoded - started, (time.perf_counter() - decoded) / 20


def main(clips: int, rows: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        avis = write_avis(folder, clips)
        cache = cached(folder / "cache", {}, avis, SETTINGS, ())
        decode, cache_s = np.median(np.array(list(turns(avis, cache))[3:]), axis=0)
        print(f"decoding an AVI   {1 / decode:8.0f} samples/s   {1000 * decode:7.3f} ms")
        print(f"from the cache    {1 / cache_s:8.0f} samples/s   {1000 * cache_s:7.3f} ms")
        print(f"ratio             {decode / cache_s:8.0f}")
        small = ClipSettings(size=32)
        levels = []
        cached(folder / "cache", {"rows": rows}, Blank(rows), small, (), lambda done: levels.append(own_memory_mib()))
        print(f"building {rows} rows: {levels[rows // 10]:.0f} MiB after a tenth, {levels[-1]:.0f} MiB at the end")
        cache = cached(folder / "cache", {"rows": rows}, Blank(rows), small, ())
        rng, before = np.random.default_rng(1), own_memory_mib()
        for row in range(rows):
            from_cache(cache, row, rng)
        print(f"reading {rows} rows:  {before:.0f} MiB before, {own_memory_mib():.0f} MiB after")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--rows", type=int, default=10_000)
    arguments = parser.parse_args()
    main(arguments.clips, arguments.rows)
