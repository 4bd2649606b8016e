"""Every gate fires on what it is for, in the order of the clinic, and not on an ordinary clip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mcsdr.abstention.familiarity import Familiarity
from mcsdr.abstention.gates import fired, of_pictures, of_posterior
from mcsdr.abstention.looks import LookSpread
from mcsdr.errors import InvalidCohort
from mcsdr.phantom.impostors import ImpostorCohort
from mcsdr.posterior import Posterior, quantile_nodes
from mcsdr.posterior.normal import normal_quantile
from mcsdr.study import Attributes, Clip, Notice, Study


def normal(mean: float, sd: float) -> Posterior:
    return Posterior.from_nodes(quantile_nodes(), mean + sd * quantile_nodes())


TWO = Posterior.mixture([normal(45, 1.5), normal(55, 1.5)])
SURE = normal(60, 3)


def codes(study: Study, posterior: Posterior = SURE, **more: object) -> list[str]:
    return [gate.code for gate in fired(study, posterior, **more)]  # type: ignore[arg-type]


def strange(distance: bool, impostor: bool) -> Familiarity:
    """Of one direction and one token's width, which says what it is told to."""
    one = np.ones(1, np.float32)
    parts = {
        "centre": np.zeros(2, np.float32), "directions": np.array([[1, 0]], np.float32), "scale": one,
        "rest": np.array([1, 0, 1], np.float32), "weights": np.zeros(2, np.float32),
        "cuts": np.array([1 if impostor else -1, -1 if distance else 1e6], np.float32),
    }  # fmt: skip
    return Familiarity(**parts)


def test_ordinary_phantoms_pass(studies: list[Study]) -> None:
    assert [codes(study) for study in studies] == [[]] * len(studies)


def test_every_gate_says_what_to_do(studies: list[Study]) -> None:
    child = replace(studies[0], attributes=Attributes(age_years=4))
    why = list(fired(child, TWO, adults_only=True, threshold=50))
    assert [gate.code for gate in why] == ["adult-model-for-a-child", "at-threshold", "two-peaked"]
    for gate in why:
        assert gate.record().keys() == {"code", "reason", "next_step"}
        assert gate.reason.endswith(".")
        assert gate.next_step.endswith(".")


@pytest.mark.parametrize(
    ("family", "code"), [("black", "empty-picture"), ("still", "still-picture"), ("white-noise", None)]
)
def test_what_pixels_alone_give_away(family: str, code: str | None) -> None:
    for study in ImpostorCohort(3, 5, (family,)):
        assert [gate.code for gate in of_pictures(study.clips[0])] == ([code] if code else [])


def test_a_still_whose_compression_settles_is_a_still(studies: list[Study]) -> None:
    clip = studies[0].clips[0]
    frames = np.repeat(clip.frames[:1], len(clip.frames), axis=0).astype(np.int16)
    frames[:5] += np.random.default_rng(0).integers(-12, 12, frames[:5].shape).astype(np.int16)
    held = replace(clip, frames=frames.clip(0, 255).astype(np.uint8))
    assert [gate.code for gate in of_pictures(held)] == ["still-picture"]


@pytest.mark.parametrize(("lost", "code"), [(0.2, None), (0.4, None), (0.6, "few-frames-a-second")])
def test_too_few_different_frames(studies: list[Study], lost: float, code: str | None) -> None:
    """A recorder that loses frames and holds the last one; compression makes each a little different."""
    clip, rng = studies[0].clips[0], np.random.default_rng(0)
    kept = np.flatnonzero(np.arange(len(clip.frames)) * (1 - lost) % 1 < 1 - lost)
    shown = clip.frames[kept[np.searchsorted(kept, np.arange(len(clip.frames)), "right") - 1]]
    noisy = (shown + rng.integers(0, 2, shown.shape)).clip(0, 255).astype(np.uint8)
    for frames in (shown, noisy):
        found = [gate.code for gate in of_pictures(replace(clip, frames=frames))]
        assert found == ([code] if code else [])


def test_the_readers_doubts_and_less_than_a_beat(studies: list[Study]) -> None:
    clip = studies[0].clips[0]
    unfound = replace(clip, notices=(Notice("sector-not-found", "No sector."),))
    assert [gate.code for gate in of_pictures(unfound)] == ["sector-not-found"]
    short = Clip(clip.frames[:16], clip.frame_times_s[:16], heart_rate_bpm=60)
    assert [gate.code for gate in of_pictures(short)] == ["under-one-beat"]
    assert not list(of_pictures(replace(short, heart_rate_bpm=None)))
    slow = replace(short, heart_rate_bpm=None, r_wave_times_s=(0.0, 1.0))
    assert [gate.code for gate in of_pictures(slow)] == ["under-one-beat"]
    assert not list(of_pictures(replace(short, heart_rate_bpm=110)))


def test_the_encoders_two_questions(studies: list[Study]) -> None:
    features = np.ones((1, 4))
    child = replace(studies[0], attributes=Attributes(age_years=4))
    for distance, impostor, expected in (
        (True, True, ["wrong-view-or-not-echo", "outside-training"]),
        (True, False, ["outside-training"]),
        (False, False, []),
    ):
        gate = strange(distance, impostor)
        assert codes(studies[0], features=features, familiarity=gate) == expected
        assert codes(Study(), features=np.full((1, 4), np.nan), familiarity=gate) == []
    in_order = codes(child, features=features, familiarity=strange(True, True), adults_only=True)
    assert in_order == ["wrong-view-or-not-echo", "adult-model-for-a-child", "outside-training"]


def test_the_posterior_against_itself() -> None:
    assert [gate.code for gate in of_posterior(normal(50, 8))] == ["wide-interval"]
    assert [gate.code for gate in of_posterior(normal(50, 7))] == []
    assert [gate.code for gate in of_posterior(TWO)] == ["two-peaked"]
    (gate,) = of_posterior(TWO)
    assert "about 45 (50 %) or about 55 (50 %); do not average" in gate.reason


def test_a_threshold_is_undecided_between_a_tenth_and_nine_tenths() -> None:
    for level, expected in ((0.05, []), (0.15, ["at-threshold"]), (0.85, ["at-threshold"]), (0.95, [])):
        posterior = normal(40 - 4 * float(normal_quantile(level)), 4)
        assert [gate.code for gate in of_posterior(posterior, 40)] == expected


def test_a_size_that_only_a_child_has_is_no_adult_s(studies: list[Study]) -> None:
    def asked(adults_only: bool = True, **known: float) -> list[str]:
        study = replace(studies[0], attributes=Attributes(**known))
        return codes(study, adults_only=adults_only)

    assert asked(weight_kg=3, height_cm=50) == ["size-of-a-child"]
    assert asked(height_cm=110) == asked(age_years=63, weight_kg=20) == ["size-of-a-child"]
    assert asked(age_years=6, height_cm=110) == ["adult-model-for-a-child", "size-of-a-child"]
    assert asked(weight_kg=45, height_cm=150) == asked(adults_only=False, height_cm=50) == []


def test_looks_that_disagree_beyond_what_is_usual(studies: list[Study]) -> None:
    assert codes(studies[0], spread=9.0, spread_limit=5.0) == ["looks-disagree"]
    assert codes(studies[0], spread=4.0, spread_limit=5.0) == codes(studies[0], spread=9.0) == []
    measured = LookSpread.fit(np.linspace(0, 10, 201), "phantoms")
    assert measured.limit == pytest.approx(9.9)
    assert measured.percentile(5.0) == pytest.approx(50, abs=0.5)
    assert measured.percentile(20.0) == 100
    with pytest.raises(InvalidCohort, match="too few"):
        LookSpread.fit(np.ones(10), "phantoms")
