"""The chambers beside the left ventricle: where they lie, and that they move by themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mcsdr.phantom import anatomy, chambers, heart, planes, ranges, structures, truth, variety
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.phantom.outline import Parameters
from mcsdr.study import Attributes, View

SOMEBODY = Attributes(60, "M", 80.0, 175.0)
USUAL = {"phase": 0.0, "akinesia": 0.0, "dyssynchrony": 0.0, "plane_offset_mm": 0.0, "foreshortening": 0.0, "bend": 0.0}


def people(n: int, ef: float, **given: float) -> Parameters:
    rows = [variety.draw(6, i, "varied", ef=ef, person=SOMEBODY) | USUAL | given for i in range(n)]
    return ranges.stack(rows, torch.device("cpu"))


def times_s(p: Parameters) -> torch.Tensor:
    """End-diastole and end-systole of the first beat, [B, 2, 1]."""
    end_systole = p["systolic_share"] * 60 / p["heart_rate_bpm"]
    return torch.cat([torch.zeros_like(end_systole), end_systole], 1)


def plane(p: Parameters) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Points of the four-chamber plane, 2 mm apart."""
    u, v = torch.meshgrid(torch.arange(-110.0, 90.0, 2.0), torch.arange(-10.0, 190.0, 2.0), indexing="ij")
    flat = (side.reshape(1, 1, -1).expand(len(p["ef"]), 2, -1) for side in (u, v))
    return planes.to_heart(p, View.A4C, *flat)


def areas(p: Parameters) -> dict[str, torch.Tensor]:
    """Area of each chamber in the four-chamber plane at end-diastole and end-systole, points [B, 2]."""
    at = times_s(p)
    beat, moving = heart.beat(p, at), chambers.motion(p, at)
    x, y, z = plane(p)
    here = heart.surfaces(p, beat, x, y, z)
    corners = chambers.corners(p, beat, moving)
    beside = chambers.around(p, here, moving, corners, x, y, z, beat.base_mm)
    above = here.beyond_base_mm < 0
    masks = {
        "lv": (here.endo_mm < 0) & above,
        "rv": (beside.free_mm < 0) & (here.epi_mm > 0) & (z < corners.right_z),
        "la": (beside.left_atrium_mm < 0) & ~above,
        "ra": (beside.right_atrium_mm < 0) & (z > corners.right_z),
    }
    return {name: mask.sum(-1).float() for name, mask in masks.items()}


def test_the_right_ventricle_contracts_alike_whatever_the_left_one_ejects() -> None:
    alike = ("rv_squeeze", "tapse_mm", "rv_mm", "rv_systole")
    size = {name: float(people(1, 0.5)[name]) for name in (*alike, "descent", "length_mm", "slenderness", "wall_share")}
    weak, strong = (areas(people(40, ef, **size)) for ef in (0.15, 0.70))
    shrunk = [1 - one["rv"][:, 1] / one["rv"][:, 0] for one in (weak, strong)]
    assert (shrunk[0] - shrunk[1]).abs().mean() < 0.04
    left = [1 - one["lv"][:, 1] / one["lv"][:, 0] for one in (weak, strong)]
    assert (left[1] - left[0]).mean() > 0.25


def test_how_much_it_contracts_is_its_own_row() -> None:
    still, strong = (
        areas(people(20, 0.5, rv_squeeze=squeeze, tapse_mm=tapse)) for squeeze, tapse in ((0, 0), (0.45, 22))
    )
    shrunk = [(1 - one["rv"][:, 1] / one["rv"][:, 0]).mean().item() for one in (still, strong)]
    assert shrunk[1] > shrunk[0] + 0.3


def test_atria_fill_while_the_ventricle_ejects_also_in_a_failing_heart() -> None:
    for ef in (0.15, 0.65):
        found = areas(people(40, ef))
        assert (found["la"][:, 1] > found["la"][:, 0]).float().mean() > 0.9
    narrow, wide = (areas(people(20, 0.2, atrial_swing=swing)) for swing in (0.02, 0.30))
    gained = [(one["la"][:, 1] / one["la"][:, 0]).mean().item() for one in (narrow, wide)]
    assert gained[1] > gained[0] + 0.1


def test_four_chambers_of_like_width_meet_at_the_crux() -> None:
    p = people(60, 0.55)
    at = times_s(p)[:, :1]
    beat = heart.beat(p, at)
    corners = chambers.corners(p, beat, chambers.motion(p, at))
    assert (corners.right_x < corners.crux_x).all()
    assert (corners.crux_x < 0).all()
    assert (corners.right_z < beat.base_mm).all()  # the tricuspid ring lies nearer to the apex
    wide = (2 * p["la_mm"] / (2 * beat.a_mm)).flatten()
    assert 0.5 < wide.median() < 1.3
    for name, area in areas(p).items():
        assert (area[:, 0] > 40).float().mean() > 0.9, name


def test_leaflets_swing_wide_whatever_the_ejection_fraction() -> None:
    weak, strong = (people(30, ef) for ef in (0.12, 0.70))
    for p in (weak, strong):
        base, hinge = p["length_mm"], heart.end_diastole(p)[0]
        shut, wide = (structures.tips(p, base, hinge, torch.full_like(base, opening))[0] for opening in (0.0, 1.0))
        moved = torch.hypot(wide[0] - shut[0], wide[1] - shut[1]) / hinge
        assert (moved > 0.5).all()


def test_other_planes_meet_what_they_should() -> None:
    p = people(20, 0.55)
    at = times_s(p)
    beat, moving = heart.beat(p, at), chambers.motion(p, at)
    u, v = torch.meshgrid(torch.arange(-60.0, 60.0, 3.0), torch.arange(5.0, 70.0, 3.0), indexing="ij")
    two = p | {"plane_angle": torch.full_like(p["ef"], 1.05)}
    x, y, z = planes.to_heart(two, View.A2C, *(s.reshape(1, 1, -1).expand(20, 2, -1) for s in (u, v)))
    here = heart.surfaces(p, beat, x, y, z)
    beside = chambers.around(p, here, moving, chambers.corners(p, beat, moving), x, y, z, beat.base_mm)
    right = (beside.free_mm < -2) & (here.epi_mm > 2) & (here.level > 0.3) & (here.level < 1)
    assert right.float().mean() < 0.02  # a two-chamber plane meets no right ventricle
    for view in (View.A2C, View.PSAX, View.PLAX):
        (clip,) = PhantomCohort(2, 8, frames=3, appearance="varied", views=(view,))[1].clips
        assert clip.frames.std() > 5


@pytest.mark.parametrize("index", [0, 3])
def test_labels_of_varied_phantoms_tell_blood_from_muscle_in_their_pictures(index: int) -> None:
    person = PhantomCohort(9, 12, appearance="varied-framed").person(index)
    person.parameters.update(haze=0.02, shadow1_on=0.0, shadow2_on=0.0, dropout=0.0, veil=0.0, patchiness=0.0)
    person.parameters.update(apical_gain=1.0, lateral_gain=1.0, flank=0.0, lung=0.0)
    times = np.array([0.1, 0.3])
    film, labels = truth.film(person, View.A4C, times), truth.labels(person, View.A4C, times)
    blood, muscle = (film[labels == kind].mean() for kind in (truth.CAVITY, truth.MYOCARDIUM))
    assert muscle > 1.5 * blood
    assert (labels == truth.LEFT_ATRIUM).any()


def test_tissue_far_from_the_heart_stays_where_it_is() -> None:
    p = people(4, 0.6)
    at = times_s(p)
    far = torch.full((4, 2, 1), 160.0)
    zero = torch.zeros_like(far)
    matter = anatomy.tissue(p, heart.beat(p, at), at, View.A4C, far, zero, 40 + zero, far)
    assert torch.allclose(matter.stretch, torch.ones_like(far), atol=0.02)
    assert torch.allclose(matter.z_material_mm, 40 + zero, atol=1.5)
    assert (matter.outside == 1).all()
