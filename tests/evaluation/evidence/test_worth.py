"""The flow against its own head: the same question put to both, and a difference that is known."""

from __future__ import annotations

import numpy as np
import pytest

from mcsdr.diffusion.sampler import EXACT, PAPER
from mcsdr.errors import InvalidConfig
from mcsdr.evaluation.evidence import worth
from mcsdr.model import Model, load
from mcsdr.nn.network import NetworkSettings, build_network
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.posterior import Posterior, quantile_nodes

Z = quantile_nodes()


@pytest.fixture(scope="module")
def model() -> Model:
    return load("phantom-a4c")


def test_without_its_score_a_model_answers_the_logit_normal_of_its_head(model: Model) -> None:
    """logit(y) is linear in z, with the flow it is not; the weights are shared and the model itself stays whole."""
    studies = list(PhantomCohort(2, 91, frames=16, sampling_hz=25.0))
    alone, flow = model.without_score().posteriors(studies), model.uncalibrated().posteriors(studies)
    slope = np.diff(alone.latent, axis=1) / np.diff(Z)
    np.testing.assert_allclose(slope, slope[:, :1].repeat(len(Z) - 1, axis=1), rtol=1e-3)
    assert np.ptp(np.diff(flow.latent, axis=1) / np.diff(Z), axis=1).min() > 1e-2
    assert model.without_score().network.state_dict().keys() < model.network.state_dict().keys()
    np.testing.assert_array_equal(model.uncalibrated().posteriors(studies).latent, flow.latent)
    assert model.without_score().posteriors(studies, PAPER).draws == 40


def test_each_study_is_asked_twice_under_every_pattern(model: Model) -> None:
    cohort = PhantomCohort(3, 92, frames=16)
    pairs, ef, patients = worth.ask(model.uncalibrated(), model.without_score(), cohort)
    assert list(pairs) == list(worth.PATTERNS)
    assert ef.tolist() == [study.ef_percent for study in cohort]
    assert len(set(patients.tolist())) == 3
    blind = model.uncalibrated().posteriors([study.without("video") for study in cohort])
    np.testing.assert_allclose(pairs["attributes alone"].flow.latent, blind.latent, atol=1e-5)


def test_the_gain_is_that_of_the_better_posterior() -> None:
    """Labels of N(50, 5²): the head says SD 10, the flow 5, whose expected CRPS are 5.55 · 0.5642 and 5 · 0.5642."""
    ef = 50 + 5 * np.random.default_rng(0).standard_normal(400)
    flow, head = (Posterior.from_nodes(Z, np.tile(50 + sd * Z, (400, 1))) for sd in (5.0, 10.0))
    cells = worth.row("c", "all", worth.Pair(flow, head), ef, np.arange(400).astype(str))
    _, _, n, of_flow, of_head, gain, interval, told, *_ = cells
    assert (n, of_flow) == (400, pytest.approx(5 * 0.5642, abs=0.3))
    assert gain == pytest.approx(of_head - of_flow)
    low, high = (float(end) for end in interval.split(" to "))
    assert 0 < low < gain < high
    assert told == pytest.approx(2.8 * (high - low) / 3.92, rel=0.1)


def test_a_network_without_such_a_head_says_so(model: Model) -> None:
    network = build_network(NetworkSettings(kind="head", head="mdn"))
    rival = Model(network, model.clip, model.statistics, model.card, EXACT)
    with pytest.raises(InvalidConfig, match="location-scale"):
        rival.without_score()
