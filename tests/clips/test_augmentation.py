"""What training does to clips: repeatable, each part as it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mcsdr.clips import Augmentation, augment, draw_augmentation, moved


def untouched(like: Augmentation) -> Augmentation:
    """One that changes nothing."""
    nothing = {name: torch.zeros_like(value) for name, value in vars(like).items() if name not in ("noise", "place")}
    one = torch.ones_like(like.scale)
    return replace(like, **nothing | {"scale": one, "stretch": one, "gamma": one, "gain": one})


@pytest.fixture
def frames() -> torch.Tensor:
    """A grainy clip, black along its left side."""
    clip = torch.from_numpy(np.random.default_rng(0).integers(60, 120, (1, 6, 32, 32), dtype=np.uint8))
    clip[:, :, :, :4] = 0
    return clip


@pytest.fixture
def still() -> Augmentation:
    return untouched(draw_augmentation(1, torch.Generator().manual_seed(0)))


def test_it_repeats(frames: torch.Tensor) -> None:
    both = frames.repeat(2, 1, 1, 1)
    draws = [draw_augmentation(2, torch.Generator().manual_seed(3)) for _ in range(2)]
    first, second = (augment(both, by) for by in draws)
    assert torch.equal(first, second)
    assert first.min() >= 0
    assert first.max() <= 1
    assert torch.allclose(augment(both, untouched(draws[0])) * 255, both.float(), atol=0.2)


INSIDE = (slice(None), slice(None), slice(None), slice(6, None))


def test_tones_sharpness_and_grain(frames: torch.Tensor, still: Augmentation) -> None:
    one, plain = torch.ones(1), augment(frames, still)
    hazy = augment(frames, replace(still, black=0.08 * one))
    assert hazy[..., 5:].min() > plain[..., 5:].min() + 0.04
    assert hazy[..., :4].max() == 0
    assert augment(frames, replace(still, blur=one))[INSIDE].std() < 0.6 * plain[INSIDE].std()
    assert augment(frames, replace(still, blur=-0.5 * one))[INSIDE].std() > 1.1 * plain[INSIDE].std()
    neighbours = []
    for coarse in (False, True):
        by = replace(still, grain=0.1 * one, coarse=torch.tensor([coarse]))
        grained = augment(frames, by)[INSIDE] / plain[INSIDE] - 1
        assert 0.08 < grained.std() < 0.12
        assert (grained[:, 0] - grained[:, 1]).abs().mean() > 0.05  # another grain in every frame
        neighbours.append(torch.corrcoef(torch.stack([grained[..., 1:].flatten(), grained[..., :-1].flatten()]))[0, 1])
    assert abs(neighbours[0]) < 0.1
    assert 0.6 < neighbours[1] < 0.75  # 2/3 by the kernel


def test_gains_shadows_and_a_veil(frames: torch.Tensor, still: Augmentation) -> None:
    plain = augment(frames, still)
    field = still.field + torch.tensor([0.3, 0.0, 0.0, 0.0, -0.3])[:, None]
    ratio = augment(frames, replace(still, field=field))[INSIDE] / plain[INSIDE]
    assert ratio[..., 0, :].mean() > 1.3
    assert ratio[..., -1, :].mean() < 0.77
    assert torch.allclose(ratio[:, 0], ratio[:, 1], atol=1e-3)  # the same at all times

    shadows = torch.zeros_like(still.shadows)
    shadows[0, 1] = torch.tensor([0.3, 0.15, 0.4, -2.0])
    ratio = augment(frames, replace(still, shadows=shadows))[0, 0] / plain[0, 0]
    assert ratio[28, 16 + 9] == pytest.approx(np.exp(-2), rel=0.05)  # 0.3 rad to the right, deep
    assert ratio[6, 16 + 2] == pytest.approx(1, abs=0.03)  # above where it begins
    assert ratio[28, 8] == pytest.approx(1, abs=0.03)  # beside it

    frames[:, :, 14:20, 18:26] = 0  # a dark cavity
    veiled = augment(frames, replace(still, veil=torch.tensor([[0.4, 0.3]])))[0, 0]
    assert veiled[16, 22] == pytest.approx(0.4 * np.exp(-np.hypot(16.5, 6.5) / 32 / 0.3), rel=1e-3)
    assert veiled[:, :4].max() == 0  # beside the sector
    assert veiled[2, 16] - frames[0, 0, 2, 16] / 255 > 3 * (veiled[30, 16] - frames[0, 0, 30, 16] / 255)


def test_bent_clips_keep_their_areas_and_so_do_their_targets(still: Augmentation) -> None:
    clip = torch.zeros(1, 2, 112, 112)
    clip[..., 40:72, 44:68] = 1
    bend = torch.tensor([[[0.06, -0.03, 0.0, -0.05, 0.04], [0.02, 0.0, -0.03, 0.01, 0.0]]])
    by = replace(still, bend=bend)
    bent = moved(clip, by)
    assert bent.sum() == pytest.approx(clip.sum().item(), rel=0.02)
    assert (bent - clip).abs().sum() > 0.2 * clip.sum()
    middles = [(row * torch.arange(112)).sum() / row.sum() for row in bent[0, 0, 46:66]]
    assert max(middles) - min(middles) > 2  # rows lie aside
    small = moved(clip, by, 28, mode="nearest")
    where = torch.nn.functional.avg_pool2d(bent, 4)
    assert ((small > 0.5) == (where > 0.5)).float().mean() > 0.97
    assert torch.allclose(moved(clip, still), clip, atol=1e-4)
