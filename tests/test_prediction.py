"""From files to posteriors: one result or one typed failure per input, in order, with everything that must be said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file

from mcsdr.model import Model
from mcsdr.phantom.layouts import write_avi
from mcsdr.prediction import Failure, Prediction, answer, predict
from mcsdr.study import Attributes, Study

REQUIRED = {
    "file", "error", "median", "mean", "sd", "interval_90", "quantiles", "prob", "modes",
    "model", "model_sha256", "version", "sampler",
}  # fmt: skip


@pytest.fixture
def clip_file(tmp_path: Path, studies: list[Study]) -> Path:
    path = tmp_path / "phantom.avi"
    write_avi(path, studies[0].clips[0].frames, 25)
    return path


def test_bad_inputs_cost_the_others_nothing(model: Model, clip_file: Path) -> None:
    text = clip_file.with_name("text.avi")
    text.write_text("not a video")
    half = clip_file.with_name("half.avi")
    half.write_bytes(clip_file.read_bytes()[: clip_file.stat().st_size // 2])
    missing = clip_file.with_name("missing.avi")
    results = list(predict([missing, text, clip_file, half], model))
    assert [type(result) for result in results] == [Failure, Failure, Prediction, Failure]
    codes = [result.error.code for result in results if isinstance(result, Failure)]
    assert codes == ["missing-file", "unreadable-file", "unreadable-file"]
    for result in results:
        record = result.record()
        assert record.keys() >= REQUIRED - {"model", "model_sha256", "version", "sampler"}
        if isinstance(result, Failure):
            assert record["error"]["next_step"]
            assert record["error"]["path"] == record["file"]


def test_a_folder_gives_every_clip(model: Model, clip_file: Path) -> None:
    (clip_file.parent / "deeper").mkdir()
    (clip_file.parent / "deeper" / "copy.avi").write_bytes(clip_file.read_bytes())
    (clip_file.parent / "notes.txt").write_text("not a clip")
    assert len(list(predict([clip_file.parent], model))) == 2


def test_a_folder_without_clips_is_a_failure_too(model: Model, tmp_path: Path) -> None:
    (result,) = predict([tmp_path], model)
    assert isinstance(result, Failure)
    assert "holds no clip" in result.error.cause


def test_record_is_complete_and_consistent(model: Model, clip_file: Path) -> None:
    (result,) = predict([clip_file], model, age=63, sex="F")
    record = result.record()
    assert record.keys() >= REQUIRED
    assert record["error"] is None
    low, high = record["interval_90"]
    assert low < record["median"] < high
    assert record["quantiles"]["0.05"] == low
    assert record["quantiles"]["0.5"] == record["median"]
    prob = record["prob"]
    assert {"<=30", "<=35", "<=40", "<50", "<54"} <= prob.keys()
    assert prob["<=40"] + prob["40-50"] + prob[">=50"] == pytest.approx(1, abs=2e-4)
    assert record["attributes"] == {"age_years": 63, "sex": "F"}
    assert "phantoms only" in record["disclaimer"]
    assert "Research use only" in record["disclaimer"]
    assert record["sampler"]["evaluations"] == 8
    assert json.loads(json.dumps(record)) == record


def test_same_file_same_record(model: Model, clip_file: Path) -> None:
    first, second = (next(predict([clip_file], model, weight=80)).record() for _ in range(2))
    assert first == second


def test_the_real_clip_is_answered(model: Model) -> None:
    (result,) = predict([get_testdata_file("examples_ybr_color.dcm")], model)
    assert isinstance(result, Prediction)
    crop = result.study.clips[0].crop
    assert crop is not None
    assert crop.method == "picture"


def test_adult_models_do_not_read_children_silently(model: Model, studies: list[Study]) -> None:
    child = replace(studies[0], attributes=Attributes(age_years=12))
    assert "adult-model-for-a-child" in {notice.code for notice in answer("x", child, model).notices}
    adult = replace(studies[0], attributes=Attributes(age_years=40))
    assert "adult-model-for-a-child" not in {notice.code for notice in answer("x", adult, model).notices}


def test_without_a_clip_the_answer_says_so(model: Model) -> None:
    result = answer("", Study(attributes=Attributes(70, "M")), model)
    assert "no-video" in {notice.code for notice in result.notices}
