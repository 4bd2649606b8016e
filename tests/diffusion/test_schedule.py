"""A schedule descends from noise to the residual."""

from __future__ import annotations

from math import cos, pi

import numpy as np
import pytest
import torch

from mcsdr.diffusion.schedule import SCHEDULES, angles, grid
from mcsdr.errors import InvalidConfig


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
@pytest.mark.parametrize("steps", [1, 4, 10, 50])
def test_angles_descend_strictly_to_exactly_zero(schedule: str, steps: int) -> None:
    theta = angles(schedule, steps)
    assert theta.shape == (steps + 1,)
    assert theta.dtype == torch.float64
    assert (theta.diff() < 0).all()
    assert theta[-1] == 0
    assert 1.55 < theta[0] <= pi / 2


@pytest.mark.parametrize("schedule", ["uniform", "quadratic"])
def test_angle_schedules_start_at_pure_noise(schedule: str) -> None:
    assert grid(schedule, 7)[0] == pytest.approx(pi / 2, abs=1e-15)


def test_linear_beta_is_the_vp_chain_of_the_paper() -> None:
    alpha_bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), dim=0)
    theta = grid("linear-beta", 10)
    for k, t in enumerate(range(999, -1, -100)):
        assert cos(theta[k]) ** 2 == pytest.approx(float(alpha_bar[t]), rel=1e-10)
    assert cos(theta[0]) * 55 == pytest.approx(0.35, abs=0.005)


def test_linear_beta_cuts_its_levels_where_the_steps_do_not_divide_it() -> None:
    """As the authors' code: whole numbers of torch.linspace(-1, 999, steps + 1), towards zero."""
    every = grid("linear-beta", 1000)
    for steps in (6, 7, 15):
        levels = np.linspace(-1, 999, steps + 1).astype(int)[:0:-1]
        assert grid("linear-beta", steps)[:-1] == [every[999 - t] for t in levels]


def test_linear_beta_of_a_thousand_steps_visits_every_level() -> None:
    assert len(set(grid("linear-beta", 1000))) == 1001


@pytest.mark.parametrize(("schedule", "steps"), [("cosine", 10), ("uniform", 0), ("linear-beta", 2000)])
def test_unknown_settings_are_refused(schedule: str, steps: int) -> None:
    with pytest.raises(InvalidConfig):
        angles(schedule, steps)
