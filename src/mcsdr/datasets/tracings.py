"""Which frames a data set's tracings mark as end-diastole and end-systole.

Area of a polygon with corners (x_i, y_i), by the shoelace rule: A = ½ |Σ x_i y_{i+1} − x_{i+1} y_i|. The ventricle is
largest at end-diastole, so ED is the traced frame of the largest area and ES that of the smallest; the order in which
the tables list the two frames says nothing.

EchoNet-Dynamic traces by chords X1, Y1, X2, Y2, of which the first is the long axis: the outline runs down one end of
the others and back up their other end. EchoNet-Pediatric lists the corners X, Y themselves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcsdr.clips.outline import polygon_area
from mcsdr.datasets.entries import ClipEntry, Entry
from mcsdr.datasets.table import columns, picked, stem


def marked_frames(path: Path) -> dict[str, tuple[int, int]]:
    """ED and ES frame, from 0, of each clip with two traced frames at least, by the clip's name without ".avi".

    A marked frame may lie past the end of its clip, as in EchoNet-Pediatric; whoever reads the clip must look.

    Arguments:
        path: VolumeTracings.csv; where there is none, no frame is marked.

    Raises:
        InvalidCohort: the table lacks a column.
    """
    if not path.exists():
        return {}
    areas: dict[str, dict[int, float]] = defaultdict(dict)
    for (name, frame), points in _points(path).items():
        areas[name][frame] = polygon_area(outline(points))
    return {
        name: (max(sizes, key=lambda frame: sizes[frame]), min(sizes, key=lambda frame: sizes[frame]))
        for name, sizes in areas.items()
        if len(set(sizes.values())) > 1
    }


def with_marks(entries: Iterable[Entry], path: Path) -> list[Entry]:
    """The entries with ED and ES frame of their clips, from VolumeTracings.csv at `path`."""
    marked = marked_frames(path)

    def mark(clip: ClipEntry) -> ClipEntry:
        ed, es = marked.get(stem(clip.name), (None, None))
        return replace(clip, ed_frame=ed, es_frame=es)

    return [replace(entry, clips=tuple(map(mark, entry.clips))) for entry in entries]


def outline(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners [M, 2] of a polygon, from corners [M, 2] or from chords [N, 4] whose first is the long axis."""
    if points.shape[1] == 2:
        return points
    return np.concatenate([points[1:, :2], points[:0:-1, 2:]])


def _points(path: Path) -> dict[tuple[str, int], NDArray[np.float64]]:
    """Corners or chords by clip and frame; those whose frame or coordinates are no numbers are left out."""
    corners = ("X1", "Y1", "X2", "Y2") if "x1" in columns(path) else ("X", "Y")
    rows: dict[tuple[str, str], list[tuple[str, ...]]] = defaultdict(list)
    for _, (name, frame, *coordinates) in picked(path, ("FileName", "Frame", *corners)):
        rows[name, frame].append(tuple(coordinates))
    points = {}
    for (name, frame), texts in rows.items():
        with suppress(ValueError, OverflowError):  # "No Systolic", a blank
            points[stem(name.strip()), int(float(frame))] = _numbers(texts)
    return points


def _numbers(texts: list[tuple[str, ...]]) -> NDArray[np.float64]:
    values = np.array(texts, dtype=np.float64)  # ValueError where one is no number
    return values[np.isfinite(values).all(axis=1)]
