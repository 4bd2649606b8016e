"""Which p(EF) an answer may rest on: where the posterior is exact, that of the population that it is asked in."""

from __future__ import annotations

import numpy as np

from mcsdr.evaluation.evidence.populations import SHARES, choice
from mcsdr.posterior import Posterior, quantile_nodes
from mcsdr.posterior.population import named_population

SEEN_SD, READERS_SD = 7.0, 4.0  # of what a picture tells of the heart, and of a report


def test_of_exact_beliefs_the_population_asked_in_is_the_best_to_rest_on() -> None:
    """E even, x = E + 7 N, so that y given x is normal but for the ends, of which none is near."""
    rng, z = np.random.default_rng(0), quantile_nodes()
    E = rng.uniform(8, 80, 250)
    x, y = E + SEEN_SD * rng.standard_normal(250), E + READERS_SD * rng.standard_normal(250)
    inside = (x > 20) & (x < 68) & (y > 0) & (y < 100)
    table = (x[:, None] + np.hypot(SEEN_SD, READERS_SD) * z)[inside].clip(0.01, 99.99)
    found = choice(Posterior.from_nodes(z, table), y[inside], E[inside], named_population("flat"), READERS_SD)
    column = dict(zip(found.header, zip(*found.rows, strict=True), strict=True))
    assert len(found.rows) == len(SHARES)
    assert int(np.argmin(column["CRPS, training"])) == 0
    assert int(np.argmin(column["CRPS, adults"])) >= 3
    assert np.all(np.diff(column["slope"]) < 0)  # the more adults, the more is pulled to their middle
    regret = np.array(column["largest regret"])
    assert regret.min() > 0
    assert 0 < int(np.argmin(regret)) < len(SHARES) - 1
