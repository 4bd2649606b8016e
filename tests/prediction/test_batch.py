"""What a batch promises: one row an input, in order, the same whether it was killed or not, in the memory of one."""

from __future__ import annotations

import csv
import hashlib
import json
import random
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcsdr import DISCLAIMER
from mcsdr.errors import (
    ChangedRun,
    InvalidConfig,
    InvalidModel,
    McsdrError,
    MissingFile,
    OutputInUse,
    UnreadableFile,
    UnsupportedFormat,
)
from mcsdr.files import locked_table
from mcsdr.model import Answer, Model
from mcsdr.phantom.layouts import write_avi
from mcsdr.posterior.population import NAMED, Population
from mcsdr.prediction import Failure, batch, predict
from mcsdr.prediction.batch import HEADER, Asked, Input, Tally, inputs_of, run
from mcsdr.prediction.rows import COLUMNS, cells_of, safe
from mcsdr.study import Study


@pytest.fixture
def asked(tmp_path: Path, model: Model) -> Asked:
    model.save(tmp_path / "model")
    return Asked(str(tmp_path / "model"), anyway=True)


@pytest.fixture
def clips(tmp_path: Path, studies: list[Study]) -> Path:
    """A folder of clips: two that move, one black, two that cannot be read."""
    folder = tmp_path / "Doe Jane 1950"
    folder.mkdir()
    frames = studies[0].clips[0].frames
    write_avi(folder / "a.avi", frames, 25)
    write_avi(folder / '=b,"x".avi', frames[::-1], 25)
    write_avi(folder / "black.avi", np.zeros_like(frames), 25)
    (folder / "damaged.avi").write_bytes(b"not a video")
    (folder / "empty.avi").write_bytes(b"")
    return folder


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def unreadable(folder: Path, count: int) -> list[Input]:
    file = folder / "damaged.avi"
    file.write_bytes(b"not a video")
    return [Input(file, f"{place}.avi") for place in range(count)]


# --- rows ------------------------------------------------------------------------------------------------------------


def test_a_row_for_each_input_in_order(clips: Path, asked: Asked, tmp_path: Path, model: Model) -> None:
    out = tmp_path / "out.csv"
    tally = run(inputs_of(clips), out, replace(asked, anyway=False))
    found = rows(out)
    files = sorted(clips.iterdir())
    assert [row["file"] for row in found] == [safe(file.name) for file in files]
    assert [row["row"] for row in found] == ["1", "2", "3", "4", "5"]
    assert [row["error"] for row in found] == ["", "", "", "unreadable-file", "unreadable-file"]
    assert [row["input_sha256"] for row in found] == [hashlib.sha256(f.read_bytes()).hexdigest() for f in files]
    for row, result in zip(found, predict([clips], model), strict=True):
        record = result.record()
        assert row["median"] == ("" if record["median"] is None else str(record["median"]))
        assert row["abstained"] == ((record["abstained"] or {}).get("code") or "")
        assert row["next_step"] == (((record["abstained"] or record["error"]) or {}).get("next_step") or "")
    assert found[2]["abstained"] == "empty-picture"
    assert tally.failed == {"unreadable-file": 2}
    assert tally.rows == 5
    assert all(DISCLAIMER in row["disclaimer"] for row in found)
    for file in tmp_path.glob("out.csv*"):
        assert "Doe" not in file.read_text()


def test_the_columns_hold_all_that_a_record_says(model: Model, studies: list[Study], clips: Path) -> None:
    for sex in ("F", "M"):
        (result,) = predict([clips / "a.avi"], model, sex=sex, anyway=True)
        record, row = result.record(), cells_of(result.record())
        assert tuple(row) == COLUMNS
        assert [row[f"q{level}"] for level in record["quantiles"]] == list(record["quantiles"].values())
        assert [row[f"P(EF{cut})"] for cut in record["prob"]] == list(record["prob"].values())
        assert [row["low_90"], row["high_90"]] == record["interval_90"]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "a\nb", "a\rb", "\t=1", "\ud800"])
def test_no_cell_is_a_formula_or_two_lines(text: str) -> None:
    cell = safe(text)
    assert cell[0] not in "=+-@\t\r\n"
    assert len(f"{cell}.".splitlines()) == 1
    assert cell.encode()
    assert safe(-1.5) == -1.5


# --- sources ---------------------------------------------------------------------------------------------------------


def test_a_list_says_what_is_known(clips: Path, asked: Asked, tmp_path: Path, model: Model) -> None:
    lines = [
        "id,file,age,sex,weight,note",
        "p1,a.avi,63,F,70,x",
        f"@p2,{clips / 'a.avi'},,,,",
        "p3,nowhere.avi,,,,",
        "p4,a.avi,sixty,,,",
        "p5,a.avi,630,,,",
        "p6,,,,,",
        "p7,.,,,,",
    ]
    (clips / "list.csv").write_text("\ufeff" + "\n".join(lines))
    run(inputs_of(clips / "list.csv"), tmp_path / "out.csv", asked)
    found = rows(tmp_path / "out.csv")
    (known,) = predict([clips / "a.avi"], model, age=63, sex="F", weight=70, anyway=True)
    assert found[0]["median"] == str(known.record()["median"])
    assert [row["id"] for row in found] == ["p1", "'@p2", "p3", "p4", "p5", "p6", "p7"]
    assert [row["file"] for row in found[:3]] == ["a.avi", "a.avi", "nowhere.avi"]
    errors = ["", "", "missing-file", "invalid-attributes", "invalid-attributes", "missing-file", "unsupported-format"]
    assert [row["error"] for row in found] == errors
    assert all(row["next_step"] for row in found[2:])


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("none.csv", None, MissingFile),
        ("clip.avi", b"RIFF", UnsupportedFormat),
        ("list.csv", b"path\na.avi\n", UnreadableFile),
        ("list.csv", b"file\n\x00\x01\x02\n", UnreadableFile),
        ("list.csv", b'file\n"a\n', UnreadableFile),
        ("list.csv", b"file\n", MissingFile),
    ],
)
def test_a_source_that_cannot_be_used(tmp_path: Path, name: str, content: bytes | None, kind: type[McsdrError]) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(kind) as caught:
        inputs_of(tmp_path / name)
    assert caught.value.next_step


@pytest.mark.parametrize("shape", ["semicolon", "tab", "sep", "utf-16", "latin-1"])
def test_a_list_from_a_spreadsheet(tmp_path: Path, shape: str) -> None:
    text = "file,Age,sex\nA.AVI,63.5,F\nb ü.avi,70,M\n"
    content = {
        "semicolon": text.replace(",", ";").replace("63.5", "63,5").encode(),
        "tab": text.replace(",", "\t").encode(),
        "sep": b"sep=,\r\n" + text.encode(),
        "utf-16": text.replace(",", "\t").encode("utf-16"),
        "latin-1": text.encode("latin-1"),
    }
    (tmp_path / "a.avi").write_bytes(b"not a video")
    (tmp_path / "list.csv").write_bytes(content[shape])
    first, second = inputs_of(tmp_path / "list.csv")
    assert first.path == tmp_path / "a.avi"
    assert (first.file, second.file) == ("A.AVI", "b ü.avi")
    assert first.known == (("age", "63.5"), ("sex", "F"))
    (tmp_path / "list.csv").write_text("Datei;Alter\na.avi;63\n")
    with pytest.raises(UnreadableFile, match="separated by semicolons its columns are 'Datei', 'Alter'"):
        inputs_of(tmp_path / "list.csv")


def test_what_is_passed_over_stands_in_the_last_rows(clips: Path, asked: Asked, tmp_path: Path) -> None:
    (clips / "notes.txt").write_text("apical")
    (clips / "list.csv").write_text("file")
    (clips / "Doe.pdf").write_bytes(b"%PDF")
    inputs, passed_over = batch.listed(clips)
    assert passed_over == {"text or table": 2, "PDF document": 1}
    out = tmp_path / "out.csv"
    tally = run(inputs, out, asked, passed_over=passed_over)
    assert tally.rows == 5
    assert tally.failed == {"unreadable-file": 2}
    *answers, texts, papers = rows(out)
    assert [row["row"] for row in answers] == ["1", "2", "3", "4", "5"]
    assert [texts["row"], texts["file"], texts["error"]] == ["", "", "passed-over"]
    assert texts["reason"] == "2 files passed over as no clip: text or table"
    assert papers["reason"] == "1 file passed over as no clip: PDF document"
    assert papers["next_step"]
    assert DISCLAIMER in papers["disclaimer"]
    assert "Doe" not in out.read_text()
    beside = json.loads(out.with_name("out.csv.run.json").read_text())
    assert beside["passed_over"] == passed_over


def test_passed_over_files_change_no_other_row(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, out = unreadable(tmp_path, 3), tmp_path / "out.csv"
    run(inputs, out, asked)
    plain = out.read_bytes()
    run(inputs, out, asked, passed_over={"PDF document": 1}, workers=2)
    whole = out.read_bytes()
    assert whole[: len(plain)] == plain
    assert len(rows(out)) == 4
    for end in (len(whole) - 9, len(plain) + 9, len(plain), len(plain) - 9):
        out.write_bytes(whole[:end])
        run(inputs, out, asked, passed_over={"PDF document": 1})
        assert out.read_bytes() == whole
    monkeypatch.setattr(batch, "answer_file", None)  # nothing is answered again
    run(inputs, out, asked, passed_over={"PDF document": 2})
    assert rows(out)[-1]["reason"].startswith("2 files")
    assert json.loads(out.with_name("out.csv.run.json").read_text())["passed_over"] == {"PDF document": 2}
    out.write_bytes(whole + whole[len(plain) :].replace(b"passed-over", b"mine"))
    with pytest.raises(ChangedRun, match="edited"):
        run(inputs, out, asked)
    out.write_bytes(whole)
    run(inputs, out, asked)
    assert out.read_bytes() == plain


def test_a_folder_without_clips_names_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "x.pdf").write_bytes(b"%PDF")
    with pytest.raises(MissingFile, match="holds no clip: PDF document 1"):
        batch.listed(tmp_path)


# --- killed and gone on with -----------------------------------------------------------------------------------------


def test_a_run_goes_on_from_any_byte(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, inputs = tmp_path / "out.csv", unreadable(tmp_path, 40)
    run(inputs, out, asked)
    whole, answered = out.read_bytes(), []
    real = batch.answer_file
    monkeypatch.setattr(
        batch, "answer_file", lambda file, *rest, **more: answered.append(1) or real(file, *rest, **more)
    )
    rng = random.Random(0)
    ends = [0, 1, len(whole) - 1, whole.index(b"\n"), whole.index(b"\n") + 1, *rng.sample(range(len(whole)), 12)]
    for end in ends:
        out.write_bytes(whole[:end])
        answered.clear()
        tally = run(inputs, out, asked)
        assert out.read_bytes() == whole
        assert tally == Tally(failed=tally.failed)
        assert tally.failed == {"unreadable-file": 40}
        assert len(answered) == 40 - max(0, whole[:end].count(b"\n") - 1)  # what was finished is not done again


def test_a_run_that_dies_goes_on(clips: Path, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = inputs_of(clips)
    run(inputs, tmp_path / "whole.csv", asked)

    def stop(rows: int) -> None:
        if rows == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(inputs, tmp_path / "out.csv", asked, said=stop)
    assert len(rows(tmp_path / "out.csv")) == 2
    run(inputs, tmp_path / "out.csv", asked)
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_table_has_one_writer(asked: Asked, tmp_path: Path) -> None:
    inputs, out = unreadable(tmp_path, 2), tmp_path / "out.csv"
    with locked_table(out, "mcsdr batch"), pytest.raises(OutputInUse, match="mcsdr batch"):
        run(inputs, out, asked)
    assert not out.exists()
    run(inputs, out, asked)
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_is_told_and_mended(asked: Asked, tmp_path: Path) -> None:
    inputs = unreadable(tmp_path, 3)
    with pytest.raises(McsdrError) as caught:
        run(inputs, Path("/dev/null/out.csv"), asked)
    assert caught.value.code == "unwritable-file"


def test_a_stated_population_is_in_every_row(asked: Asked, clips: Path, tmp_path: Path, model: Model) -> None:
    inputs, out = [Input(clips / "a.avi", "a.avi")], tmp_path / "out.csv"
    with pytest.raises(InvalidModel, match="does not say how frequent"):
        run(inputs, out, replace(asked, prior=NAMED["camus"]))
    model.stored_population = Population.of_normals("mine", [(1, 55, 14)])
    model.save(tmp_path / "model")
    run(inputs, out, replace(asked, prior=NAMED["camus"]))
    (answer,) = predict(clips / "a.avi", model, prior="camus", anyway=True)
    (row,) = rows(out)
    assert row["prior"] == "camus"
    assert float(row["median"]) == answer.record()["median"]
    with pytest.raises(ChangedRun, match="prior"):
        run(inputs, out, replace(asked, prior=NAMED["flat"]))


def test_other_settings_are_refused(asked: Asked, tmp_path: Path, model: Model) -> None:
    out, inputs = tmp_path / "out.csv", unreadable(tmp_path, 3)
    run(inputs, out, asked)
    whole = out.read_bytes()
    changes: list[tuple[Sequence[Input], Asked, str]] = [
        (inputs, replace(asked, threshold=40.0), "threshold"),
        (inputs, replace(asked, anyway=False), "answer_anyway"),
        (inputs, replace(asked, folders=True), "folders"),
        (inputs[:2], asked, "the list of inputs"),
        ([inputs[0]._replace(known=(("age", "63"),)), *inputs[1:]], asked, "the list of inputs"),
    ]
    for others, settings, named in changes:
        with pytest.raises(ChangedRun, match=named) as caught:
            run(others, out, settings)
        assert "--restart" in caught.value.next_step
    next(iter(model.network.parameters())).data += 1
    model.save(tmp_path / "model")
    with pytest.raises(ChangedRun, match="model_sha256"):
        run(inputs, out, asked)
    assert out.read_bytes() == whole
    run(inputs[:2], out, asked, restart=True)
    assert len(rows(out)) == 2


def test_a_table_of_somebody_else_is_left_alone(asked: Asked, tmp_path: Path) -> None:
    inputs, out = unreadable(tmp_path, 3), tmp_path / "out.csv"
    out.write_text("patients,of,mine\n")
    for restart in (False, True):
        with pytest.raises(ChangedRun, match="no batch wrote it"):
            run(inputs, out, asked, restart=restart)
    assert out.read_text() == "patients,of,mine\n"
    out.unlink()
    run(inputs, out, asked)
    lines = out.read_text().splitlines(keepends=True)
    for edited in (["x\n", *lines[1:]], [lines[0], *lines[2:]], [*lines, lines[-1]], [*lines[:2], "\n", *lines[3:]]):
        out.write_text("".join(edited))
        with pytest.raises(ChangedRun):
            run(inputs, out, asked)
    out.write_text("".join(lines))
    out.with_name("out.csv.run.json").write_text("[")
    with pytest.raises(ChangedRun, match="cannot be read"):
        run(inputs, out, asked)


def test_what_is_beside_the_table_names_no_input(clips: Path, asked: Asked, tmp_path: Path) -> None:
    run(inputs_of(clips)[-1:], tmp_path / "out.csv", asked)
    beside = json.loads((tmp_path / "out.csv.run.json").read_text())
    assert beside["columns"] == list(HEADER)
    assert beside["inputs"] == 1
    assert "empty" not in json.dumps(beside)


# --- many ------------------------------------------------------------------------------------------------------------


def test_two_workers_write_what_one_writes(clips: Path, asked: Asked, tmp_path: Path) -> None:
    inputs = inputs_of(clips) * 2
    for workers in (1, 2):
        run(inputs, tmp_path / f"{workers}.csv", asked, workers=workers)
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes()
    with pytest.raises(InvalidConfig, match="workers"):
        run(inputs, tmp_path / "0.csv", asked, workers=0)


def test_thousands_of_inputs_take_the_memory_of_one(asked: Asked, tmp_path: Path) -> None:
    held: dict[int, int] = {}

    def measure(rows: int) -> None:
        if rows in (500, 2000):
            held[rows] = tracemalloc.get_traced_memory()[0]

    inputs = unreadable(tmp_path, 2000)
    tracemalloc.start()
    tally = run(inputs, tmp_path / "out.csv", asked, said=measure)
    tracemalloc.stop()
    assert tally.rows == 2000
    assert held[2000] - held[500] < 100_000  # bytes


def test_no_answer_is_kept(clips: Path, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import weakref

    alive: list[weakref.ref[Answer | Failure]] = []
    real = batch.answer_input

    def watched(*arguments: object) -> Answer | Failure:
        assert sum(one() is not None for one in alive) <= 1
        result = real(*arguments)  # type: ignore[arg-type]
        alive.append(weakref.ref(result))
        return result

    monkeypatch.setattr(batch, "answer_input", watched)
    run([inputs_of(clips)[0]] * 4, tmp_path / "out.csv", asked)
    assert len(alive) == 4
