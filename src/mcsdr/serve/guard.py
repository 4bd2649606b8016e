"""Who may speak to the service, how much they may say, and how long they may take.

    Host      only names that the service goes by, so that no foreign page reaches it by a name of its own (rebinding)
    Origin    a page that changes something must be the service's own
    token     where one is set, every request but the page's own files carries it: Authorization: Bearer TOKEN
    body      no longer than it may be, whether it says its length or not; nor slower: after a minute a steady pace
    answers   carry a strict Content-Security-Policy and are never cached

A proxy that encrypts may pass on the name that the browser used, or another: named are those that people see, and a
page is the service's own if it was opened under one of them. It is plain ASGI, so it stands before anything of the
application is run; what the application fails on is told without a word of what was sent.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Refused = tuple[int, str, str, str]  # status, code, cause, next step

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?P<port>:[0-9]{1,5})?")
OPEN = ("/", "/health", "/page/")  # what needs no token: it says nothing of any patient
SAFE = ("GET", "HEAD", "OPTIONS")
LARGE = ("/api/v1/clips", "/dicom-web/studies")  # where clips come in; elsewhere a body is a few numbers
MOST_OTHER_BYTES = 64 << 10
PAUSE_S, GRACE_S, LEAST_RATE = 20.0, 60.0, 64 << 10  # between two pieces; for the start; bytes a second from then on
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
FAULT: Refused = (
    500,
    "server-fault",
    "The server failed on this request.",
    "Send it again; if it fails again, report it.",
)


class Guard:
    """ASGI middleware.

    Arguments:
        app: what it stands before.
        names: that the service goes by besides loopback, as a browser shows them; a port is insisted on where given.
        token: that requests must carry, or None.
        most_bytes: of a request's body.
    """

    def __init__(self, app: App, *, names: Sequence[str] = (), token: str | None, most_bytes: int) -> None:
        self.app, self.token, self.most_bytes = app, token, most_bytes
        self.names = tuple(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refusal(scope["method"], scope["path"], headers)
        if refused is not None:
            await _refuse(send, refused)
            return
        body = _Body(receive, self._most(scope["path"]))
        answer = _Answer(send, body)
        try:
            await self.app(scope, body.receive, answer.send)
        except Exception as error:  # its words, and a traceback, could quote what was sent
            if body.refused is None and not body.gone:
                print(f"mcsdr: a request failed ({type(error).__name__})", file=sys.stderr, flush=True)
            if not answer.begun:
                await _refuse(send, body.refused or FAULT)

    def _refusal(self, method: str, path: str, headers: dict[str, str]) -> Refused | None:
        """Why a request is not let in."""
        host = headers.get("host", "").lower()
        if not self._is_ours(host):
            step = "Ask by a name of its own; `mcsdr serve --name HOST` gives it another."
            return 421, "wrong-host", "This service does not go by that name.", step
        origin = headers.get("origin")
        if method not in SAFE and origin is not None and not self._is_own_page(origin.lower(), host):
            step = "Open the service's own page; behind a proxy start it with `--name HOST`, as the browser shows it."
            return 403, "wrong-origin", "Another site's page may not ask this service for anything.", step
        is_open = path in OPEN or path.startswith("/page/")
        if self.token is not None and not is_open and not _matches(self.token, headers.get("authorization", "")):
            step = "Send the token that the service was started with: Authorization: Bearer TOKEN."
            return 401, "token", "The token is missing, or another one.", step
        length, most = headers.get("content-length", "0"), self._most(path)
        if not length.isdigit() or len(length) > 18 or int(length) > most:
            return _too_large(most)
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header names the service; its port counts where a name has one."""
        found = HOST.fullmatch(host)
        return found is not None and (found["name"] in LOOPBACK or found["name"] in self.names or host in self.names)

    def _is_own_page(self, origin: str, host: str) -> bool:
        """Whether a page was opened under the name that is asked, or under a name that people see."""
        opened = origin.partition("://")[2]
        found = HOST.fullmatch(opened)
        return opened == host or (found is not None and (opened in self.names or found["name"] in self.names))

    def _most(self, path: str) -> int:
        return self.most_bytes if path in LARGE else min(MOST_OTHER_BYTES, self.most_bytes)


class _Body:
    """A request's body, which ends as if the client had hung up where it grows too long or comes too slowly."""

    def __init__(self, receive: Receive, most_bytes: int) -> None:
        self._receive, self._most_bytes = receive, most_bytes
        self._seen, self._started_s, self._ended = 0, time.monotonic(), False
        self.refused: Refused | None = None
        self.gone = False

    async def receive(self) -> Message:
        if self._ended:  # what comes now is that the client has gone, whenever that may be
            return await self._receive()
        left_s = self._started_s + GRACE_S + self._seen / LEAST_RATE - time.monotonic()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, min(PAUSE_S, left_s)))
        except TimeoutError:
            step = "Send it again over a faster line."
            return self._end((408, "too-slow", "The body came too slowly, or stopped.", step))
        self._seen += len(message.get("body", b""))
        self._ended = message["type"] == "http.disconnect" or not message.get("more_body", False)
        self.gone = message["type"] == "http.disconnect"
        return self._end(_too_large(self._most_bytes)) if self._seen > self._most_bytes else message

    def _end(self, refused: Refused) -> Message:
        self.refused, self._ended = refused, True
        return {"type": "http.disconnect"}


class _Answer:
    """What is sent back: with the headers that all answers have, or why the body was not taken in."""

    def __init__(self, send: Send, body: _Body) -> None:
        self._send, self._body = send, body
        self.begun = False
        self._replaced = False

    async def send(self, message: Message) -> None:
        if self._replaced:
            return
        if message["type"] == "http.response.start":
            self.begun = True
            if self._body.refused is not None:
                self._replaced = True
                await _refuse(self._send, self._body.refused)
                return
        await self._send(_with_headers(message))


def _too_large(most_bytes: int) -> Refused:
    size = f"{most_bytes >> 20} MiB" if most_bytes >= 1 << 20 else f"{most_bytes} bytes"
    return 413, "too-large", f"The body may have {size} here.", "Send a shorter clip, or fewer at a time."


def _matches(token: str, authorization: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


def _with_headers(message: Message) -> Message:
    if message["type"] != "http.response.start":
        return message
    present = {name.lower() for name, _ in message["headers"]}
    more = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in present]
    return {**message, "headers": [*message["headers"], *more]}


async def _refuse(send: Send, refused: Refused) -> None:
    status, code, cause, next_step = refused
    said = {"error": {"code": code, "cause": cause, "next_step": next_step, "path": None}}
    body = json.dumps(said).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"www-authenticate", b"Bearer")] if status == 401 else []
    headers += [(b"connection", b"close")] if status in (408, 413) else []  # the rest of the body is not read
    await send(_with_headers({"type": "http.response.start", "status": status, "headers": headers}))
    await send({"type": "http.response.body", "body": body})
