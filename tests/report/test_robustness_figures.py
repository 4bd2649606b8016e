"""Figures of robustness have a panel for every corruption, and say SYNTHETIC only of phantoms."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from mcsdr import DISCLAIMER
from mcsdr.report.robustness_figures import contact_sheet, severity_curves

NAMES = [f"fault {i}" for i in range(14)]


def texts(figure: Figure) -> str:
    return " ".join(
        " ".join(text.get_text().split()) for text in figure.findobj(match=lambda a: hasattr(a, "get_text"))
    )


@pytest.mark.parametrize("synthetic", [True, False])
def test_every_corruption_is_named_and_phantoms_are_called_synthetic(synthetic: bool) -> None:
    rising, falling = np.linspace(2, 9, 6) * np.ones((14, 1)), np.linspace(0.9, 0.4, 6) * np.ones((14, 1))
    pictures = [[np.full((20, 30), 40 * s, dtype=np.uint8) for s in range(6)] for _ in NAMES]
    for figure in (severity_curves(NAMES, rising, falling, synthetic), contact_sheet(NAMES, pictures, synthetic)):
        said = texts(figure)
        assert all(name in said for name in NAMES)
        assert ("SYNTHETIC" in said) == synthetic
        assert DISCLAIMER in said


def test_all_panels_share_their_scales_and_the_last_is_the_mean() -> None:
    mae = np.arange(84.0).reshape(14, 6)
    axes = [one for one in severity_curves(NAMES, mae, np.full((14, 6), 0.9)).axes if one.lines]
    left, right = axes[: len(axes) // 2], axes[len(axes) // 2 :]
    assert len(left) == len(right) == 15
    assert len({one.get_ylim() for one in left}) == len({one.get_ylim() for one in right}) == 1
    assert left[0].get_ylim()[1] > mae.max()
    assert np.allclose(left[-1].lines[0].get_ydata(), mae.mean(axis=0))
