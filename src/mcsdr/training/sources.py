"""What a training begins with: its clips, their dense targets, and the weights that it starts from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator

from mcsdr.datasets import CohortSpec, fingerprint, open_cohort
from mcsdr.datasets.entries import FolderCohort
from mcsdr.errors import InvalidConfig, InvalidModel
from mcsdr.model import load
from mcsdr.nn.network import Network
from mcsdr.nn.video_encoder import folded
from mcsdr.training.cache import ClipCache, cached, check_limit, name_of
from mcsdr.training.dense import DenseCache
from mcsdr.training.log import Watcher
from mcsdr.training.settings import TrainSettings
from mcsdr.training.weights.published import load_encoder_weights


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


def dense_targets(settings: TrainSettings, cache: ClipCache, watcher: Watcher, accelerator: Accelerator) -> DenseCache:
    """The dense targets of the training clips, drawn once by the first process."""
    advance: Callable[[int], None] = lambda done: watcher.cache("train, dense targets", done, len(cache))  # noqa: E731
    with accelerator.main_process_first():
        return DenseCache(cache, open_cohort(settings.data.train), settings.clip, advance, settings.data.workers)


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
    """All weights of another; batch norms are folded into the convolutions of a module that has none."""
    state = other.state_dict()
    try:
        module.load_state_dict(state if state.keys() == module.state_dict().keys() else folded(state))
    except (RuntimeError, KeyError) as error:
        raise InvalidConfig(f"{what} is of another shape: {error}") from error
