from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from tests.report.standins import posterior_of, prediction, with_screen

from mcsdr.errors import NotBMode
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.prediction import Failure, Prediction
from mcsdr.study import Attributes, Study


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """The tensors are small: on a busy machine waiting for a second thread costs more than the arithmetic."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def study() -> Study:
    return replace(PhantomCohort(4, 7)[0], attributes=Attributes(age_years=63, sex="F"))


@pytest.fixture(scope="session")
def answer(study: Study) -> Prediction:
    return prediction("visit/apical.dcm", with_screen(study), posterior_of((0.75, 57, 5), (0.25, 50, 6)))


@pytest.fixture(scope="session")
def two_peaked(study: Study) -> Prediction:
    posterior = posterior_of((0.6, 34, 4), (0.4, 54, 4))
    return prediction("visit/two.avi", replace(study, attributes=Attributes()), posterior)


@pytest.fixture(scope="session")
def failure() -> Failure:
    return Failure(
        "visit/colour.dcm", NotBMode("the picture shows colour flow (colour Doppler)", path="visit/colour.dcm")
    )
