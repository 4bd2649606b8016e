"""Both releases of CAMUS as they are published, read by nibabel and by the rules of MetaImage."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
from tests.phantom.public_readers import cfg, metaimage, table

from mcsdr.phantom.layouts import QUIRKS, write_camus, write_camus_mhd
from mcsdr.phantom.layouts.camus import label

VIEWS = ("2CH", "4CH")
VIEW_NAMES = {"2CH": "A2C", "4CH": "A4C"}
SCALE = 0.15
N = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("camus")
    write_camus(out, N, 5, scale=SCALE)
    return out


@pytest.fixture(scope="module")
def quirky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("quirky")
    write_camus(out, 4, 5, scale=0.08, quirks=True)
    return out


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("older")
    write_camus_mhd(out, 3, 5, scale=SCALE)
    return out


def views(folder: Path) -> list[tuple[str, Path, str]]:
    """Patient, the path that its files of a view begin with, and the view."""
    patients = sorted((folder / "database_nifti").iterdir())
    return [(path.name, path / f"{path.name}_{view}", view) for path in patients for view in VIEWS]


def info(stem: Path, view: str) -> dict[str, str]:
    return cfg(stem.parent / f"Info_{view}.cfg")


def nifti(stem: Path, part: str) -> tuple[np.ndarray, nibabel.Nifti1Image]:
    """Pictures [H, W] or [T, H, W]: the axes of the file are X, Y and T."""
    image = nibabel.load(f"{stem}_{part}.nii.gz")
    return np.asarray(image.dataobj).T, image


def truths(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    return {(row["Name"], row["View"]): row for row in table(folder / "Truth.csv")}


def test_files_are_named_as_published(folder: Path) -> None:
    patient = folder / "database_nifti" / "patient0007"
    parts = [
        f"patient0007_{v}_{p}{g}.nii.gz" for v in VIEWS for p in ("ED", "ES", "half_sequence") for g in ("", "_gt")
    ]
    assert {path.name for path in patient.iterdir()} == {*parts, "Info_2CH.cfg", "Info_4CH.cfg"}
    assert [path.name for path in sorted(patient.parent.iterdir())] == [f"patient{i:04d}" for i in range(1, N + 1)]
    lists = [f"subGroup{k}" for k in range(1, 11)] + ["subgroup"]
    names = {f"{group}_{part}.txt" for group in lists for part in ("training", "validation", "testing")}
    assert {path.name for path in (folder / "database_split").iterdir()} == names


def test_nifti_axes_types_and_spacing(folder: Path) -> None:
    sizes = set()
    for _, stem, view in views(folder):
        _, image = nifti(stem, "half_sequence")
        across, down, frames = image.shape
        assert frames == int(info(stem, view)["NbFrame"])
        assert 18 <= frames <= 21
        assert down >= across
        sizes.add(image.shape[:2])
        for part, shape in (("half_sequence", image.shape), ("ED", image.shape[:2]), ("ES", image.shape[:2])):
            for suffix in ("", "_gt"):
                _, stored = nifti(stem, part + suffix)
                assert stored.shape == shape
                assert stored.get_data_dtype() == np.uint8
                np.testing.assert_allclose(stored.header.get_zooms()[:2], 0.308 / SCALE, rtol=0.02)
                assert stored.affine[0, 0] < 0
                assert stored.affine[1, 1] < 0
                header = gzip.decompress(Path(f"{stem}_{part}{suffix}.nii.gz").read_bytes())[:4]
                assert int.from_bytes(header, "little") == 348
    assert len(sizes) > 5


def test_cfg_lines(folder: Path) -> None:
    for patient, stem, view in views(folder):
        lines = info(stem, view)
        assert tuple(lines) == ("ED", "ES", "NbFrame", "Sex", "Age", "ImageQuality", "EF", "FrameRate")
        assert (lines["ED"], lines["ES"]) == ("1", lines["NbFrame"])
        assert lines["Sex"] in ("F", "M")
        assert lines["ImageQuality"] in ("Good", "Medium")
        assert re.fullmatch(r"\d\d?", lines["EF"])
        assert 18 <= int(lines["Age"]) <= 95
        systole_s = (int(lines["NbFrame"]) - 1) / float(lines["FrameRate"])
        assert 0.15 < systole_s < 0.65
        other = info(stem, "2CH" if view == "4CH" else "4CH")
        assert [lines[key] for key in ("Sex", "Age", "EF")] == [other[key] for key in ("Sex", "Age", "EF")]
        true_ef = float(truths(folder)[patient, VIEW_NAMES[view]]["TrueEF"])
        assert abs(int(lines["EF"]) - true_ef) < 16  # a reader's error of SD 4


def test_stills_are_frames_of_the_sequence(folder: Path, quirky: Path) -> None:
    for _, stem, view in views(folder) + views(quirky):
        lines = info(stem, view)
        for suffix in ("", "_gt"):
            film, _ = nifti(stem, f"half_sequence{suffix}")
            for phase in ("ED", "ES"):
                still, _ = nifti(stem, phase + suffix)
                np.testing.assert_array_equal(still, film[int(lines[phase]) - 1])


def test_masks_agree_with_pictures(folder: Path) -> None:
    contrast = []
    for _, stem, _ in views(folder):
        (film, _), (mask, _) = nifti(stem, "half_sequence"), nifti(stem, "half_sequence_gt")
        assert set(np.unique(mask)) == {0, 1, 2, 3}
        inside = film > 0  # not beyond the sector
        contrast.append(film[inside & (mask == 2)].mean() - film[inside & (mask == 1)].mean())
        rows = [np.flatnonzero((mask[0] == label).any(axis=1)).mean() for label in (1, 3)]
        assert rows[0] < rows[1], "the atrium lies below the ventricle: the picture is not transposed"
    assert np.mean(contrast) > 20
    assert np.mean(np.array(contrast) > 0) >= 0.9


def test_the_ventricle_empties_from_ed_to_es(folder: Path, quirky: Path) -> None:
    for root in (folder, quirky):
        for _, stem, view in views(root):
            areas = (nifti(stem, "half_sequence_gt")[0] == 1).sum(axis=(1, 2))
            lines = info(stem, view)
            ed, es = int(lines["ED"]) - 1, int(lines["ES"]) - 1
            assert areas[ed] > 0.98 * areas.max()  # the heart sways, and pixels at the edge come and go
            assert areas[ed] > areas[es]
            order = areas if ed < es else areas[::-1]
            assert np.polyfit(np.arange(len(order)), order, 1)[0] < 0


def biplane_ml(masks: dict[str, np.ndarray], spacing_mm: dict[str, tuple[float, float]]) -> float:
    """V = 8 A₁ A₂ / 3π L of an ellipsoid, L the longer of the two heights."""
    area = {view: (mask == 1).sum() * np.prod(spacing_mm[view]) for view, mask in masks.items()}
    height = [np.ptp(np.flatnonzero((mask == 1).any(axis=1))) * spacing_mm[view][1] for view, mask in masks.items()]
    return float(8 / (3 * np.pi) * area["2CH"] * area["4CH"] / max(height) / 1000)


def test_masks_have_the_hearts_true_size(folder: Path) -> None:
    ratios = []
    for path in sorted((folder / "database_nifti").iterdir()):
        loaded = {view: nifti(path / f"{path.name}_{view}", "ED_gt") for view in VIEWS}
        spacing = {view: image.header.get_zooms()[:2] for view, (_, image) in loaded.items()}
        ml = biplane_ml({view: mask for view, (mask, _) in loaded.items()}, spacing)
        ratios.append(ml / float(truths(folder)[path.name, "A4C"]["TrueEDV"]))
    assert np.all((np.array(ratios) > 0.75) & (np.array(ratios) < 1.3))  # ventricles are no ellipsoids, axes tilt


def test_lists_part_the_patients(folder: Path) -> None:
    everyone = {f"patient{i:04d}" for i in range(1, N + 1)}
    tested: list[str] = []
    for group in ["subgroup", *(f"subGroup{k}" for k in range(1, 11))]:
        paths = [folder / "database_split" / f"{group}_{part}.txt" for part in ("training", "validation", "testing")]
        names = [path.read_text().splitlines() for path in paths]
        assert [len(found) for found in names] == [8, 1, 1]
        assert set().union(*names) == everyone
        tested += names[2] if group != "subgroup" else []
    assert sorted(tested) == sorted(everyone)


def test_quirks_are_where_truth_says_they_are(quirky: Path) -> None:
    seen = set()
    for patient, stem, view in views(quirky):
        odd = set(truths(quirky)[patient, VIEW_NAMES[view]]["Quirks"].split())
        seen |= odd
        lines, (_, image) = info(stem, view), nifti(stem, "half_sequence")
        assert (int(lines["ED"]) > int(lines["ES"])) == ("reversed" in odd)
        assert (lines["ImageQuality"] == "Poor") == ("poor-quality" in odd)
        assert (image.affine[0, 0] > 0) == (image.affine[1, 1] > 0) == ("positive-affine" in odd)
    assert seen == {quirk.name for quirk in QUIRKS["camus"]}


# --- the older release ------------------------------------------------------------------------------------------


def test_older_files_are_named_as_published(older: Path) -> None:
    def names(patient: str, suffixes: tuple[str, ...]) -> set[str]:
        parts = [f"{patient}_{v}_{p}{s}" for v in VIEWS for p in ("ED", "ES", "sequence") for s in suffixes]
        return {f"{part}.{end}" for part in parts for end in ("mhd", "raw")} | {"Info_2CH.cfg", "Info_4CH.cfg"}

    assert {path.name for path in (older / "training").iterdir()} == {"patient0001", "patient0002"}
    assert {path.name for path in (older / "testing").iterdir()} == {"patient0001"}  # numbered anew
    training, testing = older / "training" / "patient0002", older / "testing" / "patient0001"
    assert {path.name for path in training.iterdir()} == names("patient0002", ("", "_gt"))
    assert {path.name for path in testing.iterdir()} == names("patient0001", ("",))


def test_older_cfg_has_volumes_for_training_only(older: Path) -> None:
    for part, keys in (("training", ("LVedv", "LVesv", "LVef")), ("testing", ())):
        for path in (older / part).rglob("*.cfg"):
            lines = cfg(path)
            assert tuple(lines) == ("ED", "ES", "NbFrame", "Sex", "Age", "ImageQuality", *keys)
            if keys:
                edv, esv, ef = (float(lines[key]) for key in keys)
                assert ef == pytest.approx(100 * (1 - esv / edv), abs=0.3)  # of one decimal each


def test_metaimages_are_twice_as_high_and_half_as_deep(older: Path) -> None:
    for path in older.rglob("*.mhd"):
        frames, (across, deep, _) = metaimage(path)
        assert across == pytest.approx(0.308 / SCALE, rel=0.02)
        assert deep == pytest.approx(across / 2, rel=1e-4)
        assert frames.shape[1] >= 2 * frames.shape[2]
        assert len(frames) == (
            int(cfg(path.parent / f"Info_{path.name[12:15]}.cfg")["NbFrame"]) if "seq" in path.name else 1
        )


def test_both_releases_show_the_same_hearts(folder: Path, older: Path) -> None:
    for view in VIEWS:
        name = f"patient0002/patient0002_{view}"
        new, image = nifti(folder / "database_nifti" / name, "half_sequence")
        old, spacing = metaimage(older / "training" / f"{name}_sequence.mhd")
        assert old.shape == (len(new), 2 * new.shape[1], new.shape[2])
        assert np.abs(old[:, ::2].astype(float) - new).mean() < 6
        (mask, _), (old_mask, _) = (
            nifti(folder / "database_nifti" / name, "ED_gt"),
            metaimage(older / "training" / f"{name}_ED_gt.mhd"),
        )
        area = (mask == 1).sum() * np.prod(image.header.get_zooms()[:2])
        assert (old_mask == 1).sum() * spacing[0] * spacing[1] == pytest.approx(area, rel=1e-4)


def test_published_labels_read_low_by_the_known_rule() -> None:
    assert [label(ef, "published") for ef in (65, 55, 35, 20)] == [58, 49, 29, 16]
    assert label(45.0, "published") == pytest.approx(39)
    assert label(61.5, "reader") == 61.5
