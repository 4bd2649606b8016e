"""What several tests share: small networks, small models, a small cohort."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import hypothesis
import pytest
import torch

from mcsdr.clips import ClipSettings
from mcsdr.clips.attributes import AttributeStatistics
from mcsdr.model import Card, Model
from mcsdr.nn.network import NetworkSettings, PosteriorNetwork
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.study import Study

# Test tensors are small: on a busy machine waiting for a second thread costs many times the arithmetic.
torch.set_num_threads(1)

# Numbers are compared: they are to be the same on a processor that would encode in bfloat16, in child processes too.
os.environ["MCSDR_PRECISION"] = "float32"

# A busy machine must not fail a test: no time is asserted anywhere.
hypothesis.settings.register_profile("mcsdr", deadline=None)
hypothesis.settings.load_profile("mcsdr")

Encoder = TypeVar("Encoder", bound=torch.nn.Module)
SMALL = NetworkSettings(channels=(8, 8, 8), width=16, heads=2, score_depth=1)
CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.fixture(scope="session")
def studies() -> list[Study]:
    return list(PhantomCohort(6, seed=77))


@pytest.fixture
def model() -> Model:
    """A small model with random weights, its score network's last layer too, so that nothing is trivially normal."""
    torch.manual_seed(0)
    network = PosteriorNetwork(SMALL)
    torch.nn.init.normal_(network.score.out.weight, std=0.2)
    names = SMALL.attributes
    statistics = AttributeStatistics(names=names, mean=(60.0, 0.0, 75.0, 170.0), sd=(15.0, 1.0, 15.0, 10.0))
    card = Card(name="small", training_data="nothing", synthetic=True)
    return Model(network, ClipSettings(), statistics, card)


def stirred(encoder_type: Callable[[], Encoder]) -> Encoder:
    """An encoder random in every number, batch statistics too, so that no term is hidden by a zero or a one."""
    torch.manual_seed(3)
    encoder = encoder_type().eval()
    for name, tensor in encoder.state_dict().items():
        if "running_var" in name:
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point() and tensor.ndim == 1:
            tensor.add_(0.1 * torch.randn_like(tensor))
    return encoder
