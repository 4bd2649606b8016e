"""Another population, against posteriors whose change is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from mcsdr.errors import InvalidConfig
from mcsdr.posterior import Population, Posterior, quantile_nodes, reweighted
from mcsdr.posterior.population import NAMED, named_population

Z = quantile_nodes()


def report(prior: tuple[float, float], seen: float, noise: float, reader: float) -> tuple[float, float]:
    """Mean and SD of a report: heart N(prior), measured with noise, read with a reader's error."""
    variance = 1 / (1 / prior[1] ** 2 + 1 / noise**2)
    return variance * (prior[0] / prior[1] ** 2 + seen / noise**2), float(np.hypot(np.sqrt(variance), reader))


@pytest.mark.parametrize("reader", [0.0, 4.0])
@pytest.mark.parametrize("seen", [32.0, 45.0, 58.0])
def test_a_normal_posterior_moves_as_bayes_has_it(seen: float, reader: float) -> None:
    was, now = (50.0, 12.0), (40.0, 10.0)
    trained = Population.of_normals("trained", [(1, was[0], np.hypot(was[1], reader))])
    stated = Population.of_normals("stated", [(1, now[0], np.hypot(now[1], reader))])
    mean, sd = report(was, seen, 6, reader)
    found = reweighted(Posterior.from_nodes(Z, mean + sd * Z), stated, trained, reader)
    exact = report(now, seen, 6, reader)
    assert found.mean == pytest.approx(exact[0], abs=0.06 if reader == 0 else 0.5)
    assert found.sd == pytest.approx(exact[1], abs=0.08)


def test_a_reader_s_error_has_no_population() -> None:
    """A model that sees the heart exactly says N(E, σ²) whatever the population."""
    certain = Posterior.from_nodes(Z, 50 + 4.05 * Z)
    stated = named_population("echonet-dynamic")
    moved = reweighted(certain, stated, named_population("flat"), 4.0)
    assert moved.mean == pytest.approx(50, abs=0.35)
    assert abs(reweighted(certain, stated, named_population("flat"), 0.0).mean - 50) > 1


def test_the_population_itself_changes_nothing() -> None:
    two = Posterior.from_nodes(Z, np.stack([50 + 6 * Z, 30 + 5 * Z]))
    assert reweighted(two, NAMED["camus"], NAMED["camus"], 4.0) is two
    there = reweighted(two, NAMED["camus"], NAMED["echonet-dynamic"], 0.0)
    back = reweighted(there, NAMED["echonet-dynamic"], NAMED["camus"], 0.0)
    assert back.quantile([0.1, 0.5, 0.9]) == pytest.approx(two.quantile([0.1, 0.5, 0.9]), abs=0.1)


def test_named_populations_have_the_prevalences_that_they_state() -> None:
    assert NAMED["echonet-dynamic"].prob_at_most(50) == pytest.approx(0.22, abs=0.02)
    assert NAMED["camus"].prob_at_most(45) == pytest.approx(0.5, abs=0.03)
    registry = [NAMED["heart-failure"].prob_at_most(ef) for ef in (30, 40, 50)]
    assert registry == pytest.approx([0.231, 0.489, 0.739], abs=0.01)  # SwedeHF, 131,296 patients
    assert NAMED["flat"].prob_at_most(44) == pytest.approx(0.5, abs=0.01)
    with pytest.raises(InvalidConfig, match="Did you mean camus"):
        named_population("camos")


def test_readings_make_a_population() -> None:
    y = np.random.default_rng(0).normal(55, 10, 4000).clip(0, 100)
    found = Population.of_readings("mine", y)
    assert found.prob_at_most(45) == pytest.approx(norm.cdf(-1), abs=0.015)
    assert Population.model_validate_json(found.model_dump_json()).shares() == pytest.approx(found.shares())
    for wrong in ([55.0] * 10, [*y, 101.0]):
        with pytest.raises(InvalidConfig, match="make no population"):
            Population.of_readings("few", wrong)
