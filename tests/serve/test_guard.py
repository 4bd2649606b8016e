"""The guard: by which names, from which pages, how much, how fast; and what is told where the service fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from mcsdr.serve import guard
from mcsdr.serve.guard import Guard, Message, Receive, Scope, Send

PROXY = ("echo.example.org", "heart.example.org:8443")


async def takes_all(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that reads the body and says how long it was; it fails on one that begins with "fail"."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("Quill^Ada")
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    if body.startswith(b"fail"):
        raise ValueError(body.decode())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(len(body)).encode()})


def asked(
    pieces: Sequence[bytes | float] = (b"",),
    *,
    method: str = "POST",
    path: str = "/api/v1/clips",
    names: Sequence[str] = (),
    most_bytes: int = 1 << 20,
    **headers: str,
) -> tuple[int, str]:
    """Status, and the error's code or the body; a number among the pieces is a pause in seconds."""
    sent: list[Message] = []
    coming = list(pieces)

    async def receive() -> Message:
        while coming and isinstance(coming[0], float):
            await asyncio.sleep(coming.pop(0))  # type: ignore[arg-type]
        return {"type": "http.request", "body": coming.pop(0), "more_body": bool(coming)}

    async def send(message: Message) -> None:
        sent.append(message)

    said = {"host": "127.0.0.1:8765", **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope: dict[str, Any] = {"type": "http", "method": method, "path": path}
    scope["headers"] = [(name.encode(), value.encode()) for name, value in said.items()]
    asyncio.run(Guard(takes_all, names=names, token=None, most_bytes=most_bytes)(scope, receive, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    body = sent[1]["body"].decode()
    if sent[0]["status"] == 200:
        return 200, body
    error = json.loads(body)["error"]
    assert set(error) == {"code", "cause", "next_step", "path"}
    assert all(error[key] for key in ("code", "cause", "next_step"))
    assert "Quill" not in body
    return sent[0]["status"], error["code"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "[::1]", "[::1]:8765", "ECHO.example.org:443", *PROXY])
def test_names_that_the_service_goes_by(host: str) -> None:
    assert asked(host=host, names=PROXY) == (200, "0")


@pytest.mark.parametrize(
    "host",
    ["", "evil.com", "[::1].evil.com", "[::1]evil.com", "[::1]:80:80", "127.0.0.1.evil.com", "heart.example.org:443",
     "echo.example.org.evil.com", "echo.example.org@evil.com", "localhost/", "127.0.0.1:x"],
)  # fmt: skip
def test_names_that_it_does_not(host: str) -> None:
    assert asked(host=host, names=PROXY) == (421, "wrong-host")


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8765", "http://127.0.0.1:8765"),
        ("echo.example.org", "https://echo.example.org"),
        ("echo.example.org", "https://echo.example.org:9443"),  # the proxy left the port out
        ("127.0.0.1:8765", "https://echo.example.org"),  # the proxy named its backend
        ("127.0.0.1:8765", "https://heart.example.org:8443"),
    ],
)
def test_pages_that_are_the_services_own(host: str, origin: str) -> None:
    assert asked(host=host, origin=origin, names=PROXY) == (200, "0")


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8765", "http://127.0.0.1:3000"),
        ("127.0.0.1:8765", "null"),
        ("echo.example.org", "https://echo.example.org.evil.com"),
        ("echo.example.org", "https://evil.com"),
        ("127.0.0.1:8765", "https://heart.example.org"),
        ("127.0.0.1:8765", "https://[::1].evil.com"),
    ],
)
def test_pages_that_are_not(host: str, origin: str) -> None:
    assert asked(host=host, origin=origin, names=PROXY) == (403, "wrong-origin")


def test_a_body_has_its_size() -> None:
    assert asked([b"x" * 1000] * 100) == (200, "100000")
    assert asked([b"x" * 1000] * 100, most_bytes=50_000) == (413, "too-large")
    assert asked([b"x" * 1000] * 100, method="PATCH", path="/api/v1/jobs/1") == (413, "too-large")
    assert asked(method="PATCH", path="/api/v1/jobs/1", content_length="70000") == (413, "too-large")
    assert asked(method="PATCH", path="/api/v1/jobs/1", content_length="9" * 5000) == (413, "too-large")


def test_a_body_keeps_its_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "PAUSE_S", 0.05)
    assert asked([b"half", 5.0, b"more"]) == (408, "too-slow")
    monkeypatch.setattr(guard, "PAUSE_S", 5.0)
    monkeypatch.setattr(guard, "GRACE_S", 0.1)
    assert asked([b"x", *([0.02, b"x"] * 200)]) == (408, "too-slow")  # never a pause, and never an end


def test_what_the_service_fails_on_is_told_and_logged_without_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked([b"fail Quill^Ada"]) == (500, "server-fault")
    assert capsys.readouterr().err == "mcsdr: a request failed (ValueError)\n"
