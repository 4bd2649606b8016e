"""People with life's correlations, and a third in whom size and shape follow nothing: what that promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mcsdr.phantom import heart, life, people, ranges, variety
from mcsdr.phantom.outline import Parameters
from mcsdr.phantom.ranges import Value
from mcsdr.study import Attributes

Drawn = tuple[Attributes, dict[str, Value]]


@pytest.fixture(scope="module")
def drawn() -> list[Drawn]:
    rng, people_drawn = np.random.default_rng(3), []
    for index in range(1500):
        person = people.draw_attributes(rng, "flat")
        ef = people.draw_true_ef(person, rng, "flat") / 100
        people_drawn.append((person, variety.heart(3, index, "varied", ef, person, "flat")))
    return people_drawn


def stacked(drawn: list[Drawn]) -> Parameters:
    return ranges.stack([rows for _, rows in drawn], torch.device("cpu"))


def test_volumes_given_ef_are_those_of_the_published_table(drawn: list[Drawn]) -> None:
    p = stacked(drawn)
    edv, esv = (volume.numpy() for volume in heart.volumes_ml(p))
    ef = 100 * p["ef"].flatten().numpy()
    assert np.allclose(100 * (edv - esv) / edv, ef, atol=1e-3)
    follows = p["follows"].flatten().numpy() > 0
    for low, median in ((20, 154), (30, 115), (40, 98), (50, 83), (60, 72)):
        band = follows & (ef >= low) & (ef < low + 10)
        assert band.sum() > 60
        assert np.median(edv[band]) == pytest.approx(median, rel=0.15)
        assert 0.28 < np.log(edv[band]).std() < 0.58


def test_sizes_follow_ef_in_two_of_three_and_nothing_in_the_third(drawn: list[Drawn]) -> None:
    p = {name: value.flatten().numpy() for name, value in stacked(drawn).items() if value.shape[-1] == 1}
    follows = p["follows"] > 0
    assert follows.mean() == pytest.approx(0.67, abs=0.05)
    edv = p["slenderness"] ** 2 * p["length_mm"] ** 3
    assert -0.85 < np.corrcoef(np.log(edv[follows]), p["ef"][follows])[0, 1] < -0.5
    others = ~follows
    for name in ("slenderness", "la_mm", "ra_mm", "rv_mm", "descent", "tethering", "wall_share", "tapse_mm"):
        assert abs(np.corrcoef(p[name][others], p["ef"][others])[0, 1]) < 0.15, name
    assert abs(np.corrcoef(np.log(edv[others]), p["ef"][others])[0, 1]) < 0.15


def test_men_and_tall_people_have_larger_hearts(drawn: list[Drawn]) -> None:
    edv = heart.volumes_ml(stacked(drawn))[0].numpy()
    male = np.array([person.sex == "M" for person, _ in drawn])
    assert 1.15 < np.exp(np.log(edv[male]).mean() - np.log(edv[~male]).mean()) < 1.6


def test_hearts_put_out_two_to_ten_litres_a_minute(drawn: list[Drawn]) -> None:
    p = stacked(drawn)
    edv = heart.volumes_ml(p)[0]
    output = (edv * p["ef"].flatten() * p["heart_rate_bpm"].flatten() / 1000).numpy()
    within = (output > 2) & (output < 10)
    assert within[p["follows"].flatten().numpy() > 0].mean() > 0.95
    assert np.median(output) == pytest.approx(4, abs=1)


def test_the_base_descends_as_the_person_has_it() -> None:
    rows = life.with_ef(0.12, 0.4)
    assert rows["shortening"] * rows["ef"] / 0.6 == pytest.approx(0.12)
    weak = life.with_ef(0.12, 0.10)  # a ventricle that ejects a tenth cannot shorten by more than nine tenths of that
    assert weak["shortening"] * weak["ef"] / 0.6 == pytest.approx(0.09)


@pytest.mark.parametrize("failing", [0.10, 0.25])
def test_valves_and_right_heart_move_whatever_the_left_one_ejects(failing: float) -> None:
    healthy, weak = (
        np.array(
            [rows[name] for rows in drawn_at(ef) for name in ("leaflet_open", "rv_squeeze", "rv_systole", "a_wave")]
        )
        for ef in (60.0, 100 * failing)
    )
    assert (healthy == weak).all()


def drawn_at(ef_percent: float) -> list[dict[str, Value]]:
    person = Attributes(60, "F", 70.0, 165.0)
    return [variety.heart(5, index, "varied", ef_percent / 100, person) for index in range(20)]


def test_populations_of_varied_phantoms() -> None:
    rng = np.random.default_rng(0)
    efs = {
        name: np.array([people.draw_true_ef(people.draw_attributes(rng, name), rng, name) for _ in range(3000)])
        for name in ("laboratory", "flat")
    }
    assert efs["laboratory"].mean() == pytest.approx(55.7, abs=1.5)
    assert efs["laboratory"].std() == pytest.approx(12.4, abs=1.0)
    assert (efs["laboratory"] < 50).mean() == pytest.approx(0.224, abs=0.04)
    assert (efs["laboratory"] < 30).mean() == pytest.approx(0.062, abs=0.03)
    shares = np.histogram(efs["flat"], [10, 20, 30, 40, 50, 60, 70])[0] / len(efs["flat"])
    assert shares.max() < 2.2 * shares.min()
