"""The paper's network answers to the same calls as ours, and its sampler is the paper's DDIM."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mcsdr.diffusion.denoiser import draw_pairs
from mcsdr.diffusion.sampler import PAPER, evaluation_angles, starting_points, trajectories
from mcsdr.nn.network import McsdrNetwork, NetworkSettings, build_network

SETTINGS = NetworkSettings(kind="mcsdr", channels=(8, 8, 8), width=16, heads=2, attributes=("age_years", "sex"))
MEAN, SD = 55.0, 4.8


@pytest.fixture
def network() -> McsdrNetwork:
    torch.manual_seed(3)
    built = build_network(SETTINGS)
    assert isinstance(built, McsdrNetwork)
    return built.eval()


def alpha_bars() -> list[float]:
    """ᾱ_t of β linear from 1e-4 to 0.02 in 1000 levels, worked out anew."""
    found, product = [], 1.0
    for t in range(1000):
        product *= 1 - (1e-4 + (0.02 - 1e-4) * t / 999)
        found.append(product)
    return found


def test_levels_are_the_papers(network: McsdrNetwork) -> None:
    assert network.levels.cos().square() == pytest.approx(torch.tensor(alpha_bars(), dtype=torch.float64))


def test_the_flow_is_ddim_at_999_899_to_99(network: McsdrNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the exact noise of N(55, 4.8²), against DDIM written in the paper's own symbols."""
    bars, seen = alpha_bars(), []

    def exact(y_t: Tensor, t: Tensor | int, condition: Tensor | None = None) -> Tensor:
        bar = bars[int(t)]
        return math.sqrt(1 - bar) * (y_t - math.sqrt(bar) * MEAN) / (bar * SD**2 + 1 - bar)

    def recorded(y_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        seen.append(int(t))
        return exact(y_t, t)

    monkeypatch.setattr(network.head, "noise", recorded)
    z = starting_points(PAPER, 1)
    nothing = torch.zeros(1, 0, network.width), torch.zeros(1, 0, dtype=torch.bool)
    velocity, a, b = network.flow(*nothing, torch.zeros(1, 2), network.prepare(evaluation_angles(PAPER)))
    found = network.target.to_percent(trajectories(velocity, z, PAPER)[-1], a, b)
    y, steps = z.double(), list(range(999, 0, -100))
    for t in steps:
        bar, bar_next = bars[t], bars[t - 100] if t > 100 else 1.0
        noise = exact(y, t)
        start = (y - math.sqrt(1 - bar) * noise) / math.sqrt(bar)
        y = math.sqrt(bar_next) * start + math.sqrt(1 - bar_next) * noise
    assert seen == steps
    assert torch.allclose(found.double(), y, atol=2e-3)


def test_loss_is_the_noise_error(network: McsdrNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that says zero is wrong by 1 on average; one that knows the noise is not wrong at all."""
    studies, pairs = 64, draw_pairs((64, 32), torch.Generator().manual_seed(0))
    tokens, mask = torch.randn(studies, 1, network.width), torch.ones(studies, 1, dtype=torch.bool)
    ef = torch.full((studies,), MEAN)
    bars = torch.tensor(alpha_bars())

    def knowing(y_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        return (y_t - bars[t].sqrt() * MEAN) / (1 - bars[t]).sqrt()

    monkeypatch.setattr(network.head, "noise", lambda y_t, t, condition: torch.zeros_like(y_t))
    assert network.loss(tokens, mask, torch.zeros(studies, 2), ef, pairs)[0] == pytest.approx(1, abs=0.1)
    monkeypatch.setattr(network.head, "noise", knowing)
    assert network.loss(tokens, mask, torch.zeros(studies, 2), ef, pairs)[0] < 1e-4


def test_features_of_several_clips_are_averaged(network: McsdrNetwork) -> None:
    one, other = torch.randn(2, 1, 1, network.width)
    both = torch.cat([one, other, torch.randn(1, 1, network.width)], dim=1)
    mask = torch.tensor([[True, True, False]])
    known = torch.tensor([[0.5, -1.0]])
    found = network.condition(both, mask, known)
    expected = network.condition((one + other) / 2, torch.ones(1, 1, dtype=torch.bool), known)
    assert torch.allclose(found, expected, atol=1e-6)


def test_gradients_reach_every_parameter_but_the_query(network: McsdrNetwork) -> None:
    network.train()
    tokens = network.encode(torch.rand(2, 16, 112, 112))
    pairs = draw_pairs((2, 4), torch.Generator().manual_seed(0))
    mask, known = torch.ones(2, 1, dtype=torch.bool), torch.randn(2, 2)
    loss, nll = network.loss(tokens, mask, known, torch.tensor([50.0, 60.0]), pairs)
    (loss + nll).backward()
    idle = {name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    assert all("query" in name or "key" in name or name.startswith("video_encoder") for name in idle), idle
