"""What is refused before any work: in one sentence with a next step, without a bar and without a model."""

from __future__ import annotations

import socket
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.conftest import CONFIGS

from mcsdr import cli
from mcsdr.cli import app, extras
from mcsdr.cli.listening import bound
from mcsdr.errors import (
    EXTRAS,
    CannotListen,
    InvalidCohort,
    InvalidConfig,
    McsdrError,
    MissingExtra,
    TrainingStopped,
    UnwritableFile,
)


def typed(*words: object) -> None:
    app([str(word) for word in words], result_action="return_value")


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever loads a model fails."""
    import mcsdr.model

    def load(name: str) -> None:
        raise AssertionError(f"the model {name} was loaded")

    monkeypatch.setattr(mcsdr.model, "load", load)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make a library look as if it were not installed."""

    def lack(module: str) -> None:
        there = extras.find_spec
        monkeypatch.setattr(extras, "find_spec", lambda name: None if name == module else there(name))

    return lack


def test_every_library_is_brought_by_its_extra() -> None:
    project = tomllib.loads((CONFIGS.parent / "pyproject.toml").read_text())["project"]
    for module, extra in EXTRAS.items():
        brought = [words.partition(">")[0] for words in project["optional-dependencies"][extra]]
        assert module.replace("_", "-") in brought
        assert module not in " ".join(project["dependencies"])


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize(
    ("module", "extra", "words"),
    [
        ("uvicorn", "serve", ("serve",)),
        ("fastapi", "serve", ("serve",)),
        ("pynetdicom", "dicom", ("node", "FOLDER")),
        ("dicomweb_client", "dicom", ("serve", "--reports", "FOLDER", "--stow", "http://localhost/dicom-web")),
        ("zuko", "bench", ("benchmark", "heads", "--out", "FOLDER", "--quick")),
    ],
)
def test_what_is_not_installed_is_named_with_its_extra(
    module: str, extra: str, words: tuple[str, ...], lacking: Callable[[str], None], tmp_path: Path
) -> None:
    lacking(module)
    folder = tmp_path / "folder"
    with pytest.raises(MissingExtra) as refused:
        typed(*(folder if word == "FOLDER" else word for word in words))
    assert str(refused.value) == (
        f"this needs {module}, which is not installed. [missing-extra] Run: pip install 'mcsdr[{extra}]'"
    )
    assert not folder.exists()


def test_an_import_that_fails_on_the_way_is_explained_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(name: str) -> Callable[[], None]:
        def app() -> None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        return app

    monkeypatch.setattr(cli, "app", fails("pynetdicom.sop_class"))
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert "pip install 'mcsdr[dicom]'" in capsys.readouterr().err
    monkeypatch.setattr(cli, "app", fails("torch"))
    with pytest.raises(ModuleNotFoundError):
        cli.main()


@pytest.mark.usefixtures("no_model")
def test_a_taken_port_is_said_at_once(taken: int, tmp_path: Path) -> None:
    with pytest.raises(CannotListen, match=f"port {taken} of 127.0.0.1 is taken") as refused:
        typed("serve", "--port", taken)
    assert "--port" in refused.value.next_step
    with pytest.raises(CannotListen, match="is taken"):
        typed("node", tmp_path / "node", "--port", taken)
    assert not (tmp_path / "node").exists()


@pytest.mark.usefixtures("no_model")
def test_a_folder_that_cannot_be_made_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for words in (("node", tmp_path / "file" / "box"), ("serve", "--reports", tmp_path / "file" / "box")):
        with pytest.raises(UnwritableFile, match="cannot be made"):
            typed(*words, "--port", 0)


@pytest.mark.parametrize(
    ("host", "port", "cause"),
    [("192.0.2.1", 0, "no address of this machine"), ("127.0.0.1", 70000, "no port"), ("no.such.host.", 0, "address")],
)
def test_an_address_that_cannot_be_had(host: str, port: int, cause: str) -> None:
    with pytest.raises(CannotListen, match=cause):
        bound(host, port)


def test_a_full_folder_is_left_alone_before_any_bar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Videos").mkdir()
    with pytest.raises(InvalidCohort, match="already holds") as refused:
        typed("simulate", tmp_path)
    assert refused.value.next_step == "Choose another folder."
    with pytest.raises(InvalidConfig, match="seconds is 900"):
        typed("simulate", tmp_path / "new", "--seconds", 900)
    assert capsys.readouterr() == ("", "")


def test_a_model_is_not_calibrated_on_what_it_has_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidConfig, match="was trained on") as refused:
        typed("calibrate", "phantom-a4c-varied", "phantom:200:5:varied", "--out", tmp_path / "new")
    assert "another seed" in refused.value.next_step
    assert capsys.readouterr() == ("", "")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("info", "phantom-a4"), "Did you mean phantom-a4c?"),
        (("info", "echonet"), "a bundled model: phantom-a4c, phantom-a4c-varied"),
        (("train", "phantm"), "Did you mean phantom?"),
        (("train", "no/such/phantom.toml"), "Leave out folder and suffix: phantom."),
        (("train",), "mcsdr train --list"),
        (("train", "phantom", "--optim.lrr", "1"), "optim.lrr: there is no such setting. Did you mean optim.lr?"),
        (("train", "phantom", "--lr", "1"), "Did you mean optim.lr?"),
        (("train", "phantom", "--outt", "x"), "Did you mean --out?"),
        (("train", "ours-camus"), "--data.train.root FOLDER"),
    ],
)
def test_what_is_mistyped_is_answered_with_what_there_is(
    words: tuple[str, ...],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(McsdrError) as refused:
        typed(*words)
    assert says in str(refused.value)
    assert capsys.readouterr() == ("", "")


def test_a_full_standard_output_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Also of the little that waits in the buffer until the end."""
    full = Path("/dev/full").open("w")  # noqa: SIM115 (its closing fails too)
    monkeypatch.setattr(cli, "app", lambda: print("an answer"))
    monkeypatch.setattr(sys, "stdout", full)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    with suppress(OSError):
        full.close()
    assert ended.value.code == UnwritableFile.exit_status
    told = capsys.readouterr().err
    assert told.startswith("mcsdr: standard output: it cannot be written: No space left on device.")


def test_a_stopped_training_ends_as_its_signal_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = TrainingStopped("SIGTERM ended the training after step 7.", path="runs/model")
    stopped.exit_status = 143

    def end() -> None:
        raise stopped

    monkeypatch.setattr(cli, "app", end)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 143
    assert "Run the same command again" in capsys.readouterr().err


@pytest.mark.usefixtures("no_model")
def test_a_gallery_of_fewer_than_none_is_refused() -> None:
    with pytest.raises(InvalidConfig, match=r"-1 studies.*--gallery 24"):
        typed("evaluate", "phantom-a4c", "phantom:4:9", "--gallery", -1)
