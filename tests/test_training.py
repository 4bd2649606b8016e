"""Training learns, resumes to the bit after a kill, and runs on two processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from mcsdr.errors import InvalidConfig
from mcsdr.model import load
from mcsdr.settings import OptimSettings, read_settings
from mcsdr.training import learning_rate, train
from tests.conftest import CONFIGS

SMALL = {
    "data.train.n": "24",
    "data.val.n": "8",
    "network.channels": "[8, 8, 8]",
    "network.width": "16",
    "network.heads": "2",
    "network.score_depth": "1",
    "optim.batch": "8",
    "optim.epochs": "4",
    "run.checkpoint_every": "2",
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def small(cache: Path, **extra: str) -> dict[str, str]:
    return {**SMALL, "data.cache": str(cache), **{name.replace("__", "."): value for name, value in extra.items()}}


def command(cache: Path, out: Path, launcher: tuple[str, ...] = (sys.executable,)) -> list[str]:
    overrides = [text for key, value in small(cache).items() for text in (f"--{key}", value)]
    return [*launcher, "-m", "mcsdr", "train", str(CONFIGS / "phantom.toml"), "--out", str(out), *overrides]


def log_rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_killed_run_resumes_to_the_bit(cache: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    settings = read_settings(CONFIGS / "phantom.toml", small(cache))
    train(settings, whole)
    environment = {**os.environ, "OMP_NUM_THREADS": str(__import__("torch").get_num_threads())}
    process = subprocess.Popen(command(cache, killed), env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (killed / "last.safetensors").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (killed / "last.safetensors").exists()
    train(settings, killed)
    for name in ("last.safetensors", "model/model.safetensors"):
        one, other = load_file(whole / name), load_file(killed / name)
        assert one.keys() == other.keys()
        assert all(one[key].equal(other[key]) for key in one), name
    assert log_rows(whole) == log_rows(killed)


def test_two_processes_under_torchrun(cache: Path, tmp_path: Path) -> None:
    launcher = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command(cache, tmp_path, launcher), check=True, env=environment, capture_output=True, timeout=240)
    rows = log_rows(tmp_path)
    assert rows[-1]["step"] == 12
    assert load(tmp_path / "model").card.figures["validation"]["processes"] == 2


def test_learning_rate_warms_up_and_falls() -> None:
    settings = OptimSettings(lr=1.0, warmup=0.1)
    rates = [learning_rate(step, 100, settings.lr, settings) for step in range(100)]
    assert rates[:10] == pytest.approx([(k + 1) / 10 for k in range(10)])
    assert rates == sorted(rates[:10]) + sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.02


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"optim.learning_rate": "1"}, "optim.learning_rate"),
        ({"optim.lr": "fast"}, "optim.lr"),
        ({"optim.lr": "-1"}, "optim.lr"),
        ({"data.train.kind": "mri"}, "data.train.kind"),
    ],
)
def test_wrong_settings_are_named(overrides: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        read_settings(CONFIGS / "phantom.toml", overrides)


def test_a_batch_larger_than_the_cohort(cache: Path, tmp_path: Path) -> None:
    settings = read_settings(CONFIGS / "phantom.toml", small(cache, optim__batch="64"))
    with pytest.raises(InvalidConfig, match="64 does not fit 24 studies"):
        train(settings, tmp_path)
