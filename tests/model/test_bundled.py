"""The model in the package: small, honest about itself, and as good on fresh phantoms as its card says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

import mcsdr
from mcsdr.datasets import CohortSpec, open_cohort
from mcsdr.evaluation import evaluate
from mcsdr.model import Answer, find
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.prediction import predict

README = Path(__file__).parents[2] / "README.md"


NAMES = ("phantom-a4c", "phantom-a4c-varied")


@pytest.fixture(scope="module")
def bundled() -> mcsdr.Model:
    return mcsdr.load()


@pytest.mark.parametrize("name", NAMES)
def test_size_and_words(name: str) -> None:
    model = mcsdr.load(name)
    assert model.card.name == name
    read = 0 if model.outline is None else model.outline.numbers
    assert model.network.parameter_counts()["total"] + read <= 690_000
    assert (find(name) / "model.safetensors").stat().st_size <= 3_000_000
    assert "phantoms only" in model.card.notice
    assert "Research use only" in model.card.notice


@pytest.mark.parametrize("name", NAMES)
def test_fresh_phantoms_are_read_as_published(name: str) -> None:
    """Fifty phantoms of the published cohort must lie within four standard errors of the published figures."""
    model = mcsdr.load(name)
    test = model.card.figures["test"]
    stated = test["estimate and 95 % interval"]["video and attributes"]
    result = evaluate(model, open_cohort(CohortSpec.parse(test["first hundred"]))[:50])
    for measure in ("MAE to true EF", "CRPS", "coverage 90%"):
        estimate, lower, upper = stated[measure]
        standard_error = (upper - lower) / 3.92 * np.sqrt(test["n"] / 50)
        assert abs(result[measure].estimate - estimate) < 4 * standard_error, measure


def test_no_trajectory_crosses_another(bundled: mcsdr.Model) -> None:
    """The flow map is monotone where the model has learnt: hardly a pair of the 23 nodes changes places."""
    posterior = bundled.posteriors(list(PhantomCohort(32, seed=12)))
    assert posterior.violations.mean() < 0.1


def test_batch_of_one_and_of_sixteen(bundled: mcsdr.Model) -> None:
    studies = list(PhantomCohort(16, seed=13))
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    alone = np.stack([bundled.posteriors([study])[0].quantile(levels) for study in studies])
    assert np.abs(bundled.posteriors(studies).quantile(levels) - alone).max() < 0.05


def test_the_real_clip(bundled: mcsdr.Model) -> None:
    """No reference EF is known for it; what can be asked is a repeatable answer with its warnings."""
    first, second = (next(predict([get_testdata_file("examples_ybr_color.dcm")], bundled)) for _ in range(2))
    assert isinstance(first, Answer)
    assert first.record() | {"analysed": None} == second.record() | {"analysed": None}
    assert 10 < first.posterior.median < 80


def test_the_readmes_lines_run(capsys: pytest.CaptureFixture[str]) -> None:
    source = re.search(r"```python\n(import mcsdr.*?)```", README.read_text(), re.DOTALL)
    assert source is not None
    exec(compile(source[1], "README.md", "exec"), {})
    shown = capsys.readouterr().out
    assert "P(EF < 40 %)" in shown
    assert "90 % between" in shown


@pytest.mark.parametrize("name", NAMES)
def test_model_json_is_complete(name: str) -> None:
    description = json.loads((find(name) / "model.json").read_text())
    assert description["digest"] == mcsdr.load(name).sha256
    assert description["card"]["config"]["data"]["train"]["kind"] == "phantom"


def test_the_default_model() -> None:
    assert mcsdr.load().card.name == mcsdr.DEFAULT_MODEL
