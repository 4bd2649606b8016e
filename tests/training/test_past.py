"""Training never destroys its own past: whatever ends it, what it was stays, and goes on to the same end."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.conftest import CONFIGS

from mcsdr.errors import (
    ChangedRun,
    InvalidModel,
    LostWorker,
    OutOfMemory,
    OutputInUse,
    TrainingDiverged,
    TrainingStopped,
    UnwritableFile,
)
from mcsdr.files import locked_folder, writing
from mcsdr.model import load
from mcsdr.nn.network import PosteriorNetwork
from mcsdr.study import Clip, Study
from mcsdr.training import Silence, loop, sources, train
from mcsdr.training.checkpoint import LAST, PREVIOUS, newest_checkpoint
from mcsdr.training.settings import TrainSettings, read_settings

TINY = {
    "data.label": "reading",
    "clip.size": "48",
    "clip.frames": "12",
    "network.max_frames": "12",
    "network.channels": "[8, 8, 8]",
    "network.width": "16",
    "network.heads": "2",
    "network.score_depth": "1",
    "optim.batch": "8",
    "optim.epochs": "2",
    "run.short_clips": "0.0",
    "run.checkpoint_every": "1",
}
STEPS = 6


class Tiny(Sequence[Study]):
    """Studies of 12 tiny frames whose brightness is their EF."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Study:  # type: ignore[override]
        ef = float(index % 70 + 10)
        clip = Clip(np.full((12, 48, 48), round(ef), np.uint8), np.arange(12) / 25)
        return Study((clip,), study_id=str(index), patient_id=str(index), ef_percent=ef)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "open_cohort", lambda spec: Tiny(24 if spec.seed == 1 else 8))
    monkeypatch.setattr(sources, "fingerprint", lambda spec, cohort: f"{len(cohort)} studies")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def settings_of(cache: Path, **over: str) -> TrainSettings:
    given = {name.replace("__", "."): value for name, value in over.items()}
    return read_settings(CONFIGS / "phantom.toml", {**TINY, "data.cache": str(cache), **given})


class Teller(Silence):
    """Calls what it is given after each step, and within each validation; keeps what it is told."""

    def __init__(self, after_step: Callable[[int], None] = lambda step: None) -> None:
        self.after_step = after_step
        self.told: list[str] = []

    def step(self, step: int, steps: int, loss: float) -> None:
        self.after_step(step)

    def notice(self, text: str) -> None:
        self.told.append(text)


def at_step(wanted: int, act: Callable[[], None]) -> Teller:
    return Teller(lambda step: act() if step == wanted else None)


def log_rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def same_end(one: Path, other: Path) -> None:
    """Weights, average, moments, model and log, to the bit."""
    for name in (LAST, "model/model.safetensors"):
        these, those = load_file(one / name), load_file(other / name)
        assert these.keys() == those.keys()
        assert all(these[key].equal(those[key]) for key in these), name
    assert log_rows(one) == log_rows(other)


@pytest.fixture(scope="module")
def whole(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        tiny.__wrapped__(patch)  # type: ignore[attr-defined]
        train(settings_of(cache), folder)
    return folder


@contextmanager
def broken_at(calls: set[int], fault: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[None]:
    """The loss of these steps, counted from 1, as the fault makes it."""
    right, count = PosteriorNetwork.loss, iter(range(1, 1000))

    def wrong(*arguments: object) -> tuple[torch.Tensor, torch.Tensor]:
        denoising, nll = right(*arguments)  # type: ignore[arg-type]
        return (fault(denoising) if next(count) in calls else denoising), nll

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PosteriorNetwork, "loss", wrong)
        yield


class _NoGradient(torch.autograd.Function):
    """A finite loss whose gradient is no number."""

    @staticmethod
    def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * float("nan")


FAULTS = {"loss": lambda x: x + float("inf"), "gradient": _NoGradient.apply}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_step_without_a_finite_gradient_is_left_out_and_counted(cache: Path, tmp_path: Path, fault: str) -> None:
    with broken_at({2, 4}, FAULTS[fault]):
        model = train(settings_of(cache), tmp_path)
    assert all(t.isfinite().all() for t in load_file(tmp_path / LAST).values())
    assert model.card.figures["validation"]["left_out"] in (1, 2)  # of the best validation, in step 3 or 6
    assert [row["left_out"] for row in log_rows(tmp_path) if "left_out" in row] == [1, 2]


def test_too_many_in_a_row_stop_the_run(cache: Path, tmp_path: Path) -> None:
    """The checkpoint of the last step that was whole stays, with where the counting stood."""
    settings = settings_of(cache, optim__bad_steps="1")
    with broken_at({2, 4, 5}, FAULTS["gradient"]), pytest.raises(TrainingDiverged, match="2 steps in a row"):
        train(settings, tmp_path)
    checkpoint, damage = newest_checkpoint(tmp_path)
    assert damage is None
    assert checkpoint is not None
    assert checkpoint.progress | {"best": 0} == {**loop.BEGINNING, "step": 4, "left_out": 2, "in_a_row": 1, "best": 0}
    assert all(t.isfinite().all() for t in checkpoint.tensors.values())


def test_what_is_no_number_is_never_saved(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where the gradients were finite either, and not as a best model."""

    def spoilt(self: loop.Run, step: int, steps: int) -> dict[str, float]:
        with torch.no_grad():
            if step == 2:
                next(self.network.parameters()).fill_(float("inf"))
                self.average.update(self.network, 1)
        return {"denoising": 1.0, "nll": 1.0}

    monkeypatch.setattr(loop.Run, "advance", spoilt)
    with pytest.raises(TrainingDiverged, match="no finite number"):
        train(settings_of(cache), tmp_path)
    assert not (tmp_path / "model").exists()
    checkpoint, _ = newest_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint.progress["step"] == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_ends(cache: Path, tmp_path: Path, whole: Path, number: signal.Signals) -> None:
    settings = settings_of(cache, run__checkpoint_every="100")
    before = signal.getsignal(number)
    with pytest.raises(TrainingStopped, match=f"{number.name} ended the training after step 2") as stopped:
        train(settings, tmp_path, at_step(1, lambda: os.kill(os.getpid(), number)))
    assert stopped.value.exit_status == 128 + number
    assert signal.getsignal(number) is before
    train(settings_of(cache), tmp_path)
    same_end(whole, tmp_path)


def test_a_signal_ends_a_validation_at_once(
    cache: Path, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which may take minutes; the resumed run makes it before its next step, so that the log is the same."""
    right = loop.validate

    def long(*arguments: object) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("the validation went on")

    monkeypatch.setattr(loop, "validate", long)
    with pytest.raises(TrainingStopped, match="after step 3"):
        train(settings_of(cache), tmp_path)
    assert not (tmp_path / "model").exists()
    monkeypatch.setattr(loop, "validate", right)
    train(settings_of(cache), tmp_path)
    same_end(whole, tmp_path)


def test_other_settings_are_refused_by_name(cache: Path, tmp_path: Path) -> None:
    train(settings_of(cache), tmp_path)
    written = (tmp_path / LAST).read_bytes()
    other = settings_of(cache, optim__lr="3e-3", run__seed="7", optim__epochs="3")
    with pytest.raises(ChangedRun) as refused:
        train(other, tmp_path)
    for part in ("optim.lr was 0.001 and is 0.003", "run.seed was 0 and is 7", "optim.epochs was 2 and is 3"):
        assert part in refused.value.cause
    assert refused.value.cause.count(" was ") == 1 + 3
    assert (tmp_path / LAST).read_bytes() == written
    train(settings_of(cache, data__workers="1", run__checkpoint_every="9"), tmp_path)  # no weight depends on these
    train(other, tmp_path, continue_with_changes=True)
    checkpoint, _ = newest_checkpoint(tmp_path)
    assert checkpoint is not None
    (change,) = checkpoint.progress["changes"]
    assert (change["step"], change["settings"]["optim.lr"]) == (STEPS, [0.001, 0.003])


def test_the_card_tells_both_settings(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crps = iter([9.0, 8.0, 7.0, 6.0])  # ever better, so that the last model is kept
    monkeypatch.setattr(loop, "validate", lambda *arguments: {"crps": next(crps), "mae": 1.0})
    train(settings_of(cache), tmp_path)
    train(settings_of(cache, optim__epochs="3"), tmp_path, continue_with_changes=True)
    again = load(tmp_path / "model")
    assert again.card.changes == [{"step": STEPS, "settings": {"optim.epochs": [2, 3]}}]


def test_a_damaged_checkpoint_gives_way_to_the_one_before(cache: Path, tmp_path: Path, whole: Path) -> None:
    with pytest.raises(TrainingStopped):
        train(settings_of(cache), tmp_path, at_step(4, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    content = (tmp_path / LAST).read_bytes()
    for place in np.linspace(0, len(content) - 1, 40, dtype=int):
        flipped = bytearray(content)
        flipped[place] ^= 1
        (tmp_path / LAST).write_bytes(flipped)
        checkpoint, damage = newest_checkpoint(tmp_path)
        assert checkpoint is not None
        assert damage is not None
        assert checkpoint.progress["step"] == 4
    teller = Teller()
    train(settings_of(cache), tmp_path, teller)
    assert "damaged" in teller.told[0]
    same_end(whole, tmp_path)
    for name in (LAST, PREVIOUS):
        (tmp_path / name).write_bytes(content[:-1])
    with pytest.raises(InvalidModel, match="damaged"):
        train(settings_of(cache), tmp_path)


def test_a_kill_between_the_two_renames(cache: Path, tmp_path: Path, whole: Path) -> None:
    with pytest.raises(TrainingStopped):
        train(settings_of(cache), tmp_path, at_step(4, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    (tmp_path / LAST).unlink()
    (tmp_path / ".last.safetensors.99999.partial").write_bytes(b"half")
    train(settings_of(cache), tmp_path)
    same_end(whole, tmp_path)
    assert not list(tmp_path.rglob(".*.partial"))


def test_a_second_training_is_refused(cache: Path, tmp_path: Path) -> None:
    with locked_folder(tmp_path, "mcsdr train"), pytest.raises(OutputInUse, match="mcsdr train"):
        train(settings_of(cache), tmp_path)
    assert not list(tmp_path.iterdir())


def test_too_little_memory_is_told_with_batch_and_size(cache: Path, tmp_path: Path) -> None:
    with (
        broken_at({2}, lambda x: x + torch.empty(10**15).sum()),
        pytest.raises(OutOfMemory, match=r"batch of 8 studies, 12 × 48 × 48 pixels") as refused,
    ):
        train(settings_of(cache), tmp_path)
    assert "optim.batch" in refused.value.next_step
    checkpoint, _ = newest_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint.progress["step"] == 1


class Dying(Tiny):
    """Its last study ends the process that reads it."""

    def __getitem__(self, index: int) -> Study:  # type: ignore[override]
        if index == self.n - 1:
            os._exit(9)
        return super().__getitem__(index)


def test_a_dead_worker_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "open_cohort", lambda spec: Dying(24))
    with pytest.raises(LostWorker, match="renders or decodes"):
        train(settings_of(tmp_path / "cache", data__workers="1"), tmp_path / "run")
    assert not list((tmp_path / "cache").iterdir())


def test_a_full_disk_leaves_the_checkpoint_before(
    cache: Path, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    right = os.fsync
    fill = lambda: monkeypatch.setattr(writing.os, "fsync", full)  # noqa: E731
    with pytest.raises(UnwritableFile, match="No space left"):
        train(settings_of(cache), tmp_path, at_step(4, fill))
    monkeypatch.setattr(writing.os, "fsync", right)
    checkpoint, damage = newest_checkpoint(tmp_path)
    assert damage is None
    assert checkpoint is not None
    assert checkpoint.progress["step"] == 3
    train(settings_of(cache), tmp_path)
    same_end(whole, tmp_path)


@pytest.mark.parametrize("name", ["log.jsonl", "tensorboard", "run"])
def test_what_cannot_be_written_is_named(cache: Path, tmp_path: Path, name: str) -> None:
    run = tmp_path / "run"
    match name:
        case "run":
            run.write_bytes(b"")  # a file where the folder should be
        case "tensorboard":
            run.mkdir()
            (run / name).write_bytes(b"")
        case _:
            run.mkdir()
            (run / name).mkdir()
    with pytest.raises(UnwritableFile, match=name):
        train(settings_of(cache), run)


def test_a_log_on_a_full_disk(cache: Path, tmp_path: Path) -> None:
    def fill() -> None:
        (tmp_path / "log.jsonl").unlink()
        (tmp_path / "log.jsonl").symlink_to("/dev/full")

    with pytest.raises(UnwritableFile, match=r"log\.jsonl.*No space left"):
        train(settings_of(cache), tmp_path, at_step(2, fill))


def train_tiny(cache: Path, folder: Path) -> None:
    """What each of the killed processes does."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        tiny.__wrapped__(patch)  # type: ignore[attr-defined]
        train(settings_of(cache, optim__epochs="20"), folder)


@pytest.mark.slow
def test_twenty_kills_change_no_bit(cache: Path, tmp_path: Path) -> None:
    """At any moment from the start on, in the writing of a checkpoint, right behind it, and some time after it."""
    context = multiprocessing.get_context("forkserver")  # processes that have loaded torch and done nothing with it
    context.set_forkserver_preload(["mcsdr.training", "safetensors.torch", "tensorboardX"])
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    undisturbed = context.Process(target=train_tiny, args=(cache, whole))
    undisturbed.start()
    undisturbed.join()
    rng, last, kills, half_written = np.random.default_rng(7), killed / LAST, 0, 0
    while kills < 20:
        process = context.Process(target=train_tiny, args=(cache, killed))
        before = last.stat().st_mtime_ns if last.exists() else 0
        process.start()
        match kills % 4:
            case 0:
                time.sleep(rng.uniform(0, 3))
            case 1:
                wait_for(process, lambda: any(killed.glob(".last.safetensors.*.partial")))
            case _:
                wait_for(process, lambda: last.exists() and last.stat().st_mtime_ns > before)  # noqa: B023
                time.sleep(rng.uniform(0, 0.5) if kills % 4 == 3 else 0)
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        kills += 1
        half_written += any(killed.glob(".*.partial"))
        checkpoint, damage = newest_checkpoint(killed)
        assert damage is None
        print(f"kill {kills}: step {checkpoint.progress['step'] if checkpoint else 0}, {half_written} half written")
    assert half_written >= 3
    finished = context.Process(target=train_tiny, args=(cache, killed))
    finished.start()
    finished.join()
    same_end(whole, killed)
    assert not list(killed.rglob(".*.partial"))


def wait_for(process: BaseProcess, happens: Callable[[], bool]) -> None:
    """Until it happens, the process ends, or two minutes are over."""
    deadline = time.monotonic() + 120
    while not happens() and process.is_alive() and time.monotonic() < deadline:
        time.sleep(0.0005)
