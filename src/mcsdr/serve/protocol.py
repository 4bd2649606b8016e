"""HTTP over a connection that must not be held for nothing.

    a request's head    must come within so many seconds, the first one and every later one
    an answer           must be read: a client that takes nothing for a minute is hung up on
    connections         are so many at a time; one more is told to come again

How long a body may take is the guard's to say, which sees it (guard.py).
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S, UNREAD_S = 15.0, 60.0
MOST_CONNECTIONS = 256
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
TOO_MANY = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Bounded(H11Protocol):  # type: ignore[misc]
    """uvicorn's protocol with deadlines; for `uvicorn.Config(http=Bounded)`."""

    head_timer: asyncio.TimerHandle | None = None
    unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            self._hang_up(TOO_MANY)
        else:
            self.head_timer = self.loop.call_later(HEAD_S, self._hang_up, TOO_SLOW)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:  # the head has come, or nothing more is expected
            self._stop_head_timer()
        elif self.head_timer is None:
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

    def _stop_head_timer(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def _hang_up(self, with_words: bytes) -> None:
        self.head_timer = None
        if not self.transport.is_closing():
            self.transport.write(with_words)
            self.transport.close()
