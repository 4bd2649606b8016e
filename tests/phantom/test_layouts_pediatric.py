"""EchoNet-Pediatric's folder as the published one is, read by public readers."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from tests.phantom.public_readers import polygon_area, table, video

from mcsdr.phantom.layouts import QUIRKS, write_echonet_pediatric

VIEWS = ("A4C", "PSAX")
NAME = re.compile(r"(CR[0-9a-f]{7})-(CR[0-9a-f]{7})-(\d{6})\.avi")


def written(out: Path, n: int, seed: int, seconds: float, quirks: bool) -> Path:
    write_echonet_pediatric(out, n, seed, seconds, quirks=quirks)
    return out / "pediatric_echo_avi" / "pediatric_echo_avi"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("children"), 6, 3, 0.8, quirks=False)


@pytest.fixture(scope="module")
def quirky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("quirky"), 10, 3, 0.3, quirks=True)


def rows(root: Path) -> list[dict[str, str]]:
    return [row | {"View": view} for view in VIEWS for row in table(root / view / "FileList.csv")]


def truths(root: Path) -> dict[str, dict[str, str]]:
    return {row["Name"]: row for row in table(root.parents[1] / "Truth.csv")}


def traced(root: Path) -> dict[str, dict[str, np.ndarray]]:
    """Points [N, 2] by FileName and the text of Frame; a row without numbers is no point."""
    clips: dict[str, dict[str, list[list[float]]]] = defaultdict(dict)
    for row in (row for view in VIEWS for row in table(root / view / "VolumeTracings.csv")):
        points = clips[row["FileName"]].setdefault(row["Frame"], [])
        if row["X"]:
            points.append([float(row["X"]), float(row["Y"])])
    return {name: {frame: np.array(points) for frame, points in frames.items()} for name, frames in clips.items()}


def test_columns_names_and_values_are_as_the_data_set_has_them(root: Path) -> None:
    for view in VIEWS:
        listed = table(root / view / "FileList.csv")
        assert tuple(listed[0]) == ("FileName", "EF", "Sex", "Age", "Weight", "Height", "Split")
        assert tuple(table(root / view / "VolumeTracings.csv")[0]) == ("FileName", "X", "Y", "Frame")
        assert {row["FileName"] for row in listed} == {path.name for path in (root / view / "Videos").iterdir()}
    for row in rows(root):
        assert NAME.fullmatch(row["FileName"])
        assert row["Sex"] in ("F", "M")
        assert re.fullmatch(r"1?\d", row["Age"])
        assert 1 < float(row["Weight"]) < 200
        assert 30 < float(row["Height"]) < 220
        assert re.fullmatch(r"\d", row["Split"])


def test_studies_keep_together(root: Path, quirky: Path) -> None:
    for folder in (root, quirky):
        splits, reports, studies, views = (defaultdict(set) for _ in range(4))
        clips = defaultdict(list)
        for row in rows(folder):
            match = NAME.fullmatch(row["FileName"])
            assert match
            patient, accession, _ = match.groups()
            splits[patient].add(row["Split"])
            reports[accession].add((row["EF"], row["Sex"], row["Age"], row["Weight"], row["Height"]))
            studies[patient].add(accession)
            views[accession].add(row["View"])
            clips[accession, row["View"]].append(row["FileName"])
        assert all(len(found) == 1 for found in splits.values()), "a patient in two folds"
        assert all(len(found) == 1 for found in reports.values()), "two reports of one study"
    assert {len(found) for found in studies.values()} == {1, 2}
    assert {tuple(sorted(found)) for found in views.values()} == {("A4C",), ("PSAX",), ("A4C", "PSAX")}
    assert max(len(found) for found in clips.values()) == 2
    assert {split for found in splits.values() for split in found} == set("0123456789")


def test_two_studies_of_a_child_are_two_readings_of_one_heart(quirky: Path) -> None:
    truth, patients = truths(quirky), defaultdict(set)
    for row in rows(quirky):
        patients[row["FileName"][:9]].add((row["EF"], truth[row["FileName"]]["TrueEF"]))
    twice = [found for found in patients.values() if len(found) == 2]
    assert twice
    assert all(len({true for _, true in found}) == 1 for found in twice)


def test_videos_say_fifty_frames_per_second(root: Path) -> None:
    for row in rows(root):
        frames, rate, codec = video(root / row["View"] / "Videos" / row["FileName"])
        assert (codec, rate, frames.shape[1:]) == ("mjpeg", 50, (112, 112))
        true_rate = float(truths(root)[row["FileName"]]["TrueFPS"])
        assert 48 <= true_rate <= 52
        assert len(frames) == round(0.8 * true_rate)


def test_second_clips_of_a_view_are_other_recordings(quirky: Path) -> None:
    films = defaultdict(list)
    for row in rows(quirky):
        frames, _, _ = video(quirky / row["View"] / "Videos" / row["FileName"])
        films[row["FileName"][:19], row["View"]].append(frames)
    pairs = [found for found in films.values() if len(found) == 2]
    assert pairs
    for one, other in pairs:
        assert np.abs(one[0].astype(float) - other[0]).mean() > 10


def test_ef_can_be_had_back_from_the_tracings(root: Path) -> None:
    truth = truths(root)
    reported = {row["FileName"]: float(row["EF"]) for row in rows(root)}
    assert set(traced(root)) == set(truth)
    read, label = [], []
    for name, frames in traced(root).items():
        ed, es = (frames[truth[name][column]] for column in ("EDFrame", "ESFrame"))
        areas = [polygon_area(points[:, 0], points[:, 1]) for points in (ed, es)]
        assert areas[0] > areas[1]
        if truth[name]["View"] == "A4C":  # V = 8 A² / 3π L
            lengths = [np.linalg.norm(p - (p[0] + p[-1]) / 2, axis=1).max() for p in (ed, es)]
            read.append(100 * (1 - areas[1] ** 2 / lengths[1] / (areas[0] ** 2 / lengths[0])))
            label.append(reported[name])
    assert np.abs(np.array(read) - label).max() < 1.5  # the trace is of the hand that reported; area-length for discs
    assert np.corrcoef(read, label)[0, 1] > 0.99


def test_quirks_are_where_truth_says_they_are(quirky: Path) -> None:
    truth, clips, seen = truths(quirky), traced(quirky), set()
    for row in rows(quirky):
        name, odd = row["FileName"], set(truth[row["FileName"]]["Quirks"].split())
        seen |= odd
        frames, rate, _ = video(quirky / row["View"] / "Videos" / name)
        assert rate == 50
        assert (float(truth[name]["TrueFPS"]) in (25, 30, 66)) == ("wrong-frame-rate" in odd)
        assert (row["Sex"] == "U") == ("unknown-sex" in odd)
        assert ((row["Age"], row["Weight"], row["Height"]) == ("", "", "")) == ("blank-attributes" in odd)
        if "blank-attributes" not in odd:
            assert ((row["Weight"], row["Height"]) == ("nan", "nan")) == ("nan-attributes" in odd)
        assert ("No Diastolic" in clips[name]) == ("no-diastolic" in odd)
        assert ("No Systolic" in clips[name]) == ("no-systolic" in odd)
        beyond = [frame for frame in clips[name] if frame.isdigit() and int(frame) >= len(frames)]
        if truth[name]["EDFrame"] != truth[name]["ESFrame"]:
            assert bool(beyond) == ("frame-past-end" in odd and "no-systolic" not in odd)
    assert seen == {quirk.name for quirk in QUIRKS["echonet-pediatric"]}
