"""UniFormer-S gives what its published formula gives, under the released names."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from tests.conftest import stirred
from torch import Tensor

from mcsdr.nn.uniformer import UniFormerS

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def encoder() -> UniFormerS:
    encoder = stirred(UniFormerS)
    for embedding in (encoder.patch_embed3, encoder.patch_embed4):
        embedding.norm.weight.data *= 0.02  # small tokens, so that the ε of the norms tells
    return encoder


def conv(s: State, name: str, x: Tensor, **how: object) -> Tensor:
    return F.conv3d(x, s[f"{name}.weight"], s[f"{name}.bias"], **how)  # type: ignore[arg-type]


def batch_norm(s: State, name: str, x: Tensor) -> Tensor:
    parts = (s[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    mean, var, weight, bias = (part.view(1, -1, 1, 1, 1) for part in parts)
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def layer_norm(s: State, name: str, x: Tensor, eps: float) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    variance = centred.square().mean(-1, keepdim=True)
    return centred / (variance + eps).sqrt() * s[f"{name}.weight"] + s[f"{name}.bias"]


def embed(s: State, name: str, x: Tensor, **how: object) -> Tensor:
    normed = layer_norm(s, f"{name}.norm", conv(s, f"{name}.proj", x, **how).movedim(1, -1), 1e-5)
    return normed.movedim(-1, 1)


def convolution_block(s: State, b: str, x: Tensor) -> Tensor:
    width = x.shape[1]
    x = x + conv(s, f"{b}.pos_embed", x, padding=1, groups=width)
    h = conv(s, f"{b}.conv1", batch_norm(s, f"{b}.norm1", x))
    x = x + conv(s, f"{b}.conv2", conv(s, f"{b}.attn", h, padding=2, groups=width))
    return x + conv(s, f"{b}.mlp.fc2", F.gelu(conv(s, f"{b}.mlp.fc1", batch_norm(s, f"{b}.norm2", x))))


def linear(s: State, name: str, x: Tensor) -> Tensor:
    return x @ s[f"{name}.weight"].T + s[f"{name}.bias"]


def attention_block(s: State, b: str, x: Tensor) -> Tensor:
    width, heads = x.shape[1], x.shape[1] // 64
    x = x + conv(s, f"{b}.pos_embed", x, padding=1, groups=width)
    batch, _, t, h, w = x.shape
    tokens = x.movedim(1, -1).reshape(batch, t * h * w, width)
    q, k, v = linear(s, f"{b}.attn.qkv", layer_norm(s, f"{b}.norm1", tokens, 1e-6)).split(width, dim=-1)
    outs = []
    for head in range(heads):
        part = slice(64 * head, 64 * head + 64)
        weights = torch.softmax(q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(64), dim=-1)
        outs.append(weights @ v[..., part])
    tokens = tokens + linear(s, f"{b}.attn.proj", torch.cat(outs, dim=-1))
    wide = F.gelu(linear(s, f"{b}.mlp.fc1", layer_norm(s, f"{b}.norm2", tokens, 1e-6)))
    tokens = tokens + linear(s, f"{b}.mlp.fc2", wide)
    return tokens.reshape(batch, t, h, w, width).movedim(-1, 1)


def recomputed(s: State, video: Tensor) -> Tensor:
    """The last map as tokens, instants outermost, from the weights alone."""
    x = embed(s, "patch_embed1", torch.stack([video] * 3, dim=1), stride=(2, 4, 4), padding=(1, 0, 0))
    for i in range(3):
        x = convolution_block(s, f"blocks1.{i}", x)
    x = embed(s, "patch_embed2", x, stride=(1, 2, 2))
    for i in range(4):
        x = convolution_block(s, f"blocks2.{i}", x)
    x = embed(s, "patch_embed3", x, stride=(1, 2, 2))
    for i in range(8):
        x = attention_block(s, f"blocks3.{i}", x)
    x = embed(s, "patch_embed4", x, stride=(1, 2, 2))
    for i in range(3):
        x = attention_block(s, f"blocks4.{i}", x)
    return batch_norm(s, "norm", x).movedim(1, -1).reshape(len(video), -1, 512)


@pytest.mark.parametrize("shape", [(2, 4, 32, 64), (1, 5, 80, 32)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last_3d])
@torch.no_grad()
def test_tokens_are_the_formulas(
    encoder: UniFormerS, shape: tuple[int, ...], memory_format: torch.memory_format
) -> None:
    torch.manual_seed(5)
    video = torch.rand(shape)
    encoder.to(memory_format=memory_format)  # type: ignore[call-overload]
    expected = recomputed(encoder.state_dict(), video)
    assert expected.std() > 0.1  # not a comparison of zeros
    torch.testing.assert_close(encoder(video), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_side_of_112_gives_three_places(encoder: UniFormerS) -> None:
    assert encoder(torch.rand(1, 8, 112, 112)).shape == (1, 4 * 3 * 3, 512)


def test_names_shapes_and_size_are_the_released_ones(encoder: UniFormerS) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in encoder.state_dict().items()}
    expected = {
        "patch_embed1.proj.weight": (64, 3, 3, 4, 4),
        "patch_embed1.norm.bias": (64,),
        "patch_embed4.proj.weight": (512, 320, 1, 2, 2),
        "blocks1.2.pos_embed.weight": (64, 1, 3, 3, 3),
        "blocks1.0.norm1.running_var": (64,),
        "blocks2.3.attn.weight": (128, 1, 5, 5, 5),
        "blocks2.0.mlp.fc1.weight": (512, 128, 1, 1, 1),
        "blocks3.7.attn.qkv.weight": (960, 320),
        "blocks3.7.attn.qkv.bias": (960,),
        "blocks4.2.mlp.fc2.weight": (512, 2048),
        "norm.num_batches_tracked": (),
    }
    assert expected.items() <= shapes.items()
    assert not any(name.startswith("head.") for name in shapes)
    # 21,400,400 with the class head of Kinetics, 513 × 400.
    assert sum(p.numel() for p in encoder.parameters()) == 21_400_400 - 513 * 400


def test_dropout_acts_in_training_only(encoder: UniFormerS) -> None:
    video = torch.rand(1, 4, 32, 32)
    with torch.no_grad():
        assert torch.equal(encoder(video), encoder(video))
        torch.manual_seed(0)
        training = UniFormerS().train()
        assert not torch.equal(training(video), training(video))
