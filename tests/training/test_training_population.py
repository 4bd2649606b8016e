"""What training writes beside the weights: how frequent each EF was, the readers' error, what the start has seen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.conftest import CONFIGS, SMALL

from mcsdr.clips.attributes import AttributeStatistics
from mcsdr.nn.network import build_network
from mcsdr.training.checkpoint import Average
from mcsdr.training.selection import ancestry_of, averaged_model
from mcsdr.training.settings import read_settings


class Clips(SimpleNamespace):
    """The columns of a cache of clips."""

    def __len__(self) -> int:
        return len(self.ef_percent)


def test_a_trained_model_knows_its_population_and_where_it_comes_from() -> None:
    settings = read_settings(CONFIGS / "phantom.toml", {"start.model": "phantom-a4c"})
    settings = settings.model_copy(update={"network": SMALL})
    rng = np.random.default_rng(0)
    rows = np.stack(
        [rng.uniform(20, 90, 400), rng.choice([-1, 1], 400), rng.normal(75, 9, 400), rng.normal(170, 8, 400)]
    )
    cache: Any = Clips(ef_percent=rng.normal(50, 10, 400), attributes=rows.T)
    statistics = AttributeStatistics.fit(SMALL.attributes, rows.T)
    model = averaged_model(settings, statistics, Average(build_network(SMALL), 0.9), cache)
    assert model.population.prob_at_most(40) == pytest.approx(np.mean(cache.ef_percent <= 40), abs=0.03)
    assert model.card.readers_sd == 4.0
    assert model.statistics.seen("age_years") == (rows[0].min(), rows[0].max())
    assert [(one["name"], one["role"]) for one in model.card.ancestry][:2] == [
        ("phantom-a4c", "trained"),
        ("phantom-a4c", "selected"),
    ]
    assert ancestry_of(read_settings(CONFIGS / "phantom.toml")) == []
