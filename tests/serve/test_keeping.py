"""What is kept of a job lies in one piece, and comes out of it as it went in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import mcsdr
from mcsdr.errors import BadRow, UnreadableFile
from mcsdr.model import Answer, conclude, encode
from mcsdr.prediction import Failure
from mcsdr.serve.keeping import Kept, Revision, packed, unpacked
from mcsdr.serve.pictures import Sheet
from mcsdr.study import Attributes, Clip, Study


def test_an_answer_comes_out_as_it_went_in() -> None:
    model = mcsdr.load()
    rng = np.random.default_rng(0)
    clip = Clip(rng.integers(0, 255, (40, 200, 300), dtype=np.uint8), np.arange(40) / 25)
    study = Study((clip,), Attributes(age_years=63), file="clip.avi")
    encoded = encode(study, model)
    still = replace(clip, frames=np.broadcast_to(clip.frames[20], clip.frames.shape))
    outlines = tuple(outline.still(20) for outline in conclude(encoded, model).outlines)
    encoded = replace(encoded, study=replace(encoded.study, clips=(still,)), outlines=outlines)
    answer = conclude(encoded, model, anyway=True)
    kept = Kept(Revision(3, answer, answer.record()), {"00100020": {"vr": "LO"}}, encoded, 0.5, [[{"ed": 1}]],
                Sheet(b"jpeg", {"columns": 2}))  # fmt: skip
    memory = packed(kept, model)
    tokens = encoded.video.tokens
    assert len(memory) < still.frames[0].nbytes + tokens.numel() * tokens.element_size() + 60_000  # one picture
    again = unpacked(memory, model)
    assert isinstance(again.revision.result, Answer)
    assert again.revision.result.model is model
    assert again.revision.result.record() == answer.record() == again.revision.record
    assert (again.header, again.marks, again.sheet, again.read_s) == (kept.header, kept.marks, kept.sheet, 0.5)
    assert again.encoded is not None
    assert torch.equal(again.encoded.video.tokens, tokens)
    assert np.array_equal(again.encoded.study.clips[0].frames, still.frames)
    revised = conclude(again.encoded, model, attributes=Attributes(age_years=30), anyway=True)
    assert revised.median == conclude(encoded, model, attributes=Attributes(age_years=30), anyway=True).median


@pytest.mark.parametrize("error", [UnreadableFile("Broken.", path="x"), BadRow("EF is 150.", path="t.csv")])
def test_a_failure_comes_out_as_it_went_in_without_what_it_was_raised_from(error: Exception) -> None:
    model = mcsdr.load()
    try:
        raise error from ValueError("of a patient")
    except mcsdr.errors.McsdrError as raised:
        failure = Failure("clip.avi", raised)
    again = unpacked(packed(Kept(Revision(1, failure, failure.record())), model), model).revision.result
    assert isinstance(again, Failure)
    assert again.record() == failure.record()
    assert type(again.error) is type(error)
    assert again.error.__traceback__ is again.error.__cause__ is None
