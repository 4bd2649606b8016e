"""A checkpoint is one safetensors file: weights, their average, the optimiser's moments, and where the run stood.

    last.safetensors        written beside and renamed into place, so that whatever kills the run, a good one loads
    previous.safetensors    the one before it, should the last be damaged

Its metadata holds the progress, what the run is made by (every setting, the hash of the clips), and a SHA-256 over
all of it, so that one flipped bit is refused. What is no finite number is never written. Random draws are functions of
(seed, step) and need no state, so a resumed run is bit-identical to an uninterrupted one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

import mcsdr
from mcsdr.errors import ChangedRun, InvalidModel, TrainingDiverged
from mcsdr.files.writing import write_keeping
from mcsdr.training.settings import TrainSettings

LAST, PREVIOUS = "last.safetensors", "previous.safetensors"
# Where clips are kept, who renders them and how often a run is saved: no weight depends on it.
NO_MATTER = ("data.cache", "data.workers", "run.checkpoint_every")


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


class Checkpoint(NamedTuple):
    """A checkpoint as it was read.

    Attributes:
        path: where it lies.
        tensors: weights, average and moments, under "network.", "average." and "optimiser.".
        progress: plain data, among it "step" and "best".
        made_by: what the run was made by, see `made_by`; empty where a version wrote it that did not say.
    """

    path: Path
    tensors: dict[str, Tensor]
    progress: dict[str, Any]
    made_by: dict[str, Any]


def made_by(settings: TrainSettings, clips: Mapping[str, str], processes: int) -> dict[str, Any]:
    """All that a run's weights are a function of, by dotted name: settings, clips, processes, version."""
    named = dict(_flat(settings.model_dump(mode="json")))
    others = {f"clips of {cohort}": digest for cohort, digest in clips.items()}
    settled = {name: value for name, value in named.items() if name not in NO_MATTER}
    return {**settled, **others, "processes": processes, "version": mcsdr.__version__}


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What differs, as name: [before, now]."""
    names = dict.fromkeys([*before, *now])
    return {name: [before.get(name), now.get(name)] for name in names if before.get(name) != now.get(name)}


def refuse_changes(checkpoint: Checkpoint, changed: Mapping[str, list[Any]]) -> None:
    """Say what differs.

    Raises:
        ChangedRun: anything does.
    """
    if not changed:
        return
    told = "; ".join(f"{name} was {json.dumps(old)} and is {json.dumps(new)}" for name, (old, new) in changed.items())
    if not checkpoint.made_by:
        told = "the checkpoint does not say by which settings it was made"
    raise ChangedRun(
        f"this training was begun otherwise: {told}.",
        path=checkpoint.path,
        next_step="Go back to the settings it was begun with, train into another folder (--out), or add "
        "--continue-with-changes: the model's card will then tell both.",
    )


def save_checkpoint(
    folder: Path,
    network: torch.nn.Module,
    average: Average,
    optimiser: torch.optim.Optimizer,
    progress: dict[str, Any],
    made: dict[str, Any],
    dense: torch.nn.Module | None = None,
    *,
    keep: bool = True,
) -> None:
    """Write everything needed to go on, and keep what was last before as previous.

    Arguments:
        progress: plain data: step, best score, …
        made: see `made_by`.
        dense: what reads dense targets, where there is one.
        keep: false where the last one is damaged, so that the good previous one is not written over by it.

    Raises:
        TrainingDiverged: a number is not finite; nothing was written.
        UnwritableFile: no room or no permission; the checkpoint before is whole.
    """
    tensors = {f"network.{name}": t for name, t in network.state_dict().items()}
    tensors |= {f"average.{name}": t for name, t in average.state.items()}
    tensors |= {f"dense.{name}": t for name, t in (dense.state_dict() if dense is not None else {}).items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    refuse_infinite(tensors, folder / LAST)
    metadata = {"progress": json.dumps(progress), "made_by": json.dumps(made)}
    metadata["sha256"] = _digest(tensors, metadata)
    write_keeping(folder / LAST, folder / PREVIOUS if keep else None, save(tensors, metadata))


def refuse_infinite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise TrainingDiverged where a tensor holds what is no finite number."""
    bad = [name for name, t in tensors.items() if not bool(torch.isfinite(t).all())]
    if bad:
        cause = f"{len(bad)} of {len(tensors)} tensors hold what is no finite number, {bad[0]} among them; "
        raise TrainingDiverged(cause + "nothing was written, and the checkpoint before is whole.", path=path)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, and check that it is what was written.

    Raises:
        InvalidModel: the file is damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        written = metadata.pop("sha256", None)
        if written != _digest(tensors, metadata) and "made_by" in metadata:
            raise ValueError("its SHA-256 is not the one that it was written with")
        progress, made = json.loads(metadata["progress"]), json.loads(metadata.get("made_by", "{}"))
        return Checkpoint(path, tensors, {**progress, "step": int(progress["step"])}, dict(made))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InvalidModel(
            f"the checkpoint is damaged: {error}",
            path=path,
            next_step="Remove it, to begin anew or go on from the one before it, or train into another folder (--out).",
        ) from error


def newest_checkpoint(folder: Path) -> tuple[Checkpoint | None, InvalidModel | None]:
    """The last good checkpoint of a folder, None where there is none, and what is wrong with the last one.

    Raises:
        InvalidModel: the last one is damaged, and there is no good one before it.
    """
    damage = None
    if (folder / LAST).exists():
        try:
            return read_checkpoint(folder / LAST), None
        except InvalidModel as error:
            if not (folder / PREVIOUS).exists():
                raise
            damage = error
    if (folder / PREVIOUS).exists():  # a kill between two renames leaves this one alone
        return read_checkpoint(folder / PREVIOUS), damage
    return None, None


def restore(
    checkpoint: Checkpoint,
    network: torch.nn.Module,
    average: Average,
    optimiser: torch.optim.Optimizer,
    dense: torch.nn.Module | None = None,
) -> None:
    """Put a checkpoint's tensors into their places.

    Raises:
        InvalidModel: it belongs to another network.
    """
    tensors = checkpoint.tensors
    try:
        network.load_state_dict(_under(tensors, "network"))
        if dense is not None:
            dense.load_state_dict(_under(tensors, "dense"))
        average.state = {name: t.to(average.state[name].device) for name, t in _under(tensors, "average").items()}
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under(tensors, "optimiser").items():
            index, key = name.split(".")
            moments.setdefault(int(index), {})[key] = tensor
        optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InvalidModel(
            f"the checkpoint does not fit this run: {error}",
            path=checkpoint.path,
            next_step="Train into another folder (--out).",
        ) from error


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name in sorted(tensors):
        t = tensors[name]
        digest.update(f"{name} {t.dtype} {tuple(t.shape)}".encode())
        digest.update(t.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{prefix}."): t for name, t in tensors.items() if name.startswith(f"{prefix}.")}


def _flat(tables: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """("optim.lr", 1e-3) and so on of nested tables."""
    rows: list[tuple[str, Any]] = []
    for name, value in tables.items():
        rows += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]
    return rows
