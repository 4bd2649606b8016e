"""A checkpoint is one safetensors file: weights, their average, the optimiser's moments, and where the run stood.

It is written beside and renamed into place, so whatever kills the run, the last good checkpoint loads. Random draws
are functions of (seed, step) and need no state, so a resumed run is bit-identical to an uninterrupted one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mcsdr.errors import InvalidModel
from mcsdr.files import write_atomically


class Average:
    """Exponential moving average of a network's parameters and buffers; short-sighted while it is young."""

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: torch.nn.Module, step: int) -> None:
        """Move towards the network after optimiser step `step` (from 1)."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                self.state[name].lerp_(tensor, share)
            else:
                self.state[name].copy_(tensor)


def save_checkpoint(
    path: Path, network: torch.nn.Module, average: Average, optimiser: torch.optim.Optimizer, progress: dict[str, Any]
) -> None:
    """Write everything needed to go on; `progress` is plain data (step, best score, …)."""
    tensors = {f"network.{name}": t for name, t in network.state_dict().items()}
    tensors |= {f"average.{name}": t for name, t in average.state.items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    write_atomically(path, save(tensors, {"progress": json.dumps(progress)}))


def load_checkpoint(
    path: Path, network: torch.nn.Module, average: Average, optimiser: torch.optim.Optimizer
) -> dict[str, Any]:
    """Restore all of it in place and return the progress.

    Raises:
        InvalidModel: the file is damaged or belongs to another network.
    """
    try:
        with safe_open(path, "pt") as file:
            progress: dict[str, Any] = json.loads(file.metadata()["progress"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        network.load_state_dict(_under(tensors, "network"))
        average.state = {name: t.to(average.state[name].device) for name, t in _under(tensors, "average").items()}
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under(tensors, "optimiser").items():
            index, key = name.split(".")
            moments.setdefault(int(index), {})[key] = tensor
        optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InvalidModel(
            f"the checkpoint does not fit this run: {error}", path=path, next_step="Train into another folder (--out)."
        ) from error
    return progress


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{prefix}."): t for name, t in tensors.items() if name.startswith(f"{prefix}.")}
