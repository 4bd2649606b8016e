"""The gallery shows the studies that it says, the worst first, each with its own pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcsdr.datasets import EchoNetDynamic
from mcsdr.evaluation import evaluate, measures
from mcsdr.evaluation.gallery import exhibits
from mcsdr.model import Model
from mcsdr.phantom.layouts import write_echonet_dynamic


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "RESAMPLES", 20)


def test_the_worst_come_first_with_their_own_pictures(model: Model, tmp_path: Path) -> None:
    write_echonet_dynamic(tmp_path, 6, seed=8, seconds=0.8)
    sorted((tmp_path / "Videos").iterdir())[1].write_bytes(b"RIFF")  # rows and places in the cohort are not the same
    cohort = EchoNetDynamic(tmp_path)
    result = evaluate(model, cohort, max_bad=0.5)
    assert len(result.rows) == 5
    shown = list(exhibits(result, model, cohort, 3))
    errors = np.abs(result.column("median") - result.column("ef"))
    assert [abs(one.point - one.reported) for one in shown] == sorted(errors, reverse=True)[:3]
    readable = {study.study_id: study for study in (cohort[place] for place in result.positions)}
    for one in shown:
        (clip,) = readable[one.study_id].clips
        (still,) = one.stills  # of a model that tells no outline
        assert one.reported == readable[one.study_id].ef_percent
        assert np.array_equal(np.asarray(still.image), clip.frames[len(clip.frames) // 2])


def test_what_was_hidden_from_the_model_is_not_shown(model: Model, tmp_path: Path) -> None:
    write_echonet_dynamic(tmp_path, 2, seed=8, seconds=0.8)
    cohort = EchoNetDynamic(tmp_path)
    result = evaluate(model, cohort, without=["video"])
    assert [one.stills for one in exhibits(result, model, cohort, 9)] == [(), ()]
