"""From the posterior of every look to one of each window, clip and study.

    looks --mean--> windows --mean--> clips --recalibrated--> clips --mixture--> studies

A clip is recalibrated by the map of what is known of *it*: how many windows of its own were seen, and whether
attributes were. Only then are clips pooled, so that two clips that say the same say it together unchanged.

Beats differ. Where the reading is of the beats on average, the mean of the windows' quantiles is what is asked for;
where it is of one of them, and which is not known, it is narrower than the reading's own spread, and the answer is

    looks --mean--> windows --recalibrated--> windows --mixture--> clips --mixture--> studies

Looks (`mcsdr.clips.protocol`) show one window as it is, mirrored, and with its last frame first: the heart is the same,
so that what they disagree by is the network's own error. Their *spread* is the SD of their medians, in EF points,

    spread² = mean over the study's windows of Σ_k (m_k − m̄)²/(K − 1),      m_k the median of look k of K,

and NaN where each window is looked at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mcsdr.model.video_tokens import VideoTokens
from mcsdr.posterior import Posterior
from mcsdr.posterior.pooling import averaged, pooled
from mcsdr.posterior.recalibration import Calibration, pattern_of

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Beliefs:
    """What a batch of encoded studies says.

    Attributes:
        studies: the posterior of each study, [B].
        clips: of each clip, [C], and of which study it is, `owner` [C].
        windows: of each window, such as a beat, [W].
        spread: of the looks at a study's windows, in EF points, [B]; NaN where each is looked at once.
    """

    studies: Posterior
    clips: Posterior
    owner: NDArray[np.int64]
    windows: Posterior
    spread: Array
    clip_windows: NDArray[np.int64]  # windows of each clip that are seen, [C]


def beliefs(
    looks: Posterior,
    video: VideoTokens,
    told: NDArray[np.bool_],
    calibration: Calibration | None,
    one_beat: bool = False,
) -> Beliefs:
    """Pool and recalibrate.

    Arguments:
        looks: of each group of tokens, [G], on nodes that they share.
        video: which window, clip and study each is of.
        told: whether any attribute of each study is known, [B].
        calibration: what clips and windows are recalibrated by; None leaves them.
        one_beat: whether the reading is of one window's beat, and which is not known.
    """
    plain = video.plain
    study, clip = video.owner[plain], video.clip[plain]
    windows = averaged(looks, video.window)
    clips, owner = averaged(windows, clip), study[np.unique(clip, return_index=True)[1]]
    seen = np.bincount(clip, video.seen).astype(np.int64)
    spread = _spread(np.asarray(looks.median), video)
    if calibration is not None:
        clips = calibration.apply(clips, pattern_of(seen, told[owner]))
        windows = calibration.apply(windows, pattern_of(video.seen, told[study]))
    if one_beat:
        clips = pooled(windows, clip)
    return Beliefs(pooled(clips, owner), clips, owner, windows, spread, seen)


def _spread(medians: Array, video: VideoTokens) -> Array:
    """See above, [B]."""
    looks = np.bincount(video.window)
    studies = int(video.owner.max()) + 1 if len(video.owner) else 0
    if not len(looks) or looks.min() < 2:
        return np.full(studies, np.nan)
    mean = np.bincount(video.window, medians) / looks
    variance = np.bincount(video.window, (medians - mean[video.window]) ** 2) / (looks - 1)
    owner = video.owner[video.plain]
    return np.asarray(np.sqrt(np.bincount(owner, variance) / np.bincount(owner)))
