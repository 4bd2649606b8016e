"""HTTP over a connection that must not be held for nothing.

    a request's head    must come within so many seconds, the first one and every later one
    a body's rest       that nobody reads any more, since the answer has been given, no less soon
    an answer           must be read: a client that takes nothing for a minute is hung up on
    connections         are so many at a time; one more takes the place of the one that lags most (progress.py), and is
                        told to come again where none does

How long a body may take is the guard's to say, which sees it (guard.py).
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from mcsdr.serve.guard import LEAST_RATE
from mcsdr.serve.progress import Progress, gives_way

HEAD_S, UNREAD_S = 15.0, 60.0
MOST_CONNECTIONS = 256
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
TOO_MANY = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Bounded(H11Protocol):  # type: ignore[misc]
    """uvicorn's protocol with deadlines; for `uvicorn.Config(http=Bounded)`."""

    head_timer: asyncio.TimerHandle | None = None
    unread_timer: asyncio.TimerHandle | None = None
    progress: Progress

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.progress = Progress(LEAST_RATE)
        if self._has_room():
            self.head_timer = self.loop.call_later(HEAD_S, self._hang_up, TOO_SLOW)
        else:
            self._hang_up(TOO_MANY)

    @property
    def lag_s(self) -> float:
        """Seconds by which the client lags behind a steady pace; none while it waits for us."""
        comes = self.conn.their_state is h11.IDLE or (
            self.conn.their_state is h11.SEND_BODY and not self.flow.read_paused
        )
        return self.progress.lag_s if comes else 0.0

    def data_received(self, data: bytes) -> None:
        self.progress.moved(len(data))
        super().data_received(data)
        if self._is_answered_too_soon():
            return
        if self.conn.their_state is not h11.IDLE:  # the head has come, or nothing more is expected
            self._stop_head_timer()
        elif self.head_timer is None:
            self.head_timer = self.loop.call_later(HEAD_S, self._hang_up, TOO_SLOW)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.progress.caught_up()
        if self._is_answered_too_soon() and self.head_timer is None:
            self.head_timer = self.loop.call_later(HEAD_S, self._hang_up, TOO_SLOW)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.unread_timer = self.loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.unread_timer is not None:
            self.unread_timer.cancel()
            self.unread_timer = None

    def _has_room(self) -> bool:
        """Whether one more may be held, if need be in the place of one that lags."""
        if len(self.connections) <= MOST_CONNECTIONS:
            return True
        others = {one: one.lag_s for one in self.connections if one is not self and not one.transport.is_closing()}
        if len(others) < MOST_CONNECTIONS:
            return True
        slowest = gives_way(others)
        if slowest is not None:
            slowest._hang_up(TOO_SLOW)
        return slowest is not None

    def _is_answered_too_soon(self) -> bool:
        """Whether the answer was given before all of the body had come."""
        return self.conn.their_state is h11.SEND_BODY and self.conn.our_state is h11.DONE

    def _stop_head_timer(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def _hang_up(self, with_words: bytes) -> None:
        """Close, and say why where no answer has been begun."""
        self._stop_head_timer()
        if not self.transport.is_closing():
            if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                self.transport.write(with_words)
            self.transport.close()
