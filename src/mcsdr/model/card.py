"""What a model is, in words and figures; printed wherever the model is named."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

import mcsdr
from mcsdr.errors import InvalidModel
from mcsdr.phantom import people
from mcsdr.posterior.deconvolution import CENTRES, reader_error
from mcsdr.posterior.population import Population

PEOPLE = 2000  # phantoms whose priors are averaged


class Card(BaseModel):
    """A model's name, what it has learnt from, and what was measured of it."""

    model_config = ConfigDict(extra="forbid")

    name: str
    training_data: str
    synthetic: bool  # trained on phantoms only: said wherever its output appears
    adults_only: bool = True
    config: dict[str, Any] = {}
    figures: dict[str, Any] = {}
    calibration: str = ""  # on what its posteriors were recalibrated; empty where they were not
    calibration_synthetic: bool = False
    changes: list[dict[str, Any]] = []  # of settings while it was trained: from which step, and each before and after
    reader_sd: float | None = None  # EF points: of the error of the readers whose reports it learnt from
    adapted: str = ""  # on what its read-out was refitted; empty where it was not
    ancestry: list[dict[str, Any]] = []  # what the models that it started from have seen: "name", "role", "data"

    @property
    def notice(self) -> str:
        """The sentence that goes with every output."""
        origin = "Trained on synthetic phantoms only, on no patient. " if self.synthetic else ""
        calibrated = "Recalibrated on synthetic phantoms. " if self.calibration_synthetic else ""
        adapted = f"Its read-out was adapted to {self.adapted}. " if self.adapted else ""
        return origin + calibrated + adapted + mcsdr.DISCLAIMER

    @property
    def readers_sd(self) -> float | None:
        """σ of the reports it learnt from, in EF points: stated, or that of the phantoms' readers; None if unknown."""
        return people.READER_SD if self.reader_sd is None and self.synthetic else self.reader_sd

    def seen(self) -> list[dict[str, Any]]:
        """What it was trained, selected, adapted, gated or recalibrated on: "name", "role", "data" of a `CohortSpec`.

        Where a training went on with other data, those before too.
        """
        data = self.config.get("data") or {}
        roles = {"train": "trained", "val": "selected", "adapted": "adapted", "calibrated": "calibrated"}
        found = [{"name": self.name, "role": role, "data": data[key]} for key, role in roles.items() if data.get(key)]
        found += [{"name": self.name, "role": "gated", "data": spec} for spec in data.get("gated") or []]
        for change in reversed(self.changes):
            for key in ("train", "val"):
                prefix, settings = f"data.{key}.", change["settings"]
                before = {name.removeprefix(prefix): settings[name][0] for name in settings if name.startswith(prefix)}
                if before:
                    data = {**data, key: {**data.get(key, {}), **before}}
                    found.append({"name": self.name, "role": roles[key], "data": data[key]})
        return found


def population_of(card: Card) -> Population:
    """How frequent each reported EF is among the phantoms that a card says its model learnt from.

    Raises:
        InvalidModel: it learnt from something else, or was adapted to it.
    """
    data = (card.config.get("data") or {}).get("train") or {}
    if data.get("kind") != "phantom" or data.get("ambiguity") or card.adapted:
        raise InvalidModel(
            f"{card.name} does not say how frequent each ejection fraction was where it learnt.",
            next_step="Ask without a stated population, or train the model anew: training stores it.",
        )
    return of_phantoms(str(data.get("population", "adult")))


@cache
def of_phantoms(population: str) -> Population:
    """p(y) of a phantom's report: the prior of PEOPLE people, averaged, with the reader's error."""
    rng, density = np.random.default_rng(0), np.zeros_like(people.GRID)
    for _ in range(PEOPLE):
        density += people.prior_density(people.draw_attributes(rng, population), population)
    true = np.interp(CENTRES, people.GRID, density)
    reported = (true / true.sum()) @ reader_error(people.READER_SD)
    return Population(
        name=f"phantoms, {population}", ef_percent=tuple(CENTRES.tolist()), density=tuple(reported.tolist())
    )
