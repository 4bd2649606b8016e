"""Published encoder weights are taken whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mcsdr.errors import InvalidModel
from mcsdr.nn.r2plus1d import R2Plus1D18
from mcsdr.training.weights import published as weights
from mcsdr.training.weights.published import load_encoder_weights
from mcsdr.training.weights.torch_checkpoint import Checkpoint, sections


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """These files are our own: reading them in a child of its own is tested elsewhere, and takes its time."""

    def read(path: Path) -> Checkpoint:
        return weights_of_safetensors(path) if path.suffix == ".safetensors" else sections(path)

    weights_of_safetensors = weights.read_checkpoint
    monkeypatch.setattr(weights, "read_checkpoint", read)


def small(seed: int) -> nn.Module:
    """An encoder in little: a convolution, a norm and a map, by name."""
    torch.manual_seed(seed)
    parts = {"patch": nn.Conv3d(3, 4, (1, 2, 2)), "norm": nn.BatchNorm3d(4), "blocks": nn.Sequential(nn.Linear(4, 4))}
    return nn.ModuleDict(parts)


@pytest.fixture(scope="module")
def trained() -> dict[str, Tensor]:
    return small(1).state_dict()


def same(encoder: nn.Module, state: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, state[name]) for name, tensor in encoder.state_dict().items())


@pytest.mark.parametrize("source", ["kinetics", "coreecho", "mcsdr authors"])
def test_the_forms_that_uniformers_are_published_in(tmp_path: Path, trained: dict[str, Tensor], source: str) -> None:
    path, encoder = tmp_path / "weights.pth", small(2)
    class_head = {"head.weight": torch.zeros(400, 4), "head.bias": torch.zeros(400)}
    match source:
        case "kinetics":
            torch.save(trained | class_head, path)
            unused: tuple[str, ...] = ("head.weight", "head.bias")
        case "coreecho":
            regressor = {"fc1.weight": torch.zeros(1, 4)}
            prefixed = {f"module.{name}": tensor for name, tensor in (trained | class_head).items()}
            torch.save({"model": prefixed, "regressor": regressor, "epoch": 3}, path)
            unused = ("model/module.head.weight", "model/module.head.bias", "regressor/fc1.weight")
        case _:
            torch.save({"model_state_dict": trained, "regressor_state_dict": {"betas": torch.zeros(3)}}, path)
            unused = ("regressor_state_dict/betas",)
    loaded = load_encoder_weights(encoder, path, "uniformer-s")
    assert same(encoder, trained)
    assert loaded.unused == unused


def test_echonet_dynamics_own_checkpoint_loads(tmp_path: Path) -> None:
    torch.manual_seed(1)
    state = R2Plus1D18().state_dict()
    head = {"fc.weight": torch.zeros(1, 512), "fc.bias": torch.tensor([55.6])}
    prefixed = {f"module.{name}": tensor for name, tensor in (state | head).items()}
    torch.save(
        {"epoch": 44, "state_dict": prefixed, "period": 2, "frames": 32, "best_loss": 22.1}, tmp_path / "best.pt"
    )
    torch.manual_seed(2)
    encoder = R2Plus1D18()
    loaded = load_encoder_weights(encoder, tmp_path / "best.pt", "r2plus1d-18")
    assert same(encoder, state)
    assert (loaded.section, loaded.prefix) == ("state_dict", "module.")
    assert loaded.unused == ("state_dict/module.fc.weight", "state_dict/module.fc.bias")


def test_a_model_of_ours_loads(tmp_path: Path, trained: dict[str, Tensor]) -> None:
    ours = {f"video_encoder.{name}": tensor for name, tensor in trained.items()} | {"no_video": torch.zeros(1)}
    save_file(ours, tmp_path / "model.safetensors")
    encoder = small(2)
    assert load_encoder_weights(encoder, tmp_path / "model.safetensors", "uniformer-s").unused == ("no_video",)
    assert same(encoder, trained)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ("one is absent", r"1 of its \d+ weights are absent, such as blocks\.0\.bias"),
        ("of pictures, not of video", r"patch\.weight has the shape \[4, 3, 2, 2\], not \[4, 3, 1, 2, 2\]"),
        ("another architecture", "weights are absent"),
    ],
)
def test_what_does_not_fit_changes_nothing(tmp_path: Path, trained: dict[str, Tensor], change: str, cause: str) -> None:
    state = dict(trained)
    match change:
        case "one is absent":
            del state["blocks.0.bias"]
        case "of pictures, not of video":
            state["patch.weight"] = state["patch.weight"][:, :, 0].clone()
        case _:
            state = {f"layer1.{name}": tensor for name, tensor in state.items()}
    torch.save(state, tmp_path / "weights.pth")
    encoder = small(2)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    with pytest.raises(InvalidModel, match=cause) as caught:
        load_encoder_weights(encoder, tmp_path / "weights.pth", "uniformer-s")
    assert "uniformer-s" in str(caught.value)
    assert same(encoder, before)
