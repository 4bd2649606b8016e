"""Training, read top to bottom: rate, validation, log, data, one run, the loop.

The same script runs on 2 cores, one GPU or many processes under torchrun. Every random draw is a function of
(seed, step, process), every setting is in the TOML file, and a killed run resumes where its checkpoint stood.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator

from mcsdr.attributes import AttributeStatistics
from mcsdr.cache import ClipCache, cached
from mcsdr.checkpoint import Average, load_checkpoint, save_checkpoint
from mcsdr.datasets import CohortSpec, PhantomCohort, open_cohort
from mcsdr.feed import Feed
from mcsdr.metrics.scores import crps_of
from mcsdr.model import Card, Model, load
from mcsdr.nn.network import PosteriorNetwork, channels_last
from mcsdr.objective import Objective
from mcsdr.settings import OptimSettings, TrainSettings

CHECKPOINT = "last.safetensors"
LOG_EVERY = 20


def learning_rate(step: int, steps: int, settings: OptimSettings) -> float:
    """Linear warm-up, then a cosine to 1 % of the peak."""
    warmup = max(1, round(settings.warmup * steps))
    if step < warmup:
        return settings.lr * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return settings.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))


def make_optimiser(network: torch.nn.Module, settings: OptimSettings) -> torch.optim.AdamW:
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


@dataclass
class Run:
    """Everything that a training holds between two steps."""

    settings: TrainSettings
    folder: Path
    watcher: Watcher
    accelerator: Accelerator
    feed: Feed
    val_cache: ClipCache
    statistics: AttributeStatistics
    network: PosteriorNetwork
    objective: torch.nn.Module  # the loss, wrapped so that processes average their gradients
    optimiser: Any
    average: Average
    progress: dict[str, Any]  # "step" and "best", what a checkpoint says besides tensors

    @classmethod
    def start(cls, settings: TrainSettings, folder: Path, watcher: Watcher) -> Run:
        """Data, network and optimiser, from the folder's checkpoint if it has one."""
        folder.mkdir(parents=True, exist_ok=True)
        # Without cpu=True, Accelerate under torchrun on a machine without a GPU makes one lone run of each process.
        accelerator = Accelerator(mixed_precision=settings.run.precision, cpu=not torch.cuda.is_available())
        train_cache, val_cache = load_caches(settings, watcher, accelerator)
        statistics = AttributeStatistics.fit(settings.network.attributes, train_cache.attributes)
        feed = Feed(train_cache, statistics, settings, accelerator.process_index, accelerator.num_processes)
        torch.manual_seed(settings.run.seed)
        network = channels_last(PosteriorNetwork(settings.network))
        optimiser, average = make_optimiser(network, settings.optim), Average(network, settings.optim.ema)
        progress: dict[str, Any] = {"step": 0, "best": None}
        if (folder / CHECKPOINT).exists():
            progress = load_checkpoint(folder / CHECKPOINT, network, average, optimiser)
        objective, optimiser = accelerator.prepare(Objective(network), optimiser)
        average.state = {name: t.to(accelerator.device) for name, t in average.state.items()}
        parts = (feed, val_cache, statistics, network, objective, optimiser, average, progress)
        return cls(settings, folder, watcher, accelerator, *parts)

    def advance(self, step: int, steps: int) -> tuple[float, float]:
        """One step of the optimiser; returns the denoising loss and the NLL of the location-scale head."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(step, steps, self.settings.optim)
        batch = self.feed.batch(step).to(self.accelerator.device)
        denoising, nll = self.objective(batch.video, batch.attributes, batch.ef_percent, batch.hidden, batch.pairs)
        self.accelerator.backward(denoising + nll)
        self.accelerator.clip_grad_norm_(self.network.parameters(), self.settings.optim.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.average.update(self.network, step + 1)
        return denoising.item(), nll.item()

    def look(self, done: int) -> dict[str, float]:
        """Validate the averaged network, and keep it if it is the best so far."""
        model = averaged_model(self.settings, self.statistics, self.average)
        figures = validate(model, self.val_cache)
        best = self.progress["best"] is None or figures["crps"] < self.progress["best"]
        if best:
            self.progress["best"] = figures["crps"]
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


def averaged_model(settings: TrainSettings, statistics: AttributeStatistics, average: Average) -> Model:
    """The averaged weights as a model with its card."""
    network = PosteriorNetwork(settings.network)
    network.load_state_dict({name: t.cpu() for name, t in average.state.items()})
    card = Card(
        name=settings.run.name,
        training_data=settings.data.train.describe(),
        synthetic=settings.data.train.kind == "phantom",
        config=settings.model_dump(mode="json"),
    )
    return Model(network, settings.clip, statistics, card, settings.sampler)
