"""When a spread settles and how far paths cross, on paths whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from mcsdr.metrics.paths import crossed, settled


def test_a_spread_settles_when_it_stays() -> None:
    """SDs 4, 2, 1, 1, 1 stay from the second of four steps on; 1, 4, 4, 4, 1 only with the last."""
    z = np.linspace(-1, 1, 11)
    states = np.stack([50 + np.outer(sd, z) for sd in np.array([(4, 2, 1, 1, 1), (1, 4, 4, 4, 1)]).T], axis=0)
    assert settled(states).tolist() == [0.5, 1.0]
    assert settled(np.repeat(states[:1], 5, axis=0)).tolist() == [0.0, 0.0]


def test_paths_that_keep_their_order_do_not_cross() -> None:
    start = np.arange(6.0)
    ends = np.stack([start**3, -start, start[[1, 0, 2, 3, 4, 5]]])
    states = np.stack([np.tile(start, (3, 1)), ends])
    assert crossed(states) == pytest.approx([0, 1, 1 / 15])
