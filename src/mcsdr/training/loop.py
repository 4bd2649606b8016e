"""Training, read top to bottom: rate, validation, data, one run, the loop.

The same script runs on 2 cores, one GPU or many processes under torchrun. Every random draw is a function of
(seed, step, process), every setting is in the TOML file, and a killed run resumes where its checkpoint stood. A step
whose gradient is no number is left out and counted.
"""

from __future__ import annotations

import math
import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from mcsdr.clips.attributes import AttributeStatistics
from mcsdr.errors import TrainingDiverged, TrainingStopped
from mcsdr.files import locked_folder
from mcsdr.files.memory import keep_freed
from mcsdr.files.writing import clear_partials
from mcsdr.model import Model, load
from mcsdr.nn.network import Network, build_network, channels_last, has_bf16
from mcsdr.training.cache import ClipCache
from mcsdr.training.checkpoint import (
    Average,
    changes,
    made_by,
    newest_checkpoint,
    refuse_changes,
    refuse_infinite,
    restore,
    save_checkpoint,
)
from mcsdr.training.feed import Ahead, Feed
from mcsdr.training.log import Log, Silence, Watcher
from mcsdr.training.objective import Objective
from mcsdr.training.selection import averaged_model, validate
from mcsdr.training.settings import OptimSettings, TrainSettings
from mcsdr.training.sources import dense_targets, load_caches, start_from
from mcsdr.training.stopping import Stop, named_failures
from mcsdr.training.tokens import tokens_of

LOG_EVERY = 20
# Before the first step. "unlooked": the run was stopped within the validation after its step; "left_out", "in_a_row":
# steps without a finite gradient, all and the latest; "changes": of settings, as on the card.
BEGINNING: dict[str, Any] = {"step": 0, "best": None, "unlooked": False, "left_out": 0, "in_a_row": 0, "changes": []}


def learning_rate(step: int, steps: int, peak: float, settings: OptimSettings) -> float:
    """Linear warm-up to the peak, then a cosine to `lr_end`."""
    warmup = round(settings.warmup * steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    end = 0.01 * peak if settings.lr_end is None else min(settings.lr_end, peak)
    share = (step - warmup) / max(1, steps - warmup)
    return end + (peak - end) * 0.5 * (1 + math.cos(math.pi * share))


def make_optimiser(
    network: Network, settings: OptimSettings, dense: torch.nn.Module | None = None
) -> torch.optim.AdamW:
    """AdamW; what has one dimension is not decayed unless asked for, and the encoder may learn at a rate of its own."""
    groups = []
    encoder = {id(p) for p in network.video_encoder.parameters()}
    for peak, part in ((settings.lr, False), (settings.encoder_lr or settings.lr, True)):
        parameters = [p for p in network.parameters() if (id(p) in encoder) is part and p.requires_grad]
        least = 0 if settings.decay_all else 2
        decayed, free = [p for p in parameters if p.dim() >= least], [p for p in parameters if p.dim() < least]
        groups.append({"params": decayed, "weight_decay": settings.weight_decay, "peak": peak})
        groups.append({"params": free, "weight_decay": 0.0, "peak": peak})
    if dense is not None:
        groups.append({"params": list(dense.parameters()), "weight_decay": 0.0, "peak": settings.lr})
    return torch.optim.AdamW(groups, lr=settings.lr, betas=(0.9, settings.beta2))


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
    dense: torch.nn.Module | None  # what reads dense targets from the encoder
    objective: torch.nn.Module  # the loss, wrapped so that processes average their gradients
    optimiser: Any
    average: Average
    progress: dict[str, Any]  # what a checkpoint says besides tensors, see `BEGINNING`
    ahead: Feed | Ahead  # the feed, by a thread where a GPU would wait for it
    stop: Stop
    made_by: dict[str, Any]
    keep: bool = True  # whether the checkpoint on disk is good, to be kept as the one before the next

    @classmethod
    def start(cls, settings: TrainSettings, folder: Path, watcher: Watcher, stop: Stop, change: bool) -> Run:
        """Data, network and optimiser, from the folder's checkpoint if it has one."""
        # Without cpu=True, Accelerate under torchrun on a machine without a GPU makes one lone run of each process.
        # Its own mixed precision is fixed for the life of a process, in which trainings of both kinds may follow.
        accelerator = Accelerator(mixed_precision="no", cpu=not torch.cuda.is_available())
        if accelerator.device.type == "cpu":
            keep_freed()
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
        targets = dense_targets(settings, train_cache, watcher, accelerator) if settings.dense.weight else None
        feed = Feed(train_cache, statistics, settings, rank, world, tokens, targets)
        loss = Objective(network, dense=targets is not None, agree=settings.agreement.weight > 0)
        optimiser = make_optimiser(network, settings.optim, loss.dense)
        average = Average(network, settings.optim.ema)
        clips = {"train": train_cache.folder.name, "val": val_cache.folder.name}
        made, progress = made_by(settings, clips, world), dict(BEGINNING)
        checkpoint, damage = newest_checkpoint(folder)
        if checkpoint is not None:
            changed = changes(checkpoint.made_by, made)
            if not change:
                refuse_changes(checkpoint, changed)
            restore(checkpoint, network, average, optimiser, loss.dense)
            progress |= checkpoint.progress
            if changed:
                progress["changes"] = [*progress["changes"], {"step": progress["step"], "settings": changed}]
        if damage is not None:
            watcher.notice(f"{damage.path}: {damage.cause}; the run goes on from the checkpoint before it.")
        objective, optimiser = accelerator.prepare(loss, optimiser)
        average.state = {name: t.to(accelerator.device) for name, t in average.state.items()}
        ahead = feed if accelerator.device.type == "cpu" else Ahead(feed)
        learning = (network, loss.dense, objective, optimiser, average, progress, ahead)
        parts = (feed, val_cache, val_tokens, statistics, *learning)
        return cls(settings, folder, watcher, accelerator, *parts, stop, made, keep=damage is None)

    def advance(self, step: int, steps: int) -> dict[str, float]:
        """One step of the optimiser; returns the denoising loss, the NLL of the location-scale head and others."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(step, steps, group["peak"], self.settings.optim)
        device = self.accelerator.device
        mixed = self.settings.run.precision == "bf16" and has_bf16(device)
        batch = self.ahead.batch(step).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            known = (batch.videos, batch.attributes, batch.ef_percent, batch.hidden, batch.pairs, batch.targets)
            denoising, nll, dense, apart = self.objective(*known)
        loss = denoising + nll + self.settings.dense.weight * dense + self.settings.agreement.weight * apart
        # Times 1, or NaN where the loss is no number: what is none on one process makes no step on any.
        self.accelerator.backward(loss * (1 + 0 * loss.detach()))
        limit = self.settings.optim.clip_norm or math.inf
        norm = self.accelerator.clip_grad_norm_(self.objective.parameters(), limit)
        if bool(norm.isfinite()):
            self.optimiser.step()
            self.average.update(self.network, step + 1)
            self.progress["in_a_row"] = 0
        else:
            self._leave_out(step + 1, loss.item())
        self.optimiser.zero_grad()
        losses = {"denoising": denoising, "nll": nll}
        losses |= {} if self.dense is None else {"dense": dense}
        losses |= {"apart": apart} if self.settings.agreement.weight else {}
        return {name: value.item() for name, value in losses.items()}

    def _leave_out(self, step: int, loss: float) -> None:
        """Count a step that is not made; stop where there are too many in a row."""
        self.progress["left_out"] += 1
        self.progress["in_a_row"] += 1
        if self.progress["in_a_row"] > self.settings.optim.bad_steps:
            cause = (
                f"{self.progress['in_a_row']} steps in a row gave no finite gradient, more than optim.bad_steps; the "
                f"last was step {step}, with a loss of {loss}. The checkpoint before them is whole."
            )
            raise TrainingDiverged(cause, path=self.folder)

    def look(self, done: int) -> dict[str, float]:
        """Validate the averaged network, and keep it if it is the best so far."""
        refuse_infinite(self.average.state, self.folder)
        model = averaged_model(self.settings, self.statistics, self.average, self.feed.cache)
        try:
            with self.stop.at_once():
                figures = validate(model, self.val_cache, self.val_tokens, self.settings.dropout)
        except KeyboardInterrupt:
            self.save(done, unlooked=True)
            raise
        by = figures[self.settings.run.select]
        best = self.progress["best"] is None or by < self.progress["best"]
        if best:
            self.progress["best"] = by
            left_out = {"left_out": self.progress["left_out"]} if self.progress["left_out"] else {}
            model.card.figures["validation"] = {"step": done, "processes": self.feed.world, **figures, **left_out}
            model.card.changes = self.progress["changes"]
            model.save(self.folder / "model")
        self.watcher.validated(done, figures, best)
        return {f"val_{name}": value for name, value in figures.items()}

    def save(self, done: int, unlooked: bool = False) -> None:
        """Write the checkpoint."""
        self.progress |= {"step": done, "unlooked": unlooked}
        state = (self.network, self.average, self.optimiser, self.progress, self.made_by, self.dense)
        save_checkpoint(self.folder, *state, keep=self.keep)
        self.keep = True

    def to_the_end(self) -> None:
        """Every step that is left, with what is told, validated and saved on the way.

        Raises:
            KeyboardInterrupt: a process was asked to end; the checkpoint is of the last step.
        """
        per_epoch, every = self.feed.steps_per_epoch, self.settings.run
        steps, begun = per_epoch * self.settings.optim.epochs, self.progress["step"]
        unlooked = self.progress["unlooked"]
        log = Log(self.folder, begun, unlooked) if self.accelerator.is_main_process else None
        if log is not None and unlooked:
            log.write(begun, **self.look(begun))
            self.save(begun)
        for done in range(begun + 1, steps + 1):
            left_out = self.progress["left_out"]
            losses = self.advance(done - 1, steps)
            stopping = self.stop.anywhere(self.accelerator)
            if log is not None:
                self.watcher.step(done, steps, sum(losses.values()))
                if self.progress["left_out"] > left_out:
                    log.write(done, left_out=self.progress["left_out"])
                if done % LOG_EVERY == 0:
                    log.write(done, **losses)
                if done == steps or done % (every.validate_every * per_epoch) == 0:
                    log.write(done, **self.look(done))
                if stopping or done == steps or done % every.checkpoint_every == 0:
                    self.save(done)
            if stopping:
                self.progress["step"] = done
                raise KeyboardInterrupt
        self.accelerator.wait_for_everyone()


def train(
    settings: TrainSettings, folder: Path, watcher: Watcher | None = None, *, continue_with_changes: bool = False
) -> Model:
    """Train into `folder`, going on from its checkpoint if it has one, and return the best model.

    Writes last.safetensors (the checkpoint), previous.safetensors (the one before it), log.jsonl, tensorboard/ and
    model/, the model of the best validation CRPS.

    Arguments:
        continue_with_changes: go on from a checkpoint of other settings; the model's card tells both.

    Raises:
        InvalidConfig: the settings do not fit the data.
        ChangedRun: the folder's checkpoint is of other settings, more epochs among them.
        InvalidModel: it is damaged, and so is the one before it, or it is of another network.
        OutputInUse: another training writes to the folder.
        UnwritableFile: no room or no permission; the last checkpoint is whole.
        OutOfMemory, LostWorker, DamagedCache: what they say.
        TrainingDiverged: too many steps in a row gave no finite gradient, or a weight is no number.
        TrainingStopped: SIGTERM or SIGINT came, and the checkpoint is on disk.
    """
    first = int(os.environ.get("RANK", "0")) == 0  # of the processes of torchrun
    done = 0
    with locked_folder(folder, "mcsdr train") if first else nullcontext(), Stop() as stop, named_failures(settings):
        if first:
            clear_partials(folder)
            clear_partials(folder / "model")
        try:
            with stop.at_once():
                run = Run.start(settings, folder, watcher or Silence(), stop, continue_with_changes)
            try:
                run.to_the_end()
            finally:
                done = run.progress["step"]
        except (KeyboardInterrupt, RuntimeError) as error:
            # Where the first process has left, the others lose it within a step of theirs.
            if stop.signal is None or (isinstance(error, RuntimeError) and first):
                raise
            raise _stopped(stop, done, folder) from error
    return load(folder / "model")


def _stopped(stop: Stop, done: int, folder: Path) -> TrainingStopped:
    assert stop.signal is not None
    where = f"after step {done}, whose checkpoint is on disk" if done else "before its first step"
    error = TrainingStopped(f"{stop.signal.name} ended the training {where}.", path=folder)
    error.exit_status = 128 + stop.signal
    return error
