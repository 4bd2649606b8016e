"""Whether paths add to the width is told right where it is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.conftest import SMALL

from mcsdr.evaluation.evidence import trajectories
from mcsdr.evaluation.evidence.trajectories import Contrast, Paths
from mcsdr.model import Model

N = 400


def contrast(adds: bool) -> Contrast:
    """The SD tells the second kind; settling follows the SD, or tells of its own."""
    rng = np.random.default_rng(0)
    second = np.arange(N) % 4 < 2
    sd = 5 + second + rng.standard_normal(N)
    own = 2.0 * second + rng.standard_normal(N) if adds else sd + 0.1 * rng.standard_normal(N)
    return Contrast("clean, corrupted", Paths(own, np.zeros(N), sd), second, np.arange(N))


@pytest.mark.parametrize("adds", [True, False])
def test_a_measure_adds_only_what_the_width_does_not_tell(adds: bool) -> None:
    settled, crossed = trajectories.measure("ours", contrast(adds))
    assert settled[-1] == ("adds" if adds else "adds nothing")
    assert crossed[-1] == "adds nothing"
    assert settled[7] == pytest.approx(0.76, abs=0.06)  # of SDs one apart: Φ(1/√2)
    said = trajectories.verdict([settled, crossed]).rows[0][1]
    assert str(said).startswith("kept for: ours, clean, corrupted, settled" if adds else "retired")


def test_both_networks_are_asked(tmp_path: Path, model: Model) -> None:
    model.save(tmp_path / "small")
    sizes = {"channels": list(SMALL.channels), "width": SMALL.width, "heads": SMALL.heads, "score_depth": 1}
    tiny = {f"network.{name}": str(size) for name, size in sizes.items()}
    tiny |= {"start.encoder": str(tmp_path / "small"), "data.cache": str(tmp_path), "optim.batch": "8"}
    report = trajectories.run(tmp_path, train=8, val=4, test=6, epochs=1, overrides=tiny, say=lambda line: None)
    rows = report.tables[1].rows
    assert [row[0] for row in rows] == ["mcsdr"] * 4 + ["diffusion"] * 4
    assert {row[3] for row in rows} == {6, 12}
    assert all(row[4] == row[5] == 0 for row in rows[4:] if row[2] == "crossed")  # quantiles do not cross
