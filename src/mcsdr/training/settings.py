"""One experiment is one TOML file; this is its mirror.

Every table and key of the file is named here, with its range. An unknown key is an error, not a silence. Any setting
can be given anew by its dotted name: `read_settings(path, {"optim.lr": "5e-4"})`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mcsdr.clips import ClipSettings
from mcsdr.clips.protocol import ProtocolSettings
from mcsdr.datasets import CohortSpec
from mcsdr.diffusion.sampler import EXACT, SamplerSettings
from mcsdr.errors import InvalidConfig, did_you_mean
from mcsdr.nn.network import NetworkSettings
from mcsdr.study import Attributes
from mcsdr.training.objective import DropoutSettings

COMPARE = "Compare it with the experiments that ship with the package: `mcsdr train --list`."


class Settings(BaseModel):
    """Base of every table of a training file: an unknown key is an error, not a silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataSettings(Settings):
    """What to learn from and what to select by."""

    train: CohortSpec
    val: CohortSpec
    # "reading" is the label of the table; "redrawn" lets another reader read the same phantom at every visit, and where
    # the phantom hides something, another hidden truth behind the same picture.
    label: Literal["reading", "redrawn"] = "reading"
    readings: int = Field(
        1, gt=0, le=4096
    )  # at a visit, where redrawn: so many readers, each with its share of the noise pairs
    cache: Path = Path("runs/cache")
    workers: int = Field(0, ge=0, le=256)  # processes that render or decode clips for the cache; 0: the training's own
    max_bad: float = Field(0.01, ge=0, le=1)  # share of studies that may be unusable before the run stops


class OptimSettings(Settings):
    """How the weights move."""

    epochs: int = Field(20, gt=0, le=100_000)
    batch: int = Field(32, gt=0, le=65_536)
    lr: float = Field(2e-3, gt=0, le=10)
    encoder_lr: float | None = Field(None, gt=0, le=10)  # the video encoder's, where it is another
    lr_end: float | None = Field(None, gt=0, le=10)  # of every part at the last step; 1 % of its own where not given
    weight_decay: float = Field(0.02, ge=0, le=10)
    decay_all: bool = False  # biases and norms too, as AdamW does by itself
    warmup: float = Field(0.03, ge=0, lt=1)  # share of all steps
    beta2: float = Field(0.98, gt=0, lt=1)  # of AdamW
    clip_norm: float = Field(1.0, ge=0, le=1e6)  # 0: gradients are not cut
    bad_steps: int = Field(10, ge=0, le=1000)  # steps in a row without a finite gradient, left out, before a run stops
    ema: float = Field(0.999, ge=0, lt=1)


class DenseSettings(Settings):
    """Dense targets beside the ejection fraction, see `training.dense`."""

    weight: float = Field(0.0, ge=0, le=100)  # of their loss beside the posterior's; 0: none


class AgreementSettings(Settings):
    """Two looks at each clip of a batch whose readings should agree, see `training.objective`."""

    weight: float = Field(0.0, ge=0, le=100)  # of their disagreement beside the posterior's loss; 0: one look


class StartSettings(Settings):
    """What the weights start from."""

    model: str = ""  # a model's name or folder, all of whose weights are taken; goes before `encoder`
    encoder: str = ""  # a model's name or folder, or a checkpoint of the encoder; random where empty
    frozen: bool = False  # the encoder stays what it starts from, and the central window of each clip is encoded once


class RunSettings(Settings):
    """Seed, precision, augmentation and how often to look."""

    name: str = Field("model", min_length=1, max_length=100)
    seed: int = Field(0, ge=0, lt=2**63)
    precision: Literal["bf16", "no"] = "bf16"  # bf16 where the machine multiplies in it, else float32
    short_clips: float = Field(0.3, ge=0, le=1)  # share of batches cut to fewer frames
    mirrored_clips: float = Field(0.0, ge=0, le=1)  # share of clips with left and right exchanged
    reversed_clips: float = Field(0.0, ge=0, le=1)  # share of clips with the last frame first
    uneven_clips: float = Field(0.0, ge=0, le=1)  # share of clips that run now faster, now slower; of other beats
    augmentation: Literal["strong", "crop", "none"] = "strong"
    select: Literal["crps", "mae"] = "crps"  # the validation figure that the kept model is best in
    validate_every: int = Field(1, gt=0, le=100_000)  # epochs
    checkpoint_every: int = Field(100, gt=0, le=10_000_000)  # steps


class TrainSettings(Settings):
    """One experiment; the mirror of its TOML file."""

    data: DataSettings
    clip: ClipSettings = ClipSettings()
    network: NetworkSettings = NetworkSettings()
    dropout: DropoutSettings = DropoutSettings()
    dense: DenseSettings = DenseSettings()
    agreement: AgreementSettings = AgreementSettings()
    sampler: SamplerSettings = EXACT
    protocol: ProtocolSettings = ProtocolSettings()
    start: StartSettings = StartSettings()
    optim: OptimSettings = OptimSettings()
    run: RunSettings = RunSettings()

    @model_validator(mode="after")
    def _parts_fit(self) -> TrainSettings:
        network, known = self.network, [field.name for field in fields(Attributes)]
        unknown = [name for name in network.attributes if name not in known]
        if unknown:
            raise ValueError(f"network.attributes: there is no attribute {unknown[0]!r}; there are {', '.join(known)}")
        if network.encoder == "compact" and self.clip.frames > network.max_frames:
            raise ValueError(f"clip.frames = {self.clip.frames} is above network.max_frames = {network.max_frames}")
        shares = self.dropout.attribute
        if isinstance(shares, tuple) and len(shares) != len(network.attributes):
            raise ValueError(f"dropout.attribute holds {len(shares)} shares for {len(network.attributes)} attributes")
        return self

    @model_validator(mode="after")
    def _truth_is_dense(self) -> TrainSettings:
        if self.dense.weight and not (
            self.data.train.kind == "phantom"
            and self.network.encoder == "compact"
            and self.network.kind != "mcsdr"
            and (self.clip.sampling, self.clip.size, self.run.augmentation) == ("seconds", 112, "strong")
            and not self.start.frozen
        ):
            raise ValueError(
                "dense.weight above 0 needs phantoms sampled in seconds at 112 pixels, strong augmentation, and the "
                "compact encoder, which learns"
            )
        return self

    @model_validator(mode="after")
    def _looks_agree(self) -> TrainSettings:
        if self.agreement.weight and (
            self.network.kind != "posterior" or self.start.frozen or self.run.augmentation == "none"
        ):
            raise ValueError(
                'agreement.weight above 0 needs network.kind = "posterior", an encoder that learns, and augmentation'
            )
        return self

    @property
    def looks(self) -> int:
        """How often each study of a batch is seen in it."""
        return 2 if self.agreement.weight else 1

    @model_validator(mode="after")
    def _readers_share_pairs(self) -> TrainSettings:
        if self.data.readings > 1:
            if self.data.label != "redrawn" or self.network.kind != "posterior":
                raise ValueError('data.readings above 1 need data.label = "redrawn" and network.kind = "posterior"')
            if self.dropout.pairs % self.data.readings:
                raise ValueError(f"data.readings must divide the {self.dropout.pairs} of dropout.pairs")
        return self


def read_settings(path: Path, overrides: dict[str, str] | None = None, *over: Path) -> TrainSettings:
    """Settings from a TOML file, with dotted overrides such as {"optim.lr": "1e-3"}.

    Arguments:
        over: further TOML files, each laid over what stands before it, key by key.

    Raises:
        InvalidConfig: no such file, not TOML, or a key or value that is not allowed.
    """
    tables: dict[str, Any] = {}
    for file in (path, *over):
        try:
            _lay_over(tables, tomllib.loads(file.read_text()))
        except (OSError, ValueError, RecursionError) as error:  # no TOML, no text, or nested without an end
            raise InvalidConfig(f"the settings cannot be read: {error}", path=file, next_step=COMPARE) from error
    for key, value in (overrides or {}).items():
        _lay_over(tables, _nested(key, _toml_value(value)))
    try:
        return TrainSettings.model_validate(tables)
    except ValidationError as error:
        problems = "; ".join(_problem(".".join(map(str, e["loc"])), e["type"], e["msg"]) for e in error.errors())
        raise InvalidConfig(problems, path=path, next_step=COMPARE) from error


def setting_names() -> list[str]:
    """Every setting by its dotted name, such as "optim.lr"."""
    return list(_names(TrainSettings))


def nearest_setting(name: str) -> str:
    """ " Did you mean X?" of the setting of this name in another table, or else of what is spelt most like it."""
    known = setting_names()
    namesakes = [one for one in known if one.rpartition(".")[2] == name.rpartition(".")[2]]
    if namesakes:
        return did_you_mean(name, namesakes) or f" Did you mean {namesakes[0]}?"
    tables = {one.rpartition(".")[0] for one in known}
    return did_you_mean(name, tables | set(known) if "." in name else tables)


def _names(settings: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _names(field.annotation, f"{prefix}{name}.")
        elif is_dataclass(field.annotation):
            yield from (f"{prefix}{name}.{part.name}" for part in fields(field.annotation))
        else:
            yield prefix + name


def _problem(name: str, kind: str, message: str) -> str:
    """One fault of a file in words; of a name that is unknown also the nearest that is known."""
    unknown = kind in ("extra_forbidden", "unexpected_keyword_argument")
    return f"{name}: there is no such setting.{nearest_setting(name)}" if unknown else f"{name}: {message}"


def _nested(key: str, value: Any) -> dict[str, Any]:
    """{"optim": {"lr": value}} of "optim.lr"."""
    for name in reversed(key.split(".")):
        value = {name: value}
    return dict(value)


def _lay_over(tables: dict[str, Any], others: dict[str, Any]) -> None:
    for key, value in others.items():
        if isinstance(value, dict) and isinstance(tables.get(key), dict):
            _lay_over(tables[key], value)
        else:
            tables[key] = value


def _toml_value(text: str) -> Any:
    """A number, list or table as TOML writes it; anything else is a word."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text
