from __future__ import annotations

from dataclasses import replace

import pytest
from tests.report.standins import posterior_of, prediction, with_screen

from mcsdr.abstention.gates import Abstention
from mcsdr.errors import NotBMode
from mcsdr.model import Answer, BeatAnswer
from mcsdr.phantom.cohort import PhantomCohort
from mcsdr.prediction import Failure
from mcsdr.study import Attributes, Study


@pytest.fixture(scope="session")
def study() -> Study:
    return replace(PhantomCohort(4, 7)[0], attributes=Attributes(age_years=63, sex="F"))


@pytest.fixture(scope="session")
def answer(study: Study) -> Answer:
    return prediction("visit/apical.dcm", with_screen(study), posterior_of((0.75, 57, 5), (0.25, 50, 6)))


@pytest.fixture(scope="session")
def two_peaked(study: Study) -> Answer:
    posterior = posterior_of((0.6, 34, 4), (0.4, 54, 4))
    return prediction("visit/two.avi", replace(study, attributes=Attributes()), posterior)


@pytest.fixture(scope="session")
def failure() -> Failure:
    return Failure(
        "visit/colour.dcm", NotBMode("the picture shows colour flow (colour Doppler)", path="visit/colour.dcm")
    )


@pytest.fixture(scope="session")
def withheld(answer: Answer) -> Answer:
    why = Abstention("still-picture", "Nothing moves in the clip: it shows a still.", "Choose a moving clip.")
    return replace(answer, study=replace(answer.study, file="visit/still.dcm"), abstained=why)


@pytest.fixture(scope="session")
def beating(answer: Answer) -> Answer:
    each = (BeatAnswer(0.2, posterior_of((1.0, 54, 4))), BeatAnswer(1.1, posterior_of((1.0, 58, 4))))
    return replace(answer, beats=each)
