"""Phantoms as varied as life: exact all the same, every row of the table seen, families held out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import pytest
import torch

from mcsdr.errors import InvalidConfig
from mcsdr.phantom import archive, faults, heart, life, looks, machines, planes, ranges, sonogram, variety
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.phantom.contraction import contraction_at, moment, weight
from mcsdr.phantom.looks import LOOKS
from mcsdr.phantom.machines import SHIFTED
from mcsdr.phantom.outline import profile
from mcsdr.phantom.ranges import VIEWS, Value
from mcsdr.phantom.table import CLIP, EXAM, PERSON, Appearance
from mcsdr.study import Attributes, View

TABLE = PERSON | EXAM | CLIP | looks.ADDED
SOMEBODY = Attributes(60, "M", 80.0, 175.0)
TIMES = torch.linspace(0, 1.4, 57)[None, :, None]


def stacked(rows: list[Mapping[str, Value]]) -> heart.Parameters:
    return ranges.stack(rows, torch.device("cpu"))


def drawn(seed: int, index: int, appearance: Appearance = "varied", view: View = View.A4C) -> dict[str, Value]:
    return variety.draw(seed, index, appearance, view, ef=0.5, person=SOMEBODY)


def people(n: int, **given: float) -> heart.Parameters:
    rng = np.random.default_rng(3)
    return stacked([variety.draw(5, i, "varied", ef=rng.uniform(0.1, 0.8), person=SOMEBODY) | given for i in range(n)])


def volume_share(p: heart.Parameters, times: torch.Tensor) -> torch.Tensor:
    """Cavity volume over that at end-diastole, by adding up small pieces of every cross-section, [B, T]."""
    beat = heart.beat(p, times)
    s, around = torch.meshgrid(torch.linspace(0, 1, 201), torch.arange(90) * (2 * math.pi / 90), indexing="ij")
    s, around = s.reshape(1, 1, -1), around.reshape(1, 1, -1)
    assert beat.unevenness is not None
    local = beat.unevenness.local(p, s, around)
    pieces = (profile(s, p) ** 2 * local**2).mean(-1, keepdim=True) * beat.a_mm * beat.b_mm * beat.length_mm
    a, b, _ = heart.end_diastole(p)
    return (pieces / ((profile(s, p) ** 2).mean(-1, keepdim=True) * a * b * p["length_mm"]))[..., 0]


def test_the_ejection_fraction_is_exact_however_unevenly_the_ventricle_contracts() -> None:
    p = people(40, akinesia=0.9, dyssynchrony=0.3, phase=0.0)
    _, _, ef = moment(p, TIMES)
    contracted = heart.beat(p, TIMES).contraction
    assert torch.allclose(volume_share(p, TIMES), (1 - ef * contracted)[..., 0], atol=0.004)


def test_a_region_that_stands_still_does_not_move() -> None:
    p = people(20, ef=0.35, akinesia=1.0, akinesia_level=0.5, dyssynchrony=0.0, beat_efs=np.ones(16), ectopic=0.0)
    w = weight(p, torch.zeros(1, 1, 1), p["akinesia_level"], p["akinesia_angle"])
    assert torch.allclose(w, torch.zeros_like(w), atol=1e-5)


def test_the_mean_of_the_beats_that_readers_count_is_the_persons_own() -> None:
    for index in range(200):
        p = drawn(8, index)
        starts, efs = p["beat_starts"], p["beat_efs"]
        assert (np.diff(starts) > 0.3).all()
        assert 0.25 <= p["systolic_share"] <= 0.55
        counted = [0, 1, 2] if not p["ectopic"] else [k for k in range(3) if efs[k] > 0.85 * efs[:3].max()]
        assert abs(efs[counted].mean() - 1) < 0.1


BENT = ("bend", "bend_s", "bend_moves", "shear")


def test_a_curved_axis_keeps_the_volume() -> None:
    fixed = {"plane_offset_mm": 0.0, "foreshortening": 0.0, "akinesia": 0.0, "dyssynchrony": 0.0}
    p = people(4, bend=0.08, bend_s=0.05, bend_moves=0.06, shear=0.2, ef=0.5, **fixed)
    times = torch.tensor([0.0, 0.2])[None, :, None].expand(4, 2, 1)
    beat = heart.beat(p, times)
    u, v = torch.meshgrid(torch.arange(-90.0, 90.0, 1.0), torch.arange(-10.0, 125.0, 1.0), indexing="ij")
    u, v = u.reshape(1, 1, -1), v.reshape(1, 1, -1)

    def pixels(p: heart.Parameters) -> torch.Tensor:
        x, y, z = planes.to_heart(p, View.A4C, u.expand(4, 1, -1), v.expand(4, 1, -1), times)
        lies = heart.surfaces(p, beat, x, y, z)
        return ((lies.endo_mm < 0) & (lies.beyond_base_mm < 0)).sum(-1).float()

    straight = pixels(p | {name: torch.zeros_like(p[name]) for name in BENT})
    for moves in (BENT, *((name,) for name in BENT)):
        curved = pixels(p | {name: torch.zeros_like(p[name]) for name in {*BENT} - {*moves}})
        assert torch.allclose(curved, straight, rtol=0.02)


def test_a_ventricle_of_any_pace_empties_and_fills_whole() -> None:
    among = [drawn(2, index, "varied-shaped") for index in range(40)]
    p = {name: value.double() for name, value in stacked(among).items()}
    p["beat_starts"] = torch.arange(16.0, dtype=torch.float64).expand(40, 1, 16)
    p["phase"] = torch.zeros(40, 1, 1, dtype=torch.float64)
    beats = torch.linspace(0, 1, 1501, dtype=torch.float64)[None, :, None]
    c = contraction_at(p, beats[:, :-1] * 60 / p["heart_rate_bpm"])
    assert (c[:, 0] == 0).all()
    assert c.max(1).values.min() > 1 - 1e-4
    assert 0 <= c.min().item() <= c.max().item() <= 1
    assert (c.diff(dim=1, append=c[:, :1]).abs() < 0.03).all()  # no jump, nor where one beat meets the next
    ejecting = (c > 0.02).double().argmax(1) / 1500 / p["systolic_share"][:, 0]
    assert ejecting.max() - ejecting.min() > 0.1


def test_layers_lie_across_the_beams_and_the_curtain_hides_one_side() -> None:
    p = people(6, lung=1.0, lung_at=0.5, lung_edge=0.05, lung_side=1.0, flank=0.0, near_field=0.0)
    seen = faults.seen(p, torch.full((6, 1, 1), 0.5), torch.tensor([[[-0.9, 0.0, 0.9]]]))
    assert torch.allclose(seen, torch.tensor([1.0, 1.0, 0.0]).expand(6, 1, 3), atol=1e-3)
    texture = torch.from_numpy(np.stack([ranges.draw_texture(np.random.default_rng(k), 4.0) for k in range(6)]))
    depths, beams = torch.meshgrid(torch.linspace(5, 150, 120), torch.linspace(-1, 1, 80), indexing="ij")
    where = (side.reshape(1, 1, -1).expand(6, 1, -1) for side in (depths, beams))
    layers = faults.streaks(p | {"streaks": torch.ones(6, 1, 1)}, texture, *where).log().view(6, 120, 80)
    assert (layers.diff(dim=1).abs().mean() > layers.diff(dim=2).abs().mean()).item()


def test_the_machine_remembers_the_pictures_before() -> None:
    frames = np.zeros((3, 2, 2), dtype=np.uint8)
    frames[1:] = 200
    blended = archive.persistent(frames, 0.04, np.array([0.0, 0.04, 0.08]))
    assert blended[:, 0, 0].tolist() == [0, round(200 * (1 - math.exp(-1))), round(200 * (1 - math.exp(-2)))]


def test_rows_are_there_as_often_as_the_table_says() -> None:
    among = [drawn(1, index) for index in range(600)]
    for name in ("septal_bulge", "calcium", "lead", "tgc", "shadow1_on"):
        row = (TABLE | LOOKS[""])[name]
        there = np.mean([p[name] != row.absent for p in among])
        assert abs(there - row.chance) < 4 * math.sqrt(row.chance * (1 - row.chance) / len(among)), name
        values = [p[name] for p in among if p[name] != row.absent]
        assert row.low <= min(values) <= max(values) <= row.high


def test_families_are_held_out() -> None:
    kinds = {kind: [drawn(1, index, kind) for index in range(60)] for kind in SHIFTED}
    for name in ("layers", "speckle_filter", "s_curve", "rocking"):
        assert all(p[name] == 0 for kind in {*SHIFTED} - {"shifted-val"} for p in kinds[kind])
        assert np.mean([p[name] != 0 for p in kinds["shifted-val"]]) > 0.4
    for name in ("specular", "grain", "side_lobes", "torsion", "ejection_skew"):
        assert all(p[name] == 0 for kind in {*SHIFTED} - {"shifted-test"} for p in kinds[kind])
        assert np.mean([p[name] != 0 for p in kinds["shifted-test"]]) > 0.4
    for name in ("mesh", "steps", "standing"):
        assert all(p[name] == 0 for kind in {*SHIFTED} - {"shifted-other"} for p in kinds[kind])
        assert np.mean([p[name] != 0 for p in kinds["shifted-other"]]) > 0.4
    for name in ("compound", "halo", "lines"):
        assert all(p[name] == 0 for kind in {*SHIFTED} - {"shifted-fourth"} for p in kinds[kind])
        assert np.mean([p[name] != 0 for p in kinds["shifted-fourth"]]) > 0.4
    assert all(p["follows"] for p in kinds["varied-following"])
    assert 0.2 < np.mean([p["follows"] == 0 for p in kinds["varied"]]) < 0.5


def test_looks_leave_held_out_families_as_they_were() -> None:
    held_out: tuple[Appearance, ...] = ("shifted-val", "shifted-test", "shifted-other", "shifted-fourth")
    for name in held_out:
        for machine, (_, own) in machines.MACHINES.items():
            parts = [machines.rows(name, machine, level) for level in ("person", "exam", "clip")]
            later = dict.fromkeys(sum(machines.LATER.values(), ()), machines.NEVER)
            assert {row: part[row] for part in parts for row in part} == {**TABLE, **later, **own, **SHIFTED[name]}
    assert all(drawn(1, 3, "shifted-val")[name] == 0 for name in ("clarity_z", "flicker", "reject", "lateral_soft"))


def test_a_clear_clip_is_sharp_and_keeps_its_speckle_and_an_opened_gain_goes_with_a_higher_reject() -> None:
    p = drawn(4, 7) | {"reject": 0.5, "black_level": 0.1}
    hazy, clear = (looks.together(p | {"clarity_z": z}) for z in (-1.0, 1.0))
    assert all(clear[name] < hazy[name] for name in ("edge_mm", "speckle_free", "haze", "far_echo"))
    low, usual, high = (looks.together(p | {"exposure": e}) for e in (0.48, looks.USUAL_EXPOSURE, 0.68))
    assert [one["black_level"] for one in (low, usual, high)] == pytest.approx([0.05, 0.10, 0.15])
    assert low["shoulder"] < usual["shoulder"] < high["shoulder"]


def test_flicker_is_new_in_every_frame_and_keeps_the_mean() -> None:
    texture = torch.from_numpy(ranges.draw_texture(np.random.default_rng(1), 5.0))[None]
    offsets = torch.arange(0, 120, 3)[None, :, None].expand(1, 40, 2)
    field = faults.flickering({"flicker": torch.full((1, 1, 1), 0.2)}, torch.ones(1, 40, 600), texture, offsets, 30, 20)
    assert field.mean().item() == pytest.approx(1, abs=0.03)
    assert (field[:, 1:] - field[:, :-1]).std().item() > 0.1


def test_the_heart_is_the_same_in_every_view_and_the_exam_in_every_clip() -> None:
    a4c, psax = (drawn(4, 7, "varied", view) for view in (View.A4C, View.PSAX))
    own = VIEWS[View.PSAX]  # a short axis meets no leaflets
    assert all(a4c[name] == psax[name] for name in (PERSON | EXAM).keys() - own.keys() - looks.WITH_GAIN)
    assert a4c["tilt"] != psax["tilt"]


LATER_ROWS = SHIFTED["varied-shaped"] | SHIFTED["shifted-other"] | SHIFTED["shifted-fourth"]
LATER = {name: LATER_ROWS[name] for name in sum(machines.LATER.values(), ())}
ROWS = TABLE | LOOKS[""] | LATER | SHIFTED["shifted-test"] | SHIFTED["shifted-val"]
UNSEEN_ALONE = {
    "k_alpha", "frame_rate_hz",  # of the texture and of the times
    "rr_spread", "beat_spread", "ectopic", "systole_s",  # of the rhythm that is drawn with them
    "mirrored",  # on or off
}  # fmt: skip


def with_everything(given: Mapping[str, float]) -> dict[str, Value]:
    """A phantom that has everything at once, a little over the middle of its range."""
    p: dict[str, Value] = {name: row.low + 0.6 * (row.high - row.low) for name, row in ROWS.items()}
    p |= {"mirrored": 0.0, "veil": 0.3, "framing": 0.7, "black_level": 0.02, "apex_x": 0.0, "tilt": 0.0, "size": 1.0}
    p |= {"floor_level": 0.02, "moderator_band": 1.5, "shadow1_at": 0.3, "shadow2_at": -0.3, "drawn": 3.0, "clock": 1.0}
    p |= {"steps": 0.0, "before_ejection": 0.0, "after_ejection": 0.0}
    p |= {"lost": 0.0, "akinesia_angle": 0.4, "outflow": 0.7, "depth_mm": 150.0, "lung_side": 0.5, "apex_y": 0.1}
    p |= {
        "akinesia_u": 0.1,
        "dyssynchrony_u": 0.1,
        "follows": 0.0,
        "calcium_side": 0.4,
        "blood": 0.02,
        "effusion_mm": 5.0,
    }
    p |= given
    p |= life.heart(p, 0.5, 0.5 if p["follows"] else p["other_ef"], SOMEBODY)
    p |= looks.together(p)
    p |= {"beat_starts": np.arange(16.0), "beat_efs": np.ones(16), "systolic_share": 0.4}
    return p | {"lv_share": p["length_mm"] / p["depth_mm"]}


@lru_cache
def picture(*given: tuple[str, float]) -> np.ndarray:
    p = with_everything(dict(given))
    rng, times = np.random.default_rng(0), np.array([0.05, 0.2, 0.33, 0.6]) * p["clock"]
    texture = ranges.draw_texture(rng, 5.0)
    offsets = torch.from_numpy(rng.integers(0, 100, (1, len(times), 2)))
    frames = sonogram.render(
        stacked([p]), torch.from_numpy(texture)[None], offsets, torch.from_numpy(times).float()[None],
        View.A4C, (64, 64),
    )  # fmt: skip
    return archive.finished(frames[0].numpy(), p, times)


@pytest.mark.parametrize("name", sorted({*TABLE, *LATER} - UNSEEN_ALONE))
def test_every_row_of_the_table_changes_the_picture(name: str) -> None:
    row, now = ROWS[name], with_everything({})[name]
    moved = [end for end in (row.low, row.high, row.absent) if abs(end - now) > 1e-9]
    assert any((picture((name, end)) != picture()).any() for end in moved), name


def test_equal_films_become_equal_files() -> None:
    """Whatever memory held before: x264 reads some that it has not written unless told not to."""
    texture = torch.rand(24, 1, 50, 58, generator=torch.Generator().manual_seed(0))
    film = (255 * torch.nn.functional.interpolate(texture, (200, 230), mode="bicubic")[:, 0].clamp(0, 1)).byte().numpy()
    compressed = []
    for value in range(5):
        before = [np.full(50_000 + 3_001 * value, 30 * value, np.uint8) for _ in range(20)]
        del before
        compressed.append(archive.h264(film, 26))
    assert all((one == compressed[0]).all() for one in compressed)
    assert 2 < np.abs(compressed[0].astype(int) - film).mean() < 30


def test_an_archive_that_does_nothing() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (3, 112, 112), dtype=np.uint8)
    p = dict.fromkeys(EXAM | CLIP, 0.0) | {"resample": 1.0, "drawn": 1.0}
    assert (archive.finished(frames, p, np.arange(3) / 25) == frames).all()
    assert (archive.finished(frames, p | {"mirrored": 1.0}, np.arange(3) / 25) == frames[:, :, ::-1]).all()


def test_the_r_wave_stands_at_end_diastole() -> None:
    p = drawn(2, 3) | {"phase": 0.0}
    times = np.linspace(0, 3, 3001)
    trace = archive.ecg(p, times)
    starts = p["beat_starts"][1:4] * 60 / p["heart_rate_bpm"]
    for start in starts[starts < 2.9]:
        near = np.abs(times - start) < 0.1
        assert abs(times[near][np.argmax(trace[near])] - start) < 0.01


def test_a_varied_cohort_is_the_same_in_every_batch_and_has_parasternal_views() -> None:
    cohort = PhantomCohort(6, 9, appearance="varied", views=(View.A4C, View.PLAX))
    together, alone = cohort[1:4], cohort[2]
    assert alone.study_id == "phantom-varied-9-000002"
    for here, there in zip(together[1].clips, alone.clips, strict=True):
        assert (here.frames == there.frames).all()
    assert all((one.clips[0].frames == cohort[i].clips[0].frames).all() for i, one in enumerate(cohort))
    assert {clip.view for clip in alone.clips} == {View.A4C, View.PLAX}
    assert all(clip.frames.max() > 10 for clip in alone.clips)


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="appearance"):
        PhantomCohort(3, 1, appearance="varied", population="child")
    with pytest.raises(InvalidConfig, match="plane"):
        PhantomCohort(3, 1, views=(View.PLAX,))
