"""The MCSDR authors' released checkpoints as models of this package.

Their checkpoint holds two state dicts, the encoder ("model_state_dict") and the regressor ("regressor_state_dict"),
and nothing of how attributes were scaled. Their code scales them on every split anew:

    u = (x − min)/(max − min),      sex by the order in which the values appear in the table,

where ours takes z = (x − μ)/σ, with 0 for unknown. The two differ by an affine map, which goes into the first layer:

    A₁u + b = A₁ diag(σ/(max − min)) z + b + A₁ (μ − min)/(max − min)

so predictions are the same, and an unknown attribute is the training mean, as their imputation has it. min and max come
from the table that they trained on (`scales_from_table`); without it they are assumed, and the model's card says so.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from mcsdr.clips import ClipSettings
from mcsdr.clips.attributes import SEX, AttributeStatistics
from mcsdr.diffusion.sampler import PAPER, SamplerSettings
from mcsdr.diffusion.schedule import BETA_MAX, BETA_MIN, T
from mcsdr.errors import InvalidCohort, InvalidModel, MissingFile
from mcsdr.model import Card, Model
from mcsdr.nn.network import NetworkSettings, build_network
from mcsdr.training.weights.published import unprefixed
from mcsdr.training.weights.torch_checkpoint import Checkpoint, read_checkpoint

Dataset = Literal["echonet-dynamic", "echonet-pediatric", "camus"]
COLUMNS = {"age_years": "Age", "sex": "Sex", "weight_kg": "Weight", "height_cm": "Height"}
TRAINING_FOLDS = {str(fold) for fold in range(8)}  # of EchoNet-Pediatric's ten, where the split is not in words
UNKNOWN = {"", "nan", "na", "n/a", "null", "none"}
WIDTH = 256
TIME_WIDTH: dict[Dataset, int] = {"echonet-dynamic": 64, "echonet-pediatric": 64, "camus": 32}
NEXT_STEP = "Give a checkpoint that the authors released for this data set, and that data set's name."

# Theirs to ours; the query and key projections, which no output depends on, have no place here.
NAMES = {
    "time_mlp.1": "time.0",
    "tabular_encoder.0": "attributes.0",
    "tabular_encoder.2": "attributes.2",
    "noise_predictor.map_y_t": "query",
    "noise_predictor.map_cond": "key",
    "noise_predictor.cross_attention.out_proj": "out_attention",
    "noise_predictor.norm1": "norm_attention",
    "noise_predictor.ffn.0": "feed.0",
    "noise_predictor.ffn.2": "feed.2",
    "noise_predictor.norm2": "norm_feed",
    "noise_predictor.final_layer": "out",
}


@dataclass(frozen=True)
class Scale:
    """How one attribute x was scaled: u = offset + slope·x, with its mean and SD over the training rows."""

    offset: float
    slope: float
    mean: float
    sd: float

    @classmethod
    def of_range(cls, low: float, high: float, mean: float, sd: float) -> Scale:
        """u = (x − low)/(high − low)."""
        slope = 1 / (high - low) if high > low else 1.0  # a constant column becomes 0, as in scikit-learn
        return cls(-low * slope, slope, mean, sd)


# Nobody knows which sex came first in their table: ½ for both takes sides with neither.
SEX_UNUSED = Scale(0.5, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Recipe:
    """What the authors' configuration for a data set says, and the scales assumed where its table is not at hand."""

    clip: ClipSettings
    sampler: SamplerSettings
    assumed: Mapping[str, Scale]
    adults: bool


RECIPES: dict[Dataset, Recipe] = {
    "echonet-dynamic": Recipe(
        ClipSettings(sampling="whole", every=4, frames=32, keep=0.95, keep_least=0.9, grey="unit"), PAPER, {}, True
    ),
    "echonet-pediatric": Recipe(
        ClipSettings(sampling="whole", every=1, frames=16, keep=0.95, keep_least=0.9, grey="unit"),
        PAPER,
        {
            "age_years": Scale.of_range(0, 18, 10, 6),
            "sex": SEX_UNUSED,
            "weight_kg": Scale.of_range(2, 120, 36, 24),
            "height_cm": Scale.of_range(45, 195, 130, 38),
        },
        False,
    ),
    "camus": Recipe(
        ClipSettings(sampling="whole", every=1, frames=16, keep=1.0, keep_least=1.0, grey="unit"),
        replace(PAPER, draws=10),
        {"age_years": Scale.of_range(18, 95, 65, 14), "sex": SEX_UNUSED},
        True,
    ),
}


def import_official(checkpoint: str | Path, dataset: Dataset, table: str | Path | None = None) -> Model:
    """The authors' checkpoint as a model, whose noise predictions are theirs.

    Arguments:
        checkpoint: what they released, `.pth`; read safely, see `mcsdr.training.weights.torch_checkpoint`.
        dataset: what it was trained on, which says how clips are sampled and what the attributes are.
        table: the CSV file that training read, with the columns Split, Age, Sex, Weight, Height as far as they apply.

    Raises:
        MissingFile: there is no such file.
        InvalidModel: the checkpoint cannot be read, or its network is not the paper's.
        InvalidCohort: the table lacks a column or a value.
    """
    scales = None if table is None else scales_from_table(table, tuple(RECIPES[dataset].assumed))
    try:
        model = convert(read_checkpoint(checkpoint), dataset, scales)
    except InvalidModel as error:
        raise InvalidModel(error.cause, path=checkpoint, next_step=error.next_step) from error
    model.card.config["imported"]["sha256"] = hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest()
    return model


def convert(checkpoint: Checkpoint, dataset: Dataset, scales: Mapping[str, Scale] | None = None) -> Model:
    """The same from tensors; `scales` are those assumed where none are given."""
    encoder = _part(checkpoint, "model_state_dict", "model")
    regressor = _part(checkpoint, "regressor_state_dict", "regressor")
    recipe = RECIPES[dataset]
    settings = _settings(regressor, dataset)
    used = {name: (scales or recipe.assumed)[name] for name in settings.attributes}
    state = {f"video_encoder.{name}": t for name, t in encoder.items() if not name.startswith("head.")}
    state |= {f"head.{name}": t for name, t in _head(regressor, list(used.values())).items()}
    network = build_network(settings)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise InvalidModel(f"the weights do not fit: {error}", next_step=NEXT_STEP) from error
    statistics = AttributeStatistics(
        names=tuple(used),
        mean=tuple(s.mean for s in used.values()),
        sd=tuple(s.sd for s in used.values()),
        limit_sd=None,  # their code holds no attribute back
    )
    assumed = bool(used) and scales is None
    return Model(network, recipe.clip, statistics, _card(dataset, tuple(used), assumed), recipe.sampler)


def _part(checkpoint: Checkpoint, *names: str) -> dict[str, Tensor]:
    for name in names:
        if name in checkpoint:
            part = checkpoint[name]
            return unprefixed(part, "module.") or part
    raise InvalidModel(f"it has no part {names[0]}.", next_step=NEXT_STEP)


def _settings(regressor: dict[str, Tensor], dataset: Dataset) -> NetworkSettings:
    """The network that the regressor's shapes tell of."""
    query = regressor.get("noise_predictor.map_y_t.weight")
    if query is None or query.shape[0] != WIDTH or "noise_predictor.cross_attention.in_proj_weight" not in regressor:
        raise InvalidModel("its score network is not the paper's cross-attention.", next_step=NEXT_STEP)
    betas = regressor.get("betas")
    if betas is not None and not (len(betas) == T and torch.allclose(betas, torch.linspace(BETA_MIN, BETA_MAX, T))):
        raise InvalidModel("its noise schedule is not the paper's.", next_step=NEXT_STEP)
    first = regressor.get("tabular_encoder.0.weight")
    attributes = () if first is None else tuple(RECIPES[dataset].assumed)
    attribute_width, given = (0, 0) if first is None else first.shape
    if query.shape[1] - 1 != TIME_WIDTH[dataset]:
        raise InvalidModel(
            f"its time embedding is {query.shape[1] - 1} wide; that of {dataset} is {TIME_WIDTH[dataset]}.",
            next_step=NEXT_STEP,
        )
    if given != len(attributes):
        raise InvalidModel(
            f"it takes {given} attributes; those of {dataset} are {', '.join(attributes) or 'none'}.",
            next_step=NEXT_STEP,
        )
    return NetworkSettings(
        kind="mcsdr",
        encoder="uniformer-s",
        attributes=attributes,
        attribute_width=attribute_width,
        time_width=query.shape[1] - 1,
        max_frames=RECIPES[dataset].clip.frames,
    )


def _head(regressor: dict[str, Tensor], scales: Sequence[Scale]) -> dict[str, Tensor]:
    """The regressor under the names of `McsdrHead`, the attributes' scaling in its first layer."""
    head = {
        f"{ours}.{kind}": regressor[f"{theirs}.{kind}"]
        for theirs, ours in NAMES.items()
        for kind in ("weight", "bias")
        if f"{theirs}.{kind}" in regressor
    }
    for kind in ("weight", "bias"):  # rows of query, key and value, one below the other
        joined = regressor.get(f"noise_predictor.cross_attention.in_proj_{kind}")
        if joined is not None:
            head[f"value.{kind}"] = joined[2 * WIDTH :]
    if scales:
        weight, bias = (head[f"attributes.0.{kind}"].double() for kind in ("weight", "bias"))
        at_mean = torch.tensor([s.offset + s.slope * s.mean for s in scales], dtype=torch.float64)
        per_sd = torch.tensor([s.slope * s.sd for s in scales], dtype=torch.float64)
        head["attributes.0.weight"] = (weight * per_sd).float()
        head["attributes.0.bias"] = (bias + weight @ at_mean).float()
    return head


def _card(dataset: Dataset, attributes: tuple[str, ...], assumed: bool) -> Card:
    origin = f"The MCSDR authors' released weights, trained by them on {dataset} (arXiv 2602.08202)."
    if assumed:
        origin += (
            " THE SCALES OF AGE, WEIGHT AND HEIGHT ARE ASSUMED AND SEX IS NOT USED: the checkpoint does not say how"
            " attributes were scaled. Import it again with the table that it was trained on."
        )
    if not attributes:
        origin += (
            f" That it is one of {dataset} is the word of who imported it: a checkpoint of video alone does not say."
        )
    config = {"imported": {"dataset": dataset, "attributes": list(attributes), "scales_assumed": assumed}}
    name = f"mcsdr-official-{dataset}"
    return Card(name=name, training_data=origin, synthetic=False, adults_only=RECIPES[dataset].adults, config=config)


def scales_from_table(path: str | Path, attributes: Sequence[str]) -> dict[str, Scale]:
    """The scales that the authors' code takes from the training rows of a table.

    Training rows are those whose Split is "train" in any case, or a fold from 0 to 7; all where there is no Split.

    Raises:
        MissingFile: there is no such file.
        InvalidCohort: no training row, or an attribute has no column or no values.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise MissingFile("no such file.", path=path) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidCohort(f"the table cannot be read: {error}", path=path) from error
    training = [r for r in rows if "Split" not in r or (r["Split"] or "").strip().lower() in {"train", *TRAINING_FOLDS}]
    scales = {}
    for name in attributes:
        column = [(row.get(COLUMNS[name]) or "").strip() for row in training]
        try:
            scales[name] = _scale_of_sex(column) if name == "sex" else _scale_of_numbers(column)
        except ValueError as error:
            cause = f"the column {COLUMNS[name]} of the training rows cannot be used: {error}"
            raise InvalidCohort(cause, path=path, next_step="Give the table that training read.") from error
    return scales


def _scale_of_numbers(column: Sequence[str]) -> Scale:
    known = np.array([float(cell) for cell in column if cell.lower() not in UNKNOWN])
    if not len(known):
        raise ValueError("it has no values.")
    return Scale.of_range(known.min(), known.max(), float(known.mean()), float(known.std()) or 1.0)


def _scale_of_sex(column: Sequence[str]) -> Scale:
    """Codes 0, 1, … in the order of appearance, −1 for unknown, then scaled to 0…1; as a line through F and M."""
    known = [cell for cell in column if cell.lower() not in UNKNOWN]
    order = list(dict.fromkeys(known))
    if not SEX.keys() <= set(order):
        raise ValueError("F and M do not both appear.")
    low, high = (-1 if len(known) < len(column) else 0), len(order) - 1
    female, male = ((order.index(sex) - low) / (high - low) for sex in ("F", "M"))
    x = np.array([SEX[cell] for cell in known if cell in SEX])
    slope = (male - female) / (SEX["M"] - SEX["F"])
    return Scale(female - slope * SEX["F"], slope, float(x.mean()), float(x.std()))
