"""Truth: labels, contours, volumes and key times follow from one geometry, in pixels of the very pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.path import Path as Polygon

from mcsdr.errors import InvalidConfig
from mcsdr.phantom import truth
from mcsdr.phantom.cohort import Person, PhantomCohort, draw_person
from mcsdr.phantom.truth import CAVITY, LEFT_ATRIUM, MYOCARDIUM
from mcsdr.study import View

VIEWS = (View.A4C, View.A2C, View.PSAX)
APICAL = VIEWS[:2]


def area(points: np.ndarray) -> float:
    x, y = points.T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def with_picture(person: Person, **given: float) -> Person:
    """The same person with rows of every recording set by hand."""
    pictures = {
        view: replace(picture, parameters=picture.parameters | given) for view, picture in person.pictures.items()
    }
    return replace(person, parameters=person.parameters | given, pictures=pictures)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("population", "index"), [("adult", 0), ("adult", 5), ("child", 2), ("camus", 3)])
def test_contours_enclose_the_labelled_cavity(view: View, population: str, index: int) -> None:
    person = draw_person(40, index, population)
    for time_s in truth.key_times(person, view):
        for size in ((112, 112), (180, 140)):
            label = truth.labels(person, view, np.array([time_s]), size)[0]
            line = truth.contour(person, view, time_s, size)
            i, j = np.indices(size)
            centres = np.stack([j.ravel() + 0.5, i.ravel() + 0.5], axis=1)
            enclosed = Polygon(line).contains_points(centres).reshape(size)
            cavity = label == CAVITY
            assert (enclosed != cavity).sum() < 0.01 * cavity.sum()
            if ((line > 0) & (line < size[::-1])).all():
                assert area(line) == pytest.approx(cavity.sum(), rel=0.03)


@pytest.mark.parametrize("population", ["adult", "child", "camus"])
def test_biplane_discs_give_the_true_volumes(population: str) -> None:
    """Two apical planes at right angles, neither foreshortened nor beside the axis: Simpson's rule is exact."""
    person = with_picture(
        draw_person(41, 1, population), foreshortening=0.0, plane_offset_mm=0.0, plane_angle=np.pi / 2
    )
    volumes = []
    for phase in range(2):
        widths = []
        for view in APICAL:
            time_s = truth.key_times(person, view)[phase]
            pitch = truth.pixel_mm(person, view)
            apex, base = truth.apex_and_base(person, view, time_s) * pitch
            line = truth.contour(person, view, time_s) * pitch
            length = np.linalg.norm(base - apex)
            along = (line - apex) @ (base - apex) / length
            across = (line - apex) @ np.array([base[1] - apex[1], apex[0] - base[0]]) / length
            levels, tip = (np.arange(20) + 0.5) / 20 * length, len(line) // 2
            sides = [np.interp(levels, along[half], across[half]) for half in (slice(tip, None), slice(tip, None, -1))]
            widths.append(np.abs(sides[0] - sides[1]))
        volumes.append(np.pi / 4 * (widths[0] * widths[1]).sum() * length / 20 / 1000)
    known = PhantomCohort(2, seed=41, population=population).volumes_ml(1)
    assert volumes == pytest.approx(known, rel=0.01)
    assert 100 * (1 - volumes[1] / volumes[0]) == pytest.approx(person.true_ef_percent, abs=0.3)


@pytest.mark.parametrize("view", VIEWS)
def test_end_diastole_is_the_fullest_instant_and_end_systole_the_emptiest(view: View) -> None:
    person = draw_person(42, 3)
    ed, es = truth.key_times(person, view)
    beat = 60 / person.parameters["heart_rate_bpm"]
    assert 0 <= ed < beat
    assert ed < es < ed + beat
    areas = [area(truth.contour(person, view, t)) for t in ed + beat * np.linspace(0, 1, 41)]
    assert max(areas) <= areas[0] * 1.001
    assert area(truth.contour(person, view, es)) == pytest.approx(min(areas), rel=0.002)


@pytest.mark.parametrize("view", VIEWS)
def test_film_is_the_clip(view: View) -> None:
    clip = PhantomCohort(1, seed=43, frames=8, views=(view,))[0].clips[0]
    assert np.array_equal(truth.film(draw_person(43, 0), view, clip.frame_times_s), clip.frames)


@pytest.mark.parametrize("view", VIEWS)
def test_labels_tell_blood_from_muscle_in_the_pictures(view: View) -> None:
    """In a bright, evenly lit picture without papillary muscles, labelled muscle is bright and cavity dark."""
    even = {"blood": 0.0, "wall": 0.5, "septal_gain": 1.0, "lateral_gain": 1.0, "haze": 0.0, "attenuation": 0.0}
    clear = {"shadow1_on": 0.0, "shadow2_on": 0.0, "speckle_depth": 0.35, "leaflets": 0.0, "compression": 30.0}
    sharp = {"sigma_axial_mm": 0.3, "sigma_lateral": 0.01, "black_level": 0.0, "gamma": 1.0, "papillary": 0.0}
    person = with_picture(draw_person(44, 2, "child"), **even, **clear, **sharp, apex_x=0.0, tilt=0.0, centre_x=0.0)
    times, size = np.array(truth.key_times(person, view)), (224, 224)
    film, label = truth.film(person, view, times, size), truth.labels(person, view, times, size)
    seen = film > 0
    bright, dark = np.median(film[seen & (label == MYOCARDIUM)]), np.median(film[label == CAVITY])
    assert bright > dark + 60
    threshold = (bright + dark) / 2
    assert (film[label == CAVITY] < threshold).mean() > 0.9
    assert (film[seen & (label == MYOCARDIUM)] > threshold).mean() > 0.9


def test_left_atrium_is_labelled_beyond_the_base_of_apical_views_only() -> None:
    person = draw_person(45, 0)
    for view in VIEWS:
        ed, _ = truth.key_times(person, view)
        label = truth.labels(person, view, np.array([ed]))[0]
        assert set(np.unique(label)) == {0, CAVITY, MYOCARDIUM} | ({LEFT_ATRIUM} if view in APICAL else set())
        if view in APICAL:
            apex, base = truth.apex_and_base(person, view, ed)
            rows, columns = np.nonzero(label == LEFT_ATRIUM)
            centre = np.array([columns.mean() + 0.5, rows.mean() + 0.5])
            assert (centre - apex) @ (base - apex) > (base - apex) @ (base - apex)


@pytest.mark.parametrize("view", VIEWS)
def test_sizes_show_the_same_sector(view: View) -> None:
    person = draw_person(46, 1)
    times = np.array(truth.key_times(person, view))
    small, large = truth.film(person, view, times), truth.film(person, view, times, (224, 224))
    assert np.abs(large.reshape(2, 112, 2, 112, 2).mean((2, 4)) - small).mean() < 3
    line = truth.contour(person, view, times[0])
    assert truth.contour(person, view, times[0], (224, 224)) == pytest.approx(2 * line)
    assert truth.pixel_mm(person, view, (224, 224)) == pytest.approx(truth.pixel_mm(person, view) / 2)
    tall, wide = (160, 112), (112, 160)
    assert np.array_equal(truth.film(person, view, times, tall)[:, :112], small)
    assert np.array_equal(truth.film(person, view, times, wide)[:, :, 24:136], small)
    assert truth.contour(person, view, times[0], wide) == pytest.approx(line + np.array([24, 0]))
    assert np.array_equal(truth.labels(person, view, times, wide)[:, :, 24:136], truth.labels(person, view, times))


def test_contours_run_from_annulus_to_annulus_or_round() -> None:
    person = draw_person(47, 0)
    for view in APICAL:
        line = truth.contour(person, view, 0.2)
        apex, base = truth.apex_and_base(person, view, 0.2)
        assert line[0, 0] < line[-1, 0]  # the septal or inferior end first
        assert np.linalg.norm(line - base, axis=1).max() == pytest.approx(np.linalg.norm(apex - base), rel=0.05)
    ring = truth.contour(person, View.PSAX, 0.2)
    assert ring[0] == pytest.approx(ring[-1])


def test_short_axis_has_no_long_axis() -> None:
    with pytest.raises(InvalidConfig, match="no such plane for the view PSAX"):
        truth.apex_and_base(draw_person(47, 0), View.PSAX, 0.0)
