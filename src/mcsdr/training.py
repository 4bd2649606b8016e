"""Training, read top to bottom: settings, data, one step, validation, the loop.

The same script runs on 2 cores, one GPU or many processes under torchrun. Every random draw is a function of
(seed, step, process), every setting is in the TOML file, and a killed run resumes where its checkpoint stood.
"""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from mcsdr.attributes import AttributeStatistics
from mcsdr.cache import ClipCache, cached
from mcsdr.checkpoint import Average, load_checkpoint, save_checkpoint
from mcsdr.clips import ClipSettings, augment, draw_augmentation, standardise
from mcsdr.datasets import CohortSpec, PhantomCohort, open_cohort
from mcsdr.errors import InvalidConfig
from mcsdr.metrics.scores import crps_of
from mcsdr.model import Card, Model, load
from mcsdr.nn.network import NetworkSettings, PosteriorNetwork, channels_last
from mcsdr.objective import DropoutSettings, Hidden, Objective, draw_hidden, draw_noise
from mcsdr.phantom.people import READER_RANGE, READER_SD


class Settings(BaseModel):
    """Base of every table of a training file: an unknown key is an error, not a silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataSettings(Settings):
    """What to learn from and what to select by."""

    train: CohortSpec
    val: CohortSpec
    # "reading" is the label of the table; "redrawn" lets another reader read the same phantom at every visit.
    label: Literal["reading", "redrawn"] = "reading"
    cache: Path = Path("runs/cache")


class OptimSettings(Settings):
    """How the weights move."""

    epochs: int = Field(20, gt=0)
    batch: int = Field(32, gt=0)
    lr: float = Field(2e-3, gt=0)
    weight_decay: float = Field(0.02, ge=0)
    warmup: float = Field(0.03, ge=0, lt=1)  # share of all steps
    clip_norm: float = Field(1.0, gt=0)
    ema: float = Field(0.999, ge=0, lt=1)


class RunSettings(Settings):
    """Seed, precision and how often to look."""

    name: str = "model"
    seed: int = 0
    precision: Literal["bf16", "no"] = "bf16"
    short_clips: float = Field(0.3, ge=0, le=1)  # share of batches cut to fewer frames
    validate_every: int = Field(1, gt=0)  # epochs
    checkpoint_every: int = Field(100, gt=0)  # steps


class TrainSettings(Settings):
    """One experiment; the mirror of its TOML file."""

    data: DataSettings
    clip: ClipSettings = ClipSettings()
    network: NetworkSettings = NetworkSettings()
    dropout: DropoutSettings = DropoutSettings()
    optim: OptimSettings = OptimSettings()
    run: RunSettings = RunSettings()


def read_settings(path: Path, overrides: dict[str, str] | None = None) -> TrainSettings:
    """Settings from a TOML file, with dotted overrides such as {"optim.lr": "1e-3"}.

    Raises:
        InvalidConfig: no such file, not TOML, or a key or value that is not allowed.
    """
    try:
        tables: dict[str, Any] = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise InvalidConfig(f"the settings cannot be read: {error}", path=path) from error
    for key, value in (overrides or {}).items():
        *parents, leaf = key.split(".")
        table = tables
        for parent in parents:
            table = table.setdefault(parent, {})
        table[leaf] = _toml_value(value)
    try:
        return TrainSettings.model_validate(tables)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise InvalidConfig(problems, path=path) from error


def _toml_value(text: str) -> Any:
    """A number, list or table as TOML writes it; anything else is a word."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


@dataclass(frozen=True)
class Batch:
    """One step's input with all its randomness already drawn."""

    video: Tensor
    attributes: Tensor
    ef_percent: Tensor
    hidden: Hidden
    pairs: Any

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        hidden = Hidden(self.hidden.attributes.to(device), self.hidden.video.to(device))
        pairs = type(self.pairs)(*(part.to(device) for part in self.pairs))
        plain = {f.name: getattr(self, f.name).to(device) for f in fields(self)[:3]}
        return Batch(**plain, hidden=hidden, pairs=pairs)


class Feed:
    """Batches by step number: which clips, how seen, read by whom. Pure functions of (seed, step, process)."""

    def __init__(
        self, cache: ClipCache, statistics: AttributeStatistics, settings: TrainSettings, rank: int, world: int
    ) -> None:
        self.cache, self.settings, self.rank, self.world = cache, settings, rank, world
        self.attributes = torch.from_numpy(statistics.standardise(cache.attributes))
        self.share = settings.optim.batch // world
        self.steps_per_epoch = len(cache) // settings.optim.batch
        if self.steps_per_epoch == 0 or self.share == 0:
            raise InvalidConfig(
                f"a batch of {settings.optim.batch} does not fit {len(cache)} clips on {world} processes."
            )
        if settings.data.label == "redrawn" and np.isnan(cache.true_ef_percent).any():
            raise InvalidConfig("label = 'redrawn' needs the true ejection fraction, which only phantoms have.")

    def batch(self, step: int) -> Batch:
        """The batch of one step."""
        seed = self.settings.run.seed
        epoch, within = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([seed, 1, epoch]).permutation(len(self.cache))
        first = within * self.settings.optim.batch + self.rank * self.share
        rows = order[first : first + self.share]
        generator = torch.Generator().manual_seed(_mix(seed, 2, step, self.rank))
        frames = self._frames(rows, generator, _mix(seed, 3, step))
        video = standardise(augment(frames, draw_augmentation(len(rows), generator)))
        hidden = draw_hidden(len(rows), self.attributes.shape[1], self.settings.dropout, generator)
        pairs = draw_noise(len(rows), self.settings.dropout, generator)
        return Batch(video, self.attributes[rows], self._labels(rows, generator), hidden, pairs)

    def _frames(self, rows: np.ndarray, generator: torch.Generator, length_seed: int) -> Tensor:
        """Clips [B, T, H, W] of one length, the same on every process: sometimes cut short, from a random frame on."""
        longest = int(self.cache.lengths[rows].min())
        rng = np.random.default_rng(length_seed)
        length = longest
        if rng.random() < self.settings.run.short_clips:
            length = min(longest, 4 * int(rng.integers(4, self.settings.clip.frames // 4 + 1)))
        spare = torch.tensor(self.cache.lengths[rows] - length)
        starts = (torch.rand(len(rows), generator=generator) * (spare + 1)).long().tolist()
        clips = [self.cache.frames[row, start : start + length] for row, start in zip(rows, starts, strict=True)]
        return torch.from_numpy(np.stack(clips))

    def _labels(self, rows: np.ndarray, generator: torch.Generator) -> Tensor:
        if self.settings.data.label == "reading":
            return torch.from_numpy(self.cache.ef_percent[rows]).float()
        true_ef = torch.from_numpy(self.cache.true_ef_percent[rows]).float()
        return (true_ef + READER_SD * torch.randn(len(rows), generator=generator)).clamp(*READER_RANGE)


def _mix(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def learning_rate(step: int, steps: int, settings: OptimSettings) -> float:
    """Linear warm-up, then a cosine to 1 % of the peak."""
    warmup = max(1, round(settings.warmup * steps))
    if step < warmup:
        return settings.lr * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return settings.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


def _optimiser(network: torch.nn.Module, settings: OptimSettings) -> torch.optim.AdamW:
    """AdamW; norms, biases and embeddings of one dimension are not decayed."""
    decayed = [p for p in network.parameters() if p.dim() >= 2]
    free = [p for p in network.parameters() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.lr, betas=(0.9, 0.98))


def validate(model: Model, cache: ClipCache, batch: int = 32) -> dict[str, float]:
    """CRPS against the readings, and MAE of the median against the truth where it is known."""
    attributes = model.statistics.standardise(cache.attributes)
    parts = []
    for start in range(0, len(cache), batch):
        rows = range(start, min(start + batch, len(cache)))
        clips = [torch.from_numpy(np.array(cache.frames[row, : cache.lengths[row]])) for row in rows]
        parts.append(model.posterior(model.encode_clips(clips), attributes[start : start + batch]))
    scores = np.concatenate(
        [crps_of(part, cache.ef_percent[s * batch : s * batch + len(part)]) for s, part in enumerate(parts)]
    )
    median = np.concatenate([np.asarray(part.median) for part in parts])
    return {
        "crps": float(scores.mean()),
        "mae": float(np.abs(median - cache.ef_percent).mean()),
        "mae_true": float(np.abs(median - cache.true_ef_percent).mean()),
    }


class Log:
    """One JSON row per event in log.jsonl, mirrored to tensorboard; rows beyond a resumed step are taken back."""

    def __init__(self, folder: Path, resumed_step: int) -> None:
        from tensorboardX import SummaryWriter

        self.path = folder / "log.jsonl"
        kept = [line for line in self._lines() if json.loads(line)["step"] <= resumed_step]
        self.path.write_text("".join(kept))
        self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=resumed_step + 1)

    def _lines(self) -> Iterator[str]:
        if self.path.exists():
            with self.path.open() as file:
                yield from (line for line in file if line.endswith("}\n"))

    def write(self, step: int, **values: float) -> None:
        """Append one row."""
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            self.board.add_scalar(name, value, step)
        self.board.flush()


class Watcher(Protocol):
    """Whom a run tells how far it is."""

    def cache(self, cohort: str, done: int, total: int) -> None:
        """A clip was rendered or decoded."""

    def step(self, step: int, steps: int, loss: float) -> None:
        """A step was made."""

    def validated(self, step: int, figures: dict[str, float], best: bool) -> None:
        """The validation cohort was answered."""


class Silence:
    """A watcher that says nothing."""

    def cache(self, cohort: str, done: int, total: int) -> None: ...
    def step(self, step: int, steps: int, loss: float) -> None: ...
    def validated(self, step: int, figures: dict[str, float], best: bool) -> None: ...


def load_caches(settings: TrainSettings, watcher: Watcher, accelerator: Accelerator) -> tuple[ClipCache, ClipCache]:
    """The training and validation clips, rendered or decoded once by the first process."""

    def one(name: str, spec: CohortSpec) -> ClipCache:
        cohort = open_cohort(spec)
        advance: Callable[[int], None] = lambda done: watcher.cache(name, done, len(cohort))  # noqa: E731
        made_from = {
            "renderer": _phantom_fingerprint() if spec.kind == "phantom" else "",
            **spec.model_dump(mode="json"),
        }
        names = settings.network.attributes
        return cached(settings.data.cache, made_from, lambda: cohort, len(cohort), settings.clip, names, advance)

    with accelerator.main_process_first():
        return one("train", settings.data.train), one("val", settings.data.val)


def _phantom_fingerprint() -> str:
    """A hash of what one phantom looks like: clips of another renderer are not taken for this one's."""
    study = PhantomCohort(1, seed=0)[0]
    facts = study.clips[0].frames.tobytes() + repr((study.ef_percent, study.attributes)).encode()
    return hashlib.sha256(facts).hexdigest()[:16]


def train(settings: TrainSettings, folder: Path, watcher: Watcher | None = None) -> Model:
    """Train into `folder`, going on from its checkpoint if it has one, and return the best model.

    Writes last.safetensors (checkpoint), log.jsonl, tensorboard/, settings.json and model/, the model of the best
    validation CRPS.

    Raises:
        InvalidConfig: the settings do not fit the data.
        InvalidModel: the folder holds a checkpoint of another network.
    """
    watcher = watcher or Silence()
    folder.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(mixed_precision=settings.run.precision)
    train_cache, val_cache = load_caches(settings, watcher, accelerator)
    statistics = AttributeStatistics.fit(settings.network.attributes, train_cache.attributes)
    feed = Feed(train_cache, statistics, settings, accelerator.process_index, accelerator.num_processes)

    torch.manual_seed(settings.run.seed)
    network = channels_last(PosteriorNetwork(settings.network))
    objective = Objective(network)
    optimiser = _optimiser(network, settings.optim)
    average = Average(network, settings.optim.ema)
    checkpoint = folder / "last.safetensors"
    progress: dict[str, Any] = {"step": 0, "best": None}
    if checkpoint.exists():
        progress = load_checkpoint(checkpoint, network, average, optimiser)
    wrapped, optimiser = accelerator.prepare(objective, optimiser)
    average.state = {name: t.to(accelerator.device) for name, t in average.state.items()}
    main = accelerator.is_main_process
    log = Log(folder, progress["step"]) if main else None

    steps = feed.steps_per_epoch * settings.optim.epochs
    for step in range(progress["step"], steps):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, steps, settings.optim)
        batch = feed.batch(step).to(accelerator.device)
        denoising, nll = wrapped(batch.video, batch.attributes, batch.ef_percent, batch.hidden, batch.pairs)
        accelerator.backward(denoising + nll)
        accelerator.clip_grad_norm_(network.parameters(), settings.optim.clip_norm)
        optimiser.step()
        optimiser.zero_grad()
        average.update(network, step + 1)
        if log is None:
            continue
        done = step + 1
        watcher.step(done, steps, denoising.item() + nll.item())
        if done % 20 == 0:
            log.write(done, denoising=denoising.item(), nll=nll.item())
        if done == steps or done % (settings.run.validate_every * feed.steps_per_epoch) == 0:
            model = _averaged_model(settings, statistics, average)
            figures = validate(model, val_cache)
            best = progress["best"] is None or figures["crps"] < progress["best"]
            if best:
                progress["best"] = figures["crps"]
                model.card.figures["validation"] = {"step": done, **figures}
                model.save(folder / "model")
            log.write(done, **{f"val_{name}": value for name, value in figures.items()})
            watcher.validated(done, figures, best)
        if done == steps or done % settings.run.checkpoint_every == 0:
            progress["step"] = done
            save_checkpoint(checkpoint, network, average, optimiser, progress)
    accelerator.wait_for_everyone()
    return load(folder / "model")


def _averaged_model(settings: TrainSettings, statistics: AttributeStatistics, average: Average) -> Model:
    network = PosteriorNetwork(settings.network)
    network.load_state_dict({name: t.cpu() for name, t in average.state.items()})
    card = Card(
        name=settings.run.name,
        training_data=settings.data.train.describe(),
        synthetic=settings.data.train.kind == "phantom",
        config=settings.model_dump(mode="json"),
    )
    return Model(network, settings.clip, statistics, card)
