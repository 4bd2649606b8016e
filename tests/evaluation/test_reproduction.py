"""One command from an untouched folder to the table, for both presets, interrupted and gone on with."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mcsdr.datasets import open_cohort
from mcsdr.errors import InvalidConfig
from mcsdr.evaluation.reproduction import Job, compare, plan, read_rows, run
from mcsdr.model import Model, load
from mcsdr.phantom.layouts import write_camus
from mcsdr.training import Silence
from mcsdr.training.settings import TrainSettings

TINY = {
    "network.channels": "[8, 8, 8]",
    "network.width": "16",
    "network.heads": "2",
    "optim.epochs": "2",
    "optim.batch": "2",
    "start.encoder": '""',
    "run.checkpoint_every": "1",
    "data.max_bad": "0.0",
}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcsdr.evaluation.measures.RESAMPLES", 20)


@pytest.fixture(scope="module")
def camus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("camus")
    write_camus(root, 12, 5, scale=0.1, quirks=True)
    return root


def jobs(preset: str, root: Path, out: Path, cache: Path, **options: object) -> list[Job]:
    overrides = {**TINY, "data.cache": str(cache)}
    return plan("camus", preset, root, out, reduced=True, overrides=overrides, **options)  # type: ignore[arg-type]


class Interrupts(Silence):
    """Stops the run like Ctrl-C after so many steps."""

    def __init__(self, after: int) -> None:
        self.after = after

    def step(self, step: int, steps: int, loss: float) -> None:
        self.after -= 1
        if self.after < 0:
            raise KeyboardInterrupt


def test_both_presets_from_folder_to_table(camus: Path, tmp_path: Path) -> None:
    for preset in ("paper", "ours"):
        (job,) = jobs(preset, camus, tmp_path / "out", tmp_path / "cache")
        run(job, Silence())
        assert job.done
        found = compare("camus", tmp_path / "out", [job], "mcsdr reproduce camus")
    assert [m.preset for m in found.measured] == ["paper", "ours"]
    assert len(list((tmp_path / "cache").iterdir())) == 2, "one cache for all splits, one for each choice of views"
    assert found.synthetic
    table = list(csv.DictReader((tmp_path / "out" / "camus" / "table.csv").open(encoding="utf-8")))
    assert {row["method"] for row in table[-2:]} == {"measured on phantoms: paper", "measured on phantoms: ours"}
    evaluation = tmp_path / "out" / "camus" / "paper" / "seed-0" / "evaluation"
    metrics = json.loads((evaluation / "metrics.json").read_text())
    assert metrics["point"] == "mean"
    assert metrics["sampler"] == {
        **{"sampler": "ddim", "steps": 10, "schedule": "linear-beta", "draws": 10, "seed": 0, "evaluations": 10},
        **{"clipped": False, "point": "mean"},
    }
    assert "synthetic" in metrics["disclaimer"].lower()
    assert {row["views"] for row in read_rows(evaluation / "studies.csv")} == {"A4C"}
    assert (evaluation / "trajectories.png").exists()
    for preset in ("paper", "ours"):
        assert (tmp_path / "out" / "camus" / preset / "figures" / "reliability.png").exists()
    ours = json.loads((tmp_path / "out" / "camus" / "ours" / "seed-0" / "evaluation" / "metrics.json").read_text())
    assert ours["protocol"] == {"windows": "one", "pool": "tokens", "views_together": 2, "looks": 1}


def test_behind_a_standing_encoder_both_views_are_learnt_from(camus: Path, tmp_path: Path, model: Model) -> None:
    """Tokens that were stored side by side are those that the trained model makes of both clips."""
    model.save(tmp_path / "start")
    own = model.network.settings
    overrides = {**TINY, "start.encoder": json.dumps(str(tmp_path / "start")), "data.cache": str(tmp_path / "cache")}
    overrides |= {f"network.{name}": str(getattr(own, name)) for name in ("width", "heads")}
    overrides["network.channels"] = str(list(own.channels))
    (job,) = plan("camus", "ours", camus, tmp_path, frozen=True, overrides=overrides)
    run(job, Silence())
    trained, cohort = load(job.folder / "model"), open_cohort(job.settings.data.val)
    studies = [cohort[index] for index in range(len(cohort))]
    assert {len(study.clips) for study in studies} == {2}
    errors = np.abs(trained.posteriors(studies).median - np.array([study.ef_percent for study in studies]))
    assert trained.card.figures["validation"]["mae"] == pytest.approx(float(errors.mean()), abs=1e-3)
    assert job.settings.optim.epochs == 2


def test_interrupted_anywhere_it_ends_the_same(camus: Path, tmp_path: Path) -> None:
    (whole,) = jobs("ours", camus, tmp_path / "whole", tmp_path / "cache")
    run(whole, Silence())
    (broken,) = jobs("ours", camus, tmp_path / "broken", tmp_path / "cache")
    for steps in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            run(broken, Interrupts(steps))
        assert not broken.done

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(broken, Silence(), stop)
    assert not broken.done
    run(broken, Silence())
    rows = [read_rows(job.folder / "evaluation" / "studies.csv") for job in (whole, broken)]
    assert rows[0] == rows[1]


def test_folds_test_every_study_once(tmp_path: Path) -> None:
    for dataset, folds in (("camus", range(1, 11)), ("echonet-pediatric", range(10))):
        planned = plan(dataset, "ours", tmp_path / "data", tmp_path / "out", folds=True)  # type: ignore[arg-type]
        assert [job.test.fold for job in planned] == list(folds)
        assert all(job.settings.data.train.fold == job.settings.data.val.fold == job.test.fold for job in planned)
        assert len({job.folder for job in planned}) == 10
    assert len(plan("camus", "ours", tmp_path, tmp_path, folds=True, seeds=3)) == 30
    few = plan("camus", "ours", tmp_path, tmp_path, folds=True, first=4, frozen=True)
    assert [job.test.fold for job in few] == [1, 2, 3, 4]
    paper = plan("camus", "paper", tmp_path, tmp_path, frozen=True)[0].settings
    assert (few[0].settings.optim.epochs, paper.optim.epochs) == (12, 50)
    assert few[0].settings.start == paper.start
    assert paper.start.frozen


def test_presets_on_the_others_terms(tmp_path: Path) -> None:
    def settings(preset: str, dataset: str = "camus", **options: int) -> TrainSettings:
        return plan(dataset, preset, tmp_path, tmp_path, **options)[0].settings  # type: ignore[arg-type]

    one, two, more = settings("ours-one-view"), settings("paper-two-views", draws=40), settings("paper-more-pairs")
    assert [one.data.train.views, two.data.train.views] == [("A4C",), ("A2C", "A4C")]
    assert (one.protocol.together, two.protocol.together) == (1, 2)
    assert (two.sampler.draws, more.sampler.draws) == (40, 10)
    assert more.dropout.masks * more.dropout.pairs == one.dropout.masks * one.dropout.pairs
    assert settings("ours", draws=40).sampler.draws is None
    with pytest.raises(InvalidConfig, match="one view"):
        settings("paper-two-views", "echonet-dynamic")


def test_another_experiment_is_not_written_over(camus: Path, tmp_path: Path) -> None:
    (job,) = jobs("ours", camus, tmp_path, tmp_path / "cache")
    job.folder.mkdir(parents=True)
    (job.folder / "settings.json").write_text(job.settings.model_copy(update={"run": None}).model_dump_json())
    with pytest.raises(InvalidConfig, match="other settings"):
        run(job, Silence())


def test_a_data_set_without_folds(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="one fixed split"):
        plan("echonet-dynamic", "ours", tmp_path, tmp_path, folds=True)


def test_every_experiment_reads(tmp_path: Path) -> None:
    """The files in configs/ are valid, and say what METHOD of the paper says."""
    for dataset in ("echonet-dynamic", "echonet-pediatric", "camus"):
        (paper,) = plan(dataset, "paper", tmp_path, tmp_path)  # type: ignore[arg-type]
        settings = paper.settings
        assert settings.network.kind == "mcsdr"
        assert settings.network.encoder == "uniformer-s"
        assert (settings.optim.lr, settings.optim.encoder_lr, settings.optim.lr_end) == (3e-4, 3e-5, 1e-6)
        assert (settings.optim.epochs, settings.optim.batch, settings.optim.ema) == (50, 8, 0)
        assert settings.optim.clip_norm == 0
        assert settings.run.seed == 42
        assert settings.optim.decay_all
        assert settings.sampler.draws == (10 if dataset == "camus" else 40)
        (ours,) = plan(dataset, "ours", tmp_path, tmp_path)  # type: ignore[arg-type]
        assert ours.settings.network.kind == "posterior"
        assert ours.settings.sampler.draws is None
