"""A gate is fitted on what the model has not seen, refuses what it should, and leaves answers as they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcsdr.cli import app
from mcsdr.datasets import CohortSpec
from mcsdr.errors import InvalidCohort, InvalidConfig
from mcsdr.evaluation.calibration import marks_of, refuse_seen
from mcsdr.evaluation.gating import Gated, _card, fit
from mcsdr.model import Model, load
from mcsdr.model.card import Card
from mcsdr.study import Study

FAMILIES = ("white-noise", "text", "spectral", "black")


def varied(studies: Sequence[Study], n: int, seed: int) -> list[Study]:
    """Phantoms without rendering: a few of them at other gains and places."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        clip = studies[i % len(studies)].clips[0]
        frames = np.roll(clip.frames, rng.integers(-4, 5, 2), axis=(1, 2)) * rng.uniform(0.7, 1.0)
        made.append(replace(studies[0], clips=(replace(clip, frames=frames.astype(np.uint8)),)))
    return made


@pytest.fixture(scope="module")
def gated(studies: list[Study]) -> Gated:
    import torch

    from mcsdr.clips import ClipSettings
    from mcsdr.clips.attributes import AttributeStatistics
    from mcsdr.nn.network import NetworkSettings, PosteriorNetwork

    torch.manual_seed(0)
    settings = NetworkSettings(channels=(8, 8, 8), width=16, heads=2, score_depth=1)
    statistics = AttributeStatistics(names=settings.attributes, mean=(60, 0, 75, 170), sd=(15, 1, 15, 10))
    card = Card(name="small", training_data="nothing", synthetic=True)
    model = Model(PosteriorNetwork(settings), ClipSettings(), statistics, card)
    return fit(
        model, varied(studies, 50, 1), varied(studies, 50, 2), families=FAMILIES, impostors=25, measured=4, share=0.04
    )


def test_it_refuses_impostors_and_few_others(gated: Gated, studies: list[Study]) -> None:
    rates = {rate.kind: rate for rate in gated.rates}
    assert set(rates) == {"validation", *FAMILIES}
    assert rates["validation"].refused <= 0.04
    for family in FAMILIES:
        assert rates[family].clips == 4
        assert rates[family].refused >= 0.75
        assert 0 <= rates[family].unseen <= 1
    assert rates["black"].by_pictures == 1
    assert gated.model.card.figures["gate"]["impostors"]["text"]["refused"] == rates["text"].refused


def test_answers_stay_and_the_model_is_another(gated: Gated, studies: list[Study], tmp_path: Path) -> None:
    model = gated.model
    assert model.familiarity is not None
    assert model.familiarity.numbers < 12_000
    model.save(tmp_path / "gated")
    loaded = load(tmp_path / "gated")
    assert loaded.sha256 == model.sha256
    assert loaded.familiarity is not None
    features = np.random.default_rng(0).standard_normal((5, 32 + 9 * 32))
    assert np.array_equal(loaded.familiarity.strangeness(features), model.familiarity.strangeness(features))
    loaded.familiarity = None
    loaded.save(tmp_path / "plain")
    plain = load(tmp_path / "plain")
    assert plain.familiarity is None
    assert plain.sha256 != model.sha256
    assert np.array_equal(plain.posteriors([studies[0]])[0].y_percent, model.posteriors([studies[0]])[0].y_percent)
    assert plain.network.parameter_counts() == model.network.parameter_counts()


def test_answers_are_gated(gated: Gated) -> None:
    from mcsdr.phantom.impostors import ImpostorCohort

    for study in ImpostorCohort(4, 77, ("white-noise", "text")):
        why = gated.model(study).abstained
        assert why is not None
        assert why.code in ("wrong-view-or-not-echo", "outside-training")


def test_what_the_model_has_seen_is_refused(model: Model, tmp_path: Path) -> None:
    card = {"train": {"kind": "phantom", "n": 50, "seed": 1}, "val": {"kind": "phantom", "n": 50, "seed": 2}}
    model.card.config["data"] = card
    specs = [CohortSpec.parse(f"phantom:100:{seed}") for seed in (1, 2, 3)]
    for own, validation in ((specs[0], specs[2]), (specs[2], specs[1]), (specs[2], specs[2])):
        with pytest.raises(InvalidConfig):
            fit(model, own, validation)
    with pytest.raises(InvalidCohort, match="impostors in the smaller half"):
        fit(model, specs[2], CohortSpec.parse("phantom:100:4"), impostors=2)


def test_a_card_keeps_what_its_gate_was_fitted_on() -> None:
    card = Card(name="small", training_data="nothing", synthetic=True, config={"data": {"gated": ["an older gate's"]}})
    own, validation = CohortSpec.parse("phantom:100:3"), CohortSpec.parse("phantom:100:4")
    kept = _card(card, [own, validation], {"refused at most": 0.02})
    assert [record["role"] for record in kept.seen()] == ["gated", "gated"]
    assert any("was gated on" in mark for mark in marks_of(kept, CohortSpec.parse("phantom:9:4")))
    refuse_seen(kept, own)  # to calibrate on what set a threshold is no fault


def test_the_command(
    gated: Gated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mcsdr.evaluation.gating.fit", lambda model, own, validation, **how: gated)
    gated.model.save(tmp_path / "model")
    arguments = ["gate", str(tmp_path / "model"), "phantom:60:8", "phantom:60:9", "--out", str(tmp_path / "new")]
    app(arguments, result_action="return_value")
    shown = " ".join(capsys.readouterr().out.split())
    assert "never shown" in shown
    assert "the network and its answers are as they were" in shown
    assert load(tmp_path / "new").familiarity is not None
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "model.json", "model.safetensors", "gate.json", "gate.md",
    }  # fmt: skip
