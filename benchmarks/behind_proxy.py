"""The service behind a real proxy with TLS, as docs/how-to/proxy.md has it; for benchmarks/reliability.py.

Needs Debian's nginx and openssl; where they are not installed, that is all that is said.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from processes import free_port, served, wait_until

Found = Iterator[tuple[str, bool]]  # a line, and whether it is as it must be
NAME, SECRET = "echo.example.org", "a-secret-of-loopback-alone"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "how-to" / "proxy.md"


def proxy(share: float, folder: Path) -> Found:
    """Twice: with the Host that people use, and with the proxy's own."""
    if not (shutil.which("nginx") and shutil.which("openssl")):
        yield "nginx or openssl is not installed: not tried", True
        return
    token = folder / "token"
    token.write_text(SECRET)
    token.chmod(0o600)
    with served(("--name", NAME, "--token-file", str(token))) as (base, _):
        for host in ("$host", "$proxy_host"):
            with _nginx(folder, int(base.rsplit(":", 1)[1]), host) as port:
                for what, (status, wanted) in _asked(port).items():
                    yield f"Host {host}, {what}: {status}", status == wanted
        for what, (status, wanted) in _past(int(base.rsplit(":", 1)[1])).items():
            yield f"past the proxy, {what}: {status}", status == wanted


@contextlib.contextmanager
def _nginx(folder: Path, service: int, host: str) -> Iterator[int]:
    port, certificate, key = free_port(), folder / "echo.pem", folder / "echo.key"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    made += ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", str(key)]
    subprocess.run([*made, "-out", str(certificate)], check=True, stderr=subprocess.DEVNULL)
    told = re.search(r"```nginx\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert told is not None
    server = re.sub(r"listen +443", f"listen 127.0.0.1:{port}", told[1]).replace("$host", host)
    server = re.sub(r"(?<=ssl_certificate )[^;]+", str(certificate), server)
    server = re.sub(r"(?<=ssl_certificate_key )[^;]+", str(key), server).replace(
        "127.0.0.1:8765", f"127.0.0.1:{service}"
    )
    paths = "\n".join(f"{way}_temp_path {folder};" for way in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log; user root;\nevents {{}}\n"
        f"http {{ access_log off;\n{paths}\n{server} }}\n"
    )
    running = subprocess.Popen(["nginx", "-c", str(configuration)], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: _listens(port), 20)
        yield port
    finally:
        running.terminate()
        running.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _asked(port: int) -> dict[str, tuple[int, int]]:
    """What is asked through the proxy, its status and the one it must have."""
    from pydicom.data import get_testdata_file

    clip = Path(str(get_testdata_file("examples_ybr_color.dcm"))).read_bytes()
    page, bearer = f"https://{NAME}:{port}", {"Authorization": f"Bearer {SECRET}"}
    found = {
        "health": (_call(port, "GET", "/health")[0], 200),
        "without the token": (_call(port, "POST", "/api/v1/clips", clip)[0], 401),
        "another site's page": (
            _call(port, "POST", "/api/v1/clips", clip, bearer | {"Origin": "https://evil.org"})[0],
            403,
        ),
    }
    status, job = _call(port, "POST", "/api/v1/clips", clip, bearer | {"Origin": page})
    found["a clip from the page"] = (status, 202)
    events = _call(port, "GET", f"/api/v1/jobs/{job.get('id')}/events", None, bearer)
    found["its events"] = (events[0] if "done" in str(events[1]) else 0, 200)
    spoken = bearer | {"Origin": page, "Content-Type": "application/json"}
    changed = _call(port, "PATCH", f"/api/v1/jobs/{job.get('id')}", b'{"age": 40}', spoken)
    found["another age"] = (changed[0], 200)
    return found


def _past(port: int) -> dict[str, tuple[int, int]]:
    """What no proxy would pass on."""
    head = "PATCH /api/v1/jobs/x HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer " + SECRET + "\r\nContent-Length: {}\r\n"
    sent = {
        "half a head": ("GET /health HTTP/1.1\r\nHost: " + NAME, 408),
        "half a body": (head.format(NAME, 1000) + "\r\n{", 408),
        "Host: [::1].evil.com": (head.format("[::1].evil.com", 0) + "\r\n", 421),
        "a PATCH of 70 KB": (head.format(NAME, 70_000) + "\r\n" + " " * 70_000, 413),
    }
    return {what: (_raw(port, text.encode()), wanted) for what, (text, wanted) in sent.items()}


def _raw(port: int, content: bytes) -> int:
    """The status of what comes back; 0 where nothing does."""
    with socket.create_connection(("127.0.0.1", port), 60) as one:
        with contextlib.suppress(OSError):  # refused while it is still sent
            one.sendall(content)
        said = one.recv(64)
    return int(said.split()[1]) if said else 0


def _call(
    port: int, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Status and answer, over TLS, of the server that goes by `NAME`."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=trusting, timeout=120)
    connection.request(method, path, body, {"Host": f"{NAME}:{port}", **(headers or {})})
    response = connection.getresponse()
    said = response.read()
    connection.close()
    with contextlib.suppress(ValueError):
        return response.status, json.loads(said)
    return response.status, said
