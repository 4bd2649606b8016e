"""A model on disk: a folder of two files that rebuild it without further help.

    model.safetensors    the weights, and the numbers of the gate and of the outline's reading under names that begin
                         with "gate." and "outline."
    model.json           everything else, the SHA-256 of the weights, and a digest of all of it

The digest is the SHA-256 of the description as canonical JSON (keys in order, no blanks), without the digest itself. It
covers the weights through their hash, so that it names the whole model: one number changed in the calibration, or the
words "synthetic phantoms" taken out, and it is another. It is what every output quotes as the model's SHA-256. No
pickle is ever read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

import mcsdr
from mcsdr.abstention.familiarity import Familiarity
from mcsdr.abstention.looks import LookSpread
from mcsdr.clips import ClipSettings
from mcsdr.clips.attributes import AttributeStatistics
from mcsdr.clips.protocol import ProtocolSettings
from mcsdr.diffusion.sampler import SamplerSettings
from mcsdr.errors import InvalidConfig, InvalidModel, did_you_mean
from mcsdr.files import write_atomically
from mcsdr.files.shipped import models
from mcsdr.model.card import Card
from mcsdr.model.model import Model
from mcsdr.model.outline import OutlineReading
from mcsdr.nn.network import NetworkSettings, build_network
from mcsdr.posterior.population import Population
from mcsdr.posterior.recalibration import Calibration

FORMAT = 2  # of model.json; docs/saved-models.md says which versions read it
READ = (1, 2)  # format 1 had no digest
LONGEST = 16 * 2**20  # bytes of model.json that are read
# What the parts of a description raise that are not what they should be.
UNFIT = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, AssertionError, RuntimeError)
GATE, OUTLINE = "gate.", "outline."  # begin the names of the numbers in model.safetensors that are not the network's


def save(model: Model, folder: str | Path) -> None:
    """Write model.safetensors and model.json, each in one piece or not at all."""
    folder = Path(folder)
    weights = weights_of(model)
    description = description_of(model, hashlib.sha256(weights).hexdigest())
    description["digest"] = digest_of(description)
    write_atomically(folder / "model.safetensors", weights)
    write_atomically(folder / "model.json", written(description))


def description_of(model: Model, weights_sha256: str) -> dict[str, Any]:
    """What model.json says of a model, as plain data, less the digest."""
    description: dict[str, Any] = {
        "format": FORMAT,
        "mcsdr": mcsdr.__version__,
        "sha256": weights_sha256,
        "network": model.network.settings.model_dump(),
        "clip": model.clip.model_dump(),
        "attributes": model.statistics.model_dump(),
        "sampler": vars(model.sampler),
        "protocol": model.protocol.model_dump(),
        "card": model.card.model_dump(),
    }
    for name, part in (
        ("calibration", model.calibration),
        ("look_spread", model.look_spread),
        ("population", model.stored_population),
    ):
        if part is not None:
            description[name] = part.model_dump()
    plain: dict[str, Any] = json.loads(json.dumps(description))  # tuples are lists, and every key a word
    return plain


def digest_of(description: Mapping[str, Any]) -> str:
    """SHA-256 of a description, and so of the weights that it has the hash of."""
    said = {name: part for name, part in description.items() if name != "digest"}
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def written(description: Mapping[str, Any]) -> bytes:
    """model.json."""
    return json.dumps(description, indent=2).encode()


def weights_of(model: Model) -> bytes:
    """The weights as they are saved."""
    state = {name: tensor.cpu().contiguous() for name, tensor in model.network.state_dict().items()}
    for prefix, part in ((GATE, model.familiarity), (OUTLINE, model.outline)):
        arrays = {} if part is None else vars(part)
        state |= {prefix + name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    weights: bytes = save_tensors(state)
    return weights


def find(name_or_folder: str | Path) -> Path:
    """The folder of a bundled model's name or of a path.

    Raises:
        InvalidModel: there is neither.
    """
    folder, bundled = Path(name_or_folder), models()
    if (folder / "model.json").is_file():
        return folder
    if str(name_or_folder) in bundled:
        return bundled[str(name_or_folder)]
    raise InvalidModel(
        f"no model.json here, and no bundled model of this name.{did_you_mean(folder.name, bundled)}",
        path=name_or_folder,
        next_step=f"Give a folder that `mcsdr train` wrote, or a bundled model: {', '.join(bundled)}.",
    )


def load(name_or_folder: str | Path = mcsdr.DEFAULT_MODEL, device: str | torch.device = "cpu") -> Model:
    """Load a bundled model, or one that `mcsdr train` wrote.

    Arguments:
        name_or_folder: a bundled model's name, or a folder.
        device: where it will compute.

    Raises:
        InvalidModel: a file is missing, was changed since it was saved, or does not fit this version.

    >>> load("phantom-a4c")
    Model(phantom-a4c, 674,147 parameters, trained on synthetic phantoms; research use only, not for diagnosis)
    """
    folder = find(name_or_folder)
    try:
        with (folder / "model.json").open("rb") as file:
            content = file.read(LONGEST)
        description = json.loads(content)
        _check(description, content, folder)
        weights = (folder / "model.safetensors").read_bytes()
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidModel(f"the model cannot be read: {error}", path=folder) from error
    weights_sha256 = hashlib.sha256(weights).hexdigest()
    if description.get("sha256") != weights_sha256:
        raise InvalidModel("the weights are not those that were saved: their SHA-256 differs.", path=folder)
    try:
        model = _rebuilt(description, weights)
    except (*UNFIT, SafetensorError, InvalidConfig, InvalidModel) as error:
        raise InvalidModel(f"the model does not fit mcsdr {mcsdr.__version__}: {error}", path=folder) from error
    said = description_of(model, weights_sha256)
    unknown = ", ".join(sorted(description.keys() - said.keys() - {"digest"}))
    if unknown:
        raise InvalidModel(
            f"model.json has parts that mcsdr {mcsdr.__version__} does not know: {unknown[:200]}.", path=folder
        )
    model.weights_sha256, model.saved_as = weights_sha256, {digest_of(said): digest_of(description)}
    model.network.to(device)
    return model


def _check(description: Any, content: bytes, folder: Path) -> None:
    """Refuse what is no description, is of another format, or is not what was saved, to the byte."""
    if not isinstance(description, dict):
        raise InvalidModel("model.json is no description of a model.", path=folder)
    if description.get("format") not in READ:
        writer = description.get("mcsdr", "of another version")
        raise InvalidModel(
            f"it is of format {description.get('format')} and was written by mcsdr {writer}; "
            f"mcsdr {mcsdr.__version__} reads formats {READ[0]} to {READ[-1]}.",
            path=folder,
            next_step=f"Load it with mcsdr {writer}.",
        )
    required = description["format"] > 1 or "digest" in description
    if required and (description.get("digest") != digest_of(description) or content != written(description)):
        raise InvalidModel(
            "the description is not the one that was saved: model.json was changed since, and its digest differs.",
            path=folder,
        )


def _rebuilt(description: dict[str, Any], weights: bytes) -> Model:
    network = build_network(NetworkSettings(**description["network"]))
    tensors = load_tensors(weights)
    gate, outline = (_taken(prefix, tensors) for prefix in (GATE, OUTLINE))
    network.load_state_dict(tensors)
    return Model(
        network,
        ClipSettings(**description["clip"]),
        AttributeStatistics(**description["attributes"]),
        Card(**description["card"]),
        SamplerSettings(**description["sampler"]),
        ProtocolSettings(**description.get("protocol", {})),
        Calibration(**description["calibration"]) if "calibration" in description else None,
        Familiarity(**gate) if gate else None,
        LookSpread(**description["look_spread"]) if "look_spread" in description else None,
        Population(**description["population"]) if "population" in description else None,
        OutlineReading(**outline) if outline else None,
    )


def _taken(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, NDArray[Any]]:
    """Those of a prefix, without it, taken out of the rest."""
    names = [name for name in tensors if name.startswith(prefix)]
    return {name.removeprefix(prefix): tensors.pop(name).numpy() for name in names}
