"""Refusing a large clip that shows nothing, before all of it is decoded.

A small file may unpack to gigabytes of one grey. With lo and hi the least and the greatest grey level of the pictures
so far, on every eighth pixel of every eighth row, a clip is empty up to its picture t where

    hi - lo < 16        as for the abstention "empty-picture", which smaller clips come to
    (t + 1) H W > 2^28  as large as 2 s in high definition, 20 s of 800 x 600 pixels

and is refused there. A clip that shows something is not looked at any further.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcsdr.errors import EmptyPicture

LEAST_CONTRAST = 16  # grey levels
MOST_PIXELS = 1 << 28  # that a clip may begin with and show nothing
STEP = 8  # pixels


class Blank:
    """Looks at pictures as they come, in order of time or at a sample of them that is.

    Arguments:
        path: the file, for messages.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._shows = path, False
        self._least, self._greatest = 255, 0

    def look(self, picture: NDArray[np.uint8], at: int) -> None:
        """Look at one picture, uint8 [H, W], at its place in the file.

        Raises:
            EmptyPicture: the clip has shown nothing up to here, and is large.
        """
        if self._shows:
            return
        coarse = picture[::STEP, ::STEP]
        self._least = min(self._least, int(coarse.min()))
        self._greatest = max(self._greatest, int(coarse.max()))
        self._shows = self._greatest - self._least >= LEAST_CONTRAST
        if not self._shows and (at + 1) * picture.size > MOST_PIXELS:
            raise EmptyPicture(f"its first {at + 1} pictures are black, or of one grey", path=self._path)
