"""How far one who sends lags behind a steady pace: what tells a slow line from a place that is held for nothing.

A place is not earned by a byte now and then. n bytes are worth n/rate seconds, never more than have passed: with

    a ← min(now, a + n/rate)   at each piece,      lag = now − a,

who keeps the pace, in pieces however uneven, lags by no more than their last pause; who says nothing lags by all of it,
and a byte a second is worth next to nothing. While the sender waits for us the clock stands.

Nobody is turned away for lagging. Where all places are taken one who lags gives way to one who comes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

LAG_S = 1.0  # behind the pace, and a place may be lost to one who comes

Name = TypeVar("Name")


class Progress:
    """What came of one sender.

    Arguments:
        rate: bytes a second that are a steady pace.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._at_s = time.monotonic()
        self._stands = False

    @property
    def lag_s(self) -> float:
        """Seconds that the sender lags behind; none while it waits for us."""
        return 0.0 if self._stands else time.monotonic() - self._at_s

    def moved(self, count: int) -> None:
        """So many bytes have come."""
        self._at_s = min(time.monotonic(), self._at_s + count / self.rate)

    def caught_up(self) -> None:
        """What was due has come."""
        self._at_s = time.monotonic()

    @contextmanager
    def stands(self) -> Iterator[None]:
        """While the sender waits for us, it does not lag, nor does it catch up."""
        since, self._stands = time.monotonic(), True
        try:
            yield
        finally:
            now = time.monotonic()
            self._at_s, self._stands = min(now, self._at_s + now - since), False


def gives_way(
    lags: Mapping[Name, float], owner: Mapping[Name, str] | None = None, least_s: float = LAG_S
) -> Name | None:
    """Who of those that hold a place gives way to one who comes; None where nobody lags by `least_s`.

    Of the owner whose places together lag most the slowest: who holds many for nothing loses them before a lone sender
    on a slow line loses its one.

    Arguments:
        lags: of each place, in seconds.
        owner: of each place; each is its own where None.
    """
    slow = [name for name, lag in lags.items() if lag >= least_s]
    if not slow:
        return None
    if owner is None:
        return max(slow, key=lambda name: lags[name])
    idle: dict[str, float] = {}
    for name, lag in lags.items():
        idle[owner[name]] = idle.get(owner[name], 0.0) + lag
    return max(slow, key=lambda name: (idle[owner[name]], lags[name]))
