"""Answers without a trained model: exact posteriors, carried by the real sampler, in the package's own record."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from mcsdr.abstention.gates import of_posterior
from mcsdr.diffusion.closed_form import GaussianMixture
from mcsdr.diffusion.sampler import EXACT, SamplerSettings, starting_points, trajectories
from mcsdr.diffusion.schedule import angles
from mcsdr.model import Answer, Card
from mcsdr.posterior import Posterior
from mcsdr.posterior.population import named_population
from mcsdr.study import Crop, Notice, Study

MODEL: Any = SimpleNamespace(
    card=Card(name="stand-in", training_data="phantoms", synthetic=True),
    sha256="5e" * 32,
    sampler=EXACT,
    look_spread=None,
    outline=None,
    population=named_population("flat"),
    precision="float32",
)


def posterior_of(*components: tuple[float, float, float], settings: SamplerSettings = EXACT) -> Posterior:
    """The posterior that the sampler carries for a logit-normal mixture of (weight, EF, SD in EF points)."""
    mixture = GaussianMixture.of(
        *((w, np.log(ef / (100 - ef)), 100 * sd / ef / (100 - ef)) for w, ef, sd in components)
    )
    a, b = mixture.mean, mixture.sd
    z = starting_points(settings, 1).double()
    states = trajectories(mixture.standardised(a, b), z, settings)[:, 0].double()
    percent = (100 * torch.sigmoid(a[0] + b[0] * states)).numpy()
    theta = angles(settings.schedule, settings.steps).numpy()
    if settings.draws is None:
        return Posterior.from_nodes(z[0].numpy(), percent[-1], trajectories=percent, angles=theta)
    return Posterior.from_draws(percent[-1], trajectories=percent, angles=theta)


def with_screen(study: Study) -> Study:
    """The study as if cut from a screen of 240 x 320 with a bright bar, where a name might stand, above the sector."""
    clip = study.clips[0]
    height, width = clip.frames.shape[1:]
    screen = np.full((240, 320), 12, np.uint8)
    screen[8:20, 10:150:2] = 255
    screen[60 : 60 + height, 100 : 100 + width] = clip.frames[0]
    crop = Crop(60, 100, height, width, "picture")
    return replace(study, clips=(replace(clip, overview=screen, crop=crop),))


def called(answer: Answer, file: str) -> Answer:
    """The answer as if its clip had been read from this file."""
    return replace(answer, study=replace(answer.study, file=file))


def prediction(
    path: str, study: Study, posterior: Posterior, sampler: SamplerSettings = EXACT, notices: tuple[Notice, ...] = ()
) -> Answer:
    """An answer without abstention; what the posterior says against itself is told in notices."""
    told = notices + study.all_notices + tuple(Notice(gate.code, gate.reason) for gate in of_posterior(posterior))
    seconds = {"read": 0.031, "encode": 0.142, "sample": 0.011}
    return Answer(replace(study, file=path), posterior, MODEL, sampler, told, seconds)
