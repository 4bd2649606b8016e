"""Recalibration: F' = R ∘ F, little lost where nothing was wrong, mended where it was; coverage."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mcsdr.errors import InvalidConfig
from mcsdr.metrics.calibration import coverage
from mcsdr.metrics.scores import crps_of
from mcsdr.posterior import Posterior, quantile_nodes
from mcsdr.posterior.draws import moved, pit_of
from mcsdr.posterior.normal import normal_cdf, normal_quantile
from mcsdr.posterior.recalibration import (
    KNOTS,
    LEVELS,
    PATTERNS,
    TERMS,
    Calibration,
    Recalibration,
    coefficients,
    conformal_quantile,
    hermite,
    middle_of,
    pattern_of,
    scores_of,
    shrink,
    swapped,
)

Draw = Callable[[np.random.Generator, int], np.ndarray]


def skewed(rng: np.random.Generator, n: int) -> np.ndarray:
    """Mean 0 and SD 1, skewness 0.7."""
    return (rng.gamma(8, size=n) - 8) / np.sqrt(8)


WRONG: dict[str, Draw] = {
    "overconfident": lambda rng, n: rng.standard_normal(n) / 0.8,
    "underconfident": lambda rng, n: rng.standard_normal(n) / 1.3,
    "biased": lambda rng, n: rng.standard_normal(n) + 0.3,
    "skewed": skewed,
    "overconfident, biased and skewed": lambda rng, n: skewed(rng, n) / 0.8 + 0.3,
}


def log_score(map_: Recalibration, scores: np.ndarray) -> float:
    """Mean log density of the labels after recalibration less that before, in nats: log[φ(h⁻¹(s)) / (h' φ(s))]."""
    z = map_.inverse(scores)
    slope = (map_.h(z + 1e-5) - map_.h(z - 1e-5)) / 2e-5
    return float((0.5 * scores**2 - 0.5 * z**2 - np.log(slope)).mean())


def table(n: int = 5) -> Posterior:
    """Some posteriors of different shapes."""
    z = quantile_nodes()
    rng = np.random.default_rng(4)
    y = 50 + 6 * rng.standard_normal((n, 1)) + rng.uniform(3, 6, (n, 1)) * (z + 0.05 * z**2)
    return Posterior.from_nodes(z, y, trajectories=np.stack([y + 10, y]), angles=[1.5, 0])


# --- the map ---------------------------------------------------------------------------------------------------------


def test_the_hermite_functions_are_orthonormal() -> None:
    x, w = np.polynomial.hermite_e.hermegauss(20)
    psi = hermite(x)
    np.testing.assert_allclose((psi * w / w.sum()) @ psi.T, np.eye(TERMS), atol=1e-12)


def test_the_coefficients_of_calibrated_scores_have_the_variance_they_are_shrunk_by() -> None:
    n = 500
    rng = np.random.default_rng(0)
    c = np.array([coefficients(np.sort(rng.standard_normal(n))) for _ in range(400)])
    np.testing.assert_allclose(c.var(axis=0) * n * (np.arange(TERMS) + 1), 1, atol=0.3)
    assert np.abs(np.corrcoef(c.T) - np.eye(TERMS)).max() < 0.2


def test_what_may_be_chance_is_left_alone() -> None:
    assert np.array_equal(shrink(np.array([0.9, -0.7, 0.5, 0.4]) / 10, 100), np.zeros(4))
    np.testing.assert_allclose(shrink(np.array([0.5]), 100), 0.5 * (1 - 0.01 / 0.25))


def test_perfect_scores_give_the_identity() -> None:
    map_ = Recalibration.fit(normal_quantile((np.arange(500) + 0.5) / 500))
    z = np.linspace(-5, 5, 101)
    np.testing.assert_allclose(map_.h(z), z, atol=1e-9)
    posterior = table()
    np.testing.assert_allclose(map_.apply(posterior).interval(0.9), posterior.interval(0.9), rtol=1e-9)


@pytest.mark.parametrize("n", [300, 1000])
def test_the_price_where_nothing_was_wrong(n: int) -> None:
    """On average under 0.003 nats and under 1 % of the labels at 90 %; an empirical map costs ten times as much."""
    rng = np.random.default_rng(1)
    u = normal_quantile((np.arange(4000) + 0.5) / 4000)
    maps = [Recalibration.fit(rng.standard_normal(n)) for _ in range(30)]
    assert -np.mean([log_score(map_, u) for map_ in maps]) < 0.9 / n
    off = [abs(coverage(normal_cdf(map_.inverse(u)), 0.9)[0] - 0.9) for map_ in maps]
    assert np.mean(off) < 0.15 / np.sqrt(n)


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_mended_to_within_sampling_error(case: str) -> None:
    draw, n = WRONG[case], 500
    test = draw(np.random.default_rng(9), 8000)
    maps = [Recalibration.fit(draw(np.random.default_rng(seed), n)) for seed in range(15)]
    after = np.array([coverage(normal_cdf(map_.inverse(test)), LEVELS) for map_ in maps])
    two_errors = 2 * np.sqrt(np.array(LEVELS) * (1 - np.array(LEVELS)) / n)
    assert (np.abs(after - LEVELS).mean(axis=0) < two_errors).all()
    assert np.abs(after.mean(axis=0) - LEVELS).max() < 0.02
    assert np.mean([log_score(map_, test) for map_ in maps]) > 0
    middle = [normal_cdf(map_.inverse(test)).mean() for map_ in maps]
    assert np.abs(np.mean(middle) - 0.5) < 0.02


@pytest.mark.parametrize("scores", [np.full(200, 4.0), np.full(200, -6.0), np.linspace(-6, 6, 200), np.zeros(200)])
def test_the_map_rises_whatever_the_scores(scores: np.ndarray) -> None:
    map_ = Recalibration.fit(scores)
    z = np.linspace(-8, 8, 400)
    assert (np.diff(map_.h(z)) > 0).all()
    np.testing.assert_allclose(map_.inverse(map_.h(z)), z, atol=1e-9)


def bent_cohort(rng: np.random.Generator, n: int) -> tuple[Posterior, np.ndarray]:
    """Posteriors N(m, 5²) of labels that lie 5 points lower and half as wide again where the heart fails."""
    m = rng.uniform(20, 70, n)
    failing = np.clip((45 - m) / 20, 0, 1)
    ef = m - 5 * failing + 5 * (1 + 0.5 * failing) * rng.standard_normal(n)
    return Posterior.from_nodes(quantile_nodes(), m[:, None] + 5 * quantile_nodes()), ef


def test_a_map_that_bends_mends_each_band_and_one_for_all_does_not() -> None:
    rng = np.random.default_rng(3)
    learnt, labels = bent_cohort(rng, 1000)
    fresh, ef = bent_cohort(rng, 8000)
    scores = scores_of(learnt, labels)
    one, bending = Recalibration.fit(scores), Recalibration.fit(scores, None, middle_of(learnt))
    bands = np.digitize(middle_of(fresh), (30, 40, 50, 60))

    def worst(map_: Recalibration) -> tuple[float, float]:
        after = map_.apply(fresh)
        covered, off = np.abs(after.pit(ef) - 0.5) <= 0.45, np.asarray(after.median) - ef
        return (
            max(abs(covered[bands == band].mean() - 0.9) for band in range(5)),
            max(abs(off[bands == band].mean()) for band in range(5)),
        )

    assert worst(one)[0] > 0.06
    assert worst(one)[1] > 2
    assert worst(bending)[0] < 0.04
    assert worst(bending)[1] < 1.5  # a centre has some 150 labels of SD 7
    again = bending.undo(bending.apply(fresh))
    np.testing.assert_allclose(again.z, np.broadcast_to(fresh.z, again.z.shape), atol=1e-8)
    assert Recalibration.model_validate_json(bending.model_dump_json()) == bending


def test_widths_alone_leave_every_median_where_it_was() -> None:
    """Of labels that lie to one side and half as wide again: the width is mended, the side stays."""
    rng = np.random.default_rng(7)
    learnt, labels = bent_cohort(rng, 1000)
    fresh, ef = bent_cohort(rng, 4000)
    kept = Recalibration.fit(scores_of(learnt, labels), None, middle_of(learnt), keep_median=True)
    after = kept.apply(fresh)
    np.testing.assert_allclose(after.median, fresh.median, atol=1e-9)
    failing = middle_of(fresh) < 35
    widths = [np.subtract(*posterior.interval(0.9)[::-1])[failing].mean() for posterior in (fresh, after)]
    assert widths[1] > 1.2 * widths[0]
    covered = [(np.abs(posterior.pit(ef) - 0.5) <= 0.45)[failing].mean() for posterior in (fresh, after)]
    assert covered[0] < 0.75
    assert covered[1] > covered[0] + 0.1


def test_a_map_bends_only_where_there_are_studies_to_tell() -> None:
    """Calibrated scores leave it where it is, to within what chance does to a centre's share of them."""
    rng = np.random.default_rng(5)
    middles = rng.uniform(50, 70, 600)
    map_ = Recalibration.fit(rng.standard_normal(600), None, middles)
    assert map_.scores_at[0] == map_.scores_at[1] == map_.scores
    assert np.abs(np.array(map_.scores_at) - KNOTS).max() < 0.35


# --- posteriors ------------------------------------------------------------------------------------------------------


def test_the_distribution_function_is_the_composition() -> None:
    """F' = R ∘ F: exactly at the nodes' values, and to the table's error between them."""
    map_ = Recalibration.fit(WRONG["overconfident, biased and skewed"](np.random.default_rng(2), 1000))
    raw = table()
    moved = map_.apply(raw)
    for index in range(len(raw)):
        y = raw.y_percent[index]
        before, after = raw[index].cdf(y), moved[index].cdf(y)
        np.testing.assert_allclose(after, normal_cdf(map_.inverse(normal_quantile(before))), atol=1e-9)
        between = 0.5 * (y[1:] + y[:-1])
        expected = normal_cdf(map_.inverse(normal_quantile(raw[index].cdf(between))))
        np.testing.assert_allclose(moved[index].cdf(between), expected, atol=2e-3)
    assert (np.diff(moved.quantile(np.linspace(0.001, 0.999, 99)), axis=1) > 0).all()


def test_values_and_trajectories_stay_and_the_map_can_be_undone() -> None:
    map_ = Recalibration.fit(np.random.default_rng(2).standard_normal(400) / 0.8)
    raw = table()
    moved = map_.apply(raw)
    assert moved.trajectories is raw.trajectories
    assert np.array_equal(moved.y_percent, raw.y_percent)
    np.testing.assert_allclose(map_.undo(moved).z, raw.z, atol=1e-10)
    assert (moved.sd > 1.1 * raw.sd).all()


def test_draws_are_moved_and_stay_draws() -> None:
    rng = np.random.default_rng(5)
    centre = rng.normal(55, 8, 3000)
    past = Posterior.from_draws(
        centre[:, None] + 6 * rng.standard_normal((3000, 40))
    )  # half as wide again as they should
    scores = scores_of(past, centre + 4 * rng.standard_normal(3000))
    answer = Recalibration.fit(scores).apply(past)
    assert answer.raw is not None
    assert answer.raw.std(axis=1).mean() == pytest.approx(4, abs=0.2)
    y = centre + 4 * rng.standard_normal(3000)
    assert coverage(pit_of(answer, y), 0.9) == pytest.approx(0.9, abs=0.02)
    best = 4 / np.sqrt(np.pi)  # a perfect posterior's, which the table of 40 draws would miss by a fortieth
    assert crps_of(answer, y).mean() == pytest.approx(best, abs=0.05)


def test_draws_that_were_right_stay_where_they_are() -> None:
    rng = np.random.default_rng(6)
    answer = Posterior.from_draws(55 + 5 * rng.standard_normal((50, 40)))
    still = Recalibration.fit(normal_quantile((np.arange(400) + 0.5) / 400)).apply(answer)
    np.testing.assert_allclose(still.raw, answer.raw, atol=1e-9)
    rows = np.concatenate([answer.raw, np.full((50, 3), np.nan)], axis=1)  # beside studies with more draws
    np.testing.assert_allclose(moved(rows, lambda z: z)[:, :40], answer.raw)


def test_scores_are_finite() -> None:
    posterior = table(3)
    assert np.isfinite(scores_of(posterior, [0.0, 100.0, 1.0])).all()


def some_calibration(scores: dict[str, np.ndarray]) -> Calibration:
    maps = {pattern: Recalibration.fit(s) for pattern, s in scores.items()}
    return Calibration(maps=maps, cohort="x", synthetic=True, studies=1, patients=1, date="2026-01-01", seed=0)


def test_each_pattern_has_its_own_map() -> None:
    rng = np.random.default_rng(0)
    calibration = some_calibration({"attributes": rng.standard_normal(500), "video": 2 * rng.standard_normal(500)})
    raw, known = table(3), np.array(["video", "attributes", "video and attributes"])
    moved = calibration.apply(raw, known)
    assert moved.sd[0] > 1.7 * raw.sd[0]
    assert moved.sd[1] == pytest.approx(raw.sd[1], rel=0.1)
    assert moved.sd[2] == pytest.approx(raw.sd[2], rel=1e-12)
    assert moved[:2].known is not None
    with pytest.raises(InvalidConfig, match="video"):
        calibration.conformal_interval(moved)
    low, high = calibration.conformal_interval(moved[:2], 0.9)
    alone = calibration.conformal_interval(moved[0], 0.9)
    assert alone == (pytest.approx(low[0]), pytest.approx(high[0]))
    q = calibration.maps["video"].conformal[LEVELS.index(0.9)]
    np.testing.assert_allclose(alone, raw[0].quantile(normal_cdf([-q, q])), rtol=1e-6)


def test_patterns() -> None:
    assert pattern_of([7, 2, 1, 1, 0, 0], [True, False] * 3).tolist() == list(PATTERNS)
    assert [swapped(pattern) for pattern in PATTERNS] == [PATTERNS[i] for i in (2, 3, 0, 1, 4, 5)]


@pytest.mark.parametrize(("fitted", "asked"), [("video", "several windows"), ("several windows", "video")])
def test_one_map_serves_where_nothing_told_windows_apart(fitted: str, asked: str) -> None:
    """The posterior is moved; the guarantee, which is for studies of the pattern alone, is not given."""
    calibration = some_calibration({fitted: 2 * np.random.default_rng(0).standard_normal(500)})
    raw = table(1)
    moved = calibration.apply(raw, np.array([asked]))
    assert moved.sd[0] > 1.7 * raw.sd[0]
    assert np.array_equal(moved.z, calibration.apply(raw, np.array([fitted])).z)
    with pytest.raises(InvalidConfig, match=asked):
        calibration.conformal_interval(moved)


# --- conformal intervals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [99, 137])
def test_conformal_coverage_on_average(level: float, n: int) -> None:
    """λ ≤ coverage ≤ λ + 1/(n + 1) on average, however wrong the posteriors are."""
    rng = np.random.default_rng(0)
    draws = rng.standard_t(3, (3000, n + 1)) * 1.4 + 0.5
    covered = np.array([abs(row[-1]) <= conformal_quantile(row[:-1], level) for row in draws])
    error = 3 * np.sqrt(level * (1 - level) / len(draws))
    assert level - error <= covered.mean() <= level + 1 / (n + 1) + error


def test_too_few_for_a_level() -> None:
    assert conformal_quantile(np.arange(19), 0.95) == 18
    assert conformal_quantile(np.arange(9), 0.9) == 8
    with pytest.raises(InvalidConfig, match="needs 19"):
        conformal_quantile(np.arange(18), 0.95)
    with pytest.raises(InvalidConfig, match="level 1"):
        conformal_quantile(np.arange(18), 1.0)


def test_what_cannot_be_asked() -> None:
    calibration = some_calibration({PATTERNS[0]: np.random.default_rng(0).standard_normal(200)})
    with pytest.raises(InvalidConfig, match="calibrated model"):
        calibration.conformal_interval(table(1)[0])
    moved = calibration.apply(table(1), np.array([PATTERNS[0]]))
    with pytest.raises(InvalidConfig, match="stored"):
        calibration.conformal_interval(moved, 0.85)


def test_labels_beyond_everything_give_the_whole_range() -> None:
    calibration = some_calibration({PATTERNS[0]: np.full(200, 6.0)})
    moved = calibration.apply(table(1), np.array([PATTERNS[0]]))
    assert calibration.conformal_interval(moved[0], 0.5) == (0.0, 100.0)


def test_damaged_maps_are_refused() -> None:
    good = Recalibration.fit(np.random.default_rng(0).standard_normal(200)).model_dump()
    for damage in ({"z": good["z"][::-1]}, {"scores": (0.0,) * len(KNOTS)}, {"surprise": 1}):
        with pytest.raises(ValueError, match="validation error"):
            Recalibration(**{**good, **damage})
