"""The phantom heart: its ejection fraction is exact, its wall keeps its volume, its cycle is a cycle."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mcsdr.phantom import heart, ranges
from mcsdr.phantom.contraction import contraction, valve_opening
from mcsdr.phantom.outline import profile


def parameters(seed: int = 0, **given: float) -> heart.Parameters:
    row = ranges.draw(np.random.default_rng(seed)) | {"ef": 0.55} | given
    return {name: value.double() for name, value in ranges.stack([row], torch.device("cpu")).items()}


def at(p: heart.Parameters, contraction_share: float) -> heart.Beat:
    """The heart at end-diastole (0) or end-systole (1)."""
    cycle = contraction_share * p["systolic_share"]
    return heart.beat(p | {"phase": cycle}, torch.zeros(1, 1, 1, dtype=torch.float64))


def disc_volume_ml(p: heart.Parameters, beat: heart.Beat, discs: int = 4000) -> float:
    """Simpson's rule of discs over the cavity, written without the module's own integral."""
    s = (torch.arange(discs, dtype=torch.float64) + 0.5) / discs
    area = math.pi * beat.a_mm * beat.b_mm * profile(s[None, None], p) ** 2
    return (area.sum() * beat.length_mm / discs).item() / 1000


@pytest.mark.parametrize("ef", [0.10, 0.35, 0.60, 0.80])
@pytest.mark.parametrize("seed", range(4))
def test_ejection_fraction_is_exact(ef: float, seed: int) -> None:
    p = parameters(seed, ef=ef)
    edv, esv = disc_volume_ml(p, at(p, 0)), disc_volume_ml(p, at(p, 1))
    assert 1 - esv / edv == pytest.approx(ef, abs=1e-6)
    reported_edv, reported_esv = heart.volumes_ml(p)
    assert edv == pytest.approx(reported_edv.item(), rel=1e-3)
    assert esv == pytest.approx(reported_esv.item(), rel=1e-3)


def test_the_drawn_cavity_has_the_stated_volume() -> None:
    """Counting voxels of the implicit heart gives the volume that the formula states, so pictures and labels agree."""
    p = parameters(3, leaflet_mm=0.0)
    for share, stated in zip((0.0, 1.0), heart.volumes_ml(p), strict=True):
        beat, step = at(p, share), 1.5
        reach = torch.arange(-70, 70, step, dtype=torch.float64)
        z = torch.arange(-20, 130, step, dtype=torch.float64)
        points = [grid.reshape(1, 1, -1) for grid in torch.meshgrid(reach, reach, z, indexing="ij")]
        x, y, z = points
        s = (z - beat.apex_mm) / beat.length_mm
        radius = torch.sqrt((x / beat.a_mm) ** 2 + (y / beat.b_mm) ** 2)
        cavity = (radius < profile(s, p)) & (s < 1)
        assert (cavity.sum() * step**3 / 1000).item() == pytest.approx(stated.item(), rel=0.02)
        blood = heart.tissue(p, beat, x, y, z).blood[cavity]
        assert (blood > 0.5).double().mean() > 0.99  # the rest is where the leaflets are hinged


def test_truncated_ellipsoid_volume() -> None:
    """With alpha 2 and beta 1/2 the profile is an ellipsoid cut at h: V = pi a b c (h - h^3/3 + 2/3)."""
    h = 0.6
    p = parameters(profile_alpha=2.0, profile_beta=0.5, profile_h=h)
    a, b, _ = (value.item() for value in heart.end_diastole(p))
    c = p["length_mm"].item() / (1 + h)
    edv, _ = heart.volumes_ml(p)
    assert edv.item() == pytest.approx(math.pi * a * b * c * (h - h**3 / 3 + 2 / 3) / 1000, rel=1e-3)


@pytest.mark.parametrize("ef", [0.2, 0.65])
def test_an_incompressible_wall_keeps_its_volume(ef: float) -> None:
    p = parameters(wall_thickening=1.0, ef=ef)
    volumes = []
    for share in (0.0, 0.3, 0.7, 1.0):
        b = at(p, share)
        outer = (b.a_mm + b.wall_mm) * (b.b_mm + b.wall_mm) * (b.length_mm + p["apical_wall"] * b.wall_mm)
        volumes.append((outer - b.a_mm * b.b_mm * b.length_mm).item())
    assert np.ptp(volumes) < 1e-6 * volumes[0]


def test_contraction_is_a_smooth_cycle_between_0_and_1() -> None:
    share, rapid = torch.tensor(0.38), torch.tensor(0.7)
    cycle = torch.linspace(0, 1, 2001)[:-1]
    c = contraction(cycle, share, rapid)
    assert c.min() == 0
    assert c.max() == pytest.approx(1, abs=1e-5)
    assert cycle[c.argmax()] == pytest.approx(0.38, abs=0.04)
    assert (torch.diff(torch.cat([c, c[:1]])).abs() < 0.01).all()  # no jump, nor where one beat meets the next


def test_valve_is_shut_in_systole_and_opens_in_diastole() -> None:
    cycle = torch.linspace(0, 1, 500)
    opening = valve_opening(cycle, torch.tensor(0.38))
    assert (opening[cycle < 0.38] == 0).all()
    assert opening[(cycle > 0.45) & (cycle < 0.6)].max() > 0.9
    assert opening[-1] == pytest.approx(0, abs=1e-6)
