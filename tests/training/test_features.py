"""Features are stored by file, read back, joined to labels without decoding, and every head learns from them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from mcsdr.datasets import CohortSpec, EchoNetDynamic, open_cohort
from mcsdr.errors import InvalidCohort, InvalidConfig, MissingFile
from mcsdr.evaluation import evaluate
from mcsdr.evaluation.cardiobench import write_predictions
from mcsdr.evaluation.evidence import feature_heads
from mcsdr.model import Model
from mcsdr.phantom.layouts import write_echonet_dynamic
from mcsdr.training.features import encoder_of, features_of, read_features, store


def brightness(frames: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """An encoder of a user's own: three numbers."""
    return np.array([frames.mean(), frames.std(), times_s[-1]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dynamic")
    write_echonet_dynamic(out, 8, seed=4, seconds=0.6)
    return out


def test_a_users_encoder_is_stored_by_file(folder: Path, tmp_path: Path) -> None:
    cohort = EchoNetDynamic(folder)
    assert store(cohort, encoder_of(f"{__name__}:brightness"), tmp_path / "f.csv") == []
    table = read_features(tmp_path / "f.csv")
    assert set(table) == {entry.study_id for entry in cohort.entries}
    frames = cohort[2].clips[0].frames
    np.testing.assert_allclose(table[cohort.entries[2].study_id][:2], [frames.mean(), frames.std()], rtol=1e-5)
    parts = features_of(EchoNetDynamic(folder, "train"), table, ("age_years",))
    assert parts.features.shape == (6, 3)
    assert parts.ef_percent.tolist() == [entry.ef_percent for entry in EchoNetDynamic(folder, "train").entries]


def test_a_built_in_encoder_gives_its_mean_token(folder: Path, model: Model, tmp_path: Path) -> None:
    model.save(tmp_path / "small")
    clip = EchoNetDynamic(folder)[0].clips[0]
    vector = encoder_of(str(tmp_path / "small"))(clip)
    assert vector.shape == (model.network.width,)
    assert vector.std() > 0


def test_every_head_learns_from_a_table(tmp_path: Path) -> None:
    """Two numbers of which one is the label: heads read it, and the flow's own head is the flow's training."""
    root = tmp_path / "data"
    rng = np.random.default_rng(0)
    (root / "Videos").mkdir(parents=True)
    lines, rows = ["FileName,EF,Split"], ["FileName,f0,f1"]
    for i in range(90):
        ef = rng.uniform(20, 70)
        (root / f"c{i}.avi").write_bytes(b"")
        split = "TRAIN" if i < 60 else "VAL" if i < 75 else "TEST"
        lines.append(f"c{i}.avi,{ef + rng.normal():.3f},{split}")
        rows.append(f"c{i}.avi,{ef:.4f},{rng.normal():.4f}")
    (root / "clips.csv").write_text("\n".join(lines))
    (tmp_path / "f.csv").write_text("\n".join(rows))
    heads = ("diffusion", "head-alone", "mcsdr", "gaussian")
    report = feature_heads.run(
        tmp_path / "out",
        f"table:{root / 'clips.csv'}",
        {"two": tmp_path / "f.csv"},
        heads=heads,
        epochs=24,
        overrides={"optim.batch": "20", "network.width": "16", "network.heads": "2"},
        say=lambda line: None,
    )
    table = report.tables[0]
    assert len(table.rows) == 4
    by_head = {row[1]: dict(zip(table.header, row, strict=True)) for row in table.rows}
    ours = by_head["ours: diffusion"]
    assert ours["MAE"] < 8  # the labels' SD is 14
    for one in by_head.values():
        if one is not ours:
            assert one["CRPS, ours less it"] == pytest.approx(ours["CRPS"] - one["CRPS"])
    with (tmp_path / "out" / "predictions" / "two-gaussian.csv").open() as file:
        found = list(csv.DictReader(file))
    assert list(found[0]) == ["FileName", "EF_pred"]
    assert len(found) == 15


def test_what_cannot_be_read_says_so(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        read_features(tmp_path / "none.csv")
    (tmp_path / "words.csv").write_text("FileName,f0\na,high\n")
    with pytest.raises(InvalidCohort, match="cannot be read"):
        read_features(tmp_path / "words.csv")
    with pytest.raises(InvalidConfig, match="no encoder"):
        encoder_of("nowhere_at_all:encode")
    with pytest.raises(InvalidCohort, match="no study"):
        features_of(EchoNetDynamic(folder), {"another": np.zeros(3, dtype=np.float32)}, ())


def test_predictions_in_cardiobenchs_form(folder: Path, model: Model, tmp_path: Path) -> None:
    cohort = open_cohort(CohortSpec.parse(str(folder), "test"))
    result = evaluate(model, cohort)
    assert write_predictions(tmp_path / "p.csv", result, cohort) == 1  # type: ignore[arg-type]
    with (tmp_path / "p.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["FileName"] == EchoNetDynamic(folder, "test").entries[0].clips[0].name
    assert float(row["EF_pred"]) == pytest.approx(result.rows[0]["median"])
