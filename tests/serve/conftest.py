"""A clip on disk, and a service without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from starlette.testclient import TestClient

from mcsdr.serve import create_app

BASE = "http://127.0.0.1:8765"


@pytest.fixture(scope="session")
def real_clip() -> Path:
    return Path(str(get_testdata_file("examples_ybr_color.dcm")))


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(line=4), base_url=BASE) as client:  # type: ignore[arg-type]
        yield client
