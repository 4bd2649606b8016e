"""What a run says of itself: rows of a log on disk, and words to whoever watches."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from mcsdr.files import write_atomically
from mcsdr.files.writing import unwritable


class Log:
    """One JSON row per event in log.jsonl, mirrored to tensorboard; rows beyond a resumed step are taken back.

    Arguments:
        folder: where it lies.
        resumed_step: the last step that was made; 0 at the beginning.
        unlooked: whether its validation is still to come, so that no row tells it.

    TensorBoard's file is written here and not by tensorboardX's own thread, which dies of a full disk and leaves the
    training waiting for it.

    Raises:
        UnwritableFile: no room or no permission.
    """

    def __init__(self, folder: Path, resumed_step: int, unlooked: bool = False) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self.path, self.folder = folder / "log.jsonl", folder / "tensorboard"
        kept = [line for line in self._lines() if _stands(json.loads(line), resumed_step, unlooked)]
        write_atomically(self.path, "".join(kept).encode())
        with unwritable(self.folder):
            self.folder.mkdir(exist_ok=True)
            self.board = EventsWriter(str(self.folder / "events"))
            # What TensorBoard takes back of an earlier run that went beyond the checkpoint.
            begun = SessionLog(status=SessionLog.START)
            self.board.write_event(Event(step=resumed_step + 1, wall_time=time.time(), session_log=begun))
            self.board.flush()

    def _lines(self) -> list[str]:
        if not self.path.exists():
            return []
        with unwritable(self.path):
            return [line for line in self.path.read_text().splitlines(keepends=True) if line.endswith("}\n")]

    def write(self, step: int, **values: float) -> None:
        """Append one row; what is no finite number is null."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        with unwritable(self.path), self.path.open("a") as file:
            file.write(json.dumps({"step": step, **finite}) + "\n")
        with unwritable(self.folder):
            for name, value in finite.items():
                if value is not None:
                    self.board.write_event(Event(step=step, wall_time=time.time(), summary=scalar(name, value)))
            self.board.flush()


def _stands(row: dict[str, Any], resumed_step: int, unlooked: bool) -> bool:
    step = int(row["step"])
    return step < resumed_step or (step == resumed_step and not (unlooked and "val_crps" in row))


class Watcher(Protocol):
    """Whom a run tells how far it is."""

    def cache(self, cohort: str, done: int, total: int) -> None:
        """A clip was rendered or decoded."""

    def skipped(self, cohort: str, bad: Sequence[tuple[str, str]]) -> None:
        """These studies cannot be used, as (study_id, why)."""

    def step(self, step: int, steps: int, loss: float) -> None:
        """A step was made."""

    def validated(self, step: int, figures: dict[str, float], best: bool) -> None:
        """The validation cohort was answered."""

    def notice(self, text: str) -> None:
        """Something happened that a person should know of, one sentence."""


class Silence:
    """A watcher that says nothing."""

    def cache(self, cohort: str, done: int, total: int) -> None: ...
    def skipped(self, cohort: str, bad: Sequence[tuple[str, str]]) -> None: ...
    def step(self, step: int, steps: int, loss: float) -> None: ...
    def validated(self, step: int, figures: dict[str, float], best: bool) -> None: ...
    def notice(self, text: str) -> None: ...
