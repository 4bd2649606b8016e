"""Peers of a node and clients of a service that mean to keep others out, for benchmarks/reliability.py."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from mcsdr.serve.progress import LAG_S
from processes import served

GOOD_S = 20.0
Found = Iterator[tuple[str, bool]]  # a line, and whether it is as it must be


@contextlib.contextmanager
def silent_peers(port: int, count: int) -> Iterator[None]:
    """So many connections to a node, every second with an association, of which nothing more is heard."""
    from pynetdicom import AE
    from pynetdicom.sop_class import Verification

    entity = AE(ae_title="SILENT")
    entity.add_requested_context(Verification)
    with contextlib.ExitStack() as open_ones:
        for _ in range(count // 2):
            open_ones.enter_context(socket.create_connection(("127.0.0.1", port)))
            open_ones.callback(entity.associate("127.0.0.1", port, ae_title="MCSDR").abort)
        time.sleep(2 * LAG_S)
        yield


@contextlib.contextmanager
def trickling_peers(port: int, count: int, address: str) -> Iterator[None]:
    """So many connections to a node, every second with an association, of which a byte a second comes.

    Who is hung up on connects again a second later.
    """
    from pynetdicom import AE
    from pynetdicom.sop_class import Verification

    entity, stop = AE(ae_title="TRICKLE"), threading.Event()
    entity.add_requested_context(Verification)

    def connected(number: int) -> socket.socket:
        if number % 2:
            return socket.create_connection(("127.0.0.1", port), source_address=(address, 0))
        association = entity.associate("127.0.0.1", port, ae_title="MCSDR", bind_address=(address, 0))
        return association.dul.socket.socket.dup()

    def trickle(number: int) -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError, AttributeError), connected(number) as connection:
                connection.sendall(b"\x01\x00\x00\x01\x00\x00" if number % 2 else b"\x04\x00\x00\x01\x00\x00")
                while not stop.wait(1):
                    connection.sendall(b"\x00")
            stop.wait(1)

    threads = [threading.Thread(target=trickle, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(5 * LAG_S)
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)
        for left in entity.active_associations:
            left.abort()


def trickle(share: float, folder: Path) -> Found:
    """A service beside 100 connections, each of which sends a byte a second and comes again when it is hung up on."""
    from soak import call, clips

    count, (content, *_), stop = max(20, round(100 * share)), clips(), threading.Event()
    with served(("--line", "4")) as (base, _server):
        port = int(base.rpartition(":")[2])
        threads = [threading.Thread(target=_drip, args=(port, number, stop), daemon=True) for number in range(count)]
        for thread in threads:
            thread.start()
        time.sleep(5)
        healths, uploads = [], []
        for _ in range(10):
            started = time.perf_counter()
            call(base, "GET", "/health")
            healths.append(time.perf_counter() - started)
            started = time.perf_counter()
            while (said := call(base, "POST", "/api/v1/clips", content))[0] == 429:
                time.sleep(min(1.0, said[2]))
            while (job := call(base, "GET", f"/api/v1/jobs/{said[1]['id']}")[1])["state"] not in ("done", "failed"):
                time.sleep(0.05)
            uploads.append((job["state"], time.perf_counter() - started))
        stop.set()
    for thread in threads:
        thread.join(10)
    worst, slowest = 1000 * max(healths), max(took for _, took in uploads)
    fine = all(state == "done" for state, _ in uploads) and slowest < GOOD_S
    yield (
        f"beside {count} that trickle: 10 clips answered, each within {slowest:.1f} s; /health within {worst:.0f} ms",
        fine,
    )


def _drip(port: int, number: int, stop: threading.Event) -> None:
    """Half heads, uploads and changes of attributes in turn, a byte a second."""
    head = ("GET /health HTT", "POST /api/v1/clips HTTP/1.1", "PATCH /api/v1/jobs/none HTTP/1.1")[number % 3]
    said = head if number % 3 == 0 else f"{head}\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 60000\r\n\r\n"
    while not stop.is_set():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(said.encode())
            while not stop.wait(1):
                connection.sendall(b"x")
        stop.wait(1)
