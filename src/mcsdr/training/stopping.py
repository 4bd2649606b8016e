"""How a training ends before its end: asked to by a signal, or by what it cannot help.

SIGTERM is what a cluster sends half a minute before it kills, SIGINT is Ctrl-C. The first of either is noted, and the
step that is being made is made; where there is nothing to finish (clips being rendered, a validation, which may take
minutes) it ends at once. A second Ctrl-C ends whatever it is.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator

from mcsdr.errors import LostWorker, OutOfMemory
from mcsdr.training.settings import TrainSettings

SIGNALS = (signal.SIGTERM, signal.SIGINT)
NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED", "Unable to allocate")
NO_PEER = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL", "gloo")


class Stop:
    """Whether this process was asked to end; a context that listens to the signals while it is open.

    Attributes:
        signal: what was sent, None so far.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._at_once = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():  # no other may listen
            self._before = {number: signal.signal(number, self._asked) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        again = self.signal is not None and number == signal.SIGINT
        self.signal = signal.Signals(number)
        if again or self._at_once:
            raise KeyboardInterrupt

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """A region that a signal ends by KeyboardInterrupt, one sent before it too."""
        if self.signal is not None:
            raise KeyboardInterrupt
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def anywhere(self, accelerator: Accelerator) -> bool:
        """Whether any process of the run was asked to end; all of them learn it after the same step."""
        asked = self.signal is not None
        if accelerator.num_processes == 1:
            return asked
        of_all = accelerator.reduce(torch.tensor(float(asked), device=accelerator.device), "sum")
        return bool(of_all > 0)


@contextmanager
def named_failures(settings: TrainSettings) -> Iterator[None]:
    """What a training cannot help, by its name.

    Raises:
        OutOfMemory: with the batch and the size of its clips.
        LostWorker: a process that renders clips, or another one of the run, died.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        said = f"{type(error).__name__}: {error}"
        if isinstance(error, MemoryError) or any(words in said for words in NO_MEMORY):
            raise OutOfMemory(_too_large(settings)) from error
        if type(error).__name__ == "BrokenProcessPool":
            cause = "a process that renders or decodes clips died; the system ends one where memory is short."
            next_step = "Run the command again, with --data.workers 0 to see which clip it is."
            raise LostWorker(cause, next_step=next_step) from error
        if any(words in said for words in NO_PEER):
            cause = f"another process of the run died: {error}"
            raise LostWorker(
                cause, next_step="Run the same command again: it goes on from the last checkpoint."
            ) from error
        raise


def _too_large(settings: TrainSettings) -> str:
    clip, together, dropout = settings.clip, settings.protocol.together, settings.dropout
    clips = f"{settings.optim.batch} studies" + (f" of {together} clips" if together > 1 else "")
    return (
        f"there is too little memory for a batch of {clips}, {clip.frames} × {clip.size} × {clip.size} pixels each, "
        f"under {dropout.masks} masks with {dropout.pairs} pairs (optim.batch = {settings.optim.batch}, "
        f"clip.frames = {clip.frames}, clip.size = {clip.size})."
    )
