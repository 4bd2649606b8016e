"""Training, read top to bottom: rate, validation, log, data, one run, the loop.

The same script runs on 2 cores, one GPU or many processes under torchrun. Every random draw is a function of
(seed, step, process), every setting is in the TOML file, and a killed run resumes where its checkpoint stood.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator

from mcsdr.clips.attributes import AttributeStatistics
from mcsdr.datasets import CohortSpec, fingerprint, is_synthetic, open_cohort
from mcsdr.datasets.entries import FolderCohort
from mcsdr.errors import InvalidConfig, InvalidModel, TrainingDiverged
from mcsdr.metrics.scores import crps_of
from mcsdr.model import Card, Model, load
from mcsdr.nn.network import Network, build_network, channels_last
from mcsdr.posterior import Posterior
from mcsdr.study import ADULT_YEARS
from mcsdr.training.cache import ClipCache, cached, check_limit, name_of
from mcsdr.training.checkpoint import Average, load_checkpoint, save_checkpoint
from mcsdr.training.feed import Ahead, Feed
from mcsdr.training.objective import DropoutSettings, Objective
from mcsdr.training.settings import OptimSettings, TrainSettings
from mcsdr.training.tokens import EncodedCohort, stored_tokens
from mcsdr.training.weights.published import load_encoder_weights

CHECKPOINT = "last.safetensors"
LOG_EVERY = 20


def learning_rate(step: int, steps: int, peak: float, settings: OptimSettings) -> float:
    """Linear warm-up to the peak, then a cosine to `lr_end`."""
    warmup = round(settings.warmup * steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    end = 0.01 * peak if settings.lr_end is None else min(settings.lr_end, peak)
    share = (step - warmup) / max(1, steps - warmup)
    return end + (peak - end) * 0.5 * (1 + math.cos(math.pi * share))


def make_optimiser(network: Network, settings: OptimSettings) -> torch.optim.AdamW:
    """AdamW; what has one dimension is not decayed unless asked for, and the encoder may learn at a rate of its own."""
    groups = []
    encoder = {id(p) for p in network.video_encoder.parameters()}
    for peak, part in ((settings.lr, False), (settings.encoder_lr or settings.lr, True)):
        parameters = [p for p in network.parameters() if (id(p) in encoder) is part and p.requires_grad]
        least = 0 if settings.decay_all else 2
        decayed, free = [p for p in parameters if p.dim() >= least], [p for p in parameters if p.dim() < least]
        groups.append({"params": decayed, "weight_decay": settings.weight_decay, "peak": peak})
        groups.append({"params": free, "weight_decay": 0.0, "peak": peak})
    return torch.optim.AdamW(groups, lr=settings.lr, betas=(0.9, settings.beta2))


def validate(
    model: Model,
    cache: ClipCache,
    tokens: torch.Tensor | None = None,
    dropout: DropoutSettings | None = None,
    batch: int = 32,
) -> dict[str, float]:
    """CRPS against the readings, and MAE of the point estimate, against the truth too where it is known.

    Arguments:
        tokens: of every study, where the model's encoder is the one that made them.
        dropout: of the training; what it hides always is hidden here too.
    """
    attributes, video = cache.attributes, True
    if dropout is not None:
        attributes, video = np.where(dropout.attribute_never_shown, np.nan, attributes), dropout.video < 1
    if tokens is None:
        answer = _answer(model, cache, attributes, video, batch)
    else:
        answer = EncodedCohort.of(cache, tokens).ask(model, video=video, attributes=attributes)
    point = np.asarray(answer.median if answer.raw is None else answer.mean)
    figures = {
        "crps": float(crps_of(answer, cache.ef_percent).mean()),
        "mae": float(np.abs(point - cache.ef_percent).mean()),
        "mae_true": float(np.abs(point - cache.true_ef_percent).mean()),
    }
    return {name: value for name, value in figures.items() if not math.isnan(value)}


def _answer(model: Model, cache: ClipCache, attributes: np.ndarray, video: bool, batch: int) -> Posterior:
    known = model.statistics.standardise(attributes)
    answers = []
    for start in range(0, len(cache), batch):
        rows = range(start, min(start + batch, len(cache)))
        clips = [[(cache.frames(clip), clip.view) for clip in cache.clips[row] if video] for row in rows]
        answers.append(model.posterior(model.encode_stored(clips), known[rows.start : rows.stop]))
    return Posterior.joined(answers)


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

    def skipped(self, cohort: str, bad: Sequence[tuple[str, str]]) -> None:
        """These studies cannot be used, as (study_id, why)."""

    def step(self, step: int, steps: int, loss: float) -> None:
        """A step was made."""

    def validated(self, step: int, figures: dict[str, float], best: bool) -> None:
        """The validation cohort was answered."""


class Silence:
    """A watcher that says nothing."""

    def cache(self, cohort: str, done: int, total: int) -> None: ...
    def skipped(self, cohort: str, bad: Sequence[tuple[str, str]]) -> None: ...
    def step(self, step: int, steps: int, loss: float) -> None: ...
    def validated(self, step: int, figures: dict[str, float], best: bool) -> None: ...


def load_caches(settings: TrainSettings, watcher: Watcher, accelerator: Accelerator) -> tuple[ClipCache, ClipCache]:
    """The training and validation clips, rendered or decoded once by the first process."""

    def one(name: str, spec: CohortSpec) -> ClipCache:
        chosen = open_cohort(spec)
        cohort, of_all = chosen, spec
        if isinstance(chosen, FolderCohort):  # one cache serves all splits and folds of a folder
            of_all = spec.model_copy(update={"split": None, "fold": None})
            cohort = open_cohort(of_all)
        advance: Callable[[int], None] = lambda done: watcher.cache(name, done, len(cohort))  # noqa: E731
        made_from = {"source": fingerprint(of_all, cohort), **of_all.model_dump(mode="json")}
        data, folder = settings.data, isinstance(chosen, FolderCohort)
        names = settings.network.attributes
        allowed = 1.0 if folder else data.max_bad
        cache = cached(data.cache, made_from, cohort, settings.clip, names, advance, allowed, data.workers)
        if folder:
            cache = cache.select({name_of(chosen, index) for index in range(len(chosen))})
            check_limit(cache.bad, len(chosen), data.max_bad)
        watcher.skipped(name, cache.bad)
        return cache

    with accelerator.main_process_first():
        return one("train", settings.data.train), one("val", settings.data.val)


@dataclass
class Run:
    """Everything that a training holds between two steps."""

    settings: TrainSettings
    folder: Path
    watcher: Watcher
    accelerator: Accelerator
    feed: Feed
    val_cache: ClipCache
    val_tokens: torch.Tensor | None  # where the encoder stands still
    statistics: AttributeStatistics
    network: Network
    objective: torch.nn.Module  # the loss, wrapped so that processes average their gradients
    optimiser: Any
    average: Average
    progress: dict[str, Any]  # "step" and "best", what a checkpoint says besides tensors
    ahead: Feed | Ahead  # the feed, by a thread where a GPU would wait for it

    @classmethod
    def start(cls, settings: TrainSettings, folder: Path, watcher: Watcher) -> Run:
        """Data, network and optimiser, from the folder's checkpoint if it has one."""
        folder.mkdir(parents=True, exist_ok=True)
        # Without cpu=True, Accelerate under torchrun on a machine without a GPU makes one lone run of each process.
        # Its own mixed precision is fixed for the life of a process, in which trainings of both kinds may follow.
        accelerator = Accelerator(mixed_precision="no", cpu=not torch.cuda.is_available())
        train_cache, val_cache = load_caches(settings, watcher, accelerator)
        limit_sd = None if settings.network.kind == "mcsdr" else 4.0  # the paper's code holds nothing
        statistics = AttributeStatistics.fit(settings.network.attributes, train_cache.attributes, limit_sd)
        torch.manual_seed(settings.run.seed)
        network = channels_last(build_network(settings.network))
        start_from(network, settings)
        tokens = val_tokens = None
        if settings.start.frozen:
            network.video_encoder.requires_grad_(False)
            tokens, val_tokens = tokens_of(network, settings, accelerator, train_cache, val_cache)
        rank, world = accelerator.process_index, accelerator.num_processes
        feed = Feed(train_cache, statistics, settings, rank, world, tokens)
        optimiser, average = make_optimiser(network, settings.optim), Average(network, settings.optim.ema)
        progress: dict[str, Any] = {"step": 0, "best": None}
        if (folder / CHECKPOINT).exists():
            progress = load_checkpoint(folder / CHECKPOINT, network, average, optimiser)
        objective, optimiser = accelerator.prepare(Objective(network), optimiser)
        average.state = {name: t.to(accelerator.device) for name, t in average.state.items()}
        ahead = feed if accelerator.device.type == "cpu" else Ahead(feed)
        parts = (feed, val_cache, val_tokens, statistics, network, objective, optimiser, average, progress, ahead)
        return cls(settings, folder, watcher, accelerator, *parts)

    def advance(self, step: int, steps: int) -> tuple[float, float]:
        """One step of the optimiser; returns the denoising loss and the NLL of the location-scale head."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(step, steps, group["peak"], self.settings.optim)
        device = self.accelerator.device
        mixed = self.settings.run.precision == "bf16" and has_bf16(device)
        batch = self.ahead.batch(step).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            denoising, nll = self.objective(batch.videos, batch.attributes, batch.ef_percent, batch.hidden, batch.pairs)
        self._refuse_divergence(denoising + nll, step)
        self.accelerator.backward(denoising + nll)
        if self.settings.optim.clip_norm:
            self.accelerator.clip_grad_norm_(self.network.parameters(), self.settings.optim.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.average.update(self.network, step + 1)
        return denoising.item(), nll.item()

    def _refuse_divergence(self, loss: torch.Tensor, step: int) -> None:
        if not bool(loss.isfinite()):
            cause = f"the loss is {loss.item()} at step {step + 1}; the checkpoint before it is whole."
            raise TrainingDiverged(cause, path=self.folder)

    def look(self, done: int) -> dict[str, float]:
        """Validate the averaged network, and keep it if it is the best so far."""
        model = averaged_model(self.settings, self.statistics, self.average, self.feed.cache)
        figures = validate(model, self.val_cache, self.val_tokens, self.settings.dropout)
        by = figures[self.settings.run.select]
        best = self.progress["best"] is None or by < self.progress["best"]
        if best:
            self.progress["best"] = by
            model.card.figures["validation"] = {"step": done, "processes": self.feed.world, **figures}
            model.save(self.folder / "model")
        self.watcher.validated(done, figures, best)
        return {f"val_{name}": value for name, value in figures.items()}

    def save(self, done: int) -> None:
        """Write the checkpoint."""
        self.progress["step"] = done
        save_checkpoint(self.folder / CHECKPOINT, self.network, self.average, self.optimiser, self.progress)


def train(settings: TrainSettings, folder: Path, watcher: Watcher | None = None) -> Model:
    """Train into `folder`, going on from its checkpoint if it has one, and return the best model.

    Writes last.safetensors (the checkpoint), log.jsonl, tensorboard/ and model/, the model of the best validation CRPS.

    Raises:
        InvalidConfig: the settings do not fit the data.
        InvalidModel: the folder holds a checkpoint of another network.
    """
    watcher = watcher or Silence()
    run = Run.start(settings, folder, watcher)
    per_epoch, every = run.feed.steps_per_epoch, settings.run
    steps = per_epoch * settings.optim.epochs
    log = Log(folder, run.progress["step"]) if run.accelerator.is_main_process else None
    for done in range(run.progress["step"] + 1, steps + 1):
        denoising, nll = run.advance(done - 1, steps)
        if log is None:
            continue
        watcher.step(done, steps, denoising + nll)
        if done % LOG_EVERY == 0:
            log.write(done, denoising=denoising, nll=nll)
        if done == steps or done % (every.validate_every * per_epoch) == 0:
            log.write(done, **run.look(done))
        if done == steps or done % every.checkpoint_every == 0:
            run.save(done)
    run.accelerator.wait_for_everyone()
    return load(folder / "model")


def tokens_of(
    network: Network, settings: TrainSettings, accelerator: Accelerator, *caches: ClipCache
) -> tuple[torch.Tensor, ...]:
    """The tokens of each cache under an encoder that stands still, encoded once by the first process.

    Raises:
        InvalidConfig: the settings ask for what tokens cannot give.
    """
    if settings.run.augmentation != "none" or settings.protocol.together > 1 or not settings.start.encoder:
        raise InvalidConfig(
            "start.frozen encodes each clip once, with an encoder that has learnt.",
            next_step="Give start.encoder, and set run.augmentation = 'none' and protocol.pool = 'mixture'.",
        )
    with accelerator.main_process_first():
        network.to(accelerator.device)
        return tuple(stored_tokens(cache, network, settings.clip) for cache in caches)


def has_bf16(device: torch.device) -> bool:
    """Whether a device multiplies in bfloat16; a processor that only emulates it is ten times slower so."""
    return device.type != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


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


def averaged_model(
    settings: TrainSettings, statistics: AttributeStatistics, average: Average, cache: ClipCache
) -> Model:
    """The averaged weights as a model with its card."""
    network = build_network(settings.network)
    network.load_state_dict({name: t.cpu() for name, t in average.state.items()})
    names = settings.network.attributes
    ages = cache.attributes[:, names.index("age_years")] if "age_years" in names else np.array([])
    card = Card(
        name=settings.run.name,
        training_data=settings.data.train.describe(),
        synthetic=is_synthetic(settings.data.train),
        adults_only=not (ages < ADULT_YEARS).any(),
        config=settings.model_dump(mode="json"),
    )
    return Model(network, settings.clip, statistics, card, settings.sampler, settings.protocol)
