"""What ships with the package is found by name."""

from __future__ import annotations

import pytest
from tests.conftest import CONFIGS

from mcsdr import DEFAULT_MODEL
from mcsdr.errors import MissingFile
from mcsdr.files import shipped
from mcsdr.training.settings import read_settings


def test_every_experiment_is_one_that_can_be_trained() -> None:
    found = shipped.experiments()
    assert {"phantom", "phantom-varied", "paper-camus", "ours-camus"} <= set(found)
    for path in found.values():
        read_settings(path)
        assert len(shipped.summary(path)) > 20


def test_what_is_laid_over_others_is_found_too() -> None:
    assert shipped.recipe("reduced") == CONFIGS / "reduced.toml"
    assert "reduced" not in shipped.experiments()


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(MissingFile) as refused:
        shipped.recipe("phantom-varid")
    assert "Did you mean phantom-varied?" in refused.value.cause
    assert all(name in refused.value.next_step for name in shipped.experiments())


def test_the_bundled_models() -> None:
    assert DEFAULT_MODEL in shipped.models()
    for name, folder in shipped.models().items():
        assert shipped.described(folder)["card"]["name"] == name
