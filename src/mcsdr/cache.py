"""Decoded clips on disk: one uint8 array, memory-mapped, and an index of what is known of each study.

Reading 32 frames from the map costs well under a millisecond; decoding them from a video costs tens. A cache is
built in a folder of its own and renamed into place when it is complete, so a half-written one is never read. Its
name is a hash of what it was made from.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcsdr.attributes import attribute_row
from mcsdr.clips import ClipSettings, sample
from mcsdr.errors import InvalidCohort
from mcsdr.study import Study


class ClipCache:
    """The sampled clips of a cohort, in its order.

    Attributes:
        frames: uint8 memmap [N, frames, size, size]; rows beyond a clip's length are zero.
        lengths: int [N], sampled frames of each clip.
        ef_percent, true_ef_percent: float [N], NaN where unknown.
        attributes: float [N, A] in natural units, NaN where unknown (see `mcsdr.attributes`).
    """

    def __init__(self, folder: Path) -> None:
        self.frames: NDArray[np.uint8] = np.load(folder / "frames.npy", mmap_mode="r")
        index = json.loads((folder / "index.json").read_text())
        columns = {name: [row[name] for row in index] for name in index[0]}
        self.lengths = np.array(columns["length"], dtype=np.int64)
        self.ef_percent = np.array(columns["ef_percent"], dtype=np.float64)
        self.true_ef_percent = np.array(columns["true_ef_percent"], dtype=np.float64)
        self.attributes = np.array(columns["attributes"], dtype=np.float64)

    def __len__(self) -> int:
        return len(self.lengths)


def cached(
    root: Path,
    made_from: dict[str, object],
    cohort: Callable[[], Iterable[Study]],
    length: int,
    settings: ClipSettings,
    attributes: tuple[str, ...],
    advance: Callable[[int], None] = lambda done: None,
) -> ClipCache:
    """The cache for `made_from` under `root`, built from `cohort()` if it is not there yet.

    Raises:
        InvalidCohort: a study has no clip or no ejection fraction.
    """
    description = {**made_from, "clip": settings.model_dump(), "attributes": attributes, "format": 1}
    digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:16]
    folder = root / digest
    if not folder.exists():
        partial = root / f"{digest}.partial-{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _build(partial, cohort(), length, settings, attributes, advance)
        (partial / "made_from.json").write_text(json.dumps(description, indent=2))
        os.replace(partial, folder)
    return ClipCache(folder)


def _build(
    folder: Path,
    studies: Iterable[Study],
    length: int,
    settings: ClipSettings,
    attributes: tuple[str, ...],
    advance: Callable[[int], None],
) -> None:
    shape = (length, settings.frames, settings.size, settings.size)
    frames = np.lib.format.open_memmap(folder / "frames.npy", mode="w+", dtype=np.uint8, shape=shape)
    index = []
    for row, study in enumerate(studies):
        if not study.clips or study.ef_percent is None:
            raise InvalidCohort(f"study {study.study_id!r} has no clip or no ejection fraction to learn from.")
        clip = sample(study.clips[0], settings)
        frames[row, : len(clip)] = clip
        index.append(
            {
                "study_id": study.study_id,
                "patient_id": study.patient_id,
                "length": len(clip),
                "ef_percent": study.ef_percent,
                "true_ef_percent": float("nan") if study.true_ef_percent is None else study.true_ef_percent,
                "attributes": attribute_row(study.attributes, attributes),
            }
        )
        advance(row + 1)
    frames.flush()
    (folder / "index.json").write_text(json.dumps(index))
