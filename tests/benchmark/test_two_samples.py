"""The two-sample test on samples that are alike, shifted, broader, or that lack values."""

from __future__ import annotations

import numpy as np
import pytest

from mcsdr.benchmark.two_samples import separate, tables
from mcsdr.errors import InvalidCohort

NAMES = ("a", "b", "c", "d")
Columns = dict[str, np.ndarray]


def sample(n: int, seed: int, shift: float = 0.0, breadth: float = 1.0) -> Columns:
    values = shift + breadth * np.random.default_rng(seed).standard_normal((n, len(NAMES)))
    return dict(zip(NAMES, values.T, strict=True))


def test_samples_of_one_distribution_are_not_told_apart() -> None:
    found = [separate(sample(150, seed), sample(120, 100 + seed), NAMES) for seed in range(20)]
    assert np.mean([one.auc.estimate for one in found]) == pytest.approx(0.5, abs=0.04)
    assert sum(one.auc.lower <= 0.5 <= one.auc.upper for one in found) >= 14
    assert all(auc == pytest.approx(0.5, abs=0.15) for one in found for auc in one.alone.values())
    assert (found[0].phantoms, found[0].real) == (150, 120)


def test_shifted_samples_are_told_apart() -> None:
    found = separate(sample(80, 1), sample(60, 2, shift=2.5), NAMES)
    assert found.auc.estimate > 0.995
    assert 0.99 < found.auc.lower <= found.auc.estimate <= found.auc.upper <= 1
    assert all(auc > 0.9 for auc in found.alone.values()), "the real ones lie higher"


def test_breadth_tells_where_place_does_not() -> None:
    found = separate(sample(200, 3), sample(200, 4, breadth=4.0), NAMES)
    assert found.auc.estimate > 0.9
    assert all(auc == pytest.approx(0.5, abs=0.1) for auc in found.alone.values())


def test_an_auc_of_one_measure_counts_ties_half() -> None:
    phantoms, real = {"a": np.array([0.0, 0, 0, 1, 1])}, {"a": np.array([0.0, 1, 1, 1, 2])}
    # 25 pairs: the real 0 ties thrice; each 1 beats three and ties two; the 2 beats five.
    assert separate(phantoms, real, ("a",)).alone["a"] == pytest.approx((3 / 2 + 3 * (3 + 2 / 2) + 5) / 25)


def test_what_tells_only_together_is_found_one_by_one() -> None:
    phantoms, real = sample(300, 17), sample(300, 18)
    phantoms["b"] = phantoms["d"] + 0.5 * phantoms["b"]
    real["b"] = real["d"] + 0.5 * real["b"] + 1.0  # each alone nearly hides it, the difference of both does not
    found = separate(phantoms, real, NAMES)
    assert list(found.together)[:2] == ["b", "d"]
    aucs = list(found.together.values())
    assert aucs[0] < 0.78
    assert aucs[1] > 0.87
    assert aucs[-1] == pytest.approx(found.auc.estimate, abs=0.01), "in the end they are all"


def test_the_interval_narrows_with_the_sample() -> None:
    widths = [
        (one := separate(sample(n, 5), sample(n, 6, shift=0.5), NAMES).auc).upper - one.lower for n in (40, 160, 640)
    ]
    assert widths[0] > 1.5 * widths[1] > 2 * widths[2]


def test_only_shared_measures_count() -> None:
    real = sample(60, 7)
    del real["c"]
    real["d"][:] = np.nan
    real["unknown"] = np.zeros(60)
    found = separate(sample(60, 8), real, NAMES)
    assert found.measures == ("a", "b")
    with pytest.raises(InvalidCohort, match="shares no measure"):
        separate(sample(60, 8), real, ("c", "d"))


def test_missing_values_are_neither_high_nor_low() -> None:
    phantoms, real = sample(100, 9), sample(100, 10)
    for one, seed in ((phantoms, 11), (real, 12)):
        one["a"][np.random.default_rng(seed).random(100) < 0.3] = np.nan
    found = separate(phantoms, real, NAMES)
    assert found.auc.lower <= 0.5 <= found.auc.upper
    assert found.alone["a"] == pytest.approx(0.5, abs=0.15)


def test_that_values_are_missing_in_one_sample_alone_tells() -> None:
    phantoms, real = sample(100, 13), sample(100, 14)
    phantoms["a"][:90] = np.nan
    assert separate(phantoms, real, NAMES).auc.estimate > 0.9


def test_too_few_clips_are_refused() -> None:
    with pytest.raises(InvalidCohort, match="5 clips each"):
        separate(sample(40, 1), sample(4, 2), NAMES)


def test_tables_put_first_what_parts_most() -> None:
    real = sample(100, 15)
    real["c"] -= 5
    first, found, second = tables({"all": separate(sample(100, 16), real, NAMES)}, "phantoms")
    assert list(first.rows[0])[:2] == ["all", 4]
    assert first.rows[0][-1] == "not met"
    assert found.rows[0][0] == "c"
    assert list(second.rows[0]) == ["c", pytest.approx(0, abs=0.01), "NO"]
    assert [row[2] for row in second.rows[1:]] == ["yes"] * 3
    assert "3 of 4 within" in second.notes[0]
