"""A check finds what was planted, names no clean row, and stops hard on leakage."""

from __future__ import annotations

import csv
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planted import FRAMES, RATE, Folder, codes, lay, small_avi, ten_rows, with_black_pictures, with_bytes, with_clip

from mcsdr.datasets import CohortSpec, open_cohort
from mcsdr.datasets.check import check_cohort
from mcsdr.datasets.entries import ClipEntry, Entry, FolderCohort
from mcsdr.datasets.published import FORMS, PUBLISHED, written
from mcsdr.errors import McsdrError, PatientInTwoSplits
from mcsdr.phantom.layouts import Layout, write_avi, write_layout
from mcsdr.study import Clip, Notice, View


@pytest.fixture(scope="module")
def avi(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return small_avi(tmp_path_factory.mktemp("avi"))


@pytest.fixture
def ten(tmp_path: Path) -> list[Entry]:
    return ten_rows(tmp_path / "data")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, avi: bytes) -> Folder:
    """Six clean rows, and each fault once."""
    root = tmp_path_factory.mktemp("planted")
    last_frame = avi.rfind(b"00dc", 0, avi.rfind(b"idx1"))

    def row(name: str, **changes: object) -> Entry:
        return lay(root, avi, name, **changes)

    rows = [
        *(row(f"clean-{i}") for i in range(6)),
        with_clip(row("gone"), path=root / "nowhere.avi"),
        with_bytes(row("noise"), random.Random(0).randbytes(5000)),
        with_bytes(row("empty"), b""),
        with_bytes(row("cut"), avi[: len(avi) // 2]),
        with_bytes(row("clipped"), avi[:last_frame]),
        with_clip(row("longer"), frames=FRAMES + 7),
        with_clip(row("faster"), frame_rate_hz=50.0),
        with_clip(row("marked"), es_frame=FRAMES),
        with_black_pictures(row("black")),
        with_clip(row("still"), name="freezes"),
        with_clip(row("nan"), name="float"),
        with_clip(row("fragile"), name="breaks"),
        row("ef-150", ef_percent=150.0, esv_ml=None),
        row("ef-nan", ef_percent=float("nan")),
        row("ef-blank", ef_percent=None),
        row("upside-down", esv_ml=120.0),
        row("volume", esv_ml=-3.0),
        row("volumes", ef_percent=50.0),
        row("old", attributes={"age_years": 340.0}),
        row("heavy", attributes={"weight_kg": 7000.0}),
        row("clipless", clips=()),
        row("clean-0"),
        with_bytes(row("copy"), avi + b"clean-1"),
        with_bytes(row("test-copy", split="test"), avi + b"clean-2"),
        row("visit-1", patient_id="P"),
        row("visit-2", patient_id="P", split="val"),
    ]
    for name in ("stray-1", "stray-2"):
        row(name)
    for name in ("clipless", "gone"):
        (root / f"{name}.avi").unlink()
    return Folder(root, rows)


EXPECTED = {
    ("gone", "missing-file", "bad"),
    ("noise", "unreadable-file", "bad"),
    ("empty", "unreadable-file", "bad"),
    ("cut", "unreadable-file", "bad"),
    ("clipped", "frames-missing", "doubt"),
    ("longer", "frame-count-disagrees", "doubt"),
    ("faster", "frame-time-disagrees", "doubt"),
    ("marked", "marked-frame-outside", "doubt"),
    ("black", "blank-picture", "doubt"),
    ("black", "sector-not-found", "doubt"),
    ("still", "still-picture", "doubt"),
    ("nan", "pixels-not-finite", "bad"),
    ("fragile", "unreadable-file", "bad"),
    ("ef-150", "ef-out-of-range", "bad"),
    ("ef-nan", "ef-not-finite", "bad"),
    ("ef-blank", "ef-missing", "bad"),
    ("upside-down", "esv-above-edv", "bad"),
    ("volume", "volume-out-of-range", "bad"),
    ("volumes", "ef-volumes-disagree", "doubt"),
    ("old", "implausible-attribute", "bad"),
    ("heavy", "implausible-attribute", "bad"),
    ("clipless", "no-clip", "bad"),
    ("clean-0", "duplicate", "bad"),
    ("copy", "same-bytes", "doubt"),
    ("clean-2", "same-clip-in-two-splits", "bad"),
    ("test-copy", "same-clip-in-two-splits", "bad"),
    ("visit-1", "patient-in-two-splits", "bad"),
    ("visit-2", "patient-in-two-splits", "bad"),
    ("", "files-not-in-table", "doubt"),
}


def test_what_was_planted_is_found_and_nothing_else(planted: Folder) -> None:
    found = check_cohort(planted, workers=2)
    assert codes(found) == EXPECTED
    duplicate = next(finding for finding in found.rows if finding.code == "duplicate")
    assert duplicate.text == "it repeats list.csv line clean-0"
    assert [f.row for f in found.rows].count("list.csv line clean-0") == 1  # the repetition, not the first
    strays = next(finding for finding in found.rows if finding.code == "files-not-in-table")
    assert "2 beside" in strays.text
    assert "stray-1.avi" in strays.text


def test_a_row_is_bad_where_reading_it_would_fail(planted: Folder) -> None:
    unlike = {"pixels-not-finite", "patient-in-two-splits", "same-clip-in-two-splits"}  # readable, and yet not usable
    bad = {finding.row for finding in check_cohort(planted).bad if finding.code not in unlike}
    failing = set()
    for entry in planted.entries:
        try:
            planted.read(entry)
        except (McsdrError, IndexError):
            failing.add(entry.row)
    assert bad == failing


def test_findings_do_not_depend_on_the_order_of_work(planted: Folder) -> None:
    one, three = check_cohort(planted, workers=1), check_cohort(planted, workers=3)
    assert one.rows == three.rows
    assert one.statistics == three.statistics


def test_leakage_is_a_hard_stop(planted: Folder, tmp_path: Path, avi: bytes) -> None:
    found = check_cohort(planted)
    assert found.leaking == {"P": {"train", "val"}}
    with pytest.raises(PatientInTwoSplits, match="clean-2"):
        found.refuse_leakage()
    with pytest.raises(PatientInTwoSplits):
        FolderCohort(planted.root, planted.entries)
    check_cohort(Folder(tmp_path, [lay(tmp_path, avi, "sound")])).refuse_leakage()


def test_one_file_named_from_two_splits_leaks_whoever_the_patient(tmp_path: Path, avi: bytes) -> None:
    row = lay(tmp_path, avi, "a")
    found = check_cohort(Folder(tmp_path, [row, replace(row, study_id="b", patient_id="b", split="test")]))
    assert ("a", "same-clip-in-two-splits", "bad") in codes(found)


def test_without_clips_only_their_presence_is_checked(tmp_path: Path, ten: list[Entry]) -> None:
    ten[1].clips[0].path.write_bytes(b"no clip")
    ten[2].clips[0].path.unlink()
    folder = Folder(tmp_path, ten)
    assert codes(check_cohort(folder, clips=False)) == {("row-2", "missing-file", "bad")}
    assert folder.reads == []


class Examinations(Folder):
    """Whole examinations: of their files those that are no grey-scale loops are passed over."""

    def read_clips(self, entry: Entry) -> tuple[tuple[Clip, ...], tuple[Notice, ...]]:
        raise NotImplementedError


def test_stills_of_a_whole_examination_are_no_fault(tmp_path: Path, avi: bytes) -> None:
    still = np.random.default_rng(0).integers(0, 255, (1, 32, 32), dtype=np.uint8)
    rows = {name: lay(tmp_path, avi, name) for name in ("a", "b", "c")}
    for name in ("a", "b"):
        write_avi(tmp_path / f"{name}-still.avi", still, RATE)
        with (tmp_path / f"{name}-still.avi").open("ab") as file:
            file.write(name.encode())
    stills = {name: ClipEntry(f"{name}-still", tmp_path / f"{name}-still.avi") for name in ("a", "b")}
    (tmp_path / "b.avi").unlink()
    entries = [
        replace(rows["a"], clips=(*rows["a"].clips, stills["a"])),
        replace(rows["b"], clips=(stills["b"],)),
        rows["c"],
    ]
    found = check_cohort(Examinations(tmp_path, entries))
    assert codes(found) == {("b", "no-clip", "bad")}
    assert found.about["clips_left_out"] == {"single-frame": 2}
    assert ("a", "single-frame", "bad") in codes(check_cohort(Folder(tmp_path, entries)))


@pytest.mark.parametrize("layout", ["echonet-dynamic", "echonet-pediatric", "camus", "camus-mhd"])
def test_a_written_layout_is_sound(layout: Layout, tmp_path: Path) -> None:
    write_layout(layout, tmp_path / "data", 3, seed=4, seconds=1.0, scale=0.2)
    cohort = open_cohort(CohortSpec.parse(str(tmp_path / "data")))
    assert isinstance(cohort, FolderCohort)
    found = check_cohort(cohort)
    untold = {"ef-missing"} if layout == "camus-mhd" else set()  # its test patients came without EF
    assert {finding.code for finding in found.rows} <= untold
    assert found.published is not None
    assert found.about["synthetic"] is True
    assert found.statistics["patients"] == (3,)


PLANTS: dict[str, dict[str, object]] = {
    "ef-out-of-range": {"ef_percent": 150.0, "esv_ml": None},
    "ef-not-finite": {"ef_percent": float("inf")},
    "ef-missing": {"ef_percent": None},
    "esv-above-edv": {"esv_ml": 110.0},
    "volume-out-of-range": {"edv_ml": 0.0},
    "ef-volumes-disagree": {"ef_percent": 20.0},
    "implausible-attribute": {"attributes": {"height_cm": 1.7}},
    "no-clip": {"clips": ()},
    "duplicate": {"study_id": "0", "patient_id": "0"},
    "patient-in-two-splits": {"patient_id": "1", "split": "test"},
    "missing-file": {},
}


def test_a_hundred_faults_among_ten_thousand_rows(tmp_path: Path, avi: bytes) -> None:
    shared = lay(tmp_path, avi, "0")
    rows = []
    for i in range(10_000):
        path = tmp_path / f"{i}.avi"
        if i:
            path.hardlink_to(tmp_path / "0.avi")
        clip = replace(shared.clips[0], name=f"{i}", path=path)
        rows.append(replace(shared, study_id=f"{i}", patient_id=f"{i}", clips=(clip,), row=f"{i}"))
    expected = {("1", "patient-in-two-splits")}  # with whom the others share their patient
    places = random.Random(0).sample(range(2, 10_000), 100)
    for k, place in enumerate(places):
        code = list(PLANTS)[k % len(PLANTS)]
        rows[place] = replace(rows[place], **PLANTS[code])  # type: ignore[arg-type]
        if code == "missing-file":
            rows[place].clips[0].path.unlink()
        if code == "no-clip":
            (tmp_path / f"{place}.avi").unlink()
        expected.add((f"{place}", code))
    found = check_cohort(Folder(tmp_path, rows), clips=False)
    assert {(finding.row, finding.code) for finding in found.rows} == expected
    assert len(found.rows) == 101


def test_what_is_written(planted: Folder, tmp_path: Path) -> None:
    found = check_cohort(planted)
    found.write(tmp_path)
    with (tmp_path / "findings.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["study_id"], row["code"], row["severity"]) for row in rows} == EXPECTED
    about = json.loads((tmp_path / "check.json").read_text())
    assert about["counts"]["unreadable-file"] == 4
    assert about["bad"] == sum(row["severity"] == "bad" for row in rows)
    assert about["patients_in_two_splits"] == {"P": ["train", "val"]}
    assert "Research use only" in about["disclaimer"]


def test_names_that_are_no_text_can_be_written(tmp_path: Path, ten: list[Entry]) -> None:
    (tmp_path / "data" / "stray-\udcff.avi").write_bytes(b"")
    found = check_cohort(Folder(tmp_path, ten))
    found.write(tmp_path / "out")
    assert "stray-?.avi" in found.rows[0].text


def test_statistics_against_a_hand_count(tmp_path: Path, avi: bytes) -> None:
    def row(name: str, ef: float, split: str, patient: str, **about: float | str) -> Entry:
        entry = lay(tmp_path, avi, name, ef_percent=ef, split=split, patient_id=patient, attributes=about)
        return with_clip(replace(entry, esv_ml=None), frame_rate_hz=None, frames=None, quality="good")

    rows = [
        row("a", 30.0, "train", "A", age_years=10.0, sex="F"),
        row("b", 45.0, "train", "A", age_years=30.0, sex="M"),
        row("c", 54.9, "train", "C", sex="F"),
        row("d", 65.0, "test", "D"),
        row("bad", 165.0, "val", "E"),
    ]
    figures = check_cohort(Folder(tmp_path, rows)).statistics
    assert figures["studies"] == figures["clips"] == (5,)
    assert figures["patients in train / val / test"] == (2, 1, 1)
    ef = np.array([30.0, 45.0, 54.9, 65.0])  # the bad row counts, but its EF does not
    assert figures["EF, mean (SD), %"] == pytest.approx((ef.mean(), ef.std()))
    assert figures["EF <40 / 40–54 / ≥55, % of studies"] == (25, 50, 25)
    assert figures["EF ≤45 / ≥55, % of studies"] == (50, 25)
    assert figures["age, mean (SD), years"] == (20, 10)
    assert figures["female, % of known"] == pytest.approx((200 / 3,))
    assert figures["quality good / medium / poor, % of clips"] == (100, 0, 0)
    assert figures["frames, mean (SD)"] == (FRAMES, 0)  # from the files: the table is silent
    assert figures["frames per second, mean (SD)"] == pytest.approx((RATE, 0))


def test_the_picture_size_of_a_data_set(tmp_path: Path, avi: bytes) -> None:
    found = check_cohort(Folder(tmp_path, [lay(tmp_path, avi, "a")], kind="echonet-dynamic"))
    assert codes(found) == {("a", "picture-size", "doubt")}
    assert found.published is PUBLISHED["echonet-dynamic", None]


def test_published_figures_are_consistent() -> None:
    for about in PUBLISHED.values():
        for name, values in about.figures.items():
            assert written(name, about.figures) == FORMS[name].format(*values)
        for what in ("studies", "clips", "patients"):
            parts = about.figures.get(f"{what} in train / val / test")
            if parts and what in about.figures:
                assert (sum(parts),) == about.figures[what]
    assert written("clips", PUBLISHED["echonet-pediatric", View.PSAX].figures) == "4,526"
    assert written("ESV, mean (SD), mL", PUBLISHED["camus", None].figures) == "–"
