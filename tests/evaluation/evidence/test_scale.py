"""The same training on more and more phantoms: alike in steps, selected where it never learns, measured on others."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcsdr.evaluation.evidence import scale


def test_every_size_takes_about_as_many_steps_and_is_selected_on_shifted_phantoms() -> None:
    steps = []
    for size in (1000, 4000, 16_000):
        settings = scale.settings_of(size, 2000, {})
        assert settings.data.train.n == size
        assert (settings.data.train.appearance, settings.data.val.appearance) == ("varied", "shifted-val")
        steps.append(settings.optim.epochs * (size // settings.optim.batch))
    assert max(steps) < 1.1 * min(steps)
    seeds = {settings.data.train.seed, settings.data.val.seed, scale.TEST_SEED}
    assert len(seeds) == 3


@pytest.mark.slow
def test_a_tiny_run(tmp_path: Path) -> None:
    small = {
        "data.cache": f"'{tmp_path / 'cache'}'",
        "run.precision": "no",
        "data.workers": "0",
        "network.channels": "[8, 8, 16]",
        "network.width": "16",
        "start.model": '""',
    }
    said: list[str] = []
    report = scale.run(tmp_path, sizes=[32, 64], steps=2, val=8, test=8, overrides=small, say=said.append)
    assert [row[0] for row in report.tables[0].rows[::2]] == ["32, 2 epochs", "64, 1 epochs"]
    assert [row[1] for row in report.tables[0].rows[:2]] == list(scale.TESTS)
    assert report.synthetic
