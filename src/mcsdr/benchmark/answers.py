"""Asking a model many versions of one study: corrupted ones, or ones that must not change the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mcsdr.gates import WIDE_INTERVAL
from mcsdr.model import Model
from mcsdr.posterior import Posterior
from mcsdr.study import Clip, Study

AT_ONCE = 32  # versions encoded together, so that memory does not grow with their number


def ask(model: Model, studies: Sequence[Study]) -> Posterior:
    """The posteriors of a batch, encoded a few at a time, without the sampler's trajectories.

    Raises:
        ClipTooShort: a clip holds too few frames.
    """
    return Posterior.joined([model(studies[start : start + AT_ONCE]) for start in range(0, len(studies), AT_ONCE)])


def refused(model: Model, studies: Sequence[Study], posteriors: Posterior) -> NDArray[np.bool_]:
    """Which studies [B] the model would rather not answer: those whose 90 % interval is too wide to say much."""
    low, high = posteriors.interval(0.9)
    return np.asarray(high - low > WIDE_INTERVAL)


def with_clips(study: Study, change: Callable[[Clip], Clip]) -> Study:
    """The study with each of its clips changed."""
    return replace(study, clips=tuple(change(clip) for clip in study.clips))
