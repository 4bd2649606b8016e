"""Settings: a name that is unknown is answered with the nearest that is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import CONFIGS

from mcsdr.errors import InvalidConfig
from mcsdr.training.settings import TrainSettings, read_settings, setting_names


def test_every_name_is_a_setting() -> None:
    settings = read_settings(CONFIGS / "phantom.toml")
    for name in setting_names():
        value: object = settings
        for part in name.split("."):
            value = getattr(value, part)
    assert {"optim.lr", "data.train.seed", "sampler.steps"} <= set(setting_names())
    assert len(set(setting_names())) == len(setting_names())


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("optim.lrr", "optim.lr"),
        ("run.lr", "optim.lr"),  # of this name, in another table
        ("data.train.sed", "data.train.seed"),
        ("sampler.stepz", "sampler.steps"),
        ("run.sede", "run.seed"),
    ],
)
def test_a_mistyped_name_gets_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(InvalidConfig) as refused:
        read_settings(CONFIGS / "phantom.toml", {name: "3"})
    assert f"{name}: there is no such setting. Did you mean {nearest}?" in refused.value.cause


def test_a_mistyped_table_of_a_file_gets_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text((CONFIGS / "phantom.toml").read_text().replace("[optim]", "[optin]"))
    with pytest.raises(InvalidConfig, match=r"optin: there is no such setting\. Did you mean optim\?"):
        read_settings(file)


def test_a_name_like_no_other_gets_none() -> None:
    with pytest.raises(InvalidConfig) as refused:
        read_settings(CONFIGS / "phantom.toml", {"foo.bar": "3"})
    assert refused.value.cause == "foo: there is no such setting."


def test_a_value_is_no_table() -> None:
    with pytest.raises(InvalidConfig, match=r"run\.seed: "):
        read_settings(CONFIGS / "phantom.toml", {"run.seed.x": "3"})


def test_an_override_stands_above_the_file() -> None:
    settings: TrainSettings = read_settings(CONFIGS / "phantom.toml", {"optim.lr": "5e-4", "optim.epochs": "4"})
    assert (settings.optim.lr, settings.optim.epochs) == (5e-4, 4)


SEEDS = {"data.train.seed", "data.val.seed", "sampler.seed", "run.seed"}


@pytest.mark.parametrize("value", [str(10**12), "1e999", "nan", "-inf", "-1", "[1]", "[" * 1100, "9" * 5000])
def test_no_setting_is_without_bounds(value: str) -> None:
    """Whatever stands in a file, it is a setting or refused by name; of numbers only a seed may be as large."""
    for name in setting_names():
        try:
            read_settings(CONFIGS / "phantom.toml", {name: value})
        except InvalidConfig:
            continue
        words = name.endswith(WORDS)
        assert words or (name in SEEDS and value == str(10**12)), name


WORDS = ("root", "cache", "name", "start.model", "start.encoder")  # any text is one


@pytest.mark.parametrize("text", ["\0", "[1]", "a = " + "[" * 5000, "data = 1", "null", "data = {train = 1}", "\udcff"])
def test_what_is_no_settings_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "some.toml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InvalidConfig, match="some"):
        read_settings(tmp_path / "some.toml")
