"""What a training leaves: its averaged weights as a model with a card, and the figures by which the best is kept."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mcsdr.clips.attributes import AttributeStatistics
from mcsdr.datasets import is_synthetic
from mcsdr.errors import InvalidModel
from mcsdr.metrics.scores import crps_of
from mcsdr.model import Card, Model, load
from mcsdr.nn.network import build_network
from mcsdr.phantom.people import READER_SD
from mcsdr.posterior import Population, Posterior
from mcsdr.posterior.population import LEAST_READINGS
from mcsdr.study import ADULT_YEARS
from mcsdr.training.cache import ClipCache
from mcsdr.training.checkpoint import Average
from mcsdr.training.objective import DropoutSettings
from mcsdr.training.settings import TrainSettings
from mcsdr.training.tokens import EncodedCohort


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
        reader_sd=READER_SD if settings.data.train.kind == "phantom" else None,
        ancestry=ancestry_of(settings),
    )
    population = None
    if len(cache) >= LEAST_READINGS:
        population = Population.of_readings(settings.data.train.describe(), cache.ef_percent)
    return Model(network, settings.clip, statistics, card, settings.sampler, settings.protocol, population=population)


def ancestry_of(settings: TrainSettings) -> list[dict[str, Any]]:
    """What the model that the weights start from has seen, and what it started from in its turn."""
    start = settings.start.model or settings.start.encoder
    if not start:
        return []
    try:
        card = load(start).card
    except InvalidModel:  # a published encoder's checkpoint: it says nothing of its data
        return [{"name": Path(start).name, "role": "started from", "data": None}]
    return [*card.seen(), *card.ancestry]


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
