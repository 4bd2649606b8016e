"""The outline of what lies in a clip's pictures, from how probable it is at coarse places of their stored squares.

    places [SIDE, SIDE] of a square  --linear in between, level ½-->  closed lines in the pixels of the clip's picture

The square is the picture padded as `clips.to_square` pads it: the tip at the top, the middle in the middle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import contourpy
import numpy as np
from numpy.typing import NDArray

LEVEL = 0.5
LEAST_PLACES = 4.0  # that a line goes around; less is a speck


@dataclass(frozen=True)
class CavityOutline:
    """Where an encoder sees the left ventricle's cavity in one clip.

    Attributes:
        probability: of cavity at each place at each of the instants that were read, float16 [S, SIDE, SIDE].
        at: the clip's frame that each instant shows, int [S], ascending.
        shape: height and width of the clip's pictures in pixels.
    """

    probability: NDArray[np.float16]
    at: NDArray[np.int64]
    shape: tuple[int, int]

    def lines(self, frame: int) -> list[NDArray[np.float64]]:
        """Closed lines around the cavity, each (x, y) in pixels [N, 2], their last point the first.

        Pixel centres lie at ½. What lies in the padding is drawn at the picture's edge.

        Arguments:
            frame: of the clip; the instant nearest to it is told, none where none is near.
        """
        nearest = self._nearest(frame)
        if abs(self.at[nearest] - frame) > np.diff(self.at).max(initial=0):
            return []
        p = self.probability[nearest].astype(np.float64)
        height, width = self.shape
        side = max(height, width)
        places = np.pad(p, 1)  # lines close within the picture
        centres = (np.arange(len(places)) - 0.5) * side / len(p)
        drawn = contourpy.contour_generator(centres, centres, places, line_type=contourpy.LineType.Separate)
        found = cast("list[NDArray[np.float64]]", drawn.lines(LEVEL))
        left = (side - width) // 2
        least = LEAST_PLACES * (side / len(p)) ** 2
        return [(line - (left, 0)).clip(0, (width, height)) for line in found if polygon_area(line) >= least]

    @property
    def area(self) -> NDArray[np.float64]:
        """What is seen as cavity at each instant, as a share of the square, [S]: the mean probability over places."""
        area: NDArray[np.float64] = self.probability.astype(np.float64).mean(axis=(1, 2))
        return area

    def still(self, frame: int) -> CavityOutline:
        """The same of the instant nearest to a frame alone, as if it were that frame's."""
        return replace(self, probability=self.probability[[self._nearest(frame)]], at=np.array([frame]))

    def _nearest(self, frame: int) -> int:
        return int(np.abs(self.at - frame).argmin())


def polygon_area(corners: NDArray[np.float64]) -> float:
    """Of corners [M, 2], by the shoelace formula, in squared units; 0 for fewer than three."""
    x, y = corners.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)
