"""Clips that several tests read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from generated_clips import Pictures, fan_loop, screen_loop
from pydicom.dataset import Dataset


@pytest.fixture(scope="session")
def fan() -> Pictures:
    """Forty frames of the bare fan."""
    return fan_loop()


@pytest.fixture(scope="session")
def screen() -> Pictures:
    """Forty frames of the fan on a screen."""
    return screen_loop()


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Dataset], Path]:
    """Write a data set to a file without a suffix."""

    def write(dataset: Dataset) -> Path:
        path = tmp_path / "IM0001"
        dataset.save_as(path, enforce_file_format=True)
        return path

    return write
