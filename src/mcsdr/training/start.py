"""What a network starts from: nothing, a model of this package or its encoder, or a published encoder's checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch

from mcsdr.errors import InvalidConfig, InvalidModel
from mcsdr.model import load
from mcsdr.nn.network import Network
from mcsdr.training.settings import TrainSettings
from mcsdr.training.weights.published import load_encoder_weights


def start_from(network: Network, settings: TrainSettings) -> None:
    """Load what the network starts from: a model of this package or its encoder, or a published encoder's checkpoint.

    Raises:
        InvalidConfig: its shape is another.
        InvalidModel: there is no such model.
    """
    start = settings.start
    if start.model:
        _take_over(network, load(start.model).network, f"start.model = {start.model!r}")
    elif start.encoder:
        try:
            encoder = load(start.encoder).network.video_encoder
        except InvalidModel:
            if not Path(start.encoder).is_file():
                raise
            load_encoder_weights(network.video_encoder, Path(start.encoder), settings.network.encoder)
            return
        _take_over(network.video_encoder, encoder, f"start.encoder = {start.encoder!r}")


def _take_over(module: torch.nn.Module, other: torch.nn.Module, what: str) -> None:
    try:
        module.load_state_dict(other.state_dict())
    except RuntimeError as error:
        raise InvalidConfig(f"{what} is of another shape: {error}") from error
