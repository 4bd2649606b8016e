"""How a video is meant to be shown: the display matrix of its container, as phones write it.

With pixels (x, y) stored and (x', y') shown, the matrix says x' = a x + c y and y' = b x + d y. Quarter turns and
mirrors are applied; for any other angle the picture would have to be resampled, and it is left as it is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from numpy.typing import NDArray


class Orientation(NamedTuple):
    """Whether x and y are exchanged, and then which of them are turned round."""

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    def applied(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A picture [H, W] or [H, W, 3] as it is shown; a copy unless it is shown as it is stored."""
        if self == UPRIGHT:
            return picture
        shown = picture.swapaxes(0, 1) if self.transposed else picture
        return np.ascontiguousarray(shown[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1])


UPRIGHT = Orientation()


def orientation_of(frame: VideoFrame) -> Orientation:
    """How the file says that this frame is shown; upright where it says nothing, or an odd angle."""
    try:
        side_data: Any = frame.side_data
        said = side_data[Type.DISPLAYMATRIX]
    except KeyError:
        return UPRIGHT
    matrix = np.frombuffer(bytes(said), dtype=np.int32)
    if len(matrix) != 9:
        return UPRIGHT
    a, b, _, c, d = matrix[:5].tolist()
    if a and d and not (b or c):
        return Orientation(False, a < 0, d < 0)
    if b and c and not (a or d):
        return Orientation(True, c < 0, b < 0)
    return UPRIGHT
