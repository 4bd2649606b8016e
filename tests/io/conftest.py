"""Clips that several tests read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from generated_clips import Pictures, fan_loop, screen_loop
from public_loop import REAL, coded_loop, samples_of
from pydicom.dataset import Dataset

from mcsdr.io import read_clip
from mcsdr.study import Clip


@pytest.fixture(scope="session")
def fan() -> Pictures:
    """Forty frames of the bare fan."""
    return fan_loop()


@pytest.fixture(scope="session")
def screen() -> Pictures:
    """Forty frames of the fan on a screen."""
    return screen_loop()


@pytest.fixture(scope="session")
def clean() -> Clip:
    """The public loop as it is."""
    return read_clip(REAL)


@pytest.fixture(scope="session")
def coded() -> list[bytes]:
    """Its frames, each a JPEG."""
    return coded_loop()


@pytest.fixture(scope="session")
def samples(coded: list[bytes]) -> Pictures:
    """Its frames as YCbCr samples, uint8 [T, H, W, 3]."""
    return samples_of(coded)


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Dataset], Path]:
    """Write a data set to a file without a suffix."""

    def write(dataset: Dataset) -> Path:
        path = tmp_path / "IM0001"
        dataset.save_as(path, enforce_file_format=True)
        return path

    return write
