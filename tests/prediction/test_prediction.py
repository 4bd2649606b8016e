"""From files to posteriors: one result or one typed failure per input, in order, with everything that must be said."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from mcsdr.abstention.gates import of_posterior
from mcsdr.errors import Abstained, InvalidConfig
from mcsdr.io.sandbox import shared
from mcsdr.io.sandbox.warm import Warm
from mcsdr.model import Answer, Model
from mcsdr.model.record import BELIEFS
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.phantom.layouts import write_avi
from mcsdr.prediction import Failure, predict
from mcsdr.study import Attributes, Study

REQUIRED = {
    "file", "error", "abstained", "median", "mean", "sd", "interval_90", "quantiles", "prob", "modes",
    "beats", "beat_spread",
    "model", "model_sha256", "version", "sampler", "input_sha256",
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
    assert [type(result) for result in results] == [Failure, Failure, Answer, Failure]
    codes = [result.error.code for result in results if isinstance(result, Failure)]
    assert codes == ["missing-file", "unreadable-file", "unreadable-file"]
    for result in results:
        record = result.record()
        assert record.keys() >= REQUIRED - {"model", "model_sha256", "version", "sampler"}
        if isinstance(result, Failure):
            assert record["error"]["next_step"]
            assert record["error"]["path"] == record["file"]


def test_a_clip_that_kills_its_parser_costs_the_others_nothing(
    model: Model, clip_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = shared()
    whole, dead = reader._take, Warm()
    dead.end()
    first = iter([dead])
    monkeypatch.setattr(reader, "_take", lambda: next(first, None) or whole())
    killed, answered = predict([clip_file, clip_file], model)
    assert isinstance(killed, Failure)
    assert killed.error.record()["code"] == "unreadable-file"
    assert killed.error.path == str(clip_file)
    assert isinstance(answered, Answer)


def test_no_clip_is_decoded_in_the_process_that_answers(
    model: Model, clip_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcsdr.io._record", lambda *arguments: pytest.fail("it was"))
    assert isinstance(next(predict(clip_file, model)), Answer)


@pytest.mark.parametrize("seconds", [1.0, 3.0])
def test_where_a_clock_starts_and_its_unit_change_no_answer(model: Model, seconds: float) -> None:
    """Equal pixels and equal times, R waves among them, however they are written."""
    clip = PhantomCohort(3, 5102, sampling_hz=None, seconds=seconds)[2].clips[0]  # at 40 Hz: often midway at 25 Hz
    waves = tuple(np.arange(0.2, seconds, 0.75).tolist())
    times = clip.frame_times_s
    written = {
        "as it is": (times, waves),
        "later": (times + 1e4, tuple(wave + 1e4 for wave in waves)),
        "in float32 milliseconds": ((1000 * times).astype(np.float32).astype(float) / 1000, waves),
        "in whole milliseconds": (np.round(times, 3), waves),
    }
    for known in (False, True):
        answers = [
            model(Study(clips=(replace(clip, frame_times_s=at, r_wave_times_s=r if known else ()),)), anyway=True)
            for at, r in written.values()
        ]
        medians = [found.posterior.median for found in answers]
        assert medians == pytest.approx([medians[0]] * len(medians), abs=1e-6)
        assert len({len(found.beats) for found in answers}) == 1


def test_a_folder_of_numbered_pictures_is_answered_as_a_clip(
    model: Model, studies: list[Study], tmp_path: Path
) -> None:
    (tmp_path / "loop").mkdir()
    for number, frame in enumerate(studies[0].clips[0].frames):
        Image.fromarray(frame).save(tmp_path / "loop" / f"{number:03d}.png")
    (result,) = predict([tmp_path], model, frame_rate_hz=25)
    assert isinstance(result, Answer)
    assert (result.path, result.input_sha256) == (str(tmp_path / "loop"), None)
    (refused,) = predict([tmp_path], model)
    assert refused.record()["error"]["code"] == "no-frame-time"


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
    (result,) = predict([clip_file], model, age=63, sex="F", anyway=True)
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


def test_the_record_names_the_bytes_that_were_read(model: Model, clip_file: Path, studies: list[Study]) -> None:
    damaged = clip_file.with_name("damaged.avi")
    damaged.write_bytes(b"not a video")
    for result in predict([clip_file, damaged], model):
        assert result.record()["input_sha256"] == hashlib.sha256(Path(result.path).read_bytes()).hexdigest()
    (missing,) = predict([clip_file.with_name("none.avi")], model)
    assert missing.record()["input_sha256"] is None
    assert model(studies[0]).record()["input_sha256"] is None


def test_same_file_same_record(model: Model, clip_file: Path) -> None:
    first, second = (next(predict([clip_file], model, weight=80)).record() | {"analysed": None} for _ in range(2))
    assert first == second


def test_the_real_clip_is_answered(model: Model) -> None:
    (result,) = predict([get_testdata_file("examples_ybr_color.dcm")], model)
    assert isinstance(result, Answer)
    crop = result.study.clips[0].crop
    assert crop is not None
    assert crop.method == "picture"


def test_adult_models_do_not_read_children(model: Model, studies: list[Study]) -> None:
    child = replace(studies[0], attributes=Attributes(age_years=12))
    withheld = model(child)
    assert withheld.abstained is not None
    assert withheld.abstained.code == "adult-model-for-a-child"
    assert withheld.record()["median"] is None
    adult = model(replace(studies[0], attributes=Attributes(age_years=40)))
    assert adult.abstained is None or adult.abstained.code != "adult-model-for-a-child"


def test_without_a_clip_the_answer_says_so(model: Model) -> None:
    result = model(Study(attributes=Attributes(70, "M")))
    assert "no-video" in {notice.code for notice in result.notices}


# --- abstaining ------------------------------------------------------------------------------------------------------


def test_an_abstention_withholds_all_that_is_believed(model: Model, studies: list[Study]) -> None:
    clip = studies[0].clips[0]
    black = replace(studies[0], clips=(replace(clip, frames=np.zeros_like(clip.frames)),))
    result = model(black)
    record = result.record()
    assert record["abstained"]["code"] == "empty-picture"
    assert all(record["abstained"].values())
    assert [record[key] for key in BELIEFS] == [None] * len(BELIEFS)
    assert record["error"] is None
    assert 0 < result.belief.median < 100
    with pytest.raises(Abstained, match="black") as refused:
        _ = result.median
    assert (refused.value.code, bool(refused.value.next_step)) == ("empty-picture", True)
    assert json.loads(json.dumps(record)) == record


def test_insisting_gives_the_posterior_marked(model: Model, studies: list[Study]) -> None:
    child = replace(studies[0], attributes=Attributes(age_years=12))
    record = model(child, anyway=True).record()
    assert record["abstained"]["code"] == "adult-model-for-a-child"
    assert record["interval_90"][0] < record["median"] < record["interval_90"][1]
    assert record["median"] == round(float(model.posteriors([child])[0].median), 4)


def test_a_named_threshold_asks_for_a_side(model: Model, studies: list[Study]) -> None:
    posterior = model(studies[0]).belief
    codes = {gate.code for gate in of_posterior(posterior, threshold=posterior.median)}
    assert "at-threshold" in codes
    assert "at-threshold" not in {gate.code for gate in of_posterior(posterior)}
    with pytest.raises(InvalidConfig, match="threshold"):
        model(studies[0], threshold=140)
    with pytest.raises(InvalidConfig, match="threshold"):
        next(predict([], model, threshold=0))


# --- beats -----------------------------------------------------------------------------------------------------------


def test_a_long_clip_is_read_by_all_its_beats(model: Model) -> None:
    study = PhantomCohort(2, seed=5102, sampling_hz=None, seconds=3.0)[0]
    result = model(study, anyway=True)
    assert len(result.beats) == 3
    levels = [0.05, 0.5, 0.95]
    beats = result.record()["beats"]
    assert [beat["start_s"] for beat in beats] == sorted(beat["start_s"] for beat in beats)
    assert np.diff([beat["start_s"] for beat in beats]) == pytest.approx(0.875, abs=0.1)  # 68.6 beats per minute
    medians = [beat["median"] for beat in beats]
    assert result.record()["beat_spread"] == pytest.approx(np.std(medians, ddof=1), abs=1e-3)
    with_beats = model.posteriors([study], protocol=model.protocol.changed("beats"))[0]
    assert result.posterior.quantile(levels) == pytest.approx(with_beats.quantile(levels), abs=1e-3)


def test_one_window_is_answered_as_the_model_answers_it(model: Model, studies: list[Study]) -> None:
    result = model(studies[0], anyway=True)
    assert result.beats == ()
    assert result.record()["beats"] == []
    assert result.record()["beat_spread"] is None
    assert np.array_equal(result.posterior.y_percent, model.posteriors(studies[:1])[0].y_percent)
