"""An imported model predicts the noise that the authors' regressor predicts."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.training.published import Regressor, encoder_state, regressor

from mcsdr.clips.attributes import attribute_row
from mcsdr.diffusion.sampler import starting_points
from mcsdr.errors import InvalidCohort, InvalidModel, MissingFile
from mcsdr.model import Flow, Model, VideoTokens
from mcsdr.study import Attributes
from mcsdr.training.weights.official import RECIPES, Dataset, convert, scales_from_table

SHAPES: dict[Dataset, tuple[int, int, int]] = {
    "echonet-dynamic": (0, 0, 64),
    "echonet-pediatric": (4, 64, 64),
    "camus": (2, 16, 32),
}
PATIENTS = [
    # Split, Age, Sex, Weight, Height
    ("TRAIN", "3", "M", "14.5", "96"),
    ("VAL", "17", "F", "99", "185"),
    ("train", "0", "F", "3.2", "50"),
    ("train", "12", "M", "nan", "151"),
    ("test", "18", "F", "60", ""),
    ("train", "16", "F", "71", ""),
]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "FileList.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["FileName", "EF", "Split", "Age", "Sex", "Weight", "Height"])
        writer.writerows((f"{i}.avi", 60, *row) for i, row in enumerate(PATIENTS))
    return path


def parts(net: Regressor) -> dict[str, dict[str, torch.Tensor]]:
    return {"model_state_dict": dict(encoder_state()), "regressor_state_dict": dict(net.state_dict())}


def compare(model: Model, net: Regressor, patient: Attributes | None, scaled: list[float] | None) -> None:
    """Noise at states from −3 to 100 and times from first to last, of both."""
    torch.manual_seed(2)
    feature = torch.randn(1, 512)
    row = [attribute_row(patient or Attributes(), model.statistics.names)]
    attributes = torch.from_numpy(model.statistics.standardise(np.array(row, dtype=np.float64).reshape(1, -1)))
    y = torch.tensor([[-3.0, -0.1, 0.6, 5.0, 22.0, 55.0, 100.0]])
    for t in (0, 1, 99, 500, 999):
        with torch.no_grad():
            condition = model.network.head.condition(feature, attributes)  # type: ignore[union-attr, operator]
            ours = model.network.head.noise(y, torch.tensor(t), condition)  # type: ignore[union-attr, operator]
            n = y.shape[1]
            theirs_scaled = None if scaled is None else torch.tensor([scaled]).expand(n, -1)
            theirs = net.noise(y.T, torch.full((n,), t), feature.expand(n, -1), theirs_scaled)
        torch.testing.assert_close(ours, theirs.T, rtol=1e-5, atol=1e-5)
    assert theirs.std() > 1e-3


@pytest.mark.parametrize("dataset", SHAPES)
def test_noise_is_theirs_without_attributes(dataset: Dataset) -> None:
    """Their models of video alone, one for each data set."""
    net = regressor(0, 0, SHAPES[dataset][2])
    model = convert(parts(net), dataset)
    assert model.network.settings.attributes == ()
    compare(model, net, None, None)
    weights = model.network.video_encoder.state_dict()  # type: ignore[union-attr, operator]
    assert all(torch.equal(weights[name], tensor) for name, tensor in encoder_state().items())


def test_noise_is_theirs_for_children(table: Path) -> None:
    """Ages 0–16, weights 3.2–71, heights 50–151 over the training rows; M comes first, so M is 0 and F is 1."""
    net = regressor(*SHAPES["echonet-pediatric"])
    names = ("age_years", "sex", "weight_kg", "height_cm")
    model = convert(parts(net), "echonet-pediatric", scales_from_table(table, names))
    girl = Attributes(age_years=8, sex="F", weight_kg=30, height_cm=120)
    compare(model, net, girl, [8 / 16, 1.0, (30 - 3.2) / (71 - 3.2), (120 - 50) / (151 - 50)])
    boy = Attributes(age_years=1, sex="M", weight_kg=9, height_cm=75)
    compare(model, net, boy, [1 / 16, 0.0, (9 - 3.2) / (71 - 3.2), (75 - 50) / (151 - 50)])
    # What is not known is the training mean, as their imputation has it.
    weight = (14.5 + 3.2 + 71) / 3
    height = (96 + 50 + 151) / 3
    scaled = [8 / 16, 1.0, (weight - 3.2) / (71 - 3.2), (height - 50) / (151 - 50)]
    compare(model, net, Attributes(age_years=8, sex="F"), scaled)


def test_noise_is_theirs_for_camus(tmp_path: Path) -> None:
    """A row without sex is −1 to them, which moves 0 and 1 to ½ and 1."""
    path = tmp_path / "camus.csv"
    path.write_text("FileName,EF,Split,Age,Sex\na,50,train,40,F\nb,50,train,80,M\nc,50,train,60,\n")
    net = regressor(*SHAPES["camus"])
    model = convert(parts(net), "camus", scales_from_table(path, ("age_years", "sex")))
    compare(model, net, Attributes(age_years=50, sex="F"), [0.25, 0.5])
    compare(model, net, Attributes(age_years=70, sex="M"), [0.75, 1.0])
    assert model.sampler.draws == 10
    assert "ASSUMED" not in model.card.training_data


def test_nothing_is_held_back_and_the_plain_mean_answers() -> None:
    """Their code clips neither attributes nor draws."""
    model = convert(parts(regressor(*SHAPES["camus"])), "camus")
    far = model.statistics.standardise(np.array([[65 + 10 * 14.0, 1.0]]))
    assert far[0, 0] == pytest.approx(10)
    assert not model.sampler.clipped
    video = torch.full((1, 1, 512), 3.0)
    z = starting_points(model.sampler, 1)
    flow = Flow(model.network, model.sampler)
    states, *_ = flow(video, torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 2), z)
    tokens = VideoTokens(video, torch.ones(1, 1, dtype=torch.bool), *(np.zeros(1, dtype=np.int64) for _ in range(3)))
    answer = model.posterior(tokens, np.zeros((1, 2), dtype=np.float32))
    assert answer.mean[0] == pytest.approx(float(states[-1].mean()), abs=1e-4)
    assert answer.outside is not None
    assert answer.outside[0] > 0  # an untrained network leaves the range


def test_a_checkpoint_of_video_alone_is_not_any_data_sets() -> None:
    """CAMUS' time embedding is half as wide; Dynamic's and Pediatric's cannot be told apart, and the card says so."""
    with pytest.raises(InvalidModel, match="time embedding"):
        convert(parts(regressor(0, 0, 64)), "camus")
    assert (
        "is the word of who imported it" in convert(parts(regressor(0, 0, 64)), "echonet-pediatric").card.training_data
    )


def test_without_the_table_the_card_says_what_is_assumed() -> None:
    net = regressor(*SHAPES["camus"])
    model = convert(parts(net), "camus")
    assert "ASSUMED" in model.card.training_data
    assert "Research use only" in model.card.notice
    age = RECIPES["camus"].assumed["age_years"]
    for sex in ("F", "M"):
        compare(model, net, Attributes(age_years=70, sex=sex), [age.offset + age.slope * 70, 0.5])


@torch.no_grad()
def test_ten_steps_of_ddim_are_theirs() -> None:
    """From the same noise: ŷ₀ = (y − √(1−ᾱ) ε̂)/√ᾱ, y ← √ᾱ' ŷ₀ + √(1−ᾱ') ε̂ at t = 999, 899, … 99, and then ŷ₀."""
    net = regressor(0, 0, 64)
    net.noise_predictor.final_layer.bias.fill_(0.3)  # so that the answer is not zero on average
    model = convert(parts(net), "echonet-dynamic")
    torch.manual_seed(4)
    feature, z = torch.randn(1, 512), torch.randn(1, 8)
    y, alpha_bar = z.T.double(), net.alphas_cumprod.double()
    for t in range(999, 0, -100):
        noise = net.noise(y.float(), torch.full((8,), t), feature.expand(8, -1), None).double()
        y_0 = (y - (1 - alpha_bar[t]).sqrt() * noise) / alpha_bar[t].sqrt()
        before = alpha_bar[t - 100] if t > 100 else torch.ones(())
        y = before.sqrt() * y_0 + (1 - before).sqrt() * noise
    flow = Flow(model.network, model.sampler)
    states, a, b = flow(feature[:, None], torch.ones(1, 1, dtype=torch.bool), torch.empty(1, 0), z)
    ours = model.network.target.to_percent(states[-1], a, b)
    assert y.std() > 0.1
    torch.testing.assert_close(ours.double(), y.T, rtol=1e-3, atol=1e-3)


def refused(change: str, state: dict[str, Any]) -> dict[str, Any]:
    head = state["regressor_state_dict"]
    match change:
        case "no regressor":
            del state["regressor_state_dict"]
        case "another predictor":
            head["noise_predictor.mlp.0.weight"] = head.pop("noise_predictor.map_y_t.weight")
        case "another schedule":
            head["betas"] = head["betas"] * 2
        case "volumes as attributes":
            head["tabular_encoder.0.weight"] = torch.zeros(64, 2)
        case "two views":
            head["noise_predictor.map_cond.weight"] = torch.zeros(256, 1024)
        case "another encoder":
            state["model_state_dict"]["conv1.weight"] = state["model_state_dict"].pop("norm.weight")
    return state


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ("no regressor", "no part regressor_state_dict"),
        ("another predictor", "score network"),
        ("another schedule", "schedule"),
        ("volumes as attributes", "takes 2 attributes"),
        ("two views", "do not fit"),
        ("another encoder", "do not fit"),
    ],
)
def test_what_is_not_the_papers_network_is_refused(change: str, cause: str) -> None:
    with pytest.raises(InvalidModel, match=cause):
        convert(refused(change, parts(regressor(0, 0, 64))), "echonet-dynamic")


def test_released_folds_are_training_rows(tmp_path: Path) -> None:
    path = tmp_path / "FileList.csv"
    path.write_text(
        "FileName,EF,Sex,Age,Weight,Height,Split\na,60,F,2,9,80,0\nb,60,M,10,30,140,7\nc,60,M,18,70,180,8\n"
    )
    age = scales_from_table(path, ("age_years",))["age_years"]
    assert (age.offset + age.slope * 2, age.offset + age.slope * 10) == pytest.approx((0, 1))


@pytest.mark.parametrize(
    "text", ["Split,Age\ntrain,5\n", "Split,Age,Sex\nval,5,F\n", "Split,Age,Sex\ntrain,old,F\n", ""]
)
def test_a_table_without_what_is_needed_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "FileList.csv").write_text(text)
    with pytest.raises(InvalidCohort, match=r"FileList\.csv"):
        scales_from_table(tmp_path / "FileList.csv", ("age_years", "sex"))
    with pytest.raises(MissingFile):
        scales_from_table(tmp_path / "none.csv", ("age_years",))
