"""One behaviour: Python, command line, batch and service say the same of the same ten clips, to the last digit."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from starlette.testclient import TestClient
from tests.io.generated_clips import doppler_loop, ultrasound

import mcsdr
from mcsdr.errors import McsdrError
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.phantom.impostors import ImpostorCohort
from mcsdr.phantom.layouts import write_avi
from mcsdr.prediction import Failure
from mcsdr.prediction.batch import Asked, inputs_of, run
from mcsdr.prediction.rows import cells_of
from mcsdr.serve import create_app

KNOWN = {"age": 63, "sex": "female", "weight": 70, "height": 165}
Records = dict[str, dict[str, Any]]


def write_clips(folder: Path) -> None:
    """Ten clips, of which some are answered, some refused and some cannot be read; only "alone" has no attributes."""
    beat, long = (
        PhantomCohort(1, seed=31)[0].clips[0],
        PhantomCohort(1, seed=31, sampling_hz=None, seconds=2.0)[0].clips[0],
    )
    noise, view = ImpostorCohort(1, 5, ("white-noise",))[0].clips[0], ImpostorCohort(1, 5, ("PSAX",))[0].clips[0]
    still = np.repeat(beat.frames[:1], 40, axis=0)
    films = {
        "good": beat.frames,
        "two-seconds": long.frames,
        "one-beat": beat.frames[:22],
        "noise": noise.frames,
        "another-view": view.frames,
        "still": still,
        "black": np.zeros_like(still),
    }
    for name, frames in films.items():
        write_avi(folder / f"{name}.avi", frames, 25)
    whole = (folder / "good.avi").read_bytes()
    (folder / "cut-short.avi").write_bytes(whole[: len(whole) // 2])
    ultrasound(doppler_loop()).save_as(folder / "colour.dcm", enforce_file_format=True)
    (folder / "alone.dcm").write_bytes(Path(get_testdata_file("examples_ybr_color.dcm")).read_bytes())


def told_of(name: str) -> dict[str, Any]:
    return {} if name == "alone.dcm" else KNOWN


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder)
    return folder


@pytest.fixture(scope="module")
def in_python(folder: Path) -> Records:
    """`model(read_study(file))`; a file that cannot be read raises."""
    model = mcsdr.load()
    records = {}
    for file in sorted(folder.iterdir()):
        try:
            records[file.name] = model(mcsdr.read_study(file, **told_of(file.name))).record()
        except McsdrError as error:
            records[file.name] = Failure(str(file), error).record()
    return {name: json.loads(json.dumps(record)) for name, record in records.items()}


def by_predict(folder: Path) -> Records:
    model = mcsdr.load()
    every = {file.name: mcsdr.predict(file, model, **told_of(file.name)) for file in folder.iterdir()}
    return {name: json.loads(json.dumps(next(answers).record())) for name, answers in every.items()}


def on_the_command_line(folder: Path) -> Records:
    told = [word for name, value in KNOWN.items() for word in (f"--{name}", str(value))]
    files = [str(file) for file in folder.iterdir() if told_of(file.name)]
    said = []
    for arguments in ([*files, *told], [str(folder / "alone.dcm")]):
        command = [sys.executable, "-m", "mcsdr", "predict", *arguments, "--json"]
        said += json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
    return {Path(record["file"]).name: record for record in said}


def over_http(folder: Path) -> Records:
    with TestClient(create_app(), base_url="http://127.0.0.1:8765") as client:
        return {file.name: _posted(client, file) for file in folder.iterdir()}


def _posted(client: TestClient, file: Path) -> dict[str, Any]:
    said = {"name": file.name, **told_of(file.name)}
    job = client.post("/api/v1/clips", params=said, content=file.read_bytes()).json()
    while (standing := client.get(f"/api/v1/jobs/{job['id']}").json())["state"] not in ("done", "failed"):
        time.sleep(0.02)
    record: dict[str, Any] = standing["result"]
    return record


WAYS: dict[str, Callable[[Path], Records]] = {
    "predict": by_predict,
    "command line": on_the_command_line,
    "service": over_http,
}


def without_place(record: dict[str, Any]) -> dict[str, Any]:
    """A record without when it was made and where its file lies, which each way in names as it was told.

    A failure's hash is of the file.
    """
    left_out = ("file", "analysed", "seconds", "input_sha256")
    plain = {name: value for name, value in record.items() if name not in left_out}
    if record["error"]:
        plain["error"] = {name: record["error"][name] for name in ("code", "cause", "next_step")}
    return plain


@pytest.mark.parametrize("way", WAYS)
def test_every_way_in_says_the_same(way: str, folder: Path, in_python: Records) -> None:
    found = WAYS[way](folder)
    assert found.keys() == in_python.keys()
    for name, record in in_python.items():
        assert without_place(found[name]) == without_place(record), name
        if not record["error"]:
            assert found[name]["input_sha256"] == record["input_sha256"]


def test_the_ten_clips_are_of_every_kind(in_python: Records) -> None:
    assert len(in_python) == 10
    codes = {name: (r["error"] or r["abstained"] or {}).get("code") for name, r in in_python.items()}
    assert codes["good.avi"] is codes["two-seconds.avi"] is codes["alone.dcm"] is None
    assert in_python["two-seconds.avi"]["beats"]  # all of them are read, in Python too
    assert (codes["black.avi"], codes["still.avi"]) == ("empty-picture", "still-picture")
    assert (codes["colour.dcm"], codes["cut-short.avi"]) == ("not-b-mode", "unreadable-file")
    assert codes["noise.avi"] == codes["another-view.avi"] == "wrong-view-or-not-echo"


def test_the_rows_of_a_batch_say_the_same(folder: Path, in_python: Records, tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, ("file", *KNOWN))
        writer.writeheader()
        writer.writerows({"file": str(folder / name), **told_of(name)} for name in in_python)
    run(inputs_of(table), tmp_path / "out.csv", Asked(mcsdr.DEFAULT_MODEL))
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    for name, record in in_python.items():
        expected = cells_of({**record, "file": name})
        differing = {
            column
            for column, cell in expected.items()
            if column != "input_sha256" and rows[name][column] != ("" if cell is None else str(cell))
        }
        assert not differing, name


def test_a_mixture_of_studies_and_files(folder: Path) -> None:
    """Studies may be given in place of files, and what is told stands above what they say."""
    study = mcsdr.read_study(folder / "alone.dcm")

    def answers() -> Iterator[Any]:
        return mcsdr.predict([study, folder / "alone.dcm", folder / "colour.dcm"], age=40, sex="M")

    one, other, failed = answers()
    assert without_place(one.record()) == without_place(other.record())
    assert one.study.attributes.age_years == 40
    assert failed.error.code == "not-b-mode"
    assert [row["error"] for row in mcsdr.Answers(answers()).table()] == [None, None, "not-b-mode"]
