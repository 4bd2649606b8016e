"""Starting an encoder from weights that were trained elsewhere.

    UniFormer-S     Kinetics (a bare state dict, or "model_state"), CoReEcho ("model"), MCSDR ("model_state_dict")
    R(2+1)D-18      Kinetics (a bare state dict), EchoNet-Dynamic ("state_dict", every name under "module.")
    any of ours     model.safetensors, the encoder under "video_encoder."

All share the names of the published architectures, so nothing is translated: the section with most of the encoder's
names is taken, once the prefix is off. Every weight of the encoder must be there; what else the file holds, such as the
head of classes or the regressor that the weights were trained with, is left out and reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from mcsdr.errors import InvalidModel
from mcsdr.training.weights.torch_checkpoint import Checkpoint, read_checkpoint

PREFIXES = ("", "module.", "video_encoder.", "encoder.")  # "module." is what DataParallel puts before
COUNTER = "num_batches_tracked"  # of a batch norm; older files lack it and no output depends on it


@dataclass(frozen=True)
class Loaded:
    """What was taken from a file.

    Attributes:
        section, prefix: where the encoder's weights stood.
        unused: names that have no place in the encoder, with their section before them.
    """

    section: str
    prefix: str
    unused: tuple[str, ...]


def load_encoder_weights(encoder: nn.Module, path: str | Path, kind: str) -> Loaded:
    """Load an encoder's weights from a published checkpoint or from one of this package's models.

    Arguments:
        encoder: it is changed in place, or not at all.
        path: `.safetensors`, or anything `torch.save` writes; read safely, see
            `mcsdr.training.weights.torch_checkpoint`.
        kind: the encoder's name in the settings, for messages.

    Raises:
        MissingFile: there is no such file.
        InvalidModel: it cannot be read, or is of another architecture.
    """
    checkpoint = read_checkpoint(path)
    expected = encoder.state_dict()
    section, prefix = max(
        ((section, prefix) for section in checkpoint for prefix in PREFIXES),
        key=lambda place: len(expected.keys() & unprefixed(checkpoint[place[0]], place[1]).keys()),
    )
    found = unprefixed(checkpoint[section], prefix)
    missing = [name for name in expected if name not in found and not name.endswith(COUNTER)]
    if missing:
        raise _unfit(path, kind, f"{len(missing)} of its {len(expected)} weights are absent, such as {missing[0]}.")
    weights = {name: tensor for name, tensor in found.items() if name in expected}
    for name, tensor in weights.items():
        if tensor.shape != expected[name].shape:
            there, here = list(tensor.shape), list(expected[name].shape)
            raise _unfit(path, kind, f"{name} has the shape {there}, not {here}.")
    encoder.load_state_dict(weights, strict=False)
    return Loaded(section, prefix, _unused(checkpoint, section, {prefix + name for name in weights}))


def unprefixed(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those tensors whose names begin with the prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _unfit(path: str | Path, kind: str, cause: str) -> InvalidModel:
    next_step = "Give weights of this architecture, or choose the encoder that they are of."
    return InvalidModel(f"these are no weights of {kind}: {cause}", path=path, next_step=next_step)


def _unused(checkpoint: Checkpoint, taken_from: str, taken: set[str]) -> tuple[str, ...]:
    names = ((section, name) for section, tensors in checkpoint.items() for name in tensors)
    left = (place for place in names if not (place[0] == taken_from and place[1] in taken))
    return tuple(f"{section}/{name}" if section else name for section, name in left)
