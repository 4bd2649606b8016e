"""Training learns, resumes to the bit after a kill, and runs on two processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.conftest import CONFIGS

from mcsdr.errors import InvalidConfig, TooManyBadRows, UnreadableFile
from mcsdr.model import load
from mcsdr.study import Clip, Study
from mcsdr.training import Silence, learning_rate, loop, sources, train
from mcsdr.training.settings import OptimSettings, read_settings

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
    same_end(whole, killed)


def same_end(whole: Path, killed: Path) -> None:
    """Weights, average, moments, model and log, to the bit."""
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


def test_a_machine_without_bfloat16_trains_in_float32(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loop.has_bf16(torch.device("cuda"))
    monkeypatch.setattr(loop, "has_bf16", lambda device: False)
    hashes = set()
    for precision in ("bf16", "no"):
        settings = read_settings(CONFIGS / "phantom.toml", small(cache, run__precision=precision, optim__epochs="1"))
        hashes.add(train(settings, tmp_path / precision, Silence()).weights_sha256)
    assert len(hashes) == 1


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


class TenThousand(Sequence[Study]):
    """10,000 studies of 12 tiny frames whose brightness is their EF; those of `bad` cannot be read."""

    def __init__(self, bad: set[int], n: int = 10_000) -> None:
        self.n, self.bad = n, bad

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Study:  # type: ignore[override]
        if index in self.bad:
            raise UnreadableFile("it was cut short", path=f"{index}.avi")
        ef = float(index % 70 + 10)
        clip = Clip(np.full((12, 48, 48), round(ef), np.uint8), np.arange(12) / 25)
        return Study((clip,), study_id=str(index), patient_id=str(index), ef_percent=ef)


@pytest.fixture
def of_ten_thousand(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Trainings see so many rows, of which so many are bad."""

    def give(rows: int, bad: int) -> None:
        chosen = set(np.random.default_rng(bad).choice(rows, bad, replace=False).tolist())
        cohorts = {"train": TenThousand(chosen, rows), "val": TenThousand(set(), 20)}
        monkeypatch.setattr(sources, "open_cohort", lambda spec: cohorts["train" if spec.seed == 1 else "val"])
        monkeypatch.setattr(sources, "fingerprint", lambda spec, cohort: f"{rows} rows, {bad} bad")

    return give


def tiny_clips(cache: Path, batch: int) -> dict[str, str]:
    changes = {"clip.size": "48", "clip.frames": "12", "network.max_frames": "12", "data.label": "reading"}
    changes |= {"optim.epochs": "1", "optim.batch": str(batch), "data.max_bad": "0.01", "run.short_clips": "0.0"}
    return small(cache) | changes


class Names(Silence):
    """Notes which studies were left out."""

    def __init__(self) -> None:
        self.left_out: list[str] = []

    def skipped(self, cohort: str, bad: Sequence[tuple[str, str]]) -> None:
        self.left_out += [name for name, _ in bad]


@pytest.mark.parametrize(("bad", "completes"), [(1, True), (2, True), (3, False)])
def test_bad_rows_count_against_the_limit(
    of_ten_thousand: Callable[[int, int], None], tmp_path: Path, bad: int, completes: bool
) -> None:
    of_ten_thousand(200, bad)
    names = Names()
    settings = read_settings(CONFIGS / "phantom.toml", tiny_clips(tmp_path / "cache", 40))
    if completes:
        train(settings, tmp_path / "run", names)
        assert len(names.left_out) == bad
        assert log_rows(tmp_path / "run")[-1]["step"] == 4
    else:
        with pytest.raises(TooManyBadRows, match="3 of 200"):
            train(settings, tmp_path / "run", names)


@pytest.mark.slow
@pytest.mark.parametrize(("bad", "completes"), [(1, True), (100, True), (1000, False)])
def test_ten_thousand_rows(
    of_ten_thousand: Callable[[int, int], None], tmp_path: Path, bad: int, completes: bool
) -> None:
    """At most 1 % may be bad: a real training of 10,000 rows comes to its end, or stops as the limit says."""
    of_ten_thousand(10_000, bad)
    names = Names()
    settings = read_settings(CONFIGS / "phantom.toml", tiny_clips(tmp_path / "cache", 500))
    if completes:
        train(settings, tmp_path / "run", names)
        assert len(names.left_out) == bad
        assert log_rows(tmp_path / "run")[-1]["step"] == (10_000 - bad) // 500
    else:
        with pytest.raises(TooManyBadRows, match="101 of 10000"):
            train(settings, tmp_path / "run", names)
