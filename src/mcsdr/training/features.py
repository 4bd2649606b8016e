"""Frozen features of any encoder as a table by file, and a network trained on them.

    FileName, f0, f1, …        one row per clip; FileName as the data set's table writes it, .avi or not

The table is CSV, made here with a built-in encoder or a callable of the user's own ("package.module:function", which is
given frames uint8 [T, H, W] and their times in seconds [T], and returns D numbers), or by anybody else. A study's
clips are so many tokens; a clip without a row counts as a study without a video. Nothing is decoded to train or to ask.
"""

from __future__ import annotations

import csv
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mcsdr.clips import ClipSettings
from mcsdr.clips.attributes import AttributeStatistics, attribute_row
from mcsdr.datasets.entries import Entry, FolderCohort
from mcsdr.datasets.table import stem
from mcsdr.diffusion.sampler import SamplerSettings
from mcsdr.errors import InvalidCohort, InvalidConfig, McsdrError, MissingFile
from mcsdr.files import write_table
from mcsdr.metrics.scores import crps_of
from mcsdr.model import Card, Model, VideoTokens, load
from mcsdr.nn.network import NetworkSettings, build_network
from mcsdr.nn.stored_features import StoredFeatures
from mcsdr.posterior import Posterior
from mcsdr.study import Attributes, Clip
from mcsdr.training.checkpoint import Average
from mcsdr.training.loop import learning_rate, make_optimiser
from mcsdr.training.objective import Objective, Videos, draw_hidden, draw_noise
from mcsdr.training.settings import TrainSettings

Array = NDArray[np.float64]
Encoder = Callable[[Clip], NDArray[np.float32]]
NAME = "FileName"


@dataclass(frozen=True)
class FeatureCohort:
    """The studies of one split whose label is known: features [N, D], attributes [N, A] in natural units, labels [N].

    A study's vectors are averaged, so that every study is one row, as the field's linear probes have it.
    """

    features: NDArray[np.float32]
    attributes: Array
    ef_percent: Array
    patients: NDArray[np.str_]
    names: list[str]

    def __len__(self) -> int:
        return len(self.names)


def encoder_of(name: str) -> Encoder:
    """A built-in model by its name or folder, whose tokens are averaged, or a callable "module:function".

    Raises:
        InvalidConfig: there is no such callable.
        InvalidModel: there is no such model.
    """
    if ":" not in name:
        model = load(name)
        return lambda clip: _mean_token(model, clip)
    module, _, function = name.partition(":")
    try:
        call = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        step = "Name a function that Python finds from here, such as my_encoder:encode."
        raise InvalidConfig(f"there is no encoder {name!r}: {error}", next_step=step) from error
    return lambda clip: np.asarray(call(clip.frames, clip.frame_times_s), dtype=np.float32).ravel()


def store(
    cohort: FolderCohort, encoder: Encoder, path: Path, advance: Callable[[int], None] = lambda done: None
) -> list[tuple[str, str]]:
    """Encode every clip of a data set and write the table; the clips that could not be read, as (name, why).

    Raises:
        InvalidConfig: vectors of different lengths.
        InvalidCohort: no clip could be read.
    """
    failures: list[tuple[str, str]] = []

    def rows() -> Iterator[list[Any]]:
        for done, entry in enumerate(cohort.entries, 1):
            for clip in entry.clips:
                try:
                    yield [clip.name, *encoder(cohort.read_clip(clip)).tolist()]
                except McsdrError as error:
                    failures.append((clip.name, str(error)))
            advance(done)

    found = list(rows())
    if not found:
        raise InvalidCohort("no clip could be read.", path=cohort.root, next_step="Run `mcsdr check` on the folder.")
    if len({len(row) for row in found}) > 1:
        raise InvalidConfig("the encoder gives vectors of different lengths.", next_step="Pool over time first.")
    write_table(path, [NAME, *(f"f{i}" for i in range(len(found[0]) - 1))], found)
    return failures


def read_features(path: Path) -> dict[str, NDArray[np.float32]]:
    """Vectors by file name without ".avi".

    Raises:
        MissingFile: there is no such table.
        InvalidCohort: it lacks FileName, or a cell is no number.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
        header, body = rows[0], rows[1:]
        place = header.index(NAME)
        return {stem(row[place]): np.array(row[:place] + row[place + 1 :], dtype=np.float32) for row in body}
    except FileNotFoundError as error:
        raise MissingFile("no such table of features.", path=path) from error
    except (ValueError, IndexError, csv.Error) as error:
        step = f"Give a CSV with the column {NAME} and numbers in all others."
        raise InvalidCohort(f"the features cannot be read: {error}", path=path, next_step=step) from error


def features_of(
    cohort: FolderCohort, table: dict[str, NDArray[np.float32]], attributes: Sequence[str]
) -> FeatureCohort:
    """The studies of a cohort that have a label and a vector.

    Raises:
        InvalidCohort: none has.
    """
    rows: list[tuple[Entry, NDArray[np.float32]]] = []
    for entry in cohort.entries:
        vectors = [table[name] for clip in entry.clips if (name := stem(clip.name)) in table]
        if vectors and entry.ef_percent is not None:
            rows.append((entry, np.mean(vectors, axis=0, dtype=np.float32)))
    if not rows:
        cause = "no study of this split has both a label and a row in the table of features."
        raise InvalidCohort(cause, path=cohort.root, next_step=f"Compare {NAME} with the data set's own names.")
    told = [attribute_row(Attributes(**cast(Any, dict(entry.attributes))), attributes) for entry, _ in rows]
    return FeatureCohort(
        np.stack([vector for _, vector in rows]),
        np.array(told, dtype=np.float64).reshape(len(rows), -1),
        np.array([entry.ef_percent for entry, _ in rows], dtype=np.float64),
        np.array([entry.patient_id for entry, _ in rows]),
        [entry.study_id for entry, _ in rows],
    )


def train_on(train: FeatureCohort, val: FeatureCohort, network: NetworkSettings, settings: TrainSettings) -> Model:
    """A network on frozen features: the weights of the best validation CRPS, averaged as in every training here.

    Arguments:
        network: with encoder "stored" and the width of the vectors.
        settings: optim, dropout, sampler and seed; nothing else of it matters.
    """
    torch.manual_seed(settings.run.seed)
    limit_sd = None if network.kind == "mcsdr" else 4.0
    statistics = AttributeStatistics.fit(network.attributes, train.attributes, limit_sd)
    net, optim = build_network(network), settings.optim
    cast(StoredFeatures, net.video_encoder).fit(torch.from_numpy(train.features))
    objective, optimiser, average = Objective(net), make_optimiser(net, optim), Average(net, optim.ema)
    known = torch.from_numpy(statistics.standardise(train.attributes))
    batch = min(optim.batch, len(train))
    steps = optim.epochs * max(1, len(train) // batch)
    best, kept = float("inf"), average.state
    for step in range(steps):
        epoch, within = divmod(step, max(1, len(train) // batch))
        order = np.random.default_rng([settings.run.seed, 1, epoch]).permutation(len(train))
        rows = order[within * batch : (within + 1) * batch]
        generator = torch.Generator().manual_seed(1000003 * settings.run.seed + step)
        hidden = draw_hidden(len(rows), known.shape[1], 1, settings.dropout, generator)
        pairs = draw_noise(len(rows), settings.dropout, generator)
        videos = Videos(torch.from_numpy(train.features[rows]), ("",) * len(rows), torch.arange(len(rows)), 1)
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, steps, group["peak"], optim)
        losses = objective(videos, known[rows], torch.from_numpy(train.ef_percent[rows]).float(), hidden, pairs)
        optimiser.zero_grad()
        sum(losses).backward()
        if optim.clip_norm:
            torch.nn.utils.clip_grad_norm_(net.parameters(), optim.clip_norm)
        optimiser.step()
        average.update(net, step + 1)
        if (step + 1) % max(1, len(train) // batch) == 0:
            model = _model(network, average.state, statistics, settings)
            figure = float(crps_of(ask(model, val), val.ef_percent).mean())
            if figure < best:
                best, kept = figure, {name: t.clone() for name, t in average.state.items()}
    return _model(network, kept, statistics, settings)


@torch.inference_mode()
def ask(model: Model, cohort: FeatureCohort, sampler: SamplerSettings | None = None) -> Posterior:
    """The posterior of every study, a batch [N]; by another sampler than the model's own where one is given."""
    tokens = model.network.encode(torch.from_numpy(cohort.features))
    each = np.arange(len(cohort))
    video = VideoTokens(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool), each, each, each)
    return model.posterior(video, model.statistics.standardise(cohort.attributes), sampler)


def _model(
    network: NetworkSettings, state: dict[str, Tensor], statistics: AttributeStatistics, settings: TrainSettings
) -> Model:
    net = build_network(network)
    net.load_state_dict(state)
    card = Card(name=settings.run.name, training_data="stored features", synthetic=False, config={})
    return Model(net, ClipSettings(), statistics, card, settings.sampler)


def _mean_token(model: Model, clip: Clip) -> NDArray[np.float32]:
    from mcsdr.study import Study

    video = model.encode([Study(clips=(clip,))], model.protocol.changed(windows="one", looks=1))
    return np.asarray(video.tokens[0][video.mask[0]].mean(dim=0).float().cpu().numpy())
