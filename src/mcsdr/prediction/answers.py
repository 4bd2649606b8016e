"""From files to answers: one answer or one typed failure per input, in the order given.

One bad file never costs another its answer, whatever it does to its parser: files are read in children (`io.sandbox`).
What an answer is, and when a model abstains, stands in `mcsdr.model.answer`; nothing is computed here.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mcsdr
from mcsdr.abstention.gates import checked_threshold
from mcsdr.diffusion.sampler import SamplerSettings
from mcsdr.errors import McsdrError
from mcsdr.files import sha256_of
from mcsdr.io import no_clip, survey
from mcsdr.io.sandbox import read_apart
from mcsdr.model import Answer, Model, load
from mcsdr.model.record import BELIEFS, row_of
from mcsdr.posterior import Population
from mcsdr.prediction.priors import prior_for
from mcsdr.study import Attributes, Study

Input = str | Path | Study


@dataclass(frozen=True)
class Failure:
    """One input that could not be answered, and why.

    Attributes:
        path: the input's name.
        error: the cause and the next step.
        input_sha256: of the file, where it could be opened at all.
    """

    path: str
    error: McsdrError
    input_sha256: str | None = None

    def record(self) -> dict[str, Any]:
        """The same keys as an answer, all empty but the error."""
        error = {**self.error.record(), "message": str(self.error)}
        name = {"file": self.path, "input_sha256": self.input_sha256}
        return {**name, "error": error, **dict.fromkeys(("abstained", *BELIEFS))}

    def to_dict(self) -> dict[str, Any]:
        """The same as `record`."""
        return self.record()

    def row(self) -> dict[str, Any]:
        """The same columns as an answer's row."""
        return row_of(self.record())


def predict(
    inputs: Input | Sequence[Input],
    model: Model | str | Path | None = None,
    *,
    age: float | None = None,
    sex: str | None = None,
    weight: float | None = None,
    height: float | None = None,
    frame_rate_hz: float | None = None,
    sampler: SamplerSettings | None = None,
    threshold: float | None = None,
    anyway: bool = False,
    prior: Population | str | Path | None = None,
    label: str = "",
    passed_over: Counter[str] | None = None,
) -> Iterator[Answer | Failure]:
    """Answer every clip of the given files and folders, and every given study, one at a time, in order.

    Arguments:
        inputs: a file, a folder whose clips are all answered, a study, or several of them.
        model: what answers; the bundled model unless given, or the name or folder of another.
        age, sex, weight, height: years, "F"/"M" in any usual spelling, kg, cm; they stand above what a file or a study
            says.
        frame_rate_hz: for files that do not say it.
        sampler: another way of sampling than the model's own.
        threshold: an EF in per cent; abstain where the posterior does not tell on which side of it EF lies.
        anyway: give the posterior also where the model abstains; it is marked.
        prior: the population that the clips come from, in place of that which the model learnt from: a name or a table
            (`mcsdr.prediction.priors`).
        label: of the user's own, to stand in reports.
        passed_over: counts what of the folders is no clip, by kind.

    Raises:
        InvalidConfig: the threshold is no ejection fraction, or there is no such population.
        InvalidAttributes: an attribute that was given is out of range.
        InvalidModel: there is no such model, or a population is stated and that which it learnt from is not known.

    >>> import mcsdr
    >>> from pydicom.data import get_testdata_file
    >>> for answer in mcsdr.predict(get_testdata_file("examples_ybr_color.dcm"), age=63, sex="F"):
    ...     print(answer.abstained, 40 < answer.median < 70)
    None True
    """
    checked_threshold(threshold)
    known: dict[str, Any] = {"age": age, "sex": sex, "weight": weight, "height": height}
    Attributes.of(**known)  # refused before any file is read
    estimator = model if isinstance(model, Model) else load(model or mcsdr.DEFAULT_MODEL)
    stated = prior_for(estimator, prior)
    how: dict[str, Any] = {
        "sampler": sampler,
        "threshold": threshold,
        "anyway": anyway,
        "prior": stated,
        "label": label,
    }
    every = [inputs] if isinstance(inputs, str | Path | Study) else inputs
    return _answers(every, estimator, known, frame_rate_hz, how, Counter() if passed_over is None else passed_over)


def _answers(
    inputs: Sequence[Input],
    model: Model,
    known: dict[str, Any],
    frame_rate_hz: float | None,
    how: dict[str, Any],
    passed_over: Counter[str],
) -> Iterator[Answer | Failure]:
    for given in inputs:
        if isinstance(given, Study):
            yield _answer_study(given, model, known, how)
            continue
        try:
            found = survey(given)
            passed_over.update(found.passed_over)
            if not found.clips:
                raise no_clip(given, found)
        except McsdrError as error:
            yield Failure(str(given), error)
            continue
        for file in found.clips:
            yield answer_file(file, model, frame_rate_hz=frame_rate_hz, **known, **how)


def _answer_study(study: Study, model: Model, known: dict[str, Any], how: dict[str, Any]) -> Answer | Failure:
    try:
        told: dict[str, Any] = Attributes.of(**known).known()
        return model(replace(study, attributes=replace(study.attributes, **told)), **how)
    except McsdrError as error:
        return Failure(study.file or study.study_id, error, study.input_sha256)


def answer_file(
    file: str | Path,
    model: Model,
    *,
    sampler: SamplerSettings | None = None,
    threshold: float | None = None,
    anyway: bool = False,
    prior: Population | None = None,
    label: str = "",
    **known: Any,
) -> Answer | Failure:
    """Answer one clip.

    Arguments:
        file: the clip; a folder is a failure.
        model: what answers.
        sampler, threshold, anyway, label: as for `predict`.
        prior: the population that the clip comes from.
        known: what `read_study` may be told: age, sex, weight, height, frame_rate_hz.

    Raises:
        InvalidConfig: the threshold is no ejection fraction.
    """
    checked_threshold(threshold)
    started = time.perf_counter()
    try:
        study = read_apart(Path(file), known)
        took = time.perf_counter() - started
        answer = model(study, sampler=sampler, threshold=threshold, anyway=anyway, prior=prior, label=label)
    except McsdrError as error:
        return Failure(str(file), error, sha256_of(Path(file)))
    return replace(answer, seconds={"read": took, **answer.seconds})
