"""Each measure on pictures whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mcsdr.errors import ClipTooShort
from mcsdr.evaluation.evidence import picture_measures as pm
from mcsdr.evaluation.evidence.picture_measures import MEASURES, Regions, measure, regions
from mcsdr.io.patches import Mask
from mcsdr.study import Clip

SIDE, FRAMES = 112, 32
EVERYWHERE = np.ones((SIDE, SIDE), dtype=bool)
ALWAYS = np.ones((FRAMES, SIDE, SIDE), dtype=bool)
Y, X = np.mgrid[:SIDE, :SIDE]
TISSUE, BLOOD, RADIUS = 120, 20, 15.0
CENTRE = (60.0, 56.0)  # row, column


def fan(half_angle_deg: float = 40.0, tip: tuple[float, float] = (4.0, 56.0), radius: float = 100.0) -> Mask:
    right, down = X - tip[1], Y - tip[0]
    inside: Mask = (np.abs(right) <= math.tan(math.radians(half_angle_deg)) * down) & (np.hypot(right, down) <= radius)
    return inside


def disc(radius: np.ndarray | float = RADIUS) -> np.ndarray:
    """Whether a pixel lies in a disc about `CENTRE`, [T, H, W] for radii [T]."""
    return np.hypot(Y - CENTRE[0], X - CENTRE[1]) < np.reshape(radius, (-1, 1, 1))


def heart(noise: float = 6.0, radius: np.ndarray | float = RADIUS, seed: int = 0) -> np.ndarray:
    """A dark disc in bright tissue in a fan: uint8 [T, H, W]."""
    rng = np.random.default_rng(seed)
    grey = np.where(disc(radius), BLOOD, TISSUE) + noise * rng.standard_normal((FRAMES, SIDE, SIDE))
    return np.where(fan(), grey.round().clip(3, 255), 0).astype(np.uint8)


def clip_of(frames: np.ndarray) -> Clip:
    return Clip(frames, np.arange(len(frames)) / 25.0)


def noise(sigma: tuple[float, float] = (0, 0), seed: int = 0) -> np.ndarray:
    """White noise of mean 100 and SD 20, blurred by a Gaussian of the given σ down and across, float [T, H, W]."""
    x = np.random.default_rng(seed).standard_normal((FRAMES, SIDE, SIDE)).astype(np.float32)
    down, across = (pm._gaussian(SIDE, s) if s else np.eye(SIDE, dtype=np.float32) for s in sigma)
    x = down @ x @ across
    return 100 + 20 * x / x.std()


# --- the whole -------------------------------------------------------------------------------------------------------


def test_every_measure_of_a_plain_heart() -> None:
    found = measure(clip_of(heart()))
    assert tuple(found) == tuple(MEASURES)
    assert all(math.isfinite(value) for value in found.values())
    assert found["tissue"] == pytest.approx(TISSUE, abs=2)
    assert found["cavity"] == pytest.approx(BLOOD, abs=2)
    assert found["tissue − cavity"] == pytest.approx(TISSUE - BLOOD, abs=3)
    assert found["cavity / tissue"] == pytest.approx(BLOOD / TISSUE, abs=0.02)


def test_grey_levels_scale_and_shares_do_not() -> None:
    plain = heart() // 2
    first, twice = measure(clip_of(plain)), measure(clip_of((plain * 2).astype(np.uint8)))
    for name in ("tissue", "cavity", "gradient 90 %", "grey 50 %"):
        assert twice[name] == pytest.approx(2 * first[name], rel=0.05)
    for name in (
        "cavity / tissue",
        "speckle SD / mean",
        "speckle width across",
        "border width",
        "motion",
        "half angle",
    ):
        assert twice[name] == pytest.approx(first[name], rel=0.05)


def test_a_mirrored_clip_measures_the_same() -> None:
    first, mirrored = measure(clip_of(heart())), measure(clip_of(heart()[:, :, ::-1].copy()))
    for name in set(MEASURES) - {"tip across"}:
        assert mirrored[name] == pytest.approx(first[name], rel=0.03, abs=0.02), name
    assert first["tip across"] + mirrored["tip across"] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("grey", [0, 90, 255])
def test_a_clip_of_one_grey_is_measured_without_a_warning(grey: int, recwarn: pytest.WarningsRecorder) -> None:
    found = measure(clip_of(np.full((FRAMES, SIDE, SIDE), grey, dtype=np.uint8)))
    assert not recwarn.list
    assert found["grey 50 %"] == grey
    assert found["motion at heart beat"] != found["motion at heart beat"]  # nothing moves


def test_a_clip_too_short_for_a_window_is_refused() -> None:
    with pytest.raises(ClipTooShort):
        measure(clip_of(heart()[:5]))


# --- regions ---------------------------------------------------------------------------------------------------------


def test_the_cavity_is_the_dark_disc_and_the_tissue_about_it() -> None:
    found = regions(heart())
    true = disc()[0]
    assert (found.cavity & true).sum() > 0.9 * true.sum()
    assert (found.cavity & ~true).sum() < 0.1 * true.sum()
    assert not (found.tissue & true).sum() > 0.1 * true.sum()
    assert found.tissue.sum() > 0.5 * true.sum()
    assert BLOOD < found.threshold < TISSUE


def test_a_darker_flank_is_no_cavity() -> None:
    frames = heart()
    frames[:, (X > 80) & fan()] = 5
    found = regions(frames)
    true = disc()[0]
    assert (found.cavity & true).sum() > 0.8 * found.cavity.sum()


def test_otsu_parts_two_heaps_and_survives_a_gap() -> None:
    rng = np.random.default_rng(1)
    heaps = np.concatenate([rng.normal(10, 1, 500), rng.normal(30, 1, 500)]).astype(np.float32)
    assert pm.otsu(heaps) == pytest.approx(20, abs=3)


def test_blur_keeps_what_is_flat_up_to_the_mask() -> None:
    flat = np.where(fan(), 50.0, 0.0)
    np.testing.assert_allclose(pm.blurred(flat, fan(), 3.0)[fan()], 50, rtol=1e-4)


# --- speckle ---------------------------------------------------------------------------------------------------------


def test_speckle_of_white_noise() -> None:
    found = pm.speckle(noise(), ALWAYS)
    assert found["speckle SD / mean"] == pytest.approx(0.2, rel=0.05)
    assert found["speckle width across"] < 1
    assert found["speckle width along"] < 1


def test_speckle_widths_of_blurred_noise_follow_its_sigma() -> None:
    """The autocorrelation of noise blurred by σ is exp(−d²/4σ²): ½ at d = 2σ √ln 2."""
    found = pm.speckle(noise(sigma=(0.8, 1.2)), ALWAYS)
    assert found["speckle width across"] == pytest.approx(2 * 1.2 * math.sqrt(math.log(2)), rel=0.15)
    assert found["speckle width along"] == pytest.approx(2 * 0.8 * math.sqrt(math.log(2)), rel=0.15)


def test_an_edge_between_tissue_and_cavity_is_no_speckle() -> None:
    still = heart(noise=0.0)
    assert measure(clip_of(still))["speckle SD / mean"] < 0.01


def test_decorrelation_of_still_of_new_and_of_lasting_speckle() -> None:
    still = np.repeat(noise()[:1], FRAMES, axis=0)
    assert pm.decorrelations("tissue", still, ALWAYS)["tissue decorrelation, 5"] == pytest.approx(0, abs=1e-4)
    assert pm.decorrelations("tissue", noise(), ALWAYS)["tissue decorrelation, 1"] == pytest.approx(1, abs=0.02)
    half = 100 + ((still - 100) + (noise(seed=2) - 100)) / math.sqrt(2)
    found = pm.decorrelations("blood", half, ALWAYS)
    assert [found[f"blood decorrelation, {lag}"] for lag in pm.LAGS] == pytest.approx([0.5] * 3, abs=0.02)


def test_black_blood_has_no_speckle_to_follow() -> None:
    frames = heart()
    frames[disc().repeat(FRAMES, axis=0)] = 0
    found = measure(clip_of(frames))
    assert math.isnan(found["blood decorrelation, 1"])
    assert found["tissue decorrelation, 1"] == pytest.approx(1, abs=0.05)


# --- edges, histogram, motion, sector --------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_border_width_of_a_blurred_disc(sigma: float) -> None:
    """A step blurred by σ rises from ¼ to ¾ over 1.349 σ."""
    sharp = np.where(disc(), BLOOD, TISSUE).astype(np.float32)
    frames = np.repeat(pm.blurred(sharp, EVERYWHERE, sigma).round().astype(np.uint8), FRAMES, axis=0)
    found = measure(clip_of(np.where(fan(), frames, 0).astype(np.uint8)))
    assert found["border width"] == pytest.approx(1.349 * sigma, rel=0.25)
    assert found["border seen"] > 0.95


def test_where_the_wall_is_missing_the_border_is_not_seen() -> None:
    frames = heart(noise=0.0)
    ring = np.hypot(Y - CENTRE[0], X - CENTRE[1])
    frames[:, (ring >= RADIUS) & (X - CENTRE[1] > 0) & fan()] = 45  # half of the border hardly rises
    where = regions(heart())
    assert pm.border(frames, where)[1] == pytest.approx(0.5, abs=0.2)


def test_gradient_of_a_ramp() -> None:
    ramp = np.repeat((20 + 2 * Y)[None].astype(np.uint8), FRAMES, axis=0)
    where = Regions(fan(), fan(), fan(), fan(), fan(), 0.0, ALWAYS, ALWAYS)
    assert pm.edges(ramp, where)["gradient 50 %"] == pytest.approx(2, abs=0.05)


def test_rise_of_a_straight_line_and_of_no_rise() -> None:
    assert pm.rise_width(np.array([0, 0, 0, 1, 2, 3, 4, 4], dtype=np.float32)) == pytest.approx(2)
    assert math.isnan(pm.rise_width(np.full(8, 5, dtype=np.float32)))


def test_histogram_of_known_shares() -> None:
    greys = np.repeat(np.array([0, 100, 255], dtype=np.uint8), [10, 80, 10])
    found = pm.histogram(greys)
    assert (found["black share"], found["saturated share"], found["grey 50 %"]) == (0.1, 0.1, 100)


@pytest.mark.parametrize(("hz", "share"), [(25 / 16, 1.0), (25 / 4, 0.0)])
def test_a_beat_is_told_from_a_flutter(hz: float, share: float) -> None:
    t = np.arange(FRAMES) / 25
    place = np.linspace(-1, 1, 50)
    moving = (100 + 30 * place + 10 * np.sin(2 * np.pi * hz * t)[:, None]).astype(np.float32)
    found = pm.motion(moving, 25.0)
    assert found["motion at heart beat"] == pytest.approx(share, abs=1e-3)
    rms = 10 / math.sqrt(2) * 2 * math.sin(math.pi * hz / 25)
    assert found["motion"] == pytest.approx(rms / (30 * place).std(), rel=0.05)


@pytest.mark.parametrize("half_angle", [32.0, 45.0])
def test_geometry_of_a_fan(half_angle: float) -> None:
    found = pm.geometry(fan(half_angle, tip=(-6.0, 50.0), radius=100.0))
    assert found["half angle"] == pytest.approx(half_angle, abs=1.5)
    assert found["tip across"] == pytest.approx(50.5 / SIDE, abs=0.02)
    assert found["tip down"] == pytest.approx(-5.5 / SIDE, abs=0.04)
    assert found["covered"] == pytest.approx(fan(half_angle, (-6.0, 50.0), 100.0).mean())


def test_what_the_encoder_sees_does_not_depend_on_gain() -> None:
    plain = heart() // 2
    first, twice = measure(clip_of(plain)), measure(clip_of((plain * 2).astype(np.uint8)))
    for name in ("gradient 99 % / SD", "grey 99 %, standardised"):
        assert twice[name] == pytest.approx(first[name], rel=0.02)
    seen = (plain - plain.mean()) / plain.std()
    assert first["grey 99 %, standardised"] == pytest.approx(np.percentile(seen[:, fan()], 99), rel=0.02)
