"""From studies to tokens: which windows of their clips are shown to the network, and what it makes of them.

    study --seen, beats--> windows, in groups --nn, a few at a time--> tokens of each --> VideoTokens

This is the costly part of an answer, done once for a clip whatever is then asked. Of a clip that is longer than one
window all beats are read.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mcsdr.abstention.gates import Abstention
from mcsdr.clips import cut_windows, frame_indices, to_grey, window_length
from mcsdr.clips.beats import Beats
from mcsdr.clips.outline import CavityOutline
from mcsdr.clips.protocol import Group, ProtocolSettings, ViewedFrames, groups
from mcsdr.model.seen import Seen, see
from mcsdr.model.video_tokens import VideoTokens, counted
from mcsdr.study import ADULT_YEARS, Clip, Study

if TYPE_CHECKING:
    from mcsdr.model.model import Model

WINDOWS_AT_ONCE = {"cpu": 4}  # encoded together; elsewhere 32: all windows of a long study would not fit into memory


@dataclass(frozen=True)
class Encoded:
    """A study whose clips are encoded.

    Attributes:
        starts_s: of each window when its beat starts, None if it is of none; empty where one window is read.
        seconds: how long it took.
        against: what the pictures say against an answer.
        outlines: of each clip where the model sees the cavity, where its frames are not kept to be asked later.
    """

    study: Study
    video: VideoTokens
    starts_s: tuple[float | None, ...]
    seconds: float
    against: tuple[Abstention, ...] = ()
    outlines: tuple[CavityOutline, ...] | None = None


def encode(study: Study, model: Model) -> Encoded:
    """Encode the clips of one study, by all their beats where they are longer than one window.

    Raises:
        ClipTooShort: a clip holds too few frames.
    """
    started = time.perf_counter()
    encoded = encode_seen(study, [see(clip, model.clip) for clip in study.clips], model)
    return replace(encoded, seconds=time.perf_counter() - started)


def encode_seen(study: Study, seen: Sequence[Seen], model: Model) -> Encoded:
    """Encode a study whose clips were seen before; their frames are not asked again, only their shape."""
    started = time.perf_counter()
    age = study.attributes.age_years
    doubts = tuple(notice for one in seen for notice in one.pace.notices(adult=age is None or age >= ADULT_YEARS))
    study = replace(study, notices=study.notices + doubts)
    video, starts_s = _encode(study, seen, model)
    against = tuple(why for one in seen for why in one.against)
    return Encoded(study, video, tuple(starts_s), time.perf_counter() - started, against)


def _encode(study: Study, seen: Sequence[Seen], model: Model) -> tuple[VideoTokens, list[float | None]]:
    """The study's tokens, and of each window when its beat starts, in seconds after its clip's first frame.

    A model that would read one window of each clip reads all beats of one that is longer.
    """
    stored = [(one.stored, clip.view) for clip, one in zip(study.clips, seen, strict=True)]
    if not model.reads_beats(study.clips):
        return model.encode_stored([stored]), []
    beats = [one.beats for one in seen]
    protocol = model.protocol.changed(windows="beats")
    starts_s = [
        start
        for clip, frames, found in zip(study.clips, stored, beats, strict=True)
        for start in _starts_s(clip, frames, found, model)
    ]
    return model.encode_stored([stored], protocol, [beats]), starts_s if protocol.together == 1 else []


def _starts_s(clip: Clip, stored: ViewedFrames, beats: Beats, model: Model) -> list[float | None]:
    """When the beat of each window starts; None for the windows that are not of one beat."""
    times = clip.frame_times_s[frame_indices(clip.frame_times_s, model.clip)] - clip.frame_times_s[0]
    of_beats = beats.windows(window_length(len(stored[0]), model.clip))
    others = len(cut_windows(stored[0], model.clip, "beats", beats)) - len(of_beats)
    return [float(times[window.beat.end_diastole]) for window in of_beats] + [None] * others


@torch.inference_mode()
def encoded_windows(
    model: Model,
    studies: Sequence[Sequence[ViewedFrames]],
    protocol: ProtocolSettings,
    beats: Sequence[Sequence[Beats]] | None = None,
) -> VideoTokens:
    """The video tokens of studies whose clips are stored frames, uint8 [S, H, W], and their views.

    Arguments:
        beats: of each clip of each study, for the windows "beats"; found in the frames where not given.
    """
    rhythms = [None] * len(studies) if beats is None else beats
    grouped = [
        groups(clips, model.clip, protocol, rhythm) or [Group([])] * protocol.looks
        for clips, rhythm in zip(studies, rhythms, strict=True)
    ]
    groups_of_all = [(owner, group) for owner, of_study in enumerate(grouped) for group in of_study]
    shown = [group.shown for _, group in groups_of_all]
    tokens = iter(_tokens_of([window for group in shown for window in group], model))
    none = torch.empty(0, model.network.width, device=model.device)
    joined = [torch.cat([none, *(next(tokens) for _ in group)]) for group in shown]
    lengths = torch.tensor([len(t) for t in joined], device=model.device)
    padded = torch.nn.utils.rnn.pad_sequence(joined, batch_first=True)
    mask = torch.arange(padded.shape[1], device=model.device) < lengths[:, None]
    return VideoTokens(
        padded,
        mask,
        np.array([owner for owner, _ in groups_of_all], dtype=np.int64),
        counted([(owner, group.clip) for owner, group in groups_of_all]),
        counted([(owner, group.window) for owner, group in groups_of_all]),
        np.array([_key_of(group) for group in shown], dtype=np.int64),
    )


def _tokens_of(windows: Sequence[ViewedFrames], model: Model) -> list[Tensor]:
    """Tokens [L, width] of each window; those of one length are encoded together, a bounded number at a time."""
    tokens: list[Tensor] = [torch.empty(0)] * len(windows)
    by_length: dict[int, list[int]] = {}
    for index, (frames, _) in enumerate(windows):
        by_length.setdefault(len(frames), []).append(index)
    for indices in by_length.values():
        at_once = WINDOWS_AT_ONCE.get(model.device.type, 32)
        for start in range(0, len(indices), at_once):
            some = indices[start : start + at_once]
            batch = torch.from_numpy(np.stack([windows[i][0] for i in some])).to(model.device)
            grey = to_grey(batch, model.clip)
            with model.mixed():
                encoded = model.network.encode(grey, [windows[i][1].value for i in some])
            for index, these in zip(some, encoded.float(), strict=True):
                tokens[index] = these
    return tokens


def _key_of(shown: Sequence[ViewedFrames]) -> int:
    """A number that the frames of a group alone decide: whatever else is asked with them, they draw the same noise."""
    key = 0
    for frames, _ in shown:
        key = zlib.crc32(frames.tobytes(), key)
    return key
