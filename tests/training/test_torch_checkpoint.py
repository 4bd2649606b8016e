"""A checkpoint from anybody gives tensors or one typed error, and runs nothing."""

from __future__ import annotations

import argparse
import collections
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mcsdr.errors import InvalidModel, MissingFile
from mcsdr.training.weights import torch_checkpoint
from mcsdr.training.weights.torch_checkpoint import read_checkpoint, sections


def training_state() -> dict[str, object]:
    """What training scripts store: weights, an optimiser that has made a step, options, scores."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimiser = torch.optim.AdamW(net.parameters())
    net(torch.randn(4, 3)).sum().backward()
    optimiser.step()
    return {
        "epoch": 7,
        "state_dict": collections.OrderedDict((f"module.{name}", t) for name, t in net.state_dict().items()),
        "opt_dict": optimiser.state_dict(),
        "loss": 3.5,
        "best_loss": float("inf"),
        "r2": np.float64(0.8),
        "opt": argparse.Namespace(frames=36, lr=1e-4),
        "config": {"data": {"frames": 32, "p_interval": [0.9, 1.0], "aug": True, "name": None}},
    }


def test_weights_come_whole_and_bookkeeping_is_left_out(tmp_path: Path) -> None:
    state = training_state()
    written = state["state_dict"]
    assert isinstance(written, dict)
    written["twice"] = written["module.0.weight"]  # one memory under two names
    written["turned"] = written["module.0.weight"].T
    torch.save(state, tmp_path / "best.pt")
    read = read_checkpoint(tmp_path / "best.pt")
    assert read.keys() == {"state_dict"}
    assert read["state_dict"].keys() == written.keys()
    for name, tensor in written.items():
        assert torch.equal(read["state_dict"][name], tensor)
        assert read["state_dict"][name].dtype == tensor.dtype


@pytest.mark.parametrize("zipped", [True, False])
def test_bare_state_dicts_old_and_new(tmp_path: Path, zipped: bool) -> None:
    weight = torch.randn(3, 4)
    shared = {"a": weight, "b": weight, "c": weight[:, ::2], "d": torch.nn.Parameter(weight.half())}
    torch.save(shared, tmp_path / "weights.pth", _use_new_zipfile_serialization=zipped)
    read = sections(tmp_path / "weights.pth")
    assert read.keys() == {""}
    assert all(torch.equal(read[""][name], tensor) for name, tensor in shared.items())


class Malicious:
    """Its pickle asks for a folder to be made."""

    def __init__(self, evidence: Path) -> None:
        self.evidence = evidence

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.evidence),)


def test_a_malicious_pickle_does_nothing(tmp_path: Path) -> None:
    path, evidence = tmp_path / "model.pth", tmp_path / "evidence"
    state = {"weight": torch.zeros(2), "extra": Malicious(evidence)}
    torch.save(state, path)
    with pytest.raises(InvalidModel) as caught:
        read_checkpoint(path)
    assert not evidence.exists()
    assert "mkdir" in caught.value.cause
    assert str(path) in str(caught.value)
    assert "safetensors" in caught.value.next_step
    torch.save(state, path, _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match="mkdir"):
        sections(path)
    assert not evidence.exists()
    # It would have: the test can fail.
    torch.load(path, weights_only=False)
    assert evidence.exists()


def test_bookkeeping_is_never_built(tmp_path: Path) -> None:
    """Names that are let through lead to an object that does nothing, whatever arguments a file gives."""
    path = tmp_path / "model.pth"
    torch.save({"weight": torch.ones(2), "score": np.float64(0.5), "opt": argparse.Namespace(a=1)}, path)
    with torch.serialization.safe_globals([(torch_checkpoint._Nothing, name) for name in torch_checkpoint.BOOKKEEPING]):
        loaded = torch.load(path, weights_only=True)
    assert {type(loaded["score"]), type(loaded["opt"])} == {torch_checkpoint._Nothing}
    assert not vars(loaded["opt"])


def damaged(kind: str, path: Path) -> None:
    torch.save({"weight": torch.randn(100, 100)}, path)
    whole = path.read_bytes()
    match kind:
        case "truncated":
            path.write_bytes(whole[: len(whole) // 2])
        case "text":
            path.write_text("<!DOCTYPE html><title>Sign in to download</title>")
        case "empty":
            path.write_bytes(b"")
        case "plain pickle":
            path.write_bytes(pickle.dumps({"weight": [1.0, 2.0]}))
        case "a list":
            torch.save([torch.zeros(3)], path)
        case "no tensor":
            torch.save({"epoch": 3, "names": {"a": 1}}, path)
        case "a module":
            torch.save(torch.nn.Linear(2, 2), path)
        case "another zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("readme.txt", "nothing")
        case "a bomb":
            torch.save({"weight": torch.zeros(1).expand(10**11)}, path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("truncated", "torch cannot read it"),
        ("text", "torch cannot read it"),
        ("empty", "torch cannot read it"),
        ("plain pickle", "torch cannot read it"),
        ("a list", "no named tensors"),
        ("no tensor", "no named tensors"),
        ("a module", "Linear"),
        ("another zip", "torch cannot read it"),
        ("a bomb", "400,000,000,000 bytes"),
    ],
)
def test_what_is_no_checkpoint_has_a_cause(tmp_path: Path, kind: str, cause: str) -> None:
    damaged(kind, tmp_path / "model.pth")
    with pytest.raises(ValueError, match=cause) as caught:
        sections(tmp_path / "model.pth")
    assert "weights_only" not in str(caught.value)  # torch advises to switch the protection off


def test_a_hang_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged("truncated", tmp_path / "model.pth")
    monkeypatch.setattr(torch_checkpoint, "WALL_S", 0.01)
    with pytest.raises(InvalidModel, match="took more than"):
        read_checkpoint(tmp_path / "model.pth")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is limited on Linux only")
def test_memory_is_limited() -> None:
    """In a child of its own, since the limit cannot be taken back: room for 512 MB and four times the file."""
    source = (
        "import sys, torch; from mcsdr.training.weights.torch_checkpoint import _limit; _limit(1000)\n"
        "torch.zeros(2**28, dtype=torch.uint8)\n"
        "try: torch.zeros(2**30, dtype=torch.uint8)\n"
        "except RuntimeError: sys.exit(7)"
    )
    assert subprocess.run([sys.executable, "-c", source], check=False).returncode == 7


def test_safetensors_are_read_directly(tmp_path: Path) -> None:
    tensors = {"video_encoder.norm.weight": torch.randn(4)}
    save_file(tensors, tmp_path / "model.safetensors")
    read = read_checkpoint(tmp_path / "model.safetensors")
    assert torch.equal(read[""]["video_encoder.norm.weight"], tensors["video_encoder.norm.weight"])
    (tmp_path / "broken.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(InvalidModel, match=r"broken\.safetensors"):
        read_checkpoint(tmp_path / "broken.safetensors")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        read_checkpoint(tmp_path / "none.pth")
