"""`mcsdr import-official`: a released file in, a model folder out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.training.published import checkpoint, regressor

from mcsdr.cli import app
from mcsdr.errors import InvalidModel
from mcsdr.model import load


def test_a_released_checkpoint_becomes_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = regressor(2, 16, 32)
    torch.save(checkpoint(net), tmp_path / "best.pth")
    words = ["import-official", str(tmp_path / "best.pth"), "--dataset", "camus", "--out", str(tmp_path / "model")]
    app(words, result_action="return_value")
    said = " ".join(capsys.readouterr().out.split())
    assert "ASSUMED" in said
    assert "Research use only" in said
    model = load(tmp_path / "model")
    assert len(model.card.config["imported"]["sha256"]) == 64
    torch.manual_seed(0)
    feature, y = torch.randn(1, 512), torch.tensor([[0.3, 48.0]])
    age = torch.tensor([[(70 - 18) / (95 - 18), 0.5]])
    known = torch.tensor([[(70 - model.statistics.mean[0]) / model.statistics.sd[0], 1.0]])
    head = model.network.head
    with torch.no_grad():
        ours = head.noise(y, torch.tensor(399), head.condition(feature, known))  # type: ignore[union-attr, operator]
        theirs = net.noise(y.T, torch.tensor([399, 399]), feature.expand(2, -1), age.expand(2, -1))
    torch.testing.assert_close(ours, theirs.T, rtol=1e-5, atol=1e-5)


def test_a_wrong_file_leaves_no_model(tmp_path: Path) -> None:
    path = tmp_path / "best.pth"
    path.write_text("<!DOCTYPE html>")
    words = ["import-official", str(path), "--dataset", "camus", "--out", str(tmp_path / "model")]
    with pytest.raises(InvalidModel) as caught:
        app(words, result_action="return_value")
    assert str(path) in str(caught.value)
    assert not (tmp_path / "model").exists()
