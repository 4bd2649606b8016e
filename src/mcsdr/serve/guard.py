"""Who may speak to the service, and how much they may say.

    Host      only names that the service goes by, so that no foreign page reaches it by a name of its own (rebinding)
    Origin    a page that changes something must be the service's own
    token     where one is set, every request but the page's own files carries it: Authorization: Bearer TOKEN
    body      no longer than it may be, whether it says its length or not
    answers   carry a strict Content-Security-Policy and are never cached

It is plain ASGI, so it stands before anything of the application is run.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
OPEN = ("/", "/health", "/page/")  # what needs no token: it says nothing of any patient
SAFE = ("GET", "HEAD", "OPTIONS")
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """ASGI middleware.

    Arguments:
        app: what it stands before.
        hosts: names that the service goes by, without port.
        token: that requests must carry, or None.
        most_bytes: of a request's body.
    """

    def __init__(self, app: App, *, hosts: Sequence[str] = LOOPBACK, token: str | None, most_bytes: int) -> None:
        self.app, self.hosts, self.token, self.most_bytes = app, tuple(hosts), token, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refusal(scope["method"], scope["path"], headers)
        if refused is not None:
            await _refuse(send, *refused)
            return
        await self.app(scope, self._counted(receive), _with_headers(send))

    def _refusal(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str, str] | None:
        """Status, code and cause where a request is not let in."""
        host = headers.get("host", "")
        if _name(host) not in self.hosts:
            return 421, "wrong-host", "This service does not go by that name."
        origin = headers.get("origin")
        if method not in SAFE and origin is not None and origin.partition("://")[2] != host:
            return 403, "wrong-origin", "Another site's page may not ask this service for anything."
        is_open = path in OPEN or path.startswith("/page/")
        if self.token is not None and not is_open and not _matches(self.token, headers.get("authorization", "")):
            return 401, "token", "Send the token that the service was started with: Authorization: Bearer TOKEN."
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self.most_bytes:
            return 413, "too-large", f"A clip may have {self.most_bytes >> 20} MiB."
        return None

    def _counted(self, receive: Receive) -> Receive:
        """`receive`, which ends a body that grows too long as a client would that hangs up."""
        seen = 0

        async def counting() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            return {"type": "http.disconnect"} if seen > self.most_bytes else message

        return counting


def _name(host: str) -> str:
    """A Host header without its port."""
    return host[: host.index("]") + 1] if "]" in host else host.partition(":")[0]


def _matches(token: str, authorization: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            more = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in present]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sending


async def _refuse(send: Send, status: int, code: str, cause: str) -> None:
    body = json.dumps({"error": {"code": code, "cause": cause}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"www-authenticate", b"Bearer")] if status == 401 else []
    await _with_headers(send)({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
