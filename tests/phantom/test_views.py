"""Further views are recordings of their own of the same beating heart."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mcsdr.errors import InvalidConfig
from mcsdr.phantom import heart, planes, ranges
from mcsdr.phantom.cohort import Person, PhantomCohort, draw_person
from mcsdr.phantom.outline import profile
from mcsdr.phantom.truth import SIZE, key_times
from mcsdr.study import View

VIEWS = (View.A4C, View.A2C, View.PSAX)


def test_one_study_many_views() -> None:
    alone, study = PhantomCohort(3, seed=6, frames=8)[2], PhantomCohort(3, seed=6, frames=8, views=VIEWS)[2]
    assert [clip.view for clip in study.clips] == list(VIEWS)
    assert len({clip.source for clip in study.clips}) == 3
    assert len({clip.heart_rate_bpm for clip in study.clips}) == 1
    assert (study.ef_percent, study.true_ef_percent, study.attributes) == (
        alone.ef_percent,
        alone.true_ef_percent,
        alone.attributes,
    )
    assert np.array_equal(study.clips[0].frames, alone.clips[0].frames)


@pytest.mark.parametrize("population", ["child", "camus"])
def test_the_same_study_whatever_the_batch_and_the_other_views(population: str) -> None:
    cohort = PhantomCohort(6, seed=7, frames=8, views=VIEWS, population=population)
    together, alone = cohort.batch([3, 0, 5])[1], cohort[0]
    for one, other in zip(together.clips, alone.clips, strict=True):
        assert np.array_equal(one.frames, other.frames)
    psax = PhantomCohort(1, seed=7, frames=8, views=(View.PSAX,), population=population)[0].clips[0]
    assert np.array_equal(psax.frames, alone.clips[2].frames)


def test_recordings_share_the_heart_and_nothing_of_the_picture() -> None:
    person = draw_person(4, 1, "child")
    rows = [person.recording(view).parameters for view in VIEWS]
    heart_rows = ["ef", "size", *(name for name in ranges.OF_THE_HEART if name != "leaflet_mm")]
    for name in heart_rows:
        assert len({row[name] for row in rows}) == 1, name
    for name in set(ranges.RANGES) - set(heart_rows) - {"leaflet_mm"}:
        assert len({row[name] for row in rows}) == 3, name
    textures = [person.recording(view).texture for view in VIEWS]
    assert not np.array_equal(textures[0], textures[1])
    assert np.array_equal(np.sort(textures[0].ravel()), np.sort(textures[2].ravel()))


def in_plane(person: Person, view: View) -> tuple[heart.Parameters, heart.Beat, list[torch.Tensor]]:
    """The recording's row, its beat at ED and ES, and the pixels of the sector in the heart's frame."""
    p = planes.at_adult_size(ranges.stack([person.recording(view).parameters], torch.device("cpu")))
    times = torch.tensor(key_times(person, view))[None, :, None]
    right, down = (side.expand(1, *SIZE).reshape(1, 1, -1) for side in planes.pixels_mm(p, SIZE))
    sector = (torch.hypot(right, down) < planes.depth_mm(p)) & (torch.atan2(right, down).abs() < p["half_angle"])
    where = planes.to_heart(
        p, view, *planes.to_plane(p, view, times, right[sector][None, None], down[sector][None, None])
    )
    return p, heart.beat(p, times), list(where)


@pytest.mark.parametrize("index", range(12))
def test_two_chambers_are_two(index: int) -> None:
    """In A2C the left atrium is there and no more than a sliver of the right heart; in A4C all four chambers are."""
    person = draw_person(12, index)
    shares = {}
    for view in planes.APICAL:
        p, beat, (x, y, z) = in_plane(person, view)
        lies, above = heart.surfaces(p, beat, x, y, z), z < beat.base_mm
        free = ~((lies.epi_mm < 0) & above)
        for name, chamber in heart.chambers(p, beat).items():
            inside = (chamber.distance_mm(x, y, z) < 0) & ((chamber.side * (z - beat.base_mm)) < 0) & free
            shares[view, name] = inside.double().mean().item()
    assert shares[View.A2C, "rv"] < 0.01
    assert shares[View.A2C, "ra"] < 0.01
    assert shares[View.A4C, "rv"] > 0.02
    assert min(shares[view, "la"] for view in planes.APICAL) > 0.01


@pytest.mark.parametrize("index", range(12))
def test_short_axis_shows_the_whole_ring_with_the_right_ventricle_on_the_left(index: int) -> None:
    person = draw_person(13, index)
    p, beat, (x, y, z) = in_plane(person, View.PSAX)
    lies = heart.surfaces(p, beat, x, y, z)
    pitch = planes.image_side_mm(p) / SIZE[0]
    area = (lies.endo_mm < 0).sum(-1) * pitch[..., 0] ** 2
    outline = profile((p["level"] * p["length_mm"] - beat.apex_mm) / beat.length_mm, p)
    assert area[0].numpy() == pytest.approx((np.pi * beat.a_mm * beat.b_mm * outline**2)[0, :, 0].numpy(), rel=0.03)
    rv = (heart.chambers(p, beat)["rv"].distance_mm(x, y, z) < 0) & (lies.epi_mm > 0)
    if rv.any():  # it may lie beyond the sector's flank
        turned = torch.cos(p["roll"]) * x - torch.sin(p["roll"]) * y  # to the right in the picture
        assert turned[rv].mean() < -beat.a_mm.min()


def test_points_of_the_heart_and_back() -> None:
    person = draw_person(14, 0, "child")
    right, down = torch.linspace(-40, 40, 9)[None, None].double(), torch.linspace(10, 120, 9)[None, None].double()
    for view in VIEWS:
        p = planes.at_adult_size(ranges.stack([person.recording(view).parameters], torch.device("cpu")))
        times = torch.tensor([0.1, 0.5])[None, :, None].double()
        plane = planes.to_plane(p, view, times, right, down)
        back = planes.to_picture(p, view, times, *plane)
        assert back[0].numpy() == pytest.approx(right.expand(1, 2, 9).numpy(), abs=1e-4)
        assert back[1].numpy() == pytest.approx(down.expand(1, 2, 9).numpy(), abs=1e-4)


def test_views_that_there_are_not() -> None:
    with pytest.raises(InvalidConfig, match="no such plane"):
        PhantomCohort(1, seed=0, views=(View.UNKNOWN,))
