"""The bar of every command that works through clips, on the error stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(title: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """What moves a bar: `advance(done)` or, where the total is learnt on the way, `advance(done, total)`.

    The bar appears when it first moves, so that whatever is refused before any work is refused without one.
    """
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=Console(stderr=True))
    task = progress.add_task(title, total=total)

    def advance(done: int, total: int | None = total) -> None:
        progress.start()  # nothing where it runs already
        progress.update(task, completed=done, total=total)

    try:
        yield advance
    finally:
        if progress.live.is_started:
            progress.stop()
