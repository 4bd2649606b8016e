"""R(2+1)D-18 gives what its published formula gives, under the released names."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from tests.conftest import stirred
from torch import Tensor

from mcsdr.nn.r2plus1d import R2Plus1D18

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def encoder() -> R2Plus1D18:
    return stirred(R2Plus1D18)


def batch_norm(s: State, name: str, x: Tensor) -> Tensor:
    parts = (s[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    mean, var, weight, bias = (part.view(1, -1, 1, 1, 1) for part in parts)
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def parted(s: State, name: str, x: Tensor, stride: int) -> Tensor:
    x = F.conv3d(x, s[f"{name}.0.weight"], stride=(1, stride, stride), padding=(0, 1, 1))
    x = batch_norm(s, f"{name}.1", x).relu()
    return F.conv3d(x, s[f"{name}.3.weight"], stride=(stride, 1, 1), padding=(1, 0, 0))


def recomputed(s: State, video: Tensor) -> Tensor:
    """The last map as tokens, instants outermost, from the weights alone."""
    x = F.conv3d(torch.stack([video] * 3, dim=1), s["stem.0.weight"], stride=(1, 2, 2), padding=(0, 3, 3))
    x = F.conv3d(batch_norm(s, "stem.1", x).relu(), s["stem.3.weight"], padding=(1, 0, 0))
    x = batch_norm(s, "stem.4", x).relu()
    for layer in (1, 2, 3, 4):
        for block in (0, 1):
            name, stride = f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            h = batch_norm(s, f"{name}.conv1.1", parted(s, f"{name}.conv1.0", x, stride)).relu()
            h = batch_norm(s, f"{name}.conv2.1", parted(s, f"{name}.conv2.0", h, 1))
            if stride == 2:
                x = F.conv3d(x, s[f"{name}.downsample.0.weight"], stride=2)
                x = batch_norm(s, f"{name}.downsample.1", x)
            x = (h + x).relu()
    return x.movedim(1, -1).reshape(len(video), -1, 512)


@pytest.mark.parametrize(("shape", "tokens"), [((2, 8, 32, 32), 4), ((1, 5, 48, 32), 6)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last_3d])
@torch.no_grad()
def test_tokens_are_the_formulas(
    encoder: R2Plus1D18, shape: tuple[int, ...], tokens: int, memory_format: torch.memory_format
) -> None:
    torch.manual_seed(5)
    video = torch.rand(shape)
    encoder.to(memory_format=memory_format)  # type: ignore[call-overload]
    expected = recomputed(encoder.state_dict(), video)
    assert expected.std() > 0.1  # not a comparison of zeros
    assert expected.shape == (shape[0], tokens, 512)
    torch.testing.assert_close(encoder(video), expected, rtol=1e-5, atol=1e-5)


def test_names_shapes_and_size_are_the_released_ones(encoder: R2Plus1D18) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in encoder.state_dict().items()}
    expected = {
        "stem.0.weight": (45, 3, 1, 7, 7),
        "stem.3.weight": (64, 45, 3, 1, 1),
        "layer1.0.conv1.0.0.weight": (144, 64, 1, 3, 3),
        "layer2.0.conv1.0.0.weight": (230, 64, 1, 3, 3),
        "layer2.0.conv2.0.3.weight": (128, 230, 3, 1, 1),
        "layer2.1.conv1.0.0.weight": (288, 128, 1, 3, 3),
        "layer4.0.downsample.0.weight": (512, 256, 1, 1, 1),
        "layer4.1.conv2.1.running_mean": (512,),
    }
    assert expected.items() <= shapes.items()
    assert not any(name.startswith(("fc.", "layer1.0.downsample")) for name in shapes)
    # 31,505,325 with the class head of Kinetics, 513 × 400.
    assert sum(p.numel() for p in encoder.parameters()) == 31_505_325 - 513 * 400
