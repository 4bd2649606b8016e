"""Robustness: versions of a study that are what they say, and tables whose figures follow from the answers."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from mcsdr.clips import ClipSettings, store
from mcsdr.datasets import CohortSpec
from mcsdr.errors import InvalidCohort, MissingFile
from mcsdr.evaluation.evidence import metamorphic, robustness
from mcsdr.evaluation.evidence.answers import ask, with_clips
from mcsdr.evaluation.evidence.metamorphic import RELATIONS, cut, mirrored, reversed_in_time, with_gain
from mcsdr.evaluation.evidence.robustness import Found
from mcsdr.model import Model
from mcsdr.phantom.corruptions import NAMES, SEVERITIES
from mcsdr.study import Study

SHAPE = (5, len(NAMES), 6)
WINDOW_S = 32 / 25


@pytest.fixture(scope="module")
def long_study() -> Study:
    return metamorphic.long_cohort(CohortSpec.parse("phantom:1:52"))[0]  # at 24 frames a second


@pytest.fixture
def found() -> Found:
    """Five studies whose SD grows by a point with each severity, refused from the fourth on, the last never covered."""
    severity = np.broadcast_to(np.arange(6.0), SHAPE)
    covered = np.ones(SHAPE, dtype=bool)
    covered[4] = False
    truth = np.full(5, 50.0)
    names = [f"study {i}" for i in range(5)]
    return Found(names, truth + 1, truth, 50 - severity, 4 + severity, severity, covered, severity > 3)


def test_a_study_is_asked_as_the_model_would_be(model: Model, studies: list[Study]) -> None:
    together, gone = ask(model, studies)
    assert len(together) == len(gone) == len(studies)
    assert together[2].median == pytest.approx(model.posteriors([studies[2]])[0].median, abs=1e-3)


def test_what_a_gate_refuses_is_refused(model: Model, studies: list[Study]) -> None:
    black = with_clips(studies[0], lambda clip: replace(clip, frames=np.zeros_like(clip.frames)))
    assert ask(model, [black])[1].tolist() == [True]


@pytest.fixture
def three_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not all fourteen, where three say as much."""
    monkeypatch.setattr(robustness, "NAMES", NAMES[:3])


@pytest.mark.usefixtures("three_names")
def test_the_first_severity_of_all_is_the_clip_as_it_is(model: Model, studies: list[Study]) -> None:
    answers = robustness.answer(model, studies[0], seed=0, index=0)
    assert answers.median.shape == answers.refused.shape == (3, 6)
    assert np.ptp(answers.median[:, 0]) == 0
    assert answers.median[0, 0] == pytest.approx(model.posteriors([studies[0]])[0].median, abs=1e-3)
    again = robustness.worse(studies[0], NAMES[2], 4, 0, 0)
    assert answers.median[2, 4] == pytest.approx(model.posteriors([again])[0].median, abs=1e-3)


def test_tables_say_what_was_found(found: Found) -> None:
    targets, severities, ranks, everything = robustness.tables(found, "five studies")
    assert [row[3] for row in targets.rows] == ["not met"] * 3 + ["not measured"] * 2 + ["met"]
    assert targets.rows[0][2] == pytest.approx(80)
    row = dict(zip(severities.header, severities.rows[3], strict=True))
    assert (row["severity"], row["shift"], row["MAE"], row["SD"], row["refused %"]) == ("3", -3, 3, 7, 0)
    assert row["coverage %"] == row["coverage % of answered"] == pytest.approx(80)
    assert row["from"] <= 80 <= row["to"]
    assert dict(zip(severities.header, severities.rows[5], strict=True))["refused %"] == 100
    assert [row[0] for row in ranks.rows] == [*NAMES, "all"]
    assert all(row[1] == pytest.approx(1) for row in ranks.rows)
    assert not any("|" in heading for table in (targets, severities, ranks, everything) for heading in table.header)
    assert len(everything.rows) == 1 + len(NAMES) * len(SEVERITIES)


def test_what_leaves_the_spread_alone_has_no_rank_correlation(found: Found) -> None:
    assert (replace(found, sd=np.full(SHAPE, 4.0)).rho == 0).all()


def test_versions_of_a_long_clip(long_study: Study) -> None:
    clip = long_study.clips[0]
    gain, phase, frame, beat, time, mirror = metamorphic.versions(long_study, ClipSettings())
    assert [len(group) for group in (gain, phase, frame, beat, time, mirror)] == [3, 8, 8, 2, 2, 2]
    beat_s = 60 / (clip.heart_rate_bpm or 0)
    for group in (phase, frame):
        starts = [version.clips[0].frame_times_s[0] for version in group]
        assert np.allclose(np.diff(starts), beat_s / 8, atol=clip.frame_interval_s)
    assert all(version.clips[0].frame_times_s[-1] == clip.frame_times_s[-1] for version in frame)
    assert np.array_equal(frame[0].clips[0].frames, clip.frames)
    for version in phase:
        assert version.clips[0].duration_s == pytest.approx(WINDOW_S, abs=1.01 * clip.frame_interval_s)
        assert len(store(version.clips[0], ClipSettings())) >= 32
    first, longer = (version.clips[0].duration_s for version in beat)
    assert longer - first == pytest.approx(beat_s, abs=1.01 * clip.frame_interval_s)


def test_a_short_clip_gives_pieces_and_no_further_beat(studies: list[Study]) -> None:
    _, phase, frame, beat, *_ = metamorphic.versions(studies[0], ClipSettings())
    assert len(beat) == 1
    assert {round(version.clips[0].duration_s, 1) for version in phase} <= {1.0, 1.1}
    assert {round(version.clips[0].duration_s, 1) for version in frame} <= {1.0, 1.1, 1.2, 1.3}


def test_turning_twice_is_not_turning(long_study: Study) -> None:
    clip = long_study.clips[0]
    for turn in (mirrored, reversed_in_time):
        assert not np.array_equal(turn(clip).frames, clip.frames)
        assert np.array_equal(turn(turn(clip)).frames, clip.frames)
    assert (np.diff(reversed_in_time(clip).frame_times_s) > 0).all()
    assert np.allclose(reversed_in_time(cut(clip, 0.3, 1)).frame_times_s, cut(clip, 0.3, 1).frame_times_s)
    louder = with_gain(clip, 1.1).frames
    assert louder.max() <= 255
    assert (louder >= clip.frames).all()


@pytest.mark.usefixtures("three_names")
def test_a_run_writes_tables_rows_and_figures(tmp_path: Path, model: Model) -> None:
    folder, out, real = tmp_path / "model", tmp_path / "out", get_testdata_file("examples_ybr_color.dcm")
    model.save(folder)
    report = robustness.run(out, model=str(folder), n=2, clips=[Path(str(real))], say=lambda line: None)
    report.write(out, "mcsdr benchmark robustness")
    data = json.loads((out / "robustness.json").read_text())
    assert f"model: small, SHA-256 {data['settings']['sha256'][:16]}…" in (out / "robustness.md").read_text()
    assert [len(table["rows"]) for table in data["tables"]] == [6, 6, 4, 16, len(RELATIONS), len(RELATIONS)]
    assert data["synthetic"]
    assert data["tables"][-1]["rows"][0][0] == "examples_ybr_color.dcm"
    assert data["tables"][-2]["rows"][0][1] == 2
    assert (out / "robustness.png").stat().st_size > 10_000
    assert (out / "corruptions.png").stat().st_size > 10_000
    with (out / "answers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 3 * 6
    assert {row["study"] for row in rows} == {f"phantom-51-{i:06d}" for i in range(2)}


def test_a_bad_file_is_said_before_the_long_part(tmp_path: Path, model: Model) -> None:
    model.save(tmp_path / "model")
    with pytest.raises(MissingFile):
        robustness.run(tmp_path, model=str(tmp_path / "model"), clips=[tmp_path / "no.dcm"], say=pytest.fail)


@pytest.mark.usefixtures("three_names")
def test_studies_that_cannot_be_asked_are_said_and_left_out(model: Model, studies: list[Study]) -> None:
    short = replace(studies[1], clips=(cut(studies[1].clips[0], 0, 0.3),))
    said: list[str] = []
    found = robustness.measure(model, [replace(studies[0], ef_percent=None), short, studies[2]], 3, 0, said.append)
    assert found.names == [studies[2].study_id]
    assert len(said) == 2
    with pytest.raises(InvalidCohort, match="no study"):
        robustness.measure(model, [short], 1, 0, said.append)
