"""Connections that are held for nothing are closed, and there are not too many of them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import uvicorn

from mcsdr.serve import protocol
from mcsdr.serve.progress import gives_way


async def says_ok(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(protocol, "HEAD_S", 0.3)
    monkeypatch.setattr(protocol, "MOST_CONNECTIONS", 2)
    server = uvicorn.Server(uvicorn.Config(says_ok, http=protocol.Bounded, ws="none", lifespan="off", log_config=None))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


def opened(port: int, said: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(said)
    return connection


def all_of(connection: socket.socket) -> bytes:
    said = b""
    with connection:
        while piece := connection.recv(1000):
            said += piece
    return said


def test_half_a_head_is_not_waited_for(port: int) -> None:
    assert all_of(opened(port, b"GET / HT")).startswith(b"HTTP/1.1 408")
    assert all_of(opened(port, b"")).startswith(b"HTTP/1.1 408")
    second = opened(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert second.recv(1000).startswith(b"HTTP/1.1 200")
    second.sendall(b"GET / HT")
    assert b"HTTP/1.1 408" in all_of(second)


def test_the_rest_of_a_body_that_nobody_reads_is_not_waited_for(port: int) -> None:
    started, said = time.monotonic(), b""
    with opened(port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n") as trickling:
        trickling.settimeout(0.05)
        with suppress(ConnectionError):
            while time.monotonic() - started < 10:  # a byte now and then, so that no pause is long enough
                trickling.sendall(b"x")
                with suppress(TimeoutError):
                    piece = trickling.recv(1000)
                    said += piece
                    if not piece:
                        break
    assert said.endswith(b"ok")
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("held", [b"", b"GET / HT", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"])
def test_who_lags_gives_way_to_a_new_connection(port: int, monkeypatch: pytest.MonkeyPatch, held: bytes) -> None:
    monkeypatch.setattr(protocol, "HEAD_S", 30.0)
    connections = [opened(port, held), opened(port, held)]
    monkeypatch.setattr(protocol, "gives_way", lambda lags: gives_way(lags, least_s=0.05))
    time.sleep(0.1)
    assert all_of(opened(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).endswith(b"ok")
    said = all_of(connections[0])
    assert said.startswith(b"HTTP/1.1 200" if b"POST" in held else b"HTTP/1.1 408")
    connections[1].close()


def test_one_connection_too_many_is_told_to_come_again(port: int) -> None:
    held = [opened(port, b""), opened(port, b"")]
    refused = all_of(opened(port, b""))
    assert refused.startswith(b"HTTP/1.1 503")
    assert b"retry-after" in refused
    for connection in held:
        all_of(connection)
    assert all_of(opened(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).endswith(b"ok")
