"""The promise of docs/saved-models.md: what an earlier version saved is loaded, and answers as it did.

`saved-0.1.0` was written by commit 6d7676c, with random weights, a calibration and a gate, and is never written anew.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mcsdr.errors import InvalidModel
from mcsdr.model import Model, load
from mcsdr.study import Attributes, Clip, Study

SAVED = Path(__file__).parent / "saved-0.1.0"
EXPECTED = json.loads((SAVED / "expected.json").read_text())
PATTERNS = tuple(EXPECTED["quantiles"])


@pytest.fixture(scope="module")
def saved() -> Model:
    return load(SAVED)


@pytest.fixture(scope="module")
def study() -> Study:
    """A dark disc that beats in a bright slope, drawn by a formula that no version changes."""
    t, y, x = np.meshgrid(np.arange(32), np.arange(112), np.arange(112), indexing="ij")
    radius = 28 + 8 * np.cos(2 * np.pi * t / 16)
    inside = (x - 56) ** 2 + (y - 60) ** 2 < radius**2
    frames = np.where(inside, 20, 60 + (x + 2 * y) % 90).astype(np.uint8)
    return Study((Clip(frames, np.arange(32) / 25),), Attributes(63, "F", 70, 165))


@pytest.mark.parametrize("known", PATTERNS)
def test_an_earlier_model_answers_as_it_did(saved: Model, study: Study, known: str) -> None:
    hidden = [modality for modality in ("video", "attributes") if modality not in known]
    asked = [study.without(*hidden)]
    posterior = saved.posterior(saved.encode(asked), saved.attribute_rows(asked))
    quantiles = posterior.quantile(EXPECTED["levels"])[0]
    assert np.abs(quantiles - EXPECTED["quantiles"][known]).max() < 0.01  # EF points


def test_its_gate_measures_as_it_did(saved: Model, study: Study) -> None:
    assert saved.familiarity is not None
    strange = saved.familiarity.strangeness(saved.features(saved.encode([study])))
    assert np.abs(np.ravel(strange) - EXPECTED["strangeness"]).max() < 0.01


def test_it_is_saved_again_as_the_same_weights(saved: Model, tmp_path: Path) -> None:
    saved.save(tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == (SAVED / "model.safetensors").read_bytes()


def test_another_format_is_refused_with_the_version_that_reads_it(tmp_path: Path) -> None:
    description = json.loads((SAVED / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**description, "format": 7, "mcsdr": "9.8.7"}))
    (tmp_path / "model.safetensors").write_bytes((SAVED / "model.safetensors").read_bytes())
    with pytest.raises(InvalidModel, match=r"format 7 .* mcsdr 9\.8\.7") as refused:
        load(tmp_path)
    assert "mcsdr 9.8.7" in refused.value.next_step
