"""What ships with the package: trained models, and the settings of experiments; found without reading a weight.

A wheel carries both inside the package. In a checkout the experiments stand in configs/ beside src/.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import mcsdr
from mcsdr.errors import MissingFile, did_you_mean

PACKAGE = Path(mcsdr.__file__).parent


def models() -> dict[str, Path]:
    """The folders of the bundled models, by name."""
    return {file.parent.name: file.parent for file in sorted((PACKAGE / "pretrained").glob("*/model.json"))}


def described(folder: Path) -> dict[str, Any]:
    """What a model's folder says of it, without its weights."""
    description: dict[str, Any] = json.loads((folder / "model.json").read_bytes())
    return description


def experiments() -> dict[str, Path]:
    """The settings files that can be trained by themselves, by name; those laid over others name no data."""
    return {name: path for name, path in _recipes().items() if "data" in tomllib.loads(path.read_text())}


def summary(experiment: Path) -> str:
    """The first line of a settings file's header."""
    return experiment.read_text().partition("\n")[0].lstrip("# ")


def recipe(name: str) -> Path:
    """The settings file of a name.

    Raises:
        MissingFile: none ships under this name.
    """
    recipes = _recipes()
    if name in recipes:
        return recipes[name]
    stem = Path(name).stem
    if stem in recipes:
        raise MissingFile(
            "there is no such file; the settings of this name ship with the package.",
            path=name,
            next_step=f"Leave out folder and suffix: {stem}.",
        )
    raise MissingFile(
        f"there is no such file, and no experiment of this name.{did_you_mean(stem, experiments())}",
        path=name,
        next_step=f"Give a TOML file, or one of {', '.join(experiments())}; `mcsdr train --list` says what they are.",
    )


def _recipes() -> dict[str, Path]:
    inside, beside = PACKAGE / "configs", PACKAGE.parents[1] / "configs"
    files = (inside if inside.is_dir() else beside).glob("*.toml")
    return {file.stem: file for file in sorted(files, key=lambda file: file.stem)}
