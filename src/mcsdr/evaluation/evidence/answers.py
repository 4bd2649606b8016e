"""Asking a model many versions of one study: corrupted ones, or ones that must not change the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mcsdr.model import Model
from mcsdr.posterior import Posterior
from mcsdr.study import Clip, Study


def ask(model: Model, studies: Sequence[Study]) -> tuple[Posterior, NDArray[np.bool_]]:
    """What a user would be told of each study: its posterior, and whether the model would rather not answer, [B].

    Each study is answered by itself, as `mcsdr predict` does it: by all its beats, and through every gate.

    Raises:
        ClipTooShort: a clip holds too few frames.
    """
    answers = model(studies)
    return Posterior.joined([one.belief for one in answers]), np.array([bool(one.abstained) for one in answers])


def with_clips(study: Study, change: Callable[[Clip], Clip]) -> Study:
    """The study with each of its clips changed."""
    return replace(study, clips=tuple(change(clip) for clip in study.clips))
