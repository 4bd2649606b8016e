"""How the clips of a study become one posterior.

    study --clips--> windows --looks--> groups --network--> one posterior each --means, mixture--> one posterior

A *group* is what the network sees at once: one look at one window of one clip (pool = "mixture"), or, where the model
was trained so, at one window of a clip of each view, their tokens side by side (pool = "tokens"). *Looks* show a window
as it is, mirrored, or with its last frame first. The mean of the quantiles of all looks at a window is the window's
posterior, that of all its windows the clip's; those of several clips are pooled as the equal-weight mixture F = mean
F_c: whichever clip is right is not known, so that disagreement widens the answer (`mcsdr.posterior.pooling`).

The field's protocols: the MCSDR paper passes over the whole video once (clips sampled "whole"); others take "one"
central window, "three", or "all" windows. "beats" takes one around each heartbeat, which has a posterior of its own,
and "all" besides, so that a long clip's answer rests on every frame wherever it starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from mcsdr.clips.beats import Beats
from mcsdr.clips.windows import ClipSettings, Frames, Windows, cut_windows, seen_as
from mcsdr.errors import InvalidConfig
from mcsdr.study import View

Pool = Literal["mixture", "tokens"]
ViewedFrames = tuple[Frames, View]
Looks = Literal[1, 2, 4]


class Group(NamedTuple):
    """What the network sees at once.

    Attributes:
        shown: frames and view of each clip.
        window: which window this is a look at, counted within the study.
        clip: which clip, or set of clips of different views, that is a window of, counted likewise.
    """

    shown: list[ViewedFrames]
    window: int = 0
    clip: int = 0


class ProtocolSettings(BaseModel):
    """Which windows of which clips are seen, and how they are pooled; a model keeps the one it was trained for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    windows: Windows = "one"
    pool: Pool = "mixture"
    views_together: int = Field(
        1, gt=0, le=16
    )  # "tokens": at most so many clips, each of another view, are seen at once
    looks: Looks = 1  # at each window: 1 as it is; 2 mirrored too; 4 both of them the last frame first too

    @property
    def together(self) -> int:
        """Clips of a study that the network sees at once."""
        return self.views_together if self.pool == "tokens" else 1

    def changed(
        self, windows: Windows | None = None, pool: Pool | None = None, looks: Looks | None = None
    ) -> ProtocolSettings:
        """The same protocol with other windows, another way of pooling, or more looks; None leaves it as it is.

        Raises:
            InvalidConfig: tokens side by side are asked of a model that was not trained so.
        """
        if pool == "tokens" and self.together == 1:
            raise InvalidConfig(
                "this model sees one clip at a time; it was not trained on the tokens of several.",
                next_step="Pool by mixture, or train with protocol.pool = 'tokens'.",
            )
        other = {"windows": windows or self.windows, "pool": pool or self.pool, "looks": looks or self.looks}
        return self.model_copy(update=other)

    def describe(self) -> str:
        """One phrase for a table."""
        said = {"one": "one window a clip", "three": "three windows a clip", "all": "all windows", "beats": "all beats"}
        words = [said[self.windows]]
        words += [f"{self.together} views together"] if self.together > 1 else []
        words += [f"{self.looks} looks at each"] if self.looks > 1 else []
        return ", ".join(words)


def groups(
    clips: Sequence[ViewedFrames],
    settings: ClipSettings,
    protocol: ProtocolSettings,
    beats: Sequence[Beats] | None = None,
) -> list[Group]:
    """The groups of a study from its stored clips.

    Arguments:
        clips: stored frames and view of each.
        settings, protocol: how windows are cut and which.
        beats: of each clip, for the windows "beats"; found in the frames where not given.

    With several views together, group g holds window g of clip g of each view, counted round where a view has fewer.
    The looks at a window follow each other.
    """
    plain = _windows(clips, settings, protocol, beats)
    return [
        Group([(seen_as(frames, look), view) for frames, view in shown], window, clip)
        for window, (clip, shown) in enumerate(plain)
        for look in range(protocol.looks)
    ]


def _windows(
    clips: Sequence[ViewedFrames],
    settings: ClipSettings,
    protocol: ProtocolSettings,
    beats: Sequence[Beats] | None,
) -> list[tuple[int, list[ViewedFrames]]]:
    """What is seen at once, as it is, and the number of its clip or set of views."""
    rhythm = [None] * len(clips) if beats is None else beats
    windows = [
        (clip, (window, view))
        for clip, ((stored, view), known) in enumerate(zip(clips, rhythm, strict=True))
        for window in cut_windows(stored, settings, protocol.windows, known)
    ]
    if protocol.together == 1:
        return [(clip, [window]) for clip, window in windows]
    by_view: dict[View, list[ViewedFrames]] = {}
    for _, (window, view) in windows:
        by_view.setdefault(view, []).append((window, view))
    views = list(by_view.values())
    sets = [views[i : i + protocol.together] for i in range(0, len(views), protocol.together)]
    return [
        (number, [view[g % len(view)] for view in chosen])
        for number, chosen in enumerate(sets)
        for g in range(max(map(len, chosen)))
    ]
