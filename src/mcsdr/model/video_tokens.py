"""The encoded videos of a batch of studies: what is kept, so that age can change and nothing is encoded again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class VideoTokens:
    """The encoded videos of a batch of studies.

    A study has one group of tokens or several, each of which gives a posterior of its own (see `mcsdr.clips.protocol`).

    Attributes:
        tokens, mask: [G, L, width], and which of them exist, bool [G, L].
        owner, clip, window: the study, the clip and the window of each group; each counted through the batch, ascending
            from 0, int [G].
        key: a number of each group's own, from which the noise of random trajectories is drawn, int [G]; None where
            none is drawn.
    """

    tokens: Tensor
    mask: Tensor
    owner: NDArray[np.int64]
    clip: NDArray[np.int64]
    window: NDArray[np.int64]
    key: NDArray[np.int64] | None = None

    @cached_property
    def plain(self) -> NDArray[np.intp]:
        """The first look at each window, which shows it as it is, [W]."""
        return np.unique(self.window, return_index=True)[1]

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which windows have any token, [W]."""
        return np.asarray(self.mask.any(dim=1).cpu().numpy()[self.plain])

    @property
    def windows(self) -> NDArray[np.int64]:
        """How many windows of each study are seen, [B]."""
        return np.bincount(self.owner[self.plain], self.seen).astype(np.int64)


def counted(names: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """Ascending names, which may repeat, counted from 0."""
    pairs = np.array(names, dtype=np.int64).reshape(-1, 2)
    return np.unique(pairs, axis=0, return_inverse=True)[1].reshape(-1)
