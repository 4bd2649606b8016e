"""The promise of docs/saved-models.md: what an earlier version saved is loaded, and answers as it did.

`saved-0.1.0` was written by commit 6d7676c, with random weights, a calibration and a gate, and is never written anew.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mcsdr.errors import InvalidModel
from mcsdr.model import Model, load, storage
from mcsdr.model.storage import digest_of
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


def written(folder: Path, description: object) -> Path:
    """A folder of the saved weights with this description."""
    folder.mkdir(exist_ok=True)
    (folder / "model.json").write_text(
        description if isinstance(description, str) else json.dumps(description, indent=2)
    )
    (folder / "model.safetensors").write_bytes((SAVED / "model.safetensors").read_bytes())
    return folder


@pytest.fixture
def sealed(saved: Model, tmp_path: Path) -> dict:
    """The description of that model as this version saves it."""
    saved.save(tmp_path / "sealed")
    return json.loads((tmp_path / "sealed" / "model.json").read_text())


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
    written(tmp_path, {**description, "format": 7, "mcsdr": "9.8.7"})
    with pytest.raises(InvalidModel, match=r"format 7 .* mcsdr 9\.8\.7") as refused:
        load(tmp_path)
    assert "mcsdr 9.8.7" in refused.value.next_step


def test_the_digest_is_of_the_description_too(saved: Model, sealed: dict, tmp_path: Path) -> None:
    """Without its calibration, or without the word that it is synthetic, a model is another and is refused."""
    again = load(tmp_path / "sealed")
    assert again.sha256 == sealed["digest"] == digest_of(sealed)
    assert saved.sha256 not in (sealed["digest"], sealed["sha256"])  # an earlier format; the weights are the same
    patient = {**sealed["card"], "synthetic": False, "training_data": "1,000 patients"}
    without = {name: part for name, part in sealed.items() if name != "calibration"}
    for other in (without, {**sealed, "card": patient}):
        with pytest.raises(InvalidModel, match="digest differs"):
            load(written(tmp_path / "other", other))
        resealed = load(written(tmp_path / "other", {**other, "digest": digest_of(other)}))
        assert resealed.sha256 != again.sha256
    again.card.figures["new"] = 1
    assert again.sha256 != sealed["digest"]


def test_no_digest_is_a_digest_that_differs(sealed: dict, tmp_path: Path) -> None:
    del sealed["digest"]
    with pytest.raises(InvalidModel, match="digest differs"):
        load(written(tmp_path / "other", sealed))


def test_every_flipped_byte_of_the_description_is_refused(saved: Model, sealed: dict, tmp_path: Path) -> None:
    """Also in the blanks between words, and in the digits of a number beyond those that a double holds."""
    text = (tmp_path / "sealed" / "model.json").read_bytes()
    storage._check(sealed, text, tmp_path)
    for place in range(len(text)):
        flipped = bytearray(text)
        flipped[place] ^= 1
        with pytest.raises((ValueError, InvalidModel)):
            storage._check(json.loads(bytes(flipped)), bytes(flipped), tmp_path)


HUGE = 10**9


@pytest.mark.parametrize(
    "change",
    [
        "[1]",
        "null",
        '"words"',
        "[" * 100_000,
        "{" + '"a":{' * 100_000,
        {"sampler": {"steps": HUGE}},
        {"sampler": {"steps": 4.5}},
        {"sampler": {"draws": HUGE}},
        {"sampler": {"sampler": []}},
        {"sampler": None},
        {"network": {"width": HUGE}},
        {"network": {"heads": 7}},
        {"network": {"channels": [HUGE, 1, 1]}},
        {"network": [1]},
        {"clip": {"frames": 4 * HUGE}},
        {"clip": {"rate_hz": float("inf")}},
        {"attributes": {"names": ["age_years"], "mean": [1.0, 2.0], "sd": [1.0]}},
        {"attributes": {"names": ["age_years"], "mean": [float("nan")], "sd": [0.0]}},
        {"protocol": {"views_together": HUGE}},
        {"calibration": {"maps": {"video": {}}}},
        {"card": {"name": None}},
    ],
    ids=lambda change: str(change)[:40],
)
def test_what_is_no_description_is_refused(sealed: dict, tmp_path: Path, change: str | dict) -> None:
    """Also where the digest is right: whoever wrote it wrote nonsense."""
    if isinstance(change, dict):
        (name, part), whole = next(iter(change.items())), dict(sealed)
        whole[name] = {**whole[name], **part} if isinstance(part, dict) else part
        change = json.dumps({**whole, "digest": digest_of(whole)})
    with pytest.raises(InvalidModel, match="other"):
        load(written(tmp_path / "other", change))
