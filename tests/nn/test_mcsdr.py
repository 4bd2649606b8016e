"""The paper's score head: its size, its shapes, what an unknown attribute is."""

from __future__ import annotations

import pytest
import torch

from mcsdr.nn.mcsdr import McsdrHead, sinusoid

QUERY_AND_KEY = 2 * (256 * 256 + 256)  # what the original stores besides and its one key makes idle


@pytest.mark.parametrize(
    ("attributes", "attribute_width", "time_width", "original"),
    [(0, 0, 64, 942_401), (4, 64, 64, 963_265), (2, 16, 32, 935_521)],
)
def test_size_is_the_originals_less_the_idle_projections(
    attributes: int, attribute_width: int, time_width: int, original: int
) -> None:
    head = McsdrHead(512, attributes, attribute_width, time_width)
    assert sum(p.numel() for p in head.parameters()) == original - QUERY_AND_KEY
    condition = head.condition(torch.randn(3, 512), torch.randn(3, attributes))
    assert condition.shape == (3, 512 + attribute_width)


def test_times_broadcast() -> None:
    torch.manual_seed(0)
    head = McsdrHead(8, 2, attribute_width=4, time_width=6, width=16)
    condition, y = torch.randn(2, 12), torch.randn(2, 5) * 30
    times = torch.tensor([[3], [700]])
    together = head.noise(y, times, condition)
    assert together.shape == (2, 5)
    torch.testing.assert_close(head.noise(y, times.expand(2, 5), condition), together)
    for row in range(2):
        for column in range(5):
            alone = head.noise(y[row, column].view(1, 1), times[row, 0], condition[row : row + 1])
            torch.testing.assert_close(alone[0, 0], together[row, column])


def test_an_unknown_attribute_is_the_training_mean() -> None:
    torch.manual_seed(0)
    head = McsdrHead(8, 2, attribute_width=4, time_width=6, width=16)
    features = torch.randn(1, 8)
    unknown = head.condition(features, torch.tensor([[float("nan"), 1.5]]))
    torch.testing.assert_close(unknown, head.condition(features, torch.tensor([[0.0, 1.5]])))
    assert not torch.allclose(unknown, head.condition(features, torch.tensor([[0.5, 1.5]])))


def test_the_sinusoid_spans_from_one_to_ten_thousand() -> None:
    t = torch.tensor([0, 7, 999])
    wave = sinusoid(t, 64)
    assert wave.shape == (3, 64)
    torch.testing.assert_close(wave[0], torch.cat([torch.zeros(32), torch.ones(32)]))
    torch.testing.assert_close(wave[1, 0], torch.tensor(7.0).sin())
    torch.testing.assert_close(wave[2, 63], torch.tensor(0.0999).cos())
