"""A model is calibrated on what it never saw, keeps what it learnt, and says so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcsdr.datasets import CohortSpec, open_cohort
from mcsdr.diffusion.sampler import PAPER
from mcsdr.errors import InvalidCohort, InvalidConfig, InvalidModel, TooManyBadRows
from mcsdr.evaluation.calibration import FOLDS, calibrate, folds_of, measure, refuse_seen
from mcsdr.model import Card, Model, load
from mcsdr.model.record import provenance
from mcsdr.model.storage import digest_of
from mcsdr.posterior import Posterior, quantile_nodes
from mcsdr.posterior.normal import normal_cdf
from mcsdr.posterior.recalibration import PATTERNS
from mcsdr.report import figures
from mcsdr.study import Attributes, Clip, Study


def cohort_of(model: Model, n: int, widen: float, seed: int = 0) -> list[Study]:
    """Studies without clips whose readings are drawn from the model's own posteriors, `widen` times as wide in z."""
    rng = np.random.default_rng(seed)
    people = [Study(attributes=Attributes(age, "FM"[age % 2], 60 + age / 4, 170)) for age in rng.integers(30, 80, n)]
    posteriors = model.posteriors(people)
    z = widen * rng.standard_normal(n)
    ef = [posteriors[i].quantile(float(normal_cdf(z[i]))) for i in range(n)]
    return [
        replace(person, ef_percent=y, study_id=f"s{i}", patient_id=f"p{i}")
        for i, (person, y) in enumerate(zip(people, ef, strict=True))
    ]


def test_an_overconfident_model_is_mended(model: Model, tmp_path: Path) -> None:
    result = calibrate(model, cohort_of(model, 300, 1.5), cohort_name="made up", synthetic=True)
    fresh = cohort_of(model, 400, 1.5, seed=1)
    ef = np.array([study.ef_percent for study in fresh])
    before, after = (np.abs(one.posteriors(fresh).pit(ef) - 0.5) < 0.45 for one in (model, result.model))
    assert before.mean() < 0.8
    assert after.mean() == pytest.approx(0.9, abs=0.05)
    low, high = result.model.calibration.conformal_interval(result.model.posteriors(fresh), 0.9)
    assert ((low <= ef) & (ef <= high)).mean() == pytest.approx(0.9, abs=0.05)
    of_all = {row.state: row for row in result.rows if (row.known, row.group) == ("attributes", "all")}
    assert of_all["raw"].coverage[2] < 0.8
    assert of_all["recalibrated"].coverage[2] == pytest.approx(0.9, abs=0.04)
    assert of_all["recalibrated"].width > of_all["raw"].width
    assert of_all["recalibrated"].crps < of_all["raw"].crps
    # There were no clips: nothing is known of posteriors from video, and they stay.
    assert set(result.model.calibration.maps) == {"attributes", "nothing"}
    assert [note.split(":")[0] for note in result.notes] == list(PATTERNS[:4])
    assert all("stay as they are" in note for note in result.notes)


def test_saved_loaded_and_said(model: Model, tmp_path: Path) -> None:
    result = calibrate(model, cohort_of(model, 120, 1.5), cohort_name="made up", synthetic=True)
    calibrated = result.model
    calibrated.save(tmp_path)
    again, study = load(tmp_path), cohort_of(model, 1, 1.0)[0]
    assert again.calibration == calibrated.calibration
    assert np.array_equal(again.posteriors([study]).z, calibrated.posteriors([study]).z)
    assert again.sha256 == calibrated.sha256 != model.sha256
    assert again.weights_sha256 == model.weights_sha256
    assert "synthetic phantoms" in replace_synthetic(again.card).notice
    assert "SYNTHETIC: made up (120 studies" in provenance(again, again.sampler)["calibration"]
    assert provenance(again, PAPER)["calibration"] is None
    assert provenance(model, model.sampler)["calibration"] is None
    assert model.calibration is None  # the model that was given stays as it was
    assert not np.array_equal(model.posteriors([study]).z, again.posteriors([study]).z)


def replace_synthetic(card: Card) -> Card:
    """A model of patients, calibrated on phantoms."""
    return card.model_copy(update={"synthetic": False})


def test_a_model_without_calibration_is_saved_without_the_key(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path)
    assert "calibration" not in json.loads((tmp_path / "model.json").read_text())
    assert load(tmp_path).calibration is None


def test_a_damaged_calibration_is_refused(model: Model, tmp_path: Path) -> None:
    calibrate(model, cohort_of(model, 120, 1.5)).model.save(tmp_path)
    content = json.loads((tmp_path / "model.json").read_text())
    content["calibration"]["maps"]["nothing"]["z"][0] = 99
    content["digest"] = digest_of(content)
    (tmp_path / "model.json").write_text(json.dumps(content, indent=2))
    with pytest.raises(InvalidModel, match="ascend"):
        load(tmp_path)


def test_draws_stay_as_drawn(model: Model) -> None:
    calibrated = calibrate(model, cohort_of(model, 120, 1.5)).model
    study = Study(attributes=Attributes(50, "F", 60, 170))
    assert np.array_equal(calibrated.posteriors([study], PAPER).y_percent, model.posteriors([study], PAPER).y_percent)
    assert calibrated.posteriors([study], PAPER).known is None
    model.sampler = PAPER
    with pytest.raises(InvalidConfig, match="draws"):
        calibrate(model, [])


def test_the_pattern_picks_the_map_and_clips_are_recalibrated_before_they_are_pooled(
    model: Model, studies: list[Study]
) -> None:
    """Two clips of one window each take the map of one window, and say together what each of them says."""
    calibrated = calibrate(model, cohort_of(model, 150, 2.0)).model
    two = replace(studies[0], clips=studies[0].clips * 2, attributes=Attributes())
    mixed = [two, studies[1].without("video"), Study()]
    raw, answer = model.posteriors(mixed), calibrated.posteriors(mixed)
    assert answer.known is not None
    assert answer.known.tolist() == ["several clips", "attributes", "nothing"]
    one = replace(two, clips=two.clips[:1])
    alone = calibrated.posteriors([one])[0]
    assert alone.known == "video"
    assert answer[0].quantile([0.05, 0.5, 0.95]) == pytest.approx(alone.quantile([0.05, 0.5, 0.95]), abs=1e-3)
    maps = calibrated.calibration.maps
    np.testing.assert_allclose(answer.z[1], maps["attributes"].inverse(np.broadcast_to(raw.z, raw.latent.shape)[1]))
    assert np.array_equal(answer.y_percent[1:], raw.y_percent[1:])


def test_long_clips_are_calibrated_apart_as_they_are_read(model: Model) -> None:
    """One window of each study, and all its beats: each pattern has the posteriors that its map is for."""
    few = list(open_cohort(CohortSpec.parse("phantom:4:6:3.6s")))
    rng = np.random.default_rng(0)
    many = [replace(few[i % 4], patient_id=f"p{i}", ef_percent=float(rng.uniform(20, 70))) for i in range(104)]
    calibrated = calibrate(model, many).model
    maps = calibrated.calibration.maps
    assert set(maps) == set(PATTERNS)
    assert maps["video"].studies == 104
    told, raw = (one(few[0], anyway=True) for one in (calibrated, model))
    assert len(told.beats) > 1
    assert told.posterior.known == "several windows and attributes"
    moved = maps["several windows and attributes"].inverse(raw.posterior.z)
    np.testing.assert_allclose(told.posterior.z, moved)
    assert told.beats[0].posterior.known == "video and attributes"
    assert calibrated.posteriors(few[:1])[0].known == "video and attributes"
    # Answers from several windows may have a cohort of their own; the others' maps are those of the first.
    without = [study.without("video") for study in many]
    both = calibrate(model, without, long=many).model.calibration
    assert set(both.maps) == set(PATTERNS) - {"video", "video and attributes"}
    assert both.maps["several windows"] == maps["several windows"]
    assert both.maps["attributes"].scores == pytest.approx(maps["attributes"].scores, abs=1e-4)


def test_calibrating_again_starts_from_the_raw_posteriors(model: Model) -> None:
    cohort = cohort_of(model, 150, 1.5)
    once = calibrate(model, cohort)
    assert calibrate(once.model, cohort).model.calibration == once.model.calibration


def test_the_figures_still_draw(model: Model, studies: list[Study]) -> None:
    calibrated = calibrate(model, cohort_of(model, 120, 1.5)).model
    posterior = calibrated.posteriors([studies[0].without("video")])[0]
    figures.trajectories(posterior, observed=50.0)
    figures.posterior_density(posterior, 50.0)


# --- measured honestly -----------------------------------------------------------------------------------------------


def test_folds_hold_whole_patients() -> None:
    patients = np.array([f"p{i // 3}" for i in range(300)])
    folds = folds_of(patients, seed=3)
    assert len(np.unique(folds)) == FOLDS
    assert all(len(np.unique(folds[patients == one])) == 1 for one in np.unique(patients))
    assert np.bincount(folds).min() == 60
    assert not np.array_equal(folds, folds_of(patients, seed=4))


def test_cross_fitted_figures_are_those_of_fresh_studies() -> None:
    """Labels that are pure noise: a map measured on what it was fitted on would look better than it is."""
    z = quantile_nodes()
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(10):
        y = 50 + 5 * rng.standard_normal(200)
        raw = Posterior.from_nodes(z, np.tile(50 + 5 * z, (200, 1)))
        rows = list(measure("video", raw, y, np.arange(200), seed=0))
        raw_row, recalibrated = rows[0], rows[1]
        assert (raw_row.state, recalibrated.state) == ("raw", "recalibrated")
        errors.append(recalibrated.crps - raw_row.crps)
    assert np.mean(errors) > 0  # nothing was wrong, so mending it can only cost
    assert np.mean(errors) < 0.02


def test_bands_without_evidence_are_empty() -> None:
    z = quantile_nodes()
    raw = Posterior.from_nodes(z, np.tile(60 + 3 * z, (150, 1)))
    y = np.concatenate([[30.0] * 5, 60 + 3 * np.random.default_rng(0).standard_normal(145)])
    rows = {(row.group, row.state): row for row in measure("video", raw, y, np.arange(150), seed=0)}
    assert rows["reported EF ≤ 40 %", "raw"].studies == 5
    assert np.isnan(rows["reported EF ≤ 40 %", "raw"].crps)
    assert np.isnan(rows["reported EF ≤ 40 %", "conformal"].coverage).all()
    assert rows["predicted EF ≥ 50 %", "raw"].studies == 150


# --- what is refused -------------------------------------------------------------------------------------------------


def trained_on(train: dict[str, object], val: dict[str, object], **config: object) -> Card:
    return Card(name="m", training_data="x", synthetic=True, config={"data": {"train": train, "val": val}, **config})


@pytest.mark.parametrize(
    ("data", "use"),
    [("phantom:9:1", "trained"), ("phantom:900:2", "selected"), ("phantom:9:3", ""), ("phantom:9:1:child", "")],
)
def test_phantoms_that_were_seen(data: str, use: str) -> None:
    card = trained_on({"kind": "phantom", "n": 5, "seed": 1}, {"kind": "phantom", "n": 5, "seed": 2})
    if use:
        with pytest.raises(InvalidConfig, match=use):
            refuse_seen(card, CohortSpec.parse(data))
    else:
        assert refuse_seen(card, CohortSpec.parse(data)) == []


@pytest.mark.parametrize(
    ("split", "fold", "refused"),
    [
        ("train", 0, True),
        ("val", 0, True),
        (None, 0, True),
        ("test", 0, False),
        ("test", 1, True),
        ("test", None, True),
    ],
)
def test_folders_that_were_seen(tmp_path: Path, split: str | None, fold: int | None, refused: bool) -> None:
    folder = {"kind": "camus", "root": str(tmp_path), "fold": 0}
    card = trained_on({**folder, "split": "train"}, {**folder, "split": "val"})
    data = CohortSpec(kind="camus", root=tmp_path / ".." / tmp_path.name, split=split, fold=fold)
    if refused:
        with pytest.raises(InvalidConfig, match="better than they are"):
            refuse_seen(card, data)
    else:
        assert refuse_seen(card, data) == []
    assert refuse_seen(card, CohortSpec(kind="camus", root=tmp_path.parent / "other", split=split, fold=fold)) == []


def test_what_the_encoder_started_from_was_seen_too() -> None:
    other = {"kind": "phantom", "n": 5, "seed": 700}
    card = trained_on(other, other, start={"encoder": "phantom-a4c"})
    with pytest.raises(InvalidConfig, match="phantom-a4c was selected"):
        refuse_seen(card, CohortSpec.parse("phantom:500:2"))
    unknown = trained_on(other, other, start={"encoder": "nowhere.pt"})
    assert "nowhere.pt" in refuse_seen(unknown, CohortSpec.parse("phantom:500:2"))[0]
    assert len(refuse_seen(Card(name="m", training_data="x", synthetic=True), CohortSpec.parse("phantom:5:2"))) == 2


def test_too_few_patients(model: Model) -> None:
    with pytest.raises(InvalidCohort, match="99 patients"):
        calibrate(model, cohort_of(model, 99, 1.0))
    twice: Sequence[Study] = cohort_of(model, 60, 1.0) * 2
    with pytest.raises(InvalidCohort, match="60 patients"):
        calibrate(model, twice)


def test_what_fails_is_listed(model: Model, studies: list[Study]) -> None:
    cohort = cohort_of(model, 130, 1.0)
    cohort[3] = replace(cohort[3], ef_percent=None)
    clip = studies[0].clips[0]
    cohort[20] = replace(cohort[20], clips=(Clip(clip.frames[:2], clip.frame_times_s[:2]),))
    with pytest.raises(TooManyBadRows):
        calibrate(model, cohort, max_bad=0.01)
    result = calibrate(model, cohort, max_bad=0.02)
    assert [name for name, _ in result.failures] == ["study 3", "study 20"]
    assert result.model.calibration.studies == 128
