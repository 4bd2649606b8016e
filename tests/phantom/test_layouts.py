"""EchoNet-Dynamic's folder as published, read by public readers and by this package; and what all layouts share."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw
from tests.phantom.public_readers import polygon_area, table, video

from mcsdr.datasets import EchoNetDynamic
from mcsdr.errors import InvalidCohort, InvalidConfig
from mcsdr.phantom.cohort import PhantomCohort, draw_person
from mcsdr.phantom.layouts import FILE_LIST, QUIRKS, file_name, write_echonet_dynamic, write_layout
from mcsdr.phantom.layouts.tracings import chords, polygon
from mcsdr.phantom.truth import CAVITY, labels
from mcsdr.study import View

LAYOUTS = tuple(QUIRKS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated")
    write_echonet_dynamic(out, 8, seed=4, seconds=1.4)
    return out


@pytest.fixture(scope="module")
def quirky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("quirky")
    write_echonet_dynamic(out, 10, seed=3, seconds=0.3, quirks=True)
    return out


def traced(folder: Path) -> dict[str, dict[int, np.ndarray]]:
    """Rows x1, y1, x2, y2 by FileName and Frame, in the table's order."""
    clips: dict[str, dict[int, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for row in table(folder / "VolumeTracings.csv"):
        clips[row["FileName"]][int(row["Frame"])].append([float(row[name]) for name in ("X1", "Y1", "X2", "Y2")])
    return {name: {frame: np.array(rows) for frame, rows in frames.items()} for name, frames in clips.items()}


def outline(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The polygon of a frame: down one side, up the other, without the long axis."""
    x1, y1, x2, y2 = rows[1:].T
    return np.concatenate([x1, x2[::-1]]), np.concatenate([y1, y2[::-1]])


def volume(rows: np.ndarray) -> float:
    """Single-plane sum of discs, in cubic pixels."""
    length = np.hypot(rows[0, 2] - rows[0, 0], rows[0, 3] - rows[0, 1])
    widths = np.hypot(rows[1:, 2] - rows[1:, 0], rows[1:, 3] - rows[1:, 1])
    return float(np.pi / 4 * np.sum(widths**2) * length / len(widths))


def test_file_list_is_as_the_data_set_has_it(folder: Path) -> None:
    rows = table(folder / "FileList.csv")
    assert tuple(rows[0]) == FILE_LIST
    assert [row["Split"] for row in rows] == ["TRAIN"] * 6 + ["VAL", "TEST"]
    for row in rows:
        assert re.fullmatch(r"0X[0-9A-F]{1,16}", row["FileName"])
        ef, esv, edv = (float(row[name]) for name in ("EF", "ESV", "EDV"))
        assert ef == pytest.approx(100 * (edv - esv) / edv, abs=1e-6)
        assert re.fullmatch(r"\d+", row["FPS"])
        frames, rate, codec = video(folder / "Videos" / f"{row['FileName']}.avi")
        assert codec == "mjpeg"
        assert frames.shape == tuple(int(row[name]) for name in ("NumberOfFrames", "FrameHeight", "FrameWidth"))
        assert frames.shape[1:] == (112, 112)
        assert rate == int(row["FPS"])
        assert frames[:, -1, [0, -1]].max() < 20  # outside the sector, black but for what MJPG adds


def test_every_file_is_listed_and_every_list_says_synthetic(folder: Path) -> None:
    listed = {f"{row['FileName']}.avi" for row in table(folder / "FileList.csv")}
    assert listed == {path.name for path in (folder / "Videos").iterdir()} == set(traced(folder))
    assert "SYNTHETIC" in (folder / "SYNTHETIC.txt").read_text()
    assert "not for diagnosis" in (folder / "SYNTHETIC.txt").read_text()
    assert {path.name for path in folder.iterdir()} == {
        *("FileList.csv", "VolumeTracings.csv", "Videos", "Attributes.csv", "Truth.csv", "SYNTHETIC.txt")
    }


def test_tracings_are_a_long_axis_and_twenty_chords_across_it(folder: Path) -> None:
    for frames in traced(folder).values():
        assert len(frames) == 2
        for rows in frames.values():
            assert rows.shape == (21, 4)
            axis, lines = rows[0, 2:] - rows[0, :2], rows[1:, 2:] - rows[1:, :2]
            np.testing.assert_allclose(lines @ axis, 0, atol=1e-5)
            along = (rows[1:, :2] - rows[0, :2]) @ axis / (axis @ axis)
            np.testing.assert_allclose(along, (np.arange(20) + 0.5) / 20, atol=1e-6)  # from the apex to the base
            assert (rows[1:, 0] < rows[1:, 2]).all()


def test_trace_and_label_are_of_one_hand(folder: Path) -> None:
    """As in life: the larger frame is listed first, and its single-plane EF with the other's is the label."""
    labels = {f"{row['FileName']}.avi": float(row["EF"]) for row in table(folder / "FileList.csv")}
    truth = {f"{row['Name']}.avi": row for row in table(folder / "Truth.csv")}
    for name, frames in traced(folder).items():
        ed, es = (frames[int(truth[name][column])] for column in ("EDFrame", "ESFrame"))
        assert polygon_area(*outline(ed)) > polygon_area(*outline(es))
        assert list(frames) == [int(truth[name]["EDFrame"]), int(truth[name]["ESFrame"])]
        assert 100 * (1 - volume(es) / volume(ed)) == pytest.approx(labels[name], abs=1e-3)


def test_the_polygon_covers_the_cavity_of_the_label_map(folder: Path) -> None:
    clips = traced(folder)
    for index, row in enumerate(table(folder / "FileList.csv")):
        person = draw_person(4, index)
        for frame, rows in clips[f"{row['FileName']}.avi"].items():
            cavity = labels(person, View.A4C, np.array([frame / int(row["FPS"])]))[0] == CAVITY
            x, y = outline(rows)
            drawn = Image.new("1", (112, 112))
            ImageDraw.Draw(drawn).polygon(list(zip(x - 0.5, y - 0.5, strict=True)), fill=1)
            shared = (np.asarray(drawn) & cavity).sum() / (np.asarray(drawn) | cavity).sum()
            assert shared > 0.85  # the rim is one pixel wide; the first and last chord lie 1/40 from the ends


def test_truth_is_the_cohorts(folder: Path) -> None:
    cohort = PhantomCohort(8, seed=4)
    for index, row in enumerate(table(folder / "Truth.csv")):
        edv, esv = cohort.volumes_ml(index)
        assert row["Name"] == file_name(4, index)
        assert float(row["TrueEDV"]) == pytest.approx(edv, abs=1e-3)
        assert float(row["TrueESV"]) == pytest.approx(esv, abs=1e-3)
        assert float(row["TrueEF"]) == pytest.approx(100 * (1 - esv / edv), abs=1e-3)


def test_quirks_are_where_truth_says_they_are(quirky: Path) -> None:
    clips, seen = traced(quirky), set()
    for listed, truth in zip(table(quirky / "FileList.csv"), table(quirky / "Truth.csv"), strict=True):
        odd, name = set(truth["Quirks"].split()), truth["Name"]
        seen |= odd
        assert listed["FileName"] == (f"{name}.avi" if "name-with-extension" in odd else name)
        frames = list(clips.get(f"{name}.avi", {}))
        expected = list(dict.fromkeys([int(truth["EDFrame"]), int(truth["ESFrame"])]))
        if "no-traced-frame" in odd:
            expected = []
        elif "one-traced-frame" in odd:
            expected = expected[:1]
        assert frames == (expected[::-1] if "tracings-out-of-order" in odd else expected)
    assert seen == {quirk.name for quirk in QUIRKS["echonet-dynamic"]}
    assert all(quirk.text in (quirky / "SYNTHETIC.txt").read_text() for quirk in QUIRKS["echonet-dynamic"])


def test_what_is_read_back_is_what_was_rendered(folder: Path) -> None:
    written, rendered = EchoNetDynamic(folder)[2], PhantomCohort(8, seed=4, sampling_hz=None, seconds=1.4)[2]
    assert written.attributes == rendered.attributes
    assert written.ef_percent == pytest.approx(rendered.ef_percent, abs=1e-5)
    assert written.true_ef_percent == pytest.approx(rendered.true_ef_percent, abs=1e-5)
    read, drawn = written.clips[0], rendered.clips[0]
    assert read.frame_rate_hz == pytest.approx(drawn.frame_rate_hz, rel=1e-3)
    assert len(read.frames) == len(drawn.frames)
    film, _, _ = video(folder / "Videos" / f"{file_name(4, 2)}.avi")
    assert np.abs(film.astype(float) - drawn.frames).mean() < 4  # what MJPG loses


def test_splits(folder: Path) -> None:
    assert [len(EchoNetDynamic(folder, split)) for split in (None, "train", "val", "test")] == [8, 6, 1, 1]


@pytest.mark.parametrize(
    ("text", "message"), [(None, "no such table"), ("FileName,EF\n0XA,50\n", "lacks the column Split, FPS")]
)
def test_folders_that_are_no_data_set(tmp_path: Path, text: str | None, message: str) -> None:
    if text:
        (tmp_path / "FileList.csv").write_text(text)
    with pytest.raises(InvalidCohort, match=message):
        EchoNetDynamic(tmp_path)


def test_names_that_carry_their_extension_are_read(folder: Path, tmp_path: Path) -> None:
    with (folder / "FileList.csv").open(newline="") as file:
        header, first = list(csv.reader(file))[:2]
    lines = [header, [f"{first[0]}.avi", *first[1:]]]
    (tmp_path / "FileList.csv").write_text("".join(f"{','.join(line)}\n" for line in lines))
    (tmp_path / "Videos").symlink_to(folder / "Videos")
    study = EchoNetDynamic(tmp_path)[0]
    assert study.study_id == first[0]
    assert study.clips[0].frames.dtype == np.uint8


# --- what all layouts share -------------------------------------------------------------------------------------


def small(layout: str, out: Path, n: int = 1, seed: int = 6, quirks: bool = False) -> dict[str, bytes]:
    """A small folder of a layout, as bytes by path."""
    write_layout(layout, out, n, seed, seconds=0.2, scale=0.06, quirks=quirks)
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("quirks", [False, True])
def test_the_same_seed_writes_the_same_bytes(layout: str, quirks: bool, tmp_path: Path) -> None:
    first, second = (small(layout, tmp_path / name, quirks=quirks) for name in "ab")
    assert first == second


@pytest.mark.parametrize("layout", LAYOUTS)
def test_another_seed_shares_no_picture(layout: str, tmp_path: Path) -> None:
    pictures = [
        {
            content
            for path, content in small(layout, tmp_path / str(seed), 1, seed).items()
            if "." + path.split(".", 1)[1] in (".avi", ".nii.gz", ".raw", ".dcm")
        }
        for seed in (6, 7)
    ]
    assert all(pictures)
    assert not pictures[0] & pictures[1]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_occupied_folder_is_refused_whole_or_begun(layout: str, tmp_path: Path) -> None:
    before = small(layout, tmp_path, 1)
    assert "SYNTHETIC" in before["SYNTHETIC.txt"].decode()
    for other in LAYOUTS:
        with pytest.raises(InvalidCohort, match="already holds"):
            write_layout(other, tmp_path, 1, 0)
    for table_name in ("Truth.csv", "FileList.csv"):
        (tmp_path / table_name).unlink(missing_ok=True)
    with pytest.raises(InvalidCohort, match="already holds"):
        write_layout(layout, tmp_path, 1, 0)
    assert (
        before.items()
        >= {str(p.relative_to(tmp_path)): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}.items()
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_clip_has_its_truth(layout: str, tmp_path: Path) -> None:
    files = small(layout, tmp_path)
    films = [path for path in files if re.search(r"(\.avi|sequence\.nii\.gz|sequence\.raw)$", path)]
    films += [path for path in files if path.endswith(".dcm") and pydicom.dcmread(tmp_path / path).NumberOfFrames > 1]
    rows = table(tmp_path / "Truth.csv")
    assert len(rows) == len(films) > 0
    for row in rows:
        edv, esv, ef = (float(row[name]) for name in ("TrueEDV", "TrueESV", "TrueEF"))
        assert ef == pytest.approx(100 * (1 - esv / edv), abs=1e-3)


@pytest.mark.parametrize(
    ("layout", "wrong"),
    [
        ("echonet-dynamic", {"seconds": 0.0}),
        ("echonet-dynamic", {"seconds": float("nan")}),
        ("echonet-pediatric", {"seconds": 1e6}),
        ("camus", {"scale": 0.0}),
        ("camus-mhd", {"scale": 3.0}),
    ],
)
def test_numbers_out_of_range_are_refused_before_anything_is_written(layout: str, wrong: dict, tmp_path: Path) -> None:
    for n, seed, more in ((1, 0, wrong), (0, 0, {}), (1, -1, {})):
        with pytest.raises(InvalidConfig):
            write_layout(layout, tmp_path / "new", n, seed, **more)
    assert not (tmp_path / "new").exists()


# --- tracings -----------------------------------------------------------------------------------------------------


def test_chords_of_a_half_ellipse_are_its_widths() -> None:
    """(x/a)² + (y/L)² = 1 above y = 0, turned: at a share s from the apex the width is 2a √(1 − (1 − s)²)."""
    a, length, turn = 9.0, 30.0, 0.4
    angle = np.linspace(np.pi, 0, 401)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    ring = np.stack([a * np.cos(angle), -length * np.sin(angle)], 1) @ rotation.T + 50
    rows = chords(ring, np.array([[0.0, -length], [0.0, 0.0]]) @ rotation.T + 50)
    share = (np.arange(20) + 0.5) / 20
    widths = np.hypot(rows[1:, 2] - rows[1:, 0], rows[1:, 3] - rows[1:, 1])
    np.testing.assert_allclose(widths, 2 * a * np.sqrt(1 - (1 - share) ** 2), rtol=1e-3)


def test_polygons_are_evenly_walked_and_rings_do_not_close() -> None:
    angle = np.linspace(0, 2 * np.pi, 721)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    points = polygon(ring, 40)
    assert len(np.unique(points.round(9), axis=0)) == 40
    steps = np.linalg.norm(np.diff(points, axis=0, append=points[:1]), axis=1)
    np.testing.assert_allclose(steps, steps.mean(), rtol=1e-3)
    line = polygon(ring[:361], 40)
    np.testing.assert_allclose(line[[0, -1]], [[1, 0], [-1, 0]], atol=1e-12)
