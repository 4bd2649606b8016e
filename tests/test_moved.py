"""Whoever imports a module by the path of an earlier version is told the new one, or is served."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import mcsdr

HALL = 20  # rooms and modules directly under src/mcsdr; docs/architecture.md gives the reason for each beyond sixteen
# fmt: off
# Modules of 0.1.0 before they moved into rooms, as a user could have imported them.
BEFORE = (
    "asking", "attributes", "batch", "beats", "benchmark", "benchmark.known", "cache", "calibration", "checkpoint",
    "clips", "comparison", "corruptions", "corruptions.kernels", "errors", "evaluation", "familiarity", "feed",
    "files", "gates", "gating", "heads", "heads.card", "interop.official", "interop.torch_checkpoint",
    "interop.weights", "measures", "model", "modes", "monotone", "normal", "objective", "pooling", "posterior",
    "prediction", "protocol", "recalibration", "reproduction", "rows", "settings", "study", "tokens", "training",
    "workers",
)
# fmt: on


@pytest.mark.parametrize("name", BEFORE)
def test_an_earlier_path_works_or_names_the_new_one(name: str) -> None:
    try:
        import_module(f"mcsdr.{name}")
    except ImportError as error:
        said, _, new = str(error).partition(" is now ")
        assert f"mcsdr.{name}.".startswith(f"{said}.")  # of a submodule its package is missed first
        assert find_spec(new) is not None


def test_from_mcsdr_import_is_told_too() -> None:
    with pytest.raises(ImportError, match=r"mcsdr\.gates is now mcsdr\.abstention\.gates"):
        from mcsdr import gates  # noqa: F401
    with pytest.raises(ModuleNotFoundError):
        import_module("mcsdr.nothing_of_the_kind")


def test_the_hall_stays_small() -> None:
    root = Path(mcsdr.__file__).parent
    rooms = {path.name for path in root.iterdir() if (path / "__init__.py").is_file()}
    modules = {path.stem for path in root.glob("*.py")} - {"__init__", "__main__"}
    assert len(rooms | modules) <= HALL
