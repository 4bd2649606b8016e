"""The examples in the docstrings of the public interface run, and give what they say."""

from __future__ import annotations

import doctest
import shutil
from importlib import import_module
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

# A name joins when its docstring has an example.
MODULES = (
    "mcsdr",
    "mcsdr.model.answer",
    "mcsdr.model.storage",
    "mcsdr.posterior.table",
    "mcsdr.prediction.answers",
    "mcsdr.study.records",
)
# An example of an error names its message and leaves the rest to "...".
OPTIONS = doctest.ELLIPSIS


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder with an ordinary clip.dcm, as a reader of the docstring has one."""
    shutil.copy(str(get_testdata_file("examples_ybr_color.dcm")), tmp_path / "clip.dcm")
    monkeypatch.chdir(tmp_path)
    outcome = doctest.testmod(import_module(name), optionflags=OPTIONS)
    assert outcome.attempted > 0
    assert outcome.failed == 0
